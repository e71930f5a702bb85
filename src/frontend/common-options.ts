import {
  boolean,
  type CheckReport,
  integer,
  type MayBeMissing,
  type Named,
  networks,
  type Value,
} from "../options/index.ts";

/** Most peers that an announce can be answered with. */
export const mostNumWant = 10_000;

/** All addresses of both families. */
export const defaultAddresses: readonly string[] = ["0.0.0.0:6969", "[::]:6969"];

/** Keys that frontends have in common. */
export const commonOptions: {
  readonly enable_request_timing: Value<boolean> & MayBeMissing & Named<"requestTiming">;
  readonly max_numwant: Value<number> & MayBeMissing & Named<"maxNumWant">;
  readonly default_numwant: Value<number> & MayBeMissing & Named<"defaultNumWant">;
  readonly ip_spoofing_from: Value<readonly string[]> & MayBeMissing;
} = {
  enable_request_timing: boolean()
    .as("requestTiming")
    .default(false)
    .describe(
      "Whether responses are timed, for percentiles; it costs up to half a microsecond a request. Without it, the histogram " +
        "of response times counts each as 0.",
    ),
  max_numwant: integer(1, mostNumWant)
    .as("maxNumWant")
    .default(100)
    .describe("Most peers that an announce is answered with."),
  default_numwant: integer(1, mostNumWant)
    .as("defaultNumWant")
    .default(50)
    .describe("Peers for a client that does not say how many it wants; never more than `max_numwant`."),
  ip_spoofing_from: networks()
    .default([])
    .describe(
      "Addresses and networks of the clients for which `allow_ip_spoofing` holds: `10.0.0.0/8`. Without any it holds for all.",
    ),
};

interface CommonOptions {
  maxNumWant: number;
  defaultNumWant: number;
  allowIpSpoofing: boolean;
  ipSpoofingFrom: readonly string[];
}

/** Checks the keys that frontends have in common against each other. Lowers `defaultNumWant` to `maxNumWant`. */
export function checkCommonOptions(options: CommonOptions, report: CheckReport): void {
  if (
    options.defaultNumWant > options.maxNumWant &&
    report.isReadable(["max_numwant"], ["default_numwant"])
  ) {
    report.warning(["default_numwant"], `above max_numwant; ${options.maxNumWant} is used`);
    options.defaultNumWant = options.maxNumWant;
  }
  const isExpendable = !options.allowIpSpoofing && options.ipSpoofingFrom.length > 0;
  if (isExpendable && report.isReadable(["allow_ip_spoofing"], ["ip_spoofing_from"])) {
    report.warning(["ip_spoofing_from"], "has no effect without allow_ip_spoofing: true");
  }
}
