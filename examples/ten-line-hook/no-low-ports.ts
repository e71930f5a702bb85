import { ClientError, defineHook } from "chihaya";

const lowPort = new ClientError("choose a port above 1023");

/** Refuses announces with a port below 1024, so that no client connects to a system service. */
export default defineHook({
  name: "no low ports",
  create: () => ({
    handleAnnounce: ({ port }) => (port < 1024 ? lowPort : undefined),
  }),
});
