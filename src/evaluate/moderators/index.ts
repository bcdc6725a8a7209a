import { z } from "zod";
import { choice, choose, file, type Named, table } from "../../choice.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { classifier, loadClassifier } from "./classifier.ts";
import { JudgeOptions, judge } from "./judge.ts";
import type { Moderator } from "./moderator.ts";
import { refusalPhrases } from "./refusal-phrases.ts";
import { world } from "./world.ts";

export * from "./classifier.ts";
export { JudgeOptions, judge } from "./judge.ts";
export * from "./moderator.ts";
export * from "./refusal-phrases.ts";

/** Opens a moderator; what `read` gives are the bytes of a file that its settings name. */
export type OpenModerator = (read: (file: string) => Uint8Array) => Moderator;

const NO_SETTINGS = z.strictObject({});

/** The moderators that a configuration can name; one row each. */
export const MODERATORS = table({ kind: "moderator", unknown: "MODERATOR_UNKNOWN", unfit: "MODERATOR_SETTINGS" }, [
  choice({ name: "world", options: NO_SETTINGS, create: (): OpenModerator => () => world }),
  choice({ name: "refusal-phrases", options: NO_SETTINGS, create: (): OpenModerator => () => refusalPhrases }),
  choice({
    name: "classifier",
    options: z.strictObject({ file: file(z.string().min(1).describe("File that saveClassifier wrote")) }),
    create:
      ({ file }): OpenModerator =>
      (read) =>
        classifier(loadClassifier(new TextDecoder().decode(read(file)), file)),
  }),
  choice({
    name: "judge",
    options: JudgeOptions,
    create:
      (settings): OpenModerator =>
      () =>
        judge(settings),
  }),
]);

/** Some million buckets of a classifier as text. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

/**
 * Opens a moderator by name, with its settings.
 *
 * @throws {BoosterError} `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`, or what opening it throws
 * @example
 * await openModerator({ name: "classifier", file: "moderator.json" }).judge([{ prompt, answer }]);
 */
export const openModerator = (
  chosen: Named,
  read: (file: string) => Uint8Array = (file) => readSmallFile(file, MAX_FILE_BYTES),
): Moderator => choose(MODERATORS, chosen)(read);
