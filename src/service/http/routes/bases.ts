import { z } from "zod";
import { ownerOf, type Principal } from "../../domain/principal.ts";
import type { ServingEngine } from "../../engine/types.ts";
import { BaseWish } from "../../pipeline/add-base.ts";
import type { Base } from "../../store/bases.ts";
import type { Store } from "../../store/store.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found } from "../service.ts";
import { pageOf, pageReply } from "../wire/page.ts";

/** What is being done with a base, or why it came to nothing. */
export interface BaseWork {
  readonly doing?: string;
  readonly problem?: string;
}

/** Makes and measures bases while requests go on. */
export interface BaseKeeper {
  /** Begins to make a base. @throws {ServiceError} where the name is taken, or the policy has not what the alignment reads */
  add(principal: Principal, wish: BaseWish): Promise<void>;
  /** Begins to ask a base what a policy asks. @throws {ServiceError} where there is no such policy */
  evaluate(principal: Principal, base: Base, policy: string): Promise<void>;
  /** By the base's name. */
  works(): ReadonlyMap<string, BaseWork>;
}

export const BaseObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.base"),
  identity: z.string().nullable(),
  state: z.enum(["preparing", "failed", "active", "retired"]),
  /** On this server; `unloaded`: the next request loads it. */
  serving: z.enum(["unloaded", "starting", "ready", "failed", "leaving"]),
  memory_bytes: z.int(),
  doing: z.string().nullable(),
  problem: z.string().nullable(),
  facts: z.record(z.string(), z.unknown()),
  created_at: z.int().nullable(),
});

/** Bases that jobs start from and requests ask: for owners. */
export function baseRoutes(store: Store, engine: ServingEngine, keeper: BaseKeeper): Route[] {
  const reply = (name: string, base: Base | undefined): z.input<typeof BaseObject> => {
    const work: BaseWork = keeper.works().get(name) ?? {};
    const status = engine.status()[name];
    return {
      id: name,
      object: "booster.base",
      identity: base?.identity ?? null,
      state: base?.state ?? (work.problem === undefined ? "preparing" : "failed"),
      serving: status?.state ?? "unloaded",
      memory_bytes: Math.round(status?.bytes ?? 0),
      doing: work.doing ?? null,
      problem: work.problem ?? null,
      facts: { ...base?.facts },
      created_at: base?.createdAt ?? null,
    };
  };
  return [
    route({
      method: "get",
      path: "/v1/booster/bases",
      summary: "All bases, with those that are being made",
      reply: pageOf(BaseObject),
      async handle() {
        const bases = new Map((await store.bases.list({ retired: true })).map((base) => [base.name, base]));
        const names = [...new Set([...bases.keys(), ...keeper.works().keys()])];
        return pageReply({ data: names, hasMore: false }, (name) => reply(name, bases.get(name)));
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/bases",
      summary: "Begin to make a base of a model, aligned first where that is asked for",
      body: BaseWish,
      reply: BaseObject,
      async handle({ principal, body }) {
        await keeper.add(ownerOf(principal), body);
        return reply(body.name, undefined);
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/bases/{id}/evaluate",
      summary: "Begin to ask a base what a policy asks",
      body: strict({ policy: z.string().min(1).max(100).default("default") }),
      bodyOptional: true,
      reply: BaseObject,
      async handle({ principal, params, body }) {
        const base = found(await store.bases.get(params.id!));
        await keeper.evaluate(ownerOf(principal), base, body.policy);
        return reply(base.name, base);
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/bases/{id}/retire",
      summary: "Take no new jobs and requests for a base; what stands on it is served on",
      body: strict({}),
      bodyOptional: true,
      reply: BaseObject,
      async handle({ principal, params }) {
        const name = params.id!;
        if (!(await store.bases.retire(ownerOf(principal), name))) found(undefined);
        engine.leave(name);
        return reply(name, await store.bases.get(name));
      },
    }),
  ];
}
