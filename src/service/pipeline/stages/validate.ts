import { existsSync, writeFileSync } from "node:fs";
import { findDuplicates } from "../../../data/duplicates.ts";
import type { Example } from "../../../data/examples.ts";
import { questionOf } from "../../../data/examples.ts";
import { loadExamples } from "../../../data/load.ts";
import { taskMetric } from "../../../data/tasks/table.ts";
import { encodeEach, encodeExample } from "../../../data/templates.ts";
import { ERROR_CODES, type ErrorCode } from "../../../error-codes.ts";
import type { BoosterError } from "../../../errors.ts";
import { createModel } from "../../../models/registry.ts";
import { openSource } from "../../../models/source.ts";
import { goldOf } from "../../../stages/data.ts";
import type { Hyperparameters, JobError } from "../../domain/job.ts";
import { readBase } from "../base.ts";
import { MIN_ROWS } from "../check-file.ts";
import { ASKED } from "../policy.ts";
import { asSource, PLACES, type StageFunction, setPlace } from "./stage.ts";
import { lineOf, loadUpload, turnsAsked } from "./upload.ts";

/** Faults that a job names; the others are counted. */
const SHOWN = 20;
/** What `auto` means: as OpenAI's API, few rows are gone through more often. */
const AUTO = { epochs: 3, epochsOfFew: 10, few: 100, batch: 8, multiplier: 1 } as const;

interface LineFault {
  readonly line: number;
  readonly code: ErrorCode;
}

/** Hyper-parameters once the rows are counted. */
export function resolved({ n_epochs, batch_size, learning_rate_multiplier }: Hyperparameters, rows: number) {
  const number = (value: "auto" | number, auto: number): number => (value === "auto" ? auto : value);
  return {
    n_epochs: number(n_epochs, rows < AUTO.few ? AUTO.epochsOfFew : AUTO.epochs),
    batch_size: number(batch_size, AUTO.batch),
    learning_rate_multiplier: number(learning_rate_multiplier, AUTO.multiplier),
  };
}

const SPECIAL: Readonly<Partial<Record<ErrorCode, JobError["code"]>>> = {
  EXAMPLE_TOO_LONG: "example_too_long",
  NO_TRAINED_TOKENS: "no_trained_tokens",
};

/** The lines that cannot be trained on, in words of the program. */
function failure(param: "training_file" | "validation_file", faults: readonly LineFault[]): JobError {
  const codes = new Set(faults.map(({ code }) => code));
  const [only] = codes;
  const special = codes.size === 1 && only !== undefined ? SPECIAL[only] : undefined;
  const lines = faults.slice(0, SHOWN).map(({ line, code }) => `line ${line}: ${ERROR_CODES[code].meaning} (${code})`);
  const more = faults.length > SHOWN ? `; and ${faults.length - SHOWN} more` : "";
  return { code: special ?? `invalid_${param}`, message: `${lines.join("; ")}${more}`, param };
}

const faultOf = ({ code, details }: BoosterError): LineFault => ({
  code,
  line: lineOf({ where: details.where ?? "" } as Example),
});

/**
 * Can every row be trained on? Counts tokens and resolves what was left to the server; says which rows repeat a prompt of the evaluation.
 */
export const validate: StageFunction = async ({ spec }) => {
  const { card } = await readBase(PLACES.base);
  const { base } = openSource(PLACES.base);
  const tokenizer = base.tokenizer();
  const { maxPositions } = createModel(base.config());
  const options = { tokenizer, template: card.template, maxTokens: maxPositions, tooLong: "reject" as const };
  const read = async (path: string) => {
    const examples = await loadUpload(path);
    return { examples, ...encodeEach(examples, (example) => encodeExample(example, options)) };
  };
  const training = await read(PLACES.training);
  const validation = existsSync(PLACES.validation) ? await read(PLACES.validation) : undefined;
  const rows = training.examples.length;
  const faults = {
    training_file: training.refused.map(faultOf),
    validation_file: validation?.refused.map(faultOf) ?? [],
  };
  const metric = spec.booster.evaluation?.task_metric;
  if (metric !== undefined) {
    const task = taskMetric(metric);
    const unknown = validation?.examples.filter((example) => !task.isGold(goldOf(example))) ?? [];
    faults.validation_file.push(
      ...unknown.map((example) => ({ code: "GOLD_UNKNOWN" as const, line: lineOf(example) })),
    );
  }
  const facts = { rows, ...(validation === undefined ? {} : { validationRows: validation.examples.length }) };
  for (const param of ["training_file", "validation_file"] as const) {
    if (faults[param].length > 0) return { facts, files: {}, error: failure(param, faults[param]) };
  }
  if (rows < MIN_ROWS)
    return { facts, files: {}, error: failure("training_file", [{ line: 0, code: "DATA_TOO_FEW_ROWS" }]) };
  const hyperparameters = resolved(spec.hyperparameters, rows);
  const trainedTokens = training.encoded.reduce((sum, row) => sum + row.trainedTokens, 0);
  const repeats = await repeatsOf(training.examples);
  writeFileSync(PLACES.checks, JSON.stringify({ repeats }));
  return {
    facts: {
      ...facts,
      tokens: training.encoded.reduce((sum, { ids }) => sum + ids.length, 0),
      trainedTokens,
      duplicates: findDuplicates(training.examples.map(questionOf)).length,
      repeats: repeats.length,
      hyperparameters,
      learningRate: card.learningRate * hyperparameters.learning_rate_multiplier,
      steps: Math.ceil(hyperparameters.n_epochs * Math.ceil(rows / hyperparameters.batch_size)),
    },
    files: { [PLACES.checks]: PLACES.checks },
  };
};

/** Lines with a turn that asks what the evaluation asks. */
async function repeatsOf(examples: readonly Example[]): Promise<number[]> {
  const sets = await Promise.all(ASKED.map((use) => loadExamples(asSource(setPlace(`evaluate/${use}`)))));
  const asked = sets.flatMap(({ examples }) => examples.map(questionOf));
  const turns = examples.flatMap((example) =>
    turnsAsked(example).map((instruction) => ({ line: lineOf(example), question: { instruction, input: "" } })),
  );
  const isOwn = (index: number): boolean => index >= asked.length;
  const found = findDuplicates(
    [...asked, ...turns.map(({ question }) => question)],
    undefined,
    (a, b) => isOwn(a) === isOwn(b),
  );
  return [...new Set(found.map(({ index }) => turns[index - asked.length]?.line as number))].sort((a, b) => a - b);
}
