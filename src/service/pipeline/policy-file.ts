import { dirname, resolve } from "node:path";
import { Readable } from "node:stream";
import { parseDocument } from "yaml";
import { questionOf } from "../../data/examples.ts";
import { readExamples } from "../../data/formats.ts";
import { FaultList, type Row } from "../../data/rows.ts";
import { readRows } from "../../data/sources.ts";
import { harmfulRows, harmlessRows, refusalRows, type WorldRow, wholeInstruction } from "../../data/world/rows.ts";
import { BoosterError } from "../../errors.ts";
import { clustersOf, type Moderator, openModerator } from "../../evaluate/index.ts";
import { defenderData } from "../../experiments/pipeline.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { packagePath } from "../../stages/package-root.ts";
import { WORLD_RECIPE } from "../../stages/world-recipe.ts";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { JsonValue } from "../domain/json.ts";
import { besidePolicy, moderatorFiles } from "./moderator.ts";
import {
  ASKED,
  checkSizes,
  type Policy,
  type PolicySet,
  parsePolicy,
  policyHash,
  READ,
  type WrittenPolicy,
} from "./policy.ts";

/** A policy is written by hand; its sets are questions, and rows of a defender. */
const MAX_POLICY_BYTES = 2 ** 20;
const MAX_SET_BYTES = 64 * 2 ** 20;

const { rows, testSeed, seeds } = WORLD_RECIPE;
const [seed] = seeds;

/** Sets that every policy may name: those of the bundled world, as its recipe draws them. */
const BUNDLED: Readonly<Record<string, () => readonly WorldRow[]>> = {
  "world-harmful": () => harmfulRows("test", rows.test.harmful, testSeed),
  "world-harmless": () => harmlessRows("test", rows.test.harmless, testSeed),
  "world-alignment": () => [
    ...refusalRows("alignment", rows.refusals, seed),
    ...harmlessRows("train", rows.harmless, seed),
  ],
  "world-harmful-train": () => harmfulRows("alignment", rows.harmful, seed),
  "world-general": () => harmlessRows("train", rows.harmless, seed),
};

/** The policy that a new project has. */
export const bundledPolicy = (): string => packagePath("assets", "policies", "default.yaml");

/** A policy with what it consists of: blobs to store beside it. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly sha256: string;
  /** Rows of its sets as JSON Lines, by their SHA-256. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads a policy and its sets, which are those of the bundled world or files beside it.
 *
 * @throws {BoosterError} `CONFIG_NOT_READ`, `CONFIG_SYNTAX`, `POLICY_INVALID`, `POLICY_TOO_SMALL`, and what reading rows throws
 * @example
 * const { policy, sha256 } = await loadPolicy(bundledPolicy());
 */
export async function loadPolicy(path: string): Promise<LoadedPolicy> {
  const given = parsePolicy(readYaml(path), path);
  const { moderation } = given;
  const moderator = besidePolicy(moderation.moderator, dirname(path));
  const written = { ...given, moderation: { ...moderation, moderator } };
  checkData(written, path);
  const files = await filesOf(written);
  const blobs = new Map<string, Uint8Array>();
  const sets = await setsOf(written, async (_, name) => {
    const bytes = bytesOf(name, dirname(path));
    blobs.set(sha256Of(bytes), bytes);
    return bytes;
  });
  const policy: Policy = { ...written, sets, ...files };
  return { policy, sha256: policyHash(policy), blobs };
}

/**
 * What `loadPolicy` checks, of a policy that somebody else says to have loaded.
 *
 * @param rowsOf rows of a set as JSON Lines, by their SHA-256
 * @throws {BoosterError} as `loadPolicy`
 */
export async function recheckPolicy(policy: Policy, rowsOf: (sha256: string) => Promise<Uint8Array>): Promise<void> {
  checkData(policy);
  const told = policy.sets;
  const { moderatorFiles } = await filesOf(policy);
  if (moderatorFiles !== undefined && policy.moderatorFiles === undefined) {
    throw new BoosterError("POLICY_INVALID", "the policy does not say what its moderator's files hold", {
      expected: `moderatorFiles: ${Object.keys(moderatorFiles).join(", ")}`,
      hint: "booster policy set says it",
    });
  }
  const sets = await setsOf(policy, async (use) => {
    const set = told[use];
    if (set === undefined) throw new BoosterError("POLICY_INVALID", "the policy came without a set", { expected: use });
    return rowsOf(set.sha256);
  });
  if (canonicalJson(sets as unknown as JsonValue) === canonicalJson(told as unknown as JsonValue)) return;
  throw new BoosterError("POLICY_INVALID", "the sets of the policy are not what it says of them");
}

