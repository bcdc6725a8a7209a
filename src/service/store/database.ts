import type { z } from "zod";

/** Whatever runs SQL: the database, or a transaction of it. */
export interface Sql {
  /** Rows of one statement, checked by `row` where it is given; `$1`, `$2` are `params`. JSON goes in as text with `::jsonb`. */
  query<T = unknown>(text: string, params?: readonly unknown[], row?: z.ZodType<T>): Promise<T[]>;
}

/** The same SQL on two databases: PGlite in this process, PostgreSQL elsewhere. */
export interface Database extends Sql {
  readonly kind: "embedded" | "postgres";
  /** All of `body` or nothing; inside it only the given `Sql` may be asked. */
  transaction<T>(body: (sql: Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** 64-bit integers are read as numbers: none here reaches 2^53. Types by their number in PostgreSQL's catalogue. */
export const INT8 = 20;

export function checked<T>(rows: readonly unknown[], row: z.ZodType<T> | undefined): T[] {
  return row === undefined ? (rows as T[]) : rows.map((found) => row.parse(found));
}

/** Whether a statement failed because what must be unique is there already: SQLSTATE of both drivers. */
export const isTaken = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "23505";
