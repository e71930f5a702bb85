/** JSON Schema (draft 2020-12), as OpenAPI 3.1 takes it. */
export type Json = Readonly<Record<string, unknown>>;

/** A JSON Schema with the type of the values that it describes. */
export interface Shape<T> {
  readonly json: Json;
  /** Never there: keeps the type. */
  readonly type?: T;
}

/** A field that a value may lack. */
export interface OptionalShape<T> extends Shape<T> {
  readonly isOptional: true;
}

/** The type that a shape describes. */
export type TypeOf<S> = S extends Shape<infer T> ? T : never;

type Fields = Readonly<Record<string, Shape<unknown>>>;
type Required<F extends Fields> = {
  [Key in keyof F as F[Key] extends OptionalShape<unknown> ? never : Key]: TypeOf<F[Key]>;
};
type Optional<F extends Fields> = {
  [Key in keyof F as F[Key] extends OptionalShape<unknown> ? Key : never]?: TypeOf<F[Key]> | undefined;
};

/** Describes a text. */
export function string(description = "", more: Json = {}): Shape<string> {
  return { json: { type: "string", ...about(description), ...more } };
}

/** Describes a whole number from 0. */
export function count(description = "", more: Json = {}): Shape<number> {
  return { json: { type: "integer", minimum: 0, ...about(description), ...more } };
}

/** Describes a number. */
export function number(description = ""): Shape<number> {
  return { json: { type: "number", ...about(description) } };
}

/** Describes true or false. */
export function boolean(description = ""): Shape<boolean> {
  return { json: { type: "boolean", ...about(description) } };
}

/** Describes a list. */
export function list<T>(of: Shape<T>, description = ""): Shape<readonly T[]> {
  return { json: { type: "array", items: of.json, ...about(description) } };
}

/** Describes an object whose keys are not known in advance. */
export function map<T>(of: Shape<T>, description = ""): Shape<Readonly<Record<string, T>>> {
  return { json: { type: "object", additionalProperties: of.json, ...about(description) } };
}

/** Describes an object. */
export function object<const F extends Fields>(
  fields: F,
  description = "",
): Shape<Required<F> & Optional<F>> {
  const required = Object.keys(fields).filter((key) => !("isOptional" in fields[key]!));
  return {
    json: {
      type: "object",
      properties: Object.fromEntries(Object.entries(fields).map(([key, { json }]) => [key, json])),
      ...(required.length > 0 && { required }),
      additionalProperties: false,
      ...about(description),
    },
  };
}

/** Lets an object lack the field. */
export function optional<T>(shape: Shape<T>): OptionalShape<T> {
  return { ...shape, isOptional: true };
}

/** Lets the value be null. */
export function nullable<T>({ json }: Shape<T>): Shape<T | null> {
  const { description, ...plain } = json;
  return { json: { anyOf: [plain, { type: "null" }], ...(description !== undefined && { description }) } };
}

function about(description: string): Json {
  return description === "" ? {} : { description };
}
