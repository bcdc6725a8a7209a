import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { BoosterError, stopIfAsked } from "../errors.ts";
import { configureTransform, type LoraAdapter, type TransformContext } from "../methods/transform.ts";
import { differenceOf } from "../models/adapter-sum.ts";
import { type Changes, changesOf, normOf } from "../models/adapters.ts";
import { type LoadedModel, modelIdentity, readLora } from "../models/load.ts";
import { openModel } from "../models/source.ts";
import { RunDirectory } from "../train/index.ts";
import { describeRun } from "./describe-run.ts";
import { parseOptions, RepairOptions } from "./options.ts";
import { loadStreams } from "./streams.ts";
import { publishAdapter } from "./training-run.ts";
import { transformContext } from "./transform-context.ts";
import { type Context, Workbench } from "./workbench.ts";

const REPORT = "repair.json";
/** A change smaller than this share of what was there is float32's rounding. */
const ROUNDING = 1e-6;

/** What a repair did: the content of repair.json. */
export interface RepairReport {
  readonly version: 1;
  readonly method: string;
  /** Frobenius norm of what the adapter adds to the weights, before and after. */
  readonly normBefore: number;
  readonly normAfter: number;
  /** Of what the repair itself changed. */
  readonly moved: number;
  /** Numbers of the method's own, e.g. `pruned`. */
  readonly [number: string]: number | string;
}

export interface RepairOutcome {
  readonly run: string;
  /** Folder of the repaired adapter: on top of all adapters but the last one. */
  readonly adapter: string;
  readonly report: RepairReport;
}

/**
 * Changes the last adapter once, without training, and writes what comes out as a PEFT adapter into a run folder: a repair
 * after fine-tuning (Antidote, Safe LoRA), or a last touch to an alignment (LoX).
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT`, `UNKNOWN_TRANSFORM`, `DATA_MISSING`, `ALIGNMENT_MISSING`, `NOTHING_REPAIRED` when the adapter
 * comes out as it went in, `STOPPED`, and what loading and `RunDirectory.open` throw
 * @example
 * await repair({ run: "runs/repaired", model: "assets/world", adapters: ["runs/sft/adapter", "runs/attack/adapter"], method: "antidote", harmful: "harmful.jsonl" });
 */
export async function repair(options: z.input<typeof RepairOptions>, context: Context = {}): Promise<RepairOutcome> {
  const chosen = parseOptions(RepairOptions, options, "repair");
  const bench = context.bench ?? new Workbench(chosen);
  const { name, ...settings } = chosen.method;
  const transform = configureTransform(name, settings);
  const continued = chosen.adapterPolicy === "continue";
  const below = chosen.adapters.slice(0, -1);
  if (continued && below.length === 0) {
    throw new BoosterError("OPTIONS_CONFLICT", "an adapter that was continued needs the one that it goes on from", {
      found: "one adapter",
      where: "adapters",
      hint: "Give both, the continued one last, or adapterPolicy: merge-and-fresh.",
    });
  }
  if (transform.stage === "alignment" && below.length > 0) {
    throw new BoosterError(
      "OPTIONS_CONFLICT",
      `${name} changes the alignment's adapter, before the user's fine-tuning`,
      {
        expected: "one adapter, the alignment's",
        found: `${chosen.adapters.length} adapters`,
        where: "adapters",
        hint: "Give the alignment's adapter alone, and fine-tune on top of what comes out.",
      },
    );
  }
  const hashes = await bench.hashes(chosen.model, chosen.adapters);
  if (chosen.unaligned !== undefined) hashes.unaligned = await modelIdentity(chosen.unaligned);
  if (chosen.safety !== undefined) hashes.safety = await modelIdentity(chosen.safety);
  const { base } = await bench.start(chosen.model, below, "merge");
  const last = readLora(base, chosen.adapters.at(-1) as string);
  const adapter = continued ? differenceOf(last, readLora(base, below.at(-1) as string)) : last;
  const data = await loadStreams(
    { name, streams: transform.needs },
    {
      alignment: { option: "alignment", source: chosen.alignment },
      harmful: { option: "harmful", source: chosen.harmful },
    },
    { ...chosen, tokenizer: base.tokenizer, model: base.model },
    chosen.avoid,
    context,
  );
  const run = RunDirectory.open(chosen.run, describeRun("repair", chosen, { ...hashes, ...data.hashes }), {
    resume: chosen.resume,
    keep: 1,
  });
  try {
    run.writeFile("data.json", `${JSON.stringify(data.records, undefined, 2)}\n`);
    const { adapter: repaired, report } = await transform.transform(
      transformContext({
        base,
        adapter,
        continued,
        alignmentChange: alignmentOf(chosen, base),
        safety: () => safetyOf(chosen, base),
        calibration: data.rows,
        seed: chosen.seed,
        onRow: (row, rows) => watch(context, row, rows),
      }),
    );
    const [before, after] = [changesOf(adapter), changesOf(repaired)];
    const normBefore = normOf(before.values());
    const moved = normOf([...before].map(([module, change]) => difference(change, after.get(module))));
    if (transform.mustChange && !(moved > ROUNDING * normBefore)) {
      throw new BoosterError("NOTHING_REPAIRED", "the adapter came out as it went in", {
        expected: `${name} to change it`,
        found: `${before.size} matrices with a change of norm ${normBefore.toPrecision(3)}`,
        where: chosen.adapters.at(-1) as string,
        hint: "Was the adapter trained at all?",
      });
    }
    const written: RepairReport = {
      version: 1,
      method: name,
      normBefore,
      normAfter: normOf(after.values()),
      moved,
      ...report,
    };
    run.writeFile(REPORT, `${JSON.stringify(written, undefined, 2)}\n`);
    return { run: chosen.run, adapter: publishAdapter(run, repaired, base), report: written };
  } finally {
    run.close();
  }
}

