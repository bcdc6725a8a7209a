import { copyFileSync, linkSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { baseOf } from "../formats/hub/reference.ts";
import { writeAdapter } from "../formats/peft.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import type { Model } from "../models/index.ts";
import { guardFiles, nodeFileSystem } from "../train/files.ts";
import type { RunDirectory } from "../train/index.ts";
import { type Lineage, onBase } from "./publish.ts";

/** What of a run is laid beside a checkpoint. */
interface Laid {
  readonly run: RunDirectory;
  readonly step: number;
  /** Length of the metrics when the checkpoint was saved. */
  readonly metricsBytes: number;
  /** The adapter as it is now, where it is to be there as well. */
  readonly adapter: LoraAdapter | undefined;
  readonly model: Model;
  readonly made: Lineage;
}

/**
 * Lays a run's newest checkpoint into a folder of its own, by one rename: what of it lies there with `resume` is a run that goes on from this
 * step (`run.json`, `metrics.jsonl`, `checkpoints/`), wherever it is carried. The adapter, if any, is one on the base model alone.
 *
 * @returns the folder
 * @throws {BoosterError} `DISK_FULL` and the like
 */
export function layCheckpoint(to: string, { run, step, metricsBytes, adapter, model, made }: Laid): string {
  const name = `step-${String(step).padStart(6, "0")}`;
  const folder = join(to, name);
  const temporary = join(to, `${name}.tmp-${process.pid}`);
  return guardFiles(nodeFileSystem, `laying the checkpoint of step ${step}`, folder, () => {
    rmSync(temporary, { recursive: true, force: true });
    const [from, target] = [run.path, temporary].map((root) => join(root, "checkpoints", name)) as [string, string];
    mkdirSync(target, { recursive: true });
    for (const file of readdirSync(from)) linkSync(join(from, file), join(target, file));
    copyFileSync(join(run.path, "run.json"), join(temporary, "run.json"));
    copyFileSync(join(run.path, "metrics.jsonl"), join(temporary, "metrics.jsonl"));
    truncateSync(join(temporary, "metrics.jsonl"), metricsBytes);
    if (adapter !== undefined) {
      const { config, tensors } = onBase(adapter, model, made);
      writeAdapter(join(temporary, "adapter"), config, tensors, baseOf(made.origin.base.path));
    }
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
    return folder;
  });
}
