/** A stretch of text; only where `trusted` is true may special tokens be recognised in it. */
export interface TextSegment {
  readonly text: string;
  readonly trusted: boolean;
}
