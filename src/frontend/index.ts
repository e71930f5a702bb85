/** The built-in frontends, in the order of the documentation. A definition loads its code in `create`. */
export { http } from "./http/index.ts";
export { udp } from "./udp/index.ts";
export { websocket } from "./websocket/index.ts";
