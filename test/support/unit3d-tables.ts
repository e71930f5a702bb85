/**
 * The tables of UNIT3D that the tracker uses (HDInnovations/UNIT3D, mysql-schema.sql): names, types and keys, and some of the columns
 * that the tracker never writes and that have no default.
 */
export const unit3dTables: string = `
CREATE TABLE \`groups\` (
  id int NOT NULL AUTO_INCREMENT, name varchar(255) NOT NULL, slug varchar(255) NOT NULL, position int NOT NULL DEFAULT 0,
  download_slots int DEFAULT NULL, is_immune tinyint(1) NOT NULL DEFAULT 0, is_freeleech tinyint(1) NOT NULL DEFAULT 0,
  is_double_upload tinyint(1) NOT NULL DEFAULT 0, PRIMARY KEY (id)
) ENGINE=InnoDB;
CREATE TABLE users (
  id int unsigned NOT NULL AUTO_INCREMENT, username varchar(255) NOT NULL, email varchar(255) NOT NULL, password varchar(255) NOT NULL,
  passkey varchar(32) NOT NULL, group_id int NOT NULL, uploaded bigint unsigned NOT NULL DEFAULT 0,
  downloaded bigint unsigned NOT NULL DEFAULT 0, can_download tinyint(1) NOT NULL DEFAULT 1, is_donor tinyint(1) NOT NULL DEFAULT 0,
  is_lifetime tinyint(1) NOT NULL DEFAULT 0, rsskey varchar(255) NOT NULL, deleted_at timestamp NULL DEFAULT NULL,
  PRIMARY KEY (id), UNIQUE KEY username (username), KEY passkey (passkey)
) ENGINE=InnoDB;
CREATE TABLE torrents (
  id int unsigned NOT NULL AUTO_INCREMENT, name varchar(255) NOT NULL, description text NOT NULL, info_hash binary(20) NOT NULL,
  file_name varchar(255) NOT NULL, num_file int NOT NULL, size double NOT NULL, user_id int unsigned NOT NULL,
  leechers int NOT NULL DEFAULT 0, seeders int NOT NULL DEFAULT 0, times_completed int NOT NULL DEFAULT 0, free smallint NOT NULL DEFAULT 0,
  doubleup tinyint(1) NOT NULL DEFAULT 0, status smallint NOT NULL DEFAULT 0, balance bigint NOT NULL DEFAULT 0,
  deleted_at timestamp NULL DEFAULT NULL, PRIMARY KEY (id), KEY info_hash (info_hash)
) ENGINE=InnoDB;
CREATE TABLE peers (
  peer_id binary(20) NOT NULL, ip varbinary(16) NOT NULL, port smallint unsigned NOT NULL, agent varchar(64) NOT NULL,
  uploaded bigint unsigned NOT NULL, downloaded bigint unsigned NOT NULL, \`left\` bigint unsigned NOT NULL, seeder tinyint(1) NOT NULL,
  created_at timestamp NULL DEFAULT NULL, updated_at timestamp NULL DEFAULT NULL, torrent_id int unsigned NOT NULL,
  user_id int unsigned NOT NULL, connectable tinyint(1) NOT NULL DEFAULT 0, active tinyint(1) NOT NULL DEFAULT 0,
  visible tinyint(1) NOT NULL DEFAULT 1, PRIMARY KEY (user_id, torrent_id, peer_id), KEY torrent_id (torrent_id),
  FOREIGN KEY (torrent_id) REFERENCES torrents (id) ON DELETE CASCADE, FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB;
CREATE TABLE history (
  user_id int unsigned NOT NULL, torrent_id int unsigned NOT NULL, agent varchar(64) NOT NULL,
  uploaded bigint unsigned NOT NULL DEFAULT 0, actual_uploaded bigint unsigned NOT NULL DEFAULT 0,
  client_uploaded bigint unsigned NOT NULL, downloaded bigint unsigned NOT NULL DEFAULT 0,
  refunded_download bigint unsigned NOT NULL DEFAULT 0, actual_downloaded bigint unsigned NOT NULL DEFAULT 0,
  client_downloaded bigint unsigned NOT NULL, seeder tinyint(1) NOT NULL DEFAULT 0, active tinyint(1) NOT NULL DEFAULT 0,
  seedtime bigint unsigned NOT NULL DEFAULT 0, immune tinyint(1) NOT NULL DEFAULT 0, hitrun tinyint(1) NOT NULL DEFAULT 0,
  created_at timestamp NULL DEFAULT NULL, updated_at timestamp NULL DEFAULT NULL, completed_at datetime DEFAULT NULL,
  PRIMARY KEY (user_id, torrent_id), FOREIGN KEY (torrent_id) REFERENCES torrents (id) ON DELETE CASCADE,
  FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE=InnoDB;
CREATE TABLE freeleech_tokens (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id int unsigned NOT NULL, torrent_id int unsigned NOT NULL) ENGINE=InnoDB;
CREATE TABLE personal_freeleeches (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id int unsigned NOT NULL) ENGINE=InnoDB;
CREATE TABLE featured_torrents (id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id int unsigned NOT NULL, torrent_id int unsigned NOT NULL) ENGINE=InnoDB;
CREATE TABLE blacklist_clients (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(255) NOT NULL, peer_id_prefix varchar(255) NOT NULL
) ENGINE=InnoDB;
`;
