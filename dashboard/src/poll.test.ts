import assert from "node:assert/strict";
import { test } from "node:test";
import { pollWhileVisible } from "./poll.ts";

/** Lets promises that are settled run their callbacks. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a reading that ends on a hidden page is not repeated until the page is visible", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const page = Object.assign(new EventTarget(), { hidden: false });
  Object.defineProperty(globalThis, "document", { value: page, configurable: true });
  t.after(() => Reflect.deleteProperty(globalThis, "document"));
  const show = (isVisible: boolean) => {
    page.hidden = !isVisible;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  let readings = 0;
  let end = (_repeats: boolean): void => undefined;
  const poll = pollWhileVisible(1000, () => {
    readings++;
    return new Promise((resolve) => {
      end = resolve;
    });
  });
  assert.equal(readings, 1);
  show(false);
  end(true);
  await settle();
  t.mock.timers.tick(10_000);
  assert.equal(readings, 1, "hidden");
  show(true);
  assert.equal(readings, 2, "visible");
  end(true);
  await settle();
  t.mock.timers.tick(1000);
  assert.equal(readings, 3, "repeated");
  end(false);
  await settle();
  t.mock.timers.tick(10_000);
  assert.equal(readings, 3, "no such resource");
  poll.refresh();
  poll.stop();
  end(true);
  await settle();
  t.mock.timers.tick(10_000);
  assert.equal(readings, 4, "stopped");
});
