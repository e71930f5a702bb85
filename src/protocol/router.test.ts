import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Router, validateRoutes } from "./router.ts";

function match(router: Router, path: string): string | undefined {
  const bytes = Uint8Array.from(`/x${path}/y`, (character) => character.charCodeAt(0));
  const found = router.match(bytes, 2, 2 + path.length);
  assert.equal(router.findAction(bytes, 2, 2 + path.length), found?.action, path);
  if (!found?.params) return found?.action;
  return `${found.action} ${JSON.stringify(Object.fromEntries(found.params))}`;
}

test("paths find their routes", () => {
  const router = new Router(
    [
      "/announce",
      "/announce.php/",
      "/announce/:passkey",
      "/:passkey/announce",
      "/announce/:passkey/x",
      "/files/*rest",
    ],
    ["/scrape", "/announce/static", "/:a/:b/scrape", "/files/:a/b", "/*all"],
  );
  const table: [path: string, found: string | undefined][] = [
    ["/announce", "announce"],
    ["/announce/", "announce"],
    ["/announce.php", "announce"],
    ["/announce.php/", "announce"],
    ["/scrape", "scrape"],
    ["/announce/static", "scrape"],
    ["/announce/static/", "scrape"],
    ["/announce/k%2Fe+y%zz%80", 'announce {"passkey":"k/e+y%zz\x80"}'],
    ["/announce/\x80\x9f", 'announce {"passkey":"\x80\x9f"}'],
    ["/announce/key/", 'announce {"passkey":"key"}'],
    ["/announce/key/x", 'announce {"passkey":"key"}'],
    ["/%61nnounce", "announce"],
    ["/%61nnounce/", "announce"],
    ["/announce/st%61tic", "scrape"],
    ["/%61nnounce/k%65y/x", 'announce {"passkey":"key"}'],
    ["/announce%2Fstatic", 'scrape {"all":"/announce/static"}'],
    ["/announce/announce", 'announce {"passkey":"announce"}'],
    ["/key/announce", 'announce {"passkey":"key"}'],
    ["/1/2/scrape", 'scrape {"a":"1","b":"2"}'],
    ["/files", 'announce {"rest":""}'],
    ["/files/", 'announce {"rest":""}'],
    ["/files/a", 'announce {"rest":"/a"}'],
    ["/files/a/b", 'scrape {"a":"a"}'],
    ["/files/a/c/", 'announce {"rest":"/a/c/"}'],
    ["/ANNOUNCE", 'scrape {"all":"/ANNOUNCE"}'],
    ["/", 'scrape {"all":""}'],
    ["/announce//", 'scrape {"all":"/announce//"}'],
    ["", undefined],
  ];
  for (const [path, found] of table) assert.equal(match(router, path), found, path);
});

test("without parameters only the paths themselves match", () => {
  const router = new Router(["/announce", "/"], ["/scrape"]);
  const table: [path: string, found: string | undefined][] = [
    ["/announce", "announce"],
    ["/", "announce"],
    ["/scrape/", "scrape"],
    ["/scrape//", undefined],
    ["/announce/x", undefined],
    ["/announc", undefined],
    ["/announces", undefined],
    ["/Announce", undefined],
    ["/%61nnounce", "announce"],
    ["/%61%6E%6e%6fun%63e/", "announce"],
    ["/announc%65%", undefined],
    ["/%2561nnounce", undefined],
    ["/%2Fannounce", undefined],
    ["%2Fannounce", undefined],
    ["/announce%3F", undefined],
    ["/announce%00", undefined],
    ["/__proto__", undefined],
    ["", undefined],
  ];
  for (const [path, found] of table) assert.equal(match(router, path), found, path);
  assert.equal(match(new Router([], []), "/announce"), undefined);
});

test("an empty segment does not match a parameter", () => {
  const router = new Router(["/announce/:passkey", "/:passkey/x"], []);
  assert.equal(match(router, "/announce/"), undefined);
  assert.equal(match(router, "/announce//"), undefined);
  assert.equal(match(router, "//x"), undefined);
});

test("actions are found as routes are", () => {
  const piece = fc.constantFrom("/", "a", "b", "/a", "/a/", "//", "%61", "%2F");
  const path = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join("")}`);
  const router = new Router(["/a", "/:x/b", "/a/b/:y", "/b/*rest"], ["/b/a/:z", "/:x/:y/a/b"]);
  fc.assert(
    fc.property(path, (path) => void match(router, path)),
    { seed: 1, numRuns: 5000 },
  );
});

test("an invalid route is refused with the reason", () => {
  const table: [announce: string[], scrape: string[], messages: string[]][] = [
    [["/announce", "/a/:b", "/a/*b"], ["/scrape"], []],
    [["announce"], [], ['announce route "announce" must begin with a slash']],
    [[""], [], ['announce route "" must begin with a slash']],
    [["/a b"], [], ['announce route "/a b" must not contain " "']],
    [[], ["/a?b"], ['scrape route "/a?b" must not contain "?"']],
    [["/é"], [], ['announce route "/é" must not contain "é"']],
    [["/a//b"], [], ['announce route "/a//b" must not contain two slashes in a row']],
    [["/a/:"], [], ['announce route "/a/:" needs a name of letters, digits and _ after ":"']],
    [["/*"], [], ['announce route "/*" needs a name of letters, digits and _ after "*"']],
    [["/a:b"], [], ['announce route "/a:b" has a parameter that is only a part of the segment "a:b"']],
    [["/:a/:a"], [], ['announce route "/:a/:a" has two parameters named "a"']],
    [["/*a/b"], [], ['announce route "/*a/b" must end with "*a", which takes all that follows']],
    [["/a", "/a/"], [], ['announce route "/a/" has the same paths as the announce route "/a"']],
    [["/a/:x"], ["/a/:y"], ['scrape route "/a/:y" has the same paths as the announce route "/a/:x"']],
    [
      ["x"],
      ["/y", "/y"],
      [
        'announce route "x" must begin with a slash',
        'scrape route "/y" has the same paths as the scrape route "/y"',
      ],
    ],
  ];
  for (const [announce, scrape, messages] of table) {
    assert.deepEqual(
      validateRoutes(announce, scrape).map(({ message }) => message),
      messages,
    );
    if (messages.length === 0) new Router(announce, scrape);
    else assert.throws(() => new Router(announce, scrape), new RangeError(messages[0]));
  }
  assert.deepEqual(
    validateRoutes(["/a"], ["/b", "/a"]).map(({ action, index }) => [action, index]),
    [["scrape", 1]],
  );
});
