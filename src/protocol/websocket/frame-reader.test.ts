import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Receiver, Sender } from "ws";
import { createRandom } from "../../lib/clock.ts";
import { CloseCode, isCloseCode, noCode } from "./close-code.ts";
import { FrameReader } from "./frame-reader.ts";
import { maxFrameHeader, Opcode, writeFrameHeader } from "./frame-writer.ts";
import { MessageMemory } from "./message-memory.ts";

type Event = string;
const limits = { maxMessage: 1000, maxFragments: 8 };

/** A reader that notes what it calls. */
function open(memory = new MessageMemory(1e6), bounds = limits): { reader: FrameReader; events: Event[] } {
  const events: Event[] = [];
  const text = (bytes: Uint8Array, start: number, end: number) =>
    Buffer.from(bytes.subarray(start, end)).toString("latin1");
  const reader = new FrameReader(
    {
      message: (bytes, start, end, isText) =>
        events.push(`${isText ? "text" : "binary"} ${text(bytes, start, end)}`),
      ping: (bytes, start, end) => events.push(`ping ${text(bytes, start, end)}`),
      pong: () => events.push("pong"),
      closing: (code) => events.push(`closing ${code}`),
      failed: (code) => events.push(`failed ${code}`),
    },
    bounds,
    memory,
  );
  return { reader, events };
}

interface FrameParts {
  opcode?: number;
  fin?: boolean;
  rsv?: number;
  key?: readonly number[] | undefined;
  /** Width of the length; default: as short as possible. */
  width?: 0 | 2 | 8;
  /** The length that the header names; default: the real one. */
  length?: number;
}

function frame(payload: string | Uint8Array, parts: FrameParts = {}): Buffer {
  const { opcode = Opcode.text, fin = true, rsv = 0 } = parts;
  const key = "key" in parts ? parts.key : [0x37, 0xfa, 0x21, 0x3d];
  const data = Buffer.from(typeof payload === "string" ? Buffer.from(payload, "latin1") : payload);
  const { length = data.length, width = length < 126 ? 0 : length < 65_536 ? 2 : 8 } = parts;
  const head = [
    (fin ? 0x80 : 0) | (rsv << 4) | opcode,
    (key ? 0x80 : 0) | { 0: length, 2: 126, 8: 127 }[width],
  ];
  for (let i = width; i-- > 0; ) head.push(Math.floor(length / 256 ** i) & 0xff);
  if (key) for (let i = 0; i < data.length; i++) data[i]! ^= key[i % 4]!;
  return Buffer.concat([Buffer.from([...head, ...(key ?? [])]), data]);
}

function feed(reader: FrameReader, ...chunks: Uint8Array[]): void {
  for (const chunk of chunks) reader.receive(Uint8Array.from(chunk), 0, chunk.length);
}

test("reads messages and control frames where they lie", () => {
  const { reader, events } = open();
  const bytes = Buffer.concat([
    Buffer.from("rest of another read"),
    frame("Hello"),
    frame("p", { opcode: Opcode.ping }),
    frame("", { opcode: Opcode.pong }),
    frame("\xff\0", { opcode: Opcode.binary }),
    frame(""),
  ]);
  reader.receive(bytes, 20, bytes.length);
  assert.deepEqual(events, ["text Hello", "ping p", "pong", "binary \xff\0", "text "]);
  assert.equal(reader.held, 0);
});

test("unmasks every alignment and length", () => {
  for (let offset = 0; offset < 9; offset++) {
    for (const length of [0, 1, 3, 4, 31, 32, 33, 34, 35, 36, 125, 126, 500]) {
      const { reader, events } = open();
      const payload = Buffer.from(Array.from({ length }, (_, i) => (i * 7) % 128));
      const bytes = Buffer.concat([Buffer.alloc(offset), frame(payload), Buffer.alloc(9, 0xaa)]);
      reader.receive(bytes, offset, bytes.length - 9);
      assert.deepEqual(events, [`text ${payload.toString("latin1")}`]);
      assert.ok(bytes.subarray(bytes.length - 9).every((byte) => byte === 0xaa));
    }
  }
});

