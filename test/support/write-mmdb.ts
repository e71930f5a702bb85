import { parseNetwork } from "../../src/ip/networks.ts";

type MmdbValue = string | number | { readonly [key: string]: MmdbValue };

/** A record of the tree: another node, the offset of data, or nothing. */
type Leaf = { data: number } | undefined;
type Branch = [Branch | Leaf, Branch | Leaf];

interface MmdbShape {
  /** Size of a record in bits. */
  recordSize?: 24 | 28 | 32;
  ipVersion?: 4 | 6;
  /** Whether IPv4 is repeated below ::ffff:0:0/96 and 2002::/16. */
  alias?: boolean;
}

/** Creates an MMDB file (MaxMind DB 2.0) with IPv6 and IPv4 networks that do not overlap. */
export function writeMmdb(
  networks: Readonly<Record<string, MmdbValue>>,
  { recordSize = 28, ipVersion = 6, alias = false }: MmdbShape = {},
): Buffer {
  const root: Branch = [undefined, undefined];
  const data: Buffer[] = [];
  let dataSize = 0;
  const put = (bits: string, value: Branch | Leaf) => {
    let branch = root;
    for (const bit of bits.slice(0, -1)) {
      const side = bit === "1" ? 1 : 0;
      const next: Branch | Leaf = branch[side];
      const below: Branch = Array.isArray(next) ? next : [undefined, undefined];
      branch[side] = below;
      branch = below;
    }
    branch[bits.endsWith("1") ? 1 : 0] = value;
  };
  for (const [text, value] of Object.entries(networks)) {
    const { address, prefix } = parseNetwork(text);
    const all = [...address.bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    const zeros = address.family === 4 && ipVersion === 6 ? "0".repeat(96) : "";
    put(zeros + all.slice(0, prefix), { data: dataSize });
    const bytes = encode(value);
    data.push(bytes);
    dataSize += bytes.length;
  }
  if (alias) {
    let ipv4: Branch | Leaf = root;
    for (let bit = 0; bit < 96; bit++) ipv4 = Array.isArray(ipv4) ? ipv4[0] : undefined;
    put("0".repeat(80) + "1".repeat(16), ipv4);
    put("0010000000000010", ipv4);
  }
  const nodes: Branch[] = [root];
  const numbers = new Map<Branch, number>([[root, 0]]);
  for (const node of nodes) {
    for (const side of node) {
      if (Array.isArray(side) && !numbers.has(side)) numbers.set(side, nodes.push(side) - 1);
    }
  }
  const record = (side: Branch | Leaf) => {
    if (side === undefined) return nodes.length;
    return Array.isArray(side) ? numbers.get(side)! : nodes.length + 16 + side.data;
  };
  const digits = recordSize / 4;
  const tree = nodes.map(([left, right]) => {
    const [a, b] = [left, right].map((side) => record(side).toString(16).padStart(digits, "0"));
    // With 28 bits, the upper four bits of both records share the middle byte.
    return digits === 7 ? a!.slice(1) + a![0] + b![0] + b!.slice(1) : a! + b!;
  });
  const metadata = {
    ...{
      binary_format_major_version: 2,
      binary_format_minor_version: 0,
      build_epoch: 1,
      database_type: "Test",
    },
    ...{ ip_version: ipVersion, node_count: nodes.length, record_size: recordSize },
  };
  const marker = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
  return Buffer.concat([
    Buffer.from(tree.join(""), "hex"),
    Buffer.alloc(16),
    ...data,
    marker,
    encode(metadata),
  ]);
}

/** Types 2 (text), 6 (unsigned) and 7 (map), of lengths below 29. */
function encode(value: MmdbValue): Buffer {
  if (typeof value === "string")
    return Buffer.concat([Buffer.of((2 << 5) | value.length), Buffer.from(value)]);
  if (typeof value === "number") {
    const bytes = Buffer.alloc(5, (6 << 5) | 4);
    bytes.writeUInt32BE(value, 1);
    return bytes;
  }
  const entries = Object.entries(value);
  return Buffer.concat([Buffer.of((7 << 5) | entries.length), ...entries.flat().map(encode)]);
}
