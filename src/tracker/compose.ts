import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import { ClientError } from "../bittorrent/client-error.ts";
import { ExternalIp } from "../bittorrent/external-ip.ts";
import type { Config, HookConfig } from "../config/config.ts";
import { withDefaults } from "../frontend/http/opentracker/options.ts";
import type { HttpOptions } from "../frontend/http/options.ts";
import { withTimeout } from "../lib/with-timeout.ts";
import { createDefinedHook, type HookDefinition, type HookDeps } from "../middleware/define-hook.ts";
import { type Hook, RequestContext } from "../middleware/hook.ts";
import { type HookLimits, withDeadline } from "../middleware/with-deadline.ts";
import type { Logger } from "../observability/logger.ts";
import { withFields } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { PrivateOptions } from "../private/options.ts";
import type { WorkerAccounting } from "../private/thread-memory.ts";
import { lifetimeOf } from "../storage/define-store.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import { findDefinition } from "./find-definition.ts";
import { createSharedState, type ShareHub, scopeOf, type ThreadParts } from "./share-hub.ts";
import type { TrackerSettings } from "./tracker.ts";

/** The collaborators of hooks. */
export interface ComposeParts extends ThreadParts {
  metrics: Metrics;
  logger: Logger;
  hub: ShareHub;
  store: PeerStore;
  /** How long that store keeps peers. Without it, the default of the built-in stores. */
  lifetime?: HookDeps["lifetime"];
  /** The memory that this thread shares with the accountant of a private tracker. */
  accounting?: WorkerAccounting | undefined;
}

/**
 * Returns the settings of a tracker for a configuration. The hooks are new and not started.
 * @throws Error of a hook that cannot be created
 */
export async function composeSettings(config: Config, settingsParts: ComposeParts): Promise<TrackerSettings> {
  const parts = { ...settingsParts, lifetime: lifetimeOf(config.storage.config) };
  const { findFrontends } = await import("../config/frontends.ts");
  const frontends = await findFrontends(
    config.private === undefined ? config : await addPasskeyRoutes(config),
  );
  const used = new Map<string, number>();
  const bans = await openBans(parts.hub);
  let all: readonly Hook[] = [bans];
  const liveSync = await createLiveSync(config.http, parts, () => all);
  const pipes = withDefaults(config.http?.opentracker ?? {});
  const approval = config.preHooks.find(
    ({ name, module }) => name === "torrent approval" && module === undefined,
  );
  const hasPipes = pipes.fifoAdd !== "" || pipes.fifoDelete !== "";
  if (hasPipes && approval === undefined)
    throw new Error(
      'http.opentracker: fifo_add and fifo_delete need the prehook "torrent approval", whose list they change',
    );
  const before = config.private === undefined ? config.preHooks : [...config.preHooks, "private" as const];
  const [preHooks, postHooks] = await createHooks([before, config.postHooks], async (use) => {
    if (use === "private") return createPrivate(config.private!, parts);
    if (!hasPipes || use !== approval) return createHook(use, parts, used);
    const { approvalWithPipes } = await import("./list-pipes/list-pipes.ts");
    return createDefinedHook(approvalWithPipes(pipes, parts), use.options, hookDeps(use.name, parts, used));
  });
  all = [bans, ...preHooks];
  return {
    interval: config.announceInterval,
    minInterval: Math.min(config.minAnnounceInterval, config.announceInterval),
    externalIp: new ExternalIp(config.externalIp),
    preHooks: all,
    postHooks: [...postHooks, ...liveSync, ...(await createRenewals(config.http, parts.metrics))],
    frontends,
  };
}

/** Creates the hook that enforces what the admin API bans. */
async function openBans(hub: ShareHub): Promise<Hook> {
  const { BanMemory } = await import("../middleware/bans/ban-memory.ts");
  const { createBanHook } = await import("../middleware/bans/ban-hook.ts");
  return createBanHook(await BanMemory.open((name, bytes) => hub.buffer(name, bytes)));
}

/** Hooks that judge nothing but the torrent and the address of an announce, which a peer of live sync has too. */
const peerJudges: readonly string[] = ["bans", "torrent approval", "ip approval"];

/**
 * Creates the posthook of `http.opentracker.livesync`, not started; none without that block.
 * @param preHooks  returns the prehooks once they exist; bans, torrent approval and ip approval refuse received peers too
 * @throws RangeError for wrong options
 */
