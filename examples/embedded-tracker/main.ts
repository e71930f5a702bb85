/**
 * A tracker inside a program of your own: only members may use it, and the program sees who announces.
 *
 * Usage: node main.ts
 */
import {
  ClientError,
  ContextKey,
  createTracker,
  type EmbeddedTracker,
  type Hook,
  type Params,
  type RequestContext,
} from "chihaya";

const unknownPasskey = new ClientError("unknown passkey");
const member = new ContextKey<string>("member");

/**
 * Creates a prehook that refuses a request without a known `passkey` in the announce URL, over HTTP and over UDP (BEP 41).
 * @param members  names by passkey
 */
function createPasskeys(members: ReadonlyMap<string, string>): Hook {
  const identify = (params: Params, context: RequestContext) => {
    const name = members.get(params.get("passkey") ?? "");
    if (name === undefined) return unknownPasskey;
    context.set(member, name);
    return undefined;
  };
  return {
    name: "passkeys",
    handleAnnounce: (request, _response, context) => identify(request.params, context),
    handleScrape: (request, _response, context) => identify(request.params, context),
  };
}

/** Creates a posthook that counts the announces of each member. */
function createActivity(announces: Map<string, number>): Hook {
  return {
    name: "activity",
    handleAnnounce(_request, _response, context) {
      const name = context.get(member);
      if (name !== undefined) announces.set(name, (announces.get(name) ?? 0) + 1);
    },
  };
}

/**
 * Starts the tracker on 127.0.0.1.
 * @param port       0 lets the system choose
 * @param announces  where the announces of each member are counted
 */
export async function startTracker(
  port: number,
  members: ReadonlyMap<string, string>,
  announces: Map<string, number>,
): Promise<EmbeddedTracker> {
  const listen = [{ host: "127.0.0.1", port }];
  const tracker = createTracker({
    http: { listen },
    udp: { listen },
    preHooks: [createPasskeys(members)],
    postHooks: [createActivity(announces)],
  });
  await tracker.start();
  return tracker;
}

if (import.meta.main) {
  const announces = new Map<string, number>();
  const members = new Map([["7d1f40c2", "alice"]]);
  const tracker = await startTracker(6969, members, announces);
  for (const url of tracker.urls()) console.log(`${url}/announce?passkey=7d1f40c2`);
  process.once("SIGINT", async () => {
    await tracker.stop();
    console.log(announces);
  });
}
