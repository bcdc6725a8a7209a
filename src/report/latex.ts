import { aggregate, cellAt } from "./aggregate.ts";
import type { Estimate } from "./estimate.ts";
import { counted, decimal } from "./format.ts";
import type { ExperimentResult } from "./result.ts";
import { moderatorText } from "./tables.ts";

const LATEX: Readonly<Record<string, string>> = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
};

/** Text that LaTeX prints as it is. */
export const escapeLatex = (text: string): string =>
  text.replace(/\s+/g, " ").replace(/[\\{}$&#%_~^]/g, (character) => LATEX[character] ?? `\\${character}`);

/** Mean and ends of the interval, which may be cut off at 0 or 100 and so has no half-width. */
function cell(estimate: Estimate | undefined): string {
  if (estimate === undefined) return "--";
  const { mean, low, high } = estimate;
  return `${decimal(mean)} {\\scriptsize [${decimal(low)}, ${decimal(high)}]}`;
}

/** The main table (HS and FA, methods by attack strengths) for a paper; needs the package booktabs. */
export function renderLatex(result: ExperimentResult): string {
  const found = aggregate(result);
  const pairs = result.strengths.map(({ label }) => `\\multicolumn{2}{c}{${escapeLatex(label)}}`);
  const rules = result.strengths.map((_, i) => `\\cmidrule(lr){${2 * i + 2}-${2 * i + 3}}`);
  const rows = result.methods.map((method) => {
    const scores = result.strengths.flatMap((strength) => {
      const after = cellAt(found, method, strength)?.after;
      return [cell(after?.harmful), cell(after?.accuracy)];
    });
    return `${escapeLatex(method.name)} & ${scores.join(" & ")} \\\\`;
  });
  return [
    "% Needs \\usepackage{booktabs}",
    "\\begin{table}",
    "\\centering",
    `\\caption{${escapeLatex(result.title)}. Harmful score (HS, lower is better) and fine-tuning accuracy (FA, higher is better) after the attack, in per cent; means over ${counted(found.seeds.length, "seed")} with 95\\,\\% intervals. Moderator: ${escapeLatex(moderatorText(result.moderator))}.}`,
    `\\begin{tabular}{l${"rr".repeat(result.strengths.length)}}`,
    "\\toprule",
    `Attack & ${pairs.join(" & ")} \\\\`,
    rules.join(" "),
    `Method & ${result.strengths.map(() => "HS & FA").join(" & ")} \\\\`,
    "\\midrule",
    ...rows,
    "\\bottomrule",
    "\\end{tabular}",
    "\\end{table}",
    "",
  ].join("\n");
}
