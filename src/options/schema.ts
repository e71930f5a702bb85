/**
 * A schema for options. This is the Standard Schema interface (version 1), which Zod, Valibot, ArkType and others
 * implement. The schema converts an `Input` to `Options`.
 */
export interface OptionsSchema<Options, Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => OptionsResult<Options> | Promise<OptionsResult<Options>>;
    readonly types?: { readonly input: Input; readonly output: Options } | undefined;
  };
}

/** Options, or all problems with them. */
export type OptionsResult<Options> =
  | { readonly value: Options; readonly issues?: undefined }
  | { readonly issues: readonly OptionsIssue[] };

/** One problem with options, and its place. */
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

/** The part of a definition that is needed to check its options. */
interface Described<Options> {
  readonly name: string;
  readonly options?: OptionsSchema<Options>;
}

/**
 * Checks the options of a definition. A definition without a schema accepts no options.
 * @param what  `hook`, for messages
 */
export async function checkOptions<Options>(
  { name, options: schema }: Described<Options>,
  options: unknown,
  what: string,
): Promise<OptionsResult<Options>> {
  if (schema !== undefined) return schema["~standard"].validate(options ?? {});
  if (options === undefined) return { value: undefined as Options };
  return { issues: [{ message: `the ${what} ${JSON.stringify(name)} takes no options` }] };
}

/**
 * Reads the options of a definition.
 * @param what        `hook`, for messages
 * @param optionsKey  the key of the options in YAML
 * @throws Error that names the definition and the first invalid option: `passkey check: options.rate: expected a number`
 */
export async function readOptions<Options>(
  definition: Described<Options>,
  options: unknown,
  what: string,
  optionsKey = "options",
): Promise<Options> {
  const result = await checkOptions(definition, options, what);
  if (result.issues === undefined) return result.value;
  const issue = result.issues[0]!;
  throw new Error(`${definition.name}: ${[optionsKey, ...issuePath(issue)].join(".")}: ${issue.message}`);
}
