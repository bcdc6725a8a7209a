import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { Base } from "../../store/bases.ts";
import type { Model } from "../../store/models.ts";
import { unusable } from "../create-job.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { Deleted } from "../wire/file.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

export const ModelObject = z.strictObject({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  booster: z.strictObject({
    base: z.string(),
    job: z.string().nullable(),
    state: z.string(),
    hs: z.unknown(),
  }),
});

export const Permission = z.strictObject({
  id: z.string(),
  object: z.literal("checkpoint.permission"),
  created_at: z.int(),
  project_id: z.string(),
});

const baseReply = (base: Base, owner: string): z.input<typeof ModelObject> => ({
  id: base.name,
  object: "model",
  created: base.createdAt,
  owned_by: owner,
  booster: { base: base.name, job: null, state: base.state, hs: base.facts.hs ?? null },
});

const modelReply = (model: Model): z.input<typeof ModelObject> => ({
  id: model.id,
  object: "model",
  created: model.createdAt,
  owned_by: model.project,
  booster: { base: model.base, job: model.job, state: model.state, hs: model.facts.hs ?? null },
});

/** Bases and released models, and who else may use these. */
export function modelRoutes({ store, organisation, withdraw }: Service): Route[] {
  const permission = (grant: { readonly id: string; readonly createdAt: number; readonly project: string }) => ({
    id: grant.id,
    object: "checkpoint.permission" as const,
    created_at: grant.createdAt,
    project_id: grant.project,
  });
  return [
    route({
      method: "get",
      path: "/v1/models",
      summary: "Bases and released models that this key may use",
      reply: pageOf(ModelObject),
      async handle({ principal }) {
        const bases = (await store.bases.list()).map((base) => baseReply(base, organisation));
        const { data, hasMore } = await store.models.list(principal, { limit: LIMITS.modelsPerProject });
        return pageReply({ data: [...bases, ...data.map(modelReply)], hasMore }, (model) => model);
      },
    }),
    route({
      method: "get",
      path: "/v1/models/{id}",
      summary: "A model",
      reply: ModelObject,
      async handle({ principal, params }) {
        const base = await store.bases.get(params.id!);
        if (base !== undefined) return baseReply(base, organisation);
        const named = await store.models.resolve(principal, params.id!);
        if (named === undefined) throw notFound();
        if (named.state !== "released") throw unusable(named.state);
        return modelReply(named.model);
      },
    }),
    route({
      method: "delete",
      path: "/v1/models/{id}",
      summary: "Delete a fine-tuned model",
      reply: Deleted("model"),
      async handle({ principal, params }) {
        const id = params.id!;
        if ((await store.bases.get(id)) !== undefined) {
          throw new ServiceError("missing_scope", "bases belong to the server and not to a project");
        }
        if (!(await store.models.delete(principal, id))) throw notFound();
        withdraw(id);
        return { id, object: "model", deleted: true };
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/models/{id}/withdraw",
      summary: "Stop serving a released model",
      body: strict({ reason: z.string().min(1).max(1000) }),
      reply: z.strictObject({ id: z.string(), object: z.literal("model"), withdrawn: z.literal(true) }),
      async handle({ principal, params, body }) {
        const id = params.id!;
        if (!(await store.models.withdraw(principal, id, body.reason))) throw notFound();
        withdraw(id);
        return { id, object: "model", withdrawn: true };
      },
    }),
    route({
      method: "post",
      path: "/v1/fine_tuning/checkpoints/{model}/permissions",
      summary: "Let other projects use a model",
      body: strict({ project_ids: z.array(z.string().max(200)).min(1).max(100) }),
      reply: pageOf(Permission),
      async handle({ principal, params, body }) {
        for (const id of body.project_ids) found(await store.projects.get({ ...principal, project: id }, id));
        const granted = await store.models.grant(principal, params.model!, body.project_ids);
        if (granted === undefined) throw notFound();
        return pageReply({ data: granted, hasMore: false }, permission);
      },
    }),
    route({
      method: "get",
      path: "/v1/fine_tuning/checkpoints/{model}/permissions",
      summary: "Projects that may use a model",
      query: strict({
        ...pageQuery(100, 10),
        order: z.enum(["ascending", "descending"]).optional(),
        project_id: z.string().max(200).optional(),
      }),
      reply: pageOf(Permission),
      async handle({ params, query }) {
        const order = query.order === "ascending" ? "asc" : "desc";
        const ask = { after: query.after, limit: query.limit, order, project: query.project_id } as const;
        return pageReply(await store.models.grants(params.model!, ask), permission);
      },
    }),
    route({
      method: "delete",
      path: "/v1/fine_tuning/checkpoints/{model}/permissions/{id}",
      summary: "Take a permission back",
      reply: Deleted("checkpoint.permission"),
      async handle({ principal, params }) {
        if (!(await store.models.revokeGrant(principal, params.model!, params.id!))) found(undefined);
        return { id: params.id!, object: "checkpoint.permission", deleted: true };
      },
    }),
  ];
}

const notFound = (): ServiceError =>
  new ServiceError("model_not_found", "there is no such model, or this key may not use it", { param: "model" });
