import type { AccountTables } from "../mysql/ledger-administration.ts";

/** Where UNIT3D keeps what an operator asks for. */
export async function accountTablesOf(): Promise<AccountTables> {
  return {
    users:
      "SELECT u.id AS id, u.username AS name, u.passkey AS passkey, u.uploaded AS uploaded, u.downloaded AS downloaded, " +
      "COALESCE(g.slug NOT IN ('banned', 'validating', 'disabled'), 1) AS enabled FROM users u " +
      "LEFT JOIN `groups` g ON g.id = u.group_id WHERE u.deleted_at IS NULL",
    torrents: "SELECT seeders, leechers, times_completed AS completed FROM torrents WHERE deleted_at IS NULL",
    credits: { table: "users", id: "id" },
  };
}
