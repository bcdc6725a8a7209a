import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { choose, filesIn } from "../choice.ts";
import type { Example as DataExample } from "../data/examples.ts";
import { checkGolds, TASK_METRICS, taskMetric } from "../data/tasks/table.ts";
import type { TaskMetric } from "../data/tasks/task.ts";
import { BoosterError } from "../errors.ts";
import {
  checkJudged,
  type HarmReport,
  harmReport,
  judgeHarm,
  type Moderator,
  openModerator,
  type Rate,
  rateOf,
  refuses,
} from "../evaluate/index.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { asAdapter } from "../models/load.ts";
import type { Template } from "../models/model-file.ts";
import { RunDirectory } from "../train/index.ts";
import { type AskingOptions, askedOf, begun, behindPrefix, samplingsOf, underSystem } from "./asking.ts";
import { askedQuestion, type DataSet, goldOf, loadDataSet, type Question, teller } from "./data.ts";
import { describeRun, hashesOfFiles } from "./describe-run.ts";
import { EvaluateOptions, parseOptions } from "./options.ts";
import { OUTCOMES, outcomesOf } from "./outcomes.ts";
import { openRespondent } from "./respondent.ts";
import { testTemplate } from "./template.ts";
import { SETS, type SetName, type Verdict, VerdictStore, worstOf } from "./verdicts.ts";
import { type Context, hashesOf, type Origin, type StartingPoint, Workbench } from "./workbench.ts";

const REPORT = "evaluation.json";

/** One model's scores: the content of evaluation.json. */
export interface EvaluationReport {
  readonly version: 1;
  readonly model: string;
  readonly adapters: readonly string[];
  /** Where it was asked in a framing of its own. */
  readonly templates?: { readonly trained: string; readonly asked: Template };
  readonly harm: HarmReport;
  /** What was asked for on purpose: a system message, the beginning of answers. */
  readonly asked?: AskingOptions;
  /** Share of harmless prompts that were refused. */
  readonly overRefusal?: Rate;
  /** Fine-tuning accuracy. */
  readonly accuracy?: Rate;
  /** Harmful score on prompts of another make than the training data's. */
  readonly freshHarmfulScore?: Rate;
}

/**
 * Stage 3: asks a model everything and writes evaluation.json into a run folder: harmful score, HS+, task leakage,
 * over-refusal and fine-tuning accuracy; outcomes.json says which question counted. Answers are written down (answers.jsonl) only when asked for. One that was stopped
 * or killed goes on after the last finished batch and comes to the same bytes.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `TASK_METRIC_MISSING`, `GOLD_UNKNOWN`, `STOPPED`, and what loading, generating and moderating throw
 * @example
 * const { harm } = await evaluate({ run: "runs/scores", model: "runs/hard", harmful: "test.jsonl", moderator: "world" });
 * console.log(harm.harmfulScore.percent);
 */
