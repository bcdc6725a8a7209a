/** Experiments on a real Slurm of two nodes, each a host of its own to programs: test/slurm/run.sh starts it and this file. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { writeWorldData } from "../../src/stages/world-files.ts";
import { Cli } from "../cli/run-cli.ts";
import { makeTinyWorld, quickAlignment, quickCells, type TinyWorld } from "../experiments/tiny-world.ts";

const cluster = process.env.BOOSTER_SLURM;
if (cluster === undefined) console.log("skipped: no Slurm to try it on; test/slurm/run.sh starts one");

const SEEDS = [0, 1, 2];
/** Steps of an alignment: many seconds also on a quick machine, so that Slurm's commands still meet it in the middle. */
const STEPS = 500;

describe.skipIf(cluster === undefined)("an experiment of twelve cells", () => {
  let world: TinyWorld;
  let cli: Cli;
  let whole: Record<string, string>;

  beforeAll(async () => {
    cli = new Cli();
    world = await makeTinyWorld();
    writeWorldData(join(world.folder, "data"), SEEDS);
    const { model, method: _, threads, ...align } = quickAlignment(world, "sft", STEPS);
    const options = {
      out: "runs",
      model,
      methods: ["sft", "vaccine"],
      seeds: SEEDS,
      align: { ...align, alignment: world.data("alignment-{seed}"), harmful: world.data("harmful-{seed}") },
      ...quickCells(world, 6),
      threads,
      jobs: 2,
      slurm: { partition: "all", time: "00:10:00" },
    };
    cli.write("experiment.yaml", JSON.stringify(options));
    const { code, stderr } = await cli.run(["experiment", "--config", "experiment.yaml"]);
    expect(code, stderr).toBe(0);
    whole = contentOf(join(cli.folder, "runs"));
    // Of each of 12 cells an attack and an evaluation after it, of each of 6 alignments itself and an evaluation before.
    expect(Object.keys(whole).filter((file) => /^(align|attack)\/\w+\/adapter\/adapter_model/.test(file))).toHaveLength(
      18,
    );
    expect(Object.keys(whole).filter((file) => file.endsWith("evaluation.json"))).toHaveLength(18);
    renameSync(join(cli.folder, "runs"), join(cli.folder, "local"));
  });
  afterAll(() => {
    cli.remove();
    world.remove();
  });

  beforeEach(() => rmSync(join(cli.folder, "runs"), { recursive: true, force: true }));
  // A test that failed leaves jobs and a dead node behind; the next one starts from an idle cluster all the same.
  afterEach(async () => {
    for (const name of ["n1", "n2"]) if (!existsSync(join(cluster as string, `${name}.pid`))) node("start-node", name);
    await cancel("--me");
    await until(() => {
      const states = slurm("sinfo", "--noheader", "--Node", "--partition=all", "--format=%t").trim();
      return slurm("squeue", "--noheader").trim() === "" && states === "idle\nidle";
    });
  });

  const onSlurm = ["experiment", "--config", "experiment.yaml", "--runner", "slurm"];

  test("gives the local runner's bytes; the same command tells how far it is and submits nothing twice", async () => {
    const submitted = (await cli.json(onSlurm)).last;
    // The alignments, and what stands on each of the six.
    expect(submitted).toMatchObject({ arrays: 7, live: 25 });
    expect(submitted.pieces).toHaveLength(36);
    const again = (await cli.json(onSlurm)).last;
    expect(again).toMatchObject({ arrays: 0, name: submitted.name });
    await allEnded(submitted.name);
    expect(contentOf(join(cli.folder, "runs"))).toEqual(whole);
    // Nothing is left but the local runner's end of work.
    const { code, last } = await cli.json(onSlurm);
    expect([code, last.report]).toEqual([0, "runs/report.html"]);
  });

  test("gives them also where a node is lost, a task runs out of time and another is preempted in the middle", async () => {
    const { last } = await cli.json(onSlurm);
    const [onFirst, onSecond] = [await training("n1"), await training("n2")];
    node("kill-node", "n1");
    // As its time limit would; it saves and queues again by itself.
    slurm("scancel", "--batch", "--signal=USR1", onSecond.job);
    expect(holderOf(onFirst.run)).toMatchObject({ pid: onFirst.pid, host: "n1", slurmJob: onFirst.job });
    const preempted = await training("n2", onSecond.run);
    // It may be one that was restarted already.
    const before = restartsOf(preempted.job);
    slurm("sbatch", "--partition=urgent", "--nodelist=n2", "--output=/dev/null", "--wrap=true");
    await until(() => slurm("sinfo", "--noheader", "--nodes=n1", "--partition=all", "--format=%t").startsWith("down"));
    node("start-node", "n1");
    await allEnded(last.name);
    expect(contentOf(join(cli.folder, "runs"))).toEqual(whole);
    expect(restartsOf(preempted.job)).toBeGreaterThan(before);
    for (const { job, run } of [onFirst, onSecond, preempted]) {
      // scancel repeats a signal that meets a job on its way back into the queue, so it may be more than once.
      expect(restartsOf(job)).toBeGreaterThanOrEqual(1);
      expect(stepsOf(run)).toBe(STEPS);
    }
  });

  test("goes on here where its jobs were cancelled, past the lock of a node that is gone", async () => {
    const { last } = await cli.json(onSlurm);
    const { run } = await training("n1");
    node("kill-node", "n1");
    await cancel(`--name=${last.name}`);
    await allEnded(last.name);
    expect(holderOf(run)).toMatchObject({ host: "n1" });
    const { code, stderr } = await cli.run(["experiment", "--config", "experiment.yaml"]);
    expect(code, stderr).toBe(0);
    expect(contentOf(join(cli.folder, "runs"))).toEqual(whole);
  });

  const slurm = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: "utf8" });
  /** A job on its way back into the queue refuses for a moment, and Slurm says to try again. */
  const cancel = (jobs: string) =>
    until(() => {
      try {
        slurm("scancel", jobs);
        return true;
      } catch {
        return false;
      }
    });
  const restartsOf = (job: string): number => {
    const told = slurm("squeue", "--noheader", "--states=all", `--jobs=${job}`, "--Format=JobID:12,RestartCnt:12");
    const rows = told.split("\n").map((row) => row.trim().split(/\s+/));
    return Number(rows.find(([id]) => id === job)?.[1]);
  };
  const node = (command: string, name: string): void => {
    execFileSync(join(import.meta.dirname, "cluster.sh"), [command, cluster as string, name], { stdio: "inherit" });
  };
  const until = async <T>(look: () => T | undefined | false): Promise<T> => {
    for (;;) {
      const seen = look();
      if (seen) return seen;
      await delay(100);
    }
  };
  const allEnded = (name: unknown) =>
    until(() => slurm("squeue", "--noheader", `--name=${name}`, "--format=%i %T %r").trim() === "");

  interface Holder {
    readonly pid: number;
    readonly host: string;
    readonly slurmJob: string;
  }
  const holderOf = (run: string): Holder | undefined => {
    try {
      const lock = join(run, "lock");
      return JSON.parse(readFileSync(join(lock, readdirSync(lock)[0] ?? ""), "utf8")) as Holder;
    } catch {
      return undefined;
    }
  };
  const stepsOf = (run: string): number =>
    existsSync(join(run, "metrics.jsonl"))
      ? readFileSync(join(run, "metrics.jsonl"), "utf8").split('"step":').length - 1
      : 0;
  /** An alignment, other than one, that is in the middle of its steps on a node. */
  const training = (host: string, other?: string) =>
    until(() => {
      const folder = join(cli.folder, "runs/align");
      const runs = existsSync(folder) ? readdirSync(folder).map((key) => join(folder, key)) : [];
      for (const run of runs) {
        const holder = holderOf(run);
        if (run !== other && holder?.host === host && stepsOf(run) > 20 && stepsOf(run) < STEPS / 2) {
          return { run, job: holder.slurmJob, pid: holder.pid };
        }
      }
      return undefined;
    });
});

/** What an experiment's folder holds, by path: SHA-256 of each file, but for what the clock decides or only one runner writes. */
function contentOf(out: string): Record<string, string> {
  const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name).slice(out.length + 1));
  const counted = paths.filter((path) => !/^(slurm|locks)\/|^wall-time\.json$|^report\.|(^|\/)cost\.json$/.test(path));
  return Object.fromEntries(
    counted.sort().map((path) => {
      const text = readFileSync(join(out, path));
      const content = path === "result.json" ? timeless(text.toString()) : text;
      return [path, createHash("sha256").update(content).digest("hex")];
    }),
  );
}

/** A result without seconds and megabytes. */
function timeless(text: string): string {
  const clock = new Set(["wallSeconds", "seconds", "secondsPerStep", "megabytes"]);
  return JSON.stringify(JSON.parse(text, (key, value) => (clock.has(key) ? undefined : value)));
}
