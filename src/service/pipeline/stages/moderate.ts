import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Example } from "../../../data/examples.ts";
import { checkJudged, isJudged, type Judgement, type Moderator, wilsonInterval } from "../../../evaluate/index.ts";
import { exactJson } from "../../../formats/exact-json.ts";
import { exchangesOf } from "../../../stages/data.ts";
import type { JobEvent, JobSpec } from "../../domain/job.ts";
import type { JsonValue } from "../../domain/json.ts";
import { flaggedShare } from "../decide.ts";
import { moderatorOf } from "../moderator.ts";
import { policyOf, treatmentOf } from "../policy.ts";
import { PLACES, type StageFunction } from "./stage.ts";
import { asRow, lineOf, loadUpload } from "./upload.ts";

/** Answers that are judged between two looks at whether to stop, and written down. */
const BATCH = 256;
/** What a row that repeats a prompt of the evaluation is flagged as. */
export const REPEATS = "evaluation-prompt";

/** A flagged row, told by its line. */
export interface Flag {
  readonly line: number;
  readonly categories: readonly string[];
  /** How sure the moderator is, where it can tell. */
  readonly score?: number;
}

/** Verdicts of earlier jobs; what was cut off is judged again. */
function keptIn(path: string): (readonly [string, Judgement])[] {
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as [string, Judgement]];
    } catch {
      return [];
    }
  });
}

/** Judges exchanges, each once for a moderator: verdicts are kept by the hash of what was judged, and nothing else of it. */
async function judged(
  exchanges: readonly { readonly prompt: string; readonly answer: string }[],
  moderator: Moderator,
  path: string,
  signal: AbortSignal | undefined,
): Promise<readonly Judgement[]> {
  const known = new Map(keptIn(path));
  const keys = exchanges.map(({ prompt, answer }) =>
    createHash("sha256")
      .update(JSON.stringify([prompt, answer]))
      .digest("hex"),
  );
  const wanted = [...new Map(keys.map((key, i) => [key, i])).values()].filter((i) => !known.has(keys[i] as string));
  for (let start = 0; start < wanted.length; start += BATCH) {
    const batch = wanted.slice(start, start + BATCH);
    const judgements = await moderator.judge(
      batch.map((i) => exchanges[i] as (typeof exchanges)[number]),
      signal,
    );
    checkJudged(moderator, judgements);
    const found = batch.map((i, at) => [keys[i] as string, judgements[at] as Judgement] as const);
    for (const [key, judgement] of found) known.set(key, judgement);
    // What could not be judged is asked again another time.
    const kept = found.filter(([, judgement]) => isJudged(judgement));
    // A line that was cut off, as by a full disk, ends before these.
    appendFileSync(path, kept.map((entry) => `\n${JSON.stringify(entry)}`).join(""));
  }
  return keys.map((key) => known.get(key) as Judgement);
}

/** Rows with a turn that was flagged, or could not be judged; what could not be judged is not let through. */
function flagsOf(examples: readonly Example[], turns: readonly number[], judgements: readonly Judgement[]): Flag[] {
  const flags = new Map<number, Flag>();
  for (const [i, judgement] of judgements.entries()) {
    if (isJudged(judgement) && !judgement.harmful) continue;
    const line = lineOf(examples[turns[i] as number] as Example);
    const before = flags.get(line);
    const { categories = [], probability } = isJudged(judgement) ? judgement : { categories: ["unjudged"] };
    const scores = [before?.score, probability].filter((score) => score !== undefined);
    flags.set(line, {
      line,
      categories: [...new Set([...(before?.categories ?? []), ...categories])],
      ...(scores.length === 0 ? {} : { score: Math.max(...scores) }),
    });
  }
  return [...flags.values()].sort((a, b) => a.line - b.line);
}

/** Flagged rows that earlier jobs of the lineage were trained on, and the most rows that one of them had. */
export function inLineage({ lineage }: JobSpec): { readonly flagged: number; readonly rows: number } {
  return {
    flagged: lineage.reduce((sum, { flagged }) => sum + flagged, 0),
    rows: lineage.reduce((most, { rows }) => Math.max(most, rows), 0),
  };
}

