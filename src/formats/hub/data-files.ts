import { dirname } from "node:path/posix";
import { BoosterError } from "../../errors.ts";
import { type DataConfig, dataConfigs } from "./data-card.ts";
import { fits, globOf } from "./glob.ts";
import { type ReadText, some } from "./model-files.ts";

const CARD = "README.md";
const DATA = /\.(parquet|json|jsonl|ndjson|csv|tsv)(?:\.gz)?$/i;
/** Data about data, and what is hidden. */
const NO_DATA = /(?:^|\/)(?:dataset_infos?|dataset_dict|state)\.json$|(?:^|\/)\./;

/** Words in the names of files and folders that tell the split, where no card does. */
const SPLITS: Readonly<Record<string, RegExp>> = {
  train: /(?:^|[^a-z])(?:train|training)(?:$|[^a-z])/i,
  validation: /(?:^|[^a-z])(?:validation|valid|val|dev)(?:$|[^a-z])/i,
  test: /(?:^|[^a-z])(?:test|testing|eval|evaluation)(?:$|[^a-z])/i,
};
const SHARD = /([^/]+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?\.[a-z.]+$/i;

/**
 * Files of a repository that hold the data that a part names: a file, a pattern, a split, a configuration and a split, or a folder and a
 * split. Without a part the split `train` of the only or default configuration. Which files a split has, the repository's card tells, else
 * their names. Where the card must be read first it is all that is named: ask again then.
 *
 * @param paths all files of the repository
 * @throws {BoosterError} `HUB_NOT_FOUND`, `HUB_FILE_UNCLEAR`, `HUB_NOTHING_READABLE`, and what `dataConfigs` throws
 * @example
 * dataFiles(["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "test", read, "hf-data:org/name");
 */
export function dataFiles(paths: readonly string[], part: string | undefined, read: ReadText, where: string): string[] {
  const files = paths.filter((path) => DATA.test(path) && !NO_DATA.test(path)).sort();
  if (files.length === 0) {
    throw new BoosterError("HUB_NOTHING_READABLE", "this repository has no data files that are read", {
      expected: ".parquet, .json, .jsonl, .csv or .tsv",
      found: some(paths),
      where,
    });
  }
  // A seed that an experiment puts into a path stands for any, until it is known.
  const wanted = part?.replaceAll("{seed}", "*");
  if (wanted !== undefined) {
    const glob = globOf(wanted);
    const found = files.filter((path) => fits(glob, path));
    if (found.length > 0) return found;
  }
  const card = paths.includes(CARD) ? read(CARD) : "";
  if (card === undefined) return [CARD];
  const configs = dataConfigs(card, where);
  const chosen = wanted === undefined ? byDefault(configs, files) : byName(wanted, configs, files);
  const known = configs.length > 0 ? names(configs, files) : [...bySplit(files).keys(), ...files];
  if (chosen === undefined) {
    throw new BoosterError(
      part === undefined ? "HUB_FILE_UNCLEAR" : "HUB_NOT_FOUND",
      part === undefined ? "this data set has several parts" : "this data set has no such part",
      {
        expected: `${where}:PART, where PART is one of ${some(known)}`,
        ...(part === undefined ? {} : { found: part }),
      },
    );
  }
  const kinds = new Set(chosen.map((path) => `${dirname(path)}/*.${DATA.exec(path)?.[1]}`));
  if (configs.length > 0 || kinds.size < 2) return chosen;
  throw new BoosterError("HUB_FILE_UNCLEAR", "files that may hold the same rows stand in this repository", {
    expected: `${where}:FILE, a file or a pattern`,
    found: some([...kinds]),
  });
}

/** Files of a configuration by split. */
function splitsOf({ folder, splits }: DataConfig, files: readonly string[]): Map<string, string[]> {
  const own = files.filter((path) => path.startsWith(folder));
  if (splits === undefined) return bySplit(own);
  const globs = [...splits].map(
    ([split, patterns]) => [split, patterns.map((pattern) => globOf(`${folder}${pattern}`))] as const,
  );
  return new Map(
    globs.map(([split, patterns]) => [split, own.filter((path) => patterns.some((glob) => fits(glob, path)))]),
  );
}

/** Files by the split that their names tell; all are for training where no name tells one. */
function bySplit(files: readonly string[]): Map<string, string[]> {
  const splits = new Map<string, string[]>();
  for (const path of files) {
    const told = SHARD.exec(path)?.[1] ?? Object.keys(SPLITS).find((split) => SPLITS[split]?.test(path));
    if (told !== undefined) splits.set(told, [...(splits.get(told) ?? []), path]);
  }
  return splits.size === 0 ? new Map([["train", [...files]]]) : splits;
}

const filled = (files: readonly string[] | undefined): string[] | undefined =>
  files === undefined || files.length === 0 ? undefined : [...files];

function byDefault(configs: readonly DataConfig[], files: readonly string[]): string[] | undefined {
  const config = configs.find(({ isDefault }) => isDefault);
  if (config === undefined && configs.length > 0) return undefined;
  const splits = config === undefined ? bySplit(files) : splitsOf(config, files);
  const [only, ...others] = splits.values();
  return filled(splits.get("train") ?? (others.length === 0 ? only : undefined));
}

function byName(part: string, configs: readonly DataConfig[], files: readonly string[]): string[] | undefined {
  const cut = part.lastIndexOf("/");
  const [before, last] = [part.slice(0, Math.max(0, cut)), part.slice(cut + 1)];
  for (const config of configs) {
    if (config.name === part) return byDefault([{ ...config, isDefault: true }], files);
    const isMeant = cut < 0 ? config.isDefault : config.name === before;
    const found = isMeant ? filled(splitsOf(config, files).get(last)) : undefined;
    if (found !== undefined) return found;
  }
  const inside = (folder: string) => files.filter((path) => path.startsWith(`${folder}/`));
  const whole = inside(part);
  if (whole.length > 0) return byDefault([], whole);
  return filled(bySplit(cut < 0 ? files : inside(before)).get(last));
}

/** What a part may be called, for a message. */
const names = (configs: readonly DataConfig[], files: readonly string[]): string[] =>
  configs.flatMap((config) => [...splitsOf(config, files).keys()].map((split) => `${config.name}/${split}`));
