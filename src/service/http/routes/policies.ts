import { z } from "zod";
import type { JsonValue } from "../../domain/json.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { policyOf } from "../../pipeline/policy.ts";
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

export const policyReply = (policy: StoredPolicy): z.input<typeof PolicyObject> => ({
  id: `${policy.name}@${policy.version}`,
  object: "booster.policy",
  name: policy.name,
  version: policy.version,
  sha256: policy.sha256,
  body: policy.body,
  created_at: policy.createdAt,
});

/** What models must show before anybody may use them; a policy is never changed, only followed by its next version. */
export function policyRoutes({ store }: Service): Route[] {
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
        policy: z.record(z.string(), z.unknown()),
        /** Rows as JSON Lines, one text a set. */
        sets: z.array(z.string()).max(16),
      }),
      bodyLimit: LIMITS.internalBytes,
      reply: PolicyObject,
      async handle({ principal, body }) {
        const policy = policyOf(body.policy as JsonValue);
        for (const set of body.sets) await store.blobs.put(Buffer.from(set));
        for (const [use, { sha256 }] of Object.entries(policy.sets)) {
          if ((await store.blobs.has(sha256)) === undefined) {
            throw new ServiceError("invalid_policy", "the rows of a set did not come with the policy", { found: use });
          }
        }
        const { project: _, ...owner } = principal;
        return policyReply(await store.policies.set(owner, policy.name, policy as unknown as JsonValue));
      },
    }),
  ];
}
