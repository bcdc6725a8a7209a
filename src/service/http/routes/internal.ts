import { z } from "zod";
import { EVENT_TYPES, JOB_ERRORS, SLOTS, WORK } from "../../domain/job.ts";
import { LIMITS } from "../../domain/limits.ts";
import { isPlain } from "../../domain/places.ts";
import type { Claim } from "../../domain/protocol.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { bodyOf, queryNumber, strict } from "../json.ts";
import type { Metrics } from "../metrics.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { streamed } from "../streamed.ts";
import { StepPoint } from "./booster.ts";

const Hash = z.string().regex(/^[\da-f]{64}$/, "must be a SHA-256");
/** A file's place in a folder of whoever fetches it: no way out of there. */
const Place = z.string().max(255).refine(isPlain, "must be a place in a folder");
const Files = z.record(Place, Hash);
const Json = z.record(z.string(), z.unknown());
const Count = z.int().nonnegative().optional();
/** What a stage found out; what is computed with, as what it is. */
const Facts = z
  .looseObject({
    rows: Count,
    flagged: Count,
    steps: Count,
    tokens: Count,
    trainedTokens: Count,
    trainedRows: Count,
    trainedFlagged: Count,
    hyperparameters: z.record(z.string(), z.number()).optional(),
  })
  .refine(({ rows = 0, flagged = 0 }) => flagged <= rows, "more rows are flagged than there are");
/** Of an integer in the database. */
const LARGEST = 2 ** 31 - 1;
const Epoch = z.int().nonnegative();
const Done = z.strictObject({});

const Output = z.strictObject({ blobs: Files, facts: Facts });
const Outcome = z.discriminatedUnion("end", [
  z.strictObject({ end: z.literal("done"), output: Output }),
  z.strictObject({ end: z.enum(["paused", "released_lease"]) }),
  z.strictObject({
    end: z.literal("failed"),
    error: z.strictObject({
      code: z.enum(JOB_ERRORS),
      message: z.string().max(10_000),
      param: z.string().nullable(),
    }),
    output: Output.optional(),
  }),
]);
const Verdict = z.strictObject({
  verdict: z.enum(["released", "held", "rejected"]),
  report: Json,
  adapter: Files,
});
const Took = z.strictObject({ stage: z.enum(WORK), seconds: z.number().nonnegative() });
const StepValues = z.record(z.string().max(64), z.number());

/** What the end of a stage adds to the server's numbers. */
function count(
  metrics: Metrics,
  outcome: z.output<typeof Outcome>,
  verdict: z.output<typeof Verdict> | undefined,
  took: z.output<typeof Took> | undefined,
): void {
  if (took !== undefined) metrics.stageSeconds.observe({ stage: took.stage, outcome: outcome.end }, took.seconds);
  if (verdict !== undefined) metrics.verdicts.inc({ verdict: verdict.verdict });
  const { rows, flagged } = ("output" in outcome ? outcome.output?.facts : undefined) ?? {};
  if (took?.stage !== "moderate" || typeof rows !== "number" || typeof flagged !== "number") return;
  metrics.moderated.inc({ flagged: "yes" }, flagged);
  metrics.moderated.inc({ flagged: "no" }, rows - flagged);
}

