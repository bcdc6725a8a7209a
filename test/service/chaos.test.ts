/** A11: server, workers, trainers and engines are killed at random while small jobs are done. Nothing acknowledged is lost, and every job ends as an undisturbed one. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { afterAll, expect, test } from "vitest";
import { sentimentRows, wholeInstruction } from "../../src/data/world/rows.ts";
import { openStore } from "../../src/service/store/store.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { compileProgram } from "../crash/compile.ts";
import { chatRow, jsonLines, worldBase } from "./pipeline-things.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";
import { QUICK_POLICY } from "./things.ts";

/** BOOSTER_KILLS=200 is the nightly number. By day worker.test.ts, kill.test.ts and the tests of serving kill one kind of process each. */
const KILLS = Number(process.env.BOOSTER_KILLS ?? 0);
/** Between two kills at most: jobs that lose their program three times fail, and most should get done. */
const PAUSE_MS = 10_000;
if (KILLS === 0)
  console.log("random kills of a whole service are left out: BOOSTER_KILLS says how many there are to be");
const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "chaos");

const program = compileProgram("test/service/service-process.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-chaos-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const { port } = socket.address() as AddressInfo;
      socket.close(() => resolve(port));
    });
  });

/** Processes below another one whose command says this. */
function below(pid: number | undefined, command: string): number[] {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" }).trim().split("\n");
  const all = lines.map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []);
  return all.flatMap(([, own, parent, args = ""]) =>
    Number(parent) === pid && args.includes(command) ? [Number(own)] : [],
  );
}

/** A server on one folder and port, which may be killed and started again. */
class Host {
  process: ChildProcess | undefined;
  key = "";

  constructor(
    readonly data: string,
    readonly port: number,
    readonly databaseUrl: string | undefined,
  ) {}

