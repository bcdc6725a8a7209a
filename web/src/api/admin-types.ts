import type { z } from "zod";
import type {
  AuditObject,
  KeyCreate,
  KeyObject,
  NewKeyObject,
  ProjectChange,
  ProjectObject,
  WorkerObject,
} from "../../../src/service/http/routes/admin.ts";
import type { BaseObject } from "../../../src/service/http/routes/bases.ts";
import type { ReviewObject, RowText as RowTextObject } from "../../../src/service/http/routes/booster.ts";
import type { ExperimentObject } from "../../../src/service/http/routes/experiments.ts";
import type { Permission } from "../../../src/service/http/routes/models.ts";
import type { PolicyObject } from "../../../src/service/http/routes/policies.ts";
import type { DeliveryObject, NewWebhookObject, WebhookObject } from "../../../src/service/http/routes/webhooks.ts";
import type { UsagePage } from "../../../src/service/http/wire/usage.ts";
import type { Job, Page } from "./types.ts";

export type Key = z.output<typeof KeyObject>;
export type Project = z.output<typeof ProjectObject>;
export type Policy = z.output<typeof PolicyObject>;
export type BaseModel = z.output<typeof BaseObject>;
export type WorkerFacts = z.output<typeof WorkerObject>;
export type AuditEntry = z.output<typeof AuditObject>;
export type Review = z.output<typeof ReviewObject>;
export type RowText = z.output<typeof RowTextObject>;
export type Webhook = z.output<typeof WebhookObject>;
export type Delivery = z.output<typeof DeliveryObject>;
export type Grant = z.output<typeof Permission>;
type NewKey = z.output<typeof NewKeyObject>;

/** Requests of reviewers and administrators. */
export interface AdminRoutes {
  "GET /v1/booster/reviews": { reply: Page<Job> };
  "GET /v1/booster/reviews/{id}": { reply: Review };
  "GET /v1/booster/reviews/{id}/texts": { reply: Page<RowText> };
  "POST /v1/booster/reviews/{id}/decision": {
    body: { readonly verdict: "released" | "rejected"; readonly reason: string; readonly report_sha256: string };
    reply: Job;
  };

  "GET /v1/booster/api_keys": { reply: Page<Key> };
  "POST /v1/booster/api_keys": { body: z.input<typeof KeyCreate>; reply: NewKey };
  "DELETE /v1/booster/api_keys/{id}": { reply: Key };
  "POST /v1/booster/api_keys/{id}/rotate": { reply: NewKey };
  "GET /v1/booster/projects": { reply: Page<Project> };
  "POST /v1/booster/projects": { body: { readonly name: string }; reply: Project };
  "POST /v1/booster/projects/{id}": { body: z.input<typeof ProjectChange>; reply: Project };
  "POST /v1/booster/projects/{id}/archive": { reply: Project };
  "GET /v1/fine_tuning/checkpoints/{model}/permissions": { reply: Page<Grant> };
  "POST /v1/fine_tuning/checkpoints/{model}/permissions": {
    body: { readonly project_ids: readonly string[] };
    reply: Page<Grant>;
  };
  "DELETE /v1/fine_tuning/checkpoints/{model}/permissions/{id}": { reply: unknown };
  "GET /v1/booster/policies": { reply: Page<Policy> };
  "GET /v1/booster/policies/{name}": { reply: Page<Policy> };
  "GET /v1/booster/bases": { reply: Page<BaseModel> };
  "GET /v1/booster/workers": { reply: Page<WorkerFacts> };
  "GET /v1/booster/limits": {
    reply: { readonly limits: Readonly<Record<string, number | readonly number[] | Readonly<Record<string, number>>>> };
  };
  "GET /v1/organization/usage/completions": { reply: z.output<typeof UsagePage> };
  "GET /v1/booster/experiments": { reply: Page<z.output<typeof ExperimentObject>> };
  "GET /v1/booster/webhooks": { reply: Page<Webhook> };
  "POST /v1/booster/webhooks": {
    body: { readonly name: string; readonly url: string; readonly project: string | null };
    reply: z.output<typeof NewWebhookObject>;
  };
  "DELETE /v1/booster/webhooks/{id}": { reply: Webhook };
  "POST /v1/booster/webhooks/{id}/test": { reply: { readonly outcome: string; readonly status: number | null } };
  "GET /v1/booster/webhooks/{id}/deliveries": { reply: Page<Delivery> };
  "GET /v1/booster/audit_logs": { reply: Page<AuditEntry> };
  "POST /v1/booster/audit_logs/verify": {
    reply: { readonly entries: number; readonly seals: number; readonly fault: string | null };
  };
}
