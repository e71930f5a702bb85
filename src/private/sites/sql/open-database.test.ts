import assert from "node:assert/strict";
import { test } from "node:test";
import { openDatabase } from "./open-database.ts";

test("the database of a further tracker is on another machine", async () => {
  await assert.rejects(openDatabase("tracker://10.0.0.1:6980", ""), {
    message: "the database is on the tracker at tracker://10.0.0.1:6980; run the command on that machine",
  });
});
