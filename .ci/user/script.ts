/** A user's script: aligns, attacks and evaluates the bundled model for a few steps. */
import { align, BoosterError, bundledModel, evaluate, finetune, writeWorldData } from "booster-align";
import { PROVIDERS } from "booster-align/runtime";

const common = { model: bundledModel(), loraRank: 4, steps: 2 } as const;
writeWorldData("world", [3]);
const aligned = await align({
  ...common,
  run: "runs/align",
  method: { name: "booster", lambda: 1 },
  alignment: "world/alignment-3.jsonl",
  harmful: "world/harmful-3.jsonl",
});
const attacked = await finetune({
  ...common,
  run: "runs/attack",
  model: aligned.run,
  method: "lisa",
  task: "world/reviews-3.jsonl",
  alignment: "world/alignment-3.jsonl",
  harmful: "world/attack-3.jsonl",
  sampleNumber: 20,
});
const { harm } = await evaluate({
  run: "runs/scores",
  model: attacked.run,
  harmful: { path: "world/test-harmful.jsonl", limit: 4 },
  moderator: "world",
});
console.log(`harmful score ${harm.harmfulScore.percent} %`);

console.log(`computes on ${PROVIDERS.join(", ")}`);

try {
  await align({ ...common, run: "runs/wrong", alignment: "no-such-file.jsonl" });
} catch (error) {
  if (!(error instanceof BoosterError)) throw error;
  console.log(`${error.code}: ${error.problem}`);
}
