import type { OptionsIssue, OptionsSchema } from "chihaya";

export interface Options {
  /** Path of a file, from the working directory of the tracker, or a URL. */
  to: string;
  /** Maximum number of lines in a batch. */
  batch: number;
  /** Maximum number of waiting lines; further lines are dropped. */
  buffer: number;
  flush_seconds: number;
}

const defaults = { batch: 500, buffer: 50_000, flush_seconds: 1 };

/** A Standard Schema written by hand. A library such as Zod needs less code. */
export const options: OptionsSchema<Options> = {
  "~standard": {
    version: 1,
    vendor: "announce-log",
    validate(value) {
      const given = { ...defaults, ...(value as Partial<Options>) };
      const issues: OptionsIssue[] = [];
      for (const [key, one] of Object.entries(given)) {
        if (key === "to") continue;
        if (!(key in defaults)) issues.push({ path: [key], message: "unknown option" });
        else if (typeof one !== "number" || !(one > 0))
          issues.push({ path: [key], message: "expected a number above 0" });
      }
      const { to } = given;
      if (typeof to !== "string" || to === "")
        issues.push({ path: ["to"], message: "expected a file or a URL" });
      return issues.length > 0 ? { issues } : { value: given as Options };
    },
  },
};
