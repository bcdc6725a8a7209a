export { type Aggregate, aggregate, type Cell, type MethodSummary, type WorstCase } from "./aggregate.ts";
export { type Comparison, compared } from "./compare.ts";
export { renderCsv } from "./csv.ts";
export { type Durability, durability } from "./durability.ts";
export type { Estimate } from "./estimate.ts";
export { findings, headline, worstCases } from "./findings.ts";
export { comparisonHtml, renderHtml } from "./html.ts";
export { renderLatex } from "./latex.ts";
export { liveEvent, livePage, livePolicy } from "./live.ts";
export { comparisonMarkdown, renderMarkdown } from "./markdown.ts";
export { merged, type Placed, placed } from "./merge.ts";
export {
  type ExperimentResult,
  type ExperimentResultInput,
  ExperimentResultSchema,
  parseResult,
  type RunDataEntry,
  renderJson,
} from "./result.ts";
export { moderatorText } from "./tables.ts";
export { comparisonText, renderTerminalTable } from "./terminal.ts";
