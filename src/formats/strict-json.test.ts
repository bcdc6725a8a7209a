import { describe, expect, test } from "vitest";
import { decodeStrictJson, parseStrictJson } from "./strict-json.ts";

const code = (expected: string) => expect.objectContaining({ code: expected });

test.each([
  '{"a":[1,2,{"b":null}],"c":"x,y:{","d":-1.5e3}',
  '{"a":{"k":1},"b":{"k":1}}',
  '["a","a",{"a":"a"},{"a":"a"}]',
  '{"a\\"":1,"a":2,"\\\\":3}',
  '  "text"  ',
  "[[],{}]",
])("%s is what JSON.parse makes of it", (text) => {
  expect(parseStrictJson(text, "test")).toEqual(JSON.parse(text));
});

describe("refused", () => {
  test.each([
    ['{"a":1,"a":2}'],
    ['{"a":1,"b":[{"c":1}],"a":2}'],
    ['{"x":{"a":1 ,"\\u0061" :2}}'],
    ['[{"__proto__":1,"__proto__":2}]'],
  ])("%s: a key twice", (text) => {
    expect(() => parseStrictJson(text, "test")).toThrow(code("JSON_DUPLICATE_KEY"));
  });

  test.each(["", "{", '{"a"}', '{"a":1,}', "[1 2]", '"\\x":', '{"\\x":1}', "NaN", '"', '"\\'])(
    "%j: no JSON",
    (text) => {
      expect(() => parseStrictJson(text, "test")).toThrow(code("JSON_INVALID"));
    },
  );

  test("bytes that are no UTF-8, and a byte order mark", () => {
    expect(() => decodeStrictJson(Uint8Array.of(0x22, 0xc3, 0x22), "test")).toThrow(code("JSON_INVALID"));
    expect(() => decodeStrictJson(Buffer.from("\ufeff{}"), "test")).toThrow(code("JSON_INVALID"));
  });
});

test("limits hold exactly", () => {
  const limits = { depth: 2, values: 3 };
  expect(parseStrictJson("[[1,2,3,4]]", "test", limits)).toEqual([[1, 2, 3, 4]]);
  expect(() => parseStrictJson("[[[]]]", "test", limits)).toThrow(code("JSON_TOO_DEEP"));
  expect(() => parseStrictJson("[1,2,3,4,5]", "test", limits)).toThrow(code("JSON_TOO_LARGE"));
});
