import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inChild } from "../../src/experiments/in-child.ts";
import { AlignOptions } from "../../src/stages/options.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import type { Event } from "../../src/train/index.ts";
import { compileProgram } from "../crash/compile.ts";
import { bytesOf, makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

/** Kills of each method's run. BOOSTER_KILLS=200 is the nightly number. */
const kills = Math.ceil(Number(process.env.BOOSTER_KILLS ?? 6) / 2);
const STEPS = 24;

const program = compileProgram("test/experiments/stage.ts");
const worker = compileProgram("src/experiments/worker.ts");
const random = new RandomStream(Number(process.env.BOOSTER_SEED ?? 1), "experiment kills");
let world: TinyWorld;

beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => {
  world.remove();
});

/** Runs a stage in a process of its own, and kills it as soon as `enough` says so. */
function runStage(
  stage: string,
  options: object,
  enough?: () => boolean,
): Promise<{ code: number | null; output: string }> {
  const args = [program.path, JSON.stringify(options), stage];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const watch = setInterval(() => enough?.() === true && child.kill("SIGKILL"), 1);
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      resolve({ code, output });
    });
  });
}

/** Runs the alignment, and kills it after so many milliseconds. */
function runProcess(options: object, killAfter = Infinity): Promise<{ code: number | null; output: string }> {
  const begun = performance.now();
  return runStage("align", options, () => performance.now() - begun > killAfter);
}

describe.each(["sft", "booster"] as const)("%s", (method) => {
  test(
    `${kills} times kill -9 and resume: the bytes of an undisturbed run`,
    async () => {
      const options = { ...quickAlignment(world, method, STEPS), resume: true };
      const reference = join(world.folder, `${method} reference`);
      const begun = performance.now();
      const undisturbed = await runProcess({ ...options, run: reference });
      const milliseconds = performance.now() - begun;
      expect(undisturbed, undisturbed.output).toMatchObject({ code: 0 });
      const run = join(world.folder, `${method} killed`);
      for (let kill = 0; kill < kills; kill++) {
        await runProcess({ ...options, run }, milliseconds * (0.3 + 0.7 * random.uniform(kill)));
      }
      const last = await runProcess({ ...options, run });
      expect(last, last.output).toMatchObject({ code: 0 });
      expect(bytesOf(run)).toEqual(bytesOf(reference));
    },
    60_000 + 20_000 * kills,
  );
});

test("an evaluation that is killed goes on after its last finished batch, to the same bytes", async () => {
  const options = {
    model: world.model,
    template: "chat",
    harmful: { path: world.data("test-harmful"), limit: 24 },
    harmless: { path: world.data("test-harmless"), limit: 24 },
    moderator: "world" as const,
    maxNewTokens: 24,
    batchSize: 1,
    threads: 1,
    resume: true,
  };
  const reference = join(world.folder, "scores reference");
  const undisturbed = await runStage("evaluate", { ...options, run: reference });
  expect(undisturbed, undisturbed.output).toMatchObject({ code: 0 });
  const run = join(world.folder, "scores killed");
  const verdicts = join(run, "verdicts.json");
  const done = () => {
    const { harmful, harmless } = JSON.parse(readFileSync(verdicts, "utf8")) as Record<string, unknown[]>;
    return (harmful?.length ?? 0) + (harmless?.length ?? 0);
  };
  for (const wanted of [3, 30]) {
    await runStage("evaluate", { ...options, run }, () => existsSync(verdicts) && done() >= wanted);
    expect(existsSync(join(run, "evaluation.json"))).toBe(false);
    expect(done()).toBeGreaterThanOrEqual(wanted);
  }
  const last = await runStage("evaluate", { ...options, run });
  expect(last, last.output).toMatchObject({ code: 0 });
  for (const name of ["evaluation.json", "run.json"]) {
    expect(readFileSync(join(run, name)).equals(readFileSync(join(reference, name)))).toBe(true);
  }
  expect(existsSync(verdicts)).toBe(false);
});

test("a worker process does what this one does, tells its progress, stops when asked and goes on", async () => {
  const options = { ...quickAlignment(world, "booster", STEPS) };
  const parsed = (run: string, resume = false) =>
    AlignOptions.parse({ ...options, run: join(world.folder, run), resume });
  const steps: number[] = [];
  const whole = await inChild(
    "align",
    parsed("child"),
    { emit: (event) => event.type === "step" && steps.push(event.step) },
    worker.path,
  );
  expect(whole).toMatchObject({ outcome: "finished", step: STEPS });
  expect(steps).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));

  const stop = new AbortController();
  const emit = (event: Event) => event.type === "step" && event.step === 5 && stop.abort("test");
  const halted = await inChild("align", parsed("halted"), { emit, signal: stop.signal }, worker.path);
  expect(halted.outcome).toBe("stopped");
  expect(existsSync(join(world.folder, "halted/adapter"))).toBe(false);
  await inChild("align", parsed("halted", true), {}, worker.path);
  expect(bytesOf(join(world.folder, "halted"))).toEqual(bytesOf(join(world.folder, "child")));

  await expect(inChild("align", parsed("child"), {}, worker.path)).rejects.toMatchObject({ code: "RUN_EXISTS" });
});
