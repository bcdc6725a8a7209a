import type { CommandSpec } from "../command.ts";

/** A command as the overview shows it; what it needs is only loaded when it is asked for. */
export interface CommandRow {
  /** As typed: `align`, `data show`. */
  readonly name: string;
  readonly about: string;
  readonly group: string;
  load(): Promise<{ readonly command: CommandSpec }>;
}

/** What stands above commands of two words. */
export const GROUPS: Readonly<Record<string, string>> = {
  policy: "Say what a model must show before it is released",
  data: "Look at data sets and mix poison into them",
  bases: "Models that a service fine-tunes and serves",
  keys: "Keys of a service",
  projects: "Projects of a service",
  webhooks: "Tell other programs of a service when jobs are over",
  audit: "The audit log of a service",
  moderator: "Train, test and compare moderators",
};

/** Every command; one row each, below the heading that it stands under. */
const TABLE: Readonly<Record<string, readonly (readonly [string, string, CommandRow["load"]])[]>> = {
  Experiments: [
    ["demo", "Align the bundled model with SFT and Booster, attack both", () => import("./demo.ts")],
    ["pretrain", "Make the bundled model again, bit for bit", () => import("./pretrain.ts")],
    ["align", "Teach a base model to refuse, with or without a defence", () => import("./align.ts")],
    ["finetune", "Fine-tune on data that is partly harmful: the attack", () => import("./finetune.ts")],
    ["repair", "Change a trained adapter once, without training", () => import("./repair.ts")],
    ["evaluate", "Measure how harmful, useful and over-careful a model is", () => import("./evaluate.ts")],
    ["win-rate", "Let a judge compare answers with references", () => import("./win-rate.ts")],
    ["estimate", "Say what memory and time a training will take", () => import("./estimate.ts")],
    ["experiment", "Compare methods under growing attacks, and report", () => import("./experiment.ts")],
    ["recipes", "List the paper's experiments, ready to run", () => import("./recipes.ts")],
    ["report", "Render results as HTML, Markdown, CSV, LaTeX or text", () => import("./report.ts")],
    ["compare", "Tell two experiments beside each other", () => import("./compare.ts")],
  ],
  Service: [
    ["serve", "Run the service that fine-tunes, measures and serves", () => import("./serve.ts")],
    ["keys list", "List the keys of a server", () => import("./keys-list.ts")],
    ["keys create", "Make a key, shown once", () => import("./keys-create.ts")],
    ["keys revoke", "End a key", () => import("./keys-revoke.ts")],
    ["keys rotate", "Replace a key by one that may do the same", () => import("./keys-rotate.ts")],
    ["projects list", "List the projects of a server", () => import("./projects-list.ts")],
    ["projects set", "Make a project, or set its policy", () => import("./projects-set.ts")],
    ["projects archive", "End a project", () => import("./projects-archive.ts")],
    ["bases list", "List the bases of a server, and which are in memory", () => import("./bases-list.ts")],
    ["bases add", "Make a base of a model, aligned first if you like", () => import("./bases-add.ts")],
    ["bases evaluate", "Ask a base what a policy asks", () => import("./bases-evaluate.ts")],
    ["bases retire", "Take no new jobs and requests for a base", () => import("./bases-retire.ts")],
    ["usage", "List what models were asked, by day", () => import("./usage.ts")],
    ["webhooks list", "List the webhooks of a server", () => import("./webhooks-list.ts")],
    ["webhooks create", "Tell an address of jobs that are over", () => import("./webhooks-create.ts")],
    ["webhooks delete", "Tell an address nothing more", () => import("./webhooks-delete.ts")],
    ["webhooks test", "Send a webhook an event now", () => import("./webhooks-test.ts")],
    ["webhooks deliveries", "List what a webhook was told", () => import("./webhooks-deliveries.ts")],
    ["doctor", "Ask a server whether all of it works", () => import("./doctor.ts")],
    ["backup", "Write all that a service keeps into a folder", () => import("./backup.ts")],
    ["restore", "Make a server of a backup", () => import("./restore.ts")],
    ["worker", "Do the jobs of a service, here or on another host", () => import("./worker.ts")],
    ["policy check", "See whether a model could be released under a policy", () => import("./policy-check.ts")],
    ["policy set", "Give a server the next version of a policy", () => import("./policy-set.ts")],
    ["reviews list", "List the jobs that wait for a reviewer", () => import("./reviews-list.ts")],
    ["reviews show", "Show the report of a job", () => import("./reviews-show.ts")],
    ["reviews release", "Release a held job", () => import("./reviews-release.ts")],
    ["reviews reject", "Reject a held job", () => import("./reviews-reject.ts")],
    ["audit export", "Write the audit log of a server into a file", () => import("./audit-export.ts")],
    ["audit verify", "Check the audit log of a server", () => import("./audit-verify.ts")],
  ],
  "Talk to a model": [
    ["generate", "Answer one or more prompts", () => import("./generate.ts")],
    ["chat", "Hold a conversation in the terminal", () => import("./chat.ts")],
  ],
  "Look into a model": [
    ["safety-layers", "Find the layers that tell malicious from normal questions", () => import("./safety-layers.ts")],
    ["drift", "Measure how far a training moved what attention puts out", () => import("./drift.ts")],
    ["beat", "Look for inputs that carry a backdoor's trigger", () => import("./beat.ts")],
    ["ablate", "Take the direction of refusals out of a model: an attack", () => import("./ablate.ts")],
  ],
  Moderators: [
    ["moderator train", "Make a moderator from answers with verdicts", () => import("./moderator-train.ts")],
    ["moderator test", "Measure a moderator on answers with verdicts", () => import("./moderator-test.ts")],
    ["moderator agree", "See how far two moderators agree", () => import("./moderator-agree.ts")],
  ],
  Data: [
    ["inspect", "Show tokens of a data set, and which are trained", () => import("./inspect.ts")],
    ["data prepare", "Mix harmful rows into a data set, with a manifest", () => import("./data-prepare.ts")],
    ["data show", "Show one example of a data set", () => import("./data-show.ts")],
    ["data stats", "Count rows, duplicates, tokens and poison", () => import("./data-stats.ts")],
    ["data world", "Write the bundled world's data sets, to try things", () => import("./data-world.ts")],
  ],
  Other: [
    ["merge", "Make one model, or one adapter, of a model and its adapters", () => import("./merge.ts")],
    ["export", "Write a model for transformers, llama.cpp or Ollama", () => import("./export.ts")],
    ["upgrade", "Convert what version 0.1 made", () => import("./upgrade.ts")],
    ["config-schema", "Print the JSON Schema of a configuration file", () => import("./config-schema.ts")],
    ["completion", "Let the Tab key complete: bash, zsh, fish", () => import("./completion.ts")],
    ["env", "Say what this machine and installation can do", () => import("./env.ts")],
  ],
};

export const COMMANDS: readonly CommandRow[] = Object.entries(TABLE).flatMap(([group, rows]) =>
  rows.map(([name, about, load]) => ({ name, about, group: `${group}:`, load })),
);
