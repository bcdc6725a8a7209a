import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";

/** What of a card is looked at; its metadata stand at its beginning. */
const MAX_CARD = 1_000_000;
/** Of each: configurations, splits, patterns. */
const MAX_ENTRIES = 10_000;

const Patterns = z.union([z.string(), z.array(z.string()).max(MAX_ENTRIES)]);
const Config = z.looseObject({
  config_name: z.string(),
  default: z.boolean().optional(),
  data_dir: z.string().optional(),
  data_files: z
    .union([Patterns, z.array(z.looseObject({ split: z.string(), path: Patterns })).max(MAX_ENTRIES)])
    .optional(),
});
const Card = z.looseObject({ configs: z.array(Config).max(MAX_ENTRIES).optional() });

/** A configuration of a data set, as its card tells: patterns of files by split. */
export interface DataConfig {
  readonly name: string;
  readonly isDefault: boolean;
  /** Where its files are, "" for the whole repository. */
  readonly folder: string;
  /** undefined: told by the names of the files. */
  readonly splits: ReadonlyMap<string, readonly string[]> | undefined;
}

/**
 * The configurations that a data set's card tells of, in its order; none where it tells of none.
 *
 * @throws {BoosterError} `HUB_ANSWER_INVALID`
 */
export function dataConfigs(card: string, where: string): DataConfig[] {
  const metadata = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(?:\n|$)/.exec(card.slice(0, MAX_CARD))?.[1];
  if (metadata === undefined) return [];
  const { configs = [] } = Card.safeParse(readYaml(metadata)).data ?? refuse(where);
  return configs.map(({ config_name, default: isDefault = false, data_dir, data_files }) => ({
    name: config_name,
    isDefault: isDefault || config_name === "default" || configs.length === 1,
    folder: data_dir === undefined || data_dir === "." ? "" : `${data_dir.replace(/^\.?\/+|\/+$/g, "")}/`,
    splits: data_files === undefined ? undefined : splitsOf(data_files),
  }));
}

function splitsOf(files: NonNullable<z.infer<typeof Config>["data_files"]>): Map<string, string[]> {
  const splits = new Map<string, string[]>();
  for (const entry of [files].flat()) {
    const { split, path } = typeof entry === "string" ? { split: "train", path: entry } : entry;
    splits.set(split, [...(splits.get(split) ?? []), ...[path].flat()]);
  }
  return splits;
}

function readYaml(metadata: string): unknown {
  try {
    return parseYaml(metadata, { logLevel: "error" }) ?? {};
  } catch {
    return undefined;
  }
}

function refuse(where: string): never {
  throw new BoosterError("HUB_ANSWER_INVALID", "the card of this data set does not tell which files it has", {
    expected: "configs as lists of splits and paths",
    where: `${where}: README.md`,
    hint: "Name the file: hf-data:org/name:FILE",
  });
}
