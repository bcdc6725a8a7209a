import { expect, test } from "vitest";
import { pythonRegex } from "./python-regex.ts";

const NAMES = [
  "model.layers.0.self_attn.q_proj",
  "model.layers.11.mlp.down_proj",
  "lm_head",
  "model.embed_tokens",
  "transformer.h.3.attn.c_attn",
  "a{b}",
  "a]b",
  "a-b",
  "A.B",
  "a/b",
  "x.y.x.y",
];
const bits = (found: (name: string) => boolean) => NAMES.map((name) => Number(found(name))).join("");

// Right values: Python 3.11's re.fullmatch and re.match, a digit for each of the names.
test.each([
  [".*\\.[01]\\.(self_attn\\.[qv]_proj|mlp\\.down_proj)", "10000000000", "10000000000"],
  [
    "(?:.*?(?:language|text|model).*?(?:self_attn|attention|attn|mlp).*?(?:q_proj|down_proj).*?)",
    "11000000000",
    "11000000000",
  ],
  ["^(?!.*mlp).*q_proj$", "10000000000", "10000000000"],
  ["\\Amodel\\.layers\\.(?P<i>\\d+)\\..*\\Z", "11000000000", "11000000000"],
  ["(?P<a>x)\\.(?P<b>y)\\.(?P=a)\\.(?P=b)", "00000000001", "00000000001"],
  ["(x\\.y)\\.\\1", "00000000001", "00000000001"],
  [".*\\d{,1}\\..*", "11011000101", "11011000101"],
  ["[]a][]{-].*", "00000111000", "00000111000"],
  ["a[^]b]b", "00000001010", "00000101010"],
  ["(?i)a\\.b", "00000000100", "00000000100"],
  ["a\\-b", "00000001000", "00000001000"],
  ["a\\/b", "00000000010", "00000000010"],
  ["a[-/]b", "00000001010", "00000001010"],
  ["a{b}", "00000100000", "00000100000"],
  ["a\\{b\\}", "00000100000", "00000100000"],
  ["a]b", "00000010000", "00000010000"],
  ["\\blm_head\\b", "00100000000", "00100000000"],
  ["lm\\_head", "00100000000", "00100000000"],
  [".*h\\.[0-9]+\\.attn.*", "00001000000", "00001000000"],
  ["(?s)lm.head", "00100000000", "00100000000"],
  ["(?#all).*proj", "11000000000", "11000000000"],
  ["[\\w.]+", "11111000101", "11111111111"],
  ["[[]", "00000000000", "00000000000"],
  ["[a&&b]", "00000000000", "00000111010"],
  [".{1,7}", "00100111111", "11111111111"],
  ["x{2", "00000000000", "00000000000"],
  ["model.layers.(?=1).*", "01000000000", "01000000000"],
  ["(?<=model).*", "00000000000", "00000000000"],
  ["model(?<=del)\\..*", "11010000000", "11010000000"],
  ["[\\]\\\\a]\\]b", "00000010000", "00000010000"],
  ["\\x61.b", "00000011010", "00000111010"],
  ["a\\u002db", "00000001000", "00000001000"],
  ["a\\Zb|lm_head", "00100000000", "00100000000"],
  ["a{,}", "00000000000", "11111111111"],
  ["lm_head{1}", "00100000000", "00100000000"],
  ["lm_head{1,1}?", "00100000000", "00100000000"],
])("%s", (source, whole, start) => {
  const pattern = pythonRegex(source, "test");
  expect(bits(pattern.whole)).toBe(whole);
  expect(bits((name) => pattern.match(name) !== null)).toBe(start);
});

test.each(["\\q", "a**", "(", "[a", "(a|b"])("%s is none of Python's", (source) => {
  expect(() => pythonRegex(source, "test")).toThrow(expect.objectContaining({ code: "ADAPTER_CONFIG_INVALID" }));
});

test.each(["(?i:a\\.b)", ".*_proj++", "(?>model).*", "(x)?(?(1)a|b)", "\\0", "(?x) a b", "(?:lm_head)?+"])(
  "%s is refused rather than read in another way",
  (source) => {
    expect(() => pythonRegex(source, "test")).toThrow(/a regular expression cannot be read.*\(test\)/);
  },
);

test("length is bounded", () => {
  expect(() => pythonRegex("a".repeat(20_001), "test")).toThrow(/20000 characters/);
});
