import { z } from "zod";
import { newId } from "../../domain/ids.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ownerOf } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { messageOf, OUTCOMES, WEBHOOK_EVENTS } from "../../domain/webhook.ts";
import type { Delivery, Webhook } from "../../store/webhooks.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, onceOf, type Service } from "../service.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

export const WebhookObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.webhook"),
  name: z.string(),
  url: z.string(),
  events: z.array(z.enum(WEBHOOK_EVENTS)),
  project_id: z.string().nullable(),
  state: z.enum(["active", "gone"]),
  created_at: z.int(),
});
/** `secret` is shown this once. */
export const NewWebhookObject = WebhookObject.extend({ secret: z.string() });

export const DeliveryObject = z.strictObject({
  id: z.string(),
  object: z.literal("booster.webhook.delivery"),
  event_id: z.string(),
  type: z.string(),
  job_id: z.string(),
  created_at: z.int(),
  state: z.enum(["waiting", "delivered", "given_up"]),
  tries: z.int(),
  next_try_at: z.int().nullable(),
  last_try: z.strictObject({ outcome: z.enum(OUTCOMES), status: z.int().nullable(), at: z.int() }).nullable(),
});

const webhookReply = (webhook: Webhook): z.input<typeof WebhookObject> => ({
  id: webhook.id,
  object: "booster.webhook",
  name: webhook.name,
  url: webhook.url,
  events: webhook.events,
  project_id: webhook.project,
  state: webhook.state,
  created_at: webhook.createdAt,
});

const deliveryReply = (delivery: Delivery): z.input<typeof DeliveryObject> => ({
  id: delivery.id,
  object: "booster.webhook.delivery",
  event_id: delivery.event,
  type: delivery.type,
  job_id: delivery.job,
  created_at: delivery.createdAt,
  state: delivery.state,
  tries: delivery.tries,
  next_try_at: delivery.nextTry,
  last_try:
    delivery.outcome === null || delivery.triedAt === null
      ? null
      : { outcome: delivery.outcome, status: delivery.status, at: delivery.triedAt },
});

/** Where the server tells of jobs that are over: for owners. */
export function webhookRoutes({ store, webhooks, metrics }: Service): Route[] {
  return [
    route({
      method: "get",
      path: "/v1/booster/webhooks",
      summary: "List webhooks, without their secrets",
      query: strict(pageQuery(100, 20)),
      reply: pageOf(WebhookObject),
      handle: async ({ principal, query }) =>
        pageReply(await store.webhooks.list(ownerOf(principal), query), webhookReply),
    }),
    route({
      method: "post",
      path: "/v1/booster/webhooks",
      summary: "Tell this address of jobs that are over; the secret that signs is shown this once",
      body: strict({
        name: z.string().min(1).max(100),
        url: z.string().min(1).max(LIMITS.webhookUrlLength),
        events: z.array(z.enum(WEBHOOK_EVENTS)).min(1).max(20).optional(),
        project: z.string().max(200).nullable().optional(),
      }),
      reply: NewWebhookObject,
      async handle(call) {
        const { principal, body } = call;
        const owner = ownerOf(principal);
        const fault = webhooks.faultOf(body.url);
        if (fault !== undefined) {
          throw new ServiceError("invalid_value", `webhooks cannot go to this address: ${fault}`, {
            param: "url",
            expected: "an https address that is the public's",
            hint: "Whoever runs the server may allow others with --webhook-inside",
          });
        }
        if (body.project != null) found(await store.projects.get(owner, body.project));
        const { webhook, secret } = await store.webhooks.create(owner, {
          project: body.project ?? undefined,
          name: body.name,
          url: new URL(body.url).href,
          events: body.events ?? WEBHOOK_EVENTS,
          once: onceOf(call, body),
        });
        return { ...webhookReply(webhook), secret };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/webhooks/{id}",
      summary: "One webhook",
      reply: WebhookObject,
      handle: async ({ principal, params }) =>
        webhookReply(found(await store.webhooks.get(ownerOf(principal), params.id!))),
    }),
    route({
      method: "delete",
      path: "/v1/booster/webhooks/{id}",
      summary: "Tell it nothing more, also not what waits",
      reply: WebhookObject,
      handle: async ({ principal, params }) =>
        webhookReply(found(await store.webhooks.remove(ownerOf(principal), params.id!))),
    }),
    route({
      method: "post",
      path: "/v1/booster/webhooks/{id}/test",
      summary: "Send an event of the type booster.webhook.test now, once",
      body: strict({}),
      bodyOptional: true,
      reply: z.strictObject({ outcome: z.enum(OUTCOMES), status: z.int().nullable() }),
      async handle({ principal, params }) {
        const target = found(await store.webhooks.target(ownerOf(principal), params.id!));
        const message = messageOf({
          id: newId("webhookEvent"),
          type: "booster.webhook.test",
          createdAt: store.context.now(),
          about: params.id!,
        });
        const { outcome, status = null } = await webhooks.send(target, message);
        metrics.webhooks.inc({ outcome });
        return { outcome, status };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/webhooks/{id}/deliveries",
      summary: "What a webhook was told and is to be told, newest first",
      query: strict(pageQuery(100, 20)),
      reply: pageOf(DeliveryObject),
      async handle({ principal, params, query }) {
        const owner = ownerOf(principal);
        found(await store.webhooks.get(owner, params.id!));
        return pageReply(await store.webhooks.deliveries(owner, params.id!, query), deliveryReply);
      },
    }),
  ];
}
