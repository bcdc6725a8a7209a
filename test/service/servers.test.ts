/** A15, T14, T35: two servers and three workers on a PostgreSQL that restarts, with a network that falls silent and a clock that jumps by hours. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Principal } from "../../src/service/domain/principal.ts";
import { Reaper } from "../../src/service/store/reaper.ts";
import { openStore } from "../../src/service/store/store.ts";
import { isLeaseLost, WorkerClient } from "../../src/service/worker/client.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";
import { rowsFile, startTestServer } from "./server.ts";
import { startProxy } from "./silent-proxy.ts";
import { verdict } from "./things.ts";

const RESTARTS = process.env.BOOSTER_NIGHTLY === undefined ? 1 : 20;
const EVENTS = 4;

/** Works as a worker does, but computes nothing; what it has been promised is written down. */
async function work(url: string, token: string, id: string, over: AbortSignal, told: string[], working: Set<string>) {
  const client = new WorkerClient({ url, token }, over);
  const facts = { id, slots: ["light", "heavy"], threads: 8, host: "h", pid: 1, version: "0" } as const;
  while (!over.aborted) {
    const claim = await client.claim(facts);
    if (claim === undefined) {
      await sleep(50);
      continue;
    }
    const { job, epoch, stage } = claim;
    working.add(job);
    try {
      for (let i = 0; i < EVENTS; i++) {
        const message = `${stage} ${epoch} ${i}`;
        await client.event(job, epoch, { level: "info", type: "message", message });
        told.push(`${job} ${message}`);
        await client.beat(job, epoch, i);
        await sleep(20);
      }
      const output = { blobs: {}, facts: {} };
      await client.finish(job, epoch, { end: "done", output }, stage === "decide" ? verdict("released") : undefined);
    } catch (error) {
      // Also what a worker hears that asks again for what was done, when only the answer was lost.
      if (!isLeaseLost(error)) throw error;
    } finally {
      working.delete(job);
    }
  }
}

test.skipIf(whyNoPostgres !== undefined)(
  `${RESTARTS} restarts of the database, and as many silences and jumps of a clock: each job has one outcome, no event is lost`,
  async () => {
    const cluster = await startPostgres();
    const proxy = await startProxy(cluster.port);
    const data = mkdtempSync(join(tmpdir(), "booster-servers-"));
    let ahead = 0;
    const silent = cluster.url.replace(`:${cluster.port}/`, `:${proxy.port}/`);
    const steady = await openStore({ data, databaseUrl: cluster.url });
    const odd = await openStore({ data, databaseUrl: silent, now: () => Math.floor(Date.now() / 1000) + ahead });
    const servers = [await startTestServer({ store: steady }), await startTestServer({ store: odd })] as const;
    const [first] = servers;
    const over = new AbortController();
    const told: string[] = [];
    const working = new Set<string>();
    const taken: string[] = [];
    const reapers = [steady, odd].map(({ context }) => new Reaper(context, undefined, 45));
    const looks = reapers.map(async (reaper) => {
      while (!over.signal.aborted) {
        // A job whose claim's answer was lost has no worker, and is taken back in time.
        taken.push(...(await reaper.look().catch(() => [])).filter((job) => working.has(job)));
        await sleep(200);
      }
    });
    try {
      const token = await first.keyFor("worker");
      const workers = [0, 1, 2].map((i) => work(servers[i % 2]!.url, token, `worker-${i}`, over.signal, told, working));
      const client = first.client();
      const of: Principal = { key: "k", kind: "project", project: first.project, scopes: [], owner: "o" };
      const file = await client.files.create({ file: rowsFile(), purpose: "fine-tune" });
      const ids: string[] = [];
      for (let round = 0; round < RESTARTS; round++) {
        // What was acknowledged counts; the client asks again by itself.
        const patient = { maxRetries: 20 };
        for (let i = 0; i < 3; i++) {
          const job = { model: "world-booster", training_file: file.id, seed: 3 * round + i };
          ids.push((await client.fineTuning.jobs.create(job, patient)).id);
        }
        ahead = [3600, -3600, 0][round % 3]!;
        if (round % 2 === 0) await cluster.restart(round % 4 === 0 ? "immediate" : "fast");
        else {
          proxy.swallow(true);
          await cluster.restart("fast");
          proxy.swallow(false);
        }
      }
      const last = async () => Promise.all(ids.map((id) => steady.jobs.get(of, id)));
      const waits = async () => (await last()).some((job) => job?.status !== "succeeded");
      while (await waits().catch(() => true)) await sleep(200);
      over.abort();
      const ends = await Promise.allSettled(workers);
      for (const end of ends) {
        if (end.status === "rejected") expect(end.reason).toMatchObject({ code: "STOPPED" });
      }
      await Promise.all(looks);
      expect(taken).toEqual([]);
      expect(new Set(ids).size).toBe(3 * RESTARTS);
      expect((await steady.jobs.list(of, { limit: 100 })).data).toHaveLength(ids.length);
      const { db } = steady.context;
      expect(await db.query("select id from jobs where fine_tuned_model is null")).toEqual([]);
      expect(await db.query("select job_id from models group by job_id having count(*) <> 1")).toEqual([]);
      expect(
        await db.query("select job_id from job_events group by job_id having max(seq) <> count(*) or min(seq) <> 1"),
      ).toEqual([]);
      const there = await db.query<{ text: string }>("select job_id || ' ' || message as text from job_events");
      const texts = new Set(there.map(({ text }) => text));
      expect(told.filter((one) => !texts.has(one))).toEqual([]);
      expect((await steady.audit.verify()).fault).toBeUndefined();
    } finally {
      over.abort();
      for (const server of servers) await server.stop();
      proxy.stop();
      await cluster.stop();
      rmSync(data, { recursive: true });
    }
  },
  120_000 + 60_000 * RESTARTS,
);
