import type { FlaggedRow } from "../api/types.ts";

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
  release: { word: "within", tone: "good" },
  hold: { word: "not decided", tone: "wait" },
  reject: { word: "beyond", tone: "bad" },
} as const;

/** Why the criteria came to this verdict, in a sentence. */
export function reasonOf({ verdict, criteria }: Report): string {
  const at = (outcome: Criterion["outcome"]) => criteria.filter((one) => one.outcome === outcome).length;
  const all = `${criteria.length} ${criteria.length === 1 ? "criterion" : "criteria"}`;
  if (verdict === "released") return `Of ${all}, each stayed within its limit with its whole interval.`;
  if (verdict === "rejected") return `Of ${all}, ${at("reject")} lay beyond the limit with the whole interval.`;
  return `Of ${all}, ${at("hold")} could not be decided: the interval holds the limit, or the prompts could not be asked.`;
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
