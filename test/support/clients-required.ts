/** Whether tests fail instead of being skipped if a program that they need is not installed: CHIHAYA_REQUIRE_CLIENTS=1. */
export const clientsRequired: boolean = process.env.CHIHAYA_REQUIRE_CLIENTS === "1";
