import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { StepResult } from "./stepper.ts";

/** Useless steps in a row after which a run is given up. One bad batch passes; three in a row mean broken weights. */
export const MAX_SKIPPED_IN_A_ROW = 3;

/** Row numbers named in an error: enough to look them up, few enough to read. */
const ROWS_SHOWN = 16;

/**
 * A step that reports success with a loss or gradient norm that is no number has spoilt the weights.
 *
 * @throws {BoosterError} `NON_FINITE_UPDATE`; the last checkpoint is from before it.
 */
export function assertSound(result: StepResult, step: number): void {
  if (!result.applied) return;
  for (const name of ["loss", "gradientNorm"]) {
    const value = result.metrics[name];
    if (value === undefined || Number.isFinite(value)) continue;
    throw new BoosterError("NON_FINITE_UPDATE", "an update was applied although a value was not finite", {
      found: `${name} = ${value}`,
      where: `step ${step}`,
      hint: "Resume from the last checkpoint with a lower learning rate",
    });
  }
}

/** @throws {BoosterError} `NON_FINITE_STEPS` when too many steps in a row changed nothing. */
export function assertProgress(
  skippedInARow: number,
  result: StepResult,
  step: number,
  recentRows: () => Readonly<Record<string, readonly Int32Array[]>>,
): void {
  if (skippedInARow < MAX_SKIPPED_IN_A_ROW) return;
  const values = Object.entries(result.metrics).filter(([, value]) => !Number.isFinite(value));
  const rows = Object.entries(recentRows()).map(([stream, batches]) => {
    const more = (batch: Int32Array) => (batch.length > ROWS_SHOWN ? ", ..." : "");
    const lists = batches.map((batch) => `[${[...batch.subarray(0, ROWS_SHOWN)].join(", ")}${more(batch)}]`);
    return `${stream} rows ${lists.join(" ")}`;
  });
  throw new BoosterError("NON_FINITE_STEPS", `${skippedInARow} steps in a row gave no finite loss and gradient`, {
    found: `${values.map(([name, value]) => `${name} = ${value}`).join(", ") || "no finite gradient"}; ${rows.join("; ")}`,
    where: `step ${step}`,
    hint: "The weights are untouched by these steps. Look at these rows, or start again with a lower learning rate or clipping",
  });
}

/**
 * Lets tensors pass only when every number in them is finite: what is not must never be published.
 *
 * @throws {BoosterError} `NON_FINITE_ADAPTER` naming the tensor and the element.
 */
export function assertFinite<T extends ReadonlyMap<string, HostTensor<"float32">>>(tensors: T): T {
  for (const [name, { data }] of tensors) {
    const index = data.findIndex((value) => !Number.isFinite(value));
    if (index < 0) continue;
    throw new BoosterError("NON_FINITE_ADAPTER", "a trained tensor holds a value that is not finite", {
      found: `${data[index]} at element ${index}`,
      where: name,
      hint: "Nothing was published. Resume from an earlier checkpoint or train with a lower learning rate",
    });
  }
  return tensors;
}
