import { ClientError, defineHook } from "chihaya";

const lowPort = new ClientError("choose a port above 1023");

/** Refuses peers that claim a port of a system service: others would be sent there. */
export default defineHook({
  name: "no low ports",
  create: () => ({
    handleAnnounce: ({ port }) => (port < 1024 ? lowPort : undefined),
  }),
});
