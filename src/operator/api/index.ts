import { Api, type ApiDeps } from "./api.ts";
import { type Endpoint, endpoint } from "./endpoint.ts";
import { type BanDeps, banEndpoints } from "./endpoints/bans.ts";
import { type ClientDeps, clientEndpoints } from "./endpoints/clients.ts";
import { type ControlDeps, controlEndpoints } from "./endpoints/control.ts";
import { type JournalDeps, journalEndpoints } from "./endpoints/journal.ts";
import { type ListDeps, listEndpoints } from "./endpoints/lists.ts";
import { type LogDeps, logEndpoints } from "./endpoints/log.ts";
import { type SiteDeps, siteEndpoints } from "./endpoints/site.ts";
import { type StatsDeps, statsEndpoints } from "./endpoints/stats.ts";
import { type TorrentDeps, torrentEndpoints } from "./endpoints/torrents.ts";
import { type WorkerDeps, workerEndpoints } from "./endpoints/workers.ts";
import { describeApi } from "./open-api.ts";

/** The collaborators of the endpoints. */
export interface EndpointDeps
  extends StatsDeps,
    ControlDeps,
    TorrentDeps,
    ClientDeps,
    WorkerDeps,
    BanDeps,
    ListDeps,
    SiteDeps,
    JournalDeps,
    LogDeps {}

/** Creates all endpoints, including the endpoint of the OpenAPI document. */
export function createEndpoints(deps: EndpointDeps): Endpoint[] {
  const endpoints = [
    ...statsEndpoints(deps),
    ...torrentEndpoints(deps),
    ...clientEndpoints(deps),
    ...workerEndpoints(deps),
    ...banEndpoints(deps),
    ...listEndpoints(deps),
    ...controlEndpoints(deps),
    ...siteEndpoints(deps),
    ...journalEndpoints(deps),
    ...logEndpoints(deps),
  ];
  const description: Endpoint = endpoint({
    method: "GET",
    path: "/openapi.json",
    scope: "read",
    summary: "This description of the API, as OpenAPI 3.1",
    handle: () => describeApi([...endpoints, description], deps.version),
  });
  return [...endpoints, description];
}

/** Creates the admin API. */
export function createApi(deps: EndpointDeps & ApiDeps): Api {
  return new Api(createEndpoints(deps), deps);
}
