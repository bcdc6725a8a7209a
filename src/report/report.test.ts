import { describe, expect, test } from "vitest";
import { syntheticResult } from "../../test/report/synthetic-result.ts";
import {
  type ExperimentResult,
  parseResult,
  renderCsv,
  renderHtml,
  renderJson,
  renderLatex,
  renderMarkdown,
  renderTerminalTable,
} from "./index.ts";

const result = syntheticResult();
const NASTY = `=cmd|' /C'!A1 <script>alert("x")</script> & $x_1 {y} \\z \u001b[31m ~^#%`;

/** The same experiment with hostile text wherever text can stand. */
const nasty: ExperimentResult = {
  ...result,
  title: NASTY,
  model: NASTY,
  task: NASTY,
  moderator: { name: NASTY, method: NASTY },
  notes: [NASTY],
  settings: [{ name: NASTY, value: NASTY }],
  methods: result.methods.map((method) => ({
    ...method,
    name: `${NASTY} ${method.id}`,
    hyperparameters: { [NASTY]: NASTY },
  })),
  strengths: result.strengths.map((strength) => ({ ...strength, label: `${NASTY} ${strength.id}` })),
};

const formats = { renderHtml, renderMarkdown, renderCsv, renderLatex, renderJson, renderTerminalTable };

