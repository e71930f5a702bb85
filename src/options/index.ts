/**
 * The vocabulary of options: describes the options of a hook, a store or a frontend. Errors then name the place and the
 * remedy, and documentation is generated. Importing this module loads nothing except modules of Node.js.
 */

export {
  type AnyBlock,
  Block,
  type BlockOptions,
  blocks,
  type InputOf,
  type OutputOf,
  options,
} from "./block.ts";
export type { CheckReport } from "./check-report.ts";
export {
  addresses,
  checkNetwork,
  choices,
  type ListFacts,
  list,
  networks,
  sources,
} from "./lists.ts";
export {
  boolean,
  type Check,
  checkNotEmpty,
  checkUrl,
  choice,
  duration,
  file,
  integer,
  integerOrAuto,
  isUrl,
  type NumberRange,
  number,
  text,
} from "./scalars.ts";
export {
  describeInput,
  type Facts,
  type FileFacts,
  type Issue,
  type Marks,
  type MayBeMissing,
  type Named,
  type Path,
  Reader,
  removed,
  Value,
  type WithoutOutput,
} from "./value.ts";
