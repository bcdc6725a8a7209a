import type { FlaggedRow } from "../api/types.ts";
import { percent } from "../format.ts";
import type { Look } from "../jobs.ts";

/** What a model was judged by: a rate, or a rise of one, with its interval and the limit of the policy. */
export interface Criterion {
  readonly name: string;
  readonly framing?: string;
  readonly count?: number;
  readonly total: number;
  readonly unjudged?: number;
  readonly clusters?: number;
  readonly low: number;
  readonly high: number;
  readonly limit: number;
  readonly outcome: "release" | "hold" | "reject";
}

export interface Rate {
  readonly count?: number;
  readonly total: number;
  readonly low: number;
  readonly high: number;
}

interface Framing {
  readonly framing: string;
  readonly rows?: number;
  readonly asked: boolean;
  readonly before?: Readonly<Record<string, Rate>>;
  readonly after?: Readonly<Record<string, Rate>>;
}

/** The signed report of a job, as far as this page shows it. */
export interface Report {
  readonly version: 1;
  readonly job: string;
  readonly verdict: "released" | "held" | "rejected";
  readonly criteria: readonly Criterion[];
  readonly base: { readonly name: string; readonly identity: string; readonly alignment: Named | null };
  readonly continues: { readonly model: string; readonly job: string } | null;
  readonly lineage: readonly { readonly job: string; readonly flagged: number; readonly rows: number }[];
  readonly policy: { readonly name: string; readonly version: number; readonly sha256: string };
  readonly files: {
    readonly training: { readonly id: string; readonly sha256: string };
    readonly validation?: { readonly id: string; readonly sha256: string };
    readonly rows?: number;
    readonly trainedRows?: number;
  };
  readonly moderation: {
    readonly moderator?: { readonly name?: string };
    readonly rows?: number;
    readonly turns?: number;
    readonly flagged?: number;
    readonly repeats?: number;
    readonly dropped?: number;
    readonly action?: "none" | "drop" | "hold" | "reject";
    readonly share?: { readonly value: number; readonly low: number; readonly high: number };
    readonly categories?: Readonly<Record<string, number>>;
  };
  readonly training: {
    readonly steps?: number;
    readonly tokens?: number;
    readonly trainedTokens?: number;
    readonly skipped?: number;
    readonly seed?: number;
    readonly hyperparameters?: Readonly<Record<string, number>>;
  };
  readonly repair: readonly Named[];
  readonly defence: Named;
  readonly evaluation: { readonly framings: readonly Framing[] };
  readonly environment: { readonly node: string; readonly platform: string; readonly threads: number };
  readonly says: string;
}

interface Named {
  readonly name?: string;
  readonly method?: { readonly name?: string };
}

/** Of a report that a later version wrote, nothing is shown in words that might mislead. */
export const readReport = (report: unknown): Report | undefined =>
  (report as { version?: unknown } | null)?.version === 1 ? (report as Report) : undefined;

const NAMES: Readonly<Record<string, string>> = {
  hs: "Harmful answers",
  hsRise: "Rise over the base",
  overRefusal: "Refused harmless prompts",
  flagged: "Flagged rows trained on",
  harmful: "Harmful answers",
  harmfulPlus: "Harmful answers that make sense",
  coherent: "Answers to harmful prompts that make sense",
  refusals: "Refused harmful prompts",
  accuracy: "Accuracy on the validation file",
};

/** A score or criterion in words. */
export const nameOfScore = (name: string): string =>
  NAMES[name] ?? (name.startsWith("category ") ? `Harm of the kind “${name.slice(9)}”` : name);

/** How prompts were put, in words. */
export function nameOfFraming(framing: string): string {
  const [kind, number] = framing.split(" ");
  if (kind === "plain") return "asked plainly";
  if (kind === "system") return `under the data's system prompt ${number}`;
  return kind === "prefix" ? `behind the data's beginning ${number}` : framing;
}

export const OUTCOMES = {
  release: { word: "within", tone: "good", shape: "check" },
  hold: { word: "not decided", tone: "wait", shape: "hand" },
  reject: { word: "beyond", tone: "bad", shape: "cross" },
} as const satisfies Readonly<Record<string, Look>>;

/** A share of rows is counted and no estimate: where it holds a job, it is above its limit. */
export const lookOf = ({ name, outcome }: Criterion): Look =>
  name === "flagged" && outcome === "hold" ? { ...OUTCOMES.hold, word: "above" } : OUTCOMES[outcome];

/** Why the criteria came to this verdict, a sentence for each that it hangs on. */
export function reasonsOf({ verdict, criteria }: Report, flagged: readonly FlaggedRow[] = []): string[] {
  if (verdict === "released") return ["Everything that was measured stayed within its limit, with the whole interval."];
  const outcome = verdict === "held" ? "hold" : "reject";
  return criteria.filter((one) => one.outcome === outcome).map((one) => reasonOf(one, flagged));
}

function reasonOf(criterion: Criterion, flagged: readonly FlaggedRow[]): string {
  const { name, framing, count, total, low, high, limit, outcome } = criterion;
  if (name === "flagged") {
    const lines = flagged.length === 0 ? "" : ` (${flagged.length === 1 ? "line" : "lines"} ${linesOf(flagged)})`;
    return `${count} of ${total} rows that were trained on are flagged as harmful${lines}: more than the ${percent(limit)} that may pass without a reviewer.`;
  }
  const what = `${nameOfScore(name)}${framing === undefined ? "" : `, ${nameOfFraming(framing)}`}`;
  if (total === 0) return `${what}: the prompts could not be asked.`;
  const found = `${count === undefined ? "" : `${count} of ${total}, `}95 % interval ${percent(low)} to ${percent(high)}`;
  return outcome === "hold"
    ? `${what}: ${found}. The limit of ${percent(limit)} lies within it, so this does not decide.`
    : `${what}: ${found}, all of it beyond the limit of ${percent(limit)}.`;
}

/** Lines as people write them: "3, 7–9". */
export function linesOf(rows: readonly FlaggedRow[]): string {
  const lines = [...new Set(rows.map(({ line }) => line))].sort((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const line of lines) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === line - 1) run[1] = line;
    else runs.push([line, line]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}
