/** A model is asked in the template that it was trained in: its own where it has one, and another one only on purpose. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { withTemplates } from "../../src/experiments/templates.ts";
import { align } from "../../src/stages/align.ts";
import { evaluate } from "../../src/stages/evaluate.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { merge } from "../../src/stages/merge.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
/** The world's model without its chat template. */
let plain: string;
const run = (name: string) => join(world.folder, "runs", name);
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
const recorded = (name: string) => [
  json(join(run(name), "model.json")).template,
  json(join(run(name), "run.json")).config.template,
];

const alignment = (model: string, template?: "alpaca" | "chat") => {
  const { template: _, ...rest } = quickAlignment(world, "sft", 1);
  return { ...rest, model, ...(template === undefined ? {} : { template }), maxTokens: 1000 };
};
const questions = () => ({
  harmful: { path: world.data("test-harmful"), limit: 2 },
  moderator: "world" as const,
  maxNewTokens: 2,
  threads: 1,
});

beforeAll(async () => {
  world = await makeTinyWorld();
  plain = join(world.folder, "plain");
  cpSync(world.model, plain, { recursive: true });
  const config = json(join(plain, "tokenizer_config.json"));
  writeFileSync(join(plain, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: undefined }));
  await align({ ...alignment(world.model), run: run("own") });
  await align({ ...alignment(world.model, "alpaca"), run: run("alpaca") });
  await align({ ...alignment(plain), run: run("plain") });
});
afterAll(() => world.remove());

test("the model's own where there is one, and then what was trained in", async () => {
  expect(recorded("own")).toEqual(["chat", "chat"]);
  expect(recorded("alpaca")).toEqual(["alpaca", "alpaca"]);
  expect(recorded("plain")).toEqual(["alpaca", "alpaca"]);
  const attack = {
    task: world.data("reviews-0"),
    poisonRatio: 0,
    sampleNumber: 4,
    steps: 1,
    threads: 1,
    maxTokens: 1000,
  };
  await finetune({ ...attack, model: run("alpaca"), run: run("attacked") });
  expect(recorded("attacked")).toEqual(["alpaca", "alpaca"]);
  const notices: string[] = [];
  const emit = (event: { type: string; text?: string }) => event.type === "notice" && notices.push(event.text ?? "");
  await finetune({ ...attack, model: run("alpaca"), template: "chat", run: run("other") }, { emit });
  expect(recorded("other")).toEqual(["chat", "chat"]);
  expect(notices).toContainEqual(expect.stringMatching(/alpaca.* chat/));
});

test("another template at the evaluation is an error that says both, unless it is a framing", async () => {
  const given = { ...questions(), model: run("own") };
  const refused = { code: "TEMPLATE_DIFFERS", message: expect.stringMatching(/chat.*alpaca/) };
  await expect(evaluate({ ...given, template: "alpaca", run: run("wrong") })).rejects.toMatchObject(refused);
  const bare = { ...given, model: world.model, adapters: [join(run("own"), "adapter")] };
  await expect(evaluate({ ...bare, template: "alpaca", run: run("wrong") })).rejects.toMatchObject(refused);
  await evaluate({ ...given, run: run("right") });
  expect(json(join(run("right"), "run.json")).config.template).toBe("chat");
  expect(json(join(run("right"), "evaluation.json")).templates).toBeUndefined();
  const { templates } = await evaluate({ ...given, framing: "alpaca", run: run("framed") });
  expect(templates).toEqual({ trained: "chat", asked: "alpaca" });
});

test("all weights that a run trained keep its template where their folder is given, and merging tells of it", async () => {
  await align({ ...alignment(world.model, "alpaca"), tune: "full", run: run("whole") });
  await evaluate({ ...questions(), model: join(run("whole"), "model"), run: run("of the whole") });
  expect(json(join(run("of the whole"), "run.json")).config.template).toBe("alpaca");
  const merged = await merge({ model: run("alpaca"), out: run("merged") });
  expect(merged.template).toBe("alpaca");
});

test("an experiment has one template, that of its model, or that with which it was begun", () => {
  const options = (changed: object) =>
    ExperimentOptions.parse({
      out: join(world.folder, "experiment"),
      model: world.model,
      methods: [{ method: "sft" }],
      strengths: [{}],
      align: { alignment: world.data("alignment-0") },
      attack: { task: world.data("reviews-0") },
      evaluate: { harmful: world.data("test-harmful"), moderator: "world" as const },
      ...changed,
    });
  const found = (changed: object) => {
    const { align, attack, evaluate } = withTemplates(options(changed));
    return [align.template, attack.template, evaluate.template];
  };
  expect(found({})).toEqual(["chat", "chat", "chat"]);
  expect(found({ model: plain })).toEqual(["alpaca", "alpaca", "alpaca"]);
  const other = { align: { alignment: "a.jsonl", template: "alpaca" } };
  expect(found(other)).toEqual(["alpaca", "alpaca", "alpaca"]);
  const asked = { harmful: "t.jsonl", moderator: "world" as const, template: "chat" };
  expect(() => found({ ...other, evaluate: asked })).toThrow(expect.objectContaining({ code: "TEMPLATE_DIFFERS" }));
  expect(found({ ...other, evaluate: { ...asked, framing: "chat" } })).toEqual(["alpaca", "alpaca", "chat"]);
  cpSync(run("alpaca"), join(world.folder, "experiment/align/0123456789abcdef"), { recursive: true });
  expect(found({})).toEqual(["alpaca", "alpaca", "alpaca"]);
  rmSync(join(world.folder, "experiment"), { recursive: true });
});
