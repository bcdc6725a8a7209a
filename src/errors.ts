/** What an error tells its reader: what was wanted, what was there instead, where, and what to do next. */
export interface ErrorDetails {
  readonly expected?: string;
  readonly found?: string;
  /** File, line, tensor name or option: the place where the reader should look. */
  readonly where?: string;
  /** The next thing to try. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The one error class of the project: a stable code for programs, a full sentence for people.
 *
 * @example
 * throw new BoosterError("SHAPE_MISMATCH", "matmul cannot multiply these", { expected: "[.., 8]", found: "[4, 3]" });
 */
export class BoosterError extends Error {
  readonly code: string;
  /** The sentence alone, without the details that the message repeats. */
  readonly problem: string;
  readonly details: ErrorDetails;

  constructor(code: string, problem: string, details: ErrorDetails = {}) {
    const parts = [problem];
    if (details.expected !== undefined) parts.push(`expected ${details.expected}`);
    if (details.found !== undefined) parts.push(`found ${details.found}`);
    let message = parts.join("; ");
    if (details.where !== undefined) message += ` (${details.where})`;
    if (details.hint !== undefined) message += `. ${details.hint}`;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "BoosterError";
    this.code = code;
    this.problem = problem;
    this.details = details;
  }
}
