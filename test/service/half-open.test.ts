/** T14: a network that swallows everything between the server and its PostgreSQL. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore } from "../../src/service/store/store.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";
import { startProxy } from "./silent-proxy.ts";
import { addBase, newJob, newTenant } from "./things.ts";

test.skipIf(whyNoPostgres !== undefined)(
  "a database that falls silent is told within its limits, and used again when it speaks",
  async () => {
    const cluster = await startPostgres();
    const proxy = await startProxy(cluster.port);
    const data = mkdtempSync(join(tmpdir(), "booster-half-open-"));
    try {
      const store = await openStore({ data, databaseUrl: cluster.url.replace(`:${cluster.port}/`, `:${proxy.port}/`) });
      await addBase(store);
      const tenant = await newTenant(store);
      const job = await store.jobs.create(tenant, newJob());
      proxy.swallow(true);
      const asked = await Promise.allSettled([
        store.jobs.get(tenant, job.id),
        store.jobs.create(tenant, newJob()),
        store.jobs.cancel(tenant, job.id),
        ...Array.from({ length: 20 }, () => store.records.eventsSince(tenant, { [job.id]: 0 }, 9)),
      ]);
      for (const end of asked) {
        expect(end).toMatchObject({
          status: "rejected",
          reason: { code: "database_unavailable", details: { retryAfter: 5 } },
        });
      }
      proxy.swallow(false);
      // Connections of the silent time may still be in the pool: each fails once at most.
      const speaks = async (): Promise<unknown> => store.jobs.get(tenant, job.id).catch(speaks);
      expect(await speaks()).toMatchObject({ id: job.id });
      await store.jobs.pause(tenant, job.id);
      const events = (await store.records.events(tenant, job.id, { limit: 9, order: "asc" })).data;
      expect(events.map((event) => event.seq)).toEqual(events.map((_, i) => i + 1));
      await store.close();
    } finally {
      proxy.stop();
      await cluster.stop();
      rmSync(data, { recursive: true });
    }
  },
);
