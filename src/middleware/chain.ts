import { ClientError } from "../bittorrent/client-error.ts";
import type { RequestContext, Verdict } from "./hook.ts";

/** Runs a request through the hooks; undefined when all of them let it pass. */
export type Chain<Request, Response> = (
  request: Request,
  response: Response,
  context: RequestContext,
) => ClientError | undefined | Promise<ClientError | undefined>;

type Handle<Request, Response> = (
  request: Request,
  response: Response,
  context: RequestContext,
) => Verdict | Promise<Verdict>;

/**
 * Composes handlers, in order, into one. The chain is synchronous up to the first handler that returns a
 * promise; the first refusal ends it. A thrown {@link ClientError} is a refusal; anything else is thrown on.
 */
export function composeChain<Request, Response>(
  handles: readonly Handle<Request, Response>[],
): Chain<Request, Response> {
  const count = handles.length;
  if (count === 0) return () => undefined;

  return (request, response, context) => {
    try {
      for (let i = 0; i < count; i++) {
        const verdict = handles[i]!(request, response, context);
        if (verdict === undefined) continue;
        if (verdict instanceof ClientError) return verdict;
        return finish(handles, verdict as Promise<Verdict>, i + 1, request, response, context);
      }
    } catch (error) {
      if (error instanceof ClientError) return error;
      throw error;
    }
    return undefined;
  };
}

async function finish<Request, Response>(
  handles: readonly Handle<Request, Response>[],
  waiting: Promise<Verdict>,
  next: number,
  request: Request,
  response: Response,
  context: RequestContext,
): Promise<ClientError | undefined> {
  try {
    let verdict = await waiting;
    while (!verdict && next < handles.length) verdict = await handles[next++]!(request, response, context);
    return verdict ?? undefined;
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}
