import assert from "node:assert/strict";
import { test } from "node:test";
import { type Linked, LinkedList } from "./linked-list.ts";

class Member implements Linked<Member> {
  list: LinkedList<Member> | undefined;
  previous: Member | undefined;
  next: Member | undefined;
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

function names(list: LinkedList<Member>): string {
  let text = "";
  list.forEach(({ name }) => {
    text += name;
  });
  assert.equal(text.length, list.size);
  assert.equal(list.first?.name, text[0]);
  return text;
}

function fill(text: string): [LinkedList<Member>, Member[]] {
  const list = new LinkedList<Member>();
  const members = [...text].map((name) => new Member(name));
  for (const member of members) list.add(member);
  return [list, members];
}

test("members keep their order of addition when others leave", () => {
  const [list, [a, b, c, d]] = fill("abcd");
  assert.equal(names(list), "abcd");
  for (const [member, rest] of [
    [b, "acd"],
    [d, "ac"],
    [a, "c"],
    [c, ""],
  ] as const) {
    list.remove(member!);
    assert.equal(names(list), rest);
  }
  list.add(b!);
  assert.equal(names(list), "b");
});

test("adding a member again moves it to the end, also from another list", () => {
  const [list, [a, b]] = fill("abc");
  list.add(a!);
  assert.equal(names(list), "bca");
  const other = new LinkedList<Member>();
  other.add(b!);
  assert.equal(names(list), "ca");
  assert.equal(names(other), "b");
});

test("each member is visited once, even if the visits empty the list", () => {
  const [list] = fill("abc");
  let visited = "";
  list.forEach((member) => {
    visited += member.name;
    list.remove(member);
  });
  assert.equal(visited, "abc");
  assert.equal(names(list), "");
});
