import { z } from "zod";
import { didYouMean } from "../../choice.ts";
import { BoosterError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { editorSchema } from "../fields.ts";
import { COMMANDS } from "./index.ts";

/** `booster config-schema` */
export const command = defineCommand({
  details: `Prints the JSON Schema of a command's --config file: editors complete and check it with that (for example through a
first line "# yaml-language-server: $schema=align.schema.json").`,
  examples: ["booster config-schema align > align.schema.json  # the schema of booster align --config FILE"],
  options: z.strictObject({
    command: z.string().min(1).describe('Command, in one word ("align") or two ("data prepare")'),
    subcommand: z.string().min(1).optional().describe("Its second word"),
  }),
  positional: ["command", "subcommand"],
  async run({ command, subcommand }) {
    const name = subcommand === undefined ? command : `${command} ${subcommand}`;
    const row = COMMANDS.find((candidate) => candidate.name === name);
    if (row === undefined) {
      const names = COMMANDS.map((candidate) => candidate.name);
      throw new BoosterError("UNKNOWN_COMMAND", `there is no command "${name}"`, { hint: didYouMean(name, names) });
    }
    const { options } = (await row.load()).command;
    console.log(JSON.stringify({ title: `booster ${name}`, ...editorSchema(options) }, null, 2));
  },
});
