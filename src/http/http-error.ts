import type { Status } from "./status.ts";

/** An error response that a handler throws: a status and a text for people. */
export class HttpError extends Error {
  readonly status: Status;

  constructor(status: Status, message: string) {
    super(message);
    this.status = status;
  }
}
