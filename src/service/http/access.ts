import type { Scope } from "../domain/principal.ts";

/** What a key must be allowed to do; `key`: any key will do; `everyone`: none is asked for. */
export interface Access {
  readonly scope: Scope | "key" | "everyone";
  /** The thing is a project's: a key without a project has none of it, and what is another's is not found. */
  readonly tenant?: true;
}

const files = (mode: "read" | "write"): Access => ({ scope: `files:${mode}`, tenant: true });
const jobs = (mode: "read" | "write"): Access => ({ scope: `jobs:${mode}`, tenant: true });
const models = (mode: "read" | "write"): Access => ({ scope: `models:${mode}`, tenant: true });
const infer: Access = { scope: "infer", tenant: true };
const review: Access = { scope: "review" };
const admin: Access = { scope: "admin" };
const worker: Access = { scope: "worker" };
const everyone: Access = { scope: "everyone" };

/** Who may do what: every route has its row, and one without is refused when the server starts. */
export const ACCESS: Readonly<Record<string, Access>> = {
  "POST /v1/files": files("write"),
  "GET /v1/files": files("read"),
  "GET /v1/files/{id}": files("read"),
  "GET /v1/files/{id}/content": files("read"),
  "DELETE /v1/files/{id}": files("write"),
  "GET /v1/booster/files/{id}/checks": files("read"),
  "GET /v1/booster/files/{id}/preview": files("read"),
  "POST /v1/uploads": files("write"),
  "POST /v1/uploads/{id}/parts": files("write"),
  "POST /v1/uploads/{id}/complete": files("write"),
  "POST /v1/uploads/{id}/cancel": files("write"),

  "POST /v1/fine_tuning/jobs": jobs("write"),
  "GET /v1/fine_tuning/jobs": jobs("read"),
  "GET /v1/fine_tuning/jobs/{id}": jobs("read"),
  "POST /v1/fine_tuning/jobs/{id}/cancel": jobs("write"),
  "POST /v1/fine_tuning/jobs/{id}/pause": jobs("write"),
  "POST /v1/fine_tuning/jobs/{id}/resume": jobs("write"),
  "GET /v1/fine_tuning/jobs/{id}/events": jobs("read"),
  "GET /v1/fine_tuning/jobs/{id}/checkpoints": jobs("read"),
  "GET /v1/booster/jobs/{id}/report": jobs("read"),
  "GET /v1/booster/jobs/{id}/metrics": jobs("read"),
  "GET /v1/booster/jobs/{id}/rows": jobs("read"),
  "GET /v1/booster/stream": jobs("read"),
  "GET /v1/booster/policy": jobs("read"),
  "POST /v1/booster/estimate": jobs("write"),

  "GET /v1/models": models("read"),
  "GET /v1/models/{id}": models("read"),
  "DELETE /v1/models/{id}": models("write"),

  "POST /v1/chat/completions": infer,
  "POST /v1/completions": infer,
  "POST /v1/responses": infer,
  "POST /v1/moderations": infer,
  "GET /tokenizer_info": infer,
  "POST /tokenize": infer,
  "POST /detokenize": infer,

  "GET /v1/booster/reviews": review,
  "GET /v1/booster/reviews/{id}": review,
  "GET /v1/booster/reviews/{id}/texts": review,
  "GET /v1/booster/reviews/{id}/answers": review,
  "GET /v1/booster/reviews/{id}/answers/{number}": review,
  "POST /v1/booster/reviews/{id}/decision": review,
  "POST /v1/booster/models/{id}/withdraw": review,

  "POST /v1/fine_tuning/checkpoints/{model}/permissions": admin,
  "GET /v1/fine_tuning/checkpoints/{model}/permissions": admin,
  "DELETE /v1/fine_tuning/checkpoints/{model}/permissions/{id}": admin,
  "GET /v1/booster/projects": admin,
  "POST /v1/booster/projects": admin,
  "POST /v1/booster/projects/{id}": admin,
  "POST /v1/booster/projects/{id}/archive": admin,
  "GET /v1/booster/api_keys": admin,
  "POST /v1/booster/api_keys": admin,
  "DELETE /v1/booster/api_keys/{id}": admin,
  "POST /v1/booster/api_keys/{id}/rotate": admin,
  "GET /v1/booster/policies": admin,
  "POST /v1/booster/policies": admin,
  "GET /v1/booster/policies/{name}": admin,
  "GET /v1/booster/limits": admin,
  "POST /v1/booster/backups": admin,
  "GET /v1/booster/bases": admin,
  "POST /v1/booster/bases": admin,
  "POST /v1/booster/bases/{id}/evaluate": admin,
  "POST /v1/booster/bases/{id}/retire": admin,
  "GET /v1/booster/workers": admin,
  "GET /v1/organization/projects": admin,
  "POST /v1/organization/projects": admin,
  "GET /v1/organization/projects/{project}": admin,
  "POST /v1/organization/projects/{project}": admin,
  "POST /v1/organization/projects/{project}/archive": admin,
  "GET /v1/organization/projects/{project}/service_accounts": admin,
  "POST /v1/organization/projects/{project}/service_accounts": admin,
  "GET /v1/organization/projects/{project}/service_accounts/{key}": admin,
  "DELETE /v1/organization/projects/{project}/service_accounts/{key}": admin,
  "GET /v1/organization/projects/{project}/api_keys": admin,
  "GET /v1/organization/projects/{project}/api_keys/{key}": admin,
  "DELETE /v1/organization/projects/{project}/api_keys/{key}": admin,
  "GET /v1/organization/projects/{project}/rate_limits": admin,
  "GET /v1/organization/audit_logs": admin,
  "GET /v1/organization/usage/completions": admin,
  "GET /v1/booster/webhooks": admin,
  "POST /v1/booster/webhooks": admin,
  "GET /v1/booster/webhooks/{id}": admin,
  "DELETE /v1/booster/webhooks/{id}": admin,
  "POST /v1/booster/webhooks/{id}/test": admin,
  "GET /v1/booster/webhooks/{id}/deliveries": admin,
  "GET /v1/booster/experiments": admin,
  "GET /v1/booster/experiments/{id}/report": admin,
  "GET /v1/booster/experiments/{id}/events": admin,
  "GET /v1/booster/audit_logs": admin,
  "POST /v1/booster/audit_logs/verify": admin,

  "POST /v1/booster/session": everyone,
  "GET /v1/booster/session": { scope: "key" },
  "DELETE /v1/booster/session": { scope: "key" },

  "POST /internal/claim": worker,
  "POST /internal/jobs/{id}/beat": worker,
  "POST /internal/jobs/{id}/events": worker,
  "POST /internal/jobs/{id}/metrics": worker,
  "POST /internal/jobs/{id}/checkpoints": worker,
  "POST /internal/jobs/{id}/finish": worker,
  "PUT /internal/blobs": worker,
  "GET /internal/blobs/{sha256}": worker,

  "GET /metrics": { scope: "metrics" },
  "GET /healthz": everyone,
  "GET /readyz": everyone,
  "GET /openapi.json": everyone,
  "GET /v1/booster/keys": everyone,
};
