import type { Route, RouteResponse } from "../http/routes.ts";
import type { EventLoopLag } from "../observability/event-loop-lag.ts";

/** The state of a component: ready, not ready for a reason, or ready with a remark. */
export type ComponentState = boolean | string | { readyBut: string };

/** The states of the components, by their names. */
export type Readiness = Record<string, ComponentState>;

/** Creates `/livez`, `/readyz` and `/version`. @param version  the version of the tracker */
export function healthRoutes(
  version: string,
  lag: Pick<EventLoopLag, "read">,
  isReady: () => Readiness | Promise<Readiness>,
): Route[] {
  return [
    { path: "/livez", handle: () => describeLife(lag) },
    { path: "/readyz", handle: async () => describeReadiness(await isReady()) },
    { path: "/version", handle: () => json(200, { version, node: process.version }) },
  ];
}

/** Renders the response of `/livez`, which shows that the process is alive, with the delays of the event loop of the last minute. */
function describeLife(lag: Pick<EventLoopLag, "read">): RouteResponse {
  return json(200, { status: "alive", uptimeSeconds: process.uptime(), eventLoopLagSeconds: lag.read() });
}

function describeReadiness(readiness: Readiness): RouteResponse {
  const components = Object.entries(readiness);
  const ready = components.every(([, state]) => state === true || typeof state === "object");
  return json(ready ? 200 : 503, {
    status: ready ? "ready" : "not ready",
    components: Object.fromEntries(components.map(([name, state]) => [name, describeState(state)])),
  });
}

/** Describes the state of a component in words. */
export function describeState(state: ComponentState): string {
  if (typeof state === "object") return `ready, but ${state.readyBut}`;
  return typeof state === "string" ? state : state ? "ready" : "not ready";
}

function json(status: 200 | 503, body: object): RouteResponse {
  return { status, type: "application/json", body: `${JSON.stringify(body)}\n` };
}
