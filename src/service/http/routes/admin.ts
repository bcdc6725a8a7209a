import { z } from "zod";
import type { JsonValue } from "../../domain/json.ts";
import { ownerOf, PRESETS, type Preset, SCOPES, type Scope } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { ApiKey } from "../../store/keys.ts";
import type { Project } from "../../store/projects.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, onceOf, type Service } from "../service.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

export const KeyObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.api_key"),
  name: z.string(),
  tail: z.string(),
  kind: z.enum(["project", "admin", "worker"]),
  project_id: z.string().nullable(),
  scopes: z.array(z.string()),
  owner: z.string(),
  created_at: z.int(),
  expires_at: z.int().nullable(),
  revoked_at: z.int().nullable(),
  last_used_at: z.int().nullable(),
});
/** `key` is shown this once. */
export const NewKeyObject = KeyObject.extend({ key: z.string() });

export const ProjectObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.project"),
  name: z.string(),
  status: z.enum(["active", "archived"]),
  policy: z.string(),
  settings: z.record(z.string(), z.unknown()),
  created_at: z.int(),
  archived_at: z.int().nullable(),
});

const keyReply = (key: ApiKey): z.input<typeof KeyObject> => ({
  id: key.id,
  object: "booster.api_key",
  name: key.name,
  tail: key.tail,
  kind: key.kind,
  project_id: key.project,
  scopes: [...key.scopes],
  owner: key.owner,
  created_at: key.createdAt,
  expires_at: key.expiresAt,
  revoked_at: key.revokedAt,
  last_used_at: key.lastUsedAt,
});

const projectReply = (project: Project): z.input<typeof ProjectObject> => ({
  id: project.id,
  object: "booster.project",
  name: project.name,
  status: project.status,
  policy: project.policy,
  settings: { ...project.settings },
  created_at: project.createdAt,
  archived_at: project.archivedAt,
});

const Name = z.string().min(1).max(100);

export const WorkerObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.worker"),
  host: z.string(),
  pid: z.int(),
  version: z.string(),
  capacity: z.record(z.string(), z.unknown()),
  seen_at: z.int(),
  draining: z.boolean(),
});

export const AuditObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.audit_log"),
  seq: z.int(),
  type: z.string(),
  effective_at: z.int(),
  actor: z.strictObject({ key: z.string(), owner: z.string() }),
  project_id: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
  previous: z.string(),
  hash: z.string(),
});

export const KeyCreate = strict({
  name: Name,
  owner: Name,
  project: z.string().max(200).nullable().optional(),
  preset: z.enum(Object.keys(PRESETS) as Preset[]).optional(),
  scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional(),
  expires_at: z.int().positive().nullable().optional(),
});

export const ProjectChange = strict({
  name: Name.optional(),
  policy: Name.optional(),
  settings: strict({ resultFiles: z.enum(["text", "base64"]) }).optional(),
});

