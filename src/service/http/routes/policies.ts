import { buffer } from "node:stream/consumers";
import { z } from "zod";
import { sha256Of } from "../../domain/canonical.ts";
import type { JsonValue } from "../../domain/json.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ownerOf } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { type Policy, policyOf } from "../../pipeline/policy.ts";
import { recheckPolicy } from "../../pipeline/policy-file.ts";
import type { StoredPolicy } from "../../store/policies.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { pageOf, pageReply } from "../wire/page.ts";

export const PolicyObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.policy"),
  name: z.string(),
  version: z.int(),
  sha256: z.string(),
  body: z.unknown(),
  created_at: z.int(),
});

const PolicySet = z.strictObject({
  name: z.string().min(1).max(1000),
  sha256: z.string().regex(/^[\da-f]{64}$/, "must be a SHA-256"),
  rows: z.int().nonnegative(),
});

export const policyReply = (policy: StoredPolicy): z.input<typeof PolicyObject> => ({
  id: `${policy.name}@${policy.version}`,
  object: "booster.policy",
  name: policy.name,
  version: policy.version,
  sha256: policy.sha256,
  body: policy.body,
  created_at: policy.createdAt,
});

/** Rows of a set that another version of the policy brought. */
async function bytesOf({ blobs, policies }: Service["store"], sha256: string): Promise<Uint8Array> {
  if (!(await policies.haveSet(sha256)) || (await blobs.has(sha256)) === undefined) {
    throw new ServiceError("invalid_policy", "the rows of a set did not come with the policy", { expected: sha256 });
  }
  return buffer(await blobs.open(sha256));
}

/**
 * The policy with a judge that is never asked inside, whatever its name means later, unless the operator has named its host: it is sent what tenants wrote, and a key.
 *
 * @throws {ServiceError} `invalid_policy` for a judge at an address that this server may not ask
 */
function withJudge(policy: Policy, { faultOf, isNamed }: Service["webhooks"]): Policy {
  const { moderation } = policy;
  const { baseUrl } = moderation.moderator as { readonly baseUrl?: unknown };
  if (typeof baseUrl !== "string") return policy;
  const fault = faultOf(baseUrl);
  if (fault === undefined) {
    if (isNamed(baseUrl)) return policy;
    const moderator = { ...moderation.moderator, publicOnly: true } as typeof moderation.moderator;
    return { ...policy, moderation: { ...moderation, moderator } };
  }
  throw new ServiceError("invalid_policy", `no judge can be asked at this address: ${fault}`, {
    expected: "https, at a public address",
    hint: "booster serve --webhook-inside allows addresses inside; a policy that the server is started with may name any",
  });
}

/** What models must show before anybody may use them; a policy is never changed, only followed by its next version. */
export function policyRoutes({ store, webhooks }: Service): Route[] {
  return [
    route({
      method: "get",
      path: "/v1/booster/policies",
      summary: "The newest version of each policy",
      reply: pageOf(PolicyObject),
      handle: async () => pageReply({ data: await store.policies.list(), hasMore: false }, policyReply),
    }),
    route({
      method: "get",
      path: "/v1/booster/policies/{name}",
      summary: "All versions of a policy, newest first",
      reply: pageOf(PolicyObject),
      async handle({ params }) {
        const versions = await store.policies.list(params.name!);
        found(versions[0]);
        return pageReply({ data: versions, hasMore: false }, policyReply);
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/policies",
      summary: "The next version of a policy, with the rows of its sets; new jobs are under it",
      body: strict({
        policy: z.looseObject({
          sets: z.record(z.string(), PolicySet),
          moderatorFiles: z.record(z.string(), PolicySet.shape.sha256).optional(),
        }),
        /** Rows as JSON Lines, one text a set. */
        sets: z.array(z.string()).max(16),
      }),
      bodyLimit: LIMITS.internalBytes,
      reply: PolicyObject,
      async handle({ principal, body }) {
        const policy = withJudge(policyOf(body.policy as JsonValue), webhooks);
        const rows = new Map<string, Uint8Array>();
        for (const set of body.sets.map((text) => Buffer.from(text))) rows.set(sha256Of(set), set);
        await recheckPolicy(policy, async (sha256) => rows.get(sha256) ?? bytesOf(store, sha256));
        for (const set of rows.values()) await store.blobs.put(set);
        return policyReply(await store.policies.set(ownerOf(principal), policy.name, policy as unknown as JsonValue));
      },
    }),
  ];
}
