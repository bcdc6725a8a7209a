import type { z } from "zod";
import type { ErrorReply } from "../../../src/service/http/document.ts";
import type { Flag, Report } from "../../../src/service/http/routes/booster.ts";
import type { ModelObject } from "../../../src/service/http/routes/models.ts";
import type {
  ChecksReply,
  FileObject,
  PartObject,
  UploadCreate,
  UploadObject,
} from "../../../src/service/http/wire/file.ts";
import type { CheckpointObject, EventObject, JobCreate, JobObject } from "../../../src/service/http/wire/job.ts";
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
export type ErrorBody = z.output<typeof ErrorReply>["error"];

/** A list as the server pages it. */
export interface Page<Item> {
  readonly data: readonly Item[];
  readonly has_more: boolean;
  readonly first_id?: string | null;
  readonly last_id?: string | null;
}

/** Values of one step, by the names of the service: `train_loss`, `valid_loss`, ... */
export type StepValues = Readonly<Record<string, number>> & { readonly step: number };

/** Requests of the dashboard, under the names that the server's matrix of rights has: what goes in and what comes back. */
export interface Routes extends AdminRoutes {
  "GET /v1/models": { reply: Page<Model> };
  "DELETE /v1/models/{id}": { reply: unknown };

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
