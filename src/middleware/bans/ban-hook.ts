import type { AnnounceStep, Hook } from "../hook.ts";
import { type BanMemory, BanReader, torrentWidth } from "./ban-memory.ts";
import { bannedAddress, bannedTorrent } from "./errors.ts";

/**
 * Creates the prehook that enforces the bans of the admin API. The program `chihaya` always runs the hook as the first
 * prehook; the configuration does not name it. While nothing has been banned, the hook does nothing. A scrape of several
 * torrents shows banned ones as unknown.
 *
 * A later hook can wait for seconds between this hook and the step of the store. A torrent may be banned meanwhile, so the
 * step looks again: an announce that saw no ban cannot bring back a swarm that the ban has removed.
 */
export function createBanHook(memory: BanMemory): Hook {
  const bans = new BanReader(memory);
  return {
    name: "bans",
    handleAnnounce(request) {
      if (bans.isEmpty) return undefined;
      if (bans.hasAddress(request.address)) return bannedAddress;
      if (request.hasOtherAddress && bans.hasAddress(request.otherAddress)) request.hasOtherAddress = false;
      return bans.hasTorrent(request.infoHashWords) ? bannedTorrent : undefined;
    },
    handleScrape(request) {
      if (bans.isEmpty) return undefined;
      if (bans.hasAddress(request.address)) return bannedAddress;
      let hidden = 0;
      for (let i = 0; i < request.count; i++) {
        if (!bans.hasTorrent(request.infoHashWords, i * torrentWidth)) continue;
        request.hide(i);
        hidden++;
      }
      return hidden > 0 && hidden === request.count ? bannedTorrent : undefined;
    },
    aroundAnnounce(next): AnnounceStep {
      return (request, response, step) => {
        if (!bans.isEmpty && bans.hasTorrent(request.infoHashWords)) throw bannedTorrent;
        return next(request, response, step);
      };
    },
  };
}
