import type { RouteResponse } from "../../http/routes.ts";
import { type Status, statusTexts } from "../../http/status.ts";
import { count, list, object, optional, type Shape, string, type TypeOf } from "./shape.ts";

/** One problem with a request. */
export interface Fault {
  /** JSON Pointer into the body, or `?name` for a parameter of the query, or `{name}` for a part of the path. */
  readonly at: string;
  readonly detail: string;
}

/** The body of every error (RFC 9457). */
export const problemShape: Shape<{
  type: string;
  title: string;
  status: number;
  detail?: string | undefined;
  errors?: readonly Fault[] | undefined;
}> = object({
  type: string("Always `about:blank`: the status says what kind of problem it is."),
  title: string("The name of the status."),
  status: count(),
  detail: optional(string("What is wrong, and what to do.")),
  errors: optional(list(object({ at: string("Where the error is."), detail: string() }))),
});

/** Returns the problem of a request with one fault. */
export function refuse(at: string, detail: string): Problem {
  return new Problem(400, `${at}: ${detail}`, { faults: [{ at, detail }] });
}

/** An error that an endpoint responds with. */
export class Problem extends Error {
  readonly status: Status;
  readonly faults: readonly Fault[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: Status,
    detail: string,
    {
      faults = [],
      headers = {},
    }: { faults?: readonly Fault[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail);
    this.status = status;
    this.faults = faults;
    this.headers = headers;
  }

  /** Writes the problem as a response. */
  toResponse(): RouteResponse {
    const { status, message, faults, headers } = this;
    const body: TypeOf<typeof problemShape> = {
      type: "about:blank",
      title: statusTexts[status],
      status,
      ...(message !== "" && { detail: message }),
      ...(faults.length > 0 && { errors: faults }),
    };
    return { status, type: "application/problem+json", headers, body: `${JSON.stringify(body)}\n` };
  }
}
