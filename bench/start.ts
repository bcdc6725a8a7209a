import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { packagePath } from "../src/stages/package-root.ts";
import { WORLD_FILES, writeWorldData } from "../src/stages/world-files.ts";
import { WORLD_RECIPE } from "../src/stages/world-recipe.ts";
import { figure, median, NOTHING, type Section } from "./report.ts";

const CLI = packagePath("dist", "src", "cli", "main.js");

interface Options {
  /** For files that are thrown away. */
  readonly scratch: string;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/** Wall time of one command, process start included; seconds. */
function timed(...args: readonly string[]): number {
  const start = performance.now();
  execFileSync(process.execPath, [CLI, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  return (performance.now() - start) / 1000;
}

/** What a user waits for: the command line itself, an evaluation of the bundled model in batches of 16, the whole demo. */
export function start({ scratch, quick, progress }: Options): Section {
  progress("start: --help");
  const help = median(Array.from({ length: quick ? 1 : 5 }, () => timed("--help")));
  progress("start: evaluation");
  const { prompts, seconds } = evaluation(scratch, quick);
  if (!quick) progress("start: the demo, a few minutes");
  const demo = quick ? undefined : timed("demo", "--out", join(scratch, "demo"), "--json");
  return {
    title: "Commands: the bundled model",
    tables: [
      {
        title: "Wall time of whole commands",
        header: ["command", "s", "prompts/s"],
        rows: [
          ["booster --help", figure(help), NOTHING],
          [`booster evaluate, ${prompts} prompts, batch 16`, figure(seconds), figure(prompts / seconds)],
          ["booster demo", demo === undefined ? "not in the quick run" : figure(demo), NOTHING],
        ],
      },
    ],
    targets:
      demo === undefined ? [] : [{ what: "booster demo", value: demo, sense: "at most", wanted: 240, unit: "s" }],
    notes: [],
    data: { helpSeconds: help, evaluation: { prompts, seconds }, demoSeconds: demo },
  };
}

function evaluation(scratch: string, quick: boolean): { prompts: number; seconds: number } {
  const data = join(scratch, "world");
  writeWorldData(data, []);
  const { harmful, harmless, reviews } = WORLD_RECIPE.rows.test;
  const seconds = Array.from({ length: quick ? 1 : 3 }, (_, run) =>
    timed(
      ...["evaluate", "--run", join(scratch, `evaluation-${run}`), "--model", packagePath("assets", "world")],
      ...["--harmful", join(data, WORLD_FILES.testHarmful), "--harmless", join(data, WORLD_FILES.testHarmless)],
      ...["--task", join(data, WORLD_FILES.testReviews), "--task-metric", "sst2", "--moderator", "world"],
      ...["--template", "chat", "--max-new-tokens", "20", "--task-max-new-tokens", "4", "--batch-size", "16"],
    ),
  );
  return { prompts: harmful + harmless + reviews, seconds: median(seconds) };
}
