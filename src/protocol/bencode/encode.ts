/** What {@link encodeBencode} takes; numbers must be safe integers. */
export type Encodable =
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Encodable[]
  | ReadonlyMap<string, Encodable>
  | { readonly [key: string]: Encodable | undefined };

export function encodeBencode(_value: Encodable): Uint8Array {
  return new Uint8Array(0);
}
