import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecentLine } from "../../../observability/recent-log.ts";
import type { Scope } from "../../scopes.ts";
import type { EndpointCall } from "../endpoint.ts";
import { logEndpoints } from "./log.ts";

const lines: RecentLine[] = [
  { time: 0, level: "error", message: "failed", fields: { err: new Error("why", { cause: 1 }), worker: 2 } },
  { time: 1000, level: "info", message: "admin", fields: { who: "ops", from: "192.0.2.1", method: "POST" } },
];

function ask(
  scopes: Scope[],
  limit = 100,
  recentLines: (() => RecentLine[]) | undefined = () => lines,
): unknown {
  const [log] = logEndpoints({ recentLines });
  const call = { query: { limit }, principal: { name: "", scopes: new Set(scopes) } };
  return log!.handle(call as unknown as EndpointCall<unknown, unknown>);
}

test("the newest lines first, errors as their messages; addresses for the scope admin", () => {
  const [failed, changed] = [
    {
      time: "1970-01-01T00:00:00.000Z",
      level: "error",
      message: "failed",
      fields: { err: "why", worker: 2 },
    },
    {
      time: "1970-01-01T00:00:01.000Z",
      level: "info",
      message: "admin",
      fields: { who: "ops", method: "POST" },
    },
  ];
  assert.deepEqual(ask(["read"]), { lines: [changed, failed] });
  assert.deepEqual(ask(["read"], 1), { lines: [changed] });
  const whole = { ...changed, fields: { from: "192.0.2.1", ...changed!.fields } };
  assert.deepEqual(ask(["read", "admin"], 1), { lines: [whole] });
});