test("the sources of a message do not matter: one byte at a time, in two pieces, after another message", () => {
  const bytes = Buffer.concat([
    frame("a".repeat(200)),
    frame("one ", { fin: false }),
    frame("ping", { opcode: Opcode.ping }),
    frame("two ", { opcode: Opcode.continuation, fin: false }),
    frame("", { opcode: Opcode.continuation, fin: false }),
    frame("three", { opcode: Opcode.continuation }),
    frame("b", { width: 8 }),
    frame("\x03\xe8bye", { opcode: Opcode.close }),
    frame("after the end"),
  ]);
  const wanted = [`text ${"a".repeat(200)}`, "ping ping", "text one two three", "text b", "closing 1000"];
  const single = open();
  for (const byte of bytes) feed(single.reader, Buffer.of(byte));
  assert.deepEqual(single.events, wanted);
  for (let split = 0; split <= bytes.length; split++) {
    const { reader, events } = open();
    feed(reader, bytes.subarray(0, split), bytes.subarray(split));
    assert.deepEqual(events, wanted, `split at ${split}`);
    assert.equal(reader.held, 0);
  }
});

test("what is faulty ends the reading with a code", () => {
  const faults: [string, Uint8Array[], CloseCode][] = [
    ["no mask", [frame("x", { key: undefined })], CloseCode.protocol],
    ["reserved bit 1", [frame("x", { rsv: 4 })], CloseCode.protocol],
    ["reserved bit 3", [frame("x", { rsv: 1 })], CloseCode.protocol],
    ["unknown opcode", [frame("x", { opcode: 3 })], CloseCode.protocol],
    ["unknown control opcode", [frame("x", { opcode: 11 })], CloseCode.protocol],
    ["a ping in pieces", [frame("x", { opcode: Opcode.ping, fin: false })], CloseCode.protocol],
    ["a long ping", [frame("x".repeat(126), { opcode: Opcode.ping })], CloseCode.protocol],
    ["a continuation of nothing", [frame("x", { opcode: Opcode.continuation })], CloseCode.protocol],
    ["a message within a message", [frame("x", { fin: false }), frame("y")], CloseCode.protocol],
    ["a text that is no UTF-8", [frame("\xc3\x28")], CloseCode.notUtf8],
    ["half a character", [frame("\xc3", { fin: false }), frame("", { opcode: 0 })], CloseCode.notUtf8],
    ["a surrogate", [frame("\xed\xa0\x80")], CloseCode.notUtf8],
    ["a long message", [frame("x".repeat(1001))], CloseCode.tooLarge],
    ["a message that will be long", [frame("", { length: 1001, width: 8 })], CloseCode.tooLarge],
    ["a length of 64 bits", [frame("", { length: 2 ** 63 + 2 ** 20, width: 8 })], CloseCode.tooLarge],
    [
      "long in all",
      [frame("x".repeat(600), { fin: false }), frame("x".repeat(401), { opcode: 0 })],
      CloseCode.tooLarge,
    ],
    [
      "many fragments",
      [frame("", { fin: false }), ...Array.from({ length: 8 }, () => frame("", { opcode: 0, fin: false }))],
      CloseCode.policy,
    ],
    ["half a close code", [frame("\x03", { opcode: Opcode.close })], CloseCode.protocol],
    ["a reserved close code", [frame("\x03\xed", { opcode: Opcode.close })], CloseCode.protocol],
    ["a close text that is no UTF-8", [frame("\x03\xe8\xff", { opcode: Opcode.close })], CloseCode.notUtf8],
  ];
  for (const [name, chunks, code] of faults) {
    for (const pieces of [chunks, [...Buffer.concat(chunks)].map((byte) => Buffer.of(byte))]) {
      const { reader, events } = open();
      feed(reader, ...pieces, frame("later"));
      assert.deepEqual(events, [`failed ${code}`], name);
      assert.ok(reader.isOver);
      assert.equal(reader.held, 0);
    }
  }
});

