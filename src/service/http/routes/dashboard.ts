import { z } from "zod";
import { choose } from "../../../choice.ts";
import { ERROR_CODES } from "../../../error-codes.ts";
import { METHODS } from "../../../methods/registry.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { policyOf, treatmentOf } from "../../pipeline/policy.ts";
import { preview } from "../../pipeline/preview.ts";
import { resolved } from "../../pipeline/stages/validate.ts";
import type { Base } from "../../store/bases.ts";
import type { StoredPolicy } from "../../store/policies.ts";
import { baseOf, specOf } from "../create-job.ts";
import { queryNumber, strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { RowReaders } from "../row-readers.ts";
import { found, type Service } from "../service.ts";
import { JobCreate } from "../wire/job.ts";
import { PolicyObject, policyReply } from "./policies.ts";

/** Rows by whose tokens those of a whole file are guessed. */
const SAMPLE = LIMITS.previewRows;

const Row = z.strictObject({
  line: z.int(),
  tokens: z.array(z.strictObject({ id: z.int(), text: z.string(), trained: z.boolean() })),
  count: z.int(),
  trained: z.int(),
  fault: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
});

export const Preview = z.strictObject({
  object: z.literal("booster.file_preview"),
  file: z.string(),
  base: z.string(),
  max_tokens: z.int(),
  rows: z.array(Row),
  has_more: z.boolean(),
});

export const Estimate = z.strictObject({
  object: z.literal("booster.estimate"),
  rows: z.int(),
  hyperparameters: z.strictObject({
    n_epochs: z.number(),
    batch_size: z.number(),
    learning_rate_multiplier: z.number(),
  }),
  steps: z.int(),
  /** Of the file, once; guessed from its first rows. */
  tokens: z.int(),
  defence: z.string(),
  /** Forward and backward passes of a step. */
  passes: z.strictObject({ forward: z.number(), backward: z.number() }),
  /** As the newest job on this base took; null where there was none yet. */
  seconds: z.strictObject({ training: z.int(), besides: z.int() }).nullable(),
});

/** What pages show before a job is made, and to whom runs the server. */
export function dashboardRoutes(service: Service): Route[] {
  const { store } = service;
  const readers = new RowReaders(store.blobs);
  const policyFor = async (principal: Principal): Promise<StoredPolicy> => {
    const project = found(
      principal.project === undefined ? undefined : await store.projects.get(principal, principal.project),
    );
    return found(await store.policies.current(project.policy));
  };
  const baseFor = async (principal: Principal, model: string | undefined): Promise<Base> => {
    if (model !== undefined) return (await baseOf(service, principal, model)).base;
    const [first] = policyOf((await policyFor(principal)).body).bases;
    return (await baseOf(service, principal, first!)).base;
  };
  return [
    route({
      method: "get",
      path: "/v1/booster/files/{id}/preview",
      summary: "The first rows of a file as a model sees them: its template, as tokens, those that are trained marked",
      query: strict({
        rows: queryNumber(1, LIMITS.previewRows, 3),
        model: z.string().min(1).max(512).optional(),
      }),
      reply: Preview,
      async handle({ principal, params, query }) {
        const file = found(await store.files.get(principal, params.id!));
        const base = await baseFor(principal, query.model);
        const reader = await readers.of(base);
        const bytes = await store.blobs.open(file.sha256);
        const { rows, more } = await preview(bytes, reader, query.rows, LIMITS.previewTokens);
        return {
          object: "booster.file_preview",
          file: file.id,
          base: base.name,
          max_tokens: reader.maxPositions,
          rows: rows.map(({ fault, tokens, ...row }) => ({
            ...row,
            tokens: [...tokens],
            fault: fault === null ? null : { code: fault, message: ERROR_CODES[fault].meaning },
          })),
          has_more: more,
        };
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/estimate",
      summary: "What a job would be: refused as the job would be, else its numbers, and how long it may take",
      body: JobCreate,
      reply: Estimate,
      async handle({ principal, body }) {
        const { spec } = await specOf(service, principal, body);
        const { base } = await baseOf(service, principal, body.model);
        const check = await store.checks.get(spec.training.sha256);
        const bytes = await store.blobs.open(spec.training.sha256);
        const sample = (await preview(bytes, await readers.of(base), SAMPLE, 0)).rows;
        const rows = check?.rows ?? sample.length;
        const counted = sample.filter(({ count }) => count > 0);
        const perRow = counted.reduce((sum, { count }) => sum + count, 0) / Math.max(1, counted.length);
        const hyperparameters = resolved(spec.hyperparameters, rows);
        const { defence } = treatmentOf(policyOf(spec.policy.body), spec.booster);
        const { forward, backward } = choose(METHODS, defence as { name: "sft" }).passes;
        const pace = await store.records.pace(base.identity);
        const tokens = Math.round(perRow * rows);
        return {
          object: "booster.estimate",
          rows,
          hyperparameters,
          steps: Math.ceil(hyperparameters.n_epochs * Math.ceil(rows / hyperparameters.batch_size)),
          tokens,
          defence: defence.name,
          passes: { forward, backward },
          seconds:
            pace === undefined
              ? null
              : {
                  training: Math.ceil(pace.perToken * tokens * hyperparameters.n_epochs),
                  besides: Math.ceil(pace.besides),
                },
        };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/policy",
      summary: "What models of this project must show before anybody may use them",
      reply: PolicyObject,
      handle: async ({ principal }) => policyReply(await policyFor(principal)),
    }),
    route({
      method: "get",
      path: "/v1/booster/limits",
      summary: "Every limit of this server",
      reply: z.strictObject({
        object: z.literal("booster.limits"),
        limits: z.record(
          z.string(),
          z.union([z.number(), z.array(z.number()).readonly(), z.record(z.string(), z.number())]),
        ),
      }),
      handle: async () => ({ object: "booster.limits", limits: { ...LIMITS } }),
    }),
  ];
}
