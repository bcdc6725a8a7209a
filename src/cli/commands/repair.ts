import { inChild } from "../../experiments/in-child.ts";
import { RepairOptions } from "../../stages/options.ts";
import type { RepairReport } from "../../stages/repair.ts";
import { defineCommand } from "../command.ts";
import { resumed, runLong } from "../long-run.ts";
import { columns } from "../output.ts";

function describe({ version: _, method, normBefore, normAfter, moved, ...own }: RepairReport, adapter: string): string {
  const number = (value: number | string) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value);
  return [
    columns([
      ["repair", method],
      ["norm of the change, before", number(normBefore)],
      ["after", number(normAfter)],
      ["moved by", number(moved)],
      ...Object.entries(own).map(([name, value]) => [name, number(value)]),
    ]),
    `\nadapter: ${adapter}`,
  ].join("\n");
}

/** `booster repair` */
export const command = defineCommand({
  details: `Changes what fine-tuning made of an aligned model once, without training, and publishes what comes out, which takes its
place: pruning (antidote), projection onto the alignment (safelora), or the two trivial baselines that a defence must
beat (shrink, noise). An alignment's own adapter can be changed too, before anything is fine-tuned on it (lox). The run's folder also holds repair.json: how long the change was before and after.`,
  examples: [
    "booster repair --run runs/repaired --model runs/attack --method antidote --method.dense-ratio 0.05 --harmful bad.jsonl  # prune what harmful rows excite",
    "booster repair --config repair.yaml --method safelora --method.number 20 --run runs/projected --json  # another repair of the same adapter, for a program",
    "booster repair --run runs/extrapolated --model runs/sft --method lox --method.rank 6  # carry an alignment on along its strongest directions, before the user's fine-tuning",
  ],
  options: RepairOptions,
  async run(options, context) {
    const stop = { onSignal: "stopping before the next row", resume: resumed(context.typed) };
    const found = await runLong(context, stop, (following) => inChild("repair", options, following));
    if (found !== undefined) context.output.result({ ...found }, () => describe(found.report, found.adapter));
  },
});
