/**
 * `node dist/scripts/world-search/main.js [METHOD...]`: chooses the methods' settings for the bundled world, the same number of
 * trials for each, on training seeds that the demo does not use and on the validation questions, whose hazards no test asks about. Method by
 * method, in scripts/world-search/found.json as it goes, so that it can be stopped and gone on with; then docs/results/world-search.md is written.
 */

import { writeFileSync } from "node:fs";
import { rowOf } from "../../src/choice.ts";
import { DemoOptions, demoExperiment } from "../../src/experiments/demo.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { WORKER } from "../../src/experiments/in-child.ts";
import { MethodEntry } from "../../src/experiments/options.ts";
import { DEFENCES } from "../../src/methods/registry.ts";
import { fileHash } from "../../src/models/source.ts";
import { percent } from "../../src/report/estimate.ts";
import { boundText } from "../../src/report/useful.ts";
import { packagePath } from "../../src/stages/package-root.ts";
import { WORLD_FILES, writeWorldData } from "../../src/stages/world-files.ts";
import { WORLD_RECIPE } from "../../src/stages/world-recipe.ts";
import { bestFirst, bestOf, worthOf } from "./choice.ts";
import { FoundTrials, type Trial } from "./found.ts";
import { pageOf } from "./page.ts";
import { around, type Settings } from "./settings.ts";

const SEEDS = [0, 1];
/** From where plain SFT breaks in this world to where hardly anything holds. */
const STRENGTHS = [7e-5, 1e-4, 2e-4];
/** Trials of the second round, around the best of the first. */
const NEAR = 4;
/** Of all trials of the first seed, those that the other seeds judge. */
const FINALISTS = 2;

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
const { methods: _demo, out: _out, model: _path, ...others } = { ...base, attack, evaluate };
const setup = { ...others, model: await fileHash(packagePath("assets", "world", "model.safetensors")) };
const found = new FoundTrials(packagePath("scripts", "world-search", "found.json"), setup);

/** What comes of settings, which are one experiment; what was found before is not computed again. */
async function tried(method: string, all: readonly Settings[], seeds: readonly number[]): Promise<Trial[]> {
  const isNew = all.filter((settings) => found.find(method, settings, seeds) === undefined);
  const methods = isNew.map(({ align = {}, ...settings }, i) =>
    MethodEntry.parse({ id: `${i}`, method: { name: method, ...settings }, align }),
  );
  if (methods.length > 0) {
    const result = await runExperiment(
      { ...base, attack, evaluate, methods, seeds: [...seeds] },
      {
        worker: WORKER,
        emit: (event) =>
          event.type === "piece" &&
          console.error(`${method}: ${event.done}/${event.pieces} ${event.piece} ${event.state}`),
      },
    );
    found.add(isNew.map((settings, i) => trialOf(method, settings, seeds, result, `${i}`)));
  }
  return all.map((settings) => found.find(method, settings, seeds) as Trial);
}

function trialOf(
  method: string,
  settings: Settings,
  seeds: readonly number[],
  result: Awaited<ReturnType<typeof runExperiment>>,
  id: string,
): Trial {
  const runs = result.runs.filter((run) => run.method === id);
  const strengths = STRENGTHS.map((rate) => result.strengths.find(({ learningRate }) => learningRate === rate)?.id);
  const [weakest = [], ...others] = strengths.map((strength) => runs.filter((run) => run.strength === strength));
  return {
    method,
    settings,
    seeds: [...seeds],
    before: weakest.map(({ before }) => percent(before.harmful)),
    overRefusal: weakest.flatMap(({ before }) =>
      before.overRefusal === undefined ? [] : [percent(before.overRefusal)],
    ),
    after: [weakest, ...others].map((own) => own.map(({ after }) => percent(after.harmful))),
    worth: worthOf(result, runs),
  };
}

async function search(method: string): Promise<void> {
  const first = await tried(method, rowOf(DEFENCES, method).tried as readonly Settings[], SEEDS.slice(0, 1));
  const all = first.map(({ settings }) => settings);
  const winner = bestOf(first)?.settings ?? {};
  const near = around(method, all, winner, { count: NEAR, alignmentRate: WORLD_RECIPE.alignment.learningRate });
  const second = await tried(method, near, SEEDS.slice(0, 1));
  const ranked = bestFirst([...first, ...second]).slice(0, FINALISTS);
  await tried(
    method,
    ranked.map(({ settings }) => settings),
    SEEDS,
  );
}

const chosen = process.argv.slice(2);
const methods = DEFENCES.rows.map(({ name }) => name);
for (const method of chosen.length === 0 ? methods : chosen) {
  await search(method);
  const about = { methods, seeds: SEEDS, strengths: STRENGTHS, finalists: FINALISTS, bounds: `${boundText(base)}` };
  writeFileSync(
    packagePath("docs", "results", "world-search.md"),
    pageOf((name) => found.of(name), about),
  );
}
