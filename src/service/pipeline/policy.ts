import { z } from "zod";
import { oneOf } from "../../choice.ts";
import { BoosterError, fitting } from "../../errors.ts";
import { MODERATORS } from "../../evaluate/index.ts";
import { defenderData } from "../../experiments/pipeline.ts";
import { METHODS, TRANSFORMS } from "../../methods/registry.ts";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import type { BoosterFields, Choice } from "../domain/job.ts";
import type { JsonValue } from "../domain/json.ts";
import { boundsOf } from "./decide.ts";

/** What becomes of a job with more flagged rows than the policy tolerates, mildest first. */
export const ACTIONS = ["drop", "hold", "reject"] as const;
export type Action = (typeof ACTIONS)[number];

/** Data that a policy names: sets that a model is asked, and those that defences and repairs read. */
export const ASKED = ["harmful", "harmless"] as const;
export const READ = ["alignment", "harmful", "general"] as const;

const Share = z.number().min(0).max(1);
const Count = z.int().positive();
const SetName = z.string().min(1).max(1024).describe("A set of the bundled world, or a file beside the policy");

/** A policy as it is written: what a model must show before anybody may use it. */
export const PolicySchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 letters, digits, _ or -")
    .describe("Name"),
  bases: z.array(z.string().min(1)).min(1).describe("Bases that jobs may be trained on"),
  allowUnaligned: z.boolean().optional().describe("Also on those of whose alignment nothing is known"),
  moderation: z.strictObject({
    moderator: oneOf(MODERATORS).describe("Who judges each assistant's turn of the data"),
    limit: Share.default(0.02).describe("Share of flagged rows that is tolerated"),
    onFlag: z.enum(ACTIONS).default("hold").describe("What becomes of a job with more"),
  }),
  defence: z.strictObject({
    allowed: z.array(oneOf(METHODS)).min(1).describe("Methods that a job may be trained by"),
    default: z.string().describe("The one of a job that names none"),
  }),
  repair: z.array(oneOf(TRANSFORMS)).default([]).describe("Repairs of every adapter, in this order"),
  data: z
    .strictObject({ alignment: SetName, harmful: SetName, general: SetName })
    .partial()
    .default({})
    .describe("The provider's own rows, for methods and repairs that read them"),
  evaluate: z.strictObject({
    sets: z.strictObject({ harmful: SetName, harmless: SetName }).describe("Prompts that a model is asked"),
    n: Count.describe("Prompts of each set that are asked; harmless ones at most"),
    systemPrompts: z
      .int()
      .min(0)
      .max(10)
      .default(3)
      .describe("Commonest system prompts of the data under which harmful prompts are asked as well"),
    prefixes: z.int().min(0).max(10).default(3).describe("The same for beginnings of first turns"),
    maxNewTokens: Count.default(512).describe("Longest answer, in tokens"),
  }),
  limits: z.strictObject({
    hs: Share.describe("Harmful score after training"),
    hsRise: Share.describe("Rise of the harmful score over the base"),
    overRefusal: Share.describe("Refused harmless prompts"),
    category: z.record(z.string().min(1), Share).default({}).describe("Harmful answers of one kind"),
  }),
  onHold: z
    .strictObject({
      days: Count.max(365).default(14).describe("Days after which a job that nobody decided fails"),
      reviewers: z
        .union([z.literal(1), z.literal(2)])
        .default(1)
        .describe("2: nobody decides about their own project"),
    })
    .prefault({}),
});
export type WrittenPolicy = z.output<typeof PolicySchema>;

/** What is known of a set: the hash of its rows as JSON Lines, and which of them belong together. */
export interface PolicySet {
  readonly name: string;
  readonly sha256: string;
  readonly rows: number;
}

/** A policy with the sets that it names, as jobs carry it: nothing in it depends on where it is read. */
export interface Policy extends WrittenPolicy {
  /** By use: `evaluate/harmful`, `data/alignment`. */
  readonly sets: Readonly<Record<string, PolicySet>>;
  /** SHA-256 of the files that its moderator reads, by path; absent where it reads none. */
  readonly moderatorFiles?: Readonly<Record<string, string>>;
}

/** What stands for a policy wherever it is named: a change of a word, or of a row of its sets, is another one. */
export const policyHash = (policy: Policy): string => sha256Of(canonicalJson(policy as unknown as JsonValue));

/** A job's policy as a worker gets it. Throws `POLICY_INVALID` for what `loadPolicy` did not make. */
export function policyOf(body: JsonValue): Policy {
  const { sets, moderatorFiles, ...written } = body as unknown as Policy;
  return { ...parsePolicy(written), sets, ...(moderatorFiles && { moderatorFiles }) };
}

/**
 * A policy checked and completed, without its sets.
 *
 * @throws {BoosterError} `POLICY_INVALID` listing every fault
 */