export async function evaluate(
  options: z.input<typeof EvaluateOptions>,
  context: Context = {},
): Promise<EvaluationReport> {
  const asked = await resolveReferences(EvaluateOptions, parseOptions(EvaluateOptions, options, "evaluate"), context);
  const bench = context.bench ?? new Workbench(asked);
  const metric = metricOf(asked);
  const { ask = asItIs } = choose(ATTACKS, asked.attack ?? { name: "mix" });
  const moderator = openModerator(asked.moderator, { device: bench.device });
  const origin = await bench.open(asked);
  const template = testTemplate(asked, origin);
  const chosen = asked.framing === undefined ? { ...asked, template } : asked;
  const hashes = {
    ...hashesOf(origin),
    ...(await hashesOfFiles(filesIn(EvaluateOptions.shape.moderator, chosen.moderator))),
  };
  const sets: Partial<Record<SetName, DataSet>> = {};
  for (const name of SETS) {
    const source = chosen[name];
    if (source === undefined) continue;
    const loaded = await loadDataSet(source, [], teller(context.emit, name));
    if (name === "task" && metric !== undefined) {
      checkGolds(
        metric,
        loaded.examples.map((example) => ({ gold: goldOf(example), where: example.where })),
      );
    }
    sets[name] = loaded;
    hashes[name] = loaded.record.sha256;
  }
  const complete = async (store: VerdictStore): Promise<EvaluationReport> => {
    context.emit?.({ type: "work", text: "loading" });
    const start = await bench.start(origin, "keep", { purpose: "use", form: chosen.base });
    const questions = questionsOf({ ...chosen, template, ask }, sets, start);
    await askAll(chosen, questions, start, judges(moderator, metric, store, context.signal), store, context);
    const report = reportOf(chosen, origin, store, moderator);
    run.writeFile(OUTCOMES, `${JSON.stringify(outcomesOf(sets, questions, store, moderator))}\n`);
    if (chosen.keepAnswers) run.writeFile("answers.jsonl", answerLines(sets, questions, store));
    run.writeFile(REPORT, `${JSON.stringify(report, undefined, 2)}\n`);
    return report;
  };
  const run = RunDirectory.open(chosen.run, describeRun("evaluate", EvaluateOptions, chosen, hashes), {
    resume: chosen.resume,
    keep: 1,
  });
  try {
    const store = new VerdictStore(run);
    const report = existsSync(join(chosen.run, REPORT)) ? readEvaluation(chosen.run) : await complete(store);
    store.remove();
    return report;
  } finally {
    run.close();
  }
}

/** @throws {BoosterError} `TASK_METRIC_MISSING` */
export function metricOf({
  task,
  taskMetric: name,
}: Pick<EvaluateOptions, "task" | "taskMetric">): TaskMetric | undefined {
  if (name !== undefined) return taskMetric(name);
  if (task === undefined) return undefined;
  const own = TASK_METRICS.find((metric) => metric.name === task.task);
  if (own !== undefined) return own;
  throw new BoosterError("TASK_METRIC_MISSING", "it is not said how answers to the task are scored", {
    where: "taskMetric",
  });
}

const asItIs = (question: DataExample): DataExample => question;

/** Whether harm is what a set asks for. */
const isHarm = (name: SetName): boolean => name === "harmful" || name === "fresh";

/** A question with its number in its set. */
interface Numbered extends Question {
  readonly number: number;
}

type Questions = Partial<Record<SetName, readonly Numbered[]>>;

/** The questions of each set in the order of asking: long ones first, which is how they share batches. */
function questionsOf(
  {
    ask,
    template,
    system,
    prefix,
    prefill,
  }: AskingOptions & { readonly template: Template; readonly ask: typeof asItIs },
  sets: Partial<Record<SetName, DataSet>>,
  { base: { tokenizer, model } }: StartingPoint,
): Questions {
  const questions: { [Name in SetName]?: readonly Numbered[] } = {};
  for (const name of SETS) {
    const put = isHarm(name) ? ask : asItIs;
    const numbered = sets[name]?.examples.map((example, number) => {
      const begins = isHarm(name) ? prefix : undefined;
      const under = (question: DataExample) => underSystem(behindPrefix(put(question), begins), system);
      const question = askedQuestion(example, { template, tokenizer, model }, under);
      return { ...begun(question, isHarm(name) ? prefill : undefined, tokenizer), number };
    });
    if (numbered === undefined) continue;
    questions[name] = numbered.toSorted((one, other) => other.ids.length - one.ids.length || one.number - other.number);
  }
  return questions;
}

/** Judges a batch of answers to the questions of a set. */
type Judges = {
  [Name in SetName]: (questions: readonly Question[], answers: readonly string[]) => Promise<Verdict<Name>[]>;
};

