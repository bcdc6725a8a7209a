import fc from "fast-check";
import { expect, test } from "vitest";
import { findJsonFault } from "./strict-json.ts";

test.each([
  ['{"a": 1', 7, "JSON_INVALID"],
  ['{"a" 1}', 5, "JSON_INVALID"],
  ['{"a": tru}', 6, "JSON_INVALID"],
  ['{"a": "x\ty"}', 8, "JSON_INVALID"],
  ['{"a": "\\x"}', 7, "JSON_INVALID"],
  ['{"a": 01}', 7, "JSON_INVALID"],
  ['{"a": 1,}', 8, "JSON_INVALID"],
  ['{"a": 1} 2', 9, "JSON_INVALID"],
  ["", 0, "JSON_INVALID"],
  ['{"a": 1, "\\u0061": 2}', 9, "JSON_DUPLICATE_KEY"],
  ["[[[[[1]]]]]", 4, "JSON_TOO_DEEP"],
])("%j fails at %i with %s", (text, at, code) => {
  expect(findJsonFault(text, { depth: 4, values: 9 })).toMatchObject({ at, code });
});

test("agrees with JSON.parse on whole and on damaged texts", () => {
  const accepts = (text: string) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 5 }),
      fc.nat(),
      fc.constantFrom("", '"', "{", "]", ",", "\\", "0", "\n", "e"),
      (json, at, junk) => {
        const place = at % (json.length + 1);
        for (const text of [json, json.slice(0, place), json.slice(0, place) + junk + json.slice(place + 1)]) {
          const fault = findJsonFault(text, { depth: 64, values: 1e6 });
          expect(fault === undefined || fault.code === "JSON_DUPLICATE_KEY").toBe(accepts(text));
        }
      },
    ),
    { numRuns: 2000, seed: 1 },
  );
});