export async function createLiveSync(
  http: Pick<HttpOptions, "opentracker"> | undefined,
  { hub, ...parts }: Pick<ComposeParts, "clock" | "metrics" | "logger" | "hub" | "store">,
  preHooks: () => readonly Hook[],
): Promise<Hook[]> {
  const options = http?.opentracker?.livesync;
  if (options === undefined) return [];
  const { LiveSync } = await import("../storage/live-sync/live-sync.ts");
  const identity = new Int32Array(await hub.buffer("live sync/identity", 4));
  let judges: readonly Hook[] | undefined;
  const context = new RequestContext();
  const refuses = (request: AnnounceRequest, response: AnnounceResponse) => {
    judges ??= preHooks().filter(({ name }) => peerJudges.includes(name));
    return judges.some((hook) => hook.handleAnnounce?.(request, response, context) instanceof ClientError);
  };
  return [new LiveSync(options, { ...parts, isFirst: hub.isFirst, identity, refuses })];
}

/** Creates the posthook of `http.opentracker` that counts renewals; none without that block. */
export async function createRenewals(
  http: Pick<HttpOptions, "opentracker"> | undefined,
  metrics: Metrics,
): Promise<Hook[]> {
  if (http?.opentracker === undefined) return [];
  const { countRenewals } = await import("../frontend/http/opentracker/renewals.ts");
  return [countRenewals(metrics)];
}

/**
 * Creates prehooks and posthooks in their order. If a hook cannot be created, stops the hooks before it and rejects. Does not
 * stop sources that are hooks already.
 */
export async function createHooks<Source>(
  [before, after]: readonly [pre: readonly Source[], post: readonly Source[]],
  create: (source: Source) => Promise<Hook>,
): Promise<[pre: Hook[], post: Hook[]]> {
  const sources: readonly unknown[] = [...before, ...after];
  const created: Hook[] = [];
  try {
    for (const source of [...before, ...after]) created.push(await create(source));
  } catch (error) {
    await stopUnused(created.filter((hook) => !sources.includes(hook)));
    throw error;
  }
  return [created.slice(0, before.length), created.slice(before.length)];
}

/** Stops hooks that no tracker uses. Ignores errors, because the caller reports another error already. */
export async function stopUnused(hooks: readonly Hook[]): Promise<void> {
  const stopped = Promise.allSettled(hooks.map(async (hook) => hook.stop?.()));
  await withTimeout(unusedStopMs, stopped).catch(() => undefined);
}

/** In milliseconds. */
const unusedStopMs = 5000;

/** Lets users of a private tracker announce with their passkey in the path. */
async function addPasskeyRoutes(config: Config): Promise<Config> {
  const { withPasskeyRoutes } = await import("../private/passkey-routes.ts");
  const { http, udp } = config;
  return {
    ...config,
    ...(http && { http: withPasskeyRoutes(http) }),
    ...(udp && { udp: withPasskeyRoutes(udp) }),
  };
}

/** Creates the last prehook of a private tracker. */
async function createPrivate(
  options: PrivateOptions,
  { accounting, clock, metrics, hub, ...thread }: ComposeParts,
): Promise<Hook> {
  if (accounting === undefined)
    throw new Error("private: only the program chihaya can run a private tracker");
  const { createPrivateHook, privateScope } = await import("../private/private-hook.ts");
  const { refusalsOf } = await import("../private/errors.ts");
  const shared = createSharedState(hub, privateScope, { clock, ...thread });
  const refusals = refusalsOf(options.site);
  return createPrivateHook(accounting, { options, refusals, clock, metrics, shared });
}

async function createHook(hook: HookConfig, parts: ComposeParts, used: Map<string, number>): Promise<Hook> {
  const builtIn = (): Promise<Record<string, HookDefinition>> => import("../hooks/index.ts");
  const definition = await findDefinition(hook, builtIn, "defineHook");
  if (hook.module !== undefined) return createHookWithDeadline(definition, hook.options, hook, parts, used);
  return createDefinedHook(definition, hook.options, hookDeps(hook.name, parts, used));
}

/** Creates a hook of a definition, with limits. @param options  the input of the definition's schema */
export async function createHookWithDeadline<Options>(
  definition: HookDefinition<Options>,
  options: unknown,
  limits: HookLimits,
  parts: ComposeParts,
  used: Map<string, number>,
): Promise<Hook> {
  const deps = hookDeps(definition.name, parts, used);
  return withDeadline(await createDefinedHook(definition, options, deps), limits, parts.metrics);
}

/** Returns the collaborators of a hook. Two hooks of one name share no state with each other. */
export function hookDeps(name: string, parts: ComposeParts, used: Map<string, number>): HookDeps {
  const { clock, random, metrics, logger, hub, store, lifetime = lifetimeOf({}) } = parts;
  const shared = createSharedState(hub, scopeOf(name, used), parts);
  return { clock, random, metrics, logger: withFields(logger, { hook: name }), shared, store, lifetime };
}
