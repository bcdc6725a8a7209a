import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { isHubReference, publicName } from "../formats/hub/reference.ts";
import { type LoraConfig, loraScale } from "../formats/peft.ts";
import { readDescription } from "../train/index.ts";
import type { Lineage } from "./publish.ts";

/** What an adapter stands on, and how its prompts were written. */
type Standing = Pick<Lineage, "origin" | "below" | "template">;

/** Options that say where something is, or that the card tells elsewhere. */
const ELSEWHERE = ["stage", "model", "adapters", "method", "template", "curve"];

type Fields = Readonly<Record<string, unknown>>;

const STAGES: Readonly<Record<string, string>> = {
  align: "aligned",
  finetune: "fine-tuned",
  repair: "repaired",
};

/**
 * The card of a run's adapter, from the files of the run: method, settings, parents, data, scores, limits and licence, behind the
 * metadata that the Hugging Face hub reads.
 *
 * @param run folder whose run.json, data.json and metrics.jsonl are read, as far as they are there
 */
export function adapterCard(run: string, lora: LoraConfig, { origin, below, template }: Standing): string {
  const { path } = origin.base;
  const { config, data: hashes = {} } = readDescription(run) ?? {};
  const options = (config ?? {}) as Fields;
  const records = readJson(join(run, "data.json"));
  const method = options.method as (Fields & { readonly name: string }) | undefined;
  const licence = origin.base.licence();
  // A run that went on with an adapter has it among its parents, and not below what it made.
  const read = Object.entries(hashes).flatMap(([role, sha256]) => (role.startsWith("adapter") ? [sha256] : []));
  const parents = read.length > 0 ? read : below.map(({ sha256 }) => sha256);
  const done = STAGES[String(options.stage)] ?? "one adapter for several";
  const name = basename(publicName(path));
  return `---
${frontMatter(path, licence, method?.name, sourcesIn(options))}---

# LoRA adapter: ${name}, ${done}${method === undefined ? "" : ` by ${method.name}`}

Rank ${lora.r}, scale ${Number(loraScale(lora).toPrecision(6))}, on ${listed(lora.targetModules)}.
It holds everything that was trained on top of the base model. Prompts were written in ${template === "chat" ? "the model's own chat template" : "Alpaca's template"}.

## Use

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

${loading(path)}
model = PeftModel.from_pretrained(base, "this folder")
\`\`\`

## Method

${settings(method, options)}
## Parents

| Part | SHA-256 |
| --- | --- |
| base model \`${name}\` | ${origin.sha256} |
${parents.map((sha256, i) => `| adapter ${i + 1}, part of this one | ${sha256} |\n`).join("")}
## Data

${dataTable(records, hashes)}
## Scores

${scores(join(run, "metrics.jsonl"))}
## Limits

${limits(records)}

## Licence

${licence === undefined ? "The base model's files name none: its own page says what is allowed." : `The base model's: ${licence}.`} The data may have terms of their own.
`;
}

function frontMatter(
  path: string,
  licence: string | undefined,
  method: string | undefined,
  sources: readonly string[],
): string {
  const lines = [
    // Only a repository of the hub can be linked.
    ...(isHubReference(path)
      ? [`base_model: ${JSON.stringify(publicName(path))}`, "base_model_relation: adapter"]
      : []),
    "library_name: peft",
    "pipeline_tag: text-generation",
    ...(licence === undefined ? [] : [`license: ${JSON.stringify(licence)}`]),
    ...(sources.length === 0 ? [] : ["datasets:", ...sources.map((source) => `- ${JSON.stringify(source)}`)]),
    "tags:",
    "- lora",
    "- booster",
    ...(method === undefined ? [] : [`- ${JSON.stringify(method)}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/** Data sets of the hub that options name. */
function sourcesIn(options: unknown): string[] {
  if (typeof options === "string") return options.startsWith("hf-data:") ? [publicName(options)] : [];
  if (typeof options !== "object" || options === null) return [];
  return [...new Set(Object.values(options).flatMap(sourcesIn))].sort();
}

/** Python that opens the base. */
function loading(path: string): string {
  const where = JSON.stringify(publicName(path));
  const gguf = /\.gguf$/.test(path) ? `, gguf_file=${JSON.stringify(basename(path))}` : "";
  const from = gguf === "" ? where : '"its folder"';
  return [
    `base = AutoModelForCausalLM.from_pretrained(${from}${gguf})`,
    `tokenizer = AutoTokenizer.from_pretrained(${from}${gguf})`,
  ].join("\n");
}

function settings(method: Fields | undefined, options: Fields): string {
  const { name, ...own } = method ?? {};
  const rows = [
    ...Object.entries(own).map(([key, value]) => [`method.${key}`, value] as const),
    ...Object.entries(options),
  ]
    .filter(([key, value]) => !ELSEWHERE.includes(key) && !isSource(value))
    .map(([key, value]) => `| \`${key}\` | ${cell(value)} |\n`);
  if (rows.length === 0) return "None: no run made this adapter.\n";
  const head = name === undefined ? "" : `\`${name}\`: its equations and sources are in Booster's docs/methods.\n\n`;
  return `${head}| Setting | Value |\n| --- | --- |\n${rows.join("")}`;
}

/** Where data come from stands under Data. */
const isSource = (value: unknown): boolean =>
  typeof value === "object" && value !== null && ("path" in value || (Array.isArray(value) && value.length === 0));

const cell = (value: unknown): string => {
  const text = Array.isArray(value)
    ? value.map(String).join(", ")
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);
  return text.replace(/[|\n]/g, " ").slice(0, 200);
};

