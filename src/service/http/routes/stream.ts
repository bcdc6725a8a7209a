import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { StoredEvent } from "../../store/job-records.ts";
import { Feed } from "../feed.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { eventStream } from "../sse.ts";
import { eventReply } from "../wire/job.ts";

const Id = z.string().min(1).max(200);

/** Events of several jobs as they happen. Each event's id says how far the reader is with every job: `Last-Event-ID` goes on exactly there. */
export function streamRoutes(service: Service): Route[] {
  const { store, log, metrics, draining } = service;
  const feed = new Feed(store.records, LIMITS.pollMilliseconds, (error) =>
    log.error({ err: error }, "events were not read"),
  );
  const open = new Map<string, number>();
  return [
    route({
      method: "get",
      path: "/v1/booster/stream",
      summary: "Events of jobs as they happen (server-sent events)",
      query: strict({ job: z.union([Id, z.array(Id).min(1).max(LIMITS.jobsPerStream)]) }),
      reply: z.undefined(),
      media: ["text/event-stream"],
      async handle({ c, principal, query }) {
        if (draining.aborted) throw new ServiceError("draining", "this server is about to stop", { retryAfter: 1 });
        const jobs = [...new Set([query.job].flat())];
        for (const id of jobs) found(await store.jobs.get(principal, id));
        const streams = open.get(principal.key) ?? 0;
        if (streams >= LIMITS.streamsPerKey) {
          throw new ServiceError("rate_limit_exceeded", "this key has too many open streams", { retryAfter: 10 });
        }
        const seen = cursorOf(c.req.header("last-event-id"), jobs);
        open.set(principal.key, streams + 1);
        metrics.streams.inc();
        return eventStream((gone) => events(feed, principal, seen, AbortSignal.any([gone, draining])), {
          onEnd: () => {
            metrics.streams.dec();
            const left = (open.get(principal.key) ?? 1) - 1;
            if (left > 0) open.set(principal.key, left);
            else open.delete(principal.key);
          },
        });
      },
    }),
  ];
}

async function* events(
  feed: Feed,
  principal: Parameters<Feed["listen"]>[0],
  seen: Record<string, number>,
  over: AbortSignal,
): AsyncGenerator<string> {
  const waiting: StoredEvent[] = [];
  // What the reader has, which is behind what the feed has handed over.
  const sent = { ...seen };
  let wake = (): void => undefined;
  const stop = feed.listen(principal, seen, (news) => {
    waiting.push(...news);
    wake();
  });
  over.addEventListener("abort", () => wake(), { once: true });
  try {
    while (!over.aborted) {
      const event = waiting.shift();
      if (event === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      sent[event.job] = event.seq;
      const id = Object.entries(sent)
        .map(([job, seq]) => `${job}:${seq}`)
        .join(",");
      yield `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify({ job: event.job, seq: event.seq, ...eventReply(event) })}\n\n`;
    }
  } finally {
    stop();
  }
}

/** How far the reader is with each job; from the beginning where it does not say. */
function cursorOf(last: string | undefined, jobs: readonly string[]): Record<string, number> {
  const seen: Record<string, number> = Object.fromEntries(jobs.map((job) => [job, 0]));
  if (last === undefined || last === "") return seen;
  for (const part of last.split(",")) {
    const [, job, seq] = /^([A-Za-z0-9_-]{1,200}):(\d{1,15})$/.exec(part) ?? [];
    if (job === undefined || seq === undefined) {
      throw new ServiceError("invalid_value", "the header Last-Event-ID is none of this stream's", {
        expected: "ftjob-a:17,ftjob-b:4",
      });
    }
    if (Object.hasOwn(seen, job)) seen[job] = Number(seq);
  }
  return seen;
}
