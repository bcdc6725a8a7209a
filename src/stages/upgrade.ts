import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { rowOf } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { writeFileAtomic } from "../formats/atomic-file.ts";
import { readAdapter } from "../formats/peft.ts";
import { TRANSFORMS } from "../methods/registry.ts";
import { createModel } from "../models/index.ts";
import {
  type AdapterLink,
  isOutdated,
  MODEL_FILE,
  RUN_VERSION,
  readModelFile,
  refuseOutdated,
  type Template,
} from "../models/model-file.ts";
import { modelIdentity, openSource, templateFor } from "../models/source.ts";
import { type RunDescription, RunDirectory, readDescription, sha256 } from "../train/index.ts";
import { publishAdapter, recordModel } from "./publish.ts";
import { changeOf } from "./repaired-change.ts";
import { checkHash, type Origin } from "./workbench.ts";

/** Folders of runs lie at most so deep below one that is converted. */
const DEPTH = 6;

/** What version 0.1 says of a run that it made. */
interface Old {
  readonly stage: string;
  readonly model: string;
  readonly adapters: readonly string[];
  readonly adapterPolicy: "continue" | "merge-and-fresh";
  readonly method: { readonly name: string };
  readonly template?: Template;
}

/** Folders that were converted, and those of other runs. */
export interface UpgradeReport {
  readonly converted: readonly string[];
  readonly others: readonly string[];
}

/**
 * Converts all runs of version 0.1 in a folder: what they published as `adapter` though it stands on other adapters becomes their
 * `delta`, `adapter` the sum, and model.json says what each model consists of. No number changes, and nothing is computed again.
 * A second call converts what the first one did not come to.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`, `MODEL_CHANGED` where a run's model or an adapter below it is not found, `RUN_LOCKED`, and what reading throws
 * @example
 * await upgrade("runs"); // { converted: ["runs/attack", ...], others: ["runs/scores"] }
 */
export async function upgrade(folder: string): Promise<UpgradeReport> {
  if (!existsSync(folder)) throw new BoosterError("FILE_NOT_FOUND", "there is no such folder", { where: folder });
  const runs = runsIn(folder, DEPTH);
  const outdated = runs.filter(isOutdated);
  /** By the hash that version 0.1 knows it by. */
  const made = new Map<string, string>();
  for (const run of runs) {
    const hash = await formerHash(run);
    if (hash !== undefined) made.set(hash, run);
  }
  const renamed = new Map<string, string>();
  const links = new Map<string, Promise<AdapterLink>>();
  /** What an adapter of version 0.1 is called now; the run that made it is converted first. */
  const linkOf = async (hash: string, path: string): Promise<AdapterLink> => {
    const run = made.get(hash) ?? dirname(path);
    if (outdated.includes(run)) await convertOnce(run);
    refuseOutdated(run);
    const trained = existsSync(join(run, MODEL_FILE)) ? readModelFile(run).adapters.at(-1) : undefined;
    if (trained === undefined) await checkHash({ folder: path, sha256: hash });
    const link = trained ?? { folder: path, sha256: hash };
    renamed.set(hash, link.sha256);
    return link;
  };
  const convertOnce = (run: string): Promise<AdapterLink> => {
    const found = links.get(run) ?? convert(run);
    links.set(run, found);
    return found;
  };
  const convert = async (run: string): Promise<AdapterLink> => {
    const description = readDescription(run) as RunDescription;
    const { data } = description;
    const old = description.config as unknown as Old;
    const adapters: AdapterLink[] = [];
    for (const [i, path] of (old.adapters ?? []).entries())
      adapters.push(await linkOf(data[`adapter ${i + 1}`] ?? "", path));
    const whole = made.get(data.model ?? "");
    if (whole !== undefined && outdated.includes(whole)) await convertOnce(whole);
    const path = whole === undefined ? old.model : join(whole, "model");
    await checkHash({ folder: path, sha256: data.model ?? "" });
    const stored = openSource(path);
    const origin: Origin = { ...stored, sha256: data.model ?? "", adapters, alignment: adapters };
    const template = trainedIn(old, adapters) ?? old.template ?? templateFor(stored);
    const directory = RunDirectory.open(run, description, { resume: true, keep: Number.POSITIVE_INFINITY });
    try {
      await publishAgain(directory, old, origin, template);
    } finally {
      directory.close();
    }
    return readModelFile(run).adapters.at(-1) ?? { folder: join(run, "model"), sha256: "" };
  };
  for (const run of outdated) await convertOnce(run);
  for (const run of runs) renameInputs(run, renamed);
  return { converted: outdated, others: runs.filter((run) => !outdated.includes(run)) };
}

