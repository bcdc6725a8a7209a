import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BatchSampler } from "../../src/data/batches.ts";
import { BoosterError } from "../../src/errors.ts";
import { encodeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { serveParent } from "../../src/train/child.ts";
import { createDurably } from "../../src/train/files.ts";
import { train } from "../../src/train/loop.ts";
import { RunDirectory } from "../../src/train/run-directory.ts";
import { stopOnSignals } from "../../src/train/signals.ts";
import { hookedFiles } from "./faulty-files.ts";
import { QuadraticStepper } from "./quadratic-stepper.ts";

/** What the tests tell this program. */
export interface TrainerJob {
  readonly run: string;
  readonly steps: number;
  readonly size: number;
  readonly milliseconds?: number;
  /** Dies by SIGKILL before this file operation. */
  readonly killAtCall?: number;
  /** Fills the disk of the run before this step. */
  readonly fillDiskAt?: number;
}

/** A whole training run: opens or resumes, trains, publishes adapter and report. */
export async function runJob(job: TrainerJob, signal: AbortSignal): Promise<string> {
  const operations = { total: 0, checkpoints: [] as number[] };
  const fs = hookedFiles((call, operation, target) => {
    operations.total = call;
    if (operation === "mkdir" && /step-\d+\.tmp/.test(String(target))) operations.checkpoints.push(call);
    if (call === job.killAtCall) process.kill(process.pid, "SIGKILL");
    return undefined;
  });
  const description = { config: { steps: job.steps, size: job.size }, data: { alignment: "a" }, environment: {} };
  const run = RunDirectory.open(job.run, description, { resume: true, keep: 2, fs });
  try {
    const result = await train({
      stepper: new QuadraticStepper({ size: job.size, milliseconds: job.milliseconds ?? 0 }),
      run,
      batches: { alignment: new BatchSampler(53, 8, 1, "alignment"), harmful: new BatchSampler(31, 8, 1, "harmful") },
      steps: job.steps,
      learningRate: (step) => 0.05 / (1 + step / 50),
      microBatches: 3,
      checkpointEvery: 10,
      evaluation: { due: (step) => step % 7 === 0, run: async (step) => ({ harmfulTestLoss: 1 / (1 + step) }) },
      signal,
      emit: (event) => {
        if (event.type === "notice") console.log(event.text);
        if (event.type === "step" && event.step === job.fillDiskAt) fillDisk(job.run);
      },
    });
    if (result.outcome === "finished") {
      run.writeFile("report.json", JSON.stringify({ steps: result.step }));
      run.publish("adapter", (folder) =>
        createDurably(fs, join(folder, "adapter_model.safetensors"), encodeSafetensors(result.adapter)),
      );
    }
    return `${result.outcome} ${result.step}, file operations: ${JSON.stringify(operations)}`;
  } finally {
    run.close();
  }
}

function fillDisk(run: string): void {
  for (let i = 0, size = 2 ** 20; size >= 512; i++) {
    try {
      writeFileSync(join(run, `ballast-${i}`), new Uint8Array(size));
    } catch {
      size /= 2;
    }
  }
}

/** With a job as argument it is a program of its own, without one it serves `runInChild`. */
const argument = process.argv[2];
if (argument === undefined) {
  serveParent<TrainerJob>((job, { signal, emit }) => {
    emit({ type: "work", text: "started" });
    return runJob(job, signal);
  });
} else {
  const stop = stopOnSignals();
  console.log("started");
  try {
    console.log(await runJob(JSON.parse(argument) as TrainerJob, stop.signal));
    process.exitCode = stop.exitCode() ?? 0;
  } catch (error) {
    console.log(error instanceof BoosterError ? `${error.code}: ${error.message}` : error);
    process.exitCode = 1;
  }
  stop.restore();
}
