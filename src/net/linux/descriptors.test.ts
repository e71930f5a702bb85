import assert from "node:assert/strict";
import { test } from "node:test";
import { closeDescriptors, createDescriptors, noteDescriptors } from "./descriptors.ts";
import type { Libc } from "./libc.ts";

/** Gives the lowest number that is free, as the kernel does. */
class Kernel {
  readonly open: Set<number> = new Set();
  /** Is called while a descriptor is being closed, when its number is free again. */
  onClose: ((fd: number) => void) | undefined;

  readonly libc: Libc = {
    socket: () => this.#next(),
    accept4: () => this.#next(),
    epoll_create1: () => this.#next(),
    close: (fd: number) => {
      assert.ok(this.open.delete(fd), `${fd} is not open`);
      this.onClose?.(fd);
      return 0;
    },
  } as Partial<Libc> as Libc;

  #next(): number {
    let fd = 3;
    while (this.open.has(fd)) fd++;
    this.open.add(fd);
    return fd;
  }
}

test("whatever a thread has left open is closed, and nothing else", () => {
  const { libc, open } = new Kernel();
  const other = libc.socket(0, 0, 0);
  const descriptors = createDescriptors();
  const own = noteDescriptors(libc, descriptors);
  own.socket(0, 0, 0);
  own.accept4(0, 0, 0, 0);
  own.epoll_create1(0);
  own.close(own.accept4(0, 0, 0, 0));
  assert.equal(open.size, 4);
  closeDescriptors(libc, descriptors);
  assert.deepEqual([...open], [other]);
  closeDescriptors(libc, descriptors);
});

test("a thread that ends while it closes a descriptor does not cost another the same number", () => {
  const kernel = new Kernel();
  const descriptors = createDescriptors();
  const own = noteDescriptors(kernel.libc, descriptors);
  const fd = own.socket(0, 0, 0);
  kernel.onClose = () => {
    kernel.libc.socket(0, 0, 0);
    throw new Error("the end");
  };
  assert.throws(() => own.close(fd), /the end/);
  kernel.onClose = undefined;
  closeDescriptors(kernel.libc, descriptors);
  assert.deepEqual([...kernel.open], [fd]);
});

test("a call that fails is noted nowhere", () => {
  const descriptors = createDescriptors();
  const libc = { accept4: () => -1 } as Partial<Libc> as Libc;
  assert.equal(noteDescriptors(libc, descriptors).accept4(0, 0, 0, 0), -1);
  assert.equal(descriptors.indexOf(1), -1);
});
