import { BoosterError } from "../../errors.ts";

/** Kinds of repositories: what a reference begins with, and what the hub and its cache call them. */
const KINDS = {
  model: { prefix: "hf:", plural: "models" },
  dataset: { prefix: "hf-data:", plural: "datasets" },
} as const;
export type HubKind = keyof typeof KINDS;

/** A repository of the hub at a revision, and what of it is meant. */
export interface HubReference {
  readonly kind: HubKind;
  /** `org/name`, or `name` alone for the oldest repositories. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** Of a model: its GGUF file. Of a data set: a file, a pattern, a folder, a split, or a configuration and a split. */
  readonly part: string | undefined;
}

const DEFAULT_REVISION = "main";
const MAX_LENGTH = 1024;
/** What the hub allows: letters, digits, `-`, `_` and `.`; neither `--` nor `..`, at most 96 characters. */
const NAME = /^(?=.{1,96}$)(?!.*(?:--|\.\.))\w[\w.-]*(?:\/\w[\w.-]*)?$/;
/** Names of branches, tags and commits; what git allows beyond it would be a path of the cache. */
const REVISION = /^(?!.*\.\.)[A-Za-z0-9][\w.+-]*(?:\/[A-Za-z0-9][\w.+-]*)*$/;
const COMMIT = /^[0-9a-f]{40}$/;

/** Whether a text is meant as a reference to the hub, right or wrong. */
export const isHubReference = (text: string): boolean => /^hf(?:-data)?:/.test(text);

/** Whether a revision is a whole commit hash, which never means anything else. */
export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** What the hub and its cache call the repositories of a kind. */
export const pluralOf = ({ kind }: HubReference): string => KINDS[kind].plural;

/**
 * Reads `hf:org/name[@revision][:file]` or `hf-data:org/name[@revision][:part]`.
 *
 * @throws {BoosterError} `HUB_REFERENCE_INVALID`
 * @example
 * parseHubReference("hf:org/name@v1.0:model.Q8_0.gguf").revision; // "v1.0"
 */
export function parseHubReference(text: string): HubReference {
  const [, prefix = "", name = "", revision = DEFAULT_REVISION, part] =
    /^(hf(?:-data)?:)([^@:]*)(?:@([^:]*))?(?::(.*))?$/s.exec(text.slice(0, MAX_LENGTH + 1)) ?? [];
  const kind: HubKind = prefix === KINDS.dataset.prefix ? "dataset" : "model";
  const isWhole = prefix !== "" && text.length <= MAX_LENGTH && NAME.test(name) && REVISION.test(revision);
  if (isWhole && (part === undefined || isRelativePath(part))) return { kind, name, revision, part };
  throw new BoosterError("HUB_REFERENCE_INVALID", "this is no reference to a repository of the hub", {
    expected: "hf:org/name[@revision][:file.gguf] for a model, hf-data:org/name[@revision][:file or split] for data",
    found: JSON.stringify(text.slice(0, 200)),
  });
}

/** A reference as it is written; the default revision is left out. */
export const hubReferenceText = ({ kind, name, revision, part }: HubReference): string =>
  [
    KINDS[kind].prefix,
    name,
    revision === DEFAULT_REVISION ? "" : `@${revision}`,
    part === undefined ? "" : `:${part}`,
  ].join("");

/** What other programs call a model: a repository by its name alone, a folder or file by its path. */
export const publicName = (path: string): string => (isHubReference(path) ? parseHubReference(path).name : path);

/** What an adapter's card says of the model below it: for other programs a repository is a name and a revision. */
export const baseOf = (path: string): { readonly baseModel: string; readonly revision?: string } =>
  isHubReference(path)
    ? { baseModel: publicName(path), revision: parseHubReference(path).revision }
    : { baseModel: path };

/** Whether a path of a repository stays in the folder that it is put into, on any system. */
export const isRelativePath = (path: string): boolean =>
  path.length <= MAX_LENGTH &&
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  !/[\u0000-\u001f\u007f\\]/.test(path) &&
  path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
