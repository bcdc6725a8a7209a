import { existsSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "./byte-source.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";
import { decodeStrictJson, type JsonLimits } from "./strict-json.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** 100 000 names of 512 bytes with their file names. */
const MAX_INDEX_BYTES = 64_000_000;
const INDEX_LIMITS: JsonLimits = { depth: 4, values: 200_000 };
/** The largest published models have a few hundred. */
const MAX_SHARDS = 1_000;
/** A plain name in the same folder, so that an index cannot reach other places. */
const SHARD_NAME = /^[\w-][\w.-]*\.safetensors$/;

/**
 * Opens the weights of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
 * Returns, for every tensor name, the file that holds it.
 *
 * @throws {BoosterError} `WEIGHTS_NOT_FOUND`, `SAFETENSORS_INDEX_INVALID`, and as `openSafetensors`.
 * @example
 * openSafetensorsFolder("model/").get("lm_head.weight")?.load("lm_head.weight");
 */
export function openSafetensorsFolder(folder: string): Map<string, SafetensorsFile> {
  const single = join(folder, SINGLE);
  if (existsSync(single)) {
    const file = openSafetensors(single);
    return new Map([...file.entries.keys()].map((name) => [name, file]));
  }
  const index = join(folder, INDEX);
  if (existsSync(index)) return openShards(folder, index);
  throw new BoosterError("WEIGHTS_NOT_FOUND", "the folder has no weights that can be read", {
    expected: `${SINGLE} or ${INDEX}`,
    where: folder,
    hint: existsSync(join(folder, "pytorch_model.bin"))
      ? "pytorch_model.bin can run code when it is loaded and is never read; convert it to safetensors"
      : "Point to the folder that holds config.json and the weights",
  });
}

function openShards(folder: string, index: string): Map<string, SafetensorsFile> {
  const document = decodeStrictJson(readSmallFile(index, MAX_INDEX_BYTES), index, INDEX_LIMITS);
  const map = (document as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw invalid("weight_map is missing", "an object from tensor names to file names", typeof map, index);
  }
  const files = new Map<string, SafetensorsFile>();
  const owners = new Map<string, SafetensorsFile>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !SHARD_NAME.test(shard)) {
      throw invalid("a shard's name is not allowed", "a .safetensors file of the same folder", String(shard), index);
    }
    const file = files.get(shard) ?? openSafetensors(join(folder, shard));
    files.set(shard, file);
    if (files.size > MAX_SHARDS) {
      throw invalid("the index lists too many shards", `at most ${MAX_SHARDS}`, "more", index);
    }
    if (!file.entries.has(name)) {
      throw invalid(
        "a tensor is not in the shard that the index names",
        `${name} in ${shard}`,
        "no such tensor",
        index,
      );
    }
    owners.set(name, file);
  }
  return owners;
}

const invalid = (problem: string, expected: string, found: string, where: string): BoosterError =>
  new BoosterError("SAFETENSORS_INDEX_INVALID", problem, { expected, found: found.slice(0, 80), where });
