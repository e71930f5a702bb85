import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { listEngines } from "../../../test/support/networks.ts";
import { loadLibc } from "./libc.ts";
import { cleanMappings, releaseProgramPages } from "./program-pages.ts";

function mapping(range: string, permissions: string, file: string, anonymousKb: number): string {
  return `${range} ${permissions} 00001000 fe:00 1234                       ${file}
Size:                  8 kB
Rss:                   8 kB
Anonymous:             ${anonymousKb} kB
VmFlags: rd mr mw me sd
`;
}

suite("mappings that can be unmapped", () => {
  test("are those of files, without write permission, and unchanged", () => {
    const smaps = [
      mapping("00400000-00402000", "r-xp", "/usr/bin/node", 0),
      mapping("00402000-00404000", "r--p", "/usr/bin/node", 0),
      mapping("00404000-00406000", "r--p", "/usr/bin/node", 4), // relocated by the dynamic linker
      mapping("00406000-00408000", "rw-p", "/usr/bin/node", 0),
      mapping("00408000-0040a000", "r--s", "/dev/shm/shared", 0),
      mapping("7ffe0000-7ffe2000", "r-xp", "[vdso]", 0),
      mapping("7fff0000-7fff2000", "r--p", "", 0),
      mapping("7f0000000000-7f0000001000", "r--p", "/opt/a program/with spaces", 0),
    ].join("");
    assert.deepEqual(cleanMappings(smaps), [
      { address: 0x400000, length: 0x2000 },
      { address: 0x402000, length: 0x2000 },
      { address: 0x7f0000000000, length: 0x1000 },
    ]);
  });

  test("none in a file of another shape", () => {
    assert.deepEqual(cleanMappings("not a list\nAnonymous: 0 kB\n"), []);
  });
});

const skip = (await listEngines()).find(({ name }) => name === "linux")!.skip;

test("the program runs on with fewer pages of its file", { skip }, async () => {
  const libc = await loadLibc();
  const before = filePages();
  libc.malloc_trim(0);
  assert.ok((await releaseProgramPages(libc)) > 0);
  const after = filePages();
  assert.ok(after < before, `${after} of ${before} kB`);
});

/** Returns the kB of files that are mapped into this process. */
function filePages(): number {
  return Number(/RssFile:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
}
