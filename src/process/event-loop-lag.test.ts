import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage, type RequestOptions } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { main, Program, temporaryDirectory } from "../../test/support/daemon.ts";

/** Prints a line for each monitor, which is a timer that wakes its thread. */
const hook = `data:text/javascript,${encodeURIComponent(`
  import perfHooks from "node:perf_hooks";
  import { syncBuiltinESMExports } from "node:module";
  const { monitorEventLoopDelay } = perfHooks;
  perfHooks.monitorEventLoopDelay = (options) => {
    console.log("monitor");
    return monitorEventLoopDelay(options);
  };
  syncBuiltinESMExports();
`)}`;

test("all listeners and the metrics of a thread share one measurement of the event loop", async (t) => {
  const socket = join(temporaryDirectory(t), "admin.sock");
  const settings = ["metrics_addr=127.0.0.1:0", "http.addr=127.0.0.1:0", "udp.addr=127.0.0.1:0", "workers=1"];
  const set = [...settings, `admin.socket=${socket}`].flatMap((setting) => ["--set", setting]);
  const tracker = new Program(t, process.execPath, ["--import", hook, main, "--json", ...set]);
  const { url } = await tracker.until(({ msg }) => msg === "serving metrics and health");
  await tracker.until((line) => line.url?.startsWith("udp:") === true);
  for (const path of ["/metrics", "/livez"]) {
    for (const place of [new URL(path, url), { socketPath: socket, path }] as (URL | RequestOptions)[]) {
      const [response] = (await once(get(place), "response")) as [IncomingMessage];
      assert.equal(response.statusCode, 200);
      await response.resume().toArray();
    }
  }
  tracker.child.kill("SIGTERM");
  await tracker.ended;
  assert.equal(tracker.stdout, "monitor\n");
});
