import type { Example } from "./examples.ts";
import { readExamples } from "./formats.ts";
import type { SourceOptions } from "./options.ts";
import { type DataFile, loadRows } from "./sources.ts";
import { loadTask } from "./tasks/table.ts";

/** Examples with what a run records about where they came from. */
export interface LoadedExamples {
  readonly examples: readonly Example[];
  /** The task, or the format that was told or found. */
  readonly readAs: string;
  readonly files: readonly DataFile[];
}

/**
 * Loads the examples that a configuration names.
 *
 * @throws {BoosterError} `DATA_NOT_FOUND`, `DATA_INVALID`, `DATA_COLUMNS_UNKNOWN`, `DATA_EMPTY`, and whatever `loadRows`
 * throws
 * @example
 * const { examples, readAs } = await loadExamples({ path: "train/*.jsonl" });
 * console.log(`${examples.length} examples, read as ${readAs}`);
 */
export async function loadExamples(source: SourceOptions): Promise<LoadedExamples> {
  const first = <T>(examples: readonly T[]) => examples.slice(0, source.limit);
  const reading = source.kind === undefined ? {} : { kind: source.kind };
  if (source.task !== undefined) {
    const { examples, files } = await loadTask(source.task, source.path, reading);
    return { examples: first(examples), readAs: source.task, files };
  }
  const { rows, files, faults } = await loadRows(source.path, reading);
  const { format, examples } = readExamples(rows, source.format, faults);
  return { examples: first(examples), readAs: format, files };
}
