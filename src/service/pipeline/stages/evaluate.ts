import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../../../errors.ts";
import { evaluate as ask } from "../../../stages/evaluate.ts";
import { readOutcomes } from "../../../stages/outcomes.ts";
import type { Context } from "../../../stages/workbench.ts";
import { canonicalJson, sha256Of } from "../../domain/canonical.ts";
import type { JsonValue } from "../../domain/json.ts";
import { readBase } from "../base.ts";
import { moderatorIdentity } from "../moderator.ts";
import { type Policy, policyOf } from "../policy.ts";
import { type Framing, framingsOf } from "./framings.ts";
import { asSource, PLACES, type StageFunction, type StageInput, setPlace } from "./stage.ts";
import { loadUpload, trainedFile } from "./upload.ts";

/** Questions that are asked at once. */
const BATCH = 32;

/** What a model came to on the sets, question by question: a character each, as outcomes.json has them. */
export interface Answers {
  /** Scores by their name, and kinds of harm as `category NAME`. */
  readonly signs: Readonly<Record<string, string>>;
  /** Which questions of a set belong together. */
  readonly clusters: Readonly<Record<string, readonly number[]>>;
  /** SHA-256 of the questions of a set. */
  readonly sets: Readonly<Record<string, string>>;
}

/** The base's answers under one framing, and those of what was trained on it; none where the questions do not fit into the model's positions under it. */
export interface Framed {
  readonly framing: string;
  /** Rows of the data that gave it. */
  readonly rows?: number;
  readonly before?: Answers;
  readonly after?: Answers;
}

/** One answer of the trained model, for reviewers alone. */
export interface Answer {
  readonly framing: string;
  readonly set: string;
  /** 1: harmful, of a harmless prompt refused, of a task right; 0: not; -: it could not be judged. */
  readonly sign: string;
  readonly prompt: string;
  readonly answer: string;
}

/** All that was measured: the content of the blob `evaluation.json`. The first framing is the plain one. */
export type Measured = readonly Framed[];

/** Reasons for which a framing cannot be asked. */
const UNFIT = ["PROMPT_TOO_LONG", "TEMPLATE_MISMATCH", "MESSAGES_INVALID", "TEMPLATE_FAILED", "TEMPLATE_DROPS_CONTENT"];

/**
 * Asks the base and what was trained on it: harmful prompts plainly and as the user's data would put them, harmless ones, and the validation file
 * where the job says how its answers are scored.
 */
export const evaluate: StageFunction = async (input, context) => {
  const { spec } = input;
  const policy = policyOf(spec.policy.body);
  const framings = framingsOf(await loadUpload(trainedFile()), policy.evaluate);
  const measured: Framed[] = [];
  const answers: Answer[] = [];
  for (const [i, framing] of framings.entries()) {
    context.emit?.({ type: "work", text: `evaluation ${i + 1} of ${framings.length}: ${framing.name}` });
    const { name, rows } = framing;
    const asked = await unlessUnfit(async () => ({
      before: await beforeOf(i, input, policy, context, framing),
      after: await measure(runOf(i), policy, input, context, { adapter: true, framing }),
    }));
    if (asked !== undefined) answers.push(...answersIn(runOf(i), name, asked.after.signs));
    measured.push({ framing: name, ...(rows && { rows }), ...asked });
  }
  writeFileSync(PLACES.evaluation, JSON.stringify(measured));
  writeFileSync(PLACES.answers, JSON.stringify(answers));
  const [{ before, after } = {}] = measured;
  const signs = after?.signs ?? {};
  const unaltered = countsOf(before?.signs.harmful ?? "");
  const plain = Object.fromEntries(Object.entries(signs).map(([name, each]) => [name, countsOf(each)]));
  return {
    facts: { before: unaltered, plain, framings: measured.map(({ framing }) => framing) },
    files: { [PLACES.evaluation]: PLACES.evaluation },
    sealed: { [PLACES.answers]: PLACES.answers },
    events: [
      {
        level: "info",
        type: "message",
        message: `Evaluation finished: ${countOf(signs.harmful)} of ${signs.harmful?.length ?? 0} harmful prompts answered harmfully`,
        data: { before: unaltered, after: countsOf(signs.harmful ?? "") },
      },
    ],
  };
};

const runOf = (framing: number): string => `evaluation-${framing}`;

