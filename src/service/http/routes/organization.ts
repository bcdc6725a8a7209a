import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import { ownerOf, PRESETS, type Principal } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { queryNumber, strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, onceOf, type Service } from "../service.ts";
import {
  AuditLogObject,
  auditLog,
  Deleted,
  deleted,
  NewServiceAccount,
  newServiceAccount,
  OrganizationProject,
  organizationProject,
  ourName,
  ProjectApiKey,
  projectApiKey,
  RateLimitObject,
  rateLimit,
  ServiceAccount,
  serviceAccount,
} from "../wire/organization.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";
import { DAY, UsagePage, usageBuckets } from "../wire/usage.ts";

const Name = z.string().min(1).max(100);
/** One, or several, as `name=a` or `name[]=a&name[]=b`. */
const Several = z
  .union([z.string().max(200), z.array(z.string().max(200)).max(100)])
  .transform((one) => (typeof one === "string" ? [one] : one))
  .optional();
const Time = z
  .string()
  .regex(/^\d{1,12}$/, "must be seconds since 1970")
  .transform(Number);
const Flag = z.enum(["true", "false"]).transform((word) => word === "true");

/** Administration by the routes of OpenAI's clients (`client.admin.organization`): for owners. */
export function organizationRoutes({ store }: Service): Route[] {
  /** The owner, as far as one project goes. @throws {ServiceError} `not_found` */
  const within = async (principal: Principal, project: string): Promise<Principal> => {
    found(await store.projects.get(ownerOf(principal), project));
    return { ...principal, project };
  };
  const keyIn = async (principal: Principal, { project, key }: Readonly<Record<string, string>>) => {
    const one = await store.keys.get(await within(principal, project!), key!);
    return found(one?.revokedAt === null ? one : undefined);
  };
  const revokeIn = async (principal: Principal, { project, key }: Readonly<Record<string, string>>): Promise<string> =>
    found(await store.keys.revoke(await within(principal, project!), key!)).id;
  const projects = "/v1/organization/projects";
  const one = `${projects}/{project}`;

  return [
    route({
      method: "get",
      path: projects,
      summary: "List projects",
      query: strict({ ...pageQuery(100, 20), include_archived: Flag.optional() }),
      reply: pageOf(OrganizationProject),
      handle: async ({ principal, query: { include_archived: archived, ...ask } }) =>
        pageReply(await store.projects.list(ownerOf(principal), { ...ask, archived }), organizationProject),
    }),
    route({
      method: "post",
      path: projects,
      summary: "Make a project, or find the one of that name",
      body: strict({ name: Name, external_key_id: z.null().optional(), geography: z.null().optional() }),
      reply: OrganizationProject,
      handle: async ({ principal, body }) =>
        organizationProject(await store.projects.create(ownerOf(principal), body.name)),
    }),
    route({
      method: "get",
      path: one,
      summary: "One project",
      reply: OrganizationProject,
      handle: async ({ principal, params }) =>
        organizationProject(found(await store.projects.get(ownerOf(principal), params.project!))),
    }),
    route({
      method: "post",
      path: one,
      summary: "Rename a project",
      body: strict({ name: Name, external_key_id: z.null().optional(), geography: z.null().optional() }),
      reply: OrganizationProject,
      handle: async ({ principal, params, body: { name } }) =>
        organizationProject(found(await store.projects.update(ownerOf(principal), params.project!, { name }))),
    }),
    route({
      method: "post",
      path: `${one}/archive`,
      summary: "From now on a project is only read",
      body: strict({}),
      bodyOptional: true,
      reply: OrganizationProject,
      handle: async ({ principal, params }) =>
        organizationProject(found(await store.projects.archive(ownerOf(principal), params.project!))),
    }),

    route({
      method: "get",
      path: `${one}/service_accounts`,
      summary: "Service accounts of a project: each is a key",
      query: strict(pageQuery(100, 20)),
      reply: pageOf(ServiceAccount),
      handle: async ({ principal, params, query }) =>
        pageReply(
          await store.keys.list(await within(principal, params.project!), { ...query, unrevoked: true }),
          serviceAccount,
        ),
    }),
    route({
      method: "post",
      path: `${one}/service_accounts`,
      summary: "Make a service account with a key that may do what a user may; it is shown this once",
      body: strict({ name: Name, create_service_account_only: z.literal(false).nullable().optional() }),
      reply: NewServiceAccount,
      async handle(call) {
        const { principal, params, body } = call;
        const { name } = body;
        const { project } = await within(principal, params.project!);
        const { key, presented } = await store.keys.create(ownerOf(principal), {
          kind: "project",
          project,
          name,
          scopes: PRESETS.user,
          owner: name,
          once: onceOf(call, body),
        });
        return newServiceAccount(key, presented);
      },
    }),
    route({
      method: "get",
      path: `${one}/service_accounts/{key}`,
      summary: "One service account",
      reply: ServiceAccount,
      handle: async ({ principal, params }) => serviceAccount(await keyIn(principal, params)),
    }),
    route({
      method: "delete",
      path: `${one}/service_accounts/{key}`,
      summary: "End a service account, and its key",
      reply: Deleted,
      handle: async ({ principal, params }) =>
        deleted(await revokeIn(principal, params), "organization.project.service_account"),
    }),

    route({
      method: "get",
      path: `${one}/api_keys`,
      summary: "Keys of a project, without what is secret of them",
      query: strict({ ...pageQuery(100, 20), owner_project_access: z.enum(["active", "any"]).optional() }),
      reply: pageOf(ProjectApiKey),
      handle: async ({ principal, params, query: { owner_project_access: _, ...ask } }) =>
        pageReply(
          await store.keys.list(await within(principal, params.project!), { ...ask, unrevoked: true }),
          projectApiKey,
        ),
    }),
    route({
      method: "get",
      path: `${one}/api_keys/{key}`,
      summary: "One key",
      reply: ProjectApiKey,
      handle: async ({ principal, params }) => projectApiKey(await keyIn(principal, params)),
    }),
    route({
      method: "delete",
      path: `${one}/api_keys/{key}`,
      summary: "Revoke a key at once",
      reply: Deleted,
      handle: async ({ principal, params }) =>
        deleted(await revokeIn(principal, params), "organization.project.api_key"),
    }),
    route({
      method: "get",
      path: `${one}/rate_limits`,
      summary: "What each key may ask of each base in a minute",
      query: strict(pageQuery(100, 100)),
      reply: pageOf(RateLimitObject),
      async handle({ principal, params, query: { after, limit } }) {
        await within(principal, params.project!);
        const all = (await store.bases.list()).map(({ name }) => rateLimit(name));
        const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
        if (after !== undefined && from === 0) {
          throw new ServiceError("invalid_value", "the list has no item of this id to go on after", { param: "after" });
        }
        return pageReply({ data: all.slice(from, from + limit), hasMore: all.length > from + limit }, (item) => item);
      },
    }),

    route({
      method: "get",
      path: "/v1/organization/audit_logs",
      summary: "Who did what, newest first",
      query: strict({
        ...pageQuery(100, 20),
        event_types: Several,
        project_ids: Several,
        effective_at: strict({
          gt: Time.optional(),
          gte: Time.optional(),
          lt: Time.optional(),
          lte: Time.optional(),
        }).optional(),
      }),
      reply: pageOf(AuditLogObject),
      async handle({ principal, query: { event_types: types, project_ids: projectIds, effective_at: at, ...ask } }) {
        const from = Math.max(at?.gte ?? 0, at?.gt === undefined ? 0 : at.gt + 1);
        const to = Math.min(
          at?.lte ?? Number.MAX_SAFE_INTEGER,
          at?.lt === undefined ? Number.MAX_SAFE_INTEGER : at.lt - 1,
        );
        const entries = await store.audit.list(ownerOf(principal), {
          ...ask,
          types: types?.map(ourName),
          projects: projectIds,
          from,
          to,
        });
        return pageReply(entries, auditLog);
      },
    }),
    route({
      method: "get",
      path: "/v1/organization/usage/completions",
      summary: "Requests and tokens by day",
      query: strict({
        start_time: Time,
        end_time: Time.optional(),
        bucket_width: z.literal("1d").optional(),
        group_by: Several.pipe(z.array(z.enum(["project_id", "model"])).optional()),
        project_ids: Several,
        models: Several,
        limit: queryNumber(1, LIMITS.usageDays, 7),
        page: z
          .string()
          .regex(/^\d{1,8}$/, "must be the next_page of an answer")
          .optional(),
      }),
      reply: UsagePage,
      async handle({ principal, query }) {
        const first = query.page === undefined ? Math.floor(query.start_time / DAY) : Number(query.page);
        // The day of `end_time` itself counts only as far as it has begun.
        const last = Math.ceil((query.end_time ?? store.context.now() + 1) / DAY) - 1;
        const days = Array.from({ length: Math.max(0, Math.min(query.limit, last - first + 1)) }, (_, i) => first + i);
        const rows = await store.usage.between(ownerOf(principal), first * DAY, (days.at(-1) ?? first) * DAY);
        const wanted = rows.filter(
          ({ project_id, model }) =>
            (query.project_ids?.includes(project_id) ?? true) && (query.models?.includes(model) ?? true),
        );
        const next = first + days.length;
        const more = days.length > 0 && next <= last;
        return {
          object: "page" as const,
          data: usageBuckets(wanted, days, new Set(query.group_by)),
          has_more: more,
          next_page: more ? String(next) : null,
        };
      },
    }),
  ];
}
