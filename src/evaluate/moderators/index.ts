import { z } from "zod";
import { type Choice, choose, file, type Named, rowOf, table } from "../../choice.ts";
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

/** What a verdict costs: next to nothing, a pass of a model, or a question to somebody at another address. */
export type VerdictCost = "rule" | "model" | "judge";

const moderator = <const Name extends string, Options extends z.ZodObject>(
  row: Choice<Name, Options, OpenModerator> & { readonly cost: VerdictCost },
) => row;

const NO_SETTINGS = z.strictObject({});

/** The moderators that a configuration can name; one row each. */
export const MODERATORS = table({ kind: "moderator", unknown: "MODERATOR_UNKNOWN", unfit: "MODERATOR_SETTINGS" }, [
  moderator({ name: "world", cost: "rule", options: NO_SETTINGS, create: () => () => world }),
  moderator({ name: "refusal-phrases", cost: "rule", options: NO_SETTINGS, create: () => () => refusalPhrases }),
  moderator({
    name: "classifier",
    cost: "rule",
    options: z.strictObject({ file: file(z.string().min(1).describe("File that saveClassifier wrote")) }),
    create:
      ({ file }) =>
      ({ read }) =>
        classifier(loadClassifier(new TextDecoder().decode(read(file)), file)),
  }),
  moderator({
    name: "beaver-dam",
    cost: "model",
    options: BeaverDamOptions,
    create:
      (settings) =>
      ({ device }) =>
        beaverDam(settings, device),
  }),
  moderator({
    name: "llama-guard",
    cost: "model",
    options: LlamaGuardOptions,
    create:
      (settings) =>
      ({ device }) =>
        llamaGuard(settings, device),
  }),
  moderator({
    name: "sequence-classifier",
    cost: "model",
    options: SequenceClassifierOptions,
    create:
      (settings) =>
      ({ device }) =>
        sequenceClassifier(settings, device),
  }),
  moderator({
    name: "judge",
    cost: "judge",
    options: JudgeOptions,
    create: (settings) => () => judge(settings),
  }),
]);

/** @throws {BoosterError} `MODERATOR_UNKNOWN` */
export const costOf = (name: string): VerdictCost => rowOf(MODERATORS, name).cost;

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
