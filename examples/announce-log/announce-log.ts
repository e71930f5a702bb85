import { defineHook, eventName, toHex } from "chihaya";
import { Batches } from "./batches.ts";
import { options } from "./options.ts";
import { openTarget } from "./target.ts";

/**
 * A posthook that writes a line of JSON for each announce to a file, or posts the lines to a URL. The hook works in
 * batches, after the response to the client.
 */
export default defineHook({
  name: "announce log",
  options,
  create({ to, batch, buffer, flush_seconds }, { clock, logger, metrics }) {
    const written = metrics.counter("announce_log_written_total", "Written announces");
    const dropped = metrics.counter("announce_log_dropped_total", "Dropped announces");
    const batches = new Batches({ batch, buffer, send: openTarget(to), written, dropped });
    batches.onFailure = (error) => logger.warn({ to, err: error }, "cannot write announces; will try again");
    let timer: NodeJS.Timeout | undefined;
    return {
      start() {
        timer = setInterval(() => void batches.flush(), flush_seconds * 1000);
      },
      // The tracker reuses the request object for the next announce, so the hook copies its values into text here.
      handleAnnounce(request) {
        const { infoHash, address, port, event, isSeeder } = request;
        batches.add(
          JSON.stringify({
            time: clock.unixSeconds,
            infoHash: toHex(infoHash),
            ip: `${address}`,
            port,
            event: eventName(event),
            seeder: isSeeder,
            uploaded: Number(request.uploaded),
            downloaded: Number(request.downloaded),
          }),
        );
      },
      async stop() {
        clearInterval(timer);
        await batches.close();
      },
    };
  },
});
