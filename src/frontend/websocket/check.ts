import type { CheckReport } from "../../options/index.ts";
import { validateRoutes } from "../../protocol/router.ts";
import type { WebSocketOptions } from "./options.ts";

/** Checks the options of the WebSocket frontend. */
export function checkWebSocket(options: WebSocketOptions, report: CheckReport): void {
  for (const { index, message } of validateRoutes(options.routes, []))
    report.error(["routes", index], message);
  if (
    options.maxMessageBytes < options.maxSdpBytes &&
    report.isReadable(["max_message_bytes"], ["max_sdp_bytes"])
  )
    report.warning(["max_sdp_bytes"], "has no effect above max_message_bytes");
}
