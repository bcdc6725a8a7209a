import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { choose, rowOf } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { TRANSFORMS } from "../methods/registry.ts";
import { checkOwnFactors, type LoraAdapter, type TransformContext } from "../methods/transform.ts";
import { type Changes, changesOf } from "../models/adapters.ts";
import { type LoadedModel, readChain, readLora } from "../models/load.ts";
import { lineage, MODEL_FILE, refuseOutdated } from "../models/model-file.ts";
import { modelIdentity } from "../models/source.ts";
import { inForm } from "../models/storages.ts";
import { normOf } from "../tensor/matrix.ts";
import { RunDirectory, watchOf } from "../train/index.ts";
import { describeRun } from "./describe-run.ts";
import { parseOptions, RepairOptions } from "./options.ts";
import { publishAdapter } from "./publish.ts";
import { changeOf, isDifference, readChange } from "./repaired-change.ts";
import { loadStreams } from "./streams.ts";
import { trainingTemplate } from "./template.ts";
import { transformContext } from "./transform-context.ts";
import { type Context, checkHash, hashesOf, type Origin, Workbench } from "./workbench.ts";

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
  /** Folder of an adapter on the base model: the sum of the alignment's and the repaired one. */
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
 * await repair({ run: "runs/repaired", model: "runs/attack", method: "antidote", harmful: "harmful.jsonl" });
 */
export async function repair(options: z.input<typeof RepairOptions>, context: Context = {}): Promise<RepairOutcome> {
  const asked = await resolveReferences(RepairOptions, parseOptions(RepairOptions, options, "repair"), context);
  const bench = context.bench ?? new Workbench(asked);
  const { name } = asked.method;
  const { stage } = rowOf(TRANSFORMS, name);
  const transform = choose(TRANSFORMS, asked.method);
  const origin = await bench.open({ ...asked, continued: asked.adapterPolicy === "continue" });
  const chosen = { ...asked, template: trainingTemplate(asked, origin, context.emit) };
  const change = changeOf(chosen, origin);
  if (stage === "align" && change.aligned.length > 0) {
    throw new BoosterError("OPTIONS_CONFLICT", `${name} changes an alignment, before the user's fine-tuning`, {
      expected: "a model whose only adapter is the alignment's",
      found: [...change.aligned, ...change.gained].map(({ folder }) => folder).join(", "),
      where: "model, adapters",
      hint: "Give the alignment alone, and fine-tune what comes out.",
    });
  }
  checkOwnFactors(transform, isDifference(change));
  const { aligned } = change;
  for (const link of aligned) await checkHash(link);
  const hashes = hashesOf({ ...origin, adapters: [...aligned, ...change.gained] });
  const unaligned = chosen.unaligned === undefined ? undefined : await bench.open({ model: chosen.unaligned });
  if (unaligned !== undefined) hashes.unaligned = lineage(unaligned.sha256, unaligned.adapters);
  if (chosen.safety !== undefined) hashes.safety = await modelIdentity(chosen.safety);
  const { base } = await bench.start({ ...origin, adapters: aligned }, "merge", { form: chosen.base });
  const adapter = readChange(base, origin.sha256, change);
  const alignment = () => readChain(base.model, origin.sha256, aligned);
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
  if (chosen.resume) refuseOutdated(chosen.run);
  const isNew = !existsSync(chosen.run);
  const run = RunDirectory.open(
    chosen.run,
    describeRun("repair", RepairOptions, chosen, { ...hashes, ...data.hashes }),
    {
      resume: chosen.resume,
      keep: 1,
    },
  );
  try {
    context.emit?.({ type: "work", text: "repairing" });
    run.writeFile("data.json", `${JSON.stringify(data.records, undefined, 2)}\n`);
    const { adapter: repaired, report } = await transform.apply(
      transformContext({
        base,
        adapter,
        alignmentChange: alignmentOf(unaligned, chosen, base, alignment),
        safety: () => safetyOf(chosen, base, alignment),
        calibration: data.rows,
        seed: chosen.seed,
        watch: watchOf(context),
      }),
    );
    const [before, after] = [changesOf(adapter), changesOf(repaired)];
    const normBefore = normOf(before.values());
    const moved = normOf([...before].map(([module, change]) => difference(change, after.get(module))));
    if (transform.mustChange && !(moved > ROUNDING * normBefore)) {
      throw new BoosterError("NOTHING_REPAIRED", "the adapter came out as it went in", {
        expected: `${name} to change it`,
        found: `${before.size} matrices with a change of norm ${normBefore.toPrecision(3)}`,
        where: change.gained.map(({ folder }) => folder).join(", "),
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
    const aligns = stage === "align";
    const made = { origin, below: aligned, aligns, template: origin.template ?? chosen.template };
    return { run: chosen.run, adapter: await publishAdapter(run, repaired, base.model, made), report: written };
  } finally {
    // Nothing of a repair is kept before its end, so that another try finds the place free.
    if (isNew && !existsSync(join(chosen.run, MODEL_FILE))) run.discard();
    else run.close();
  }
}

/** The report of a repair that is done. */
export const readRepair = (run: string): RepairReport =>
  JSON.parse(readFileSync(join(run, REPORT), "utf8")) as RepairReport;

type Matrix = { readonly data: Float64Array };

const difference = (a: Matrix, b: Matrix | undefined): Matrix => ({
  data: a.data.map((value, i) => value - (b?.data[i] ?? 0)),
});

function safetyOf({ safety }: RepairOptions, base: LoadedModel, alignment: () => readonly LoraAdapter[]): LoraAdapter {
  const found = safety === undefined ? alignment().at(-1) : readLora(base, safety);
  if (found !== undefined) return found;
  throw new BoosterError("SAFETY_ADAPTER_MISSING", "there is no adapter to merge with", {
    expected: "an adapter trained on safety data, or an alignment adapter before the last one",
    found: "none",
    where: "safety",
  });
}

/** Aligned minus unaligned: what the alignment's adapters add, and what the model differs by from the unaligned one. */
function alignmentOf(
  unaligned: Origin | undefined,
  { base: form }: Pick<RepairOptions, "base">,
  base: LoadedModel,
  alignment: () => readonly LoraAdapter[],
): TransformContext["alignmentChange"] {
  if (unaligned !== undefined) {
    if (unaligned.adapters.length > 0) {
      throw new BoosterError("OPTIONS_CONFLICT", "the unaligned model must stand by itself", {
        found: `${unaligned.adapters.length} adapters on it`,
        where: "unaligned",
        hint: "Write it with its adapters multiplied in: booster merge.",
      });
    }
    const weights = inForm(base.model, unaligned.base.weights(), form);
    return (module) => {
      const { shape, data } = base.load(`${module}.weight`);
      const old = weights.load(`${module}.weight`).data;
      return { dtype: "float64", shape, data: Float64Array.from(data, (value, i) => value - (old[i] as number)) };
    };
  }
  let added: readonly Changes[] | undefined;
  return (module) => {
    added ??= alignment().map(changesOf);
    if (added.length === 0) {
      throw new BoosterError("ALIGNMENT_MISSING", "it is not known what alignment changed", {
        expected: "an alignment adapter before the last one, or the unaligned model",
        found: "neither",
        where: "adapters, unaligned",
      });
    }
    const [out = 0, width = 0] = base.model.linears.get(module) ?? [];
    const sum = new Float64Array(out * width);
    for (const changes of added)
      changes.get(module)?.data.forEach((value, i) => {
        sum[i]! += value;
      });
    return { dtype: "float64", shape: [out, width], data: sum };
  };
}
