import {
  boolean,
  type CheckReport,
  integer,
  type MayBeMissing,
  type Named,
  networks,
  type Value,
} from "../options/index.ts";

/** Upper limit of `max_numwant`. */
export const mostNumWant = 10_000;

/** All addresses of both families. */
export const defaultAddresses: readonly string[] = ["0.0.0.0:6969", "[::]:6969"];

/** Keys that all frontends share. */
export const commonOptions: {
  readonly enable_request_timing: Value<boolean> & MayBeMissing & Named<"requestTiming">;
  readonly max_numwant: Value<number> & MayBeMissing & Named<"maxNumWant">;
  readonly default_numwant: Value<number> & MayBeMissing & Named<"defaultNumWant">;
  readonly ip_spoofing_from: Value<readonly string[]> & MayBeMissing;
} = {
  enable_request_timing: boolean()
    .as("requestTiming")
    .default(true)
    .describe(
      "Whether the tracker measures response times. If false, the histogram counts each response as 0.",
    ),
  max_numwant: integer(1, mostNumWant)
    .as("maxNumWant")
    .default(100)
    .describe("Maximum number of peers in a response."),
  default_numwant: integer(1, mostNumWant)
    .as("defaultNumWant")
    .default(50)
    .describe("Number of peers for a client that asks for no number; at most `max_numwant`."),
  ip_spoofing_from: networks()
    .default([])
    .describe(
      "Addresses and networks of clients that `allow_ip_spoofing` applies to: `10.0.0.0/8`. An empty list means all clients.",
    ),
};

interface CommonOptions {
  maxNumWant: number;
  defaultNumWant: number;
  allowIpSpoofing: boolean;
  ipSpoofingFrom: readonly string[];
}

/** Checks the common keys against each other. Lowers `defaultNumWant` to `maxNumWant`. */
export function checkCommonOptions(options: CommonOptions, report: CheckReport): void {
  if (
    options.defaultNumWant > options.maxNumWant &&
    report.isReadable(["max_numwant"], ["default_numwant"])
  ) {
    report.warning(["default_numwant"], `above max_numwant; ${options.maxNumWant} is used`);
    options.defaultNumWant = options.maxNumWant;
  }
  const hasNoEffect = !options.allowIpSpoofing && options.ipSpoofingFrom.length > 0;
  if (hasNoEffect && report.isReadable(["allow_ip_spoofing"], ["ip_spoofing_from"])) {
    report.warning(["ip_spoofing_from"], "has no effect without allow_ip_spoofing: true");
  }
}
