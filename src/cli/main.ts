#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { COMMANDS, GROUPS } from "./commands/index.ts";

/** The words that name a command come first, flags after them. */
function wordsOf(argv: readonly string[]): readonly string[] {
  const words = argv.filter((argument) => !argument.startsWith("-"));
  return words[0] === "help" ? words.slice(1) : words;
}

/** The program with all commands by name; the one that was asked for gets its options, and what it needs is loaded. */
async function buildProgram(argv: readonly string[]): Promise<Command> {
  const program = new Command("booster")
    .description("Harden an open language model before it is opened to fine-tuning, and prove that it held.")
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ styleTitle: (title) => `\x1b[1m${title}\x1b[22m` })
    .option("--version", "print the version")
    .addHelpText("after", "\nbooster COMMAND --help explains a command and its options.");
  const words = wordsOf(argv);
  const parents = new Map<string, Command>();
  for (const row of COMMANDS) {
    const [first = "", second] = row.name.split(" ");
    let parent = program;
    if (second !== undefined) {
      parent =
        parents.get(first) ??
        program
          .command(first)
          .description(GROUPS[first] ?? "")
          .helpGroup(row.group);
      parents.set(first, parent);
    }
    const command = parent.command(second ?? first).description(row.about);
    if (second === undefined) command.helpGroup(row.group);
    if (row.name !== words.slice(0, second === undefined ? 1 : 2).join(" ")) continue;
    const { buildCommand } = await import("./build-command.ts");
    buildCommand(row.name, command, (await row.load()).command, (code) => {
      process.exitCode = code;
    });
  }
  // With words given and no such command commander answers best by itself: it suggests one.
  if (words.length === 0) {
    program.action(async (options: { readonly version?: boolean }) => {
      if (options.version !== true) program.help();
      const { boosterVersion } = await import("./version.ts");
      console.log(boosterVersion());
    });
  }
  return program;
}

async function fail(cause: unknown, json: boolean): Promise<void> {
  const { printable } = await import("./output.ts");
  const { exitCodeOf, failureJson, fromCommander } = await import("./failure.ts");
  const { asBoosterError } = await import("../errors.ts");
  const error = cause instanceof CommanderError ? fromCommander(cause) : asBoosterError(cause);
  if (json) process.stdout.write(`${failureJson(error)}\n`);
  else process.stderr.write(`error ${error.code}: ${printable(error.message)}\n`);
  // After a signal the convention's code stands already.
  process.exitCode ??= exitCodeOf(error);
}

/** A reader that has enough, such as `head`, closes the pipe: that is no error. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const argv = process.argv.slice(2);
try {
  if (argv[0] === "__complete") {
    const { completionsOf } = await import("./complete.ts");
    console.log((await completionsOf(argv.slice(1))).join("\n"));
    process.exit();
  }
  const program = await buildProgram(argv);
  await program.parseAsync(argv, { from: "user" });
} catch (error) {
  const isHelp = error instanceof CommanderError && ["commander.help", "commander.helpDisplayed"].includes(error.code);
  if (isHelp) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else await fail(error, argv.includes("--json"));
}
