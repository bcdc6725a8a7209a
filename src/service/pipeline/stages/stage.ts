import { join } from "node:path";
import { ERROR_CODES } from "../../../error-codes.ts";
import { BoosterError } from "../../../errors.ts";
import type { Context } from "../../../stages/workbench.ts";
import type { JobError, JobEvent, JobSpec, StageOutputs } from "../../domain/job.ts";
import type { JsonValue } from "../../domain/json.ts";
import type { Claim } from "../../domain/protocol.ts";
import { policyOf } from "../policy.ts";

/** What a stage is told beside its files. */
export interface StageInput {
  readonly job: string;
  readonly spec: JobSpec;
  readonly outputs: StageOutputs;
  /** Identity of the base. */
  readonly base: string;
  /** Folder for what does not belong to a job: what was measured or judged once. */
  readonly cache: string;
  /** Seconds between checkpoints. */
  readonly checkpointSeconds: number;
}

/** What a stage made: facts, files inside its folder, what is to be told. `error`: the job has failed by it. */
export interface StageMade {
  readonly facts: Readonly<Record<string, JsonValue>>;
  /** Name of a blob to the place of its file. */
  readonly files: Readonly<Record<string, string>>;
  /** Files that nobody but the server may read. */
  readonly sealed?: Readonly<Record<string, string>>;
  readonly events?: readonly JobEvent[];
  readonly error?: JobError;
}

/**
 * A stage: a function of what a job says and of the files in the working directory to facts and files, so that it can be done again
 * anywhere. It stops when asked (`STOPPED`); a training that is asked to stop saves its step first.
 */
export type StageFunction = (input: StageInput, context: Context) => Promise<StageMade>;

/** Places of files in the folder of a stage. */
export const PLACES = {
  base: "base",
  training: "training.jsonl",
  validation: "validation.jsonl",
  /** Of what is left of the training rows, where moderation left some out. */
  rows: "rows.jsonl",
  /** What validation says of lines, beside facts; and what evaluation measured. */
  checks: "checks.json",
  evaluation: "evaluation.json",
  /** What the trained model said when it was evaluated. */
  answers: "answers.json",
  /** The adapter that this job goes on from. */
  continues: "continues",
  /** The adapter that this job made, once there is one. */
  adapter: "adapter",
  run: "run",
  laid: "laid",
} as const;

/** Where a set of the policy is, by its use. */
export const setPlace = (use: string): string => join("sets", `${use.replace("/", "-")}.jsonl`);

const ADAPTER = "adapter/";

/** All files that a stage of a claim reads: their places, and the blobs that are to be there. */
export function inputsOf({ stage, spec, outputs, base, checkpoint }: Claim): Record<string, string> {
  const under = (folder: string, files: Readonly<Record<string, string>> = {}) =>
    Object.entries(files).map(([name, sha256]) => [join(folder, name), sha256] as const);
  const made = outputs.repair ?? outputs.train;
  const adapter = Object.entries(made?.blobs ?? {}).filter(([name]) => name.startsWith(ADAPTER));
  const { sets } = policyOf(spec.policy.body);
  const rows = outputs.moderate?.blobs[PLACES.rows];
  const evaluation = outputs.evaluate?.blobs[PLACES.evaluation];
  const checks = outputs.validate?.blobs[PLACES.checks];
  return Object.fromEntries([
    ...under(PLACES.base, base.files),
    [PLACES.training, spec.training.sha256],
    ...(spec.validation === undefined ? [] : [[PLACES.validation, spec.validation.sha256] as const]),
    ...(rows === undefined ? [] : [[PLACES.rows, rows] as const]),
    ...(checks === undefined ? [] : [[PLACES.checks, checks] as const]),
    ...(evaluation === undefined ? [] : [[PLACES.evaluation, evaluation] as const]),
    ...under(PLACES.continues, spec.continues?.files),
    ...adapter.map(([name, sha256]) => [name, sha256] as const),
    ...Object.entries(sets).map(([use, { sha256 }]) => [setPlace(use), sha256] as const),
    // What an epoch's adapter is for is to be shown: the run goes on from its state.
    ...(stage === "train"
      ? under(PLACES.run, checkpoint?.files).filter(([place]) => !place.startsWith(join(PLACES.run, ADAPTER)))
      : []),
  ]);
}

/** Files of an adapter in a folder, as outputs of a stage name them. */
export const adapterFiles = (folder: string): Record<string, string> =>
  Object.fromEntries(
    ["adapter_config.json", "adapter_model.safetensors"].map((name) => [`${ADAPTER}${name}`, join(folder, name)]),
  );

/** The files of the adapter that is served, by their plain names. */
export function adapterBlobs({ repair, train }: StageOutputs): Record<string, string> {
  const blobs = Object.entries((repair ?? train)?.blobs ?? {});
  return Object.fromEntries(
    blobs.flatMap(([name, sha256]) => (name.startsWith(ADAPTER) ? [[name.slice(ADAPTER.length), sha256]] : [])),
  );
}

const LESS_MEMORY = "Ask for a smaller batch_size, shorten the longest rows, or choose a smaller base";

/** What of an error a job may say: the sentences of the program, nothing that it found in data. */
export function jobError(error: BoosterError): JobError {
  const told = (code: JobError["code"], message = `${error.problem} (${error.code})`): JobError => ({
    code,
    message,
    param: null,
  });
  if (error.kind === "diverged") return told("training_diverged");
  switch (error.code) {
    case "OUT_OF_MEMORY":
    case "MEMORY_TOO_SMALL":
      return told("out_of_memory", `${error.problem} (${error.code}). ${LESS_MEMORY}`);
    case "DATA_TOO_LARGE": {
      const param = error.details.where === PLACES.validation ? "validation_file" : "training_file";
      return { ...told(`invalid_${param}`), param };
    }
    case "DISK_FULL":
      return told("disk_full");
    case "CHILD_CRASHED":
    case "CHILD_KILLED":
      return told("worker_crashed", `${error.problem}: ${error.details.found ?? "no cause is known"}`);
    default:
      return told("internal_error", `${ERROR_CODES[error.code].meaning} (${error.code})`);
  }
}

/** A set of the policy as an option of a stage of the library. */
export const asSource = (path: string, limit?: number) => ({
  path,
  kind: "jsonl" as const,
  ...(limit === undefined ? {} : { limit }),
});

/** Fails a stage that should have been given something. */
export const missing = (what: string): never => {
  throw new BoosterError("INTERNAL", `a stage was not given ${what}`);
};
