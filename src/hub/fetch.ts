import { existsSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { BoosterError, stopIfAsked } from "../errors.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import {
  cachedCommit,
  inCache,
  listingFile,
  type Needed,
  neededFiles,
  notCached,
  readListing,
  refFile,
  snapshotFolder,
} from "../formats/hub/cache.ts";
import { type HubFile, type Listing, listingText } from "../formats/hub/listing.ts";
import { some } from "../formats/hub/model-files.ts";
import { type HubReference, hubReferenceText, isCommit, parseHubReference } from "../formats/hub/reference.ts";
import type { Following } from "../train/event.ts";
import type { Asking } from "./asking.ts";
import { downloadFile } from "./download.ts";
import { hubFromEnvironment, isOffline } from "./environment.ts";
import { DownloadProgress } from "./progress.ts";
import { askCommit, askListing } from "./repository.ts";

/** Tries in a row; where the cache can answer too, waiting for the hub is not worth it. */
const TRIES = 5;
/** An index or a card names further files, and those name none. */
const MAX_ROUNDS = 3;

/**
 * Brings what a reference means into the cache, and says which commit that is. A commit that is whole in the cache needs no connection; a
 * branch or tag is asked for, and where the hub cannot be reached it is what it was the last time.
 *
 * @returns the reference with the commit in the place of its revision
 * @throws {BoosterError} `HUB_REFERENCE_INVALID`, `HUB_NOT_CACHED`, `STOPPED`, and what asking, downloading and reading the cache throw
 * @example
 * await fetchReference("hf:org/name"); // "hf:org/name@0123..."
 */
export async function fetchReference(text: string, { emit, signal }: Following = {}): Promise<string> {
  const reference = parseHubReference(text);
  const tell = (said: string): void => emit?.({ type: "work", text: said, preparing: true });
  const known = cachedCommit(reference);
  const cached = known !== undefined && wholeCommit(reference, known) ? known : undefined;
  const pinned = (commit: string): string => hubReferenceText({ ...reference, revision: commit });
  if (cached !== undefined && isCommit(reference.revision)) return pinned(cached);
  if (isOffline()) {
    if (known === undefined) throw notCached(reference, []);
    if (cached === undefined) checkCached(reference, known, emit);
    return pinned(known);
  }
  const asking: Asking = {
    hub: hubFromEnvironment(),
    what: text,
    tries: cached === undefined ? TRIES : 1,
    signal,
    tell,
  };
  try {
    tell(`${text}: asking ${asking.hub.endpoint}`);
    const commit = isCommit(reference.revision) ? reference.revision : await askCommit(asking, reference);
    if (commit !== cached) await bring({ ...asking, tries: TRIES }, reference, commit);
    if (reference.kind === "dataset")
      emit?.({ type: "notice", text: `${text}: ${some(inCache(pinned(commit)).files)}` });
    return pinned(commit);
  } catch (error) {
    stopIfAsked(signal, "the download");
    if (cached === undefined || !(error instanceof BoosterError) || error.code !== "HUB_UNAVAILABLE") throw error;
    emit?.({ type: "notice", text: `${text}: the hub cannot be reached; taken from the cache, commit ${cached}` });
    return pinned(cached);
  }
}

/** Whether the cache has all that is needed of a commit, and knows that it has. */
function wholeCommit(reference: HubReference, commit: string): boolean {
  const listing = readListing(reference, commit);
  return listing !== undefined && neededFiles(reference, commit, listing).missing.length === 0;
}

/** Offline: what is there must do. @throws {BoosterError} `HUB_NOT_CACHED` */
function checkCached(reference: HubReference, commit: string, emit: Following["emit"]): void {
  if (!existsSync(snapshotFolder(reference, commit))) throw notCached(reference, []);
  const listing = readListing(reference, commit);
  const { missing } = neededFiles(reference, commit, listing);
  if (missing.length > 0) throw notCached(reference, missing);
  if (listing !== undefined) return;
  const text = `${hubReferenceText(reference)}: the cache does not list the repository's files; what is there is taken for all`;
  emit?.({ type: "notice", text });
}

async function bring(asking: Asking, reference: HubReference, commit: string): Promise<void> {
  const listing = readListing(reference, commit) ?? (await listCommit(asking, reference, commit));
  makeFolder(snapshotFolder(reference, commit));
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const missing = filesOf(neededFiles(reference, commit, listing), listing, asking.what);
    if (missing.length === 0) break;
    const progress = new DownloadProgress(asking.what, missing, asking.tell);
    for (const file of missing) {
      const { reached, end } = progress.follow(file);
      await downloadFile(asking, reference, commit, file, reached);
      end();
    }
  }
  if (isCommit(reference.revision)) return;
  const ref = refFile(reference);
  if (existsSync(ref) && readFileSync(ref, "utf8") === commit) return;
  makeFolder(dirname(ref));
  writeFileAtomic(ref, [Buffer.from(commit)]);
}

async function listCommit(asking: Asking, reference: HubReference, commit: string): Promise<Listing> {
  const listing = await askListing(asking, reference, commit);
  const file = listingFile(reference, commit);
  makeFolder(dirname(file));
  writeFileAtomic(file, [Buffer.from(listingText(listing))]);
  return listing;
}

/** What is missing, the small files first: where a download is broken off the large ones are what is left to do. */
function filesOf({ missing }: Needed, listing: Listing, what: string): HubFile[] {
  const files = missing.map((path) => {
    const file = listing.get(path);
    if (file !== undefined) return file;
    throw new BoosterError("HUB_NOT_FOUND", "an index of the repository names a file that it has not", {
      found: path,
      where: what,
    });
  });
  return files.sort((a, b) => a.size - b.size);
}
