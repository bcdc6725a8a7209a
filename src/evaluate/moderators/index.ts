import { z } from "zod";
import { choice, choose, file, type Named, table } from "../../choice.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { Device } from "../../runtime/index.ts";
import { BeaverDamOptions, beaverDam } from "./beaver-dam.ts";
import { classifier, loadClassifier } from "./classifier.ts";
import { JudgeOptions, judge } from "./judge.ts";
import { LlamaGuardOptions, llamaGuard } from "./llama-guard.ts";
import type { Moderator } from "./moderator.ts";
import { refusalPhrases } from "./refusal-phrases.ts";
import { SequenceClassifierOptions, sequenceClassifier } from "./sequence-classifier.ts";
import { world } from "./world.ts";

export * from "./classifier.ts";
export { JudgeOptions, judge } from "./judge.ts";
export * from "./moderator.ts";
export * from "./refusal-phrases.ts";

/** What moderators are opened with. */
export interface Opening {
  /** The bytes of a file that its settings name. */
  read(file: string): Uint8Array;
  /** What models among them are computed on. */
  readonly device: Device;
}

export type OpenModerator = (opening: Opening) => Moderator;

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
      ({ read }) =>
        classifier(loadClassifier(new TextDecoder().decode(read(file)), file)),
  }),
  choice({
    name: "beaver-dam",
    options: BeaverDamOptions,
    create:
      (settings): OpenModerator =>
      ({ device }) =>
        beaverDam(settings, device),
  }),
  choice({
    name: "llama-guard",
    options: LlamaGuardOptions,
    create:
      (settings): OpenModerator =>
      ({ device }) =>
        llamaGuard(settings, device),
  }),
  choice({
    name: "sequence-classifier",
    options: SequenceClassifierOptions,
    create:
      (settings): OpenModerator =>
      ({ device }) =>
        sequenceClassifier(settings, device),
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
 * Opens a moderator by name, with its settings. A model that it asks is loaded when the first answers are judged.
 *
 * @throws {BoosterError} `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`, or what opening it throws
 * @example
 * await openModerator({ name: "classifier", file: "moderator.json" }).judge([{ prompt, answer }]);
 */
export const openModerator = (
  chosen: Named,
  { read = (file: string) => readSmallFile(file, MAX_FILE_BYTES), device = new Device() }: Partial<Opening> = {},
): Moderator => choose(MODERATORS, chosen)({ read, device });
