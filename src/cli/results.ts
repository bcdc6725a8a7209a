import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { BoosterError } from "../errors.ts";
import { type Placed, parseResult } from "../report/index.ts";

/** What an experiment calls its result in its folder. */
const RESULT_FILE = "result.json";

/**
 * The result of an experiment, by its file or its folder.
 *
 * @param from folder of the report, from which runs are to be found; absent: the experiment's own
 * @throws {BoosterError} `RESULT_NOT_FOUND`, `RESULT_INVALID`
 */
export function readResult(path: string, from?: string): Placed {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isFolder ? join(path, RESULT_FILE) : path;
  const folder = from === undefined ? "" : relative(from, dirname(file)).replaceAll("\\", "/");
  return { result: parseResult(read(file), path), folder };
}

function read(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code !== undefined;
    throw new BoosterError(missing ? "RESULT_NOT_FOUND" : "RESULT_INVALID", "the result cannot be read", {
      expected: `the JSON file that an experiment wrote, or its folder with ${RESULT_FILE}`,
      found: cause instanceof Error ? cause.message : String(cause),
      where: file,
      cause,
    });
  }
}
