import type { Job } from "./api/types.ts";
import { shortId } from "./format.ts";

/** How a state is told: a word and a shape, for colour alone would not do. */
export interface Look {
  readonly word: string;
  /** A class of `styles/tokens.css`. */
  readonly tone: "good" | "wait" | "bad" | "busy" | "plain";
  readonly shape: "dots" | "half" | "check" | "cross" | "hand" | "pause" | "line";
}

interface State extends Look {
  /** One sentence on what it means. */
  readonly means: string;
}

/** Where a job can be, as people are told it. */
export const STATES = {
  validate: { word: "Checking data", tone: "busy", shape: "half", means: "The rows are read and counted." },
  moderate: {
    word: "Moderating",
    tone: "busy",
    shape: "half",
    means: "Each assistant's turn of the data is judged in its context.",
  },
  queued: { word: "Queued", tone: "plain", shape: "dots", means: "It waits for a worker." },
  train: { word: "Training", tone: "busy", shape: "half", means: "The model learns from the data." },
  repair: { word: "Repairing", tone: "busy", shape: "half", means: "The policy's repairs change the adapter." },
  evaluate: {
    word: "Evaluating",
    tone: "busy",
    shape: "half",
    means: "The trained model is asked harmful and harmless prompts.",
  },
  decide: { word: "Deciding", tone: "busy", shape: "half", means: "The measurements are held against the policy." },
  held: {
    word: "Held for review",
    tone: "wait",
    shape: "hand",
    means: "The model is trained. Nobody can use it before a reviewer has decided.",
  },
  paused: { word: "Paused", tone: "plain", shape: "pause", means: "It goes on where it stopped, when you resume it." },
  released: { word: "Released", tone: "good", shape: "check", means: "The model may be used." },
  rejected: { word: "Rejected", tone: "bad", shape: "cross", means: "The model is not served." },
  failed: { word: "Failed", tone: "bad", shape: "cross", means: "The job ended with an error." },
  cancelled: { word: "Cancelled", tone: "plain", shape: "line", means: "The job was ended before its time." },
} as const satisfies Readonly<Record<string, State>>;
export type JobState = keyof typeof STATES;

export const stateOf = (job: Job): JobState =>
  Object.hasOwn(STATES, job.booster.state) ? (job.booster.state as JobState) : "queued";

/** The way of a job, for its progress. */
export const STAGES = ["validate", "moderate", "train", "repair", "evaluate", "decide"] as const;

export const isOver = (job: Job): boolean => ["succeeded", "failed", "cancelled"].includes(job.status);

/** What a job is called where people read it: its suffix, or the end of its id. */
export const titleOf = (job: Job): string => job.booster.suffix ?? shortId(job.id);

/** The name of a defence, however it was asked for. */
export const defenceOf = (job: Job): string => nameOf(job.booster.defence);

export function nameOf(choice: unknown): string {
  if (typeof choice === "string") return choice;
  if (typeof choice === "object" && choice !== null && "name" in choice) return String(choice.name);
  return "by policy";
}

/** How far a job is, as a share; `undefined` where that is not known. */
export function progressOf(job: Job): number | undefined {
  const { step, total_steps: total } = job.booster;
  if (total === undefined || total === 0) return undefined;
  return Math.min(1, step / total);
}
