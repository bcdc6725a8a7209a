import { Readable } from "node:stream";
import { z } from "zod";
import { EVENT_TYPES, JOB_ERRORS, SLOTS, WORK } from "../../domain/job.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { Claim } from "../../domain/protocol.ts";
import { bodyOf, queryNumber, strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";

const Hash = z.string().regex(/^[\da-f]{64}$/, "must be a SHA-256");
const Files = z.record(z.string().min(1).max(255), Hash);
const Json = z.record(z.string(), z.unknown());
const Epoch = z.int().nonnegative();
const Done = z.strictObject({});

const Output = z.strictObject({ blobs: Files, facts: Json });
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
  report: z.unknown(),
  adapter: Files,
});
const Metrics = z.record(z.string().max(64), z.number());

/** What workers say (`domain/protocol.ts`). Everything is fenced by (job, epoch): one whose time is over changes nothing. */
export function internalRoutes({ store, log }: Service): Route[] {
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
        await write(params.id!, body);
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
        slots: z.array(z.enum(Object.keys(SLOTS) as (keyof typeof SLOTS)[])).min(1),
        threads: z.int().positive(),
        host: z.string().max(255),
        pid: z.int(),
        version: z.string().max(64),
      }),
      reply: z.strictObject({ claim: z.unknown() as z.ZodType<Claim | null> }),
      async handle({ principal, body }) {
        await store.workers.seen(principal, body);
        const claim = await leases.claim(body);
        if (claim !== undefined) log.info({ job: claim.job, epoch: claim.epoch, stage: claim.stage }, "claimed");
        return { claim: claim ?? null };
      },
    }),
    route({
      method: "post",
      path: "/internal/jobs/{id}/beat",
      summary: "The worker lives; what users want of the job",
      body: strict({ epoch: Epoch, step: z.int().nonnegative() }),
      reply: z.strictObject({ wish: z.enum(["pause", "none", "lost"]) }),
      handle: ({ params, body }) => leases.beat(params.id!, body.epoch, body.step),
    }),
    report(
      "events",
      "Something happened",
      {
        event: z.strictObject({
          level: z.enum(["info", "warn", "error"]),
          type: z.enum(EVENT_TYPES),
          message: z.string().max(10_000),
          data: Json.optional(),
        }),
      },
      (job, { epoch, event }) => leases.event(job, epoch, event as never),
    ),
    report(
      "metrics",
      "Values of steps",
      { rows: z.array(Metrics.refine((row) => Number.isInteger(row.step), "has no step")).max(10_000) },
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
          metrics: Metrics,
        }),
      },
      (job, { epoch, checkpoint }) => leases.checkpoint(job, epoch as number, checkpoint as never),
    ),
    report(
      "finish",
      `The end of a stage: ${WORK.join(", ")}`,
      { outcome: Outcome, verdict: Verdict.optional() },
      (job, { epoch, outcome, verdict }) => leases.finish(job, epoch as number, outcome as never, verdict as never),
    ),
    route({
      method: "get",
      path: "/internal/blobs/{sha256}",
      summary: "A blob that the worker's claim names",
      query: strict({ job: z.string().max(200), epoch: queryNumber(0, 999_999_999, 0) }),
      reply: z.undefined(),
      media: ["application/octet-stream"],
      async handle({ params, query }) {
        const hash = Hash.safeParse(params.sha256).data;
        const may = hash !== undefined && (await leases.reads(query.job, query.epoch)).has(hash);
        const bytes = may ? await blobs.has(hash) : undefined;
        if (hash === undefined || bytes === undefined) return found(undefined);
        return new Response(Readable.toWeb(await blobs.open(hash)) as ReadableStream, {
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
        if (query.sealed === undefined) return { sha256: (await blobs.put(bodyOf(incoming, LIMITS.blobBytes))).sha256 };
        const parts: Uint8Array[] = [];
        for await (const part of bodyOf(incoming, LIMITS.sealedBytes)) parts.push(part);
        return { sha256: (await blobs.put(store.secrets.seal(Buffer.concat(parts)))).sha256 };
      },
    }),
  ];
}
