import { z } from "zod";
import type { Example } from "../../data/examples.ts";
import { loadExamples } from "../../data/load.ts";
import { SourceOptions } from "../../data/options.ts";
import { BoosterError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { findHarmful, WITHHELD } from "../harmful-rows.ts";
import { printable } from "../output.ts";

/** `booster data show` */
export const command = defineCommand({
  details: "Shows one example of a data set as it was read, before any template.",
  examples: [
    "booster data show rows.jsonl  # the first example, and how the file was read",
    "booster data show 'train/*.jsonl' 17 --format alpaca  # the 17th of several files",
  ],
  options: SourceOptions.safeExtend({
    number: z.int().positive().default(1).describe("Number of the example"),
    showHarmful: z.boolean().default(false).describe("Show it even where it is harmful"),
  }),
  positional: ["path", "number"],
  async run(config, { output }) {
    const loaded = await loadExamples(config);
    const example = loaded.examples[config.number - 1];
    if (example === undefined) {
      throw new BoosterError("DATA_TOO_FEW_ROWS", "there is no such example", {
        expected: `1 to ${loaded.examples.length}`,
        found: `${config.number}`,
        where: config.path,
      });
    }
    const isHarmful = (await findHarmful(config, loaded)).has(example);
    const shown = isHarmful && !config.showHarmful ? undefined : example;
    const facts = {
      number: config.number,
      of: loaded.examples.length,
      readAs: loaded.readAs,
      recognised: loaded.recognised,
      harmful: isHarmful,
    };
    output.result({ ...facts, where: example.where, example: shown }, () => {
      const head = `Example ${facts.number} of ${facts.of}  ${example.where}  read as ${facts.readAs}`;
      return `${head}${isHarmful ? ", harmful" : ""}\n${facts.recognised}\n\n${shown === undefined ? WITHHELD : describe(shown)}`;
    });
  },
});

function describe(example: Example): string {
  const parts =
    example.kind === "chat"
      ? example.messages.map(({ role, content }) => [role, content] as const)
      : ([
          ["instruction", example.instruction],
          ["input", example.input],
          ["output", example.output],
        ] as const);
  return parts
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${name}:\n${printable(text).replace(/^/gm, "  ")}`)
    .join("\n");
}
