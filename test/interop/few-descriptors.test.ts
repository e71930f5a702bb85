/** A tracker whose clients take all of its descriptors says what it lacks, and not more often than once a minute. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { listEngines } from "../support/networks.ts";

for (const { name, skip } of await listEngines()) {
  for (const listener of ["metrics", "http"] as const) {
    test(`few descriptors: ${listener} on the ${name} engine`, { skip }, async (t) => {
      const file = join(temporaryDirectory(t), "chihaya.yaml");
      writeFileSync(file, toYaml({ network: name, workers: 1 }));
      // Node raises the soft limit to the hard one.
      const command = `ulimit -n 64; exec "$@"`;
      const args = ["-c", command, "sh", process.execPath, main, "--json", "--config", file];
      const tracker = new Program(t, "sh", args);
      await tracker.until(({ url }) => url?.startsWith("udp:") === true);
      const url = tracker.lines.find(({ msg, url }) =>
        listener === "metrics"
          ? msg === "serving metrics and health"
          : msg === "serving" && url?.startsWith("http"),
      )?.url;
      const port = Number(new URL(url!).port);
      const sockets: Socket[] = [];
      t.after(() => {
        for (const socket of sockets) socket.destroy();
      });
      const isShort = (msg: string) => msg.includes("no file descriptors left");
      while (!tracker.lines.some(({ msg }) => isShort(msg))) {
        const socket = connect(port, "127.0.0.1").on("error", () => undefined);
        sockets.push(socket);
        await Promise.race([once(socket, "connect"), once(socket, "close")]);
        socket.write("GET /metrics HTTP/1.1\r\n");
        await new Promise(setImmediate);
        assert.ok(sockets.length < 2000, "no line of the log says what is short");
      }
      for (const socket of sockets) socket.destroy();
      tracker.child.kill("SIGTERM");
      assert.deepEqual(await tracker.ended, { code: 0, signal: null });
      const warnings = tracker.lines.filter(({ level }) => level !== "info");
      assert.deepEqual(
        warnings.map(({ msg }) => isShort(msg)),
        [true],
      );
    });
  }
}
