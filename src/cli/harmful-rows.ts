import { collectExamples, type Example } from "../data/examples.ts";
import { type LoadedExamples, readingOf } from "../data/load.ts";
import type { SourceOptions } from "../data/options.ts";
import { flagOf, placeOf, type Row } from "../data/rows.ts";
import { loadRows } from "../data/sources.ts";
import { TASKS } from "../data/tasks/table.ts";

/** What stands in the place of a harmful text that nobody asked to see. */
export const WITHHELD = "(harmful text withheld; --show-harmful shows it)";

/**
 * Tells which examples are harmful: all of a task of harmful rows, otherwise those whose row says so (`harmful: true`, as
 * `booster data prepare` writes, or `is_safe: false`, as BeaverTails does).
 *
 * @throws {BoosterError} `DATA_INVALID` where a row says neither yes nor no
 */
export async function findHarmful(source: SourceOptions, { examples }: LoadedExamples): Promise<Set<Example>> {
  if (source.task !== undefined && TASKS[source.task].role === "harmful") return new Set(examples);
  const { rows, faults } = await loadRows(source.path, readingOf(source));
  const places = new Set(collectExamples(rows, (row) => (saysHarmful(row) ? placeOf(row) : undefined), faults));
  return new Set(examples.filter(({ where }) => places.has(where)));
}

const saysHarmful = (row: Row): boolean => flagOf(row, "harmful") === true || flagOf(row, "is_safe") === false;
