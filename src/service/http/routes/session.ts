import { z } from "zod";
import { KEY_KINDS, ownerOf, type Principal } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { refuseKey } from "../gate.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { checkOrigin, sessionCookie, sessionIn } from "../session.ts";

export const SessionObject = z.strictObject({
  object: z.literal("booster.session"),
  owner: z.string(),
  key: z.strictObject({ id: z.string(), name: z.string(), tail: z.string(), kind: z.enum(KEY_KINDS) }),
  scopes: z.array(z.string()),
  project: z.strictObject({ id: z.string(), name: z.string(), policy: z.string() }).nullable(),
  /** Null where the request carried the key itself. */
  expires_at: z.int().nullable(),
  /** A page that was made by another version should be loaded again. */
  version: z.string(),
});

/** Browsers sign in with a key, and are given a cookie in its place. */
export function sessionRoutes(service: Service): Route[] {
  const { store, rates, version } = service;
  async function reply(principal: Principal, expiresAt?: number): Promise<z.input<typeof SessionObject>> {
    const anywhere = ownerOf(principal);
    const key = found(await store.keys.get(anywhere, principal.key));
    const project = principal.project === undefined ? undefined : await store.projects.get(anywhere, principal.project);
    return {
      object: "booster.session",
      owner: principal.owner,
      key: { id: key.id, name: key.name, tail: key.tail, kind: key.kind },
      scopes: [...principal.scopes],
      project: project === undefined ? null : { id: project.id, name: project.name, policy: project.policy },
      expires_at: expiresAt ?? null,
      version,
    };
  }
  return [
    route({
      method: "post",
      path: "/v1/booster/session",
      summary: "Sign in a browser with a key: the answer sets a cookie",
      body: strict({ key: z.string().min(1).max(200) }),
      reply: SessionObject,
      async handle({ c, incoming, body }) {
        checkOrigin(incoming);
        const known = await store.keys.find(body.key.trim());
        if ("refused" in known) throw refuseKey(service, incoming, known.refused);
        rates.request("writes", known.principal.key);
        const { secret, expiresAt } = await store.sessions.create(known.principal);
        c.header("set-cookie", sessionCookie(incoming, secret));
        return reply(known.principal, expiresAt);
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/session",
      summary: "Who asks, and what they may",
      reply: SessionObject,
      async handle({ principal, incoming }) {
        const secret = incoming.headers.authorization === undefined ? sessionIn(incoming) : undefined;
        const session = secret === undefined ? undefined : await store.sessions.find(secret);
        return reply(principal, session?.expiresAt);
      },
    }),
    route({
      method: "delete",
      path: "/v1/booster/session",
      summary: "Sign out",
      reply: z.strictObject({ object: z.literal("booster.session"), deleted: z.literal(true) }),
      async handle({ c, principal, incoming }) {
        const secret = incoming.headers.authorization === undefined ? sessionIn(incoming) : undefined;
        if (secret === undefined || !(await store.sessions.end(principal, secret))) {
          throw new ServiceError("invalid_value", "no session came with this request");
        }
        c.header("set-cookie", sessionCookie(incoming, undefined));
        return { object: "booster.session", deleted: true };
      },
    }),
  ];
}