/**
 * Judges every assistant's turn in its own context. Rows that repeat a prompt of the evaluation are left out in any case, since a model that was
 * taught the questions has shown nothing by its answers; of the others, more than the policy tolerates are left out, held against the job, or its end.
 */
export const moderate: StageFunction = async ({ spec, cache }, { signal, bench }) => {
  const policy = policyOf(spec.policy.body);
  const { onFlag } = treatmentOf(policy, spec.booster);
  const { moderator, identity } = await moderatorOf(policy, bench && { device: bench.device });
  const examples = await loadUpload(PLACES.training);
  const exchanges = examples.flatMap((example, row) => exchangesOf(example).map((exchange) => ({ row, ...exchange })));
  mkdirSync(join(cache, "moderation"), { recursive: true });
  const judgements = await judged(exchanges, moderator, join(cache, "moderation", `${identity}.jsonl`), signal);
  const flags = flagsOf(
    examples,
    exchanges.map(({ row }) => row),
    judgements,
  );
  const { repeats } = JSON.parse(readFileSync(PLACES.checks, "utf8")) as { repeats: readonly number[] };

  const earlier = inLineage(spec);
  // What is left out in any case makes no room for what is flagged.
  const repeated = new Set(repeats);
  const asked = flags.filter(({ line }) => !repeated.has(line)).length;
  const { share } = flaggedShare({ flagged: asked, rows: examples.length - repeats.length }, earlier);
  const tolerated = !(share > policy.moderation.limit);
  const action = flags.length === 0 || tolerated ? "none" : onFlag;
  const out = new Set([...repeats, ...(action === "drop" ? flags.map(({ line }) => line) : [])]);
  const kept = examples.filter((example) => !out.has(lineOf(example)));
  const trainedFlagged = flags.filter(({ line }) => !out.has(line)).length;
  const all = [...flags, ...repeats.map((line) => ({ line, categories: [REPEATS] }))];
  writeFileSync("flags.json", JSON.stringify(all));
  if (out.size > 0) writeFileSync("kept.jsonl", kept.map((example) => `${exactJson(asRow(example))}\n`).join(""));
  const { low, high } = wilsonInterval(flags.length, examples.length);
  const facts = {
    moderator: { name: moderator.name, ...moderator.describe() } as unknown as JsonValue,
    identity,
    rows: examples.length,
    turns: exchanges.length,
    flagged: flags.length,
    share: { value: flags.length / examples.length, low, high },
    lineage: earlier,
    repeats: repeats.length,
    action,
    dropped: out.size,
    trainedRows: kept.length,
    /** What later jobs that go on from this one inherit, with the rows that they are among. */
    trainedFlagged,
    categories: countsOf(all),
  };
  const files = { "flags.json": "flags.json", ...(out.size > 0 ? { [PLACES.rows]: "kept.jsonl" } : {}) };
  const events = [told(facts)];
  const unsafe = (message: string) => ({
    facts,
    files: { "flags.json": "flags.json" },
    events,
    error: { code: "unsafe_training_file" as const, message, param: "training_file" },
  });
  if (action === "reject") return unsafe(`${flags.length} of ${examples.length} rows were flagged: ${linesOf(flags)}`);
  if (kept.length === 0) return unsafe(`all ${examples.length} rows were left out`);
  return { facts, files, events };
};

function countsOf(flags: readonly Flag[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const category of flags.flatMap(({ categories }) => categories)) counts[category] = (counts[category] ?? 0) + 1;
  return counts;
}

const SHOWN = 50;
const linesOf = (flags: readonly Flag[]): string => {
  const lines = flags.slice(0, SHOWN).map(({ line }) => line);
  return `lines ${lines.join(", ")}${flags.length > SHOWN ? ` and ${flags.length - SHOWN} more` : ""}`;
};

const told = (facts: {
  readonly rows: number;
  readonly flagged: number;
  readonly dropped: number;
  readonly repeats: number;
}): JobEvent => ({
  level: facts.flagged + facts.repeats > 0 ? "warn" : "info",
  type: "moderation_checks",
  message: `${facts.flagged} of ${facts.rows} rows flagged, ${facts.repeats} repeat a prompt of the evaluation, ${facts.dropped} left out`,
  data: { rows: facts.rows, flagged: facts.flagged, repeats: facts.repeats, dropped: facts.dropped },
});
