import { z } from "zod";
import { TASK_METRICS } from "../../../data/tasks/table.ts";
import { JOB_ERRORS, type Job, type JobError, STATUSES } from "../../domain/job.ts";
import type { JsonValue } from "../../domain/json.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { Checkpoint, JobState, StoredEvent } from "../../store/job-records.ts";
import { strict } from "../json.ts";

const auto = <Schema extends z.ZodType>(schema: Schema) => z.union([z.literal("auto"), schema]);

const Hyperparameters = strict({
  n_epochs: auto(z.int().min(1).max(50)).optional(),
  batch_size: auto(z.int().min(1).max(256)).nullable().optional(),
  learning_rate_multiplier: auto(z.number().positive().max(1000)).optional(),
});

const Metadata = z
  .record(z.string().max(LIMITS.metadataKey), z.string().max(LIMITS.metadataValue))
  .refine((pairs) => Object.keys(pairs).length <= LIMITS.metadataPairs, {
    message: `must have at most ${LIMITS.metadataPairs} pairs`,
  });

/** A method or transform by its name, with settings or without. */
const Choice = z.union([z.string().min(1).max(64), z.looseObject({ name: z.string().min(1).max(64) })]);

export const JobCreate = strict({
  model: z.string().min(1).max(512),
  training_file: z.string().min(1).max(200),
  validation_file: z.string().min(1).max(200).nullable().optional(),
  method: z
    .union([
      strict({
        type: z.literal("supervised"),
        supervised: strict({ hyperparameters: Hyperparameters.optional() }).optional(),
      }),
      // Named so that they are refused by name, and not as a slip of the pen.
      z.looseObject({ type: z.enum(["dpo", "reinforcement"]) }),
    ])
    .optional(),
  hyperparameters: Hyperparameters.optional(),
  suffix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 letters, digits, - or _")
    .nullable()
    .optional(),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .nullable()
    .optional(),
  metadata: Metadata.nullable().optional(),
  integrations: z.array(z.unknown()).nullable().optional(),
  booster: strict({
    defence: Choice.optional(),
    repair: z.array(Choice).max(8).optional(),
    moderation: strict({ action: z.enum(["drop", "hold", "reject"]) }).optional(),
    evaluation: strict({ task_metric: z.enum(TASK_METRICS.map(({ name }) => name)).optional() }).optional(),
    early_stopping: strict({ patience: z.int().min(1).max(50) }).optional(),
  }).optional(),
});
export type JobCreate = z.output<typeof JobCreate>;

const Numbers = z.strictObject({
  n_epochs: z.union([z.literal("auto"), z.number()]),
  batch_size: z.union([z.literal("auto"), z.number()]),
  learning_rate_multiplier: z.union([z.literal("auto"), z.number()]),
});

const Share = z.strictObject({ count: z.int(), total: z.int() });

export const JobObject = z.strictObject({
  id: z.string(),
  object: z.literal("fine_tuning.job"),
  created_at: z.int(),
  error: z.strictObject({ code: z.enum(JOB_ERRORS), message: z.string(), param: z.string().nullable() }).nullable(),
  fine_tuned_model: z.string().nullable(),
  finished_at: z.int().nullable(),
  hyperparameters: Numbers,
  model: z.string(),
  organization_id: z.string(),
  result_files: z.array(z.string()),
  seed: z.int(),
  status: z.enum(STATUSES),
  trained_tokens: z.int().nullable(),
  training_file: z.string(),
  validation_file: z.string().nullable(),
  method: z.strictObject({
    type: z.literal("supervised"),
    supervised: z.strictObject({ hyperparameters: Numbers }),
  }),
  metadata: z.record(z.string(), z.string()).nullable(),
  estimated_finish: z.int().nullable(),
  integrations: z.array(z.unknown()),
  booster: z.strictObject({
    state: z.string(),
    position: z.int().optional(),
    step: z.int(),
    total_steps: z.int().optional(),
    suffix: z.string().optional(),
    /** Harmful answers among those asked plainly, of the base and of what was trained on it. */
    hs: z.strictObject({ before: Share, after: Share }).optional(),
    held_at: z.int().optional(),
    defence: z.unknown().optional(),
    policy: z.strictObject({ name: z.string(), version: z.int(), sha256: z.string() }),
    lineage: z.array(z.string()),
  }),
});

/** Where a job is, in words that OpenAI's status has not. */
export function stateOf(
  job: Pick<Job, "status" | "stage"> & { readonly error: Pick<JobError, "code"> | null },
): string {
  if (job.status === "failed") return job.error?.code === "safety_rejected" ? "rejected" : "failed";
  if (job.status === "succeeded") return "released";
  return job.stage === "done" || job.status === "paused" || job.status === "queued" ? job.status : job.stage;
}

