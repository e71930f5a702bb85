import { Action } from "../../src/protocol/udp/packet.ts";

const infoHash = "78a9cdc07d69b5c0e20f8d3edd04c6542989e52c";
const zeros = "00".repeat(24);
const head = (action: number) => `${"00".repeat(8)}${action.toString(16).padStart(8, "0")}00000000`;
const text = (ascii: string) => Buffer.from(ascii, "latin1").toString("hex");

/** What clients have been seen to send (but for ids, which cases fill in), and the shapes of BEP 15 and BEP 41. */
export const udpSeeds: readonly Uint8Array[] = [
  `0000041727101980${head(Action.connect).slice(16)}`,
  // Transmission 3.00: 98 bytes
  `${head(1)}${infoHash}${text("-TR3000-qk8ru6vj2551")}${zeros}00000002000000000d1aeca700000050c92d`,
  // aria2 1.36: 100 bytes, with two zeros
  `${head(1)}${infoHash}${text("A2-1-36-0-")}1522e1869340e1c69e34${zeros}00000002000000003919903d00000032c9910000`,
  // libtorrent 2.0.8: 109 bytes, with URL data
  `${head(1)}${infoHash}${text("-LT2080-cPPJTX1~r-xr")}${zeros}0000000200000000f41002a7000000c8cb2202092f616e6e6f756e6365`,
  // rTorrent 0.9.8: numwant -1
  `${head(1)}${infoHash}${text("-lt0D80-")}a9ee7b6e0ab1d00db0032443${zeros}000000020000000022731709ffffffffcf09`,
  // webtorrent 2.8.5: left unknown, stopped
  `${head(1)}${infoHash}${text("-WW0208-b1MA+4jFmk7Y")}${"00".repeat(8)}${"ff".repeat(8)}${"00".repeat(8)}00000003000000000000000000000032dac2`,
  // an older opentracker's form for IPv6: 110 bytes
  `${head(4)}${infoHash}${text("-TR3000-qk8ru6vj2551")}${zeros}00000002${"00".repeat(16)}0d1aeca700000050c92d`,
  `${head(Action.scrape)}${infoHash}`,
  `${head(Action.scrape)}${infoHash.repeat(74)}`,
  `${head(Action.error)}${text("an error from a tracker")}00`,
].map((hex) => new Uint8Array(Buffer.from(hex, "hex")));