export function parsePolicy(value: unknown, where?: string): WrittenPolicy {
  const details = where === undefined ? {} : { where };
  const policy = fitting(PolicySchema, value, "POLICY_INVALID", "the policy is not one", details);
  const names = policy.defence.allowed.map(({ name }) => name as string);
  const wrong = names.includes(policy.defence.default)
    ? names.find((name, i) => names.indexOf(name) !== i)
    : policy.defence.default;
  if (wrong === undefined) return policy;
  throw new BoosterError("POLICY_INVALID", "the default defence must be one of those allowed, each named once", {
    expected: names.join(", "),
    found: wrong,
    ...details,
  });
}

/**
 * Refuses a policy that could never release a model: with no flagged answer at all the interval over its prompts ends above a limit.
 *
 * @param clusters which prompts of the harmful and of the harmless set, as far as they are asked, belong together
 * @throws {BoosterError} `POLICY_TOO_SMALL`
 */
export function checkSizes(
  { evaluate: { n }, limits }: WrittenPolicy,
  clusters: Readonly<Record<(typeof ASKED)[number], readonly number[]>>,
): void {
  if (clusters.harmful.length < n) {
    throw new BoosterError("POLICY_TOO_SMALL", "the set of harmful prompts is smaller than the policy asks for", {
      expected: `${n} prompts`,
      found: `${clusters.harmful.length}`,
    });
  }
  const best = (set: readonly number[]) => boundsOf("0".repeat(set.length), set).high;
  const categories = Object.entries(limits.category).map(([name, limit]) => [`category ${name}`, limit] as const);
  const needed = [
    ["hs", limits.hs, clusters.harmful],
    ["hsRise", limits.hsRise, clusters.harmful],
    ...categories.map(([name, limit]) => [name, limit, clusters.harmful] as const),
    ["overRefusal", limits.overRefusal, clusters.harmless],
  ] as const;
  for (const [name, limit, set] of needed) {
    const high = best(set);
    if (high <= limit) continue;
    const groups = new Set(set).size;
    throw new BoosterError("POLICY_TOO_SMALL", "no model could ever be released under this policy", {
      expected: `a limit of at least ${high.toFixed(4)} for ${name}, or more prompts`,
      found: `${limit}, where ${set.length} prompts${groups < set.length ? ` about ${groups} things` : ""} without one flagged answer show no less`,
      hint: "Ask more prompts about more things, or set a limit that they can show.",
    });
  }
}

/** How a job is treated: the policy, made stricter by what the job asks for. */
export interface Treatment {
  readonly defence: { readonly name: string; readonly [setting: string]: unknown };
  readonly repair: readonly { readonly name: string; readonly [setting: string]: unknown }[];
  readonly onFlag: Action;
}

/**
 * The policy as a job asks for it, which may only be stricter: a defence that is allowed, further repairs behind the policy's own, a
 * harder answer to flagged rows.
 *
 * @throws {BoosterError} `POLICY_LOOSER` naming the field, `UNKNOWN_TRANSFORM` and others for a choice that there is not
 * @example
 * treatmentOf(policy, { defence: "lisa", moderation: { action: "reject" } });
 */
export function treatmentOf(policy: WrittenPolicy, fields: BoosterFields): Treatment {
  const { allowed } = policy.defence;
  const asked = named(fields.defence ?? policy.defence.default);
  const defence = allowed.find((choice) =>
    isShort(asked) ? choice.name === asked.name : canonical(choice) === canonical(chosen(METHODS, asked)),
  );
  if (defence === undefined) {
    throw looser("booster.defence", allowed.map(({ name }) => name).join(", "), asked.name);
  }
  const repair = fields.repair?.map((choice) => chosen(TRANSFORMS, named(choice))) ?? policy.repair;
  if (policy.repair.some((own, i) => canonical(own) !== canonical(repair[i]))) {
    const expected = policy.repair.map(({ name }) => name).join(", ");
    throw looser("booster.repair", `${expected} first`, repair.map(({ name }) => name).join(", ") || "none");
  }
  const absent = repair.flatMap((choice) => defenderData(choice, true)).find((use) => !Object.hasOwn(policy.data, use));
  if (absent !== undefined) throw looser("booster.repair", `repairs that need no data.${absent}`, "one that does");
  const onFlag = fields.moderation?.action ?? policy.moderation.onFlag;
  if (ACTIONS.indexOf(onFlag) < ACTIONS.indexOf(policy.moderation.onFlag)) {
    throw looser("booster.moderation.action", `${policy.moderation.onFlag} or harder`, onFlag);
  }
  return { defence, repair, onFlag };
}

const named = (choice: Choice): Exclude<Choice, string> => (typeof choice === "string" ? { name: choice } : choice);
const isShort = (choice: object): boolean => Object.keys(choice).length === 1;
const canonical = (choice: unknown): string => (choice === undefined ? "" : canonicalJson(choice as JsonValue));

const chosen = (from: typeof METHODS | typeof TRANSFORMS, choice: Exclude<Choice, string>): Treatment["defence"] =>
  fitting(oneOf(from as typeof METHODS), choice, from.unfit, `these options do not fit ${choice.name}`);

const looser = (where: string, expected: string, found: string) =>
  new BoosterError("POLICY_LOOSER", "a job may only be stricter than its project's policy", { where, expected, found });
