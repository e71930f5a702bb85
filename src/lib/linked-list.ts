/** A member of a list, of one at most, which alone sets these. */
export interface Linked<T extends Linked<T>> {
  list: LinkedList<T> | undefined;
  previous: T | undefined;
  next: T | undefined;
}

/**
 * A list through its members, in the order in which they were added. Unlike a Set it leaves nothing to the garbage
 * collector: with one request a connection, that was a 30th of a request.
 */
export class LinkedList<T extends Linked<T>> {
  size = 0;
  first: T | undefined;
  #last: T | undefined;

  /** Adds a member at the end, after taking it out of the list where it is. */
  add(member: T): void {
    member.list?.remove(member);
    member.list = this;
    member.previous = this.#last;
    if (this.#last === undefined) this.first = member;
    else this.#last.next = member;
    this.#last = member;
    this.size++;
  }

  /** Takes out one of its own members. */
  remove(member: T): void {
    const { previous, next } = member;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    member.list = member.previous = member.next = undefined;
    this.size--;
  }

  /** Calls `visit` with each member, which may leave the list then. */
  forEach(visit: (member: T) => void): void {
    let member = this.first;
    while (member !== undefined) {
      const { next }: Linked<T> = member;
      visit(member);
      member = next;
    }
  }
}
