import type { CheckReport } from "../../options/index.ts";
import { validateRoutes } from "../../protocol/router.ts";
import { checkCommonOptions } from "../common-options.ts";
import type { UdpOptions } from "./options.ts";

const keyOfChihayasExample = "paste a random string here that will be used to hmac connection IDs";
/** Minimum length of a key that cannot be guessed. */
const shortestKey = 16;

/** Checks the options of UDP against each other. */
export function checkUdp(udp: UdpOptions, report: CheckReport): void {
  checkCommonOptions(udp, report);
  for (const { index, message } of validateRoutes(udp.announceRoutes, [])) {
    report.error(["announce_routes", index], message);
  }
  if (udp.listen.length === 0 && report.isReadable(["addr"])) {
    report.error(["addr"], "must specify addr; remove the block to turn UDP off");
  }
  if (udp.privateKey === keyOfChihayasExample) {
    report.warning(
      ["private_key"],
      "this key is public: it is the one of Chihaya's example file; choose your own",
    );
  } else if (udp.privateKey !== "" && udp.privateKey.length < shortestKey) {
    report.warning(
      ["private_key"],
      `short enough to be guessed; use at least ${shortestKey} random characters`,
    );
  }
}
