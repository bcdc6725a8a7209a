import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { type Place, placesOf } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { referenceAt } from "../formats/hub/cache.ts";
import {
  type HubKind,
  hubReferenceText,
  isCommit,
  isHubReference,
  parseHubReference,
} from "../formats/hub/reference.ts";
import { MODEL_FILE, readModelFile } from "../models/model-file.ts";
import { type Following, readDescription } from "../train/index.ts";
import { fetchReference } from "./fetch.ts";

/**
 * Options whose references to the hub say which commit they mean, and are in the cache: what comes after reads files and asks nobody. A run
 * that goes on takes the commit that it began with where no revision is asked for. Of a run that is named as a model, base and adapters are
 * brought.
 * Options without references come back as they are.
 *
 * @param options checked and complete, by `schema`
 * @throws {BoosterError} `HUB_REFERENCE_INVALID`, also for a model where data are asked for, and what `fetchReference` throws
 * @example
 * await resolveReferences(AlignOptions, parseOptions(AlignOptions, { model: "hf:org/name", ... }, "align"));
 */
export async function resolveReferences<Options extends object>(
  schema: z.core.$ZodType,
  options: Options,
  following: Following = {},
): Promise<Options> {
  const models = placesOf("model", schema, options).map((place) => ({ ...place, kind: "model" as const }));
  const data = placesOf("file", schema, options).map((place) => ({ ...place, kind: "dataset" as const }));
  for (const { text } of models) {
    if (existsSync(join(text, MODEL_FILE))) await bringParts(text, following);
  }
  // What a moderator reads may be a model whose content counts.
  const isModel = ({ path }: Place) => models.some((model) => `${model.path}` === `${path}`);
  const found = [...models, ...data.filter((place) => !isModel(place))].filter(({ text }) => isHubReference(text));
  if (found.length === 0) return options;
  const resolved = structuredClone(options);
  const begun = begunWith(options);
  const known = new Map<string, string>();
  for (const { path, text, kind } of found) {
    if (parseHubReference(text).kind !== kind) throw misplaced(text, path, kind);
    const asked = sameAsBegun(text, valueAt(begun, path)) ?? text;
    const pinned = known.get(asked) ?? (await fetchReference(asked, following));
    known.set(asked, pinned);
    const last = path.at(-1) as string;
    (valueAt(resolved, path.slice(0, -1)) as Record<string, unknown>)[last] = pinned;
  }
  return resolved;
}

/** Brings what a run's model is made of and nobody has here: the commits that the run names. */
async function bringParts(run: string, following: Following): Promise<void> {
  const { base, adapters, alignment } = readModelFile(run);
  const folders = [...adapters, ...alignment].flatMap(({ folder }) => referenceAt(folder) ?? []);
  for (const reference of new Set([base.path, ...folders])) {
    if (isHubReference(reference)) await fetchReference(reference, following);
  }
}

/** The options of the run that is to go on, where there is one. */
function begunWith(options: object): unknown {
  const { run, resume } = options as { readonly run?: unknown; readonly resume?: unknown };
  return resume === true && typeof run === "string" ? readDescription(run)?.config : undefined;
}

/** What a run began with, where it is the same repository and part, and nobody asks for a revision. */
function sameAsBegun(text: string, begun: unknown): string | undefined {
  if (typeof begun !== "string" || !isHubReference(begun)) return undefined;
  const { revision, ...before } = parseHubReference(begun);
  const same = hubReferenceText({ ...before, revision: "main" }) === text;
  return same && isCommit(revision) ? begun : undefined;
}

const valueAt = (value: unknown, path: Place["path"]): unknown =>
  path.reduce((inner: unknown, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

const misplaced = (text: string, path: Place["path"], kind: HubKind): BoosterError =>
  new BoosterError("HUB_REFERENCE_INVALID", "a model stands where data are asked for, or data where a model is", {
    expected: kind === "model" ? "hf:org/name" : "hf-data:org/name",
    found: text,
    where: path.join("."),
  });
