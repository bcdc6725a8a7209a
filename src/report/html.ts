import { type Aggregate, aggregate } from "./aggregate.ts";
import { renderChart, renderLegend } from "./chart.ts";
import type { Comparison } from "./compare.ts";
import { percent } from "./estimate.ts";
import {
  alignmentPanels,
  attackPanels,
  durabilityFigure,
  type Figure,
  type Panel,
  strengthFigure,
  tellingStrength,
  utilityFigure,
} from "./figures.ts";
import { accuracyTitle, alignmentTitle, attackTitle, findings, headline, worstCases } from "./findings.ts";
import { counted } from "./format.ts";
import { greyOf } from "./ranking.ts";
import type { ExperimentResult, StrengthEntry } from "./result.ts";
import { STYLE } from "./style.ts";
import { element, escapeHtml } from "./svg.ts";
import { cellOf, type Table, type TableCell } from "./table.ts";
import { DEFINITIONS, tablesOf } from "./tables.ts";

/** Escaped text in which "50 %" and "5e-5" are not broken across lines. */
const prose = (text: string): string =>
  escapeHtml(text.replaceAll(" %", "\u00a0%")).replace(/\b[\d.]+e-\d+/g, '<span class="whole">$&</span>');
const paragraph = (text: string, name = ""): string => element("p", name === "" ? {} : { class: name }, prose(text));
const heading = (text: string): string => element("h2", {}, prose(text));
const definitions = (pairs: readonly (readonly [term: string, meaning: string])[]): string[] =>
  pairs.map(([term, meaning]) => element("dt", {}, escapeHtml(term)) + element("dd", {}, escapeHtml(meaning)));

const COLUMN_CLASS = { words: "words", prose: "prose", number: "num" } as const;

type Row = Table["rows"][number];

/** A file of a run, seen from the page: no name in a path is more than a name. */
const linkTo = (folder: string, file: string): string =>
  `./${[...folder.split("/"), file].map((name) => (name === ".." ? name : encodeURIComponent(name))).join("/")}`;

/** The single values, each a way to what it was measured in. */
function renderRuns(runs: NonNullable<TableCell["runs"]>): string {
  const links = runs.map(({ text, folder }) =>
    element("a", { href: linkTo(folder, "evaluation.json") }, escapeHtml(text)),
  );
  return links.length === 0 ? "" : element("small", { class: "runs" }, links.join(" "));
}

function renderRow(row: Row, columns: Table["columns"], previous: Row | undefined): string {
  const cells = row.map((given, i) => {
    const { text, note, harm = 0, runs = [] } = cellOf(given);
    const small = note === undefined ? "" : element("small", {}, escapeHtml(note));
    const content = escapeHtml(text) + small + renderRuns(runs);
    if (i === 0) return element("th", { scope: "row" }, content);
    const name = COLUMN_CLASS[columns[i]?.kind ?? "words"];
    // Narrow screens show a row as a list, in which each value needs its name.
    const label = { "data-label": columns[i]?.text ?? "" };
    const tint = { class: `${name} tint`, style: `--a:${(0.04 + 0.0026 * harm).toFixed(3)}` };
    return element("td", { ...label, ...(harm < 0.5 ? { class: name } : tint) }, element("span", {}, content));
  });
  const first = (of: Row) => cellOf(of[0] ?? "").text;
  const same = previous !== undefined && first(previous) === first(row);
  return element("tr", same ? { class: "same" } : {}, cells.join(""));
}

function renderTable({ title, caption, columns, rows }: Table): string {
  const head = columns.map(({ text, kind }) =>
    element("th", { scope: "col", ...(kind === "number" ? { class: "num" } : {}) }, escapeHtml(text)),
  );
  const body = rows.map((row, i) => renderRow(row, columns, rows[i - 1]));
  const parts = element("thead", {}, element("tr", {}, head.join(""))) + element("tbody", {}, body.join(""));
  const note = caption === "" ? "" : paragraph(caption, "soft");
  return heading(title) + note + element("div", { class: "scroll" }, element("table", {}, parts));
}

/** The chart twice, for wide and for narrow screens; the style sheet shows one of them, so that letters never shrink. */
function renderFigure(id: string, figure: Figure, height: number, named = true): string {
  const wide = (named ? "" : renderLegend(figure.series)) + renderChart({ ...figure, id, width: 896, height, named });
  const narrow = renderChart({ ...figure, id: `${id}-narrow`, width: 344, height: 300, named: false });
  const both = element("div", { class: "wide" }, wide);
  return element("figure", {}, both + element("div", { class: "narrow" }, renderLegend(figure.series) + narrow));
}

function renderPanels(id: string, panels: readonly Panel[]): string {
  const figures = panels.map(({ title, figure }, i) => {
    const chart = renderChart({ ...figure, id: `${id}-${i}`, width: 434, height: 270, named: true });
    return element("figure", {}, element("h3", {}, escapeHtml(title)) + chart);
  });
  return element("div", { class: "panels" }, figures.join(""));
}

