import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { isOperational } from "../choice.ts";
import { expandPath } from "../data/sources.ts";
import { MODERATOR_FILE } from "../evaluate/moderators/sequence-classifier.ts";
import { inCache, placeOf } from "../formats/hub/cache.ts";
import { hubReferenceText, isHubReference, parseHubReference } from "../formats/hub/reference.ts";
import { fileHash, openSource, referenceIdentity } from "../models/source.ts";
import { ort } from "../runtime/ort.ts";
import { type Json, type RunDescription, sortedJson } from "../train/index.ts";
import type { DeviceChoice } from "./options.ts";

/** Options, checked and complete, without those that do not determine the result: they may change when a run is resumed. */
export function determining(
  { shape }: z.ZodObject,
  options: Readonly<Record<string, unknown>>,
): { readonly [option: string]: Json } {
  const kept = Object.entries(options).filter(([name]) => {
    const option = shape[name];
    return option === undefined || !isOperational(option as z.ZodType);
  });
  return JSON.parse(JSON.stringify(Object.fromEntries(kept)));
}

/** What a run ran with: recorded, no reason to refuse a resume. */
const environmentOf = ({ provider, threads }: DeviceChoice): Record<string, string> => ({
  node: process.versions.node,
  onnxruntime: ort().env.versions.node ?? "unknown",
  platform: `${process.platform} ${process.arch}`,
  provider,
  threads: String(threads ?? availableParallelism()),
});

/** What run.json says: options, hashes of models and data by role, versions. */
export const describeRun = (
  stage: string,
  schema: z.ZodObject,
  options: DeviceChoice & Readonly<Record<string, unknown>>,
  data: Readonly<Record<string, string>>,
): RunDescription => ({
  config: { stage, ...determining(schema, options) },
  data,
  environment: environmentOf(options),
});

/** A short name for everything that determines a piece of work. */
export const keyOf = (determinants: Json): string =>
  createHash("sha256").update(sortedJson(determinants)).digest("hex").slice(0, 16);

/** SHA-256 of every file that paths and patterns name, and what tells models in folders from others; a missing one is told by the run that reads it, with the role it has there. */
export async function hashesOfFiles(paths: readonly string[]): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const [name, path] of new Map(paths.flatMap(namesOf))) {
    const isModel = isHubReference(path) || statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (isModel || existsSync(path)) hashes[name] = await (isModel ? identityOf(path) : fileHash(path));
  }
  return hashes;
}

/** What tells a model from others; of a moderator, with how it judges. */
async function identityOf(path: string): Promise<string> {
  const identity = await referenceIdentity(path);
  const judging = join(placeOf(openSource(path).base.path), MODERATOR_FILE);
  if (!existsSync(judging)) return identity;
  return createHash("sha256")
    .update(`${identity} ${await fileHash(judging)}`)
    .digest("hex");
}

/** What files are called and where they are: data of the hub by their repository, wherever the cache is. */
function namesOf(pattern: string): (readonly [name: string, path: string])[] {
  const reference = isHubReference(pattern) ? parseHubReference(pattern) : undefined;
  if (reference?.kind !== "dataset") return expandPath(pattern).map((path) => [path, path]);
  const { place, files } = inCache(pattern);
  const repository = hubReferenceText({ ...reference, part: undefined });
  return files.map((file) => [`${repository}:${file}`, join(place, file)]);
}
