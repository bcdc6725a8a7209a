import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import { z } from "zod";
import { BoosterError, fitting } from "../errors.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import { folderOf, referenceAt } from "../formats/hub/cache.ts";
import { isHubReference } from "../formats/hub/reference.ts";
import { decodeStrictJson } from "../formats/strict-json.ts";

/** What a run publishes beside its adapter: the model that it made. */
export const MODEL_FILE = "model.json";

const MAX_BYTES = 1_000_000;
const VERSION = 1;

const Path = z.string().min(1).max(4096);
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256");
/** `folder` is seen from the run's; `parent`: see `lineage`. */
const Link = z.strictObject({ folder: Path, sha256: Sha256, parent: Sha256.optional() });

/** How examples are written for a model: in the paper's plain template, or in the model's own. */
export const TEMPLATES = ["alpaca", "chat"] as const;
export type Template = (typeof TEMPLATES)[number];

const ModelFile = z.strictObject({
  version: z.literal(VERSION),
  base: z.strictObject({ path: Path, sha256: Sha256, ignoredConfigKeys: z.array(z.string()).optional() }),
  adapters: z.array(Link).max(100),
  alignment: z.array(Link).max(100),
  template: z.enum(TEMPLATES),
});

/** The content of model.json: what a run's model consists of. */
export type ModelFile = z.infer<typeof ModelFile>;

/** An adapter on disk, and what it must be. */
export type AdapterLink = Pick<z.infer<typeof Link>, "folder" | "sha256">;

/** What model.json is made of. */
type Parts = Pick<ModelFile, "base" | "template"> & Readonly<Record<"adapters" | "alignment", readonly AdapterLink[]>>;

/** Whether the folder is that of a run, finished or not. */
export const isRun = (folder: string): boolean =>
  existsSync(join(folder, "run.json")) && !existsSync(join(folder, "config.json"));

/** Of run.json as it is written. Version 0.1 gave no number: it had no model.json, and called `adapter` what now is `delta`. */
export const RUN_VERSION = 2;

/** Whether version 0.1 made the run and finished it. */
export function isOutdated(run: string): boolean {
  const description = join(run, "run.json");
  if (existsSync(join(run, MODEL_FILE)) || !existsSync(description)) return false;
  const finished = ["adapter/adapter_config.json", "model/config.json"].some((proof) => existsSync(join(run, proof)));
  return finished && !("version" in (decodeStrictJson(readSmallFile(description, MAX_BYTES), description) as object));
}

/** @throws {BoosterError} `RUN_OUTDATED` */
export function refuseOutdated(run: string): void {
  if (!isOutdated(run)) return;
  throw new BoosterError("RUN_OUTDATED", "this run was made by version 0.1", {
    where: run,
    hint: "Convert it, by the folder that holds all the runs that it belongs to: booster upgrade FOLDER",
  });
}

/**
 * What tells a model with adapters from others, in the order in which they stand: that of the base alone is the base's own hash.
 *
 * @example
 * lineage(base, [{ sha256: aligned }]); // what an adapter that was trained on the aligned model names as its parent
 */
export const lineage = (base: string, adapters: readonly Pick<AdapterLink, "sha256">[]): string =>
  adapters.length === 0
    ? base
    : createHash("sha256")
        .update([base, ...adapters.map(({ sha256 }) => sha256)].join("\n"))
        .digest("hex");

/** Paths are written down as from the run's folder, so that folders can move together. */
const fromRun = (run: string, path: string): string => relative(run, path) || ".";

/** A base that was named by an absolute path and that no run made stays where it is; one of the hub has no place. */
const baseFrom = (run: string, path: string): string =>
  isHubReference(path) || (isAbsolute(path) && !isRun(dirname(path))) ? path : fromRun(run, path);

/** The text of model.json for a model whose paths are as the process sees them. */
export function modelFileText(run: string, { base, adapters, alignment, template }: Parts): string {
  const linked = ({ folder, sha256 }: AdapterLink, i: number, all: readonly AdapterLink[]) => ({
    folder: referenceAt(folder) ?? fromRun(run, folder),
    sha256,
    parent: lineage(base.sha256, all.slice(0, i)),
  });
  const content: ModelFile = {
    version: VERSION,
    base: { ...base, path: baseFrom(run, base.path) },
    adapters: adapters.map(linked),
    alignment: alignment.map(linked),
    template,
  };
  return `${JSON.stringify(content, undefined, 2)}\n`;
}

/**
 * Reads a run's model.json; paths are made such as the process sees them.
 *
 * @throws {BoosterError} `RUN_UNFINISHED`, `MODEL_FILE_INVALID`, and what reading strict JSON throws
 */
export function readModelFile(run: string): ModelFile {
  const where = join(run, MODEL_FILE);
  if (!existsSync(where)) {
    refuseOutdated(run);
    throw new BoosterError("RUN_UNFINISHED", "this run has not made a model", {
      expected: MODEL_FILE,
      where: run,
      hint: "Is it finished? A run goes on with --resume.",
    });
  }
  const document = decodeStrictJson(readSmallFile(where, MAX_BYTES), where);
  const problem = "the run does not say what its model is";
  const { base, adapters, ...rest } = fitting(ModelFile, document, "MODEL_FILE_INVALID", problem, { where });
  const at = (path: string): string => (isHubReference(path) || isAbsolute(path) ? path : join(run, path));
  const placed = <T extends AdapterLink>(link: T): T => ({
    ...link,
    folder: isHubReference(link.folder) ? folderOf(link.folder) : at(link.folder),
  });
  const alignment = rest.alignment.map(placed);
  return { ...rest, base: { ...base, path: at(base.path) }, adapters: adapters.map(placed), alignment };
}
