import type { JsonValue } from "./json.ts";

/** What a worker does for a job, in this order. Each is a function of (job, input blobs) to output blobs, so that it can be done again anywhere. */
export const WORK = ["validate", "moderate", "train", "repair", "evaluate", "decide"] as const;
export type Work = (typeof WORK)[number];

/** Where a job is: being worked on or waiting for it, with a reviewer, or over. */
export type JobStage = Work | "held" | "done";

/** What clients see, as OpenAI names it. */
export const STATUSES = [
  "validating_files",
  "queued",
  "running",
  "paused",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export type JobStatus = (typeof STATUSES)[number];

/** Kinds of room that a worker offers: `light` work needs no model in memory, `heavy` work does. */
export const SLOTS = {
  light: ["validate"],
  heavy: ["moderate", "train", "repair", "evaluate", "decide"],
} as const satisfies Readonly<Record<string, readonly Work[]>>;
export type Slot = keyof typeof SLOTS;

export const JOB_ERRORS = [
  "invalid_training_file",
  "invalid_validation_file",
  "unsafe_training_file",
  "example_too_long",
  "no_trained_tokens",
  "training_diverged",
  "out_of_memory",
  "disk_full",
  "worker_crashed",
  "safety_rejected",
  "hold_expired",
  "internal_error",
] as const;

export interface JobError {
  readonly code: (typeof JOB_ERRORS)[number];
  readonly message: string;
  readonly param: string | null;
}

/** `auto`, or a number. What is trained with stands in the job as soon as the rows are counted. */
export interface Hyperparameters {
  readonly n_epochs: "auto" | number;
  readonly batch_size: "auto" | number;
  readonly learning_rate_multiplier: "auto" | number;
}

/** A method, transform or moderator chosen by name with settings, as in the tables of the library. */
export type Choice = string | { readonly name: string; readonly [setting: string]: JsonValue };

/** What may be asked for beyond OpenAI's fields: only what is at least as strict as the project's policy. */
export interface BoosterFields {
  readonly defence?: Choice;
  readonly repair?: readonly Choice[];
  readonly moderation?: { readonly action: "drop" | "hold" | "reject" };
  readonly evaluation?: { readonly task_metric?: string };
  /** Training ends once the loss on the validation file has not fallen at so many ends of epochs. */
  readonly early_stopping?: { readonly patience: number };
}

/** All that a worker is told about a job, fixed when it is created. Blobs by SHA-256; nothing here is a path. */
export interface JobSpec {
  /** Identity of the base that is trained on, and the released model that is continued, if any: its adapter's blobs. */
  readonly base: string;
  readonly continues?: {
    readonly model: string;
    readonly job: string;
    readonly files: Readonly<Record<string, string>>;
  };
  readonly training: { readonly file: string; readonly sha256: string; readonly filename: string };
  readonly validation?: { readonly file: string; readonly sha256: string; readonly filename: string };
  readonly hyperparameters: Hyperparameters;
  readonly seed: number;
  /** Threads of every program of the job: they are part of what makes its bytes. */
  readonly threads: number;
  /** (name, version, SHA-256) of the policy that counts, with its body. */
  readonly policy: {
    readonly name: string;
    readonly version: number;
    readonly sha256: string;
    readonly body: JsonValue;
  };
  readonly booster: BoosterFields;
  /** Flagged rows of the jobs that this one goes on from. */
  readonly lineage: readonly { readonly job: string; readonly flagged: number; readonly rows: number }[];
}

/** A job as the server knows it. Times in seconds since 1970. */
export interface Job {
  readonly id: string;
  readonly project: string;
  readonly seq: number;
  readonly createdAt: number;
  /** Since when a reviewer has been waited for. */
  readonly heldAt: number | null;
  /** When its training will be done, as far as its worker can tell. */
  readonly estimatedFinish: number | null;
  readonly finishedAt: number | null;
  /** The name that was asked for: a base, or a released model. */
  readonly model: string;
  /** What the model will be called if it is released; checkpoints are `<this>:ckpt-step-<n>`. */
  readonly publishAs: string;
  readonly suffix: string | null;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly spec: JobSpec;
  readonly status: JobStatus;
  readonly stage: JobStage;
  /** What a user wants of a job that is being worked on. */
  readonly wish: "pause" | null;
  readonly worker: string | null;
  readonly epoch: number;
  readonly beat: number;
  readonly crashes: number;
  readonly step: number;
  readonly error: JobError | null;
  readonly fineTunedModel: string | null;
  /** Files of results, and what each stage put out: named blobs, and facts such as trained tokens and resolved hyper-parameters. */
  readonly resultFiles: readonly string[];
  readonly outputs: StageOutputs;
}

/** What the stages that are done have put out. */
export type StageOutputs = { readonly [Stage in Work]?: StageOutput };

export interface StageOutput {
  /** Name to SHA-256 of a blob. */
  readonly blobs: Readonly<Record<string, string>>;
  readonly facts: Readonly<Record<string, JsonValue>>;
}

export const EVENT_TYPES = ["message", "metrics", "moderation_checks"] as const;

export interface JobEvent {
  readonly level: "info" | "warn" | "error";
  readonly type: (typeof EVENT_TYPES)[number];
  readonly message: string;
  readonly data?: Readonly<Record<string, JsonValue>>;
}
