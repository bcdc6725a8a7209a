import { expect, test } from "vitest";
import { entriesOf, exactJson, parseExactJson } from "./exact-json.ts";
import { TemplateData } from "./jinja/data.ts";
import { parse } from "./jinja/parser.ts";
import { render } from "./jinja/render.ts";

/** What a template writes of a JSON text, read as rows are. */
const written = (json: string, template = "{{ x|tojson }}") =>
  render(parse(template), new Map([["x", new TemplateData().value(parseExactJson(json))]])).text.text;

// Right values: `json.dumps(json.loads(text), ensure_ascii=False)` of Python 3.11.
test.each([
  [
    '{"price": 10.0, "e": 1e5, "big": 12345678901234567890}',
    '{"price": 10.0, "e": 100000.0, "big": 12345678901234567890}',
  ],
  [
    "[1.0, -0.0, -0, 0.0, 1E3, 1e16, 1e-05, 0.0001, 2.50, 1e22, 123456789012345678.0, 5e-324]",
    "[1.0, -0.0, 0, 0.0, 1000.0, 1e+16, 1e-05, 0.0001, 2.5, 1e+22, 1.2345678901234568e+17, 5e-324]",
  ],
  [
    "[9007199254740993, -9007199254740993, 9007199254740991, 1000000000000000000000000]",
    "[9007199254740993, -9007199254740993, 9007199254740991, 1000000000000000000000000]",
  ],
  ['{"b": 1, "2020": 5, "10": {"2": 1, "1": []}, "a": {}}', '{"b": 1, "2020": 5, "10": {"2": 1, "1": []}, "a": {}}'],
  ['{"b": 1, "\\u0031": 2, "0": "a\\"\\\\", "1": 3}', '{"b": 1, "1": 3, "0": "a\\"\\\\"}'],
  [
    '{"a": "x: 1.0, [2.5] \\"7\\": {", "1": " 10.0", "-1": true, "01": null}',
    '{"a": "x: 1.0, [2.5] \\"7\\": {", "1": " 10.0", "-1": true, "01": null}',
  ],
  ["10.0", "10.0"],
  ["12345678901234567890", "12345678901234567890"],
  [" [ ] ", "[]"],
  ['{"x":1,"y":[true,null,"1.5"]}', '{"x": 1, "y": [true, null, "1.5"]}'],
])("a template writes %s as Python does", (json, right) => {
  expect(written(json)).toBe(right);
});

// Right values: Python 3.11 with Jinja 3.1.6.
test.each([
  [
    "{{ x.f is float }}{{ x.f is integer }}{{ x.i is integer }}{{ x.big is integer }}{{ x.f is number }}",
    "TrueFalseTrueTrueTrue",
  ],
  [
    "{{ x.f + 1 }} {{ x.i + 1 }} {{ x.big + 1 }} {{ x.f * 2 }} {{ x.f // 3 }} {{ x.f / 5 }} {{ x.i / 5 }}",
    "11.0 11 9007199254740994 20.0 3.0 2.0 2.0",
  ],
  [
    "{{ x.f == x.i }} {{ x.big == x.near }} {{ x.big > x.near }} {{ x.big == x.float }} {{ x.big > x.float }}",
    "True False True False True",
  ],
  [
    "{{ x.f }} {{ x.f|int }} {{ x.f|string }} {{ x.f|round(1) }} {{ '%d' % x.f }} {{ '%s' % x.f }} {{ [x.f] }} {{ x.big|float }}",
    "10.0 10 10.0 10.0 10 10.0 [10.0] 9007199254740992.0",
  ],
  ["{{ {x.big: 1, x.near: 2}|length }}{{ {x.f: 1, x.i: 2} }}{{ x.big in [x.near] }}", "2{10.0: 2}False"],
])("%s", (template, right) => {
  const json = '{"f": 10.0, "i": 10, "big": 9007199254740993, "near": 9007199254740992, "float": 9007199254740992.0}';
  expect(written(json, template)).toBe(right);
});

test("what was read is written as the same, and plain JSON as JSON.stringify writes it", () => {
  const exact = '{"b":[1.0,-0.0,1e+21,0.5],"2020":5,"10":12345678901234567890,"n":null}';
  expect(exactJson(parseExactJson(exact))).toBe(exact);
  const plain = { a: [1, null, "é\n\u2028", true, 1e21], c: undefined, d: { e: {} } };
  expect(exactJson(plain)).toBe(JSON.stringify(plain));
});

test("no JSON is an error, long texts are read", () => {
  for (const text of ["", "{", "[1.0", "[01.0]", "NaN", '{"1": }'])
    expect(() => parseExactJson(text)).toThrow(SyntaxError);
  const long = `${'"\\n'.repeat(300_000).replaceAll('"', "")}x`;
  expect(entriesOf(parseExactJson(`{"1": "${long}", "0": 1.0}`) as object)[0]).toEqual(["1", JSON.parse(`"${long}"`)]);
});
