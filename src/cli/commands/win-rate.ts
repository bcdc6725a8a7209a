import { measureWinRate, WinRateOptions } from "../../stages/win-rate.ts";
import { defineCommand } from "../command.ts";
import { runLong } from "../long-run.ts";

/** `booster win-rate` */
export const command = defineCommand({
  details: `AlpacaEval's metric: how often a judging model prefers a model's answers to reference answers, asked in both orders, as it is and
as it would be at equal length. The answers are those that booster evaluate --keep-answers wrote down; the judge is any
OpenAI-compatible server, its key in BOOSTER_JUDGE_API_KEY.`,
  examples: [
    "booster win-rate runs/scores/answers.jsonl --references hf-data:tatsu-lab/alpaca_eval:alpaca_eval.json --judge.base-url http://127.0.0.1:8000/v1 --judge.model qwen  # against AlpacaEval's references",
  ],
  options: WinRateOptions,
  positional: ["answers"],
  async run(options, context) {
    const stop = { onSignal: "stopping", resume: context.typed };
    const found = await runLong(context, stop, (following) => measureWinRate(options, following));
    if (found === undefined) return;
    const { winRate, standardError, lengthControlled, compared, unjudged } = found;
    context.output.result({ ...found }, () =>
      [
        `${winRate.toFixed(1)} % of ${compared} comparisons won (standard error ${standardError.toFixed(1)})`,
        ...(lengthControlled === undefined ? [] : [`${lengthControlled.toFixed(1)} % at equal length`]),
        ...(unjudged === 0 ? [] : [`${unjudged} without a verdict`]),
      ].join("\n"),
    );
  },
});
