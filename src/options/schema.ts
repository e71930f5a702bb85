/**
 * A schema for options, by the Standard Schema interface (version 1) that Zod, Valibot, ArkType and others implement;
 * `Options` is what it makes of an `Input`.
 */
export interface OptionsSchema<Options, Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => OptionsResult<Options> | Promise<OptionsResult<Options>>;
    readonly types?: { readonly input: Input; readonly output: Options } | undefined;
  };
}

/** Options, or all that is wrong with them. */
export type OptionsResult<Options> =
  | { readonly value: Options; readonly issues?: undefined }
  | { readonly issues: readonly OptionsIssue[] };

/** One thing that is wrong with options, and where. */
export interface OptionsIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Returns the keys of an issue's path. */
export function issuePath({ path = [] }: OptionsIssue): (string | number)[] {
  return path.map((step) => {
    const key = typeof step === "object" ? step.key : step;
    return typeof key === "number" ? key : String(key);
  });
}