function renderFacts({ result, seeds }: Aggregate): string {
  const { accuracy, name } = result.moderator;
  const right = accuracy === undefined ? "" : ` (${percent(accuracy).toFixed(1)} % right, held out)`;
  const facts = definitions([
    ["Model", result.model],
    ["User task", result.task],
    ["Threat model", result.threatModel === "service" ? "Service" : "Open weights"],
    ["Moderator", `${name}${right}`],
    ["Seeds", String(seeds.length)],
  ]);
  return element("dl", { class: "facts" }, facts.map((fact) => element("div", {}, fact)).join(""));
}

function headlineCaption({ result, seeds }: Aggregate): string {
  const prompts = result.runs[0]?.after.harmful.total ?? 0;
  const intervals =
    seeds.length > 1
      ? `Large marks: mean of ${counted(seeds.length, "seed")}; bars: 95 % interval; dots: single seeds.`
      : "One seed; bars: 95 % interval over prompts.";
  const grey = greyOf(result);
  const behind =
    grey === 0
      ? ""
      : ` Named: the reference, trivial baselines and the most lasting defences; grey: ${counted(grey, "other")}.`;
  return `Harmful score after the attack: share of answers to ${prompts} unseen harmful prompts that the moderator flags. ${intervals}${behind}`;
}

/** The attack worth a close look, and the others to unfold. */
function renderAttacks(found: Aggregate, shown: StrengthEntry): string[] {
  const cells = found.cells.filter((cell) => cell.strength === shown);
  const others = found.result.strengths
    .filter((strength) => strength !== shown)
    .flatMap((strength, i) => {
      const panels = attackPanels(found, strength);
      const summary = element("summary", {}, escapeHtml(`The attack at ${strength.label}`));
      return panels.length === 0 ? [] : [element("details", {}, summary + renderPanels(`attack-${i}`, panels))];
    });
  return [
    heading(attackTitle(found, cells)) +
      paragraph(`Attack at ${shown.label}. Thick lines: mean over seeds; thin lines: single seeds.`, "soft") +
      renderPanels("attack", attackPanels(found, shown)),
    others.join(""),
  ];
}

/**
 * The report as one HTML page that needs nothing else: no scripts, no fonts, no images, no network. Light and dark, narrow and paper.
 *
 * @example
 * await writeFile("report.html", renderHtml(parseResult(JSON.parse(text))));
 */
export function renderHtml(result: ExperimentResult): string {
  const found = aggregate(result);
  const { main, details } = tablesOf(found);
  const telling = tellingStrength(found);
  const accuracy = strengthFigure(found, "accuracy", "Fine-tuning accuracy, %");
  const utility = utilityFigure(found);
  const alignment = alignmentPanels(found);
  const durable = durabilityFigure(found);
  const remarks = [...findings(found), ...result.notes].map((remark) => element("li", {}, prose(remark)));
  const body = [
    paragraph(result.title, "kicker"),
    element("h1", {}, prose(headline(found))),
    paragraph(`${worstCases(found)}.`, "lead"),
    renderFacts(found),
    renderFigure("harm", strengthFigure(found, "harmful", "Harmful score (HS), %"), 430),
    paragraph(headlineCaption(found), "soft"),
    remarks.length === 0 ? "" : element("ul", { class: "findings" }, remarks.join("")),
    ...main.map(renderTable),
    durable === undefined ? "" : renderFigure("durability", durable, 320),
    ...(accuracy.series.length === 0 ? [] : [heading(accuracyTitle(found)), renderFigure("accuracy", accuracy, 340)]),
    ...(utility === undefined
      ? []
      : [
          heading("Harm at equal utility: lower right is better"),
          paragraph("Means over seeds. Along each path the marks grow with the strength of the attack.", "soft"),
          renderFigure("utility", utility, 380, false),
        ]),
    ...(telling === undefined ? [] : renderAttacks(found, telling)),
    ...(alignment.length === 0 ? [] : [heading(alignmentTitle(found)), renderPanels("alignment", alignment)]),
    ...details.map(renderTable),
    heading("Terms"),
    element("dl", { class: "terms" }, definitions(DEFINITIONS).join("")),
  ];
  return renderPage(result.title, body);
}

/** Two experiments beside each other, as a page. */
export const comparisonHtml = ({ headline, tables }: Comparison): string =>
  renderPage("Comparison", [
    paragraph("Comparison", "kicker"),
    element("h1", {}, prose(headline)),
    ...tables.map(renderTable),
  ]);

function renderPage(title: string, body: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>
${STYLE}
</style>
</head>
<body>
<main>
${body.filter((part) => part !== "").join("\n")}
</main>
</body>
</html>
`;
}