/** A repair trains nothing: its template is that of what it changed, whatever it read its own data in. */
function trainedIn({ stage }: Old, adapters: readonly AdapterLink[]): Template | undefined {
  const run = dirname(adapters.at(-1)?.folder ?? "");
  return stage === "repair" && existsSync(join(run, MODEL_FILE)) ? readModelFile(run).template : undefined;
}

/** The hash that version 0.1 knows by what a run made: of its delta without what says that it is one. */
async function formerHash(run: string): Promise<string | undefined> {
  const delta = join(run, "delta");
  if (existsSync(delta)) {
    const { parent: _, ...config } = JSON.parse(readFileSync(join(delta, "adapter_config.json"), "utf8")) as object & {
      readonly parent: string;
    };
    const text = `${JSON.stringify({ ...config, peft_type: "LORA" }, undefined, 2)}\n`;
    const files = [Buffer.from(text), readFileSync(join(delta, "adapter_model.safetensors"))].map(sha256);
    return sha256(`adapter_config.json ${files[0]}\nadapter_model.safetensors ${files[1]}\n`);
  }
  const made = ["adapter", "model"].map((name) => join(run, name)).find(existsSync);
  return made === undefined ? undefined : modelIdentity(made);
}

/** Publishes what a run made as this version does. */
async function publishAgain(run: RunDirectory, old: Old, origin: Origin, template: Template): Promise<void> {
  const { path } = run;
  if (!existsSync(join(path, "adapter"))) {
    return recordModel(run, join(path, "model"), { origin, below: [], aligns: true, template });
  }
  // A call that was killed may have come as far as the sum: then the delta is what was trained.
  const trained = readAdapter(join(path, existsSync(join(path, "delta")) ? "delta" : "adapter"));
  const isRepair = old.stage === "repair";
  const aligns = old.stage === "align" || (isRepair && rowOf(TRANSFORMS, old.method.name).stage === "align");
  const continues = old.adapterPolicy === "continue" && old.stage === "finetune";
  const below = isRepair
    ? changeOf({ adapters: [...old.adapters], adapterPolicy: old.adapterPolicy }, origin).aligned
    : origin.adapters.slice(0, continues ? -1 : undefined);
  const alignment = isRepair ? below : origin.alignment;
  await publishAdapter(run, trained, createModel(origin.base.config()), {
    origin: { ...origin, alignment },
    below,
    aligns,
    template,
  });
}

/** A run that is not finished names its inputs by hashes: where an adapter is called otherwise now, it does too. */
function renameInputs(run: string, renamed: ReadonlyMap<string, string>): void {
  if (existsSync(join(run, MODEL_FILE)) || existsSync(join(run, "checkpoints"))) return;
  const file = join(run, "run.json");
  const stored = JSON.parse(readFileSync(file, "utf8")) as RunDescription;
  const data = Object.fromEntries(Object.entries(stored.data).map(([role, hash]) => [role, renamed.get(hash) ?? hash]));
  if (Object.entries(data).every(([role, hash]) => stored.data[role] === hash)) return;
  const text = JSON.stringify({ version: RUN_VERSION, ...stored, data }, undefined, 2);
  writeFileAtomic(file, [Buffer.from(`${text}\n`)]);
}

/** Folders of runs in a folder, itself included. */
function runsIn(folder: string, depth: number): string[] {
  const below = readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .filter((path) => depth > 0 && statSync(path).isDirectory());
  return [
    ...(existsSync(join(folder, "run.json")) ? [folder] : []),
    ...below.flatMap((path) => runsIn(path, depth - 1)),
  ];
}
