/**
 * Lets a program import this project by its name from the sources: `node --import ./test/support/own-package.ts FILE`.
 */
import { serveOwnPackage } from "../../src/config/import-definition.ts";

serveOwnPackage();
