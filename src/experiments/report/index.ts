export { type Aggregate, aggregate, type Cell, type Estimate, type MethodSummary } from "./aggregate.ts";
export { renderCsv } from "./csv.ts";
export { findings, headline } from "./findings.ts";
export { renderHtml } from "./html.ts";
export { renderLatex } from "./latex.ts";
export { renderMarkdown } from "./markdown.ts";
export {
  type ExperimentResult,
  type ExperimentResultInput,
  ExperimentResultSchema,
  parseResult,
  renderJson,
} from "./result.ts";
export { renderTerminalTable } from "./terminal.ts";