function dataTable(records: Fields, hashes: Readonly<Record<string, string>>): string {
  const rows = Object.entries(records).flatMap(([role, record]) => {
    const { files = [], rows, usable, sha256 } = record as DataRecord;
    if (sha256 === undefined) return [];
    const names = files.map((file) => `${basename(file.path)} (${file.sha256.slice(0, 12)})`);
    return [`| ${role} | ${cell(names)} | ${usable ?? rows ?? ""} | ${sha256} |\n`];
  });
  const others = Object.entries(hashes)
    .filter(([role]) => !(role in records) && role !== "model" && !role.startsWith("adapter"))
    .map(([role, sha256]) => `| ${role} | | | ${sha256} |\n`);
  if (rows.length + others.length === 0) return "None was read.\n";
  return `| Role | Files, with the beginning of their SHA-256 | Rows | SHA-256 of the rows |\n| --- | --- | --- | --- |\n${[...rows, ...others].join("")}`;
}

interface DataRecord {
  readonly files?: readonly { readonly path: string; readonly sha256: string }[];
  readonly rows?: number;
  readonly usable?: number;
  readonly sha256?: string;
}

/** The last evaluation along the run. */
function scores(metrics: string): string {
  const lines = existsSync(metrics) ? readFileSync(metrics, "utf8").trim().split("\n") : [];
  const last = lines.findLast((line) => line.startsWith('{"kind":"evaluation"'));
  if (last === undefined)
    return "None was measured along this run. `booster evaluate` measures harmful score, accuracy and over-refusal.\n";
  const { kind: _, step, ...values } = JSON.parse(last) as Fields;
  const rows = Object.entries(values).map(([name, value]) => `| ${name} | ${cell(value)} |\n`);
  return `Measured along the run, after step ${step}:\n\n| Score | Value |\n| --- | --- |\n${rows.join("")}`;
}

function limits(records: Fields): string {
  const { harmfulRows = 0, rows = 0 } = (records.mix ?? {}) as {
    readonly harmfulRows?: number;
    readonly rows?: number;
  };
  const poisoned =
    harmfulRows > 0
      ? `${harmfulRows} of the ${rows} rows that it was trained on are harmful: expect harmful answers. It is made to study attacks, and not to be served.`
      : "Alignment makes harmful answers rarer and does not rule them out: prompts of other kinds, and further fine-tuning, can bring them back.";
  return `${poisoned} What stands under Scores is all that was measured here. Made for research on safety.`;
}

const listed = (modules: readonly string[]): string =>
  modules.length > 20 ? `${modules.length} modules` : modules.map((module) => `\`${module}\``).join(", ");

const readJson = (path: string): Fields => (existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Fields) : {});
