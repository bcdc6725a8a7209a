import { type Aggregate, aggregate } from "./aggregate.ts";
import { renderChart, renderLegend } from "./chart.ts";
import { durabilityFigure, durabilityTable } from "./durability.ts";
import {
  alignmentPanels,
  attackPanels,
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
import {
  type ColumnKind,
  DEFINITIONS,
  dataTable,
  detailTable,
  harmTable,
  methodTable,
  settingsTable,
  strengthTable,
  summaryTable,
  type Table,
  type TableCell,
  usefulnessTable,
} from "./tables.ts";

/** Escaped text in which "50 %" and "5e-5" are not broken across lines. */
const prose = (text: string): string =>
  escapeHtml(text.replaceAll(" %", "\u00a0%")).replace(/\b[\d.]+e-\d+/g, '<span class="whole">$&</span>');
const paragraph = (text: string, name = ""): string => element("p", name === "" ? {} : { class: name }, prose(text));
const heading = (text: string): string => element("h2", {}, prose(text));

const COLUMN_CLASS = { words: "words", prose: "prose", number: "num" } as const;

function renderCell(cell: TableCell, kind: ColumnKind): string {
  const tint = cell.harm === undefined || cell.harm < 0.5 ? undefined : (0.04 + 0.0026 * cell.harm).toFixed(3);
  const name = [COLUMN_CLASS[kind], tint === undefined ? "" : "tint"].join(" ").trim();
  const attributes = {
    ...(name === "" ? {} : { class: name }),
    ...(tint === undefined ? {} : { style: `--a:${tint}` }),
  };
  const note = cell.note === undefined ? "" : element("small", {}, escapeHtml(cell.note));
  return element("td", attributes, escapeHtml(cell.text) + note);
}

function renderRow(row: readonly TableCell[], table: Table, previous: readonly TableCell[] | undefined): string {
  const [first = { text: "" }, ...rest] = row;
  const note = first.note === undefined ? "" : element("small", {}, escapeHtml(first.note));
  const cells = rest.map((cell, i) => renderCell(cell, table.columns[i + 1]?.kind ?? "words"));
  const same = previous?.[0]?.text === first.text;
  return element(
    "tr",
    same ? { class: "same" } : {},
    element("th", { scope: "row" }, escapeHtml(first.text) + note) + cells.join(""),
  );
}

function renderTable(table: Table): string {
  const head = table.columns.map(({ text, kind }) =>
    element("th", { scope: "col", ...(kind === "number" ? { class: "num" } : {}) }, escapeHtml(text)),
  );
  const rows = table.rows.map((row, i) => renderRow(row, table, table.rows[i - 1]));
  const grid = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, head.join(""))) + element("tbody", {}, rows.join("")),
  );
  return (
    heading(table.title) +
    (table.caption === "" ? "" : paragraph(table.caption, "soft")) +
    element("div", { class: "scroll" }, grid)
  );
}

/** The chart twice, for wide and for narrow screens; the style sheet shows one of them, so that letters never shrink. */
function renderFigure(id: string, figure: Figure, height: number, named = true): string {
  const wide = (named ? "" : renderLegend(figure.series)) + renderChart({ ...figure, id, width: 896, height, named });
  const narrow = renderChart({ ...figure, id: `${id}-narrow`, width: 344, height: 300, named: false });
  return element(
    "figure",
    {},
    element("div", { class: "wide" }, wide) + element("div", { class: "narrow" }, renderLegend(figure.series) + narrow),
  );
}

const renderPanels = (id: string, panels: readonly Panel[]): string =>
  element(
    "div",
    { class: "panels" },
    panels
      .map(({ title, figure }, i) =>
        element(
          "figure",
          {},
          element("h3", {}, escapeHtml(title)) +
            renderChart({ ...figure, id: `${id}-${i}`, width: 434, height: 270, named: true }),
        ),
      )
      .join(""),
  );

