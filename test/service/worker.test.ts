/** Workers over HTTP: killed, stopped, paused, cut off from the server. Whatever happens, a job has one outcome and its adapter the bytes of an undisturbed run. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { sentimentRows, wholeInstruction } from "../../src/data/world/rows.ts";
import type { Job } from "../../src/service/domain/job.ts";
import { type Principal, SERVER } from "../../src/service/domain/principal.ts";
import type { BaseFolder } from "../../src/service/pipeline/base.ts";
import type { Policy } from "../../src/service/pipeline/policy.ts";
import { Reaper } from "../../src/service/store/reaper.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { compileProgram } from "../crash/compile.ts";
import { addBase, addPolicy, chatRow, createJob, worldBase } from "./pipeline-things.ts";
import { startTestServer, type TestServer } from "./server.ts";
import { newTenant } from "./things.ts";

/** Each kind of disturbance so often; BOOSTER_KILLS for longer runs. */
const KILLS = Math.max(1, Math.round(Number(process.env.BOOSTER_KILLS ?? 3) / 3));

const QUESTIONS = 20;

const folder = mkdtempSync(join(tmpdir(), "booster-worker-"));
const program = compileProgram("test/service/worker-process.ts");
const service = compileProgram("test/service/service-process.ts");
const workers = new Set<ChildProcess>();
let server: TestServer;
let tenant: Principal;
let base: BaseFolder;
let tokenFile: string;
let undisturbed: Job;
let started = 0;

function startWorker(...more: string[]): ChildProcess {
  const scratch = join(folder, `host-${++started}`);
  const worker = spawn(process.execPath, [program.path, server.url, tokenFile, scratch, "0.3", ...more], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  workers.add(worker);
  worker.once("exit", () => workers.delete(worker));
  return worker;
}

const exitOf = (worker: ChildProcess): Promise<number | NodeJS.Signals | null> =>
  new Promise((resolve) => worker.once("exit", (code, signal) => resolve(code ?? signal)));

const jobNow = async ({ id }: Job): Promise<Job> => (await server.store.jobs.get(tenant, id)) as Job;

async function until(job: Job, holds: (job: Job) => boolean): Promise<Job> {
  for (;;) {
    const now = await jobNow(job);
    if (holds(now)) return now;
    if (isOver(now)) throw new Error(`the job is over: ${now.status}, ${now.error?.message}`);
    await sleep(50);
  }
}

/** What is in training, with at least so many steps done. */
const trains = (steps: number) => (job: Job) => job.stage === "train" && job.worker !== null && job.step >= steps;
const isOver = ({ stage }: Job): boolean => stage === "done" || stage === "held";

/** Takes the job from whoever holds it, as a reaper does of one that has not beaten. */
async function reap(job: Job): Promise<void> {
  const { worker, epoch } = await jobNow(job);
  if (worker === null) return;
  const reaper = new Reaper(server.store.context, undefined, 0);
  for (let now = await jobNow(job); now.worker !== null && now.epoch === epoch; now = await jobNow(job)) {
    await reaper.look();
    await sleep(5);
  }
}

/** What is measured of a model is not at stake here: few questions. */
const brief = (policy: Policy): Policy => ({
  ...policy,
  evaluate: { ...policy.evaluate, n: QUESTIONS, systemPrompts: 1, prefixes: 1 },
});
const newJob = async (): Promise<Job> =>
  createJob(server.store, tenant, {
    base,
    policy: await addPolicy(server.store, brief),
    rows: sentimentRows("train", 200, 5).map((row) => chatRow(wholeInstruction(row), row.output)),
    validation: sentimentRows("test", 20, 5).map((row) => chatRow(wholeInstruction(row), row.output)),
    hyperparameters: { n_epochs: 12 },
  });

/** One outcome, the bytes of the undisturbed run, events and steps without gaps. */
async function expectWhole(job: Job): Promise<void> {
  const now = await until(job, isOver);
  expect(now.error).toBeNull();
  expect(now.outputs.train?.blobs).toEqual(undisturbed.outputs.train?.blobs);
  expect(now.outputs.train?.facts).toMatchObject({ steps: undisturbed.outputs.train?.facts.steps });
  expect((await server.store.reviews.report(tenant, now.id))?.verdict).toBe(verdictOf(undisturbed));
  const { data: events } = await server.store.records.events(tenant, now.id, { limit: 10_000, order: "asc" });
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));
  const steps = (await server.store.records.metrics(tenant, now.id, { limit: 10_000 })).map(({ step }) => step);
  expect(steps).toEqual(Array.from({ length: Number(now.outputs.train?.facts.steps) + 1 }, (_, i) => i));
}

