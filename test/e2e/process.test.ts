import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { untilRefused } from "../support/until-refused.ts";

test("a program that nobody stops ends with the process that started it", async () => {
  const listen =
    "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })";
  const script = `
    import { startProcess } from ${JSON.stringify(join(import.meta.dirname, "process.ts"))};
    import { waitUntil } from ${JSON.stringify(join(import.meta.dirname, "wait-until.ts"))};
    const program = startProcess("program", process.execPath, ["-e", ${JSON.stringify(listen)}]);
    await waitUntil("it listens", () => program.output() !== "");
    process.stdout.write(program.output());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [[port]] = await Promise.all([once(child.stdout.setEncoding("utf8"), "data"), once(child, "exit")]);
  await untilRefused(Number(port));
});
