import type { z } from "zod";
import type { ErrorReply } from "../../../src/service/http/document.ts";
import type { Flag, Report, StepPoint } from "../../../src/service/http/routes/booster.ts";
import type { Estimate, Preview } from "../../../src/service/http/routes/dashboard.ts";
import type { ModelObject } from "../../../src/service/http/routes/models.ts";
import type {
  ChecksReply,
  FileObject,
  PartObject,
  UploadCreate,
  UploadObject,
} from "../../../src/service/http/wire/file.ts";
import type { CheckpointObject, EventObject, JobCreate, JobObject } from "../../../src/service/http/wire/job.ts";
import type { WrittenPolicy } from "../../../src/service/pipeline/policy.ts";
import type { AdminRoutes } from "./admin-types.ts";

export type Job = z.output<typeof JobObject>;
export type JobWish = z.input<typeof JobCreate>;
export type JobEvent = z.output<typeof EventObject>;
export type Checkpoint = z.output<typeof CheckpointObject>;
export type StoredFile = z.output<typeof FileObject>;
export type Checks = z.output<typeof ChecksReply>;
export type Fault = Checks["faults"][number];
export type Upload = z.output<typeof UploadObject>;
export type Model = z.output<typeof ModelObject>;
export type SignedReport = z.output<typeof Report>;
export type FlaggedRow = z.output<typeof Flag>;
export type FilePreview = z.output<typeof Preview>;
export type JobEstimate = z.output<typeof Estimate>;
export type ErrorBody = z.output<typeof ErrorReply>["error"];

/** A list as the server pages it. */
export interface Page<Item> {
  readonly data: readonly Item[];
  readonly has_more: boolean;
  readonly first_id?: string | null;
  readonly last_id?: string | null;
}

/** Values of one step; what was not measured there is not there. */
export type StepValues = z.output<typeof StepPoint>;

/** What a policy demands; how it is kept has more. */
export interface Policy {
  readonly name: string;
  readonly version: number;
  readonly sha256: string;
  readonly body: WrittenPolicy;
}

/** Requests of the dashboard, under the names that the server's matrix of rights has: what goes in and what comes back. */
export interface Routes extends AdminRoutes {
  "GET /v1/booster/policy": { reply: Policy };
  "GET /v1/booster/files/{id}/preview": { reply: FilePreview };
  "POST /v1/booster/estimate": { body: JobWish; reply: JobEstimate };
  "GET /v1/models": { reply: Page<Model> };
  "DELETE /v1/models/{id}": { reply: unknown };
  "POST /v1/booster/models/{id}/withdraw": { body: { readonly reason: string }; reply: unknown };

  "GET /v1/files": { reply: Page<StoredFile> };
  "GET /v1/files/{id}": { reply: StoredFile };
  "DELETE /v1/files/{id}": { reply: unknown };
  "GET /v1/booster/files/{id}/checks": { reply: Checks };
  "POST /v1/uploads": { body: z.input<typeof UploadCreate>; reply: Upload };
  "POST /v1/uploads/{id}/parts": { reply: z.output<typeof PartObject> };
  "POST /v1/uploads/{id}/complete": { body: { readonly part_ids: readonly string[] }; reply: Upload };
  "POST /v1/uploads/{id}/cancel": { reply: Upload };

  "GET /v1/fine_tuning/jobs": { reply: Page<Job> };
  "POST /v1/fine_tuning/jobs": { body: JobWish; reply: Job };
  "GET /v1/fine_tuning/jobs/{id}": { reply: Job };
  "POST /v1/fine_tuning/jobs/{id}/cancel": { reply: Job };
  "POST /v1/fine_tuning/jobs/{id}/pause": { reply: Job };
  "POST /v1/fine_tuning/jobs/{id}/resume": { reply: Job };
  "GET /v1/fine_tuning/jobs/{id}/events": { reply: Page<JobEvent> };
  "GET /v1/fine_tuning/jobs/{id}/checkpoints": { reply: Page<Checkpoint> };
  "GET /v1/booster/jobs/{id}/report": { reply: SignedReport };
  "GET /v1/booster/jobs/{id}/metrics": { reply: Page<StepValues> };
  "GET /v1/booster/jobs/{id}/rows": { reply: Page<FlaggedRow> };
}
export type RouteName = keyof Routes;