test("a limit that gets lower while a frame is incomplete fails the client", () => {
  const bounds = { ...limits };
  const { reader, events } = open(undefined, bounds);
  const bytes = frame("x".repeat(900));
  feed(reader, bytes.subarray(0, 100));
  bounds.maxMessage = 500;
  feed(reader, bytes.subarray(100, 200));
  assert.deepEqual(events, [`failed ${CloseCode.tooLarge}`]);
});

test("a close without a code, and the codes that a client may send", () => {
  const { reader, events } = open();
  feed(reader, frame("", { opcode: Opcode.close }));
  assert.deepEqual(events, [`closing ${noCode}`]);
  const allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999];
  for (const code of allowed) assert.ok(isCloseCode(code), `${code}`);
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535])
    assert.ok(!isCloseCode(code), `${code}`);
});

test("held bytes are read after the release, also those behind the message that held them", () => {
  const events: string[] = [];
  const memory = new MessageMemory(1e6);
  const reader: FrameReader = new FrameReader(
    {
      message: (bytes, start, end) => {
        events.push(Buffer.from(bytes.subarray(start, end)).toString());
        reader.hold();
      },
      ping: () => events.push("ping"),
      pong: () => {},
      closing: () => {},
      failed: (code) => events.push(`failed ${code}`),
    },
    limits,
    memory,
  );
  const parts = Buffer.concat([frame("f", { fin: false }), frame("1", { opcode: 0 })]);
  feed(reader, Buffer.concat([frame("1"), frame("2"), frame("", { opcode: Opcode.ping }), parts]));
  feed(reader, parts.subarray(0, 9));
  assert.deepEqual(events, ["1"]);
  reader.release();
  assert.deepEqual(events, ["1", "2"]);
  reader.release();
  assert.deepEqual(events, ["1", "2", "ping", "f1"]);
  feed(reader, parts.subarray(9));
  reader.release();
  assert.deepEqual(events, ["1", "2", "ping", "f1", "f1"]);
  reader.release();
  assert.equal(reader.held, 0);
  assert.equal(memory.used, 0);
});

test("the reader with the largest piece loses if the memory is used up", () => {
  const memory = new MessageMemory(2048);
  const [small, large, next] = [open(memory), open(memory), open(memory)];
  feed(small.reader, frame("x".repeat(300)).subarray(0, 200));
  feed(large.reader, frame("x".repeat(1000)).subarray(0, 900));
  feed(next.reader, frame("x".repeat(900)).subarray(0, 600));
  assert.deepEqual([small.events, large.events, next.events], [[], ["failed 1013"], []]);
  assert.equal(memory.used, 256 + 1024);
  // The reader that would hold the largest piece loses itself.
  const greedy = open(memory, { maxMessage: 5000, maxFragments: 8 });
  feed(greedy.reader, frame("x".repeat(4000)).subarray(0, 3000));
  assert.deepEqual(greedy.events, ["failed 1013"]);
  small.reader.stop();
  next.reader.stop();
  assert.equal(memory.used, 0);
});

/** Collects what the reader of ws finds in `chunks`. */
async function oracle(chunks: readonly Uint8Array[]): Promise<Event[]> {
  const events: Event[] = [];
  const receiver = new Receiver({
    isServer: true,
    maxPayload: limits.maxMessage,
    allowSynchronousEvents: true,
  });
  receiver.on("message", (data: Buffer, isBinary: boolean) =>
    events.push(`${isBinary ? "binary" : "text"} ${data.toString("latin1")}`),
  );
  receiver.on("ping", (data: Buffer) => events.push(`ping ${data.toString("latin1")}`));
  receiver.on("pong", () => events.push("pong"));
  receiver.on("conclude", (code: number) => events.push(`closing ${code}`));
  receiver.on("error", (error: Error) => {
    const [status] = Object.getOwnPropertySymbols(error);
    events.push(`failed ${(error as unknown as Record<symbol, number>)[status!]}`);
  });
  for (const chunk of chunks) {
    if (receiver.destroyed || events.some((event) => event.startsWith("closing"))) break;
    await new Promise<void>((resolve) => receiver.write(chunk, () => resolve()));
  }
  return events;
}