  async start(): Promise<void> {
    const { data, port } = this;
    const options = JSON.stringify({
      data,
      port,
      workers: 1,
      threads: 1,
      policy: join(folder, "policy.yaml"),
      logLevel: "silent",
    });
    const child = spawn(process.execPath, [program.path, "serve", options], {
      env: { ...process.env, ...(this.databaseUrl === undefined ? {} : { DATABASE_URL: this.databaseUrl }) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.process = child;
    const told = await new Promise<string>((resolve, reject) => {
      child.stdout.once("data", (text) => resolve(String(text)));
      child.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
    });
    this.key = (JSON.parse(told) as { readonly key: string | null }).key ?? this.key;
  }

  async kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const { process: child } = this;
    const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
      child?.once("exit", (code, by) => resolve(code ?? by)),
    );
    child?.kill(signal);
    return ended;
  }

  /** Kills one of these, once there is one. */
  async strike(target: (typeof TARGETS)[number]): Promise<void> {
    if (target === "server") {
      await this.kill("SIGKILL");
      return this.start();
    }
    for (;;) {
      const server = this.process?.pid;
      const workers = below(server, " worker ");
      const found = {
        worker: workers,
        engine: below(server, "engine/child.js"),
        trainer: workers.flatMap((pid) => below(pid, "stage-child.js")),
      }[target];
      const [pid] = found;
      try {
        if (pid !== undefined) return void process.kill(pid, "SIGKILL");
      } catch {
        // It has just ended by itself: another one will come.
      }
      await sleep(50);
    }
  }
}

const TARGETS = ["server", "worker", "trainer", "engine"] as const;
const isOver = ({ status }: { readonly status: string }) => ["succeeded", "failed", "cancelled"].includes(status);

test.skipIf(KILLS === 0).each(["postgres", "embedded"] as const)(
  `${KILLS} kills during ${2 + Math.ceil(KILLS / 2)} jobs (%s)`,
  async (kind) => {
    if (kind === "postgres" && whyNoPostgres !== undefined) return;
    const cluster = kind === "postgres" ? await startPostgres() : undefined;
    const host = new Host(join(folder, kind), await freePort(), cluster?.url);
    mkdirSync(join(host.data, "bases"), { recursive: true });
    cpSync((await worldBase("world-booster")).folder, join(host.data, "bases/world-booster"), { recursive: true });
    writeFileSync(join(folder, "policy.yaml"), QUICK_POLICY);
    await host.start();
    try {
      const client = new OpenAI({ apiKey: host.key, baseURL: `http://127.0.0.1:${host.port}/v1`, maxRetries: 20 });
      const rows = jsonLines(sentimentRows("train", 40, 5).map((row) => chatRow(wholeInstruction(row), row.output)));
      let uploads = 0;
      // By its name each is another one, also to a server that is asked a second time.
      const upload = () =>
        client.files.create({ file: new File([new Uint8Array(rows)], `${++uploads}.jsonl`), purpose: "fine-tune" });
      const create = async () =>
        client.fineTuning.jobs.create({ model: "world-booster", training_file: (await upload()).id, seed: 1 });
      const over = async (id: string) => {
        for (;;) {
          const job = await client.fineTuning.jobs.retrieve(id);
          if (isOver(job)) return job;
          await sleep(300);
        }
      };
      const first = await over((await create()).id);
      expect(first).toMatchObject({ status: "succeeded", error: null });
      const files: string[] = [];
      const jobs: string[] = [first.id, (await create()).id];
      for (let i = 0; i < KILLS; i++) {
        await sleep(PAUSE_MS * random.uniform(i));
        const target = TARGETS[(i + Math.floor(i / 4)) % 4]!;
        // There is always something to be killed at.
        if (i % 2 === 0) jobs.push((await create()).id);
        const created = upload();
        await host.strike(target);
        files.push((await created).id);
      }
      for (const id of jobs) await over(id);
      expect(await host.kill("SIGTERM")).toBe(143);
      await expectWhole(host, jobs, files);
    } finally {
      host.process?.kill("SIGKILL");
      await cluster?.stop();
    }
  },
  1_800_000 + 60_000 * KILLS,
);

/** Everything that was acknowledged is there, and every job has the outcome of the first one, which nobody disturbed. */
async function expectWhole(
  { data, databaseUrl }: Host,
  jobs: readonly string[],
  files: readonly string[],
): Promise<void> {
  const store = await openStore({ data, databaseUrl });
  try {
    const { db } = store.context;
    const ids = async (sql: string) => (await db.query<{ id: string }>(sql)).map(({ id }) => id);
    const there = new Set(await ids("select id from files"));
    expect(files.filter((id) => !there.has(id))).toEqual([]);
    // A job may have lost its program three times; then it says so. All others have succeeded.
    const broken = new Set(
      await ids("select id from jobs where status = 'failed' and crashes = 3 and error->>'code' = 'worker_crashed'"),
    );
    const succeeded = new Set(await ids("select id from jobs where status = 'succeeded'"));
    expect(new Set(jobs).size).toBe(jobs.length);
    expect(jobs.filter((id) => !broken.has(id) && !succeeded.has(id))).toEqual([]);
    const ends = await db.query<{
      id: string;
      models: number;
      reports: number;
      results: number;
      files: unknown;
      steps: number;
    }>(
      `select id, (select count(*)::int from models where job_id = jobs.id) as models, cardinality(result_files) as results,
         (select count(*)::int from reports where job_id = jobs.id) as reports,
         (select files from models where job_id = jobs.id) as files,
         (select count(*)::int from job_metrics where job_id = jobs.id) as steps from jobs where status = 'succeeded'`,
    );
    const undisturbed = ends.find(({ id }) => id === jobs[0]);
    for (const end of ends) expect(end).toEqual({ ...undisturbed, id: end.id });
    expect(undisturbed).toMatchObject({ models: 1, reports: 1, results: 1, steps: 51 });
    expect(
      await ids("select job_id as id from models where job_id in (select id from jobs where status <> 'succeeded')"),
    ).toEqual([]);
    expect(
      await ids("select job_id as id from job_events group by job_id having max(seq) <> count(*) or min(seq) <> 1"),
    ).toEqual([]);
    expect((await store.audit.verify()).fault).toBeUndefined();
    console.log(
      `${KILLS} kills, ${jobs.length} jobs: ${succeeded.size} succeeded with one adapter, ${broken.size} lost their program three times`,
    );
  } finally {
    await store.close();
  }
}