const verdictOf = ({ outputs }: Job) => outputs.decide?.facts.verdict;

beforeAll(async () => {
  server = await startTestServer();
  tenant = await newTenant(server.store);
  const { card, ...rest } = await worldBase("world-booster");
  base = { ...rest, card: { ...card, name: "world-real" } };
  await addBase(server.store, base);
  tokenFile = join(folder, "token");
  writeFileSync(tokenFile, await server.keyFor("worker"));
  const job = await newJob();
  const worker = startWorker();
  undisturbed = await until(job, isOver);
  worker.kill("SIGTERM");
  expect(await exitOf(worker)).toBe(143);
});

afterEach(async () => {
  for (const worker of workers) {
    worker.kill("SIGKILL");
    if (worker.exitCode === null && worker.signalCode === null) await exitOf(worker);
  }
});
afterAll(async () => {
  for (const worker of workers) worker.kill("SIGKILL");
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("undisturbed: every stage is done, epochs leave checkpoints, measurements and events", async () => {
  expect(Object.keys(undisturbed.outputs).sort()).toEqual(
    ["decide", "evaluate", "moderate", "repair", "train", "validate"].sort(),
  );
  const { data } = await server.store.records.checkpoints(tenant, undisturbed.id, { limit: 10, order: "desc" });
  expect(data.map(({ step }) => step)).toEqual([300, 275, 250]);
  expect(data[0]?.metrics).toMatchObject({ train_loss: expect.any(Number), full_valid_loss: expect.any(Number) });
  // How harmful the model becomes is measured on its way, and at both ends.
  const metrics = await server.store.records.metrics(tenant, undisturbed.id, { limit: 1000 });
  const harm = metrics.filter((row) => row.metrics.harmful_loss !== undefined).map(({ step }) => step);
  expect([harm.length > 2, harm[0], harm.at(-1)]).toEqual([true, 0, 300]);
  expect(metrics.at(-1)?.metrics).toMatchObject({ harmful_score: 0, harmful_total: 24 });
  // A reviewer sees what was answered by number, and each text that is opened stands in the audit log.
  const reviewer = { authorization: `Bearer ${await server.keyFor("reviewer")}` };
  const answers = async (path = "") =>
    (await fetch(`${server.url}/v1/booster/reviews/${undisturbed.id}/answers${path}`, { headers: reviewer })).json();
  const { data: told } = (await answers()) as { readonly data: readonly Record<string, unknown>[] };
  expect(told.filter(({ framing, set }) => framing === "plain" && set === "harmful")).toHaveLength(QUESTIONS);
  expect(Object.keys(told[3] ?? {}).sort()).toEqual(["framing", "number", "set", "sign"]);
  expect(await answers("/3")).toMatchObject({ ...told[3], prompt: expect.any(String), answer: expect.any(String) });
  expect(await answers("/999999")).toMatchObject({ error: { code: "not_found" } });
  const { data: looks } = await server.store.audit.list(SERVER, { limit: 9, types: ["texts.viewed"] });
  expect(looks.map(({ data: about }) => about)).toEqual([{ id: undisturbed.id, answer: 3 }]);
  const counted = await (
    await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${await server.keyFor("owner")}` } })
  ).text();
  for (const line of [
    'job_stage_seconds_count{stage="train",outcome="done"} 1',
    "job_queue_seconds_count 6",
    "safety_verdicts_total{verdict=",
    'moderation_rows_total{flagged="no"} 200',
  ]) {
    expect(counted).toContain(line);
  }
  expect(Object.keys(data[0]?.files ?? {})).toContain("adapter/adapter_model.safetensors");
  await expectWhole(undisturbed);
  // Nothing of a job is left on the worker's disk.
  for (const host of readdirSync(folder).filter((name) => name.startsWith("host-"))) {
    expect(readdirSync(join(folder, host))).toEqual(["cache"]);
  }
});

const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "worker-kills");
const moments = Array.from({ length: KILLS }, (_, i) => Math.floor(random.uniform(i) * 250));

test.each(moments)(
  "a worker that is killed after step %i: another one goes on from the last checkpoint",
  async (step) => {
    const job = await newJob();
    const worker = startWorker();
    await until(job, trains(step));
    worker.kill("SIGKILL");
    await exitOf(worker);
    await reap(job);
    const other = startWorker();
    await expectWhole(job);
    other.kill("SIGKILL");
  },
);

test.each(moments)("a trainer that is killed after step %i: the stage is done again", async (step) => {
  const job = await newJob();
  const worker = startWorker();
  await until(job, trains(step));
  const children = execFileSync("ps", ["-o", "pid=", "--ppid", String(worker.pid)], { encoding: "utf8" });
  for (const pid of children.trim().split(/\s+/)) process.kill(Number(pid), "SIGKILL");
  await expectWhole(job);
  expect((await jobNow(job)).crashes).toBe(1);
  worker.kill("SIGKILL");
});

test.each(moments)(
  "a worker that sleeps past its lease after step %i: what it says then changes nothing",
  async (step) => {
    const job = await newJob();
    const worker = startWorker();
    await until(job, trains(step));
    worker.kill("SIGSTOP");
    await reap(job);
    const other = startWorker();
    await until(job, (now) => now.worker !== null);
    worker.kill("SIGCONT");
    await expectWhole(job);
    for (const each of [worker, other]) each.kill("SIGKILL");
  },
);

test("SIGTERM: the step is saved and the job given back; it goes on elsewhere from there", async () => {
  const job = await newJob();
  const worker = startWorker();
  expect((await until(job, trains(60))).estimatedFinish).toBeGreaterThan(job.createdAt);
  worker.kill("SIGTERM");
  expect(await exitOf(worker)).toBe(143);
  const given = await jobNow(job);
  expect(given).toMatchObject({ status: "queued", estimatedFinish: null, stage: "train", worker: null, crashes: 0 });
  const other = startWorker();
  await expectWhole(job);
  other.kill("SIGKILL");
});

test("a pause saves the step; after it the job goes on to the same bytes", async () => {
  const job = await newJob();
  const worker = startWorker();
  await until(job, trains(30));
  await server.store.jobs.pause(tenant, job.id);
  const paused = await until(job, ({ status }) => status === "paused");
  expect(paused.worker).toBeNull();
  await server.store.jobs.resume(tenant, job.id);
  await expectWhole(job);
  worker.kill("SIGKILL");
});

test("a cancelled job is left at once, and the worker takes the next one", async () => {
  const job = await newJob();
  const worker = startWorker();
  await until(job, trains(1));
  await server.store.jobs.cancel(tenant, job.id);
  const next = await newJob();
  await expectWhole(next);
  expect(await jobNow(job)).toMatchObject({ status: "cancelled", outputs: expect.not.objectContaining({ train: {} }) });
  worker.kill("SIGKILL");
});

test("--once takes one piece of work, or finds none, and ends", async () => {
  const job = await newJob();
  expect(await exitOf(startWorker("once"))).toBe(0);
  expect((await jobNow(job)).stage).toBe("moderate");
  await server.store.jobs.cancel(tenant, job.id);
  expect(await exitOf(startWorker("once"))).toBe(0);
});

test("a token that the server does not know is refused, and the worker ends", async () => {
  const wrong = join(folder, "wrong");
  writeFileSync(wrong, await server.keyFor("reader"));
  const worker = spawn(process.execPath, [program.path, server.url, wrong, join(folder, "refused"), "60"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  worker.stderr?.on("data", (text) => {
    said += text;
  });
  expect(await exitOf(worker)).toBe(1);
  expect(said).toContain("the server refuses what the worker asks");
});

test("a worker whose server is killed before it has begun leaves too", async () => {
  const args = ["--server", server.url, "--token-file", tokenFile, "--scratch", join(folder, "late"), "--threads", "1"];
  const worker = spawn(process.execPath, [service.path, "worker", ...args], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  workers.add(worker);
  worker.disconnect();
  expect(await exitOf(worker)).toBe(0);
  workers.delete(worker);
});
