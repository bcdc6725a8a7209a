/** T12, T13, T35: what becomes of a job, whoever asks for it, how often and at once. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { type Job, WORK, type Work } from "../../src/service/domain/job.ts";
import type { Outcome } from "../../src/service/domain/protocol.ts";
import type { Database } from "../../src/service/store/database.ts";
import { Presence } from "../../src/service/store/presence.ts";
import { Reaper } from "../../src/service/store/reaper.ts";
import { Turn } from "../../src/service/store/turns.ts";
import { onBothDatabases } from "./databases.ts";
import {
  addBase,
  claimJob,
  done,
  newJob,
  newTenant,
  REVIEWER,
  silence,
  specOf,
  verdict,
  worker,
  workUpTo,
} from "./things.ts";

/** BOOSTER_SEQUENCES=10000 is the nightly number. */
const SEQUENCES = Number(process.env.BOOSTER_SEQUENCES ?? 60);

/** What a job is in the eyes of whoever reads the specification. */
interface State {
  readonly status: Job["status"];
  readonly stage: Job["stage"];
  readonly wish: "pause" | null;
  readonly worked: boolean;
  readonly crashes: number;
}
const COMMANDS = [
  "claim",
  "claim",
  "done",
  "done",
  "done",
  "hold",
  "release",
  "reject",
  "fail",
  "crash",
  "give back",
  "save for pause",
  "silence",
  "pause",
  "resume",
  "cancel",
  "reviewer releases",
  "reviewer rejects",
  "hold expires",
] as const;
type Command = (typeof COMMANDS)[number];

const waiting = (stage: Job["stage"]): Job["status"] =>
  stage === "validate" || stage === "moderate" ? "validating_files" : "queued";
const over = (state: State, status: Job["status"]): State => ({
  ...state,
  status,
  stage: "done",
  wish: null,
  worked: false,
});

/** Where a command leads; nothing where it is refused or finds nothing to do. */
function next(state: State, command: Command): State | undefined {
  const { stage, status, wish, worked } = state;
  const free = { ...state, worked: false, wish: null };
  const crashed = state.crashes + 1;
  const left = (): State => ({ ...free, status: wish === "pause" ? "paused" : waiting(stage) });
  switch (command) {
    case "claim":
      if (worked || ["paused", "succeeded", "failed", "cancelled"].includes(status) || stage === "held")
        return undefined;
      return {
        ...state,
        worked: true,
        status: stage === "validate" || stage === "moderate" ? "validating_files" : "running",
      };
    case "done": {
      if (!worked || stage === "decide") return undefined;
      const after = WORK[WORK.indexOf(stage as Work) + 1] as Work;
      return { ...free, stage: after, status: wish === "pause" ? "paused" : after === "train" ? "queued" : status };
    }
    case "hold":
      return worked && stage === "decide" ? { ...free, stage: "held", status: "running" } : undefined;
    case "release":
      return worked && stage === "decide" ? over(state, "succeeded") : undefined;
    case "reject":
      return worked && stage === "decide" ? over(state, "failed") : undefined;
    case "fail":
      return worked ? over(state, "failed") : undefined;
    case "crash":
    case "silence":
      if (!worked) return undefined;
      return { ...(crashed >= 3 ? over(state, "failed") : left()), crashes: crashed };
    case "give back":
    // Whoever took a pause back meanwhile has a job that goes on.
    case "save for pause":
      return worked ? left() : undefined;
    case "pause":
      if (stage === "held" || stage === "done" || status === "paused" || wish === "pause") return undefined;
      return worked ? { ...state, wish: "pause" } : { ...state, status: "paused" };
    case "resume":
      if (status === "paused") return { ...state, status: waiting(stage) };
      return wish === "pause" ? { ...state, wish: null } : undefined;
    case "cancel":
      return stage === "done" ? undefined : over(state, "cancelled");
    case "reviewer releases":
      return stage === "held" ? over(state, "succeeded") : undefined;
    case "reviewer rejects":
    case "hold expires":
      return stage === "held" ? over(state, "failed") : undefined;
  }
}

