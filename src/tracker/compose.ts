import { ExternalIp } from "../bittorrent/external-ip.ts";
import type { Config, HookConfig } from "../config/config.ts";
import { withTimeout } from "../lib/with-timeout.ts";
import { createDefinedHook, type HookDefinition, type HookDeps } from "../middleware/define-hook.ts";
import type { Hook } from "../middleware/hook.ts";
import { type HookLimits, withDeadline } from "../middleware/with-deadline.ts";
import type { Logger } from "../observability/logger.ts";
import { withFields } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { lifetimeOf } from "../storage/define-store.ts";
import { findDefinition } from "./find-definition.ts";
import { createSharedState, type ShareHub, type ThreadParts } from "./share-hub.ts";
import type { TrackerSettings } from "./tracker.ts";

/** What hooks are made with. */
export interface ComposeParts extends ThreadParts {
  metrics: Metrics;
  logger: Logger;
  hub: ShareHub;
  store: HookDeps["store"];
  /** How long that store keeps peers; as the built-in ones by default unless given. */
  lifetime?: HookDeps["lifetime"];
}

/**
 * Makes what a configuration asks for, with hooks of its own that have not been started.
 * @throws Error of a hook that cannot be made
 */
export async function composeSettings(config: Config, settingsParts: ComposeParts): Promise<TrackerSettings> {
  const parts = { ...settingsParts, lifetime: lifetimeOf(config.storage.config) };
  const { findFrontends } = await import("../config/frontends.ts");
  const frontends = await findFrontends(config);
  const used = new Map<string, number>();
  const [preHooks, postHooks] = await createHooks([config.preHooks, config.postHooks], (hook) =>
    createHook(hook, parts, used),
  );
  return {
    interval: config.announceInterval,
    minInterval: Math.min(config.minAnnounceInterval, config.announceInterval),
    externalIp: new ExternalIp(config.externalIp),
    preHooks,
    postHooks,
    frontends,
  };
}

/**
 * Creates prehooks and posthooks in their order. Where one cannot be created, stops those before it and rejects; a
 * source that is a hook already is left alone.
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

/** Stops hooks that no tracker has come to use. What fails to stop is not reported: something else is wrong already. */
export async function stopUnused(hooks: readonly Hook[]): Promise<void> {
  const stopped = Promise.allSettled(hooks.map(async (hook) => hook.stop?.()));
  await withTimeout(unusedStopMs, stopped).catch(() => undefined);
}

/** In milliseconds. */
const unusedStopMs = 5000;

async function createHook(hook: HookConfig, parts: ComposeParts, used: Map<string, number>): Promise<Hook> {
  const builtIn = (): Promise<Record<string, HookDefinition>> => import("../hooks/index.ts");
  const definition = await findDefinition(hook, builtIn, "defineHook");
  if (hook.module !== undefined) return createHookWithDeadline(definition, hook.options, hook, parts, used);
  return createDefinedHook(definition, hook.options, hookDeps(hook.name, parts, used));
}

/** Makes a hook of a definition, within bounds. @param options  as they were written */
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

/** What a hook is given; what it shares is its own, also where there are two of its name. */
export function hookDeps(name: string, parts: ComposeParts, used: Map<string, number>): HookDeps {
  const { clock, random, metrics, logger, hub, store, lifetime = lifetimeOf({}) } = parts;
  const count = (used.get(name) ?? 0) + 1;
  used.set(name, count);
  const shared = createSharedState(hub, count === 1 ? name : `${name} ${count}`, parts);
  return { clock, random, metrics, logger: withFields(logger, { hook: name }), shared, store, lifetime };
}