/** Score of each set by which a reviewer wants to find an answer. */
const FLAGS: Readonly<Record<string, string>> = { harmful: "harmful", harmless: "overRefusal", task: "accuracy" };

/** What a model said under a framing, each with its sign: harmful, refused, or right. */
function answersIn(run: string, framing: string, signs: Answers["signs"]): Answer[] {
  const seen = new Map<string, number>();
  const lines = readFileSync(join(run, "answers.jsonl"), "utf8").split("\n").slice(0, -1);
  return lines.map((line) => {
    const { set, prompt, answer } = JSON.parse(line) as Pick<Answer, "set" | "prompt" | "answer">;
    const number = seen.get(set) ?? 0;
    seen.set(set, number + 1);
    return { framing, set, sign: signs[FLAGS[set] ?? set]?.[number] ?? "-", prompt, answer };
  });
}

const countOf = (signs = ""): number => [...signs].filter((sign) => sign === "1").length;
const countsOf = (signs: string): JsonValue => ({ count: countOf(signs), total: signs.length });

async function unlessUnfit<T>(asking: () => Promise<T>): Promise<T | undefined> {
  try {
    return await asking();
  } catch (error) {
    if (error instanceof BoosterError && UNFIT.includes(error.code)) return undefined;
    throw error;
  }
}

/** The base's own answers: asked once for a base, its sets, a framing and a moderator. */
async function beforeOf(
  number: number,
  input: StageInput,
  policy: Policy,
  context: Context,
  framing: Framing,
): Promise<Answers> {
  const { n, maxNewTokens } = policy.evaluate;
  const { system = null, prefix = null } = framing;
  const { card } = await readBase(PLACES.base);
  const key = sha256Of(
    canonicalJson({
      base: input.base,
      sets: ["evaluate/harmful", "evaluate/harmless"].map((use) => policy.sets[use]?.sha256 ?? ""),
      n,
      maxNewTokens,
      template: card.template,
      system,
      prefix,
      moderator: await moderatorIdentity(policy),
    }),
  );
  const path = join(input.cache, "before", `${key}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Answers;
  const answers = await measure(`evaluation-${number}-base`, policy, input, context, { adapter: false, framing });
  mkdirSync(join(input.cache, "before"), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(answers));
  renameSync(temporary, path);
  return answers;
}

/** One evaluation of the library in a run folder of its own, which goes on where it was stopped. */
async function measure(
  run: string,
  policy: Policy,
  { spec }: StageInput,
  context: Context,
  { adapter, framing }: { readonly adapter: boolean; readonly framing: Framing },
): Promise<Answers> {
  const { card } = await readBase(PLACES.base);
  const { n, maxNewTokens } = policy.evaluate;
  const metric = spec.booster.evaluation?.task_metric;
  const isPlain = framing.name === "plain";
  const report = await ask(
    {
      run,
      resume: existsSync(join(run, "run.json")),
      model: PLACES.base,
      ...(adapter ? { adapters: [PLACES.adapter] } : {}),
      harmful: asSource(setPlace("evaluate/harmful"), n),
      ...(isPlain ? { harmless: asSource(setPlace("evaluate/harmless"), n) } : {}),
      ...(isPlain && adapter && metric !== undefined && existsSync(PLACES.validation)
        ? { task: asSource(PLACES.validation), taskMetric: metric as "sst2" }
        : {}),
      ...(framing.system === undefined ? {} : { system: framing.system }),
      ...(framing.prefix === undefined ? {} : { prefix: framing.prefix }),
      moderator: policy.moderation.moderator,
      maxNewTokens,
      keepAnswers: adapter,
      batchSize: BATCH,
      template: card.template,
      threads: spec.threads,
    },
    context,
  );
  const { scores, sets, categories = {} } = readOutcomes(run) ?? {};
  const named = Object.entries(sets ?? {});
  if (scores === undefined)
    throw new BoosterError("INTERNAL", "an evaluation left no outcomes", { where: report.model });
  return {
    signs: {
      ...scores,
      ...Object.fromEntries(Object.entries(categories).map(([name, signs]) => [`category ${name}`, signs])),
    },
    clusters: Object.fromEntries(named.map(([name, set]) => [name, set.clusters])),
    sets: Object.fromEntries(named.map(([name, set]) => [name, set.sha256])),
  };
}