onBothDatabases("jobs", (kept) => {
  const store = () => kept().store;
  beforeAll(async () => {
    await addBase(store());
  });

  test(`${SEQUENCES} sequences of commands lead where the specification says, and nowhere else`, {
    timeout: 3_600_000,
  }, async () => {
    const tenant = await newTenant(store());
    const error = { code: "internal_error", message: "as a test wants it", param: null } as const;
    let lease = { epoch: 0 };
    const finish = (job: Job, outcome: Outcome, of?: "held" | "released" | "rejected") =>
      store().leases.finish(job.id, lease.epoch, outcome, of && verdict(of));
    const decide = async (job: Job, of: "released" | "rejected") => {
      const report = (await store().reviews.report(REVIEWER, job.id, true))?.sha256 ?? "";
      await store().reviews.decide(REVIEWER, job.id, { verdict: of, reason: "as a test wants it", report });
    };
    const perform: Readonly<Record<Command, (job: Job) => Promise<unknown>>> = {
      claim: async () => {
        lease = (await store().leases.claim(worker())) ?? lease;
      },
      done: (job) => finish(job, done),
      hold: (job) => finish(job, done, "held"),
      release: (job) => finish(job, done, "released"),
      reject: (job) => finish(job, done, "rejected"),
      fail: (job) => finish(job, { end: "failed", error }),
      crash: (job) => finish(job, { end: "failed", error: { ...error, code: "worker_crashed" } }),
      "give back": (job) => finish(job, { end: "released_lease" }),
      "save for pause": (job) => finish(job, { end: "paused" }),
      silence: async () => {
        await silence(store());
      },
      pause: (job) => store().jobs.pause(tenant, job.id),
      resume: (job) => store().jobs.resume(tenant, job.id),
      cancel: (job) => store().jobs.cancel(tenant, job.id),
      "reviewer releases": (job) => decide(job, "released"),
      "reviewer rejects": (job) => decide(job, "rejected"),
      "hold expires": async () => {
        kept().time += 15 * 86_400;
        await store().reviews.expire();
        kept().time -= 15 * 86_400;
      },
    };
    const reached = new Set<string>();
    const start = fc.integer({ min: 0, max: WORK.length });
    const follow = async (job: Job, state: State, command: Command): Promise<State> => {
      const after = next(state, command);
      const before = await store().jobs.get(tenant, job.id);
      const refused = await perform[command](job).then(
        () => undefined,
        (problem: unknown) => problem,
      );
      const found = (await store().jobs.get(tenant, job.id)) as Job;
      if (after === undefined) expect(found).toEqual(before);
      else expect(refused).toBeUndefined();
      const { status, stage, wish, crashes, worker: by } = found;
      const expected = after ?? state;
      expect({ command, status, stage, wish, worked: by !== null, crashes }).toEqual({ command, ...expected });
      const named = await store().models.resolve(tenant, job.publishAs);
      expect(named?.state).toBe(status === "succeeded" ? "released" : "unreleased");
      return expected;
    };
    await fc.assert(
      fc.asyncProperty(
        start,
        fc.array(fc.constantFrom(...COMMANDS), { minLength: 4, maxLength: 24 }),
        async (from, commands) => {
          const job = await store().jobs.create(tenant, newJob());
          let state: State = { status: "validating_files", stage: "validate", wish: null, worked: false, crashes: 0 };
          const before = Array.from({ length: from }, (): Command[] => ["claim", "done"]).flat();
          try {
            for (const command of [...before, ...(from === WORK.length ? (["hold"] as const) : []), ...commands]) {
              // The end of a stage fits the stage; what does not is a worker's mistake, which is another test's.
              const last = state.stage === "decide";
              if (command === "done" ? last : ["hold", "release", "reject"].includes(command) && !last) continue;
              state = await follow(job, state, command);
              reached.add(`${state.status} ${state.stage}`);
            }
            const events = await store().records.events(tenant, job.id, { limit: 100, order: "asc" });
            expect(events.data.map((event) => event.seq)).toEqual(events.data.map((_, i) => i + 1));
          } finally {
            await store()
              .jobs.cancel(tenant, job.id)
              .catch(() => {});
          }
        },
      ),
      { numRuns: SEQUENCES, seed: Number(process.env.BOOSTER_SEED ?? 1) },
    );
    expect(reached.size).toBeGreaterThan(15);
  });

  test("a thousand creations at once under one key make one job; another request under it is refused", async () => {
    const tenant = await newTenant(store());
    const once = { key: "mine", fingerprint: "of the request", retry: false };
    // A thousand at once may be too many for a slow database: then it says so, and clients come again.
    const create = (): Promise<Job> =>
      store()
        .jobs.create(tenant, newJob({ once }))
        .catch((problem: { readonly code?: string }) => {
          if (problem.code === "database_unavailable") return create();
          throw problem;
        });
    const made = await Promise.all(Array.from({ length: 1000 }, create));
    expect(new Set(made.map((job) => job.id)).size).toBe(1);
    expect((await store().jobs.list(tenant, { limit: 9 })).data).toHaveLength(1);
    const other = { ...once, fingerprint: "of another" };
    await expect(store().jobs.create(tenant, newJob({ once: other }))).rejects.toThrow("used for another request");
    kept().time += 24 * 3600;
    expect((await store().jobs.create(tenant, newJob({ once: other }))).id).not.toBe(made[0]?.id);
  });

  test("a client's retry is given what its first try made, for ten minutes; first tries make what they ask for", async () => {
    const [tenant, other] = [await newTenant(store()), await newTenant(store())];
    const create = async (retry: boolean, by = tenant) =>
      (await store().jobs.create(by, newJob({ once: { fingerprint: "same", retry } }))).id;
    const [first, second] = [await create(false), await create(false)];
    expect(second).not.toBe(first);
    expect(await create(true)).toBe(second);
    expect(await create(true, other)).not.toBe(second);
    kept().time += 600;
    const late = await create(true);
    expect([first, second]).not.toContain(late);
    expect(await create(true)).toBe(late);
  });

  test("200 cancels, pauses and resumes at once: one cancel takes effect, and nothing after it", async () => {
    for (const stage of [undefined, "train"] as const) {
      const tenant = await newTenant(store());
      const job = await store().jobs.create(tenant, newJob());
      if (stage !== undefined) await workUpTo(store(), job, stage);
      const asked = Array.from({ length: 200 }, (_, i) => (["pause", "resume", "cancel"] as const)[i % 3] as "pause");
      const ends = await Promise.allSettled(asked.map((what) => store().jobs[what](tenant, job.id)));
      const won = asked.filter((_, i) => ends[i]?.status === "fulfilled");
      expect(won.filter((what) => (what as string) === "cancel")).toHaveLength(1);
      for (const end of ends)
        if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "invalid_job_state" });
      expect(await store().jobs.get(tenant, job.id)).toMatchObject({
        status: "cancelled",
        stage: "done",
        worker: null,
        wish: null,
      });
      const events = (await store().records.events(tenant, job.id, { limit: 300 })).data;
      expect(events[0]?.message).toBe("The job was cancelled");
      expect(events.map((event) => event.seq)).toEqual(events.map((_, i) => events.length - i));
    }
  });

  test("a worker that lost its job writes nothing more, whatever it tries", async () => {
    const tenant = await newTenant(store());
    const { leases } = store();
    const job = await store().jobs.create(tenant, newJob());
    const { epoch } = await workUpTo(store(), job, "decide");
    const all = async () => {
      const state = await store().jobs.get(tenant, job.id);
      const records = await Promise.all([
        store().records.events(tenant, job.id, { limit: 99 }),
        store().records.checkpoints(tenant, job.id, { limit: 99 }),
        store().records.metrics(tenant, job.id, { limit: 99 }),
        store().reviews.report(tenant, job.id),
        store().files.list(tenant, { limit: 99 }),
        store().models.list(tenant, { limit: 99 }),
      ]);
      return JSON.stringify([state, records]);
    };
    const thefts = [
      () => store().jobs.cancel(tenant, job.id),
      async () => {
        expect(await silence(store())).toEqual([job.id]);
        await claimJob(store(), job, "worker-2");
      },
    ].reverse();
    for (const theft of thefts) {
      await theft();
      const before = await all();
      const checkpoint = { step: 9, epochEnd: true, files: {}, metrics: {} };
      const writes = [
        leases.event(job.id, epoch, { level: "info", type: "message", message: "still here" }),
        leases.metrics(job.id, epoch, [{ step: 9, train_loss: 1 }]),
        leases.checkpoint(job.id, epoch, checkpoint),
        leases.finish(job.id, epoch, done, verdict("released")),
        leases.finish(job.id, epoch, { end: "paused" }),
        leases.reads(job.id, epoch),
      ];
      for (const write of await Promise.allSettled(writes)) {
        expect(write).toMatchObject({ status: "rejected", reason: { code: "lease_lost" } });
      }
      expect(await leases.beat(job.id, epoch, 9)).toEqual({ wish: "lost" });
      expect(await all()).toBe(before);
    }
  });

  test("two reviewers and a cancel at once: one wins", async () => {
    const outcomes: string[] = [];
    for (let i = 0; i < 10; i++) {
      const tenant = await newTenant(store());
      const job = await store().jobs.create(tenant, newJob());
      const claim = await workUpTo(store(), job, "decide");
      await store().leases.finish(job.id, claim.epoch, done, verdict("held"));
      const report = (await store().reviews.report(tenant, job.id))?.sha256 as string;
      const ask = (owner: string, of: "released" | "rejected") =>
        store().reviews.decide({ ...REVIEWER, owner }, job.id, { verdict: of, reason: "why not", report });
      const asked = [() => ask("a", "released"), () => ask("b", "rejected"), () => store().jobs.cancel(tenant, job.id)];
      const ends = await Promise.allSettled([0, 1, 2].map((k) => (asked[(k + i) % 3] as () => Promise<unknown>)()));
      expect(ends.filter((end) => end.status === "fulfilled")).toHaveLength(1);
      const after = (await store().jobs.get(tenant, job.id)) as Job;
      outcomes.push(after.status);
      const named = await store().models.resolve(tenant, job.publishAs);
      expect(named?.state).toBe(after.status === "succeeded" ? "released" : "unreleased");
    }
    expect(new Set(outcomes).size).toBeGreaterThan(1);
  });

  test("four eyes: two owners release, neither of the job's project, on the report that they read", async () => {
    const tenant = await newTenant(store());
    const job = await store().jobs.create(tenant, newJob({ spec: specOf({ reviewers: 2 }) }));
    const claim = await workUpTo(store(), job, "decide");
    await store().leases.finish(job.id, claim.epoch, done, verdict("held"));
    const report = (await store().reviews.report(tenant, job.id))?.sha256 as string;
    const word = { verdict: "released", reason: "read it", report } as const;
    const by = (owner: string, over = {}, who = {}) =>
      store().reviews.decide({ ...REVIEWER, owner, ...who }, job.id, { ...word, ...over });
    await expect(by("a", { report: "0".repeat(64) })).rejects.toThrow("about another report");
    await expect(by("a", {}, { project: tenant.project })).rejects.toThrow("their own project");
    expect(await by("a", {}, { project: (await newTenant(store())).project })).toBeUndefined();
    expect(await by("a")).toMatchObject({ stage: "held" });
    await expect(by("a")).rejects.toThrow("a second one is needed");
    expect(await by("b")).toMatchObject({ status: "succeeded" });
    await expect(by("c")).rejects.toThrow("not held");
  });

  describe("leases", () => {
    test("are reaped by silence alone: the time of day may jump by hours, and two servers reap once", async () => {
      const tenant = await newTenant(store());
      const job = await store().jobs.create(tenant, newJob());
      const { epoch } = await workUpTo(store(), job, "train");
      let now = 5000;
      const [one, two, restarted] = [0, 0, 0].map(() => new Reaper(store().context, () => now)) as [
        Reaper,
        Reaper,
        Reaper,
      ];
      const looks = async (seconds: number, ...reapers: Reaper[]) => {
        const reaped: string[] = [];
        for (const end = now + seconds; now < end; ) {
          now = Math.min(end, now + 10);
          reaped.push(...(await Promise.all(reapers.map((reaper) => reaper.look()))).flat());
        }
        return reaped;
      };
      const before = kept().time;
      for (let i = 0; i < 20; i++) {
        kept().time = before + (i % 2 === 0 ? 3600 : -3600) * (1 + i);
        expect(await looks(29, one, two)).toEqual([]);
        expect(await store().leases.beat(job.id, epoch, i)).toEqual({ wish: "none" });
      }
      kept().time = before;
      expect([...(await one.look()), ...(await two.look())]).toEqual([]);
      expect(await looks(29.5, one, two)).toEqual([]);
      await restarted.look();
      now += 0.75;
      expect(await restarted.look()).toEqual([]);
      expect(await looks(30, one, two, restarted)).toEqual([job.id]);
      expect(await store().jobs.get(tenant, job.id)).toMatchObject({
        status: "queued",
        stage: "train",
        crashes: 1,
        step: 19,
      });
      await store().jobs.cancel(tenant, job.id);
    });

    test("survive a database that answers nobody for longer than a lease; what is silent after it is found out as ever", async () => {
      const tenant = await newTenant(store());
      const job = await store().jobs.create(tenant, newJob());
      const { epoch } = await workUpTo(store(), job, "train");
      const { context } = store();
      let now = 0;
      let isAway = false;
      const query: Database["query"] = async (...asked) => {
        if (isAway) throw new Error("the database is away");
        return context.db.query(...asked);
      };
      const cut = { ...context, db: { ...context.db, query } };
      const mine = {
        reaper: new Reaper(cut, () => now),
        turn: new Turn(cut, "test", () => now),
        presence: new Presence(cut, () => now),
      };
      const other = { turn: new Turn(context, "test", () => now), presence: new Presence(context, () => now) };
      const speak = async () => {
        expect(await store().leases.beat(job.id, epoch, 1)).toEqual({ wish: "none" });
        await other.turn.look();
        await other.presence.look();
      };
      const looks = async () => [
        (await mine.reaper.look()).includes(job.id),
        (await mine.turn.look()) !== undefined,
        await mine.presence.look(),
      ];
      await speak();
      const [, , all] = await looks();
      for (const away of [false, true, false]) {
        for (const end = now + 60; now < end; now += 3) {
          isAway = away;
          if (away) await expect(looks()).rejects.toThrow("the database is away");
          else expect(await looks()).toEqual([false, false, all]);
          if (!away && now % 9 === 0) await speak();
        }
      }
      const seen = [];
      for (const end = now + 40; now < end; now += 3) seen.push(await looks());
      expect(seen.filter(([reaped]) => reaped)).toHaveLength(1);
      expect(seen.at(-1)).toEqual([false, true, Number(all) - 1]);
      await mine.turn.end();
      await mine.presence.end();
      await store().jobs.cancel(tenant, job.id);
    });

    test("of one project leave room for others; who has too few threads gets nothing", async () => {
      const [busy, small] = [await newTenant(store()), await newTenant(store())];
      for (let i = 0; i < 6; i++) await store().jobs.create(busy, newJob());
      const spec = { ...specOf(), threads: 3 };
      const other = await store().jobs.create(small, newJob({ spec }));
      const claims = [];
      for (
        let claim = await store().leases.claim(worker());
        claim !== undefined;
        claim = await store().leases.claim(worker())
      ) {
        claims.push(claim.job);
      }
      expect(claims).toHaveLength(4);
      expect(claims).not.toContain(other.id);
      expect(await store().leases.claim({ ...worker(), threads: 3 })).toMatchObject({ job: other.id });
      expect(await store().leases.claim({ ...worker(), slots: [] })).toBeUndefined();
    });

    test("held by many workers at once are of different jobs", async () => {
      const tenants = await Promise.all(Array.from({ length: 5 }, () => newTenant(store())));
      for (const tenant of tenants) for (let i = 0; i < 3; i++) await store().jobs.create(tenant, newJob());
      const claims = await Promise.all(
        Array.from({ length: 30 }, (_, i) => store().leases.claim(worker(`worker-${i}`))),
      );
      const jobs = claims.flatMap((claim) => (claim === undefined ? [] : [claim.job]));
      expect(new Set(jobs).size).toBe(jobs.length);
      expect(jobs.length).toBeGreaterThan(10);
      expect((await store().audit.verify()).fault).toBeUndefined();
    });
  });
});
