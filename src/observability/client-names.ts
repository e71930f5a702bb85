import type { Counter, Metrics } from "./metrics.ts";

/**
 * Names of clients by the two characters of `-XX1234-`. Sources: BEP 20; the tables of libtorrent (identify_client.cpp) and
 * Transmission (clients.cc); `GT` and `rQ` are sent by anacrolix/torrent and rqbit.
 */
const azureusNames = `
  7T aTorrent, AB AnyEvent BitTorrent, AG Ares, A~ Ares, AR Arctic, AT Artemis, AV Avicora, AX BitPump, AZ Azureus,
  BB BitBuddy, BC BitComet, BE baretorrent, BF Bitflu, BG BTG, BH BitZilla, BI BiglyBT, BL BitLord, BM BitMagnet,
  BN Baidu Netdisk, BO Bits on Wheels, BP BitTorrent Pro, BR BitRocket, BS BTSlave, BT BitTorrent, BU BigUp,
  BW BitWombat, BX BittorrentX, CD Enhanced CTorrent, CT CTorrent, DE Deluge, DP Propagate Data Client, EB EBit,
  ES electric sheep, FC FileCroc, FD Free Download Manager, FG FlashGet, FL Folx, FT FoxTorrent, FW FrostWire,
  FX Freebox, G3 G3 Torrent, GR GetRight, GS GSTorrent, GT anacrolix, HK Hekate, HL Halite, HN Hydranode, IL iLivid,
  KC Koinonein, KG KGet, KT KTorrent, LC LeechCraft, LH LH-ABC, LK Linkage, LP Lphant, LT libtorrent, LW LimeWire,
  MG MediaGet, MK Meerkat, ML MLDonkey, MO MonoTorrent, MP MooPolice, MR Miro, MT MoonlightTorrent,
  NE BT Next Evolution, NX Net Transport, OS OneSwarm, OT OmegaTorrent, PD Pando, PI PicoTorrent, QD QQDownload,
  QT Qt 4 Torrent example, RS Rufus, RT Retriever, RZ RezTorrent, SB Swiftbit, SD Xunlei, SK spark, SM SoMud,
  SN ShareNet, SP BitSpirit, SS SwarmScope, ST SymTorrent, SZ Shareaza, S~ Shareaza, TB Torch, TL Tribler,
  TN TorrentDotNET, TR Transmission, TS Torrentstorm, TT TuoTu, UE µTorrent Embedded, UL uLeecher, UM µTorrent Mac,
  UT µTorrent, UW µTorrent Web, VG Vagaa, WD WebTorrent Desktop, WS HTTP Seed, WT BitLet, WW WebTorrent,
  WY FireTorrent, XC Xtorrent, XF Xfplay, XL Xunlei, XS XSwifter, XT XanTorrent, XX Xtorrent, ZO Zona, ZT ZipTorrent,
  bk BitKitten, lt rTorrent, pX pHoeniX, pb pbTorrent, qB qBittorrent, rQ rqbit, st SharkTorrent`;

/** Names of clients by the first letter of `S58B-----`; up to five characters of version follow, and `---` is at offset 6 (BEP 20). */
const shadowNames =
  "A ABC, O Osprey Permaseed, Q BTQueue, R Tribler, S Shadow, T BitTornado, U UPnP NAT Bit Torrent";

/** Names of clients by other prefixes of peer ids; `#` stands for a digit. The most common is Mainline's `M4-3-6--`. */
const prefixNames = `
  A2- aria2, aria2- aria2, AZ2500BT BitTyrant, BLZ Blizzard Downloader, DNA BitTorrent DNA, FUTB BitComet,
  LIME LimeWire, M#- Mainline, Mbrst Burst!, OP## Opera, Pando Pando, Q#- Queen Bee, QVOD QVOD, S3- Amazon S3,
  TIX Tixati, XBT XBT Client, btpd BitTorrent Protocol Daemon, exbc BitComet, xUTB BitComet`;

const dash = 0x2d;

/** Names client software, as peer ids name it by convention (BEP 20). The names are those of the tables above and `other`. */
export class ClientNames {
  /** Index into the names by two characters of seven bits; 0 is `other`. */
  readonly #azureus: Uint8Array = new Uint8Array(128 * 128);
  readonly #shadow: Uint8Array = new Uint8Array(128);
  /** Prefixes by their first byte. */
  readonly #prefixes: { text: string; name: number }[][] = Array.from({ length: 256 }, () => []);
  readonly names: string[] = ["other"];

  constructor() {
    for (const [code, name] of parseTable(azureusNames)) {
      this.#azureus[code.charCodeAt(0) * 128 + code.charCodeAt(1)] = this.#index(name);
    }
    for (const [code, name] of parseTable(shadowNames)) this.#shadow[code.charCodeAt(0)] = this.#index(name);
    for (const [text, name] of parseTable(prefixNames))
      this.#prefixes[text.charCodeAt(0)]!.push({ text, name: this.#index(name) });
  }

  /** Returns the name of the client. @param peerId  20 bytes, any value */
  identify(peerId: Uint8Array): string {
    return this.names[this.indexOf(peerId)]!;
  }

  /** Returns the index of the client in {@link names}. Never allocates. */
  indexOf(peerId: Uint8Array): number {
    const first = peerId[0]!;
    if (first === dash) {
      const a = peerId[1]!;
      const b = peerId[2]!;
      return (a | b) < 128 ? this.#azureus[a * 128 + b]! : 0;
    }
    const prefixes = this.#prefixes[first]!;
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i]!;
      if (startsWith(peerId, prefix.text)) return prefix.name;
    }
    const shadow = first < 128 && peerId[6] === dash && peerId[7] === dash && peerId[8] === dash;
    return shadow ? this.#shadow[first]! : 0;
  }

  #index(name: string): number {
    const index = this.names.indexOf(name);
    return index === -1 ? this.names.push(name) - 1 : index;
  }
}

/** Counts announces by client software. The labels are the names of {@link ClientNames}. */
export class ClientCounter {
  readonly #names = new ClientNames();
  readonly #counters: readonly Counter[];

  constructor(metrics: Metrics) {
    const help = "Announces by client software, as the peer id names it";
    this.#counters = this.#names.names.map((client) =>
      metrics.counter("chihaya_announces_by_client_total", help, { client }),
    );
  }

  /** Counts an announce. Never allocates. @param peerId  20 bytes, any value */
  count(peerId: Uint8Array): void {
    this.#counters[this.#names.indexOf(peerId)]!.inc();
  }
}

function startsWith(peerId: Uint8Array, prefix: string): boolean {
  for (let i = 0; i < prefix.length; i++) {
    const byte = peerId[i]!;
    const expected = prefix.charCodeAt(i);
    if (expected === 0x23 ? byte < 0x30 || byte > 0x39 : byte !== expected) return false;
  }
  return true;
}

/** `code name, code name` */
function parseTable(table: string): [code: string, name: string][] {
  return table.split(",").map((entry) => {
    const [code = "", ...name] = entry.trim().split(" ");
    return [code, name.join(" ")];
  });
}
