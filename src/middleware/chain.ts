import { ClientError, internalError } from "../bittorrent/client-error.ts";
import type { HookResult, RequestContext } from "./hook.ts";

/** Called when a hook or the store fails. `where` is the hook's name or `storage`. */
export type FailureReport = (where: string, error: unknown) => void;

/** Runs a request through the hooks. Returns undefined if all let the request pass. Never throws and never rejects. */
export type Chain<Request, Response> = (
  request: Request,
  response: Response,
  context: RequestContext,
) => ClientError | undefined | Promise<ClientError | undefined>;

/** One hook's part in a chain. */
export interface ChainLink<Request, Response> {
  /** The name of the hook in reports. */
  readonly name: string;
  readonly handle: (
    request: Request,
    response: Response,
    context: RequestContext,
  ) => HookResult | Promise<HookResult>;
}

const notARefusal = "a hook must return a ClientError or nothing";

/**
 * Composes handlers into one, in order. The chain is synchronous up to the first handler that returns a promise. The
 * first refusal ends the chain. A thrown {@link ClientError} is a refusal; any other error is reported, and refuses the
 * request with an internal error.
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
    waiting: PromiseLike<HookResult>,
    at: number,
    request: Request,
    response: Response,
    context: RequestContext,
  ): Promise<ClientError | undefined> {
    try {
      let result = await waiting;
      while (!result && ++at < count) result = await handles[at]!(request, response, context);
      if (result && !(result instanceof ClientError)) throw new TypeError(notARefusal);
      return result || undefined;
    } catch (error) {
      return refusal(at, error);
    }
  }

  return (request, response, context) => {
    let i = 0;
    try {
      for (; i < count; i++) {
        const result = handles[i]!(request, response, context);
        if (result === undefined) continue;
        if (result instanceof ClientError) return result;
        return finish(result as Promise<HookResult>, i, request, response, context);
      }
    } catch (error) {
      return refusal(i, error);
    }
    return undefined;
  };
}
