import { basename, join, relative } from "node:path";
import { choose } from "../choice.ts";
import { mean } from "../evaluate/index.ts";
import { publicName } from "../formats/hub/reference.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { compact } from "../report/format.ts";
import { type ExperimentResult, type ExperimentResultInput, parseResult } from "../report/index.ts";
import type { EvaluationReport } from "../stages/evaluate.ts";
import { readOutcomes } from "../stages/outcomes.ts";
import { readCost } from "../stages/training-run.ts";
import { type MetricsRow, readMetrics } from "../train/index.ts";
import { attackOf, idOf } from "./cell-options.ts";
import type { Attack, ExperimentOptions } from "./options.ts";
import { hyperparametersOf, isBaseline, passesOf, pipelineName, pipelineOf } from "./pipeline.ts";
import { alignmentData, attackData } from "./run-data.ts";
import { count, judging, scoresOf, sharedSets } from "./scores.ts";
import type { Searches } from "./search/found.ts";
import { axisOf, chosen, strengthLabel } from "./strengths.ts";

/** A cell's runs on disk and its scores. */
export interface CellResult {
  readonly method: number;
  readonly seed: number;
  readonly strength: number;
  readonly alignRun: string;
  readonly attackRun: string;
  readonly beforeRun: string;
  readonly afterRun: string;
  readonly before: EvaluationReport;
  readonly after: EvaluationReport;
}

/** Points of an alignment curve in a report: enough for the eye. */
const POINTS = 40;

type Run = ExperimentResultInput["runs"][number];
type AlignmentCurve = NonNullable<ExperimentResultInput["alignments"]>[number]["curve"];

/** What is known of an experiment besides its cells. */
export interface Beside {
  /** On cells that were left out. */
  readonly notes?: readonly string[];
  readonly searches?: Searches | undefined;
  /** What tells its model from others. */
  readonly base?: string;
}

/**
 * Everything that an experiment found, from its cells on disk. Numbers come from the runs alone.
 *
 * @param wallSeconds time that the experiment has taken so far, where it is known
 */
