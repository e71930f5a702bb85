import type { ListenAddress } from "../../ip/listen-address.ts";
import { checkSocketPath } from "../../net/socket-path.ts";
import { parseAddresses } from "../../options/addresses.ts";

const unix = "unix:";

/** Parses `127.0.0.1:34001` or `unix:/run/chihaya/site.sock`. @returns the error of an invalid one */
export function parseListen(text: string): ListenAddress | { path: string } | string {
  if (text.startsWith(unix)) {
    const path = text.slice(unix.length);
    return checkSocketPath(path) ?? (path === "" ? 'expected a path after "unix:"' : { path });
  }
  let problem: string | undefined;
  const [address, ...others] = parseAddresses([text], (_, message) => {
    problem = message;
  });
  if (problem !== undefined) return problem;
  if (others.length > 0) return 'expected one address: "127.0.0.1:34001"';
  return address!;
}
