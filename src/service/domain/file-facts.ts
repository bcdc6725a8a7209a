/** Something wrong with a file. Says where and what, and nothing of what stands there. */
export interface FileFault {
  /** From 1; 0 where the whole file is meant. */
  readonly line: number;
  /** From 1; 0 where the whole row is meant. */
  readonly column: number;
  readonly code: string;
  readonly message: string;
}

/** What was seen of a training file while it came in. */
export interface FileFacts {
  /** Rows that can be trained on. */
  readonly rows: number;
  /** The first of them, by line. */
  readonly faults: readonly FileFault[];
  readonly faultCount: number;
}
