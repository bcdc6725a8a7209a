/** A malformed file, and the error code that it must be answered with. */
export interface Attack {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly code: string;
}
