import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { renderMarked } from "../../src/formats/chat-template.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set(["TEMPLATE_FAILED", "TEMPLATE_TOO_LARGE", "TEMPLATE_OUTPUT_TOO_LARGE", "TEMPLATE_ENDLESS"]);
const table: { cases: { template: string }[] } = JSON.parse(
  readFileSync(join(import.meta.dirname, "../differential/jinja.json"), "utf8"),
);
// What these make of the messages would be the same loop over and over.
const seeds = table.cases.map(({ template }) => Buffer.from(template)).filter(({ length }) => length < 600);
const messages = [
  { role: "system", content: "Be brief." },
  {
    role: "user",
    content: "2+2?",
    fields: { name: "Bo", tool_calls: [{ function: { arguments: { x: [1, null] } } }] },
  },
  { role: "assistant", content: "<think>\nwhy\n</think>\n\n4" },
];

const make = (draws: Draws) => mutateBytes(draws.pick(seeds), draws, seeds);

function render(bytes: Uint8Array): void {
  const template = new TextDecoder().decode(bytes);
  const { segments, text } = renderMarked(template, messages, { addGenerationPrompt: true });
  if (segments.map((segment) => segment.text).join("") !== text) throw new Error("segments are not the text");
}

test("mutated templates end in a known error or a text, quickly and in bounded memory", () => {
  const report = fuzz("templates", make, render, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