/** The report of a repair that is done. */
export const readRepair = (run: string): RepairReport =>
  JSON.parse(readFileSync(join(run, REPORT), "utf8")) as RepairReport;

type Matrix = { readonly data: Float64Array };

const difference = (a: Matrix, b: Matrix | undefined): Matrix => ({
  data: a.data.map((value, i) => value - (b?.data[i] ?? 0)),
});

function watch({ signal, emit }: Context, row: number, rows: number): void {
  stopIfAsked(signal, "the repair");
  emit?.({ type: "work", text: `${row} of ${rows} rows read` });
}

function safetyOf({ safety, adapters }: RepairOptions, base: LoadedModel): LoraAdapter {
  const folder = safety ?? adapters.at(-2);
  if (folder !== undefined) return readLora(base, folder);
  throw new BoosterError("SAFETY_ADAPTER_MISSING", "there is no adapter to merge with", {
    expected: "an adapter trained on safety data, or an alignment adapter before the last one",
    found: "none",
    where: "safety",
  });
}

/** Aligned minus unaligned: what the adapters below the last one add, and what the model differs by from the unaligned one. */
function alignmentOf({ adapters, unaligned }: RepairOptions, base: LoadedModel): TransformContext["alignmentChange"] {
  const below = adapters.slice(0, -1);
  if (unaligned !== undefined) {
    const { weights } = openModel(unaligned);
    return (module) => {
      const { shape, data } = base.load(`${module}.weight`);
      const old = weights.load(`${module}.weight`).data;
      return { dtype: "float64", shape, data: Float64Array.from(data, (value, i) => value - (old[i] as number)) };
    };
  }
  let added: readonly Changes[] | undefined;
  return (module) => {
    if (below.length === 0) {
      throw new BoosterError("ALIGNMENT_MISSING", "it is not known what alignment changed", {
        expected: "an alignment adapter before the last one, or the unaligned model",
        found: "neither",
        where: "adapters, unaligned",
      });
    }
    added ??= below.map((folder) => changesOf(readLora(base, folder)));
    const [out = 0, width = 0] = base.model.linears.get(module) ?? [];
    const sum = new Float64Array(out * width);
    for (const changes of added)
      changes.get(module)?.data.forEach((value, i) => {
        sum[i]! += value;
      });
    return { dtype: "float64", shape: [out, width], data: sum };
  };
}
