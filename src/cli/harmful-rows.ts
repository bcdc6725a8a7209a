import type { Example } from "../data/examples.ts";
import type { LoadedExamples } from "../data/load.ts";
import type { SourceOptions } from "../data/options.ts";
import { cellOf, placeOf } from "../data/rows.ts";
import { expandPath, scanFile } from "../data/sources.ts";
import { TASKS } from "../data/tasks/table.ts";

/** What stands in the place of a harmful text that nobody asked to see. */
export const WITHHELD = "(harmful text withheld; --show-harmful shows it)";

/**
 * Tells which examples are harmful: all of a task of harmful rows, otherwise those whose row says so (`harmful: true`, as
 * `booster data prepare` writes, or `is_safe: false`, as BeaverTails does).
 */
export async function findHarmful(source: SourceOptions, { examples }: LoadedExamples): Promise<Set<Example>> {
  if (source.task !== undefined && TASKS[source.task].role === "harmful") return new Set(examples);
  const places = new Set<string>();
  for (const path of expandPath(source.path)) {
    await scanFile(
      path,
      (row) => {
        if (cellOf(row, "harmful") === true || cellOf(row, "is_safe") === false) places.add(placeOf(row));
      },
      source.kind === undefined ? {} : { kind: source.kind },
    );
  }
  return new Set(examples.filter(({ where }) => places.has(where)));
}