test("finds what ws finds, in streams of random frames and faults, cut into random chunks", async () => {
  const random = createRandom(20_261);
  const below = (n: number) => random.next() % n;
  for (let round = 0; round < 1500; round++) {
    const frames: Buffer[] = [];
    let isOpen = false;
    for (let n = 1 + below(6); n > 0; n--) {
      const payload = Buffer.from(
        Array.from({ length: below(3) === 0 ? below(300) : below(9) }, () => below(128)),
      );
      const key = Array.from({ length: 4 }, () => below(256));
      const kind = below(20);
      if (kind < 4) frames.push(frame(payload.subarray(0, 125), { opcode: Opcode.ping + (kind & 1), key }));
      else if (kind < 16) {
        const fin = below(3) > 0;
        frames.push(
          frame(payload, {
            opcode: isOpen ? 0 : 1 + (kind & 1),
            fin,
            key,
            width: below(9) === 0 ? 8 : payload.length > 125 ? 2 : 0,
          }),
        );
        isOpen = !fin;
      } else if (kind === 16)
        frames.push(frame(Buffer.of(below(16), below(256), 65), { opcode: Opcode.close, key }));
      else if (kind === 17) {
        const damaged = frame(payload, { key });
        damaged[below(2)]! ^= 1 << below(8);
        frames.push(damaged);
      } else if (kind === 18)
        frames.push(frame(Buffer.from([0x61, 0x80 + below(128), 0x80]), { opcode: isOpen ? 0 : 1, key }));
      else frames.push(frame(Buffer.alloc(900 + below(300), 97), { opcode: isOpen ? 0 : 2, key }));
    }
    // ws judges the first byte of a frame when it has the second.
    const bytes = Buffer.concat([...frames, frame("", { opcode: Opcode.pong })]);
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + below(below(4) === 0 ? 400 : 20);
      chunks.push(Buffer.from(bytes.subarray(at, at + size)));
      at += size;
    }
    const { reader, events } = open(undefined, { ...limits, maxFragments: 1000 });
    feed(reader, ...chunks);
    assert.deepEqual(events, await oracle(chunks), `round ${round}: ${bytes.toString("hex")}`);
  }
});

test("ws reads what the writer has written, at each width of the length", async () => {
  const receiver = new Receiver({ isServer: false });
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
  const read: number[] = [];
  receiver.on("message", (data: Buffer) => read.push(data.length));
  for (const length of lengths) {
    const out = new Uint8Array(maxFrameHeader + length);
    const end = writeFrameHeader(out, 0, Opcode.text, length) + length;
    await new Promise<void>((resolve) => receiver.write(Buffer.from(out.subarray(0, end)), () => resolve()));
  }
  if (read.length < lengths.length) await once(receiver, "drain");
  assert.deepEqual(read, lengths);
});

test("reads what ws has written as a client", () => {
  const { reader, events } = open();
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _, done) {
      feed(reader, chunk);
      done();
    },
  });
  const sender = new Sender(socket);
  const options = { fin: true, binary: false, mask: true, compress: false };
  sender.send(Buffer.from("grüße"), options);
  sender.send(Buffer.from("a"), { ...options, fin: false });
  sender.ping(Buffer.from("p"), true);
  sender.send(Buffer.from("b"), options);
  sender.close(1001, "away", true);
  assert.deepEqual(events, ["text gr\xc3\xbc\xc3\x9fe", "ping p", "text ab", "closing 1001"]);
});
