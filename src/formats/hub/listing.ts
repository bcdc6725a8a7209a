import { z } from "zod";
import type { ErrorCode } from "../../error-codes.ts";
import { BoosterError } from "../../errors.ts";
import { isRelativePath } from "./reference.ts";

/** Files of a repository that are listed at most; the largest data sets have some ten thousand. */
export const MAX_FILES = 100_000;

/** A file of a repository at one commit. */
export interface HubFile {
  readonly path: string;
  /** Bytes of its content. */
  readonly size: number;
  /** git's SHA-1: of the content, or of the pointer to it where the content lies in large-file storage. */
  readonly oid: string;
  /** SHA-256 of the content; undefined where git itself holds it. */
  readonly sha256: string | undefined;
}

/** All files of a repository at one commit, by path. */
export type Listing = ReadonlyMap<string, HubFile>;

/** What a file's content is called in the cache. */
export const blobName = ({ sha256, oid }: HubFile): string => sha256 ?? oid;

const Path = z.string().refine(isRelativePath, "leads out of the repository");
const Size = z.int().nonnegative();
const Sha1 = z.string().regex(/^[0-9a-f]{40}$/, "is no git hash");
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "is no SHA-256");

/** What the hub says of the entries of a repository's tree: of those that are files. */
const Page = z.array(z.looseObject({ type: z.string() }));
const File = z.object({ path: Path, size: Size, oid: Sha1, lfs: z.object({ oid: Sha256, size: Size }).nullish() });

/** The cache's own list of a commit, as the Python tools write it since version 2. */
const FORMAT = 1;
const Cached = z.object({
  format_version: z.literal(FORMAT),
  files: z
    .record(Path, z.object({ size: Size, blob_id: Sha1, lfs_sha256: Sha256.nullish(), lfs_size: Size.nullish() }))
    .refine((files) => Object.keys(files).length <= MAX_FILES, `lists more than ${MAX_FILES} files`),
});

/** As `fitting`, with the first fault alone: a list may have very many. */
function checked<T>(schema: z.ZodType<T>, value: unknown, code: ErrorCode, where: string, hint: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path = [], message = "" } = parsed.error.issues[0] ?? {};
  throw new BoosterError(code, "a list of a repository's files cannot be used", {
    found: `${path.join(".").slice(0, 200)}: ${message}`,
    where,
    hint,
  });
}

/**
 * Reads one page of the hub's list of a repository's files.
 *
 * @throws {BoosterError} `HUB_ANSWER_INVALID`, also where a path would lead out of the repository
 */
export function listedFiles(page: unknown, where: string): HubFile[] {
  const hint = "Is HF_ENDPOINT the address of a hub?";
  const files = checked(Page, page, "HUB_ANSWER_INVALID", where, hint).filter(({ type }) => type === "file");
  return checked(z.array(File), files, "HUB_ANSWER_INVALID", where, hint).map(({ path, size, oid, lfs }) => ({
    path,
    size: lfs?.size ?? size,
    oid,
    sha256: lfs?.oid,
  }));
}

/**
 * Reads the list of a commit that stands in the cache; undefined for one of a later format.
 *
 * @throws {BoosterError} `HUB_CACHE_INVALID`
 */
export function cachedListing(document: unknown, where: string): Listing | undefined {
  const version = (document as { format_version?: unknown } | null)?.format_version;
  if (typeof version === "number" && version > FORMAT) return undefined;
  const { files } = checked(Cached, document, "HUB_CACHE_INVALID", where, "Delete this file: it is made again");
  return new Map(
    Object.entries(files).map(([path, { size, blob_id, lfs_sha256, lfs_size }]) => [
      path,
      { path, size: lfs_size ?? size, oid: blob_id, sha256: lfs_sha256 ?? undefined },
    ]),
  );
}

/** The list of a commit as `cachedListing` reads it. */
export function listingText(listing: Listing): string {
  const files = [...listing.values()]
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, size, oid, sha256 }) => [
      path,
      { size, blob_id: oid, ...(sha256 === undefined ? {} : { lfs_sha256: sha256, lfs_size: size }) },
    ]);
  return JSON.stringify({ format_version: FORMAT, files: Object.fromEntries(files) }, undefined, 1);
}
