import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";
import { listEngines } from "../support/networks.ts";

const files = 160;

for (const { name, skip } of await listEngines()) {
  test(`a flood of connections keeps nobody out where descriptors are few: ${name}`, { skip }, async (t) => {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    const storage = { name: "memory", config: { max_peers: 1000 } };
    writeFileSync(file, toYaml({ network: name, workers: 1, storage, http: { max_connections: 16_384 } }));
    const limited = ["-c", `ulimit -n ${files} && exec "$0" "$@"`, process.execPath, main];
    const tracker = new Program(t, "sh", [...limited, "--json", "--config", file]);
    const { url } = await tracker.until(
      ({ msg, url }) => msg === "serving" && url?.startsWith("http:") === true,
    );
    const metrics = await tracker.until(({ msg }) => msg === "serving metrics and health");
    const warning = await tracker.until(({ msg }) => msg.startsWith("http.max_connections is 16384"));
    assert.match(warning.msg, /limit of 160 open files leaves room for 80; raise it/);

    const port = Number(new URL(url!).port);
    for (let i = 0; i < 2 * files; i++) {
      const client = connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${i % 250}` });
      client.on("error", () => {});
      t.after(() => client.destroy());
      client.write("GET /ann"); // and no more
      await once(client, "connect");
    }
    for (const target of [`${url}/scrape?info_hash=${"a".repeat(20)}`, `${metrics.url}/metrics`]) {
      const [response] = await once(get(target, { agent: false, localAddress: "127.0.2.1" }), "response");
      assert.equal(response.statusCode, 200, target);
      response.resume();
    }
    assert.deepEqual(
      tracker.lines.filter(({ msg }) => msg.includes("descriptors")),
      [],
    );
  });
}
