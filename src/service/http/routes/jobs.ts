import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Job } from "../../domain/job.ts";
import { LIMITS } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { specOf } from "../create-job.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, onceOf, type Service } from "../service.ts";
import {
  CheckpointObject,
  checkpointReply,
  EventObject,
  eventReply,
  JobCreate,
  JobObject,
  jobReply,
} from "../wire/job.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

/** How often a pause looks whether the worker has saved the job. */
const LOOK_MS = 200;

/** Fine-tuning jobs, as OpenAI's clients make and follow them. */
export function jobRoutes(service: Service): Route[] {
  const { store, organisation } = service;
  const reply = async (job: Job) => jobReply(job, organisation, await store.jobs.position(job));
  const jobOf = async (principal: Principal, id: string) => found(await store.jobs.get(principal, id));
  const command = (name: "cancel" | "resume", summary: string) =>
    route({
      method: "post",
      path: `/v1/fine_tuning/jobs/{id}/${name}`,
      summary,
      body: strict({}),
      bodyOptional: true,
      reply: JobObject,
      handle: async ({ principal, params }) => reply(found(await store.jobs[name](principal, params.id!))),
    });
  return [
    route({
      method: "post",
      path: "/v1/fine_tuning/jobs",
      summary: "Fine-tune a base, or go on from a released model",
      body: JobCreate,
      reply: JobObject,
      async handle(call) {
        const { principal, body } = call;
        const once = onceOf(call, body as never);
        const wanted = await specOf(service, principal, body);
        const job = await store.jobs.create(principal, { ...wanted, once });
        call.c.set("about", { job: job.id });
        return reply(job);
      },
    }),
    route({
      method: "get",
      path: "/v1/fine_tuning/jobs",
      summary: "List jobs, newest first",
      query: strict({
        ...pageQuery(100, 20),
        // The stock client for Node writes null as nothing.
        metadata: z
          .union([
            z.literal("").transform(() => null),
            z.record(z.string().max(LIMITS.metadataKey), z.string().max(LIMITS.metadataValue)),
          ])
          .nullable()
          .optional(),
      }),
      reply: pageOf(JobObject),
      handle: async ({ principal, query }) =>
        pageReply(await store.jobs.list(principal, query), (job) => jobReply(job, organisation)),
    }),
    route({
      method: "get",
      path: "/v1/fine_tuning/jobs/{id}",
      summary: "A job",
      reply: JobObject,
      handle: async ({ principal, params }) => reply(await jobOf(principal, params.id!)),
    }),
    command("cancel", "End a job at once"),
    command("resume", "Go on with a paused job"),
    route({
      method: "post",
      path: "/v1/fine_tuning/jobs/{id}/pause",
      summary: "Pause a job; answers when it is saved, or after ten seconds with the state so far",
      body: strict({}),
      bodyOptional: true,
      reply: JobObject,
      async handle({ principal, params, gone }) {
        let job = found(await store.jobs.pause(principal, params.id!));
        const until = performance.now() + LIMITS.pauseSeconds * 1000;
        while (job.wish === "pause" && performance.now() < until && !gone.aborted) {
          await sleep(LOOK_MS);
          job = await jobOf(principal, params.id!);
        }
        return reply(job);
      },
    }),
    route({
      method: "get",
      path: "/v1/fine_tuning/jobs/{id}/events",
      summary: "What happened to a job, newest first",
      query: strict(pageQuery(100, 20)),
      reply: pageOf(EventObject),
      async handle({ principal, params, query }) {
        const job = await jobOf(principal, params.id!);
        return pageReply(await store.records.events(principal, job.id, query), eventReply);
      },
    }),
    route({
      method: "get",
      path: "/v1/fine_tuning/jobs/{id}/checkpoints",
      summary: "Checkpoints of a job, newest first; none is usable before it was evaluated",
      query: strict(pageQuery(100, 10)),
      reply: pageOf(CheckpointObject),
      async handle({ principal, params, query }) {
        const job = await jobOf(principal, params.id!);
        const page = await store.records.checkpoints(principal, job.id, query);
        return pageReply(page, (checkpoint) => checkpointReply(checkpoint, job));
      },
    }),
  ];
}
