import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { liveEvent, livePage, livePolicy } from "../../../report/index.ts";
import type { Experiment } from "../../pipeline/experiments.ts";
import { isStillKnown } from "../gate.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { eventStream } from "../sse.ts";
import { pageOf, pageReply } from "../wire/page.ts";

/** The report of a finished experiment is a page of the house's own making, without any script. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/** Between two looks at an experiment for a page that shows it. */
const LOOK_MS = 2000;
const LOST = "The server does not answer. What is shown may be old.";

export const ExperimentObject = z.strictObject({
  /** Its folder's name. */
  id: z.string(),
  object: z.literal("booster.experiment"),
  /** `stopped`: nobody works on it, and it is not finished. */
  state: z.enum(["finished", "running", "stopped", "unreadable"]),
  changed_at: z.int(),
  /** Of its result; null before that is there. */
  bytes: z.int().nullable(),
  /** Pieces of work, of one that is not finished. */
  pieces: z.strictObject({ done: z.int(), left_out: z.int(), total: z.int() }).nullable(),
  /** What is being worked on. */
  under_way: z.array(z.string()),
});

/** Experiments in the folder that the server was given, whose reports owners read. */
export function experimentRoutes(service: Service): Route[] {
  const { experiments, streams, draining, log } = service;
  const one = async (id: string | undefined): Promise<Experiment> =>
    found((await experiments.list()).find((each) => each.id === id));
  return [
    route({
      method: "get",
      path: "/v1/booster/experiments",
      summary: "Experiments in the server's folder of experiments, newest first",
      reply: pageOf(ExperimentObject),
      handle: async () => pageReply({ data: (await experiments.list()).map(reply), hasMore: false }, (each) => each),
    }),
    route({
      method: "get",
      path: "/v1/booster/experiments/{id}/report",
      summary: "An experiment's report, as a page; of one that is not finished the report so far, which grows",
      reply: z.string(),
      media: ["text/html"],
      async handle({ params }) {
        const it = await one(params.id);
        const report = await experiments.report(it);
        const nonce = randomBytes(16).toString("base64");
        const isOver = it.state === "finished";
        const page = isOver ? found(report) : livePage(report, { progress: progressOf(it), nonce, lost: LOST });
        return new Response(page, {
          headers: {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": isOver ? POLICY : livePolicy(nonce),
            "cache-control": "no-store",
          },
        });
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/experiments/{id}/events",
      summary: "How far an experiment is, and when its report is another (server-sent events), until it is finished",
      reply: z.undefined(),
      media: ["text/event-stream"],
      async handle({ principal, params, incoming }) {
        await one(params.id);
        return eventStream(
          async function* (gone) {
            let told: { readonly progress: string; readonly version: string } | undefined;
            const over = AbortSignal.any([gone, draining]);
            // Whose key is revoked, or whose session ends, hears nothing more.
            while (!over.aborted && (await isStillKnown(service, incoming))) {
              const it = await one(params.id);
              const now = { progress: progressOf(it), version: it.version };
              if (now.version !== told?.version) yield liveEvent("report", "new");
              if (it.state === "finished") return yield liveEvent("end", now.progress);
              if (now.progress !== told?.progress) yield liveEvent("progress", now.progress);
              told = now;
              await delay(LOOK_MS, undefined, { signal: over }).catch(() => undefined);
            }
          },
          {
            incoming,
            onError: (err) => log.error({ err }, "an experiment was not looked at"),
            onEnd: streams.enter(principal.key),
          },
        );
      },
    }),
  ];
}

function reply({ id, state, changedAt, bytes, look }: Experiment): z.input<typeof ExperimentObject> {
  const pieces = look && { done: look.done, left_out: look.leftOut, total: look.pieces };
  return {
    id,
    object: "booster.experiment",
    state,
    changed_at: changedAt,
    bytes: bytes ?? null,
    pieces: pieces ?? null,
    under_way: [...(look?.underWay ?? [])],
  };
}

/** A line for people. */
function progressOf({ state, look }: Experiment): string {
  if (look === undefined) return state === "finished" ? "Finished." : "This experiment cannot be read.";
  const { done, leftOut, pieces, underWay } = look;
  const far = `${done} of ${pieces} pieces done${leftOut === 0 ? "" : `, ${leftOut} left out`}.`;
  if (state === "stopped") return `Stopped. ${far} The command that began it goes on with it.`;
  return [far, ...(underWay.length === 0 ? [] : [`Now: ${underWay.join("; ")}.`])].join(" ");
}
