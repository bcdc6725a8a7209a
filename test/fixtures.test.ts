import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CaseReport, checkFolder } from "../scripts/fixtures/check-folder.ts";
import { runFixtures } from "../scripts/fixtures/run.ts";
import { sharedPath } from "./shared.ts";

const TINY = [
  "antidote",
  "antidote_magnitude",
  "antidote_merged",
  "antidote_quarter",
  "booster",
  "booster_adamw_3_steps",
  "booster_strong",
  "booster_vaccine",
  "ewc",
  "ewc_first_step",
  "greedy",
  "harmful_sft",
  "kl",
  "ldifs",
  "ldifs_at_anchor",
  "ldifs_threshold",
  "lisa_adamw_3_steps",
  "lisa_adamw_6_steps",
  "lisa_alignment_rho0",
  "lisa_alignment_state",
  "lisa_user_at_anchor",
  "lisa_user_first_tenth",
  "lisa_user_rho0",
  "lisa_user_state",
  "logits",
  "repnoise",
  "repnoise_ascent",
  "repnoise_bf16",
  "repnoise_booster_defaults",
  "repnoise_ce",
  "repnoise_mmd",
  "sft",
  "t_vaccine_adamw_4_steps",
  "t_vaccine_middle",
  "t_vaccine_probabilities",
  "t_vaccine_two",
  "united",
  "united_alignment",
  "united_alignment_strong",
  "united_strong",
  "vaccine",
  "vaccine_adamw_3_steps",
  "vaccine_large",
  "vaccine_small",
  "vlguard_mix",
];
const FUNCTIONS = [
  "beat",
  "bfpo",
  "fedit",
  "lox",
  "nlsr",
  "panacea",
  "safe_delta",
  "safelora",
  "safemerge",
  "safety_layers",
  "safety_neurons",
  "salora",
  "seal",
  "shallow_deep",
  "tar",
  "virus",
];

/** Cases that must agree; every other case must be reported as missing. All other folders are compared by `npm run fixtures -- --strict`. */
const IMPLEMENTED: Readonly<Record<string, readonly string[]>> = {
  llama: TINY,
  ".": FUNCTIONS,
};

async function reportsOf(folder: string): Promise<CaseReport[]> {
  const reports: CaseReport[] = [];
  for await (const report of checkFolder(folder)) reports.push(report);
  return reports;
}

for (const [folder, implemented] of Object.entries(IMPLEMENTED)) {
  const path = sharedPath("fixtures", folder);
  describe.skipIf(path === undefined)(`reference numbers: ${folder}`, () => {
    test("what is implemented agrees, the rest is missing", async () => {
      const reports = await reportsOf(path ?? "");
      expect(reports.filter(({ status }) => status !== "ok" && status !== "missing")).toEqual([]);
      const agreeing = reports.filter(({ status }) => status === "ok").map(({ case: name }) => name);
      expect(agreeing.sort()).toEqual(implemented);
    });
  });
}

type Json = Record<string, unknown>;
const original = sharedPath("fixtures", "llama");