test.each(Object.entries(formats))("%s: same result, same bytes; no holes", (_, render) => {
  expect(render(result)).toBe(render(syntheticResult()));
  expect(render(result)).not.toMatch(/undefined|NaN|\[object|Infinity/);
});

describe("HTML", () => {
  const page = renderHtml(result);

  test("needs nothing but itself", () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|https?:|javascript:|\son\w+=/i);
  });

  test("balances its tags and repeats no id", () => {
    const open: string[] = [];
    const bare = page.replace(/<style>[\s\S]*?<\/style>/, "").replace(/<!doctype html>|<meta[^>]*>/g, "");
    for (const [, slash, name = ""] of bare.matchAll(/<(\/?)([a-z0-9]+)[^>]*>/gi)) {
      if (slash === "") open.push(name);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("draws every method in every main chart and names it", () => {
    const headlineChart = /<svg[^>]*aria-labelledby="harm-title"[\s\S]*?<\/svg>/.exec(page)?.[0] ?? "";
    for (const [slot, { name }] of result.methods.entries()) {
      expect(headlineChart).toContain(`class="name">${name}<`);
      expect(headlineChart).toContain(`<g class="s${slot}">`);
    }
    expect(page.match(/class="interval"/g)?.length).toBeGreaterThan(20);
  });

  test("keeps every mark within its picture", () => {
    for (const [, width, height, body = ""] of page.matchAll(/<svg viewBox="0 0 (\d+) (\d+)"([\s\S]*?)<\/svg>/g)) {
      for (const [, x, y] of body.matchAll(/translate\((-?[\d.]+) (-?[\d.]+)\)"/g)) {
        expect(Number(x)).toBeGreaterThanOrEqual(0);
        expect(Number(x)).toBeLessThanOrEqual(Number(width));
        expect(Number(y)).toBeGreaterThanOrEqual(0);
        expect(Number(y)).toBeLessThanOrEqual(Number(height));
      }
    }
  });

  test("stays small with long curves", () => {
    const [alignment] = result.alignments;
    const curve = Array.from({ length: 20_000 }, (_, step) => ({ step, loss: 1 + Math.sin(step) }));
    const long = parseResult({ ...result, alignments: [{ method: alignment?.method, seed: 1, curve }] });
    expect(renderHtml(long).length).toBeLessThan(page.length + 10_000);
  });

  test("shows hostile text as text", () => {
    const hostile = renderHtml(nasty);
    expect(hostile).not.toContain("<script");
    expect(hostile).not.toContain("\u001b");
    expect(hostile).toContain("&lt;script&gt;");
  });

  test("does with the least: one method, one strength, one seed, no curves", () => {
    const [method] = result.methods;
    const [strength] = result.strengths;
    const [run] = result.runs;
    if (!method || !strength || !run) throw new Error("the synthetic result is empty");
    const { harmful } = run.after;
    const least = parseResult({
      ...result,
      methods: [method],
      strengths: [strength],
      alignments: [],
      runs: [{ ...run, before: { harmful }, after: { harmful }, curve: [] }],
    });
    for (const render of Object.values(formats)) expect(render(least)).not.toMatch(/undefined|NaN|Infinity/);
  });
});

test("Markdown: tables have equal columns, hostile text stays in its cell", () => {
  for (const text of [renderMarkdown(result), renderMarkdown(nasty)]) {
    const columns = (line: string) => line.replace(/\\./g, "").split("|").length;
    let width = 0;
    for (const line of text.split("\n")) {
      if (!line.startsWith("|")) width = 0;
      else if (width === 0) width = columns(line);
      else expect(columns(line)).toBe(width);
    }
  }
  expect(renderMarkdown(nasty)).not.toMatch(/(?<!\\)<script/);
});

test("CSV: one line a run, formulas disarmed", () => {
  const lines = renderCsv(result).trimEnd().split("\r\n");
  expect(lines).toHaveLength(result.runs.length + 1);
  expect(lines[0]?.split(",")).toHaveLength(6 + 2 * 6 * 3 + 4 + 4 + 4);
  expect(new Set(lines.map((line) => line.split(",").length)).size).toBe(1);
  expect(lines[1]).toMatch(/^SFT,lr 3e-5,0.00003,500,0.1,1,0,0,100,/);
  expect(renderCsv(nasty).split("\r\n")[1]).toMatch(/^"'=cmd/);
});

test("LaTeX: braces balance, special characters are escaped", () => {
  for (const text of [renderLatex(result), renderLatex(nasty)]) {
    const bare = text.replace(/\\[\\{}$&#%_]/g, "");
    expect(bare.split("{").length).toBe(bare.split("}").length);
    expect(bare.replace(/^% Needs.*$/m, "")).not.toMatch(/[#%_$^~]/);
  }
  expect(renderLatex(result)).toContain("SFT & ");
});

test("terminal: aligned, no control characters", () => {
  const text = renderTerminalTable(nasty);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test looks for them
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  const lines = renderTerminalTable(result).split("\n");
  const rule = lines.findIndex((line) => line.startsWith("\u2500"));
  expect(lines[rule]?.length).toBeGreaterThanOrEqual(lines[rule + 1]?.length ?? Infinity);
});

test("every format says how well the moderator judges", () => {
  const judged = parseResult({
    ...result,
    moderator: { name: "classifier", method: "word pairs", accuracy: { count: 171, total: 200 } },
  });
  const text = "classifier: word pairs; right in 171 of 200 held-out cases";
  for (const render of [renderHtml, renderMarkdown, renderTerminalTable, renderLatex])
    expect(render(judged)).toContain(text);
  const [header = "", ...lines] = renderCsv(judged).trimEnd().split("\r\n");
  expect(header).toMatch(/,moderator,moderator_right_percent,moderator_right_count,moderator_right_total$/);
  for (const line of lines) expect(line).toMatch(/,classifier,85\.5,171,200$/);
});

test("kinds of harm and answers without a verdict are told where there are any", () => {
  const result = syntheticResult();
  expect(renderMarkdown(result)).not.toContain("Kinds of harm");
  const runs = result.runs.map((run, i) =>
    i === 0
      ? { ...run, unjudged: 2, categories: { theft: { count: 1, total: 4 }, fraud: { count: 3, total: 4 } } }
      : run,
  );
  const text = renderMarkdown({ ...result, runs });
  expect(text).toMatch(/fraud 25\.0; theft 8\.3 +\| +2 /);
});

describe("results", () => {
  test("JSON reads back to the same value", () => {
    expect(parseResult(JSON.parse(renderJson(result)))).toEqual(result);
  });

  test("of earlier programs can still be read and shown", () => {
    const { wallSeconds: _, ...rest } = result;
    const old = parseResult({
      ...rest,
      methods: rest.methods.map(({ cost: { passes }, ...method }) => ({ ...method, cost: { passes } })),
      runs: rest.runs.map(({ data: _data, after: { refusals: _refusals, ...after }, ...run }) => ({ ...run, after })),
      alignments: rest.alignments.map(({ data: _data, ...alignment }) => alignment),
    });
    for (const render of Object.values(formats)) expect(render(old)).not.toMatch(/undefined|NaN|Infinity/);
    expect(renderMarkdown(old)).not.toContain("## Data");
  });

  const spoil = (change: (copy: Record<string, unknown>) => void) => {
    const copy = structuredClone(result) as unknown as Record<string, unknown>;
    change(copy);
    return () => parseResult(copy, "run/result.json");
  };

  test.each<[string, (copy: Record<string, unknown>) => void, RegExp]>([
    ["another version", (copy) => Object.assign(copy, { version: 2 }), /version/],
    ["an unknown field", (copy) => Object.assign(copy, { colour: "red" }), /colour/],
    ["an unknown reference", (copy) => Object.assign(copy, { reference: "x" }), /"x" is not listed; known are sft/],
    ["no runs", (copy) => Object.assign(copy, { runs: [] }), /runs/],
    ["the same run twice", (copy) => Object.assign(copy, { runs: [result.runs[0], result.runs[0]] }), /there already/],
    [
      "a method twice",
      (copy) => Object.assign(copy, { methods: [result.methods[0], ...result.methods] }),
      /"sft" is taken/,
    ],
    [
      "a count above its total",
      (copy) => Object.assign(copy, { runs: [{ ...result.runs[0], after: { harmful: { count: 3, total: 2 } } }] }),
      /larger than the total/,
    ],
  ])("%s is refused, with its place", (_, change, message) => {
    expect(spoil(change)).toThrow(message);
    expect(spoil(change)).toThrow(expect.objectContaining({ code: "RESULT_INVALID" }));
    expect(spoil(change)).toThrow(/\(run\/result\.json\)/);
  });
});
