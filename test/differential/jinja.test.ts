import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseExactJson } from "../../src/formats/exact-json.ts";
import { TemplateData } from "../../src/formats/jinja/data.ts";
import { parse } from "../../src/formats/jinja/parser.ts";
import { render } from "../../src/formats/jinja/render.ts";

interface Case {
  readonly template: string;
  readonly text?: string;
  readonly error?: string;
}

const { data, cases } = parseExactJson(readFileSync(join(import.meta.dirname, "jinja.json"), "utf8")) as {
  data: Record<string, unknown>;
  cases: Case[];
};

/** The right values are Python's: scripts/oracle/jinja.py. */
test.each(cases)("$template", ({ template, text }) => {
  const rendered = () => {
    const strings = new TemplateData();
    const variables = new Map(Object.entries(data).map(([name, value]) => [name, strings.value(value)]));
    return render(parse(template), variables).text.text;
  };
  if (text === undefined) expect(rendered).toThrow();
  else expect(rendered()).toBe(text);
});
