import { isIP } from "node:net";
import { Address } from "../../ip/address.ts";
import { type Block, integer, networks, options, text } from "../../options/index.ts";

/** The options of live sync: opentracker's cluster protocol. */
export interface LiveSyncOptions {
  /** Multicast address and port: `224.0.23.5:9696`, `[ff15::6969]:9696`. */
  readonly group: string;
  /** Over IPv4 the local address, over IPv6 the name of the interface; "" lets the system choose. */
  readonly interface: string;
  /** Networks and addresses of the other trackers. */
  readonly nodes: readonly string[];
  /** How many routers a packet may pass. */
  readonly ttl: number;
}

/** Parses the multicast group. @throws RangeError that says what is wrong */
export function parseGroup(group: string): {
  readonly host: string;
  readonly port: number;
  readonly family: 4 | 6;
} {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(group) ?? [];
  const host = bracketed ?? bare ?? "";
  const { family, bytes } = Address.parse(host);
  const port = Number(digits);
  const isMulticast = family === 4 ? bytes[0]! >> 4 === 14 : bytes[0] === 0xff;
  if (!isMulticast || port < 1 || port > 65_535)
    throw new RangeError(`${group} is no multicast address with a port`);
  return { host, port, family };
}

function checkGroup(group: string): string | undefined {
  try {
    parseGroup(group);
    return undefined;
  } catch {
    return "expected a multicast address with a port: 224.0.23.5:9696 or [ff15::6969]:9696";
  }
}

/** Describes the block `livesync`. */
export const liveSyncOptions: Block<LiveSyncOptions, LiveSyncOptions> = options(
  {
    group: text({ check: checkGroup }).describe(
      "Multicast address and port that all trackers share: `224.0.23.5:9696`, `[ff15::6969]:9696`.",
    ),
    interface: text()
      .default("")
      .describe(
        "Where the other trackers are: for an IPv4 group the local address, for an IPv6 group the name of the interface. With " +
          '"" the system chooses.',
      ),
    nodes: networks().describe(
      "Addresses and networks of the other trackers. Packets from other addresses are dropped. There is no other protection, " +
        "so the network must not pass on forged addresses.",
    ),
    ttl: integer(0, 255)
      .default(1)
      .describe("How many networks a packet may cross, plus one: 1 is the local network."),
  },
  {
    check({ group, interface: local, nodes }, refuse) {
      const { family } = parseGroup(group);
      if (family === 4 && local !== "" && isIP(local) !== 4)
        refuse("interface", "expected the local IPv4 address of the interface, because the group is IPv4");
      if (family === 6 && (isIP(local) !== 0 || /[^\w.@:-]/.test(local)))
        refuse("interface", "expected the name of the interface, such as eth0, because the group is IPv6");
      if (nodes.length === 0) refuse("nodes", "needs the addresses of the other trackers");
    },
  },
) as Block<LiveSyncOptions, LiveSyncOptions>;
