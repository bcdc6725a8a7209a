import { existsSync, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative, resolve, sep } from "node:path";
import { BoosterError } from "../../errors.ts";
import { readSmallFile } from "../byte-source.ts";
import { decodeStrictJson } from "../strict-json.ts";
import { dataFiles } from "./data-files.ts";
import { cachedListing, type Listing, MAX_FILES } from "./listing.ts";
import { modelFiles, modelPlace } from "./model-files.ts";
import {
  type HubReference,
  hubReferenceText,
  isCommit,
  isHubReference,
  parseHubReference,
  pluralOf,
} from "./reference.ts";

/** A list of 100 000 files. */
const MAX_LISTING_BYTES = 64 * 2 ** 20;
const LISTING_LIMITS = { depth: 4, values: 8 * MAX_FILES };
/** A card, or the index of a model's weights. */
const MAX_TEXT_BYTES = 64_000_000;
const MAX_REF_BYTES = 100;

/** What an environment variable says of a folder; `~` is the user's. */
function folderIn(variable: string): string | undefined {
  const path = process.env[variable];
  return path === undefined || path === "" ? undefined : path.replace(/^~(?=\/|$)/, homedir());
}

/** Where the Hugging Face tools keep what is the user's: `HF_HOME`, by default `~/.cache/huggingface`. */
export const hubHome = (): string =>
  folderIn("HF_HOME") ?? join(folderIn("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");

/** The cache that all of them share: `HF_HUB_CACHE`, by default the folder `hub` of `hubHome`. */
export const hubCache = (): string =>
  folderIn("HF_HUB_CACHE") ?? folderIn("HUGGINGFACE_HUB_CACHE") ?? join(hubHome(), "hub");

/**
 * The folder of a repository in the cache:
 *
 *     models--org--name/refs/main                  the commit that a branch or tag meant when it was asked for
 *     models--org--name/trees/COMMIT.json          all files of a commit, with their sizes and hashes
 *     models--org--name/blobs/HASH                 content
 *     models--org--name/snapshots/COMMIT/FILE      a link to its content
 */
export const repositoryFolder = (reference: HubReference): string =>
  join(hubCache(), [pluralOf(reference), ...reference.name.split("/")].join("--"));

/** The file that says which commit a branch or tag is. */
export const refFile = (reference: HubReference): string =>
  join(repositoryFolder(reference), "refs", reference.revision);

/** The file that lists a commit's files. */
export const listingFile = (reference: HubReference, commit: string): string =>
  join(repositoryFolder(reference), "trees", `${commit}.json`);

/** The folder that shows a commit as it is in the repository, as far as it was asked for. */
export const snapshotFolder = (reference: HubReference, commit: string): string =>
  join(repositoryFolder(reference), "snapshots", commit);

/** The folder that a reference with a commit has in the cache, whether it is there or not. */
export function folderOf(text: string): string {
  const reference = parseHubReference(text);
  return snapshotFolder(reference, reference.revision);
}

/** The reference, with its commit, of a model's or an adapter's folder in the cache; undefined for any other folder. */
export function referenceAt(folder: string): string | undefined {
  const [repository = "", snapshots, revision = "", ...below] = relative(hubCache(), resolve(folder)).split(sep);
  const [plural, ...name] = repository.split("--");
  if (plural !== "models" || snapshots !== "snapshots" || !isCommit(revision) || below.length > 0) return undefined;
  return hubReferenceText({ kind: "model", name: name.join("/"), revision, part: undefined });
}

/**
 * The commit of a reference as far as the cache knows it.
 *
 * @throws {BoosterError} `HUB_CACHE_INVALID`
 */
export function cachedCommit(reference: HubReference): string | undefined {
  if (isCommit(reference.revision)) return reference.revision;
  const where = refFile(reference);
  if (!statSync(where, { throwIfNoEntry: false })?.isFile()) return undefined;
  const commit = new TextDecoder().decode(readSmallFile(where, MAX_REF_BYTES)).trim();
  if (isCommit(commit)) return commit;
  throw new BoosterError("HUB_CACHE_INVALID", "the cache does not say which commit a revision is", {
    expected: "40 hexadecimal digits",
    found: JSON.stringify(commit),
    where,
    hint: "Delete this file: it is made again",
  });
}

/**
 * The list of a commit's files, where the cache has it.
 *
 * @throws {BoosterError} `HUB_CACHE_INVALID`
 */
export function readListing(reference: HubReference, commit: string): Listing | undefined {
  const where = listingFile(reference, commit);
  if (!existsSync(where)) return undefined;
  try {
    return cachedListing(decodeStrictJson(readSmallFile(where, MAX_LISTING_BYTES), where, LISTING_LIMITS), where);
  } catch (cause) {
    if (!(cause instanceof BoosterError) || cause.code === "HUB_CACHE_INVALID") throw cause;
    const hint = "Delete this file: it is made again";
    throw new BoosterError("HUB_CACHE_INVALID", cause.problem, { ...cause.details, where, hint, cause });
  }
}

/** What of a commit is needed, and of that what the cache lacks. */
export interface Needed {
  readonly needed: readonly string[];
  readonly missing: readonly string[];
}

/**
 * Files that a reference needs of a commit. As long as some are missing there may be more: what an index or a card lists.
 *
 * @param listing where nobody knows it, what is there counts for all
 * @throws {BoosterError} what `modelFiles` and `dataFiles` throw
 */
export function neededFiles(reference: HubReference, commit: string, listing: Listing | undefined): Needed {
  const folder = snapshotFolder(reference, commit);
  const isThere = (path: string): boolean => {
    const size = statSync(join(folder, path), { throwIfNoEntry: false })?.size;
    return size !== undefined && (listing === undefined || size === listing.get(path)?.size);
  };
  const read = (path: string): string | undefined =>
    isThere(path) ? new TextDecoder().decode(readSmallFile(join(folder, path), MAX_TEXT_BYTES)) : undefined;
  const paths = listing === undefined ? filesBelow(folder) : [...listing.keys()];
  const choose = reference.kind === "model" ? modelFiles : dataFiles;
  const needed = choose(paths, reference.part, read, hubReferenceText({ ...reference, part: undefined }));
  return { needed, missing: needed.filter((path) => !isThere(path)) };
}

/** What the cache has of a reference. */
export interface Cached {
  /** The model's folder or GGUF file, or the folder below which the data files are. */
  readonly place: string;
  /** All files that are needed, sorted, as seen from the snapshot. */
  readonly files: readonly string[];
}

/**
 * Where the cache has what a reference means.
 *
 * @throws {BoosterError} `HUB_REFERENCE_INVALID`, `HUB_NOT_CACHED`, and what `cachedCommit`, `readListing` and `neededFiles` throw
 * @example
 * inCache("hf:org/name").place; // ".../models--org--name/snapshots/0123..."
 */
export function inCache(text: string): Cached {
  const reference = parseHubReference(text);
  const commit = cachedCommit(reference);
  if (commit === undefined || !existsSync(snapshotFolder(reference, commit))) throw notCached(reference, []);
  const { needed, missing } = neededFiles(reference, commit, readListing(reference, commit));
  if (missing.length > 0) throw notCached(reference, missing);
  const gguf = reference.kind === "model" ? modelPlace(needed) : undefined;
  return { place: join(snapshotFolder(reference, commit), gguf ?? ""), files: [...needed].sort() };
}

/** Where a folder or file is: of the hub as the cache has it. Throws what `inCache` throws. */
export const placeOf = (path: string): string => (isHubReference(path) ? inCache(path).place : path);

/** The error for what nobody has downloaded. */
export const notCached = (reference: HubReference, missing: readonly string[]): BoosterError =>
  new BoosterError("HUB_NOT_CACHED", "this is not in the cache, or not all of it", {
    expected: missing.length === 0 ? hubReferenceText(reference) : missing.slice(0, 20).join(", "),
    where: repositoryFolder(reference),
    hint: "Start once with a connection, without --offline and HF_HUB_OFFLINE; or set HF_HOME to the cache that has it.",
  });

/** Paths of the files of a snapshot, sorted. */
function filesBelow(folder: string): string[] {
  const paths: string[] = [];
  const visit = (below: string): void => {
    for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      // A link is one to content; one to a folder may lead in a circle.
      if (entry.isDirectory()) visit(path);
      else if (statSync(join(folder, path), { throwIfNoEntry: false })?.isFile()) paths.push(path);
    }
  };
  visit("");
  return paths.sort();
}
