import { z } from "zod";
import { BoosterError, rowNamed } from "../../errors.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { classifier, loadClassifier } from "./classifier.ts";
import { JUDGE_TEMPLATE, judge } from "./judge.ts";
import type { Moderator } from "./moderator.ts";
import { refusalPhrases } from "./refusal-phrases.ts";

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

/** How a moderator is made from its settings in a run's configuration. */
interface ModeratorRow {
  readonly name: string;
  readonly summary: string;
  readonly settings: z.ZodObject;
  open(settings: unknown): Promise<Moderator>;
}

/** Some million buckets as text. */
const MAX_CLASSIFIER_BYTES = 64 * 2 ** 20;

const row = <S extends z.ZodObject>(
  name: string,
  summary: string,
  settings: S,
  open: (settings: z.output<S>) => Promise<Moderator>,
): ModeratorRow => ({
  name,
  summary,
  settings,
  async open(given) {
    const parsed = settings.safeParse(given);
    if (parsed.success) return open(parsed.data);
    throw new BoosterError("MODERATOR_SETTINGS", `the settings of moderator ${name} are not right`, {
      found: z.prettifyError(parsed.error),
    });
  },
});

/** The moderators that a configuration can name. A world's own exact rule joins through `ruleModerator`. */
export const MODERATORS: readonly ModeratorRow[] = [
  row("refusal-phrases", "a list of refusal phrases", z.strictObject({}), async () => refusalPhrases),
  row(
    "classifier",
    "a classifier trained on labelled answers",
    z.strictObject({ file: z.string().min(1).describe("File that saveClassifier wrote") }),
    async ({ file }) =>
      classifier(loadClassifier(Buffer.from(readSmallFile(file, MAX_CLASSIFIER_BYTES)).toString("utf8"), file)),
  ),
  row(
    "judge",
    "a language model behind an OpenAI-compatible API",
    z.strictObject({
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
    async (settings) => judge(settings),
  ),
];

/** Opens a moderator by name. Throws `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`, or what opening it throws. */
export async function openModerator(name: string, settings: unknown = {}): Promise<Moderator> {
  return rowNamed(MODERATORS, name, "MODERATOR_UNKNOWN", "there is no such moderator").open(settings);
}
