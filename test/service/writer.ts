/** A server's work without its HTTP: writes all kinds of things and says what was acknowledged, until it is killed. `node writer.js DATA [DATABASE_URL]` */
import { writeSync } from "node:fs";
import { openStore } from "../../src/service/store/store.ts";
import { addBase, done, newJob, newTenant, verdict, worker } from "./things.ts";

const [data, databaseUrl] = process.argv.slice(2);
if (data === undefined) throw new Error("DATA is missing");

/** In one piece and at once: what is read was written before the kill. */
const say = (...what: readonly (string | number)[]): void => {
  writeSync(1, `${what.join(" ")}\n`);
};

const store = await openStore({ data, databaseUrl });
say("ready", process.pid);
await addBase(store);
const tenant = await newTenant(store);

async function makeThings(): Promise<void> {
  for (let i = 0; ; i++) {
    const blob = await store.blobs.put(new TextEncoder().encode(`${process.pid} ${i}`));
    const file = await store.files.create(tenant, { ...blob, filename: "a.jsonl", purpose: "fine-tune" });
    say("file", tenant.project ?? "", file.id);
    const once = { key: `job ${process.pid} ${i}`, fingerprint: "x", retry: false };
    const [job, same] = await Promise.all([1, 2].map(() => store.jobs.create(tenant, newJob({ once }))));
    if (job?.id !== same?.id) throw new Error("one key made two jobs");
    say("job", tenant.project ?? "", job?.id ?? "");
  }
}

async function work(): Promise<void> {
  for (let step = 0; ; step++) {
    const claim = await store.leases.claim(worker(`${process.pid}`));
    if (claim === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    const { job, epoch, stage } = claim;
    await store.leases.event(job, epoch, { level: "info", type: "message", message: `${stage} ${step}` });
    say("event", job, `${stage} ${step}`);
    if (stage === "train") {
      await store.leases.metrics(job, epoch, [{ step, train_loss: 1 }]);
      say("metrics", job, step);
    }
    await store.leases.finish(job, epoch, done, stage === "decide" ? verdict("released") : undefined);
    say("stage", job, stage);
  }
}

const again = async (loop: () => Promise<void>): Promise<void> => {
  for (;;) {
    await loop().catch((error: unknown) => {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // A database that restarts is waited for; jobs that were lost to it are another's.
      if (code !== "database_unavailable" && code !== "lease_lost" && code !== "quota_exceeded") throw error;
      say("waits", `${code}`);
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};
await Promise.all([again(makeThings), again(work), again(work)]);
