import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { choose } from "../../../choice.ts";
import { BoosterError } from "../../../errors.ts";
import { defenderData as dataRead } from "../../../experiments/pipeline.ts";
import { METHODS } from "../../../methods/registry.ts";
import { createModel } from "../../../models/registry.ts";
import { openSource } from "../../../models/source.ts";
import { finetune } from "../../../stages/finetune.ts";
import { readMetrics } from "../../../train/index.ts";
import type { JobEvent } from "../../domain/job.ts";
import { readBase } from "../base.ts";
import { type Policy, policyOf, type READ, type Treatment, treatmentOf } from "../policy.ts";
import { curveAlong } from "./along.ts";
import { adapterFiles, asSource, missing, PLACES, type StageFunction, setPlace } from "./stage.ts";
import { trainedFile } from "./upload.ts";

/** Options of the library by what of the policy's data they take. */
const DEFENDER = { alignment: "alignment", harmful: "defenderHarmful", general: "general" } as const;

/** Steps between checkpoints by count: the clock and the ends of epochs decide here. */
const NEVER = 1_000_000_000;
/** Measurements of an epoch. */
const MEASUREMENTS = 4;

/** The user's fine-tuning: the policy's defence, on the aligned base or on the model that is continued. */
export const train: StageFunction = async ({ spec, outputs, checkpointSeconds }, context) => {
  const policy = policyOf(spec.policy.body);
  const { defence } = treatmentOf(policy, spec.booster);
  const { card } = await readBase(PLACES.base);
  const { base } = openSource(PLACES.base);
  const { maxPositions } = createModel(base.config());
  const encoding = { template: card.template, maxTokens: maxPositions, tooLong: "reject" as const };
  const { learningRate, tokens, hyperparameters } = (outputs.validate?.facts ?? missing("hyper-parameters")) as {
    readonly learningRate: number;
    readonly tokens: number;
    readonly hyperparameters: { readonly n_epochs: number; readonly batch_size: number };
  };
  const rows = Number(outputs.moderate?.facts.trainedRows ?? missing("the number of rows"));
  const stepsPerEpoch = Math.ceil(rows / hyperparameters.batch_size);
  const epochs = hyperparameters.n_epochs;
  const { passes } = choose(METHODS, defence as { name: "sft" });
  const steps = Math.ceil(epochs * stepsPerEpoch);
  const curve = await curveAlong(
    policy,
    { ...encoding, tokenizer: base.tokenizer() },
    {
      steps,
      stepsPerEpoch,
      // A backward pass computes as much as two forward ones.
      tokens: tokens * epochs * (passes.forward + 2 * passes.backward),
    },
  );
  const { outcome, step } = await finetune(
    {
      run: PLACES.run,
      resume: existsSync(join(PLACES.run, "run.json")),
      model: PLACES.base,
      ...(spec.continues === undefined ? {} : { adapters: [PLACES.continues], adapterPolicy: "continue" as const }),
      method: defence as { name: "sft" },
      task: asSource(trainedFile()),
      allRows: true,
      ...defenderData(policy, defence),
      ...encoding,
      epochs,
      batchSize: hyperparameters.batch_size,
      learningRate,
      loraRank: card.loraRank,
      loraAlpha: card.loraAlpha,
      ...(card.targetModules === undefined ? {} : { targetModules: card.targetModules }),
      seed: spec.seed,
      threads: spec.threads,
      checkpointEvery: NEVER,
      checkpointSeconds,
      checkpointsTo: PLACES.laid,
      validation: {
        every: Math.max(1, Math.ceil(stepsPerEpoch / MEASUREMENTS)),
        ...(existsSync(PLACES.validation) ? { data: asSource(PLACES.validation) } : {}),
        ...spec.booster.early_stopping,
      },
      ...(curve === undefined ? {} : { curve }),
    },
    context,
  );
  if (outcome === "stopped") throw new BoosterError("STOPPED", "the training was stopped and saved");
  const last = readMetrics(join(PLACES.run, "metrics.jsonl")).findLast(({ kind }) => kind === "step");
  const cost = JSON.parse(readFileSync(join(PLACES.run, "cost.json"), "utf8"));
  const { trainedTokens = 0 } = JSON.parse(readFileSync(join(PLACES.run, "data.json"), "utf8")).mix;
  const trained = step / stepsPerEpoch;
  const early = step < steps;
  return {
    facts: {
      steps: step,
      ...(early ? { endedEarly: `after epoch ${trained} of ${epochs}` } : {}),
      rows,
      /** As OpenAI counts: tokens of the answers, once an epoch. */
      trainedTokens: Math.round(trainedTokens * (early ? trained : epochs)),
      tokens: Number(last?.tokens ?? 0),
      skipped: Number(last?.skipped ?? 0),
      defence: defence as { readonly name: string },
      cost,
    },
    files: adapterFiles(join(PLACES.run, "adapter")),
    ...(early ? { events: [endedEarly(step)] } : {}),
  };
};

const endedEarly = (step: number): JobEvent => ({
  level: "info",
  type: "message",
  message: `Training ended early after step ${step}: the loss on the validation file falls no more`,
});

/** Sources of the rows that a method reads beside the user's. */
function defenderData(policy: Policy, method: Treatment["defence"]) {
  const uses = dataRead(method, false) as (typeof READ)[number][];
  const sources = uses.map((use) => [DEFENDER[use], source(policy, use)] as const);
  return sources.length === 0
    ? {}
    : { ...Object.fromEntries(sources), defenderAvoid: [asSource(setPlace("evaluate/harmful"))] };
}

function source({ sets }: Policy, use: (typeof READ)[number]) {
  if (sets[`data/${use}`] !== undefined) return asSource(setPlace(`data/${use}`));
  throw new BoosterError("DATA_MISSING", "the policy has no rows that its defence reads", { expected: `data.${use}` });
}
