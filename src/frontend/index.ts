/** The built-in frontends, in the order of the documentation. Each loads its code when it is made. */
export { http } from "./http/index.ts";
export { udp } from "./udp/index.ts";
