import { plain, type Route, type RouteRequest, type RouteResponse } from "../http/routes.ts";
import type { Admin } from "./admin.ts";
import { type GuardOptions, refuseForeign } from "./guard.ts";
import type { Profiler } from "./profiles.ts";

/** Seconds. */
const longestProfile = 60;

/**
 * Creates `/debug/profile/cpu` and `/debug/profile/heap`. Records one profile at a time, because a second profile would
 * measure the recording of the first.
 * @param refuse  returns a response for a request that gets no profile
 */
export function profileRoutes(
  profiler: Profiler,
  refuse: (request: RouteRequest) => RouteResponse | undefined,
): Route[] {
  let isRecording = false;

  async function respond(
    request: RouteRequest,
    extension: string,
    record: (worker: number) => Promise<string | Uint8Array>,
  ): Promise<RouteResponse> {
    const asked = request.query.get("worker") ?? "0";
    const worker = Number(asked);
    const { workers } = profiler;
    if (!/^\d+$/.test(asked) || worker > workers) {
      return plain(400, `worker: a whole number from 0, the main thread, to ${workers}`);
    }
    if (isRecording) return plain(409, "another profile is being recorded");
    isRecording = true;
    try {
      return {
        status: 200,
        type: "application/octet-stream",
        body: request.method === "HEAD" ? "" : await record(worker),
        headers: {
          "cross-origin-resource-policy": "same-origin",
          "content-disposition": `attachment; filename="chihaya-${process.pid}.${extension}"`,
        },
      };
    } finally {
      isRecording = false;
    }
  }

  async function profileCpu(request: RouteRequest): Promise<RouteResponse> {
    const asked = request.query.get("seconds") ?? "10";
    const seconds = Number(asked);
    if (!/^\d+$/.test(asked) || seconds < 1 || seconds > longestProfile) {
      return plain(400, `seconds: a whole number from 1 to ${longestProfile}`);
    }
    return respond(request, "cpuprofile", (worker) => profiler.profileCpu(worker, seconds, request.gone));
  }

  function snapshotHeap(request: RouteRequest): Promise<RouteResponse> {
    return respond(request, "heapsnapshot", async (worker) => {
      const chunks: Buffer[] = [];
      for await (const chunk of await profiler.snapshotHeap(worker)) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks);
    });
  }

  const guarded = (path: string, handle: (request: RouteRequest) => Promise<RouteResponse>): Route => ({
    path,
    handle: (request) => refuse(request) ?? handle(request),
  });
  return [guarded("/debug/profile/cpu", profileCpu), guarded("/debug/profile/heap", snapshotHeap)];
}

/**
 * Refuses profiles to pages of other sites in an operator's browser and, where the admin API has tokens, to requests without
 * a token of the scope `admin`: a profile shows the inside of the process.
 */
export function refuseProfile(
  request: RouteRequest,
  { bound, hosts }: GuardOptions,
  admin: Admin | undefined,
): RouteResponse | undefined {
  const refusal = refuseForeign(request, { bound, hosts: [...hosts, ...(admin?.hosts ?? [])] });
  if (refusal !== undefined) return plain(refusal.status, refusal.detail);
  return admin?.refuseWithout("admin", request);
}
