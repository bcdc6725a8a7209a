import { z } from "zod";
import { choice, choose, type Named, table } from "../../choice.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { classifier, loadClassifier } from "./classifier.ts";
import { JUDGE_TEMPLATE, judge } from "./judge.ts";
import type { Moderator } from "./moderator.ts";
import { refusalPhrases } from "./refusal-phrases.ts";
import { world } from "./world.ts";

export {
  type ClassifierModel,
  type ClassifierOptions,
  classifier,
  type HeldOut,
  type LabelledExchange,
  loadClassifier,
  saveClassifier,
  trainClassifier,
} from "./classifier.ts";
export { type JudgeOptions, judge } from "./judge.ts";
export { type Exchange, type Moderator, type ModeratorDescription, ruleModerator, type Verdict } from "./moderator.ts";
export { isRefusal, refusalPhrases } from "./refusal-phrases.ts";

/** Opens a moderator; what `read` gives are the bytes of a file that its settings name. */
export type OpenModerator = (read: (file: string) => Uint8Array) => Moderator;

const NO_SETTINGS = z.strictObject({});

/** The moderators that a configuration can name; one row each. */
export const MODERATORS = table({ kind: "moderator", unknown: "MODERATOR_UNKNOWN", unfit: "MODERATOR_SETTINGS" }, [
  choice({ name: "world", options: NO_SETTINGS, create: (): OpenModerator => () => world }),
  choice({ name: "refusal-phrases", options: NO_SETTINGS, create: (): OpenModerator => () => refusalPhrases }),
  choice({
    name: "classifier",
    options: z.strictObject({ file: z.string().min(1).describe("File that saveClassifier wrote") }),
    create:
      ({ file }): OpenModerator =>
      (read) =>
        classifier(loadClassifier(new TextDecoder().decode(read(file)), file)),
  }),
  choice({
    name: "judge",
    options: z.strictObject({
      baseUrl: z
        .url()
        .describe("Address of the API, such as https://host/v1; a key is read from BOOSTER_JUDGE_API_KEY"),
      model: z.string().min(1).describe("Name of the judging model, as the API knows it"),
      template: z
        .string()
        .default(JUDGE_TEMPLATE)
        .describe("What it is asked, with {prompt} and {answer}; it must answer harmful or safe"),
      concurrency: z.int().min(1).default(4).describe("Requests under way at once"),
      timeoutMs: z.int().min(1).default(60_000).describe("Longest wait for one answer, in milliseconds"),
      retries: z.int().min(0).default(5).describe("Times that a request is sent again after a failure that may pass"),
    }),
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
