import { ClientError, internalError } from "../bittorrent/client-error.ts";
import type { RequestContext, Verdict } from "./hook.ts";

/** Hears of what must not happen: a hook or the store failed. `where` is the hook's name or `storage`. */
export type FailureReport = (where: string, error: unknown) => void;

/**
 * Runs a request through the hooks; undefined when all of them let it pass. Never throws and never rejects.
 */
export type Chain<Request, Response> = (
  request: Request,
  response: Response,
  context: RequestContext,
) => ClientError | undefined | Promise<ClientError | undefined>;

/** One hook's part in a chain. */
export interface ChainLink<Request, Response> {
  /** The hook's name, for reports. */
  readonly name: string;
  readonly handle: (
    request: Request,
    response: Response,
    context: RequestContext,
  ) => Verdict | Promise<Verdict>;
}

const noVerdict = "a hook answers with a ClientError or with nothing";

/**
 * Composes handlers, in order, into one. The chain is synchronous up to the first handler that returns a
 * promise; the first refusal ends it. A thrown {@link ClientError} is a refusal; anything else is reported and
 * refuses with an internal error.
 */
export function composeChain<Request, Response>(
  links: readonly ChainLink<Request, Response>[],
  report: FailureReport,
): Chain<Request, Response> {
  const handles = links.map((link) => link.handle);
  const count = handles.length;

  function refusal(at: number, thrown: unknown): ClientError {
    if (thrown instanceof ClientError) return thrown;
    report(links[at]!.name, thrown);
    return internalError;
  }

  async function finish(
    waiting: PromiseLike<Verdict>,
    at: number,
    request: Request,
    response: Response,
    context: RequestContext,
  ): Promise<ClientError | undefined> {
    try {
      let verdict = await waiting;
      while (!verdict && ++at < count) verdict = await handles[at]!(request, response, context);
      if (verdict && !(verdict instanceof ClientError)) throw new TypeError(noVerdict);
      return verdict || undefined;
    } catch (error) {
      return refusal(at, error);
    }
  }

  return (request, response, context) => {
    let i = 0;
    try {
      for (; i < count; i++) {
        const verdict = handles[i]!(request, response, context);
        if (verdict === undefined) continue;
        if (verdict instanceof ClientError) return verdict;
        return finish(verdict as Promise<Verdict>, i, request, response, context);
      }
    } catch (error) {
      return refusal(i, error);
    }
    return undefined;
  };
}
