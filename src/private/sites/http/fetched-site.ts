import type { Applied } from "../../site.ts";
import { SqlSite } from "../sql/sql-site.ts";

/** A site of any software, which fetches the traffic and keeps the ledger itself. The database has users and torrents. */
export class FetchedSite extends SqlSite {
  override apply(): Promise<Applied> {
    throw new Error("the site fetches its traffic");
  }

  acknowledge(instance: string, seq: number): Promise<void> {
    return this.note(instance, seq);
  }

  /** The site itself knows which peers have gone. */
  override async expirePeers(): Promise<void> {}
}
