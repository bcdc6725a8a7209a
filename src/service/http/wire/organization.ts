import { z } from "zod";
import type { JsonValue } from "../../domain/json.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { AuditEntry } from "../../store/audit.ts";
import type { ApiKey } from "../../store/keys.ts";
import type { Project } from "../../store/projects.ts";

/** What OpenAI's clients call administration: its objects. */
export const OrganizationProject = z.strictObject({
  id: z.string(),
  object: z.literal("organization.project"),
  name: z.string(),
  created_at: z.int(),
  archived_at: z.int().nullable(),
  status: z.enum(["active", "archived"]),
});

export const organizationProject = (project: Project): z.input<typeof OrganizationProject> => ({
  id: project.id,
  object: "organization.project",
  name: project.name,
  created_at: project.createdAt,
  archived_at: project.archivedAt,
  status: project.status,
});

const Account = z.strictObject({ id: z.string(), name: z.string(), created_at: z.int(), role: z.literal("member") });

export const ServiceAccount = Account.extend({ object: z.literal("organization.project.service_account") });
/** The key in `api_key` is shown this once. */
export const NewServiceAccount = ServiceAccount.extend({
  api_key: z.strictObject({
    id: z.string(),
    object: z.literal("organization.project.service_account.api_key"),
    name: z.string(),
    created_at: z.int(),
    value: z.string(),
  }),
});

const account = (key: ApiKey): z.input<typeof Account> => ({
  id: key.id,
  name: key.name,
  created_at: key.createdAt,
  role: "member",
});

/** A service account has one key and ends with it, so that one is the other. */
export const serviceAccount = (key: ApiKey): z.input<typeof ServiceAccount> => ({
  ...account(key),
  object: "organization.project.service_account",
});

export const newServiceAccount = (key: ApiKey, value: string): z.input<typeof NewServiceAccount> => ({
  ...serviceAccount(key),
  api_key: {
    id: key.id,
    object: "organization.project.service_account.api_key",
    name: key.name,
    created_at: key.createdAt,
    value,
  },
});

export const ProjectApiKey = z.strictObject({
  id: z.string(),
  object: z.literal("organization.project.api_key"),
  name: z.string(),
  redacted_value: z.string(),
  created_at: z.int(),
  last_used_at: z.int().nullable(),
  owner: z.strictObject({ type: z.literal("service_account"), service_account: Account }),
  owner_project_access: z.literal("active"),
});

export const projectApiKey = (key: ApiKey): z.input<typeof ProjectApiKey> => ({
  id: key.id,
  object: "organization.project.api_key",
  name: key.name,
  redacted_value: `sk-booster-***${key.tail}`,
  created_at: key.createdAt,
  last_used_at: key.lastUsedAt,
  owner: { type: "service_account", service_account: account(key) },
  owner_project_access: "active",
});

export const Deleted = z.strictObject({ id: z.string(), object: z.string(), deleted: z.literal(true) });
export const deleted = (id: string, object: string): z.input<typeof Deleted> => ({
  id,
  object: `${object}.deleted`,
  deleted: true,
});

export const RateLimitObject = z.strictObject({
  id: z.string(),
  object: z.literal("project.rate_limit"),
  model: z.string(),
  max_requests_per_1_minute: z.int(),
  max_tokens_per_1_minute: z.int(),
});

/** Of each key, and the same for every project: constants of the program. */
export const rateLimit = (model: string): z.input<typeof RateLimitObject> => ({
  id: `rl-${model}`,
  object: "project.rate_limit",
  model,
  max_requests_per_1_minute: LIMITS.inferencesPerMinute,
  max_tokens_per_1_minute: LIMITS.tokensPerMinute,
});

/** What OpenAI calls what is written down; all else keeps the name that it has here. */
const THEIR_NAMES: Readonly<Record<string, string>> = {
  "api_key.reissued": "api_key.updated",
  "api_key.revoked": "api_key.deleted",
  "grant.created": "checkpoint.permission.created",
  "grant.deleted": "checkpoint.permission.deleted",
  "project.changed": "project.updated",
  "session.created": "login.succeeded",
  "session.ended": "logout.succeeded",
};

/** Our name of what a client asks for. */
export const ourName = (type: string): string =>
  Object.entries(THEIR_NAMES).find(([, theirs]) => theirs === type)?.[0] ?? type;

/** Details stand under the name of what happened, as OpenAI has them. */
export const AuditLogObject = z
  .object({
    id: z.string(),
    type: z.string(),
    effective_at: z.int(),
    actor: z.strictObject({
      type: z.literal("api_key"),
      api_key: z.strictObject({
        id: z.string(),
        type: z.literal("service_account"),
        service_account: z.strictObject({ id: z.string() }),
      }),
    }),
    project: z.strictObject({ id: z.string() }).optional(),
    booster: z.strictObject({ seq: z.int(), previous: z.string(), hash: z.string() }),
  })
  .loose();

export function auditLog(entry: AuditEntry) {
  const type = THEIR_NAMES[entry.type] ?? entry.type;
  return {
    id: entry.id,
    type,
    effective_at: entry.effective_at,
    actor: {
      type: "api_key" as const,
      api_key: {
        id: entry.actor.key,
        type: "service_account" as const,
        service_account: { id: entry.actor.owner },
      },
    },
    ...(entry.project_id === null ? {} : { project: { id: entry.project_id } }),
    booster: { seq: entry.seq, previous: entry.previous, hash: entry.hash },
    [type]: { ...entry.data } as Record<string, JsonValue>,
  };
}
