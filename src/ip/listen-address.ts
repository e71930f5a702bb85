/** A host and port to listen on. */
export interface ListenAddress {
  /** IP literal without brackets; `0.0.0.0` and `::` mean all addresses of that family. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
}