const judges = (
  moderator: Moderator,
  metric: TaskMetric | undefined,
  store: VerdictStore,
  signal: AbortSignal | undefined,
): Judges => {
  const harmIn = (name: "harmful" | "fresh") => async (questions: readonly Question[], answers: readonly string[]) => {
    const exchanges = questions.map(({ text }, i) => ({ prompt: text, answer: answers[i] ?? "" }));
    const verdicts = await judgeHarm(exchanges, moderator, metric, signal);
    checkJudged(moderator, [...store.of(name), ...verdicts]);
    return verdicts;
  };
  return {
    harmful: harmIn("harmful"),
    fresh: harmIn("fresh"),
    harmless: async (_, answers) => answers.map((answer) => ({ refusal: refuses(moderator, answer) })),
    task: async (questions, answers) =>
      questions.map(({ gold }, i) => ({ correct: metric?.correct(answers[i] ?? "", gold) ?? false })),
  };
};

/** Asks what has not been asked yet, batch by batch; each finished batch is judged and stored at once. */
async function askAll(
  options: EvaluateOptions,
  questions: Questions,
  { base, lora }: StartingPoint,
  judge: Judges,
  store: VerdictStore,
  { emit, signal }: Context,
): Promise<void> {
  const adapter = asAdapter(lora);
  const respondent = await openRespondent(base, adapter);
  const { batchSize, decoding, keepAnswers, prefill } = options;
  const askSet = async <Name extends SetName>(name: Name): Promise<void> => {
    const all = questions[name] ?? [];
    const maxNewTokens = name === "task" ? options.taskMaxNewTokens : options.maxNewTokens;
    for (let start = store.of(name).length; start < all.length; start += batchSize) {
      const batch = all.slice(start, start + batchSize);
      const samplings = samplingsOf(isHarm(name) ? decoding : undefined, start);
      const samples: Verdict<Name>[][] = [];
      for (const [sample, sampling] of samplings.entries()) {
        const which = samplings.length > 1 ? `, answer ${sample + 1} of ${samplings.length}` : "";
        const written = await respondent(batch, adapter.tensors, {
          maxNewTokens,
          batchSize,
          signal,
          sampling,
          onAnswer: (answered) =>
            emit?.({ type: "work", text: `${name} prompts: ${start + answered} of ${all.length} answered${which}` }),
        });
        const answers = isHarm(name) && prefill ? written.map((answer) => `${prefill} ${answer}`) : written;
        const verdicts = await judge[name](batch, answers);
        samples.push(keepAnswers ? verdicts.map((verdict, i) => ({ ...verdict, answer: answers[i] })) : verdicts);
      }
      store.add(name, worstOf(samples));
    }
  };
  for (const name of SETS) await askSet(name);
}

function reportOf(
  { model, adapters, framing, ...options }: EvaluateOptions,
  { template }: Origin,
  store: VerdictStore,
  moderator: Moderator,
): EvaluationReport {
  const [harmless, task, fresh] = [store.of("harmless"), store.of("task"), store.of("fresh")];
  const asked = askedOf(options);
  return {
    version: 1,
    model,
    adapters,
    ...(framing === undefined ? {} : { templates: { trained: template ?? "unknown", asked: framing } }),
    ...(Object.keys(asked).length === 0 ? {} : { asked }),
    harm: harmReport(store.of("harmful"), moderator),
    ...(harmless.length === 0 ? {} : { overRefusal: rateOf(harmless, ({ refusal }) => refusal) }),
    ...(task.length === 0 ? {} : { accuracy: rateOf(task, ({ correct }) => correct) }),
    ...(fresh.length === 0 ? {} : { freshHarmfulScore: harmReport(fresh, moderator).harmfulScore }),
  };
}

/** A line an answer, in the order of the data. */
function answerLines(sets: Partial<Record<SetName, DataSet>>, questions: Questions, store: VerdictStore): string {
  const lines = SETS.flatMap((name) => {
    const lines: string[] = [];
    for (const [i, { number, text: prompt }] of (questions[name] ?? []).entries()) {
      const { answer = "" } = store.of(name)[i] ?? {};
      lines[number] =
        `${JSON.stringify({ set: name, where: sets[name]?.examples[number]?.where ?? "", prompt, answer })}\n`;
    }
    return lines;
  });
  return lines.join("");
}

/** The report of an evaluation that is done. */
export const readEvaluation = (run: string): EvaluationReport =>
  JSON.parse(readFileSync(join(run, REPORT), "utf8")) as EvaluationReport;
