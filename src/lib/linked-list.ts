/** A member of at most one list. Only the list sets these fields. */
export interface Linked<T extends Linked<T>> {
  list: LinkedList<T> | undefined;
  previous: T | undefined;
  next: T | undefined;
}

/**
 * A list linked through its members, in order of addition. Unlike a Set, the list leaves no garbage: with one request
 * per connection, the garbage of a Set took a 30th of the request's time.
 */
export class LinkedList<T extends Linked<T>> {
  size = 0;
  first: T | undefined;
  #last: T | undefined;

  /** Adds a member at the end; removes the member from its present list first. */
  add(member: T): void {
    member.list?.remove(member);
    member.list = this;
    member.previous = this.#last;
    if (this.#last === undefined) this.first = member;
    else this.#last.next = member;
    this.#last = member;
    this.size++;
  }

  /** Removes a member of this list. */
  remove(member: T): void {
    const { previous, next } = member;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    member.list = member.previous = member.next = undefined;
    this.size--;
  }

  /** Calls `visit` with each member. `visit` may remove the member. */
  forEach(visit: (member: T) => void): void {
    let member = this.first;
    while (member !== undefined) {
      const { next }: Linked<T> = member;
      visit(member);
      member = next;
    }
  }
}
