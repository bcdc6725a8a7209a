import type { CommandSpec } from "../command.ts";

/** A command as the overview shows it; what it needs is only loaded when it is asked for. */
export interface CommandRow {
  /** As typed: `align`, `data show`. */
  readonly name: string;
  readonly about: string;
  readonly group: string;
  load(): Promise<CommandSpec>;
}

/** What stands above commands of two words. */
export const GROUPS: Readonly<Record<string, string>> = { data: "Look at data sets and mix poison into them" };

const EXPERIMENTS = "Experiments:";
const MODELS = "Talk to a model:";
const DATA = "Data:";
const OTHER = "Other:";

/** Every command; one row each. */
export const COMMANDS: readonly CommandRow[] = [
  {
    name: "demo",
    about: "Align the bundled model with SFT and with Booster, attack both, show which one held",
    group: EXPERIMENTS,
    load: async () => (await import("./demo.ts")).demo,
  },
  {
    name: "pretrain",
    about: "Make the bundled model again from the bundled world, bit for bit",
    group: EXPERIMENTS,
    load: async () => (await import("./pretrain.ts")).pretrain,
  },
  {
    name: "align",
    about: "Teach a base model to refuse, with or without a defence",
    group: EXPERIMENTS,
    load: async () => (await import("./align.ts")).align,
  },
  {
    name: "finetune",
    about: "Fine-tune as a user would, with a share of harmful rows: the attack",
    group: EXPERIMENTS,
    load: async () => (await import("./finetune.ts")).finetune,
  },
  {
    name: "repair",
    about:
      "Change a trained adapter once, without training: a defence after fine-tuning, or a last touch to an alignment",
    group: EXPERIMENTS,
    load: async () => (await import("./repair.ts")).repair,
  },
  {
    name: "evaluate",
    about: "Measure how harmful, how useful and how over-careful a model is",
    group: EXPERIMENTS,
    load: async () => (await import("./evaluate.ts")).evaluate,
  },
  {
    name: "experiment",
    about: "Compare methods: align with each, attack each with growing strength, report",
    group: EXPERIMENTS,
    load: async () => (await import("./experiment.ts")).experiment,
  },
  {
    name: "report",
    about: "Render the result of an experiment as HTML, Markdown, CSV, LaTeX or text",
    group: EXPERIMENTS,
    load: async () => (await import("./report.ts")).report,
  },
  {
    name: "generate",
    about: "Answer one or more prompts",
    group: MODELS,
    load: async () => (await import("./generate.ts")).generate,
  },
  {
    name: "chat",
    about: "Hold a conversation in the terminal",
    group: MODELS,
    load: async () => (await import("./chat.ts")).chat,
  },
  {
    name: "inspect",
    about: "Show what a model will see of a data set: tokens, and which of them are trained",
    group: DATA,
    load: async () => (await import("./inspect.ts")).inspect,
  },
  {
    name: "data prepare",
    about: "Write a user's data set with a share of harmful rows, and a manifest of it",
    group: DATA,
    load: async () => (await import("./data-prepare.ts")).dataPrepare,
  },
  {
    name: "data show",
    about: "Show one example of a data set",
    group: DATA,
    load: async () => (await import("./data-show.ts")).dataShow,
  },
  {
    name: "data stats",
    about: "Count rows, duplicates, tokens and poison of a data set",
    group: DATA,
    load: async () => (await import("./data-stats.ts")).dataStats,
  },
  {
    name: "data world",
    about: "Write the bundled world's data sets, to try everything without data of one's own",
    group: DATA,
    load: async () => (await import("./data-world.ts")).dataWorld,
  },
  {
    name: "config-schema",
    about: "Print the JSON Schema of a command's configuration file",
    group: OTHER,
    load: async () => (await import("./config-schema.ts")).configSchemaCommand,
  },
  {
    name: "completion",
    about: "Print what makes the Tab key complete commands, flags and names: bash, zsh, fish",
    group: OTHER,
    load: async () => (await import("./completion.ts")).completion,
  },
  {
    name: "env",
    about: "Say what this machine and installation can do",
    group: OTHER,
    load: async () => (await import("./env.ts")).env,
  },
];
