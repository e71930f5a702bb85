/** The built-in stores, as definitions. The config knows exactly the stores in this list. */

export { memory } from "./memory/index.ts";
export { redis } from "./redis/index.ts";