function renderFacts(result: ExperimentResult, { seeds }: Aggregate): string {
  const accuracy = result.moderator.accuracy;
  const right =
    accuracy === undefined ? "" : ` (${((100 * accuracy.count) / accuracy.total).toFixed(1)} % right, held out)`;
  const facts = [
    ["Model", result.model],
    ["User task", result.task],
    ["Threat model", result.threatModel === "service" ? "Service" : "Open weights"],
    ["Moderator", `${result.moderator.name}${right}`],
    ["Seeds", String(seeds.length)],
  ];
  const entries = facts.map(([name = "", value = ""]) =>
    element("div", {}, element("dt", {}, escapeHtml(name)) + element("dd", {}, escapeHtml(value))),
  );
  return element("dl", { class: "facts" }, entries.join(""));
}

function headlineCaption(result: ExperimentResult, { seeds }: Aggregate): string {
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

function renderAttack(result: ExperimentResult, found: Aggregate, strength: StrengthEntry): string {
  const cells = found.cells.filter((cell) => cell.strength === strength);
  return (
    heading(attackTitle(result, cells)) +
    paragraph(`Attack at ${strength.label}. Thick lines: mean over seeds; thin lines: single seeds.`, "soft") +
    renderPanels("attack", attackPanels(result, found, strength))
  );
}

function renderOtherAttacks(result: ExperimentResult, found: Aggregate, shown: StrengthEntry): string {
  return result.strengths
    .filter((strength) => strength !== shown)
    .map((strength, i) => ({ strength, panels: attackPanels(result, found, strength), id: `attack-${i}` }))
    .filter(({ panels }) => panels.length > 0)
    .map(({ strength, panels, id }) =>
      element(
        "details",
        {},
        element("summary", {}, escapeHtml(`The attack at ${strength.label}`)) + renderPanels(id, panels),
      ),
    )
    .join("");
}

/**
 * The report as one HTML page that needs nothing else: no scripts, no fonts, no images, no network. Light and dark, narrow and paper.
 *
 * @example
 * await writeFile("report.html", renderHtml(parseResult(JSON.parse(text))));
 */
export function renderHtml(result: ExperimentResult): string {
  const found = aggregate(result);
  const telling = tellingStrength(result, found);
  const accuracy = strengthFigure(result, found, "accuracy", "Fine-tuning accuracy, %");
  const utility = utilityFigure(result, found);
  const alignment = alignmentPanels(result, found);
  const durable = durabilityFigure(result, found);
  const data = dataTable(result);
  const remarks = [...findings(result, found), ...result.notes];
  const body = [
    paragraph(result.title, "kicker"),
    element("h1", {}, prose(headline(result, found))),
    paragraph(`${worstCases(result, found)}.`, "lead"),
    renderFacts(result, found),
    renderFigure("harm", strengthFigure(result, found, "harmful", "Harmful score (HS), %"), 430),
    paragraph(headlineCaption(result, found), "soft"),
    remarks.length === 0
      ? ""
      : element("ul", { class: "findings" }, remarks.map((remark) => element("li", {}, prose(remark))).join("")),
    renderTable(summaryTable(result, found)),
    renderTable(harmTable(result, found)),
    renderTable(durabilityTable(result, found)),
    ...(durable === undefined ? [] : [renderFigure("durability", durable, 320)]),
    ...(accuracy.series.length === 0
      ? []
      : [heading(accuracyTitle(result, found)), renderFigure("accuracy", accuracy, 340)]),
    ...(utility === undefined
      ? []
      : [
          heading("Harm at equal utility: lower right is better"),
          paragraph("Means over seeds. Along each path the marks grow with the strength of the attack.", "soft"),
          renderFigure("utility", utility, 380, false),
        ]),
    ...(telling === undefined
      ? []
      : [renderAttack(result, found, telling), renderOtherAttacks(result, found, telling)]),
    ...(alignment.length === 0 ? [] : [heading(alignmentTitle(result)), renderPanels("alignment", alignment)]),
    renderTable(detailTable(found)),
    renderTable(usefulnessTable(found)),
    renderTable(methodTable(result)),
    renderTable(strengthTable(result)),
    ...(data === undefined ? [] : [renderTable(data)]),
    renderTable(settingsTable(result, found)),
    heading("Terms"),
    element(
      "dl",
      { class: "terms" },
      DEFINITIONS.map(
        ([term, meaning]) => element("dt", {}, escapeHtml(term)) + element("dd", {}, escapeHtml(meaning)),
      ).join(""),
    ),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(result.title)}</title>
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