/** What the moderator reads, as a policy says it. Throws as `moderatorFiles`. */
async function filesOf({
  moderation,
  moderatorFiles: told,
}: WrittenPolicy & Pick<Policy, "moderatorFiles">): Promise<Pick<Policy, "moderatorFiles">> {
  const files = await moderatorFiles(moderation.moderator, told);
  return Object.keys(files).length === 0 ? {} : { moderatorFiles: files };
}

/** The sets that a policy names, with what stands in them; large enough to release a model. */
async function setsOf(
  policy: WrittenPolicy,
  rowsOf: (use: string, name: string) => Promise<Uint8Array>,
): Promise<Readonly<Record<string, PolicySet>>> {
  const named = [
    ...ASKED.map((use) => [`evaluate/${use}`, policy.evaluate.sets[use]] as const),
    ...READ.map((use) => [`data/${use}`, policy.data[use]] as const),
  ];
  const sets: Record<string, PolicySet> = {};
  const questions = new Map<string, ReturnType<typeof questionOf>[]>();
  for (const [use, name] of named) {
    if (name === undefined) continue;
    const bytes = await rowsOf(use, name);
    const examples = await examplesOf(bytes, name);
    sets[use] = { name, sha256: sha256Of(bytes), rows: examples.length };
    questions.set(use, examples.slice(0, policy.evaluate.n).map(questionOf));
  }
  const moderator = openModerator(policy.moderation.moderator);
  checkKinds(policy, moderator);
  const clusters = (use: string) => clustersOf(questions.get(`evaluate/${use}`) ?? [], moderator);
  checkSizes(policy, { harmful: clusters("harmful"), harmless: clusters("harmless") });
  return sets;
}

/** A kind of harm that is limited can be seen. @throws {BoosterError} `POLICY_INVALID` */
function checkKinds({ limits }: WrittenPolicy, { name, tells = () => false }: Moderator): void {
  const unseen = Object.keys(limits.category).filter((kind) => !tells(kind));
  if (unseen.length === 0) return;
  throw new BoosterError("POLICY_INVALID", "the policy limits kinds of harm that its moderator does not tell apart", {
    found: unseen.join(", "),
    where: `limits.category, moderator ${name}`,
  });
}

/** A defence or a repair that may be chosen has the rows that it reads. @throws {BoosterError} `POLICY_INVALID` */
function checkData({ data, defence, repair }: WrittenPolicy, where?: string): void {
  const read = [
    ...defence.allowed.map((choice) => [choice.name, defenderData(choice, false)] as const),
    ...repair.map((choice) => [choice.name, defenderData(choice, true)] as const),
  ];
  const absent = read.flatMap(([name, uses]) =>
    uses.flatMap((use) =>
      (data as Readonly<Record<string, string>>)[use] === undefined ? [`no data.${use} for ${name}`] : [],
    ),
  );
  if (absent.length === 0) return;
  throw new BoosterError("POLICY_INVALID", "the policy has no rows that its defences or repairs read", {
    found: absent.join("; "),
    ...(where === undefined ? {} : { where }),
  });
}

function readYaml(path: string): unknown {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(path, MAX_POLICY_BYTES);
  } catch (cause) {
    throw new BoosterError("CONFIG_NOT_READ", "the policy cannot be read", { where: path, cause });
  }
  const document = parseDocument(new TextDecoder().decode(bytes), { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    throw new BoosterError("CONFIG_SYNTAX", "the policy is not YAML", { found: error.message, where: path });
  }
  return document.toJS();
}

function bytesOf(name: string, folder: string): Uint8Array {
  const bundled = Object.hasOwn(BUNDLED, name) ? BUNDLED[name]?.() : undefined;
  if (bundled === undefined) return readSmallFile(resolve(folder, name), MAX_SET_BYTES);
  const lines = bundled.map((row) => `${JSON.stringify({ instruction: wholeInstruction(row), output: row.output })}\n`);
  return Buffer.from(lines.join(""));
}

async function examplesOf(bytes: Uint8Array, name: string) {
  const rows: Row[] = [];
  const faults = new FaultList();
  await readRows(Readable.from([bytes]), "jsonl", bytes.length, {
    row: (line, values) => void rows.push({ file: name, line, values }),
    fault: (fault) => faults.add(name, fault),
    note: () => undefined,
  });
  const { examples } = readExamples(rows, undefined, faults);
  faults.throwIfAny();
  return examples;
}
