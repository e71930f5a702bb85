/** Bencode as it is decoded: integers beyond 2^53 are bigints, dictionary keys are Latin-1 text. */
export type Bencode = number | bigint | Uint8Array | Bencode[] | Map<string, Bencode>;

/** Bytes that are no bencode. `offset` is where. */
export class BencodeError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.name = "BencodeError";
    this.offset = offset;
  }
}

export interface DecodeLimits {
  /** Dictionaries and lists within one another; 32 unless told. */
  maxDepth?: number;
  /** Bytes of the input; 1 MiB unless told. */
  maxLength?: number;
  /** Whether dictionary keys must be sorted and unique (BEP 3); false unless told, since real trackers send others. */
  strictKeys?: boolean;
}

export function decodeBencode(_bytes: Uint8Array, _limits: DecodeLimits = {}): Bencode {
  throw new BencodeError("not implemented", 0);
}
