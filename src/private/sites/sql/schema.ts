/** The version of the tables, in `PRAGMA user_version`. */
export const schemaVersion = 1;

/**
 * The tables of the site `sql` on SQLite. Programs of the site may write to users and torrents; the tracker writes the rest.
 * Triggers note in `changes` what the tracker must read again, with the keys that it must forget.
 */
export const schema: string = `
CREATE TABLE users (
  id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
  name TEXT NOT NULL UNIQUE,
  passkey TEXT NOT NULL UNIQUE CHECK (length(passkey) = 32 AND passkey NOT GLOB '*[^A-Za-z0-9]*'),
  enabled INTEGER NOT NULL DEFAULT 1,
  can_leech INTEGER NOT NULL DEFAULT 1,
  hidden INTEGER NOT NULL DEFAULT 0,
  uploaded INTEGER NOT NULL DEFAULT 0,
  downloaded INTEGER NOT NULL DEFAULT 0,
  raw_uploaded INTEGER NOT NULL DEFAULT 0,
  raw_downloaded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE torrents (
  id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
  info_hash BLOB UNIQUE CHECK (length(info_hash) = 20),
  info_hash_v2 BLOB UNIQUE CHECK (length(info_hash_v2) = 32),
  name TEXT,
  up INTEGER NOT NULL DEFAULT 100 CHECK (up BETWEEN 0 AND 65535),
  down INTEGER NOT NULL DEFAULT 100 CHECK (down BETWEEN 0 AND 65535),
  status INTEGER NOT NULL DEFAULT 1,
  seeders INTEGER NOT NULL DEFAULT 0,
  leechers INTEGER NOT NULL DEFAULT 0,
  completed INTEGER NOT NULL DEFAULT 0,
  last_active INTEGER,
  CHECK (info_hash IS NOT NULL OR info_hash_v2 IS NOT NULL)
) STRICT;
CREATE TABLE history (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  torrent_id INTEGER NOT NULL REFERENCES torrents (id) ON DELETE CASCADE,
  uploaded INTEGER NOT NULL,
  downloaded INTEGER NOT NULL,
  raw_uploaded INTEGER NOT NULL,
  raw_downloaded INTEGER NOT NULL,
  seedtime INTEGER NOT NULL,
  leechtime INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  completed_at INTEGER,
  active INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, torrent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_torrent ON history (torrent_id);
CREATE TABLE peers (
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  torrent_id INTEGER NOT NULL REFERENCES torrents (id) ON DELETE CASCADE,
  peer_id BLOB NOT NULL,
  ip TEXT NOT NULL,
  port INTEGER NOT NULL,
  client TEXT NOT NULL,
  uploaded INTEGER NOT NULL,
  downloaded INTEGER NOT NULL,
  left INTEGER NOT NULL,
  seeder INTEGER NOT NULL,
  active INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, torrent_id, peer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX peers_torrent ON peers (torrent_id, active, seeder);
CREATE INDEX peers_updated ON peers (active, updated_at);
CREATE TABLE snatches (
  id INTEGER PRIMARY KEY,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  torrent_id INTEGER NOT NULL REFERENCES torrents (id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  ip TEXT NOT NULL
) STRICT;
CREATE INDEX snatches_user ON snatches (user_id);
CREATE INDEX snatches_torrent ON snatches (torrent_id);
CREATE TABLE applied (
  instance TEXT PRIMARY KEY,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  torrent_id INTEGER,
  uploaded INTEGER NOT NULL DEFAULT 0,
  downloaded INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE TABLE changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER,
  torrent_id INTEGER,
  passkey TEXT,
  info_hash BLOB,
  info_hash_v2 BLOB
) STRICT;
CREATE TRIGGER users_inserted AFTER INSERT ON users BEGIN
  INSERT INTO changes (user_id) VALUES (NEW.id);
END;
CREATE TRIGGER users_updated AFTER UPDATE OF id, passkey, enabled, can_leech, hidden ON users BEGIN
  INSERT INTO changes (user_id, passkey) VALUES (NEW.id, OLD.passkey);
END;
CREATE TRIGGER users_deleted AFTER DELETE ON users BEGIN
  INSERT INTO changes (user_id, passkey) VALUES (OLD.id, OLD.passkey);
END;
CREATE TRIGGER torrents_inserted AFTER INSERT ON torrents BEGIN
  INSERT INTO changes (torrent_id) VALUES (NEW.id);
END;
CREATE TRIGGER torrents_updated AFTER UPDATE OF id, info_hash, info_hash_v2, up, down, status ON torrents BEGIN
  INSERT INTO changes (torrent_id, info_hash, info_hash_v2) VALUES (NEW.id, OLD.info_hash, OLD.info_hash_v2);
END;
CREATE TRIGGER torrents_deleted AFTER DELETE ON torrents BEGIN
  INSERT INTO changes (torrent_id, info_hash, info_hash_v2) VALUES (OLD.id, OLD.info_hash, OLD.info_hash_v2);
END;
PRAGMA user_version = ${schemaVersion};
`;
