import { parseArgs } from "node:util";
import { createToken, hashToken } from "../../operator/api/access.ts";
import { type Scope, scopes } from "../../operator/scopes.ts";
import { runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { print } from "../terminal.ts";

/** The help of `chihaya admin`. */
export const help: string = `Makes what the admin API needs.

Usage: chihaya admin token [NAME] [--scopes LIST]

"token" prints a new token for NAME (default admin), and the entry for admin.tokens of the configuration. The
configuration keeps only the hash of the token, so keep the token itself: nothing can print it again.
  --scopes LIST       what the token opens: read, peers:read, write, admin (default read), with commas between

Use it as "Authorization: Bearer TOKEN".

Exit codes: 0 printed, 2 wrong usage.
`;

/** Runs `chihaya admin`. @param args  after the name of the command */
export function run(args: string[]): Promise<number> {
  return runReporting("admin", async () => {
    const { values, positionals } = parseArgs({
      args,
      options: { scopes: { type: "string", default: "read" } },
      allowPositionals: true,
    });
    const [action, name = "admin", ...rest] = positionals;
    if (action !== "token" || rest.length > 0) throw new UsageError('needs "token", and at most one name');
    const given = values.scopes.split(",").map((scope) => scope.trim());
    const unknown = given.find((scope) => !scopes.includes(scope as Scope));
    if (unknown !== undefined)
      throw new UsageError(`no scope ${JSON.stringify(unknown)}; there are ${scopes.join(", ")}`);
    const token = createToken();
    print(`token: ${token}

chihaya:
  admin:
    tokens:
      - name: ${JSON.stringify(name)}
        hash: ${hashToken(token)}
        scopes: [${given.join(", ")}]
`);
    return ExitCode.ok;
  });
}