describe.skipIf(original === undefined)("the comparison itself", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "booster-fixtures-"));
    cpSync(original ?? "", folder, { recursive: true });
    rmSync(join(folder, "methods.json"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Keeps one case of the copy, changed. */
  function only(name: string, change: (content: Json, document: Json) => void): void {
    const path = join(folder, "expected.json");
    const document: Json = JSON.parse(readFileSync(path, "utf8"));
    const content = (document.cases as Json)[name] as Json;
    change(content, document);
    writeFileSync(path, JSON.stringify({ ...document, cases: { [name]: content } }));
  }

  async function run(...options: string[]): Promise<{ code: number; lines: string[] }> {
    const lines: string[] = [];
    const code = await runFixtures([folder, ...options], (line) => lines.push(line));
    return { code, lines };
  }

  test("one changed number of a gradient is off, and named", async () => {
    only("sft", ({ grads }) => {
      const rows = (grads as Record<string, number[][]>)["model.layers.1.self_attn.q_proj.lora_B.weight"] as number[][];
      (rows[0] as number[])[0] = ((rows[0] as number[])[0] as number) * 1.01;
    });
    const { code, lines } = await run();
    expect(code).toBe(1);
    expect(lines[1]).toMatch(/OFF +sft .*model\.layers\.1\.self_attn\.q_proj\.lora_B\.weight/);
    expect(lines.at(-1)).toBe("0 ok, 1 off, 0 missing, 0 in error");
  });

  test.each<[string, (content: Json) => void]>([
    ["booster_adamw_3_steps", ({ losses }) => Object.assign(losses as number[], { 2: 4.5 })],
    ["booster_adamw_3_steps", ({ hp }) => Object.assign(hp as Json, { weight_decay: 5 })],
    ["booster_strong", ({ hp }) => Object.assign(hp as Json, { lamb: 19.9 })],
    ["greedy", ({ tokens }) => (tokens as number[]).reverse()],
    ["logits", ({ value }) => (value as number[][][])[0]?.[0]?.fill(0)],
    ["sft", ({ grads }) => delete (grads as Json)["model.layers.0.self_attn.q_proj.lora_A.weight"]],
  ])("%s with something changed is off", async (name, change) => {
    only(name, change);
    const reports = await reportsOf(folder);
    expect(reports).toMatchObject([{ case: name, status: "OFF" }]);
  });

  test.each<[string, (content: Json, document: Json) => void, string]>([
    ["sft", (content) => Object.assign(content, { grads: 3 }), "grads"],
    ["sft", ({ grads }) => Object.assign(grads as Json, { "model.layers.9.lora_A.weight": [] }), "layers.9"],
    ["booster", ({ hp }) => Object.assign(hp as Json, { lamb: "5" }), "hp.lamb"],
    ["logits", ({ value }) => (value as unknown[]).pop(), "4 rows"],
    ["sft", (_, { align }) => delete (align as Json).labels, "labels"],
    ["sft", (_, { align }) => (align as Record<string, number[][]>).attention_mask?.[0]?.fill(0, 0, 1), "row 0"],
    ["logits", (_, document) => Object.assign(document, { model: "absent.gguf", lora: {} }), "FILE_NOT_FOUND"],
  ])("%s with malformed content is an error that names the place (%#)", async (name, change, place) => {
    only(name, change);
    const reports = await reportsOf(folder);
    expect(reports).toMatchObject([{ case: name, status: "error", detail: expect.stringContaining(place) }]);
  });

  test.each<[string, Json]>([
    ["riddle", {}],
    ["booster", { hp: { lamb: 5, alpha: 0.1, momentum: 0.5 } }],
  ])("%s in a form that is not implemented is missing, and fails under --strict alone", async (name, content) => {
    const path = join(folder, "expected.json");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), cases: { [name]: content } }));
    const { code, lines } = await run();
    expect(code).toBe(0);
    expect(lines[1]).toMatch(new RegExp(`missing +${name}`));
    expect((await run("--strict")).code).toBe(1);
  });

  test("--json prints one object a case", async () => {
    only("logits", () => {});
    const { code, lines } = await run("--json");
    expect(code).toBe(0);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ case: "logits", status: "ok", tolerance: 1e-5 }]);
  });

  test("a file that is no JSON and a folder without any file are errors", async () => {
    writeFileSync(join(folder, "expected.json"), "{");
    expect((await run()).code).toBe(1);
    rmSync(join(folder, "expected.json"));
    expect(await reportsOf(folder)).toMatchObject([
      { status: "error", detail: expect.stringContaining("expected.json") },
    ]);
    expect(await reportsOf(join(folder, "absent"))).toMatchObject([
      { status: "error", detail: "there is no such folder" },
    ]);
  });
});
