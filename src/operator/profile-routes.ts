import { plain, type Route, type RouteRequest, type RouteResponse } from "../http/routes.ts";
import { refuseForeign } from "./browser-guard.ts";
import type { Profiler } from "./profiles.ts";

/** Seconds. */
const longestProfile = 60;

/**
 * Makes `/debug/profile/cpu` and `/debug/profile/heap`. One profile is recorded at a time: a second one would be a profile of the
 * first. Pages of other sites in an operator's browser get none, since a profile shows the inside of the process.
 * @param hosts  names by which profiles may be asked for, besides IP addresses and `localhost`; in lower case
 */
export function profileRoutes(profiler: Profiler, hosts: readonly string[]): Route[] {
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
    handle(request) {
      const why = refuseForeign(request, hosts);
      return why === undefined ? handle(request) : plain(403, why);
    },
  });
  return [guarded("/debug/profile/cpu", profileCpu), guarded("/debug/profile/heap", snapshotHeap)];
}
