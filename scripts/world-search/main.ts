/**
 * `node dist/scripts/world-search/main.js [METHOD...]`: chooses the methods' settings for the bundled world, the same number of
 * trials for each, on training seeds that the demo does not use and on the validation questions, whose hazards no test asks about. Prints a page; without a METHOD it
 * is that of all methods and is written to docs/results/world-search.md.
 */

import { writeFileSync } from "node:fs";
import { rowOf } from "../../src/choice.ts";
import { DemoOptions, demoExperiment } from "../../src/experiments/demo.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { WORKER } from "../../src/experiments/in-child.ts";
import { MethodEntry } from "../../src/experiments/options.ts";
import { DEFENCES } from "../../src/methods/registry.ts";
import { percent } from "../../src/report/estimate.ts";
import { boundText } from "../../src/report/useful.ts";
import { packagePath } from "../../src/stages/package-root.ts";
import { WORLD_FILES, writeWorldData } from "../../src/stages/world-files.ts";
import { WORLD_RECIPE } from "../../src/stages/world-recipe.ts";
import { bestOf, worthOf } from "./choice.ts";
import { around, type Settings } from "./settings.ts";

const SEEDS = [0, 1];
/** From where plain SFT breaks in this world to where hardly anything holds. */
const STRENGTHS = [7e-5, 1e-4, 2e-4];
/** Trials of the second round, around the best of the first. */
const NEAR = 4;

const chosen = process.argv.slice(2);
const names = chosen.length === 0 ? DEFENCES.rows.map(({ name }) => name) : chosen;
const out = "runs/world-search";
writeWorldData(`${out}/data`, SEEDS);
const base = demoExperiment(DemoOptions.parse({ out, seeds: SEEDS, strengths: STRENGTHS }));
// What is measured along the way is not looked at here.
const { curve: _, ...attack } = base.attack;
const evaluate = {
  ...base.evaluate,
  harmful: `${out}/data/${WORLD_FILES.validationHarmful}`,
  harmless: `${out}/data/${WORLD_FILES.validationHarmless}`,
  task: `${out}/data/${WORLD_FILES.validationReviews}`,
};

interface Trial {
  readonly name: string;
  readonly settings: Settings;
}

/** What came of trials, which are one experiment. */
async function tried(trials: readonly Trial[]) {
  const idOf = (i: number) => `${trials[i]?.name} ${i}`;
  const methods = trials.map(({ name, settings: { align = {}, ...settings } }, i) =>
    MethodEntry.parse({ id: idOf(i), method: { name, ...settings }, align }),
  );
  const result = await runExperiment(
    { ...base, attack, evaluate, methods },
    {
      worker: WORKER,
      emit: (event) =>
        event.type === "piece" && console.error(`${event.done}/${event.pieces} ${event.piece} ${event.state}`),
    },
  );
  return trials.map((trial, i) => {
    const runs = result.runs.filter(({ method }) => method === idOf(i));
    return { ...trial, runs, worth: worthOf(result, runs), result };
  });
}

const first = await tried(
  names.flatMap((name) => rowOf(DEFENCES, name).tried.map((settings) => ({ name, settings: settings as Settings }))),
);
const second = await tried(
  names.flatMap((name) => {
    const own = first.filter((trial) => trial.name === name);
    const winner = bestOf(own)?.settings ?? {};
    const all = own.map(({ settings }) => settings);
    const near = around(name, all, winner, { count: NEAR, alignmentRate: WORLD_RECIPE.alignment.learningRate });
    return near.map((settings) => ({ name, settings }));
  }),
);

const exponential = (rate: number): string => rate.toExponential().replace("e-0", "e-");
/** The seeds' values. */
const each = (values: readonly number[]): string => values.map((value) => value.toFixed(0)).join(", ");

const lines = names.flatMap((name) => {
  const candidates = [...first, ...second].filter((trial) => trial.name === name);
  const winner = bestOf(candidates);
  return candidates.map((trial) => {
    const text = JSON.stringify(trial.settings).replaceAll('"', "");
    const at = (rate: number) => {
      const label = trial.result.strengths.find(({ learningRate }) => learningRate === rate)?.id;
      return trial.runs.filter(({ strength }) => strength === label);
    };
    const [weakest = []] = STRENGTHS.map(at);
    const cells = [
      each(weakest.map(({ before }) => percent(before.harmful))),
      each(weakest.flatMap(({ before }) => (before.overRefusal === undefined ? [] : [percent(before.overRefusal)]))),
      ...STRENGTHS.map((rate) => each(at(rate).map(({ after }) => percent(after.harmful)))),
      `${trial.worth.counting} of ${trial.worth.models}`,
      trial.worth.accuracy.toFixed(0),
      trial.worth.harm.toFixed(0),
    ];
    return `| ${name} | ${text === "{}" ? "the world's own" : text}${trial === winner ? " **taken**" : ""} | ${cells.join(" | ")} |`;
  });
});
const columns = [
  "HS before",
  "over-refusal before",
  ...STRENGTHS.map((s) => `HS ${exponential(s)}`),
  "count",
  "FA",
  "harm",
];
const page = `# Settings of the methods in the bundled world

Written by \`node dist/scripts/world-search/main.js\`: ${(first.length + second.length) / names.length} settings a method, training seeds ${SEEDS.join(" and ")} and the validation questions (the demo uses neither), attacks at
learning rates of ${STRENGTHS.map(exponential).join(", ")}. First the settings that each method's file lists, then as many around the best of them, one number changed by a factor of at most 3. Per cent; seeds apart.

Taken: the least **harm**, the mean over seeds of the harmful score before the attack and of those after each attack; a model counts where ${boundText(base)}, the report's own bound, and one that
does not is worth as little as a broken one. Of equals the highest accuracy, then the first.

| method | settings | ${columns.join(" | ")} |
| --- | --- | ${columns.map(() => "--:").join(" | ")} |
${lines.join("\n")}
`;
if (chosen.length === 0) writeFileSync(packagePath("docs", "results", "world-search.md"), page);
console.log(page);
