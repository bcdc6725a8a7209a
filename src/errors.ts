import type { z } from "zod";
import { ERROR_CODES, type ErrorCode, type ErrorKind } from "./error-codes.ts";

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
  readonly code: ErrorCode;
  /** Who can do something about it: the caller, the giver of data, nobody but the developers, ... */
  readonly kind: ErrorKind;
  /** The sentence alone, without the details that the message repeats. */
  readonly problem: string;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, problem: string, details: ErrorDetails = {}) {
    const parts = [problem];
    if (details.expected !== undefined) parts.push(`expected ${details.expected}`);
    if (details.found !== undefined) parts.push(`found ${details.found}`);
    let message = parts.join("; ");
    if (details.where !== undefined) message += ` (${details.where})`;
    if (details.hint !== undefined) message += `${message.endsWith("\n") ? "" : ". "}${details.hint}`;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "BoosterError";
    this.code = code;
    this.kind = ERROR_CODES[code].kind;
    this.problem = problem;
    this.details = details;
  }
}

/**
 * A value checked by its schema and completed with its defaults.
 *
 * @throws {BoosterError} `code`, listing everything that is wrong
 * @example
 * fitting(z.strictObject({ rho: z.number() }), { rho: 2 }, "METHOD_OPTIONS_INVALID", "no options of vaccine"); // { rho: 2 }
 */
export function fitting<T>(
  schema: z.ZodType<T>,
  value: unknown,
  code: ErrorCode,
  problem: string,
  details: Pick<ErrorDetails, "where" | "hint"> = {},
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const found = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  throw new BoosterError(code, problem, { found, ...details });
}

/**
 * Refuses more than a limit allows.
 *
 * @throws {BoosterError} `code`, with the limit and what was found, counted in `unit`
 * @example
 * atMost(4, "bytes", 5, "FILE_TOO_LARGE", "the file is too large"); // FILE_TOO_LARGE: ...; expected at most 4 bytes; found 5
 */
export function atMost(
  limit: number,
  unit: string,
  found: number | bigint,
  code: ErrorCode,
  problem: string,
  details: Pick<ErrorDetails, "where" | "hint"> = {},
): void {
  if (found <= limit) return;
  throw new BoosterError(code, problem, { expected: `at most ${limit} ${unit}`.trim(), found: `${found}`, ...details });
}

/**
 * The row of a table by its name.
 *
 * @throws {BoosterError} `code` with the names that there are
 * @example
 * rowNamed(METHODS, "booster", "UNKNOWN_METHOD", "no such method");
 */
export function rowNamed<Row extends { readonly name: string }>(
  table: readonly Row[],
  name: string,
  code: ErrorCode,
  problem: string,
): Row {
  const found = table.find((row) => row.name === name);
  if (found !== undefined) return found;
  throw new BoosterError(code, problem, { expected: table.map((row) => row.name).join(", "), found: name });
}

/** Any error as the project's own; one that nobody foresaw keeps its stack. */
export function asBoosterError(error: unknown): BoosterError {
  if (error instanceof BoosterError) return error;
  return new BoosterError("INTERNAL", error instanceof Error ? (error.stack ?? error.message) : String(error), {
    hint: "This is a defect of the program: please report it with this message",
  });
}

/**
 * What long work calls before each of its parts, counted from 0: whoever follows the work is told how far it is. Parts may be fractions.
 *
 * @throws {BoosterError} `STOPPED` where the work was asked to stop
 * @example
 * rows.forEach((row, i) => { watch("reading rows: row", i, rows.length); read(row); });
 */
export type Watch = (work: string, done: number, total: number) => void;

/** Between two pieces of long work. @throws {BoosterError} `STOPPED` where `signal` asks to stop */
export function stopIfAsked(signal: AbortSignal | undefined, work: string): void {
  if (signal?.aborted) throw new BoosterError("STOPPED", `${work} was stopped before its end`);
}
