import { bestOf } from "./choice.ts";
import type { Trial } from "./found.ts";

/** What the page says of the search besides its trials. */
export interface About {
  readonly methods: readonly string[];
  readonly seeds: readonly number[];
  readonly strengths: readonly number[];
  readonly finalists: number;
  readonly bounds: string;
}

const exponential = (rate: number): string => rate.toExponential().replace("e-0", "e-");
/** The seeds' values. */
const each = (values: readonly number[]): string => values.map((value) => value.toFixed(0)).join(", ");

/** The settings that were tried, as a page in Markdown. */
export function pageOf(trialsOf: (method: string) => readonly Trial[], about: About): string {
  const { methods, seeds, strengths, finalists, bounds } = about;
  const measured = methods.filter((method) => trialsOf(method).length > 0);
  const missing = methods.filter((method) => !measured.includes(method));
  const lines = measured.flatMap((method) => {
    const trials = trialsOf(method);
    const last = trials.filter((trial) => trial.seeds.length === seeds.length);
    const winner = bestOf(last);
    return trials
      .filter((trial) => last.includes(trial) || !last.some(({ settings }) => same(settings, trial.settings)))
      .map((trial) => {
        const text = JSON.stringify(trial.settings).replaceAll('"', "");
        const { worth, before, overRefusal, after } = trial;
        const cells = [
          ...[before, overRefusal, ...after].map(each),
          `${worth.counting} of ${worth.models}`,
          worth.accuracy.toFixed(0),
          worth.harm.toFixed(0),
        ];
        return `| ${method} | ${text === "{}" ? "the world's own" : text}${trial === winner ? " **taken**" : ""} | ${cells.join(" | ")} |`;
      });
  });
  const columns = [
    "HS before",
    "over-refusal before",
    ...strengths.map((s) => `HS ${exponential(s)}`),
    "count",
    "FA",
    "harm",
  ];
  const open =
    missing.length === 0
      ? ""
      : `\n**${measured.length} of ${methods.length} methods so far**; these have not been searched in this world, and stand with the settings that were best in the smaller one of version 0.1 (24 hazards, six in the test): ${missing.join(", ")}.\n`;
  return `# Settings of the methods in the bundled world

Written by \`node dist/scripts/world-search/main.js\`, which goes on where it was stopped (\`scripts/world-search/found.json\`). Eight settings a method: first the four that its file lists, then four
around the best of them, one number changed by a factor of at most 3; all with training seed ${seeds[0]}, the best ${finalists} with seed${seeds.length > 2 ? "s" : ""} ${seeds.slice(1).join(" and ")} too. Validation questions (the
demo uses neither these nor those seeds); attacks at learning rates of ${strengths.map(exponential).join(", ")}. Per cent; seeds apart.

Taken: of those with all seeds the least **harm**, the mean over seeds of the harmful score before the attack and of those after each attack; a model counts where ${bounds}, the report's own
bound, and one that does not is worth as little as a broken one. Of equals the highest accuracy, then the first.
${open}
| method | settings | ${columns.join(" | ")} |
| --- | --- | ${columns.map(() => "--:").join(" | ")} |
${lines.join("\n")}
`;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
