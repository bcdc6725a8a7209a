import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BoosterError } from "../../errors.ts";
import { isPlain } from "../domain/places.ts";
import type { Claim, WorkerProtocol } from "../domain/protocol.ts";
import { policyOf } from "../pipeline/policy.ts";

/**
 * A worker's own disk: never a shared folder, since a run has one writer and its lock knows this host alone.
 *
 *     cache/blobs/       bases and sets of policies, by hash
 *     cache/before/      what bases scored; cache/moderation/: verdicts by hash
 *     work-PID-.../      folder of this process; JOB-EPOCH/ below it is thrown away with its stage
 */
export class Scratch {
  readonly cache: string;
  private readonly work: string;

  constructor(root: string) {
    this.cache = join(root, "cache");
    mkdirSync(join(this.cache, "blobs"), { recursive: true });
    for (const name of readdirSync(root)) {
      const [, pid] = /^work-(\d+)-/.exec(name) ?? [];
      if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(root, name), { recursive: true, force: true });
    }
    this.work = mkdtempSync(join(root, `work-${process.pid}-`));
  }

  /** An empty folder for a claim. */
  folderFor({ job, epoch }: Claim): string {
    const folder = join(this.work, `${job}-${epoch}`);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** Brings the files of a claim into its folder; those that many jobs read are kept. */
  async bring(claim: Claim, files: Readonly<Record<string, string>>, folder: string, server: WorkerProtocol) {
    const { sets } = policyOf(claim.spec.policy.body);
    const shared = new Set([...Object.values(claim.base.files), ...Object.values(sets).map(({ sha256 }) => sha256)]);
    for (const [name, sha256] of Object.entries(files)) {
      if (!isPlain(name)) throw new BoosterError("INTERNAL", "a file of the job leads out of its folder");
      const to = join(folder, name);
      mkdirSync(dirname(to), { recursive: true });
      if (!shared.has(sha256)) {
        await server.readBlob(claim.job, claim.epoch, sha256, to);
        continue;
      }
      const kept = join(this.cache, "blobs", sha256);
      if (!existsSync(kept)) {
        const coming = join(this.work, `${sha256}-${claim.epoch}-${claim.job}`);
        await server.readBlob(claim.job, claim.epoch, sha256, coming);
        renameSync(coming, kept);
      }
      place(kept, to);
    }
  }

  /** Leaves nothing of this process. */
  remove(): void {
    rmSync(this.work, { recursive: true, force: true });
  }
}

/** The same file in another place, or a copy of it where the disk has no links. */
function place(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