/** Keys, projects, policies, workers, the audit log: for owners. */
export function adminRoutes({ store }: Service): Route[] {
  return [
    route({
      method: "get",
      path: "/v1/booster/projects",
      summary: "List projects",
      query: strict({ ...pageQuery(100, 20), archived: z.enum(["true", "false"]).optional() }),
      reply: pageOf(ProjectObject),
      handle: async ({ principal, query }) =>
        pageReply(
          await store.projects.list(ownerOf(principal), { ...query, archived: query.archived === "true" }),
          projectReply,
        ),
    }),
    route({
      method: "post",
      path: "/v1/booster/projects",
      summary: "Make a project, or find the one of that name",
      body: strict({ name: Name }),
      reply: ProjectObject,
      handle: async ({ principal, body }) => projectReply(await store.projects.create(ownerOf(principal), body.name)),
    }),
    route({
      method: "post",
      path: "/v1/booster/projects/{id}",
      summary: "Change a project's name, policy or settings",
      body: ProjectChange,
      reply: ProjectObject,
      async handle({ principal, params, body }) {
        if (body.policy !== undefined && (await store.policies.current(body.policy)) === undefined) {
          throw new ServiceError("invalid_value", "there is no policy of this name", { param: "policy" });
        }
        const change = {
          ...(body.name === undefined ? {} : { name: body.name }),
          ...(body.policy === undefined ? {} : { policy: body.policy }),
          ...(body.settings === undefined ? {} : { settings: body.settings }),
        };
        return projectReply(found(await store.projects.update(ownerOf(principal), params.id!, change)));
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/projects/{id}/archive",
      summary: "From now on a project is only read",
      body: strict({}),
      bodyOptional: true,
      reply: ProjectObject,
      handle: async ({ principal, params }) =>
        projectReply(found(await store.projects.archive(ownerOf(principal), params.id!))),
    }),
    route({
      method: "get",
      path: "/v1/booster/api_keys",
      summary: "List keys, without what is secret of them",
      query: strict({ ...pageQuery(100, 20), project: z.string().max(200).optional() }),
      reply: pageOf(KeyObject),
      handle: async ({ principal, query }) => pageReply(await store.keys.list(ownerOf(principal), query), keyReply),
    }),
    route({
      method: "post",
      path: "/v1/booster/api_keys",
      summary: "Make a key; it is shown this once",
      body: KeyCreate,
      reply: NewKeyObject,
      async handle(call) {
        const { principal, body } = call;
        const owner = ownerOf(principal);
        if ((body.preset === undefined) === (body.scopes === undefined)) {
          throw new ServiceError("invalid_value", "a key has a preset or scopes, one of them", { param: "preset" });
        }
        const scopes: readonly Scope[] = body.scopes ?? PRESETS[body.preset!];
        if (body.project != null) found(await store.projects.get(owner, body.project));
        const kind = scopes.includes("worker") ? "worker" : body.project == null ? "admin" : "project";
        const { key, presented } = await store.keys.create(owner, {
          kind,
          project: body.project ?? undefined,
          name: body.name,
          scopes,
          owner: body.owner,
          expiresAt: body.expires_at ?? undefined,
          once: onceOf(call, body),
        });
        return { ...keyReply(key), key: presented };
      },
    }),
    route({
      method: "delete",
      path: "/v1/booster/api_keys/{id}",
      summary: "Revoke a key at once",
      reply: KeyObject,
      handle: async ({ principal, params }) => keyReply(found(await store.keys.revoke(ownerOf(principal), params.id!))),
    }),
    route({
      method: "post",
      path: "/v1/booster/api_keys/{id}/rotate",
      summary: "A new key that may do the same; the old one ends",
      body: strict({}),
      bodyOptional: true,
      reply: NewKeyObject,
      async handle({ principal, params }) {
        const { key, presented } = found(await store.keys.rotate(ownerOf(principal), params.id!));
        return { ...keyReply(key), key: presented };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/workers",
      summary: "Workers that have asked for work lately",
      reply: pageOf(WorkerObject),
      handle: async () =>
        pageReply({ data: await store.workers.list(), hasMore: false }, (worker) => ({
          id: worker.id,
          object: "booster.worker" as const,
          host: worker.host,
          pid: worker.pid,
          version: worker.version,
          capacity: { ...worker.capacity },
          seen_at: worker.seenAt,
          draining: worker.draining,
        })),
    }),
    route({
      method: "post",
      path: "/v1/booster/audit_logs/verify",
      summary: "Check the whole chain of the audit log, and its seals",
      body: strict({}),
      bodyOptional: true,
      reply: z.strictObject({ entries: z.int(), seals: z.int(), fault: z.string().nullable() }),
      async handle() {
        const { entries, seals, fault = null } = await store.audit.verify();
        return { entries, seals, fault };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/audit_logs",
      summary: "Who did what, newest first",
      query: strict({ ...pageQuery(100, 20), order: z.enum(["asc", "desc"]).optional() }),
      reply: pageOf(AuditObject),
      handle: async ({ principal, query }) =>
        pageReply(await store.audit.list(ownerOf(principal), query), (entry) => ({
          ...entry,
          object: "booster.audit_log" as const,
          data: { ...entry.data } as Record<string, JsonValue>,
        })),
    }),
  ];
}
