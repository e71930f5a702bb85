import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { schema, schemaVersion } from "./schema.ts";

/** Milliseconds to wait for another program that writes to the database. */
const lockMs = 1000;

/** Creates the database of a private site. @throws Error if the file exists or cannot be written */
export function createDatabase(path: string): void {
  if (existsSync(path))
    throw new Error(`${resolve(path)}: the file exists; remove it, or choose another name`);
  const database = connect(path);
  try {
    database.exec(`BEGIN; ${schema} COMMIT`);
  } finally {
    database.close();
  }
}

/** Opens the database of a private site. @throws Error that names the file and the remedy */
export function openDatabase(path: string): DatabaseSync {
  if (!existsSync(path))
    throw new Error(`${resolve(path)}: no such file; "chihaya private init DIR" makes a database`);
  const database = connect(path);
  try {
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version === schemaVersion) return database;
    throw new Error(
      version === 0
        ? `${resolve(path)}: not the database of a private site; "chihaya private init DIR" makes one`
        : `${resolve(path)}: made by another version of the tracker (tables ${version}, this version has ${schemaVersion})`,
    );
  } catch (error) {
    database.close();
    throw error;
  }
}

function connect(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { timeout: lockMs });
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    return database;
  } catch (error) {
    throw new Error(`${resolve(path)}: ${(error as Error).message}`, { cause: error });
  }
}
