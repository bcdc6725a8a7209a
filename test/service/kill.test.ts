/** T10: a server that is killed while it writes loses nothing that it has acknowledged, and its folder has one server. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openStore } from "../../src/service/store/store.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { compileProgram } from "../crash/compile.ts";
import { startPostgres, whyNoPostgres } from "./postgres.ts";

/** BOOSTER_KILLS=200 is the nightly number. */
const kills = Math.ceil(Number(process.env.BOOSTER_KILLS ?? 10) / 2);
const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "server kills");
const program = compileProgram("test/service/writer.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-server-kill-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What was acknowledged: kind, then words. */
type Said = readonly string[];

interface Writer {
  readonly child: ChildProcess;
  readonly said: Said[];
  readonly ended: Promise<void>;
  readonly errors: () => string;
}

/** A writer that has opened its store. */
async function startWriter(args: readonly string[]): Promise<Writer> {
  const child = spawn(process.execPath, [program.path, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const said: Said[] = [];
  let [rest, errors] = ["", ""];
  child.stderr.on("data", (text) => {
    errors += text;
  });
  child.stdout.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() as string;
    said.push(...lines.map((line) => line.split(" ")));
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const writer = { child, said, ended, errors: () => errors };
  await until(writer, 1);
  return writer;
}

/** Until the writer has said so much more. */
async function until({ said, child, errors }: Writer, more: number): Promise<void> {
  for (const wanted = said.length + more; said.length < wanted; ) {
    if (child.exitCode !== null) throw new Error(`the writer ended: ${errors()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Looks up everything that was acknowledged. */
async function findAll(said: readonly Said[], options: Parameters<typeof openStore>[0]): Promise<void> {
  const store = await openStore(options);
  try {
    const { db } = store.context;
    const ids = async (table: string, column: string) =>
      new Set((await db.query<{ id: string }>(`select ${column} as id from ${table}`)).map((row) => row.id));
    const of = (kind: string) => said.filter(([what]) => what === kind).map(([, ...words]) => words);
    const lost = (needed: readonly string[], there: ReadonlySet<string>) => needed.filter((id) => !there.has(id));
    expect(
      lost(
        of("file").map(([, id]) => id as string),
        await ids("files", "id"),
      ),
    ).toEqual([]);
    expect(
      lost(
        of("job").map(([, id]) => id as string),
        await ids("jobs", "id"),
      ),
    ).toEqual([]);
    const events = await ids("job_events", "job_id || ' ' || message");
    expect(
      lost(
        of("event").map((words) => words.join(" ")),
        events,
      ),
    ).toEqual([]);
    const metrics = await ids("job_metrics", "job_id || ' ' || step");
    expect(
      lost(
        of("metrics").map((words) => words.join(" ")),
        metrics,
      ),
    ).toEqual([]);
    const outputs = await ids("(select id, jsonb_object_keys(outputs) as stage from jobs) made", "id || ' ' || stage");
    expect(
      lost(
        of("stage").map((words) => words.join(" ")),
        outputs,
      ),
    ).toEqual([]);
    // Numbers of a job's events have no gap; a job that succeeded has one model, one report, one result file.
    expect(
      await db.query("select job_id from job_events group by job_id having max(seq) <> count(*) or min(seq) <> 1"),
    ).toEqual([]);
    const whole =
      "exists (select 1 from models where job_id = jobs.id) and exists (select 1 from reports where job_id = jobs.id)";
    expect(
      await db.query(
        `select id from jobs where (status = 'succeeded') <> (${whole} and cardinality(result_files) = 1)`,
      ),
    ).toEqual([]);
    for (const sha256 of await ids("files", "sha256")) expect(await store.blobs.has(sha256)).toBeGreaterThan(0);
    expect((await store.audit.verify()).fault).toBeUndefined();
  } finally {
    await store.close();
  }
}

test(
  `kill -9 of an embedded server ${kills} times: nothing acknowledged is lost, a second server is refused meanwhile`,
  async () => {
    const data = join(folder, "embedded");
    const all: Said[] = [];
    for (let i = 0; i < kills; i++) {
      const writer = await startWriter([data]);
      const { child, said, ended } = writer;
      await expect(openStore({ data })).rejects.toMatchObject({
        code: "DATA_IN_USE",
        message: expect.stringContaining(`${child.pid}`),
      });
      await until(writer, 5 + Math.floor(60 * random.uniform(i)));
      child.kill("SIGKILL");
      await ended;
      all.push(...said);
    }
    const kinds = new Set(all.map(([kind]) => kind));
    expect([...kinds].sort()).toEqual(["event", "file", "job", "metrics", "ready", "stage"]);
    await findAll(all, { data });
  },
  60_000 + 30_000 * kills,
);

test.skipIf(whyNoPostgres !== undefined)(
  `kill -9 of one of two servers on a PostgreSQL that crashes meanwhile, ${kills} times: nothing acknowledged is lost`,
  async () => {
    const cluster = await startPostgres();
    try {
      const options = { data: join(folder, "shared"), databaseUrl: cluster.url };
      const args = [options.data, cluster.url];
      const steady = await startWriter(args);
      const all: Said[] = [];
      for (let i = 0; i < kills; i++) {
        const writer = await startWriter(args);
        const { child, said, ended } = writer;
        await until(writer, 5 + Math.floor(60 * random.uniform(i)));
        if (i % 2 === 1) await cluster.restart(i % 4 === 1 ? "immediate" : "fast");
        child.kill("SIGKILL");
        await ended;
        all.push(...said);
      }
      // The other server has outlived every restart and goes on.
      await until(steady, 20);
      steady.child.kill("SIGKILL");
      await steady.ended;
      await findAll([...all, ...steady.said], options);
    } finally {
      await cluster.stop();
    }
  },
  60_000 + 30_000 * kills,
);
