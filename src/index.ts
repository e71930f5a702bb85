/**
 * The library: what a program needs that runs a tracker itself, or brings its own hooks or store. Importing it loads
 * nothing but Node's own modules.
 */

export { AnnounceRequest, AnnounceResponse, Counter } from "./bittorrent/announce.ts";
export { ClientError, type ClientErrorCode } from "./bittorrent/client-error.ts";
export { AnnounceEvent, eventName } from "./bittorrent/event.ts";
export { parseInfoHash, toHex } from "./bittorrent/info-hash.ts";
export type { Params } from "./bittorrent/params.ts";
export { PeerList } from "./bittorrent/peer-list.ts";
export { ScrapeRequest, ScrapeResponse } from "./bittorrent/scrape.ts";
export {
  defineFrontend,
  type FrontendDefinition,
  type FrontendDeps,
  type FrontendUse,
  type Listens,
} from "./frontend/define-frontend.ts";
export type { Frontend } from "./frontend/frontend.ts";
export { httpDefaults } from "./frontend/http/index.ts";
export type { HttpOptions } from "./frontend/http/options.ts";
export { udpDefaults } from "./frontend/udp/index.ts";
export type { UdpOptions } from "./frontend/udp/options.ts";
export { HttpError } from "./http/http-error.ts";
export type { RequestBody } from "./http/request-body.ts";
export type { Route, RouteMethod, RouteRequest, RouteResponse, UpgradeResponse } from "./http/routes.ts";
export type { Status } from "./http/status.ts";
export { Address, type Family } from "./ip/address.ts";
export type { ListenAddress } from "./ip/listen-address.ts";
export { type Clock, createRandom, type Random } from "./lib/clock.ts";
export {
  defineHook,
  type HookDefinition,
  type HookDeps,
  type IntervalChange,
} from "./middleware/define-hook.ts";
export {
  type AnnounceStep,
  ContextKey,
  type Hook,
  type HookResult,
  RequestContext,
} from "./middleware/hook.ts";
export type { LogicResult, TrackerLogic } from "./middleware/logic.ts";
export type { SecondaryStoreOptions, SharedState } from "./middleware/shared-state.ts";
export { type HookLimits, withDeadline } from "./middleware/with-deadline.ts";
export type { NetworkChoice } from "./net/network.ts";
export type { Connection, StreamHandler, StreamListener } from "./net/stream.ts";
export { type LogFields, type Logger, silentLogger } from "./observability/logger.ts";
export { type Labels, Metrics } from "./observability/metrics.ts";
export type { EndedRequest, Observer, RequestReporter } from "./observability/observer.ts";
export type { RequestKinds } from "./observability/response-metrics.ts";
export type { OptionsIssue, OptionsResult, OptionsSchema } from "./options/schema.ts";
export {
  defineStore,
  type Lifetime,
  lifetimeKeys,
  type SharedStore,
  type StoreDefinition,
  type StoreDeps,
} from "./storage/define-store.ts";
export {
  MemoryStore,
  type MemoryStoreConfig,
  type MemoryStoreOptions,
} from "./storage/memory/memory-store.ts";
export { type PeerStore, Step, type StoreStatistics, type SwarmSummary } from "./storage/peer-store.ts";
export {
  checkPeerRecord,
  checkTorrentRecord,
  type PeerRecord,
  type RecordBatch,
  type RecordPage,
  type Records,
  type ReplayResult,
  replayAll,
  type TorrentRecord,
  walk,
} from "./storage/records.ts";
export type { RedisStoreConfig } from "./storage/redis/config.ts";
export { createNodeRedisPort } from "./storage/redis/node-redis-port.ts";
export type { RedisArgument, RedisNode, RedisPort } from "./storage/redis/redis-port.ts";
export { RedisStore, type RedisStoreOptions } from "./storage/redis/redis-store.ts";
export {
  type CreateTrackerOptions,
  createTracker,
  EmbeddedTracker,
  type HookUse,
  useFrontend,
  useHook,
} from "./tracker/create-tracker.ts";
export { SystemClock } from "./tracker/system-clock.ts";
