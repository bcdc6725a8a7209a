import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { compileProgram } from "./compile.ts";
import { resultBytes, runTrainer } from "./run-trainer.ts";

const program = compileProgram("test/crash/trainer.ts");
const folder = mkdtempSync(join(tmpdir(), "booster-disk-"));
const disk = join(folder, "disk");
mkdirSync(disk);
const mounted = mount();
/** Three float32 vectors of it are about 120 kB a checkpoint. */
const job = { steps: 40, size: 10_000 };

function mount(): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], { stdio: "pipe" });
    return true;
  } catch (error) {
    console.log(`skipped: a small disk cannot be mounted here (${(error as Error).message.trim()})`);
    return false;
  }
}

afterAll(() => {
  if (mounted) execFileSync("umount", [disk]);
  rmSync(folder, { recursive: true });
});

test.skipIf(!mounted)(
  "a full disk stops the run with DISK_FULL; with space again it ends with the same bytes",
  async () => {
    const reference = join(folder, "reference");
    await runTrainer(program.path, { ...job, run: reference });
    const run = join(disk, "run");
    const full = await runTrainer(program.path, { ...job, run, fillDiskAt: 25 });
    expect(full.code).toBe(1);
    expect(full.output).toMatch(/^DISK_FULL: .*MiB free .*resume/m);
    for (const name of readdirSync(run)) if (name.startsWith("ballast-")) rmSync(join(run, name));
    expect((await runTrainer(program.path, { ...job, run })).output).toMatch(/resumed after step 20[\s\S]*finished 40/);
    expect(resultBytes(run)).toEqual(resultBytes(reference));
    rmSync(run, { recursive: true });
  },
);

test.skipIf(!mounted)("a run whose checkpoints cannot fit is refused before it trains", async () => {
  const result = await runTrainer(program.path, { steps: 10, size: 100_000, run: join(disk, "large") });
  expect(result.output).toMatch(
    /^DISK_FULL: there is too little space for this run's checkpoints; expected 2.3 MiB free/m,
  );
});

test.skipIf(!mounted)("a read-only disk is named as such", async () => {
  execFileSync("mount", ["-o", "remount,ro", disk]);
  const result = await runTrainer(program.path, { ...job, run: join(disk, "never") });
  expect(result.output).toMatch(/^RUN_DIR_READ_ONLY: .*Choose a run folder on a disk that can be written/m);
  execFileSync("mount", ["-o", "remount,rw", disk]);
});
