import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddresses } from "./addresses.ts";

function parse(...items: string[]): string[] {
  const refused: string[] = [];
  const list = parseAddresses(items, (index, message) => refused.push(`${index}: ${message}`));
  return refused.length > 0 ? refused : list.map(({ host, port }) => `${host} ${port}`);
}

test("addresses are read as Go reads them", () => {
  const table: [items: string[], expected: string[]][] = [
    [[], []],
    [["0.0.0.0:6969"], ["0.0.0.0 6969"]],
    [["[2001:DB8::0:1]:1"], ["2001:db8::1 1"]],
    [["[::ffff:127.0.0.1]:1"], ["127.0.0.1 1"]],
    [["localhost:0"], ["127.0.0.1 0"]],
    [[":1"], ["0.0.0.0 1", ":: 1"]],
    [["[::]:1"], ["0.0.0.0 1", ":: 1"]],
    [
      ["[::]:1", "127.0.0.1:1"],
      [":: 1", "127.0.0.1 1"],
    ],
    [
      ["127.0.0.1:0", "127.0.0.1:0"],
      ["127.0.0.1 0", "127.0.0.1 0"],
    ],
    [["127.0.0.1:1", "127.0.0.1:1"], ['1: "127.0.0.1:1" is listed twice']],
    [["6969"], ['0: expected an address and a port, as "0.0.0.0:6969" or "[::]:6969", got "6969"']],
    [["[::1]"], ['0: expected an address and a port, as "0.0.0.0:6969" or "[::]:6969", got "[::1]"']],
    [["::1:6969"], ['0: an IPv6 address needs brackets and a port, as "[::]:6969", got "::1:6969"']],
    [["1.2.3.4:65536"], ['0: the port must be 65535 or less, got "1.2.3.4:65536"']],
    [["tracker:1"], ['0: expected an IP address before the port (names are not looked up), got "tracker:1"']],
    [
      ["01.2.3.4:1"],
      ['0: expected an IP address before the port (names are not looked up), got "01.2.3.4:1"'],
    ],
  ];
  for (const [items, expected] of table) assert.deepEqual(parse(...items), expected);
});
