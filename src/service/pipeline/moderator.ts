import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { filesIn, placesOf } from "../../choice.ts";
import { BoosterError } from "../../errors.ts";
import { type Moderator, openModerator } from "../../evaluate/index.ts";
import { isHubReference } from "../../formats/hub/reference.ts";
import { hashesOfFiles } from "../../stages/describe-run.ts";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";
import { type Policy, PolicySchema, type WrittenPolicy } from "./policy.ts";

type Chosen = WrittenPolicy["moderation"]["moderator"];
const schema = PolicySchema.shape.moderation.shape.moderator;

/** A policy's moderator with its files beside the policy, wherever it is read. */
export function besidePolicy(moderator: Chosen, folder: string): Chosen {
  const settings: Record<string, unknown> = { ...moderator };
  for (const { path, text } of placesOf("file", schema, moderator)) {
    if (!isHubReference(text)) settings[String(path[0])] = resolve(folder, text);
  }
  return settings as Chosen;
}

/**
 * What the files of a moderator hold, by path.
 *
 * @param told what all of them held when the policy was set
 * @throws {BoosterError} `MODERATOR_FILES` where one is missing, or is not what it was when the policy was set
 */
export async function moderatorFiles(
  moderator: Chosen,
  told?: Policy["moderatorFiles"],
): Promise<Readonly<Record<string, string>>> {
  const named = filesIn(schema, moderator);
  const found = await hashesOfFiles(named.filter((path) => isHubReference(path) || existsSync(path)));
  const absent = named.filter((path) => !isHubReference(path) && !existsSync(path));
  const expected: Readonly<Record<string, string>> = told ?? found;
  const paths = new Set([...absent, ...Object.keys(expected), ...Object.keys(found)]);
  const wrong = [...paths].find((path) => found[path] === undefined || found[path] !== expected[path]);
  if (wrong === undefined) return found;
  throw new BoosterError("MODERATOR_FILES", "the policy's moderator is not on this host as the policy has it", {
    where: wrong,
    found: found[wrong] === undefined ? "nothing" : "another file",
    hint: "Lay the same file at this place on the server and on the host of every worker, or set the policy anew",
  });
}

/** What tells a moderator's verdicts from another's: its name and settings, and what the files hold that these name. Throws as `moderatorFiles`. */
export async function moderatorIdentity({ moderation: { moderator }, moderatorFiles: told }: Policy): Promise<string> {
  const files = await moderatorFiles(moderator, told);
  return sha256Of(canonicalJson({ moderator: moderator as unknown as JsonValue, files: Object.values(files).sort() }));
}

/** The moderator of a policy, which is the one that the policy was set with. Throws as `moderatorFiles`, and what opening it throws. */
export async function moderatorOf(
  policy: Policy,
  opening: Parameters<typeof openModerator>[1] = {},
): Promise<{ readonly moderator: Moderator; readonly identity: string }> {
  const identity = await moderatorIdentity(policy);
  return { moderator: openModerator(policy.moderation.moderator, opening), identity };
}
