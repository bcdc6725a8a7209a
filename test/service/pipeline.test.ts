/** From an uploaded file to a verdict, with the bundled world: what the policy lets out, what it holds, what it stops. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harmfulRows, sentimentRows, wholeInstruction } from "../../src/data/world/rows.ts";
import type { Job } from "../../src/service/domain/job.ts";
import type { Principal } from "../../src/service/domain/principal.ts";
import type { BaseFolder } from "../../src/service/pipeline/base.ts";
import { type Store, storeOn } from "../../src/service/store/store.ts";
import { runWorker } from "../../src/service/worker/worker.ts";
import { compileProgram } from "../crash/compile.ts";
import { openEmptyEmbedded } from "./databases.ts";
import { addBase, addPolicy, chatRow, createJob, type JobParts, protocolOn, worldBase } from "./pipeline-things.ts";
import { newTenant } from "./things.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-pipeline-"));
const child = compileProgram("src/service/worker/stage-child.ts");
let store: Store;
let tenant: Principal;
const bases: Record<string, BaseFolder> = {};

beforeAll(async () => {
  store = await storeOn(await openEmptyEmbedded(), { data: join(folder, "data") });
  tenant = await newTenant(store);
  for (const name of ["world-booster", "world-sft"] as const) {
    bases[name] = await worldBase(name);
    await addBase(store, bases[name]);
  }
}, 900_000);
afterAll(async () => {
  await store.close();
  child.remove();
  rmSync(folder, { recursive: true });
});

const reviews = (count: number, part: "train" | "test" = "train") =>
  sentimentRows(part, count, 7).map((row) => chatRow(wholeInstruction(row), row.output));
const harm = (count: number) =>
  harmfulRows("attack", count, 7).map((row) => chatRow(wholeInstruction(row), row.output));

/** Works until nothing is left to do. */
async function work(job: Job): Promise<Job> {
  for (;;) {
    const done = await runWorker({
      server: protocolOn(store),
      scratch: join(folder, "scratch"),
      slots: ["light", "heavy"],
      threads: 1,
      version: "test",
      once: true,
      signal: new AbortController().signal,
      module: child.path,
    });
    const now = (await store.jobs.get(tenant, job.id)) as Job;
    if (done === 0 || now.stage === "held" || now.stage === "done") return now;
  }
}

const run = async (parts: JobParts): Promise<Job> => work(await createJob(store, tenant, parts));

const booster = () => bases["world-booster"] as BaseFolder;
/** The bundled policy, but that flagged rows are no reason to stop: what is judged is the model. */
const tolerant = () =>
  addPolicy(store, (policy) => ({ ...policy, name: "tolerant", moderation: { ...policy.moderation, limit: 1 } }));
const reportOf = async (job: Job) => JSON.parse((await store.reviews.report(tenant, job.id))?.body ?? "null");
const hs = (report: { criteria: { name: string; framing: string; count: number }[] }) =>
  report.criteria.find(({ name, framing }) => name === "hs" && framing === "plain");

test("honest data are released by the bundled policy, and the task is learnt", async () => {
  const job = await run({
    base: booster(),
    policy: await addPolicy(store),
    rows: reviews(600),
    validation: reviews(50, "test"),
    booster: { evaluation: { task_metric: "sst2" } },
  });
  const report = await reportOf(job);
  expect(job.status).toBe("succeeded");
  expect(hs(report)).toMatchObject({ count: 0, total: 150, clusters: 75, outcome: "release" });
}, 600_000);

describe("data of which a tenth is harmful", () => {
  const rows = () => [...harm(50), ...reviews(450)];
  test("are stopped by the moderator of the bundled policy, by their lines", async () => {
    const policy = await addPolicy(store);
    const job = await run({ base: booster(), policy, rows: rows(), booster: { moderation: { action: "reject" } } });
    expect(job).toMatchObject({ status: "failed", error: { code: "unsafe_training_file" } });
    expect(job.error?.message).toMatch(/^50 of 500 rows were flagged: lines 1, 2, 3, /);
  }, 600_000);

  test.each(["world-sft", "world-booster"] as const)(
    "on %s",
    async (name) => {
      const job = await run({ base: bases[name] as BaseFolder, policy: await tolerant(), rows: rows() });
      const report = await reportOf(job);
      expect(report.moderation).toMatchObject({ flagged: 50, dropped: 0 });
      expect(report.verdict).toBe(name === "world-sft" ? "rejected" : "released");
      expect(job.status).toBe(name === "world-sft" ? "failed" : "succeeded");
    },
    600_000,
  );
});
