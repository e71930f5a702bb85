/** The built-in stores, as definitions; the configuration knows those that are listed here. */

export { memory } from "./memory/index.ts";
export { redis } from "./redis/index.ts";