export function assemble(
  options: ExperimentOptions,
  cells: readonly CellResult[],
  wallSeconds: number | undefined,
  { notes = [], searches, base }: Beside = {},
): ExperimentResult {
  const { methods, strengths } = options;
  const attack = attackOf(options);
  const moderator = cells[0]?.after.harm.moderator;
  const found = searches?.found ?? [];
  const evaluated = [...cells, ...found.map(({ cell }) => cell)].flatMap((cell) => [cell.beforeRun, cell.afterRun]);
  const shared = sharedSets(evaluated.map(readOutcomes));
  const runOf = (cell: CellResult, strength: string): Run => ({
    method: idOf(options, cell.method),
    strength,
    seed: cell.seed,
    folders: foldersOf(options.out, cell),
    before: scoresOf(cell.before, readOutcomes(cell.beforeRun), shared),
    after: scoresOf(cell.after, readOutcomes(cell.afterRun), shared),
    ...judging(cell),
    data: attackData(cell.attackRun),
    curve: readMetrics(join(cell.attackRun, "metrics.jsonl"))
      .filter(({ kind }) => kind === "evaluation")
      .map(attackPoint),
  });
  return parseResult({
    version: 1,
    title: options.title,
    threatModel: attack.threatModel,
    model: options.modelName ?? basename(publicName(options.model)),
    ...(base !== undefined && { base }),
    task: options.taskName ?? options.evaluate.taskMetric ?? "none",
    moderator: {
      name: moderator?.name ?? "none",
      method: moderator?.method ?? "",
      ...(moderator?.accuracy === undefined ? {} : { accuracy: count(moderator.accuracy) }),
    },
    reference: idOf(options, 0),
    breakAt: options.breakAt,
    ...(options.utilityBound === undefined ? {} : { utilityBound: options.utilityBound }),
    ...(options.overRefusalBound === undefined ? {} : { overRefusalBound: options.overRefusalBound }),
    ...(options.coherenceBound === undefined ? {} : { coherenceBound: options.coherenceBound }),
    questions: Object.fromEntries(
      Object.entries(shared).map(([name, { sha256, clusters }]) => [name, { sha256, clusters: [...clusters] }]),
    ),
    settings: settingsTable(options, attack, cells[0]?.after.templates),
    notes: [...notes],
    ...(wallSeconds === undefined ? {} : { wallSeconds }),
    methods: methods.map(({ label, method, align, attack: own }, index) => ({
      id: idOf(options, index),
      name: label ?? pipelineName(method, " + "),
      kind: isBaseline(method) ? ("baseline" as const) : ("method" as const),
      hyperparameters: Object.fromEntries(
        [
          ...Object.entries(hyperparametersOf(method)),
          ...Object.entries(align).map(([option, value]) => [`align.${option}`, value] as const),
          ...Object.entries(own).map(([option, value]) => [`attack.${option}`, value] as const),
        ].map(([option, value]) => [option, asScalar(value)]),
      ),
      cost: {
        passes: passesOf(pipelineOf(method).alignment),
        ...costOf(cells.flatMap((cell) => (cell.method === index ? [cell.alignRun] : []))),
        fineTuning: {
          passes: passesOf(pipelineOf(method).fineTuning ?? own.method ?? attack.method),
          ...costOf(cells.flatMap((cell) => (cell.method === index ? [cell.attackRun] : []))),
        },
      },
    })),
    strengths: strengths.flatMap((_, index) => {
      const cell = cells.find((cell) => cell.strength === index);
      if (cell === undefined) return [];
      const label = strengthLabel(options, index);
      const given = attackOf(options, index);
      return {
        id: label,
        label,
        ...axisOf(attackOf(options, 0), given),
        learningRate: given.learningRate,
        steps: readCost(cell.attackRun).steps,
        poisonRatio: poisonOf(given),
      };
    }),
    runs: cells.map((cell) => runOf(cell, strengthLabel(options, cell.strength))),
    ...(searches && {
      search: {
        ...searches.search,
        found: found.map(({ cell, label }) => runOf(cell, label)),
      },
    }),
    alignments: cells
      .filter((cell, i) => cells.findIndex(({ method, seed }) => method === cell.method && seed === cell.seed) === i)
      .map(({ method, seed, alignRun }) => ({
        method: idOf(options, method),
        seed,
        data: alignmentData(alignRun),
        curve: alignmentCurve(readMetrics(join(alignRun, "metrics.jsonl"))),
      })),
  });
}

const foldersOf = (out: string, { alignRun, attackRun, beforeRun, afterRun }: CellResult) => {
  const inside = (run: string): string => relative(out, run).replaceAll("\\", "/");
  return { align: inside(alignRun), attack: inside(attackRun), before: inside(beforeRun), after: inside(afterRun) };
};

/** A setting as a table shows it. */
const asScalar = (value: unknown): string | number | boolean =>
  typeof value === "number" || typeof value === "boolean" || typeof value === "string"
    ? value
    : Array.isArray(value)
      ? value.join(", ")
      : value == null
        ? "none"
        : JSON.stringify(value);

/** The share of harmful rows that an attack asks for; some fix it themselves. What the reference code's rounding takes off is left out. */
function poisonOf({ attack, poisonRatio, sampleNumber }: Attack): number {
  return choose(ATTACKS, attack).needs({ poisonRatio, sampleNumber, counts: "exact" }).harmful / sampleNumber;
}

function attackPoint(row: MetricsRow): NonNullable<Run["curve"]>[number] {
  const losses = ["alignmentLoss", "harmfulTrainingLoss", "harmfulTestingLoss"] as const;
  return {
    step: Number(row.step),
    ...(row.harmfulTotal === undefined
      ? {}
      : { harmful: { count: Number(row.harmfulCount), total: Number(row.harmfulTotal) } }),
    ...Object.fromEntries(losses.flatMap((name) => (row[name] === undefined ? [] : [[name, Number(row[name])]]))),
  };
}

