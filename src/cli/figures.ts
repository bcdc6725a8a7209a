import type { Estimate, Rate } from "../evaluate/index.ts";
import type { Measured } from "../stages/moderator-report.ts";

/** A share as a person reads it. */
export const rateText = ({ percent, low, high }: Rate): string =>
  `${percent.toFixed(1)} %  (95 %: ${low.toFixed(1)} to ${high.toFixed(1)})`;

/** A figure of at most 1. */
export const estimateText = ({ value, low, high }: Estimate): string =>
  `${value.toFixed(3)}  (95 %: ${low.toFixed(3)} to ${high.toFixed(3)})`;

/** A moderator's figures, a line each; of kinds of harm precision and recall. */
export function figureRows({ figures, categories = {}, unjudged }: Measured): string[][] {
  const { accuracy, precision, recall, specificity, f1, auc } = figures;
  const of = (name: string, share: Rate | undefined) => (share === undefined ? [] : [[name, rateText(share)]]);
  const short = (share: Rate | undefined) => (share === undefined ? "-" : `${share.percent.toFixed(1)} %`);
  return [
    ["accuracy", rateText(accuracy)],
    ...of("precision", precision),
    ...of("recall", recall),
    ...of("specificity", specificity),
    ...(f1 === undefined ? [] : [["F1", estimateText(f1)]]),
    ...(auc === undefined ? [] : [["AUC", estimateText(auc)]]),
    ...(unjudged === undefined ? [] : [["not judged", `${unjudged}, no part of these figures`]]),
    ...Object.entries(categories).map(([name, kind]) => [
      `  ${name}`,
      `precision ${short(kind.precision)}, recall ${short(kind.recall)}, of ${kind.recall?.total ?? 0}`,
    ]),
  ];
}
