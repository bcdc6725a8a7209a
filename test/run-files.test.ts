/** docs/run-files.md tells what is in a run's folder: no file and no field of one is missing there. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { align } from "../src/stages/align.ts";
import { evaluate } from "../src/stages/evaluate.ts";
import { finetune } from "../src/stages/finetune.ts";
import { repair } from "../src/stages/repair.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./experiments/tiny-world.ts";

const page = readFileSync(resolve(import.meta.dirname, "../docs/run-files.md"), "utf8");

/** Paths of fields that the page has, under the heading of their file; a name in capitals stands for anything. */
function documented(file: string): RegExp[] {
  const section = page.split(/^## /m).find((text) => text.split("\n")[0]?.includes(file)) ?? "";
  const cells = section.split("\n").filter((line) => line.startsWith("| `"));
  const paths = cells.flatMap((line) =>
    [...(line.split(" | ")[0] ?? "").matchAll(/`([^`]+)`/g)].map(([, path]) => path),
  );
  return paths.map((path = "") => {
    const parts = path.replaceAll("[]", "\\[\\]").split(".");
    // An option or what a method says of itself may hold more; a role or a file is one name.
    const open = /^(OPTION|FIELD|REPORT|METRIC|COUNTER)$/.test(parts.at(-1) ?? "");
    return new RegExp(
      `^${parts.map((part) => (/^[A-Z]+$/.test(part) ? "[^.]+" : part)).join("\\.")}${open ? "(\\..*)?" : ""}$`,
    );
  });
}

const RATE = ["count", "total", "percent", "low", "high"].join();

/** Paths of a value's fields; all entries of a list have one path, and a rate is one field. */
function pathsOf(value: unknown, at = ""): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [] : value.flatMap((entry) => pathsOf(entry, `${at}[]`));
  if (typeof value !== "object" || value === null || Object.keys(value).join() === RATE) return [at];
  return Object.entries(value).flatMap(([name, field]) =>
    pathsOf(field, at === "" ? name : `${at}.${name.replaceAll(".", "_")}`),
  );
}

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

test("every file of a run, and every field of those in JSON", async () => {
  const run = (name: string) => join(world.folder, "runs", name);
  const common = { template: "chat", threads: 1, loraRank: 4, steps: 2, checkpointEvery: 2 } as const;
  await align({ ...quickAlignment(world, "booster"), ...common, run: run("align") });
  await finetune({
    ...common,
    run: run("finetune"),
    model: run("align"),
    task: world.data("reviews-0"),
    harmful: world.data("attack-0"),
    sampleNumber: 20,
    poisonRatio: 0.5,
    moderation: { name: "toy-guard" },
    attack: { name: "mix" },
    curve: { every: 1, harmful: world.data("test-harmful") },
  });
  await repair({
    run: run("repair"),
    model: run("finetune"),
    method: { name: "shrink" },
    threads: 1,
    template: "chat",
  });
  await evaluate({
    run: run("evaluate"),
    model: run("repair"),
    template: "chat",
    harmful: { path: world.data("test-harmful"), limit: 2 },
    harmless: { path: world.data("test-harmless"), limit: 2 },
    task: { path: world.data("test-reviews"), limit: 2 },
    fresh: { path: world.data("attack-0"), limit: 2 },
    taskMetric: "sst2",
    moderator: "world",
    maxNewTokens: 2,
    keepAnswers: true,
    threads: 1,
  });

  const unknown = readdirSync(run("."), { recursive: true, encoding: "utf8" }).flatMap((file) => {
    const [stage = "", name = "", ...below] = file.split("/");
    if (name === "") return [];
    if (below.length > 0 || !/\.jsonl?$/.test(name)) return page.includes(`${name}`) ? [] : [file];
    if (!page.includes(`\`${name}\``) && !page.includes(`## ${name}`)) return [file];
    if (name === "answers.jsonl") return [];
    const lines = readFileSync(join(run(stage), name), "utf8");
    const values: unknown[] = name.endsWith(".jsonl")
      ? lines
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line))
      : [JSON.parse(lines)];
    const known = documented(name);
    const paths = new Set(values.flatMap((value) => pathsOf(value)));
    return [...paths]
      .filter((path) => path !== "" && !known.some((pattern) => pattern.test(path)))
      .map((path) => `${file}: ${path}`);
  });
  expect([...new Set(unknown)]).toEqual([]);
});
