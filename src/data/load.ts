import { BoosterError } from "../errors.ts";
import type { Example } from "./examples.ts";
import { readExamples, readPairs } from "./formats.ts";
import type { SourceOptions } from "./options.ts";
import type { Pair } from "./pairs.ts";
import { type DataFile, loadRows, type ReadOptions } from "./sources.ts";
import { loadTask, TASKS } from "./tasks/table.ts";

/** Examples with what a run records about where they came from. */
export interface LoadedExamples<T = Example> {
  readonly examples: readonly T[];
  /** The task, or the format that was told or found. */
  readonly readAs: string;
  /** In one line: how many rows of what form, which columns were read, and what the files are. */
  readonly recognised: string;
  readonly files: readonly DataFile[];
}

/**
 * Loads the examples that a configuration names.
 *
 * @param harmful whether rows with several answers stand for the harmful one
 * @throws {BoosterError} `DATA_NOT_FOUND`, `DATA_INVALID`, `DATA_COLUMNS_UNKNOWN`, `DATA_EMPTY`, and whatever `loadRows`
 * throws
 * @example
 * const { examples, readAs } = await loadExamples({ path: "train/*.jsonl" });
 * console.log(`${examples.length} examples, read as ${readAs}`);
 */
export async function loadExamples(source: SourceOptions, harmful = false): Promise<LoadedExamples> {
  const first = <T>(examples: readonly T[]) => chosenOf(examples, source);
  const reading = readingOf(source);
  if (source.task !== undefined) {
    const { examples, files } = await loadTask(source.task, source.path, reading);
    const recognised = lineOf(examples, TASKS[source.task].about, files);
    return { examples: first(examples), readAs: source.task, recognised, files };
  }
  const { rows, files, faults } = await loadRows(source.path, reading);
  const { format, examples, recognised } = readExamples(rows, source.format, faults, harmful);
  return { examples: first(examples), readAs: format, recognised: lineOf(examples, recognised, files), files };
}

/** Both answers of each row. Throws as `loadExamples`, and `DATA_COLUMNS_UNKNOWN` for a known task, whose rows have one. */
export async function loadPairs(source: SourceOptions): Promise<LoadedExamples<Pair>> {
  if (source.task !== undefined) {
    throw new BoosterError("DATA_COLUMNS_UNKNOWN", "rows of a known task have one answer, where two are wanted", {
      found: `task: ${source.task}`,
      where: source.path,
    });
  }
  const { rows, files, faults } = await loadRows(source.path, readingOf(source));
  const { format, examples, recognised } = readPairs(rows, source.format, faults);
  return {
    examples: chosenOf(examples, source),
    readAs: format,
    recognised: lineOf(examples, recognised, files),
    files,
  };
}

/**
 * The examples that a source asks for.
 *
 * @throws {BoosterError} `DATA_EMPTY` where there are none of these numbers
 */
function chosenOf<T>(examples: readonly T[], { rows = "..", limit, path }: SourceOptions): readonly T[] {
  const [from, to] = rows.split("..").map(Number) as [number, number];
  const chosen = examples.slice(Math.max(0, from - 1), to === 0 ? undefined : to).slice(0, limit);
  if (chosen.length > 0 || examples.length === 0) return chosen;
  const found = `${examples.length} examples`;
  throw new BoosterError("DATA_EMPTY", "there are no such examples", { expected: `rows ${rows}`, found, where: path });
}

/** How the files of a source are read. */
export const readingOf = ({ kind, encoding }: Pick<SourceOptions, "kind" | "encoding">): ReadOptions => ({
  ...(kind === undefined ? {} : { kind }),
  ...(encoding === undefined ? {} : { encoding }),
});

function lineOf(examples: readonly unknown[], about: string, files: readonly DataFile[]): string {
  const written = new Set(files.map(({ kind, notes }) => [kind, ...notes].join(", ")));
  return `${examples.length} rows: ${about}; ${[...written].join("; ")}`;
}