/** What workers say (`domain/protocol.ts`). Everything is fenced by (job, epoch): one whose time is over changes nothing. */
export function internalRoutes(service: Service): Route[] {
  const { store, log, metrics } = service;
  const { leases, blobs } = store;
  /** A report about a claimed job. */
  const report = <Shape extends z.core.$ZodLooseShape>(
    name: string,
    summary: string,
    shape: Shape,
    write: (job: string, body: z.output<z.ZodObject<Shape & { epoch: typeof Epoch }>>) => Promise<void>,
  ): Route =>
    route({
      method: "post",
      path: `/internal/jobs/{id}/${name}`,
      summary,
      bodyLimit: LIMITS.internalBytes,
      body: strict({ epoch: Epoch, ...shape }) as unknown as z.ZodObject<Shape & { epoch: typeof Epoch }>,
      reply: Done,
      async handle({ params, body, c }) {
        await write(params.id!, body).catch((error: unknown) => {
          if (error instanceof ServiceError && error.code === "lease_lost") metrics.fencedWrites.inc();
          throw error;
        });
        c.set("about", { job: params.id! });
        return {};
      },
    });
  return [
    route({
      method: "post",
      path: "/internal/claim",
      summary: "The next piece of work, if there is any",
      body: strict({
        id: z.string().min(1).max(200),
        slots: z
          .array(z.enum(Object.keys(SLOTS) as (keyof typeof SLOTS)[]))
          .min(1)
          .max(Object.keys(SLOTS).length),
        threads: z.int().positive().max(LARGEST),
        host: z.string().max(255),
        pid: z.int().min(0).max(LARGEST),
        version: z.string().max(64),
      }),
      reply: z.strictObject({ claim: z.unknown() as z.ZodType<Claim | null> }),
      async handle({ principal, body }) {
        await store.workers.seen(principal, body);
        const claim = await leases.claim(body);
        if (claim !== undefined) metrics.queueSeconds.observe(claim.waited);
        if (claim !== undefined) log.info({ job: claim.job, epoch: claim.epoch, stage: claim.stage }, "claimed");
        return { claim: claim ?? null };
      },
    }),
    route({
      method: "post",
      path: "/internal/jobs/{id}/beat",
      summary: "The worker lives; what users want of the job",
      body: strict({ epoch: Epoch, step: z.int().nonnegative(), left: z.number().nonnegative().optional() }),
      reply: z.strictObject({ wish: z.enum(["pause", "none", "lost"]) }),
      handle: ({ params, body }) => leases.beat(params.id!, body.epoch, body.step, body.left),
    }),
    report(
      "events",
      "Something happened",
      {
        event: z.strictObject({
          level: z.enum(["info", "warn", "error"]),
          type: z.enum(EVENT_TYPES),
          message: z.string().max(10_000),
          data: z.looseObject({ step: z.number().optional() }).optional(),
        }),
      },
      (job, { epoch, event }) => leases.event(job, epoch, event as never),
    ),
    report(
      "metrics",
      "Values of steps",
      { rows: z.array(StepPoint.extend({ step: z.int().nonnegative() })).max(10_000) },
      (job, { epoch, rows }) => leases.metrics(job, epoch as number, rows as never),
    ),
    report(
      "checkpoints",
      "A checkpoint whose files are stored",
      {
        checkpoint: z.strictObject({
          step: z.int().nonnegative(),
          epochEnd: z.boolean(),
          files: Files,
          metrics: StepValues,
        }),
      },
      (job, { epoch, checkpoint }) => leases.checkpoint(job, epoch as number, checkpoint as never),
    ),
    report(
      "finish",
      `The end of a stage: ${WORK.join(", ")}`,
      { outcome: Outcome, verdict: Verdict.optional(), took: Took.optional() },
      async (job, { epoch, outcome, verdict, took }) => {
        await leases.finish(job, epoch as number, outcome as never, verdict as never);
        count(metrics, outcome, verdict, took);
      },
    ),
    route({
      method: "get",
      path: "/internal/blobs/{sha256}",
      summary: "A blob that the worker's claim names",
      query: strict({ job: z.string().max(200), epoch: queryNumber(0, 999_999_999, 0) }),
      reply: z.undefined(),
      media: ["application/octet-stream"],
      async handle({ params, query, ...asked }) {
        const hash = Hash.safeParse(params.sha256).data;
        const may = hash !== undefined && (await leases.reads(query.job, query.epoch)).has(hash);
        const bytes = may ? await blobs.has(hash) : undefined;
        if (hash === undefined || bytes === undefined) return found(undefined);
        return new Response(streamed(service, asked, await blobs.open(hash)), {
          headers: { "content-type": "application/octet-stream", "content-length": String(bytes) },
        });
      },
    }),
    route({
      method: "put",
      path: "/internal/blobs",
      summary: "Store a blob under a claim",
      query: strict({
        job: z.string().max(200),
        epoch: queryNumber(0, 999_999_999, 0),
        sealed: z.literal("1").optional(),
      }),
      reply: z.strictObject({ sha256: z.string() }),
      async handle({ query, incoming }) {
        await leases.reads(query.job, query.epoch);
        const sealed = async () => {
          const parts: Uint8Array[] = [];
          for await (const part of bodyOf(incoming, LIMITS.sealedBytes)) parts.push(part);
          return store.secrets.seal(Buffer.concat(parts));
        };
        const bytes = query.sealed === undefined ? bodyOf(incoming, LIMITS.blobBytes) : await sealed();
        const { sha256 } = await blobs.put(bytes);
        await leases.wrote(query.job, query.epoch, sha256);
        return { sha256 };
      },
    }),
  ];
}
