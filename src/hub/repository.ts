import { z } from "zod";
import { type HubFile, type Listing, listedFiles, MAX_FILES } from "../formats/hub/listing.ts";
import { type HubReference, pluralOf } from "../formats/hub/reference.ts";
import { type Asking, addressOf } from "./asking.ts";
import { askJson, unusable } from "./request.ts";

/** A page has a thousand files, the last one fewer. */
const MAX_PAGES = 200;

const Revision = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

const api = ({ hub }: Asking, reference: HubReference): string =>
  `${hub.endpoint}/api/${pluralOf(reference)}/${reference.name}`;

/**
 * The commit that a branch, a tag or the beginning of a hash is now.
 *
 * @throws {BoosterError} what `askJson` throws
 */
export async function askCommit(asking: Asking, reference: HubReference): Promise<string> {
  const url = `${api(asking, reference)}/revision/${encodeURIComponent(reference.revision)}`;
  const { data } = Revision.safeParse((await askJson(asking, url)).body);
  if (data === undefined) throw unusable(asking, "no commit");
  return data.sha;
}

/**
 * All files of a commit.
 *
 * @throws {BoosterError} `HUB_ANSWER_INVALID`, also for more files than are taken, and what `askJson` throws
 */
export async function askListing(asking: Asking, reference: HubReference, commit: string): Promise<Listing> {
  const first = `${api(asking, reference)}/tree/${commit}?recursive=true&expand=false`;
  const files = new Map<string, HubFile>();
  let url: string | undefined = first;
  for (let page = 0; url !== undefined; page++) {
    const answer: Awaited<ReturnType<typeof askJson>> = await askJson(asking, url);
    for (const file of listedFiles(answer.body, asking.what)) files.set(file.path, file);
    if (files.size > MAX_FILES || page >= MAX_PAGES) throw unusable(asking, `a list of more than ${MAX_FILES} files`);
    const next: URL | undefined = answer.next === undefined ? undefined : addressOf(answer.next, url);
    // The list of a repository goes on where it began, or is none.
    if (answer.next !== undefined && next?.origin !== new URL(first).origin)
      throw unusable(asking, "a list that goes on elsewhere");
    url = next?.href;
  }
  return files;
}

/** Where a file of a commit can be had. */
export function fileAddress({ hub }: Asking, reference: HubReference, commit: string, path: string): string {
  const repository = `${reference.kind === "model" ? "" : `${pluralOf(reference)}/`}${reference.name}`;
  return `${hub.endpoint}/${repository}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}
