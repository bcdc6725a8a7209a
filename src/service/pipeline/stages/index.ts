import type { Work } from "../../domain/job.ts";
import { decide } from "./decide.ts";
import { evaluate } from "./evaluate.ts";
import { moderate } from "./moderate.ts";
import { repair } from "./repair.ts";
import type { StageFunction } from "./stage.ts";
import { train } from "./train.ts";
import { validate } from "./validate.ts";

/** What is done for a job, stage by stage. */
export const STAGES: Readonly<Record<Work, StageFunction>> = { validate, moderate, train, repair, evaluate, decide };
