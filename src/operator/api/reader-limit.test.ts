import assert from "node:assert/strict";
import { test } from "node:test";
import { ReaderLimit } from "./reader-limit.ts";

async function* bytes(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("a");
  yield Buffer.from("b");
}

function requestOf(method: "GET" | "HEAD" = "GET") {
  const controller = new AbortController();
  return { request: { method, gone: controller.signal }, leave: () => controller.abort() };
}

const full = { status: 503, message: "2 clients listen already" };

test("a client counts from its request until its stream ends", async () => {
  const limit = new ReaderLimit(2, "listen");
  const streams = [0, 1].map(() => limit.admit(requestOf().request, bytes()));
  assert.throws(() => limit.admit(requestOf().request, bytes()), full);
  const read: string[] = [];
  for await (const chunk of streams[0]!) read.push(`${chunk}`);
  assert.deepEqual(read, ["a", "b"]);
  const next = limit.admit(requestOf().request, bytes());
  assert.throws(() => limit.admit(requestOf().request, bytes()), full);
  await next.next();
  await next.return(undefined);
  limit.admit(requestOf().request, bytes());
});

test("a stream that fails ends too", async () => {
  const limit = new ReaderLimit(1, "listen");
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.reject(new Error("on purpose"));
  };
  await assert.rejects(limit.admit(requestOf().request, failing()).next(), /on purpose/);
  limit.admit(requestOf().request, bytes());
});

test("a stream that is never read does not count for ever", () => {
  const limit = new ReaderLimit(1, "listen");
  for (let n = 0; n < 3; n++) limit.admit(requestOf("HEAD").request, bytes());
  const { request, leave } = requestOf();
  limit.admit(request, bytes());
  assert.throws(() => limit.admit(requestOf().request, bytes()), { status: 503 });
  leave();
  assert.throws(() => limit.admit(request, bytes()), { name: "AbortError" });
  limit.admit(requestOf().request, bytes());
});
