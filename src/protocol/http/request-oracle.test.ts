import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, test } from "node:test";
import { createRandom } from "../../lib/clock.ts";
import { HttpRequest, Method, readRequest } from "./request-reader.ts";

/** The first GET of a stream: its target, and whether the connection stays open; undefined if the reader refuses it. */
type Reading = { target: string; keepAlive: boolean } | undefined;

let seen: Reading;
const server = createServer({ maxHeaderSize: 65536 });
const handle = (request: IncomingMessage, response: ServerResponse) => {
  if (request.method === "GET") seen ??= { target: request.url!, keepAlive: response.shouldKeepAlive };
  response.end();
};
server.on("request", handle);
server.on("checkExpectation", handle); // the test ignores what a client expects for its body
server.on("clientError", (_, socket) => socket.destroy());
await once(server.listen(0, "127.0.0.1"), "listening");
after(() => server.close());

async function nodeVerdict(raw: string): Promise<Reading> {
  seen = undefined;
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => {}); // a reset is a refusal
  socket.resume();
  socket.end(raw, "latin1");
  await new Promise((resolve) => socket.once("close", resolve));
  return seen && plain(seen);
}

/** Removes from a target what our reader removes too. */
function plain(found: { target: string; keepAlive: boolean }): Reading {
  const target = found.target.replace(/^https?:\/\/[^/?]*/i, "").replace(/^\/+/, "/");
  return { target, keepAlive: found.keepAlive };
}

function ourVerdict(raw: string): Reading {
  const request = new HttpRequest();
  if (readRequest(Buffer.from(raw, "latin1"), 0, raw.length, request) <= 0) return undefined;
  if (request.method !== Method.get) return undefined;
  return { target: raw.slice(request.targetStart, request.targetEnd), keepAlive: request.keepAlive };
}

/**
 * The intended differences from `node:http`: requests that only we refuse, only we accept, or that only one side keeps
 * open.
 */
const differences: Record<string, { kind: "refuse" | "accept" | "close"; applies: RegExp; example: string }> =
  {
    "a body with Content-Length": {
      kind: "refuse",
      applies: /\r\ncontent-length:[ \t]*\d*[1-9]/i,
      example: "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    },
    "a chunked body": {
      kind: "refuse",
      applies: /\r\ntransfer-encoding:/i,
      example: "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    },
    "more than one Host": {
      kind: "refuse",
      applies: /\r\nhost:(.*\r\n)*host:/i,
      example: "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    },
    "a future minor version": {
      kind: "accept",
      applies: /^\s*GET +[^ \r\n]+ HTTP\/1\.[2-9]\r\n/,
      example: "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
    },
    "another version than 1.0 and 1.1": {
      kind: "refuse",
      applies: /^\s*GET +[^ \r\n]+ HTTP\/(0\.9|2\.0)\r\n/,
      example: "GET / HTTP/2.0\r\n\r\n",
    },
    "an unknown version": {
      kind: "refuse",
      applies: /^\s*GET +[^ \r\n]+\r?\n/,
      example: "GET /announce\r\n\r\n",
    },
    "a target that is not a path": {
      kind: "refuse",
      applies: /^\s*GET +(?!\/|https?:\/\/)/i,
      example: "GET ftp://h/announce HTTP/1.1\r\nHost: h\r\n\r\n",
    },
    "more than one space around the target": {
      kind: "refuse",
      applies: /^\s*GET( {2,}| [^ \r\n]+ {2,})/,
      example: "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
    },
    "more than a few empty lines, or ones without CR or LF": {
      kind: "refuse",
      applies: /^((\r\n){5,}|(\r\n)*(\n|\r(?!\n)))/,
      example: "\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    },
    "bytes of 0x80 and more in the target": {
      kind: "accept",
      applies: /^\s*GET [^ \r\n]*[\x80-\xff]/,
      example: "GET /announce?info_hash=\x80\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    },
    "any authority, which we ignore": {
      kind: "accept",
      applies: /^\s*GET https?:\/\/[^/? ]/i,
      example: "GET http://a\\b/announce HTTP/1.1\r\nHost: h\r\n\r\n",
    },
    "close beside keep-alive in HTTP/1.0": {
      kind: "close",
      applies: / HTTP\/1\.0\r\n(.*\r\n)*connection:.*close/i,
      example: "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
    },
  };

function kindOf(ours: Reading, node: Reading): "refuse" | "accept" | "close" | "target" | undefined {
  if (!ours && !node) return undefined;
  if (!ours) return "refuse";
  if (!node) return "accept";
  if (ours.target !== node.target) return "target";
  if (ours.keepAlive === node.keepAlive) return undefined;
  return node.keepAlive ? "close" : "target";
}

const seeds = [
  "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
  'GET /announce?info_hash=%a9{}[]|^`<>"\\#;+&left=0 HTTP/1.1\r\nHost: h\r\nUser-Agent: libtorrent/2.0.8.0\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n',
  "GET //announce?x=1?y HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
  "GET /announce?a=b HTTP/1.0\r\n\r\n",
  "GET /announce?a=b HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
  "GET http://h:6969/announce?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
  "GET https://user@[::1]/scrape HTTP/1.1\r\nHost: h\r\nConnection: TE, close\r\nTE: trailers\r\n\r\n",
  "\r\nGET /a HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nX-Tab:\ta\t\r\nExpect: 100-continue\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
];

test("both readers accept or refuse the same requests", async () => {
  const refused = [
    "GET / HTTP/1.1\r\nHost: h\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET announce?a HTTP/1.1\r\nHost: h\r\n\r\n",
    "get / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\n\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n A: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n",
  ];
  for (const raw of seeds) {
    const node = await nodeVerdict(raw);
    assert.ok(node, raw);
    assert.deepEqual(ourVerdict(raw), node, raw);
  }
  for (const raw of refused) {
    assert.equal(await nodeVerdict(raw), undefined, raw);
    assert.equal(ourVerdict(raw), undefined, raw);
  }
});

for (const [name, { kind, applies, example }] of Object.entries(differences)) {
  test(`only we ${kind}: ${name}`, async () => {
    assert.match(example, applies);
    assert.equal(kindOf(ourVerdict(example), await nodeVerdict(example)), kind);
  });
}

test("both readers agree on mutated requests, except for the intended differences", async () => {
  const random = createRandom(1);
  const below = (limit: number) => random.next() % limit;
  const pieces = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    ":",
    "/",
    "//",
    "?",
    "close",
    "keep-alive",
    "\x80",
    "\x7f",
    ",",
    "0",
    "1",
    "GET ",
    "http://",
  ];
  const runs = 1500;
  let agreed = 0;
  for (let run = 0; run < runs; run++) {
    let raw = seeds[below(seeds.length)]!;
    for (let edits = 1 + below(3); edits > 0; edits--) {
      const at = below(raw.length);
      const piece = below(2) === 0 ? pieces[below(pieces.length)]! : String.fromCharCode(below(256));
      raw = raw.slice(0, at) + piece + raw.slice(at + below(3));
    }
    const kind = kindOf(ourVerdict(raw), await nodeVerdict(raw));
    if (kind === undefined) agreed++;
    else {
      const meant = Object.values(differences).some(
        (known) => known.kind === kind && known.applies.test(raw),
      );
      assert.ok(meant, `only we ${kind}: ${JSON.stringify(raw)}`);
    }
  }
  assert.ok(agreed > runs / 2);
});
