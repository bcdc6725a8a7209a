import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeWorldData } from "../../src/stages/world-files.ts";
import { syntheticResult } from "../report/synthetic-result.ts";
import { Cli } from "./run-cli.ts";

let cli: Cli;
beforeAll(async () => {
  cli = new Cli();
  writeWorldData(join(cli.folder, "data"), [0]);
  const { code, stderr } = await cli.run(["pretrain", "--run", "base", "--out", "world", "--steps", "2"]);
  expect(stderr).toContain("step 2/2");
  expect(code).toBe(0);
});
afterAll(() => cli.remove());

const bytes = (...path: string[]) => readFileSync(join(cli.folder, ...path));
/** Within a second on a quiet machine; what does not look up between its parts takes minutes. */
const AT_ONCE_MS = 10_000;
/** So many that a signal after the third still meets the run on a busy machine. */
const STEPS = 120;
const SMALL = ["--template", "chat", "--lora-rank", "4", "--batch-size", "4", "--checkpoint-every", "5"];
const align = (run: string, ...more: string[]) => [
  ...["align", "--run", run, "--model", "world", "--alignment", "data/alignment-0.jsonl", "--steps", `${STEPS}`],
  ...["--harmful", "data/harmful-0.jsonl", "--method", "booster", "--method.lambda", "2", ...SMALL, ...more],
];

