import type { Status } from "./status.ts";

/** A response that a handler gives by throwing: a status, with a text for people. */
export class HttpError extends Error {
  readonly status: Status;

  constructor(status: Status, message: string) {
    super(message);
    this.status = status;
  }
}