/** The means of equal stretches of steps. */
function alignmentCurve(rows: readonly MetricsRow[]): AlignmentCurve {
  const steps = rows.filter(({ kind }) => kind === "step");
  const size = Math.max(1, Math.ceil(steps.length / POINTS));
  const curve: AlignmentCurve = [];
  for (let start = 0; start < steps.length; start += size) {
    const part = steps.slice(start, start + size);
    // A step that was skipped has no finite loss.
    const meanOf = (name: string) => mean(part.map((row) => Number(row[name] ?? Number.NaN)).filter(Number.isFinite));
    if (!part.some((row) => Number.isFinite(row.loss))) continue;
    const simulated = part.some((row) => Number.isFinite(row.harmfulLossAfter));
    curve.push({
      step: Number(part.at(-1)?.step),
      loss: meanOf("loss"),
      ...(simulated ? { harmfulLossBefore: meanOf("harmfulLoss"), harmfulLossAfter: meanOf("harmfulLossAfter") } : {}),
    });
  }
  return curve;
}

/**
 * Time: the mean over the runs whose time is known. Memory: each run's figure bounds its own from above, since its process may
 * have done other work before, so the least of them is the closest.
 */
function costOf(runs: readonly string[]): Partial<ExperimentResult["methods"][number]["cost"]> {
  const costs = [...new Set(runs)].map(readCost);
  const timed = costs.flatMap(({ steps, secondsPerStep }) =>
    secondsPerStep === undefined ? [] : [{ secondsPerStep, seconds: steps * secondsPerStep }],
  );
  const memory = costs.flatMap(({ peakMegabytes }) => peakMegabytes ?? []);
  return {
    ...(timed.length === 0
      ? {}
      : {
          seconds: mean(timed.map(({ seconds }) => seconds)),
          secondsPerStep: mean(timed.map(({ secondsPerStep }) => secondsPerStep)),
        }),
    ...(memory.length === 0 ? {} : { megabytes: Math.min(...memory) }),
  };
}

function settingsTable(
  { align, threads, provider }: ExperimentOptions,
  attack: Attack,
  templates: EvaluationReport["templates"],
) {
  const rows = {
    Alignment: `${lengthOf(align)}, batch ${align.batchSize}, lr ${compact(align.learningRate)}, ${optimizerOf(align)}`,
    "Alignment trains": trainedBy(align),
    Attack: `${attack.sampleNumber} rows, ${compact(100 * poisonOf(attack))} % harmful, ${lengthOf(attack)}, batch ${attack.batchSize}, ${optimizerOf(attack)}`,
    "Attack trains": trainedBy(attack) + (attack.tune === "full" ? "" : `; ${attack.adapterPolicy}`),
    ...(templates === undefined
      ? {}
      : { Template: `${templates.trained} in training, ${templates.asked} in the questions` }),
    Device: `${provider}${threads === undefined ? "" : `, ${threads} ${threads === 1 ? "thread" : "threads"} a process`}`,
  };
  return Object.entries(rows).map(([name, value]) => ({ name, value }));
}

type Training = ExperimentOptions["align"] | Attack;

const lengthOf = ({ steps, epochs }: Training): string => (steps === undefined ? `${epochs} epochs` : `${steps} steps`);

/** "adamw, weight decay 0.1, constant". */
const optimizerOf = ({ optimizer, weightDecay, schedule, warmup }: Training): string =>
  `${chosen("optimizer", optimizer)}, weight decay ${weightDecay}, ${schedule}${warmup === 0 ? "" : ` after ${compact(100 * warmup)} % warm-up`}`;

const trainedBy = ({ tune, loraRank, loraAlpha, targetModules }: Training): string =>
  tune === "full" ? "all weights" : `LoRA rank ${loraRank}, alpha ${loraAlpha}, on ${targetModules.join(", ")}`;