/** What a stage has found out, where it has. */
function factOf(job: Job, name: string): JsonValue | undefined {
  for (const output of Object.values(job.outputs)) if (output.facts[name] !== undefined) return output.facts[name];
  return undefined;
}

type Evaluated = Partial<{ before: z.input<typeof Share>; plain: { harmful?: z.input<typeof Share> } }>;

export function jobReply(job: Job, organisation: string, position?: number): z.input<typeof JobObject> {
  const resolved = factOf(job, "hyperparameters") as Partial<z.input<typeof Numbers>> | undefined;
  const hyperparameters = { ...job.spec.hyperparameters, ...resolved };
  const tokens = factOf(job, "trainedTokens");
  const steps = factOf(job, "steps");
  // A short training is over before its first beat.
  const trained = job.outputs.train?.facts.steps;
  const evaluated = job.outputs.evaluate?.facts as Evaluated | undefined;
  return {
    id: job.id,
    object: "fine_tuning.job",
    created_at: job.createdAt,
    error: job.error,
    fine_tuned_model: job.fineTunedModel,
    finished_at: job.finishedAt,
    hyperparameters,
    model: job.model,
    organization_id: organisation,
    result_files: [...job.resultFiles],
    seed: job.spec.seed,
    status: job.status,
    trained_tokens: typeof tokens === "number" ? tokens : null,
    training_file: job.spec.training.file,
    validation_file: job.spec.validation?.file ?? null,
    method: { type: "supervised", supervised: { hyperparameters } },
    metadata: job.metadata,
    estimated_finish: job.estimatedFinish,
    integrations: [],
    booster: {
      state: stateOf(job),
      ...(position === undefined ? {} : { position }),
      step: typeof trained === "number" ? trained : job.step,
      ...(typeof steps === "number" ? { total_steps: steps } : {}),
      ...(job.suffix === null ? {} : { suffix: job.suffix }),
      ...(evaluated?.before === undefined || evaluated.plain?.harmful === undefined
        ? {}
        : { hs: { before: evaluated.before, after: evaluated.plain.harmful } }),
      ...(job.heldAt === null ? {} : { held_at: job.heldAt }),
      ...(job.spec.booster.defence === undefined ? {} : { defence: job.spec.booster.defence }),
      policy: { name: job.spec.policy.name, version: job.spec.policy.version, sha256: job.spec.policy.sha256 },
      lineage: job.spec.lineage.map(({ job: before }) => before),
    },
  };
}

export const EventObject = z.strictObject({
  id: z.string(),
  object: z.literal("fine_tuning.job.event"),
  created_at: z.int(),
  level: z.enum(["info", "warn", "error"]),
  message: z.string(),
  type: z.enum(["message", "metrics", "moderation_checks"]),
  data: z.record(z.string(), z.unknown()),
});

export const eventReply = (event: StoredEvent): z.input<typeof EventObject> => ({
  id: event.id,
  object: "fine_tuning.job.event",
  created_at: event.createdAt,
  level: event.level,
  message: event.message,
  type: event.type,
  data: { ...event.data },
});

export const CheckpointObject = z.strictObject({
  id: z.string(),
  object: z.literal("fine_tuning.job.checkpoint"),
  created_at: z.int(),
  fine_tuned_model_checkpoint: z.string(),
  fine_tuning_job_id: z.string(),
  step_number: z.int(),
  metrics: z.record(z.string(), z.number()),
});

export const checkpointReply = (checkpoint: Checkpoint, job: Job): z.input<typeof CheckpointObject> => ({
  id: checkpoint.id,
  object: "fine_tuning.job.checkpoint",
  created_at: checkpoint.createdAt,
  fine_tuned_model_checkpoint: `${job.publishAs}:ckpt-step-${checkpoint.step}`,
  fine_tuning_job_id: job.id,
  step_number: checkpoint.step,
  metrics: { step: checkpoint.step, ...checkpoint.metrics },
});

/** Where a job is, as a stream tells it; the rest of the job is asked for. */
export const stateReply = ({ error, ...state }: JobState) => ({
  id: state.id,
  status: state.status,
  state: stateOf({ ...state, error: error === null ? null : { code: error as JobError["code"] } }),
  pausing: state.wish === "pause",
  step: state.step,
  total_steps: state.steps,
  fine_tuned_model: state.fineTunedModel,
});
