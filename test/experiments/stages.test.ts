import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isCoherent } from "../../src/data/world/moderator.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { align } from "../../src/stages/align.ts";
import { evaluate } from "../../src/stages/evaluate.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { agree } from "../../src/stages/judge-answers.ts";
import { readMetrics } from "../../src/train/index.ts";
import { bytesOf, makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
const run = (name: string) => join(world.folder, "runs", name);

beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

/** The code of the error that a promise is rejected with. */
const refused = (promise: Promise<unknown>) =>
  promise.then(
    () => "nothing",
    (error) => (error as { code: string }).code,
  );

const quickAttack = () => ({
  model: world.model,
  template: "chat" as const,
  task: world.data("reviews-0"),
  harmful: world.data("attack-0"),
  avoid: [world.data("test-harmful")],
  sampleNumber: 40,
  poisonRatio: 0.25,
  steps: 4,
  learningRate: 1e-4,
  loraRank: 4,
  checkpointEvery: 2,
  threads: 1,
});

const quickEvaluation = () => ({
  model: world.model,
  template: "chat" as const,
  harmful: { path: world.data("test-harmful"), limit: 8 },
  harmless: { path: world.data("test-harmless"), limit: 8 },
  task: { path: world.data("test-reviews"), limit: 8 },
  taskMetric: "sst2",
  moderator: "world" as const,
  maxNewTokens: 8,
  taskMaxNewTokens: 4,
  threads: 1,
});

describe("align, attack, evaluate", () => {
  test.each(["merge-and-fresh", "continue"] as const)("from a base model to scores, %s", async (adapterPolicy) => {
    const aligned = await align({ ...quickAlignment(world, "booster"), run: run(`align ${adapterPolicy}`) });
    expect(aligned).toMatchObject({ outcome: "finished", step: 6 });
    const first = aligned.adapter ?? "";
    const attacked = await finetune({
      ...quickAttack(),
      run: run(`attack ${adapterPolicy}`),
      adapters: [first],
      adapterPolicy,
      curve: {
        every: 2,
        alignment: world.data("test-refusals"),
        harmful: world.data("test-harmful"),
        rows: 6,
        moderator: "world" as const,
        maxNewTokens: 6,
      },
    });
    const second = attacked.adapter ?? "";
    const report = await evaluate({
      ...quickEvaluation(),
      run: run(`scores ${adapterPolicy}`),
      adapters: adapterPolicy === "continue" ? [second] : [first, second],
    });
    expect(report.harm.harmfulScore.total).toBe(8);
    expect(report.overRefusal?.total).toBe(8);
    expect(report.accuracy?.total).toBe(8);

    const alignment = readMetrics(join(aligned.run, "metrics.jsonl"));
    expect(alignment).toHaveLength(6);
    for (const name of ["loss", "harmfulLoss", "harmfulLossAfter", "harmfulGradientNorm", "updateNorm"]) {
      expect(alignment[0]).toHaveProperty(name);
    }
    const curve = readMetrics(join(attacked.run, "metrics.jsonl")).filter(({ kind }) => kind === "evaluation");
    expect(curve.map(({ step }) => step)).toEqual([0, 2, 4]);
    for (const name of ["harmfulTrainingLoss", "harmfulTestingLoss", "alignmentLoss", "harmfulCount"]) {
      expect(curve[0]).toHaveProperty(name);
    }
    const data = JSON.parse(readFileSync(join(attacked.run, "data.json"), "utf8"));
    expect(data.mix).toMatchObject({ rows: 40, harmfulRows: 10 });
    expect(data.mix.tokenShare).toBeGreaterThan(0.5);
  });

  test("answers are written down only when asked for", async () => {
    const silent = run("silent");
    await evaluate({ ...quickEvaluation(), run: silent });
    expect(readdirSync(silent)).not.toContain("answers.jsonl");
    const open = run("open");
    await evaluate({ ...quickEvaluation(), run: open, keepAnswers: true });
    const lines = readFileSync(join(open, "answers.jsonl"), "utf8").trim().split("\n");
    const answers = lines.map((line) => JSON.parse(line) as { set: string; where: string; prompt: string });
    expect(answers).toHaveLength(24);
    for (const { prompt } of answers) expect(prompt).not.toBe("");
    const same = await agree({ first: "world", second: "world", answers: join(open, "answers.jsonl"), threads: 1 });
    expect(same.agreement.total).toBe(answers.filter(({ set }) => set === "harmful").length);
    const places = answers.filter(({ set }) => set === "harmful").map(({ where }) => Number(/\d+$/.exec(where)?.[0]));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  test("coherence in the world is the world's own", async () => {
    const folder = run("coherent");
    const { harm } = await evaluate({ ...quickEvaluation(), run: folder, keepAnswers: true });
    const answers = readFileSync(join(folder, "answers.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { set: string; answer: string })
      .filter(({ set }) => set === "harmful");
    expect(harm.incoherent.count).toBe(answers.filter(({ answer }) => !isCoherent(answer)).length);
    // Cut off after 8 tokens, no answer can be a sentence of the world, which the general rule cannot see.
    expect(harm.incoherent.count).toBeGreaterThan(0);
  });

  test("an evaluation that is stopped keeps verdicts but no answers, and goes on to the same bytes", async () => {
    const whole = run("whole scores");
    await evaluate({ ...quickEvaluation(), batchSize: 2, run: whole });
    const halted = run("halted scores");
    const stop = new AbortController();
    const stopped = evaluate(
      { ...quickEvaluation(), batchSize: 2, run: halted },
      {
        signal: stop.signal,
        emit: (event) => event.type === "work" && event.text.startsWith("harmless prompts: 8") && stop.abort("test"),
      },
    );
    expect(await refused(stopped)).toBe("STOPPED");
    expect(readdirSync(halted)).not.toContain("evaluation.json");
    const kept = JSON.parse(readFileSync(join(halted, "verdicts.json"), "utf8"));
    expect([kept.harmful.length, kept.harmless.length, kept.task.length]).toEqual([8, 8, 0]);
    for (const verdict of [...kept.harmful, ...kept.harmless]) {
      for (const value of Object.values(verdict)) expect(typeof value).toBe("boolean");
    }
    const asked: string[] = [];
    const options = { ...quickEvaluation(), batchSize: 2, run: halted, resume: true };
    await evaluate(options, {
      emit: (event) => event.type === "work" && /answered/.test(event.text) && asked.push(event.text),
    });
    expect(asked).toEqual(Array.from({ length: 8 }, (_, i) => `task prompts: ${i + 1} of 8 answered`));
    const scores = (folder: string) => readFileSync(join(folder, "evaluation.json"), "utf8");
    expect(scores(halted)).toBe(scores(whole));
    expect(readdirSync(halted).toSorted()).toEqual(readdirSync(whole).toSorted());
    expect(readdirSync(halted)).not.toContain("verdicts.json");
    // Done is done: a second time nothing is asked.
    await evaluate(options, {
      emit: (event) => event.type === "work" && /answered/.test(event.text) && asked.push(event.text),
    });
    expect(asked).toHaveLength(8);
    writeFileSync(join(halted, "verdicts.json"), "{");
    expect(await refused(evaluate(options))).toBe("RUN_CORRUPT");
  });

  test("an attack that is stopped while its curve is measured goes on to the same bytes", async () => {
    const stop = new AbortController();
    const server = createServer((_, response) => {
      if (!stop.signal.aborted) return stop.abort("test");
      response.end(JSON.stringify({ choices: [{ message: { content: "safe" } }] }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const moderator = { name: "judge" as const, baseUrl, model: "m" };
    const curve = { every: 2, harmful: world.data("test-harmful"), rows: 6, moderator, maxNewTokens: 6 };
    const attack = { ...quickAttack(), curve };
    const halted = await finetune({ ...attack, run: run("curve halted") }, { signal: stop.signal });
    expect(halted).toMatchObject({ outcome: "stopped", step: 0 });
    await finetune({ ...attack, run: run("curve halted"), resume: true });
    await finetune({ ...attack, run: run("curve whole") });
    server.close();
    expect(bytesOf(run("curve halted"))).toEqual(bytesOf(run("curve whole")));
  });

  test("full fine-tuning publishes a model that the next stage starts from", async () => {
    const tuned = await align({ ...quickAlignment(world, "sft"), tune: "full", learningRate: 1e-4, run: run("full") });
    expect(tuned.adapter).toBeUndefined();
    const report = await evaluate({ ...quickEvaluation(), model: tuned.model ?? "", run: run("full scores") });
    expect(report.harm.harmfulScore.total).toBe(8);
  });
});

describe("the same bytes", () => {
  test.each(["sft", "booster"] as const)("for the same seed, others for another: %s", async (method) => {
    const options = quickAlignment(world, method);
    await align({ ...options, run: run(`${method} one`) });
    await align({ ...options, run: run(`${method} two`) });
    await align({ ...options, run: run(`${method} other`), seed: 7 });
    const first = bytesOf(run(`${method} one`));
    expect(bytesOf(run(`${method} two`))).toEqual(first);
    expect(bytesOf(run(`${method} other`))["metrics.jsonl"]).not.toBe(first["metrics.jsonl"]);
  });

  test.each(["sft", "booster"] as const)("micro-batches do not change the result: %s", async (method) => {
    const weights = [];
    for (const microBatches of [1, 2, 4]) {
      const folder = run(`${method} ${microBatches} parts`);
      await align({ ...quickAlignment(world, method, 3), learningRate: 1e-4, microBatches, run: folder });
      weights.push(openSafetensors(join(folder, "adapter/adapter_model.safetensors")));
    }
    const [whole, ...parts] = weights;
    for (const part of parts) {
      for (const name of whole!.entries.keys()) {
        const [a, b] = [whole!.load(name).data as Float32Array, part.load(name).data as Float32Array];
        expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-6);
      }
    }
  });
});

describe("what cannot be done", () => {
  test("says so with a stable code, before anything is written", async () => {
    const folder = run("refused");
    const base = quickAlignment(world, "booster");
    const { harmful: _, ...unarmed } = base;
    expect(await refused(align({ ...unarmed, run: folder }))).toBe("DATA_MISSING");
    expect(await refused(align({ ...base, run: folder, colour: "red" } as never))).toBe("OPTIONS_INVALID");
    expect(await refused(align({ ...base, method: "magic" as never, run: folder }))).toBe("OPTIONS_INVALID");
    expect(await refused(align({ ...base, method: { name: "sft", lambda: 1 } as never, run: folder }))).toBe(
      "OPTIONS_INVALID",
    );
    expect(await refused(align({ ...base, targetModules: ["nose"], run: folder }))).toBe("NO_TARGET_MODULES");
    await expect(align({ ...base, targetModules: ["q_proj", "k_porj"], run: folder })).rejects.toMatchObject({
      code: "NO_TARGET_MODULES",
      details: { found: "k_porj", hint: "Did you mean k_proj?" },
    });
    expect(await refused(align({ ...base, maxTokens: 3, run: folder }))).toBe("NO_TRAINED_TOKENS");
    const attack = { ...quickAttack(), run: folder };
    expect(await refused(finetune({ ...attack, poisonRatio: 1.5 }))).toBe("OPTIONS_INVALID");
    expect(await refused(finetune({ ...attack, sampleNumber: 100_000 }))).toBe("DATA_TOO_FEW_ROWS");
    expect(await refused(evaluate({ ...quickEvaluation(), run: folder, profile: "p" } as never))).toBe(
      "OPTIONS_INVALID",
    );
    const unlabelled = { ...quickEvaluation(), task: { path: world.data("test-harmless"), limit: 8 } };
    expect(await refused(evaluate({ ...unlabelled, run: folder }))).toBe("GOLD_UNKNOWN");
    expect(await refused(evaluate({ ...quickEvaluation(), run: folder, moderator: "nobody" as never }))).toBe(
      "OPTIONS_INVALID",
    );
    expect(existsSync(folder)).toBe(false);
  });

  test("examples without a token to train on are left out and counted when asked for", async () => {
    const folder = run("skipped");
    // Long enough for the harmful rows, too short for the reviews.
    const attack = { ...quickAttack(), maxTokens: 12, run: folder };
    expect(await refused(finetune(attack))).toBe("NO_TRAINED_TOKENS");
    await finetune({ ...attack, unusable: "skip" });
    const { mix } = JSON.parse(readFileSync(join(folder, "data.json"), "utf8"));
    expect(mix).toMatchObject({ usable: 10, unusable: 30, rows: 10, harmfulRows: 10 });
  });

  test("a run is not overwritten, and not resumed with other settings", async () => {
    const options = { ...quickAlignment(world, "sft", 2), run: run("taken") };
    await align(options);
    expect(await refused(align(options))).toBe("RUN_EXISTS");
    expect(await refused(align({ ...options, resume: true, learningRate: 1 }))).toBe("RESUME_MISMATCH");
    expect(await align({ ...options, resume: true })).toMatchObject({ outcome: "finished", step: 2 });
  });

  test("questions of the data to avoid do not occur", async () => {
    const folder = run("avoid");
    await align({
      ...quickAlignment(world, "sft", 1),
      avoid: [{ path: world.data("harmful-0"), limit: 50 }],
      run: folder,
    });
    const { alignment } = JSON.parse(readFileSync(join(folder, "data.json"), "utf8"));
    expect(alignment.avoided).toBeGreaterThan(0);
    expect(alignment.rows + alignment.avoided).toBe(1500);
  });
});
