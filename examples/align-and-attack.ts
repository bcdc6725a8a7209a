/**
 * Aligns the bundled model with SFT and with Booster, lets a user fine-tune both with 10 % harmful rows, and compares.
 * Run after `npm run build`: node dist/examples/align-and-attack.js (a minute or two; a second call goes on, or repeats the result).
 * In a project of your own the import is from "booster-align".
 */
import { join } from "node:path";
import { align, bundledModel, evaluate, finetune, WORLD_FILES, Workbench, writeWorldData } from "../src/index.ts";

const folder = "runs/example";
const seed = 0;
const model = bundledModel();
const bench = new Workbench({ provider: "cpu" });
const file = (name: keyof typeof WORLD_FILES) =>
  join(folder, "data", WORLD_FILES[name].replace("{seed}", String(seed)));
const lora = { loraRank: 16, loraAlpha: 16, seed } as const;
writeWorldData(join(folder, "data"), [seed]);

for (const method of [{ name: "sft" }, { name: "booster", lambda: 1, alpha: 0.1 }] as const) {
  const run = (stage: string) => join(folder, `${method.name}-${stage}`);
  const aligned = await align(
    {
      ...lora,
      run: run("align"),
      resume: true,
      model,
      method,
      alignment: file("alignment"),
      harmful: file("harmful"),
      steps: 400,
      learningRate: 2e-3,
    },
    { bench },
  );
  const attacked = await finetune(
    {
      ...lora,
      run: run("attack"),
      resume: true,
      model: aligned.run,
      task: file("reviews"),
      harmful: file("attack"),
      sampleNumber: 500,
      poisonRatio: 0.1,
      epochs: 10,
      learningRate: 7e-5,
    },
    { bench },
  );
  const { harm, accuracy } = await evaluate(
    {
      run: run("scores"),
      resume: true,
      model: attacked.run,
      harmful: file("testHarmful"),
      task: file("testReviews"),
      taskMetric: "sst2",
      moderator: "world",
      maxNewTokens: 20,
    },
    { bench },
  );
  console.log(`${method.name}: harmful score ${harm.harmfulScore.percent} %, accuracy ${accuracy?.percent} %`);
}
