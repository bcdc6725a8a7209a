/**
 * `npm run bench [-- WORKLOAD...] [--quick] [--json] [--markdown FILE] [--shared FOLDER]`: ours beside its peers, in one run.
 * docs/benchmarks.md says what is measured and how.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BoosterError } from "../src/errors.ts";
import { packagePath } from "../src/stages/package-root.ts";
import { estimates } from "./estimate.ts";
import { generation } from "./generation.ts";
import { gpu } from "./gpu.ts";
import { isolation } from "./isolation.ts";
import { methods } from "./methods.ts";
import { environment, renderReport, renderSection, type Section } from "./report.ts";
import { ROW_BATCHES, type ROWS_OF, type SharedFiles, sharedFiles, writeRows } from "./rows.ts";
import { scale } from "./scale.ts";
import { serving } from "./serve.ts";
import { start } from "./start.ts";
import { training } from "./training.ts";

interface Context {
  readonly quick: boolean;
  /** Real model and data, or undefined with the reason printed. */
  files(what?: string): SharedFiles | undefined;
  /** For files that are thrown away. */
  readonly scratch: string;
  readonly progress: (text: string) => void;
}

/** One row a workload, in the order in which they run. */
const WORKLOADS: Readonly<Record<string, (context: Context) => Promise<Section | undefined>>> = {
  dense: (context) => training({ ...context, title: "Training: dense", input: "dense", batches: 1, lead: 1.5 }),
  rows: (context) => rows(context, "alignment", "Training: real rows", 2.25),
  attack: (context) => rows(context, "sst2", "Training: attack rows, SST-2 with a tenth harmful", 3.3),
  gsm8k: (context) => rows(context, "gsm8k", "Training: attack rows, GSM8K with a tenth harmful", 2),
  async generation(context) {
    const files = context.files();
    return files === undefined ? undefined : generation({ ...context, model: files.model });
  },
  methods: async (context) => methods(context),
  estimate: async (context) => estimates({ ...context, files: context.files() }),
  scale: async (context) => scale(context),
  start: async (context) => start(context),
  async serve(context) {
    const files = context.files();
    return files === undefined ? undefined : serving({ ...context, model: files.model });
  },
  gpu: async (context) => gpu(context),
  async isolation(context) {
    const files = context.files();
    return files === undefined ? undefined : isolation({ ...context, model: files.model });
  },
};

async function rows(context: Context, kind: keyof typeof ROWS_OF, title: string, lead: number) {
  const files = context.files();
  if (files === undefined) return undefined;
  const batches = join(context.scratch, `${kind}.json`);
  await writeRows(files, kind, batches);
  const input = { model: files.model, batches };
  return training({ ...context, title: `${title}, SmolLM2-135M`, input, batches: ROW_BATCHES, lead });
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    markdown: { type: "string" },
    shared: { type: "string", default: packagePath("..", "shared") },
  },
});
const names = positionals.length === 0 ? Object.keys(WORKLOADS) : positionals;
const unknown = names.find((name) => !Object.hasOwn(WORKLOADS, name));
if (unknown !== undefined) {
  throw new BoosterError("USAGE", "there is no such workload", {
    expected: Object.keys(WORKLOADS).join(", "),
    found: unknown,
  });
}
const progress = (text: string) => console.error(text);
const where = environment();
if (Number(where["load before the run"]) > 0.5) progress("other programs are busy: these times mean little");
const scratch = mkdtempSync(join(tmpdir(), "booster-bench-"));
const results: Record<string, Section> = {};
const sections: string[] = [];
try {
  for (const name of names) {
    const files = (what = name) => sharedFiles(options.shared, (reason) => progress(`skipped ${what}: ${reason}`));
    const result = await WORKLOADS[name]?.({ quick: options.quick, files, scratch, progress });
    if (result === undefined) continue;
    results[name] = result;
    sections.push(renderSection(result));
    if (!options.json) console.log(`${sections.at(-1)}\n`);
    if (options.markdown !== undefined) writeFileSync(options.markdown, renderReport(where, sections));
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (options.json) console.log(JSON.stringify({ environment: where, results }));
