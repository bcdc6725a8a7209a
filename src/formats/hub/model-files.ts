import { BoosterError } from "../../errors.ts";
import { isObject } from "../strict-json.ts";

/** What a model's or an adapter's folder is read for beside its weights; its card tells the licence. */
const SMALL =
  /^README\.md$|^(?:config|moderator|generation_config|adapter_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$|^(?:chat_template|additional_chat_templates\/[\w.-]+)\.jinja$|^merges\.txt$|^(?:tokenizer|spiece)\.model$/;
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const ADAPTER = "adapter_model.safetensors";
/** A part of a GGUF model that is split. */
const GGUF_PART = /^(.*-)\d{5}(-of-\d{5}\.gguf)$/;
/** Names in a message before it only counts. */
const MAX_NAMES = 20;

/** Text of a file that is there already; undefined where it is not. */
export type ReadText = (path: string) => string | undefined;

/**
 * Files of a repository that make its model, its adapter or its tokenizer; of GGUF files the one that is named, with its other parts.
 * What an index lists is known once the index can be read: ask again then.
 *
 * @param paths all files of the repository
 * @throws {BoosterError} `HUB_NOT_FOUND`, `HUB_FILE_UNCLEAR`, `HUB_NOTHING_READABLE`, `HUB_ANSWER_INVALID` for an index that lists no plain names
 * @example
 * modelFiles(["config.json", "model.safetensors", "pytorch_model.bin"], undefined, read, "hf:org/name"); // the first two
 */
export function modelFiles(
  paths: readonly string[],
  file: string | undefined,
  read: ReadText,
  where: string,
): string[] {
  const ggufs = paths.filter((path) => path.endsWith(".gguf"));
  if (file !== undefined) return ggufParts(named(file, ggufs, where), ggufs);
  const has = new Set(paths);
  const small = paths.filter((path) => SMALL.test(path));
  const adapter = has.has("adapter_config.json") && has.has(ADAPTER) ? [ADAPTER] : [];
  if (has.has(WEIGHTS)) return [...small, ...adapter, WEIGHTS];
  if (has.has(INDEX)) return [...small, INDEX, ...adapter, ...shards(read(INDEX), where)];
  if (adapter.length > 0) return [...small, ...adapter];
  const [first] = ggufs;
  if (first !== undefined) {
    const parts = ggufParts(first, ggufs);
    if (parts.length === ggufs.length) return parts;
    throw new BoosterError("HUB_FILE_UNCLEAR", "this repository holds several GGUF files", {
      expected: `${where}:FILE`,
      found: some(ggufs),
      hint: "Say which one.",
    });
  }
  const pickled = paths.filter((path) => /\.(?:bin|pt|pth|ckpt|pkl|msgpack|h5)$/.test(path));
  if (has.has("tokenizer.json") && pickled.length === 0) return small;
  throw new BoosterError("HUB_NOTHING_READABLE", "this repository has no weights that are read", {
    expected: `${WEIGHTS}, ${INDEX}, ${ADAPTER} or a .gguf file`,
    found: some(pickled.length > 0 ? pickled : paths),
    where,
    hint:
      pickled.length > 0
        ? "Files of PyTorch can run code when they are loaded and are never read: look for a revision with safetensors"
        : "Is it the repository of a model? Data sets begin with hf-data:",
  });
}

/** Where the model is in a snapshot: the GGUF file, the first where it is split; else the folder itself. */
export const modelPlace = (needed: readonly string[]): string | undefined =>
  needed.filter((path) => path.endsWith(".gguf")).sort()[0];

function named(file: string, ggufs: readonly string[], where: string): string {
  if (ggufs.includes(file)) return file;
  const found = ggufs.length === 0 ? "no GGUF file" : some(ggufs);
  throw new BoosterError("HUB_NOT_FOUND", "this repository has no such GGUF file", { expected: file, found, where });
}

/** A GGUF file with the other parts of the model, where it is one of several. */
function ggufParts(file: string, ggufs: readonly string[]): string[] {
  const [, before, after] = GGUF_PART.exec(file) ?? [];
  if (before === undefined || after === undefined) return [file];
  return ggufs.filter((path) => GGUF_PART.test(path) && path.startsWith(before) && path.endsWith(after)).sort();
}

/** Weight files that an index names. */
function shards(index: string | undefined, where: string): string[] {
  if (index === undefined) return [];
  const map = weightMap(index);
  const names = [...new Set(isObject(map) ? Object.values(map) : [])];
  if (names.length > 0 && names.every(isShardName)) return names.sort();
  throw new BoosterError("HUB_ANSWER_INVALID", "the index of the weights names no files of the repository", {
    expected: "names of safetensors files",
    found: JSON.stringify(names.find((name) => !isShardName(name)) ?? null).slice(0, 200),
    where: `${where}: ${INDEX}`,
  });
}

const isShardName = (name: unknown): name is string =>
  typeof name === "string" && /^[\w-][\w.-]*\.safetensors$/.test(name);

function weightMap(index: string): unknown {
  try {
    return (JSON.parse(index) as { weight_map?: unknown } | null)?.weight_map;
  } catch {
    return undefined;
  }
}

/** Names for a message. */
export const some = (names: readonly string[]): string => {
  const more = names.length - MAX_NAMES;
  return `${names.slice(0, MAX_NAMES).join(", ") || "nothing"}${more > 0 ? ` and ${more} more` : ""}`;
};
