import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { announceQuery, FakeStore, httpOptions } from "../../../test/fixtures/http-server.ts";
import { heapInUse } from "../../../test/support/heap-growth.ts";
import { RecordingObserver, reporterOf } from "../../../test/support/observed.ts";
import type { RequestSource } from "../../http/handler.ts";
import { Address } from "../../ip/address.ts";
import { TrackerLogic } from "../../middleware/logic.ts";
import { Metrics } from "../../observability/metrics.ts";
import { HttpRequest, readRequest } from "../../protocol/http/request-reader.ts";
import { http } from "./index.ts";
import { Responder } from "./responder.ts";
import { createSettings } from "./settings.ts";

const client = Address.parse("192.0.2.1");

/** A connection of a client. */
class Source implements RequestSource {
  resolveClient(_bytes: Uint8Array, _request: HttpRequest, out: Address): boolean {
    out.copyFrom(client);
    return true;
  }
  begin(): never {
    throw new Error("no route has the request");
  }
}

function create() {
  const store = new FakeStore();
  const settings = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [] };
  const logic = new TrackerLogic(store, settings, (where) => assert.fail(where));
  const observer = new RecordingObserver();
  const responder = new Responder(
    createSettings(httpOptions),
    logic,
    reporterOf(http, new Metrics(), observer),
  );
  const respond = (source: RequestSource) => {
    const bytes = Buffer.from(`GET /announce?${announceQuery()} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const request = new HttpRequest();
    assert.ok(readRequest(bytes, 0, bytes.length, request) > 0);
    return responder.respond(bytes, request, source, true);
  };
  return { store, observer, responder, respond };
}

test("the exchange of a finished request does not keep its connection", async () => {
  const { store, responder, respond } = create();
  store.gate = setImmediate();
  const serve = async () => {
    const source = new Source();
    const exchange = await respond(source);
    assert.ok(exchange);
    responder.sent(exchange);
    return new WeakRef(source);
  };
  const connection = await serve();
  store.gate = undefined;
  await setImmediate();
  heapInUse(); // collects garbage
  assert.equal(connection.deref(), undefined);
  assert.equal(respond(new Source()) instanceof Promise, false, "the responder is in use");
});

test("a connection that gives up ends its own request only", async () => {
  const { store, observer, responder, respond } = create();
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = promise;
  const [late, other] = [new Source(), new Source()];
  const responses = [respond(late), respond(other)];
  responder.gaveUp(late);
  responder.gaveUp(new Source());
  assert.deepEqual(observer.ended, ["http announce 4 - timeout"]);
  resolve();
  await Promise.all(responses);
  assert.deepEqual(observer.ended.slice(1), ["http announce 4 - -"]);
  responder.gaveUp(other);
  assert.equal(observer.ended.length, 2);
});