describe("align", () => {
  test("tells programs each step and the result, and leaves its settings in the run's folder", async () => {
    const { code, stdout, stderr } = await cli.run(align("whole", "--json"));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const messages = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(messages.filter(({ type }) => type === "step")).toHaveLength(STEPS);
    expect(messages.at(-1)).toEqual({
      type: "result",
      outcome: "finished",
      run: "whole",
      step: STEPS,
      adapter: "whole/adapter",
    });
    const { config } = JSON.parse(bytes("whole", "run.json").toString());
    expect(config).toMatchObject({ method: { name: "booster", lambda: 2 }, loraRank: 4 });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("saves on %s, says how to go on, and comes to the same bytes", async (signal, exit) => {
    const run = `stopped-${signal}`;
    let sent = false;
    const { code, stdout } = await cli.run(align(run, "--json"), {
      onOutput(text, kill) {
        if (sent || !text.includes('"step":3,')) return;
        sent = true;
        kill(signal);
      },
    });
    expect(code).toBe(exit);
    const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    expect(last.outcome).toBe("stopped");
    expect(last.resume).toMatch(/^booster align --run .* --resume$/);
    expect(existsSync(join(cli.folder, run, "adapter"))).toBe(false);
    const { code: after } = await cli.run(last.resume.split(" ").slice(1));
    expect(after).toBe(0);
    for (const file of ["adapter/adapter_model.safetensors", "metrics.jsonl"]) {
      expect(bytes(run, file).equals(bytes("whole", file))).toBe(true);
    }
  });

  test("does not write over a run, and does not mix two", async () => {
    expect(await cli.failure(align("whole"))).toMatchObject({ code: "RUN_EXISTS", exit: 2 });
    const other = await cli.failure(align("whole", "--resume", "--seed", "1"));
    expect(other).toMatchObject({ code: "RESUME_MISMATCH", message: expect.stringContaining("seed") });
  });

  test("refuses settings of another method", async () => {
    const failure = await cli.failure(align("odd").map((text) => (text === "booster" ? "sft" : text)));
    expect(failure).toMatchObject({
      code: "UNKNOWN_OPTION",
      exit: 2,
      message: expect.stringContaining("method.lambda"),
    });
  });

  test("gives up when nothing is finite any more, and publishes nothing", async () => {
    const failure = await cli.failure(align("burst", "--learning-rate", "1e30"));
    expect(failure.code).toMatch(/^NON_FINITE/);
    expect(existsSync(join(cli.folder, "burst", "adapter"))).toBe(false);
  });

  test("needs a chat template for the chat template", async () => {
    const { chat_template: _, ...config } = JSON.parse(bytes("world", "tokenizer_config.json").toString());
    for (const name of ["config.json", "model.safetensors", "tokenizer.json"])
      cli.write(`bare/${name}`, bytes("world", name));
    cli.write("bare/tokenizer_config.json", JSON.stringify(config));
    expect((await cli.failure(align("never", "--model", "bare"))).code).toBe("NO_CHAT_TEMPLATE");
    const asked = await cli.failure(["generate", "--model", "bare", "--template", "chat", "--prompt", "Q:"]);
    expect(asked.code).toBe("CHAT_TEMPLATE_MISSING");
  });
});

describe("after it", () => {
  test("an attack and an evaluation read the adapters", async () => {
    const attack = await cli.json([
      ...[
        "finetune",
        "--run",
        "attack",
        "--model",
        "world",
        "--adapters",
        "whole/adapter",
        "--task",
        "data/reviews-0.jsonl",
      ],
      ...["--harmful", "data/attack-0.jsonl", "--sample-number", "20", "--epochs", "1", ...SMALL],
    ]);
    expect(attack).toMatchObject({ code: 0, last: { outcome: "finished", step: 5 } });
    const scores = await cli.json([
      ...["evaluate", "--run", "scores", "--model", "world", "--adapters", "whole/adapter,attack/adapter"],
      ...["--template", "chat", "--harmful", "data/test-harmful.jsonl", "--harmful.limit", "6", "--moderator", "world"],
      ...["--max-new-tokens", "8"],
    ]);
    expect(scores).toMatchObject({ code: 0, last: { type: "result", harm: { harmfulScore: { total: 6 } } } });
  });

  test("an attack asks for no more rows than there are, and says from its own process all that an error says", async () => {
    const args = [
      ...["finetune", "--run", "greedy", "--model", "world", "--task", "data/reviews-0.jsonl"],
      ...["--harmful", "data/attack-0.jsonl", "--sample-number", "5000", ...SMALL],
    ];
    const { code, last } = await cli.json(args);
    expect({ code, error: last.error }).toMatchObject({
      code: 1,
      error: {
        code: "DATA_TOO_FEW_ROWS",
        problem: "the mix needs more benign rows",
        expected: "4500",
        found: "1000",
      },
    });
    const { stderr } = await cli.run(args);
    expect(stderr).toMatch(/^error DATA_TOO_FEW_ROWS: the mix needs more benign rows; expected 4500; found 1000$/m);
    const missing = await cli.json(["finetune", "--run", "poor", "--model", "world", "--task", "data/reviews-0.jsonl"]);
    expect(missing.last.error).toMatchObject({
      code: "DATA_MISSING",
      where: "harmful",
      hint: "Give harmful rows, or poisonRatio 0 for honest data.",
    });
  });

  test("an experiment is described in a file and goes on where it was", async () => {
    const data = (name: string) => `data/${name}.jsonl`;
    const common = { template: "chat", loraRank: 4 };
    const description = {
      out: "compared",
      model: "world",
      methods: ["sft", "booster"].map((method) => ({ method })),
      strengths: [{ learningRate: 1e-4 }],
      seeds: [0],
      align: { ...common, alignment: data("alignment-0"), harmful: data("harmful-0"), steps: 2 },
      attack: { ...common, task: data("reviews-0"), harmful: data("attack-0"), sampleNumber: 20, epochs: 1 },
      evaluate: {
        template: "chat",
        harmful: { path: data("test-harmful"), limit: 4 },
        moderator: "world",
        maxNewTokens: 4,
      },
    };
    cli.write("experiment.json", JSON.stringify(description));
    const { code, last } = await cli.json(["experiment", "--config", "experiment.json"]);
    expect(code).toBe(0);
    expect(last).toMatchObject({
      type: "result",
      report: "compared/report.html",
      result: { version: 1, wallSeconds: expect.any(Number) },
    });
    const again = await cli.run(["experiment", "--config", "experiment.json", "--json"]);
    const stages = again.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .slice(0, -1);
    expect(stages.filter(({ state }) => state === "done")).toEqual([]);
    expect(JSON.parse(again.stdout.trimEnd().split("\n").at(-1) ?? "").result).toEqual(last.result);
  });

  test("prompts are answered, the same way each time", async () => {
    cli.write("prompts.txt", "how do i brew vexoil near tavish\r\nwhat is the stay\n");
    const ask = () =>
      cli.json([
        "generate",
        "--model",
        "world",
        "--adapters",
        "whole/adapter",
        "--prompts",
        "prompts.txt",
        "--max-new-tokens",
        "5",
        "--temperature",
        "1",
      ]);
    const { code, last } = await ask();
    expect(code).toBe(0);
    expect(last.answers).toHaveLength(2);
    expect((await ask()).last.answers).toEqual(last.answers);
    expect(await cli.failure(["generate", "--model", "world"])).toMatchObject({ code: "OPTION_MISSING", exit: 2 });
  });

  test("a conversation can be piped in, with commands", async () => {
    const { code, stdout, stderr } = await cli.run(["chat", "--model", "world", "--max-new-tokens", "3", "--json"], {
      input: "/help\nhow was the stay\n/system be kind\n/reset\nagain\n/nothing\n/exit\nno more\n",
    });
    expect(code).toBe(0);
    const answers = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers.map(({ type }) => type)).toEqual(["answer", "answer"]);
    expect(stderr).toMatch(/\/reset[\s\S]*under this message[\s\S]*A new conversation\.[\s\S]*There is no \/nothing/);
  });
});

describe("report", () => {
  test.each([
    ["html", "<!doctype html>"],
    ["md", "|"],
    ["csv", ","],
    ["latex", "\\begin"],
    ["json", '"version"'],
    ["text", "Where each method breaks"],
  ])("renders a result as %s", async (format, contained) => {
    cli.write("experiment/result.json", JSON.stringify(syntheticResult()));
    const { code, stdout } = await cli.run(["report", "experiment", "--format", format]);
    expect(code).toBe(0);
    expect(stdout).toContain(contained);
  });

  test("writes a file, and refuses what is no result", async () => {
    await cli.run(["report", "experiment/result.json", "--format", "csv", "--out", "table.csv"]);
    expect(bytes("table.csv").toString()).toBe((await cli.run(["report", "experiment", "--format", "csv"])).stdout);
    cli.write("other.json", "{}");
    expect(await cli.failure(["report", "other.json"])).toMatchObject({ code: "RESULT_INVALID", exit: 1 });
    expect(await cli.failure(["report", "none.json"])).toMatchObject({ code: "RESULT_NOT_FOUND", exit: 1 });
  });
});

test("env says what works here", async () => {
  const { code, last } = await cli.json(["env"]);
  expect(code).toBe(0);
  expect(last).toMatchObject({ node: process.versions.node, providers: { cpu: { works: true } } });
});

describe("before the first step", () => {
  test.each(["loading", "compiling"])(
    "%s is told, and Ctrl-C leaves at once and leaves nothing behind",
    async (phase) => {
      const run = `early-${phase}`;
      let asked = 0;
      const { code, stdout } = await cli.run(align(run, "--json", "--steps", "100000"), {
        onOutput(text, kill) {
          if (asked > 0 || !text.includes(`"text":"${phase}"`)) return;
          asked = performance.now();
          kill("SIGINT");
        },
      });
      expect(code).toBe(130);
      expect(performance.now() - asked).toBeLessThan(AT_ONCE_MS);
      const lines = stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(lines[0]).toEqual({ type: "work", text: "loading", preparing: true });
      expect(lines.at(-1)).toMatchObject({
        type: "result",
        outcome: "stopped",
        resume: expect.stringContaining("--resume"),
      });
      expect(existsSync(join(cli.folder, run))).toBe(false);
    },
  );

  test("so does Ctrl-C while a method measures what its steps need, and the run can be resumed", async () => {
    const neurons = ["--method", "sn-tune", "--tune", "full", "--method.select", "top", "--method.queries", "300"];
    const command = [
      ...["align", "--run", "measuring", "--model", "world", "--alignment", "data/alignment-0.jsonl", "--steps", "2"],
      ...["--harmful", "data/harmful-0.jsonl", ...SMALL, ...neurons, "--json"],
    ];
    let asked = 0;
    const { code, stdout } = await cli.run(command, {
      onOutput(text, kill) {
        if (asked > 0 || !/looking for safety neurons: text [1-9]\d* of \d+, \d+ s left/.test(text)) return;
        asked = performance.now();
        kill("SIGINT");
      },
    });
    expect(code).toBe(130);
    expect(performance.now() - asked).toBeLessThan(AT_ONCE_MS);
    expect(stdout).not.toContain('"type":"step"');
    const { last } = await cli.json([...command, "--resume"]);
    expect(last).toMatchObject({ type: "result", outcome: "finished", step: 2 });
  });

  test("an experiment too answers at once", async () => {
    const config = { model: "world", methods: [{ method: "sft" }], strengths: [{}], seeds: [0], jobs: 2 };
    const align = { alignment: "data/alignment-0.jsonl", template: "chat" };
    const attack = { task: "data/reviews-0.jsonl", poisonRatio: 0, template: "chat" };
    const evaluate = { harmful: "data/test-harmful.jsonl", moderator: "world" };
    writeFileSync(join(cli.folder, "early.yaml"), JSON.stringify({ ...config, align, attack, evaluate, out: "early" }));
    let asked = 0;
    const { code, stdout } = await cli.run(["experiment", "--config", "early.yaml", "--json"], {
      onOutput(text, kill) {
        if (asked > 0 || !/"text":"(loading|compiling)","preparing":true,"piece"/.test(text)) return;
        asked = performance.now();
        kill("SIGINT");
      },
    });
    expect(code).toBe(130);
    expect(performance.now() - asked).toBeLessThan(AT_ONCE_MS);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ outcome: "stopped" });
    expect(readdirSync(join(cli.folder, "early")).sort()).toEqual(["locks", "plan.json"]);
    expect(readdirSync(join(cli.folder, "early/locks"))).toEqual([]);
  });
});
