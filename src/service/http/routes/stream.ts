import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { StoredEvent } from "../../store/job-records.ts";
import { Feed } from "../feed.ts";
import { isStillKnown } from "../gate.ts";
import { strict } from "../json.ts";
import { type Cursor, cursorText, type News, ProjectFeed } from "../project-feed.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { eventStream } from "../sse.ts";
import { eventReply, stateReply } from "../wire/job.ts";

const Id = z.string().min(1).max(200);

/**
 * What happens to jobs, as it happens: to those that are named, from their beginning; or to all of the project, from now on. Each event's id
 * says how far the reader is: `Last-Event-ID` goes on exactly there.
 */
export function streamRoutes(service: Service): Route[] {
  const { store, log, streams, draining } = service;
  const onError = (error: unknown): void => log.error({ err: error }, "events were not read");
  const feed = new Feed(store.records, LIMITS.pollMilliseconds, onError);
  const projects = new ProjectFeed(store.records, LIMITS.pollMilliseconds, onError);
  return [
    route({
      method: "get",
      path: "/v1/booster/stream",
      summary:
        "What happens to jobs, as it happens (server-sent events): to those that are named, or to all of the project",
      query: strict({
        job: z.union([Id, z.array(Id).min(1).max(LIMITS.jobsPerStream)]).optional(),
        /** As Last-Event-ID, for readers that cannot send a header: browsers, the first time. */
        after: z.string().max(LIMITS.headerBytes).optional(),
      }),
      reply: z.undefined(),
      media: ["text/event-stream"],
      async handle({ c, principal, query, incoming }) {
        if (draining.aborted) throw new ServiceError("draining", "this server is about to stop", { retryAfter: 1 });
        const jobs = query.job === undefined ? undefined : [...new Set([query.job].flat())];
        for (const id of jobs ?? []) found(await store.jobs.get(principal, id));
        const last = c.req.header("last-event-id") ?? query.after ?? "";
        const from = jobs === undefined ? await cursorOf(service, principal, last) : undefined;
        const seen = from === undefined ? placesIn(last, jobs ?? []) : {};
        const leave = streams.enter(principal.key);
        // Whose key is revoked, or whose session ends, hears nothing more.
        const refused = new AbortController();
        const again = setInterval(
          () =>
            // A database that does not answer refuses nobody.
            isStillKnown(service, incoming).then((known) => known || refused.abort(), onError),
          LIMITS.admittedAgainMilliseconds,
        );
        const produce = (over: AbortSignal): AsyncGenerator<string> =>
          from === undefined
            ? waitingFor<StoredEvent>((hear) => feed.listen(principal, seen, hear), over, namedEvents(seen))
            : waitingFor<News>((hear) => projects.listen(principal, from, hear), over, newsText, beginning(from));
        return eventStream((gone) => produce(AbortSignal.any([gone, draining, refused.signal])), {
          incoming,
          onEnd: () => {
            clearInterval(again);
            leave();
          },
        });
      },
    }),
  ];
}

/** What is heard, as text, until it is over. */
async function* waitingFor<T>(
  listen: (hear: (news: readonly T[]) => void) => () => void,
  over: AbortSignal,
  textOf: (news: T) => string,
  first?: string,
): AsyncGenerator<string> {
  const waiting: T[] = [];
  let wake = (): void => undefined;
  const stop = listen((news) => {
    waiting.push(...news);
    wake();
  });
  over.addEventListener("abort", () => wake(), { once: true });
  try {
    if (first !== undefined) yield first;
    while (!over.aborted) {
      const news = waiting.shift();
      if (news !== undefined) yield textOf(news);
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    stop();
  }
}

const sse = (id: string, event: string, data: unknown): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

const eventData = (event: StoredEvent) => ({ job: event.job, seq: event.seq, ...eventReply(event) });

/** Events of named jobs. What the reader has is behind what the feed has handed over. */
function namedEvents(seen: Readonly<Record<string, number>>): (event: StoredEvent) => string {
  const sent = { ...seen };
  return (event) => {
    sent[event.job] = event.seq;
    const id = Object.entries(sent).map(([job, seq]) => `${job}:${seq}`);
    return sse(id.join(), event.type, eventData(event));
  };
}

const newsText = (news: News): string =>
  "state" in news
    ? sse(news.cursor, "job", stateReply(news.state))
    : sse(news.cursor, news.event.type, eventData(news.event));

/** Who has heard this has missed nothing from here on, whatever they read of the jobs afterwards. */
const beginning = ({ newest, seen }: Cursor): string =>
  sse(cursorText({ newest, seen: new Map(Object.entries(seen)) }), "open-line", {});

const invalid = (): ServiceError =>
  new ServiceError("invalid_value", "the header Last-Event-ID is none of this stream's", {
    expected: "the id of an event that came over it",
  });

/** How far the reader is with each job; from the beginning where it does not say. */
function placesIn(last: string, jobs: readonly string[]): Record<string, number> {
  const seen: Record<string, number> = Object.fromEntries(jobs.map((job) => [job, 0]));
  for (const [job, seq] of partsOf(last)) if (Object.hasOwn(seen, job)) seen[job] = seq;
  return seen;
}

/** Where the reader of a project goes on; from now where it does not say. */
async function cursorOf({ store }: Service, principal: Principal, last: string): Promise<Cursor> {
  if (last === "") {
    const { project } = principal;
    const newest = await store.records.place(principal);
    const states =
      project === undefined ? [] : await store.records.states(principal, { after: newest?.seq ?? 0, known: [] });
    return { newest, seen: Object.fromEntries(states.map(({ id, lastEvent }) => [id, lastEvent])) };
  }
  const comma = last.indexOf(",");
  const id = comma < 0 ? last : last.slice(0, comma);
  const newest = id === "" ? undefined : await store.records.place(principal, id);
  if (id !== "" && newest === undefined) throw invalid();
  return { newest, seen: Object.fromEntries(comma < 0 ? [] : partsOf(last.slice(comma + 1))) };
}

/** `ftjob-a:17,ftjob-b:4` */
function partsOf(text: string): [string, number][] {
  if (text === "") return [];
  return text.split(",").map((part) => {
    const [, job, seq] = /^([A-Za-z0-9_-]{1,200}):(\d{1,16})$/.exec(part) ?? [];
    if (job === undefined || seq === undefined) throw invalid();
    return [job, Number(seq)];
  });
}
