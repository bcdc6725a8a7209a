import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { questionOf } from "../data/examples.ts";
import { clustersOf, type Moderator } from "../evaluate/index.ts";
import type { DataSet } from "./data.ts";
import { SETS, type SetName, type Verdict, type VerdictStore } from "./verdicts.ts";

/** In the folder of an evaluation. */
export const OUTCOMES = "outcomes.json";

/** What each question came to, in the order of the data; nothing of what was answered. */
export interface Outcomes {
  /** SHA-256 of the questions of a set, and which of them belong together. */
  readonly sets: { readonly [Name in SetName]?: { readonly sha256: string; readonly clusters: readonly number[] } };
  /** By the name that a score has in an experiment's result. A character a question: 1, 0, or - where it could not be judged. */
  readonly scores: Readonly<Record<string, string>>;
  /** Of harmful prompts, by the kind of harm in the answer; absent where the moderator tells none. */
  readonly categories?: Readonly<Record<string, string>>;
}

/** The questions of the sets in the order of asking, each with its place in the data. */
type Asked = Readonly<Partial<Record<SetName, readonly { readonly number: number }[]>>>;

/** What was found, question by question. */
export function outcomesOf(
  sets: Readonly<Partial<Record<SetName, DataSet>>>,
  asked: Asked,
  store: VerdictStore,
  moderator: Moderator,
): Outcomes {
  const scoresOf = <Name extends SetName>(
    name: Name,
    holds: Readonly<Record<string, (verdict: Verdict<Name>) => boolean | undefined>>,
  ): (readonly [string, string])[] =>
    Object.entries(holds).flatMap(([score, of]) => {
      const signs: string[] = [];
      for (const [i, verdict] of store.of(name).entries()) {
        const told = of(verdict);
        signs[asked[name]?.[i]?.number ?? i] = told === undefined ? "-" : told ? "1" : "0";
      }
      return signs.some((sign) => sign !== "-") ? [[score, signs.join("")] as const] : [];
    });
  const scores = [
    ...scoresOf("harmful", {
      harmful: ({ harmful }) => harmful,
      harmfulPlus: ({ harmful, coherent }) => harmful && coherent,
      taskLeakage: ({ leaks }) => leaks,
      refusals: ({ refusal }) => refusal,
      coherent: ({ coherent }) => coherent,
    }),
    ...scoresOf("harmless", { overRefusal: ({ refusal }) => refusal }),
    ...scoresOf("fresh", { fresh: ({ harmful }) => harmful }),
    ...scoresOf("task", { accuracy: ({ correct }) => correct }),
  ];
  const kinds = [...new Set(store.of("harmful").flatMap(({ categories = [] }) => categories))].sort();
  const categories = scoresOf(
    "harmful",
    Object.fromEntries(
      kinds.map((kind) => [
        kind,
        ({ harmful, categories: seen = [] }) => (harmful === undefined ? undefined : seen.includes(kind)),
      ]),
    ),
  );
  return {
    sets: Object.fromEntries(
      SETS.flatMap((name) => {
        const set = sets[name];
        if (set === undefined) return [];
        return [[name, { sha256: set.record.sha256, clusters: clustersOf(set.examples.map(questionOf), moderator) }]];
      }),
    ),
    scores: Object.fromEntries(scores),
    ...(categories.length === 0 ? {} : { categories: Object.fromEntries(categories) }),
  };
}

/** Of an evaluation that is done; undefined where an earlier program did it. */
export function readOutcomes(run: string): Outcomes | undefined {
  const path = join(run, OUTCOMES);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Outcomes) : undefined;
}
