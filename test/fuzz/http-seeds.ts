const infoHash = "x%a9%cd%c0%7di%b5%c0%e2%0f%8d%3e%dd%04%c6T)%89%e5%2c";

/** Queries of announces, as clients have been seen to send them. */
export const announceQueries: readonly string[] = [
  // Transmission 3.00
  `info_hash=${infoHash}&peer_id=-TR3000-qk8ru6vj2551&port=51501&uploaded=0&downloaded=0&left=0&numwant=80&key=d1aeca7&compact=1&supportcrypto=1&event=started`,
  // aria2 1.36
  `info_hash=${infoHash}&peer_id=A2-1-36-0-%15%22%E1%86%93%40%E1%C6%9E4&uploaded=0&downloaded=0&left=3000000&compact=1&key=%E1%86%93%40%E1%C6%9E4&numwant=50&no_peer_id=1&port=51601&event=started&supportcrypto=1`,
  // libtorrent 2.0.8
  `info_hash=${infoHash}&peer_id=-LT2080-cPPJTX1~r-xr&port=52002&uploaded=0&downloaded=0&left=3000000&corrupt=0&key=255BF2EA&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0`,
  // rTorrent 0.9.8
  `info_hash=${infoHash}&peer_id=-lt0D80-%A9%EE%7Bn%0AB%1D%B0%03%24D%CD&key=1980cc57&compact=1&port=53001&uploaded=0&downloaded=0&left=0&event=completed`,
  // webtorrent 2.8.5
  `numwant=50&uploaded=0&downloaded=0&left=3000000&event=started&compact=1&info_hash=%BDw%F0Xj%AC%00%01%02%03%04%05%06%07%08%09abcd&peer_id=-WW0208-b1MA%2B4jFmk7Y&port=56002`,
  // lists of dictionaries, an address of one's own, the end of a download
  `info_hash=${infoHash}&peer_id=-TR3000-qk8ru6vj2552&port=1&uploaded=1&downloaded=2&left=3&compact=0&event=paused`,
  `info_hash=${infoHash}&peer_id=-TR3000-qk8ru6vj2553&port=2&uploaded=1&downloaded=2&left=0&compact=0&no_peer_id=1&ip=192.0.2.9&ipv6=2001:db8::9`,
  `info_hash=${infoHash}&peer_id=-TR3000-qk8ru6vj2551&port=51501&uploaded=0&downloaded=0&left=18446744073709551615&numwant=-1&event=stopped`,
];

export const scrapeQueries: readonly string[] = [
  `info_hash=${infoHash}`,
  `info_hash=${infoHash}&info_hash=01234567890123456789&info_hash=%BDw%F0Xj%AC%00%01%02%03%04%05%06%07%08%09abcd`,
  Array.from({ length: 60 }, (_, i) => `info_hash=${String.fromCharCode(65 + (i % 26)).repeat(20)}`).join(
    "&",
  ),
];

/** Header lines that mean something, or must not. */
export const headers: readonly string[] = [
  "User-Agent: libtorrent/2.0.8.0\r\nAccept-Encoding: gzip\r\n",
  "Connection: keep-alive\r\n",
  "X-Forwarded-For: 192.0.2.7, 10.0.0.3\r\n",
  "x-forwarded-for: [2001:db8::7]:443\r\n",
  "Content-Length: 0\r\n",
  `X-Long: ${"long ".repeat(40)}\r\n`,
];

/** What ends a connection, for good reasons. */
export const refusedLines: readonly string[] = [
  "POST /announce HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
  "GET /announce HTTP/2.0\r\n\r\n",
  "GET /announce HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "GET /announce\r\n",
  "CONNECT tracker.test:443 HTTP/1.1\r\nHost: x\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  `GET /${"a".repeat(9000)}`,
];

/** PROXY protocol, versions 1 and 2, IPv4, IPv6 and none. */
export const proxyHeaders: readonly string[] = [
  "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
  "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
  "PROXY UNKNOWN\r\n",
  "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb",
  `\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24 \x01\r\xb8${"\0".repeat(11)}\x01 \x01\r\xb8${"\0".repeat(11)}\x02\xdc\x04\x01\xbb`,
  "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00",
];
