import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { BoosterError } from "../errors.ts";
import {
  createDurably,
  errnoOf,
  exists,
  type FileSystem,
  guardFiles,
  nodeFileSystem,
  readAll,
  removeIfPresent,
  removeTree,
  temporaryName,
} from "./files.ts";
import { sha256 } from "./manifest.ts";
import { slurmStart, slurmStartLives } from "./slurm.ts";

/** Who holds a lock. A process is told from a later one with the same id by its start time and the boot. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Clock ticks from boot to process start; "" where the system does not tell. */
  readonly started: string;
  /** Changes with every boot; "" where the system does not tell. */
  readonly boot: string;
  /** Slurm job, restart count and cluster; "" outside Slurm. */
  readonly slurmJob: string;
  readonly slurmRestart: string;
  readonly slurmCluster?: string;
}

/**
 * Keeps two processes from writing one run folder.
 *
 * The lock is a folder with one file, named after its content, that says who holds it. It is prepared under another name
 * and renamed: a rename onto a folder that is not empty fails, so only one process succeeds, and a lock never lacks its
 * content. It outlives a killed process; the next one then sees that the holder is gone (no such process, another start
 * time, another boot, or an earlier start of the same Slurm job) and removes that holder's file. Whoever comes second
 * finds another file there, and cannot remove a live process's lock by mistake. A process of another host cannot be seen;
 * where it belongs to a Slurm job, Slurm is asked.
 *
 * @example
 * const lock = RunLock.acquire("run/lock");
 * lock.release();
 */
export class RunLock {
  private constructor(
    private readonly path: string,
    private readonly fs: FileSystem,
    private readonly file: string,
  ) {}

  /** @throws {BoosterError} `RUN_LOCKED` naming the process that holds it. */
  static acquire(path: string, fs: FileSystem = nodeFileSystem): RunLock {
    const content = JSON.stringify(thisProcess());
    const file = `holder-${sha256(content).slice(0, 16)}.json`;
    return guardFiles(fs, "locking the run folder", path, () => {
      while (!tryCreate(fs, path, file, content)) removeStale(fs, path);
      return new RunLock(path, fs, file);
    });
  }

  /** Whether somebody holds the lock who may be alive. Nothing is changed. */
  static isHeld(path: string, fs: FileSystem = nodeFileSystem): boolean {
    const holder = readHolder(fs, path);
    return holder !== undefined && whyAlive(holder.content) !== undefined;
  }

  /**
   * Called before each write that a second writer would spoil.
   *
   * @throws {BoosterError} `LOCK_LOST` when the lock was removed or taken over.
   */
  assertHeld(): void {
    if (exists(this.fs, join(this.path, this.file))) return;
    throw new BoosterError("LOCK_LOST", "this process no longer holds the lock of its run folder", {
      where: this.path,
      hint: "Another process writes this run now, or the lock was deleted; nothing more is written from here",
    });
  }

  /** Gives the lock back, unless it already belongs to another. */
  release(): void {
    removeHolder(this.fs, this.path, this.file);
  }
}

function tryCreate(fs: FileSystem, path: string, file: string, content: string): boolean {
  const prepared = temporaryName(path);
  if (exists(fs, prepared)) removeTree(fs, prepared);
  fs.mkdir(prepared);
  createDurably(fs, join(prepared, file), new TextEncoder().encode(content));
  try {
    fs.rename(prepared, path);
    return true;
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    // Windows says EPERM where others say that the target is not empty.
    const taken = ["ENOTEMPTY", "EEXIST"].includes(errno) || (errno === "EPERM" && exists(fs, path));
    if (!taken) throw error;
    removeTree(fs, prepared);
    return false;
  }
}

/** Removes the lock of a process that is gone. @throws {BoosterError} `RUN_LOCKED` when the holder may be alive. */
function removeStale(fs: FileSystem, path: string): void {
  const holder = readHolder(fs, path);
  if (holder === undefined) return;
  const reason = whyAlive(holder.content);
  if (reason === undefined) {
    removeHolder(fs, path, holder.file);
    return;
  }
  throw new BoosterError("RUN_LOCKED", "another process is writing this run", {
    found: reason,
    where: dirname(path),
    hint: `Wait for it or stop it. If you are sure that nothing runs there any more, delete ${path}`,
  });
}

/** Removes one holder's file, and the folder unless another process has moved in. */
function removeHolder(fs: FileSystem, path: string, file: string): void {
  removeIfPresent(fs, join(path, file));
  try {
    fs.rmdir(path);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes(errnoOf(error) ?? "")) throw error;
  }
}

function readHolder(fs: FileSystem, path: string): { file: string; content: string } | undefined {
  try {
    const file = fs.list(path)[0]?.name;
    return file === undefined ? undefined : { file, content: new TextDecoder().decode(readAll(fs, join(path, file))) };
  } catch (error) {
    // It was given back between the two looks.
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Why the holder must be taken for alive; undefined when it is gone. */
function whyAlive(content: string): string | undefined {
  const holder = parseHolder(content);
  if (holder === undefined) return "a lock that does not say who holds it";
  const me = thisProcess();
  const requeued = holder.slurmJob !== "" && holder.slurmJob === me.slurmJob;
  if (requeued && holder.slurmRestart !== me.slurmRestart) return undefined;
  const name = `process ${holder.pid} on ${holder.host}`;
  if (holder.host !== me.host) {
    const { slurmJob: job, slurmRestart: restart, slurmCluster: cluster = "" } = holder;
    const alive = job === "" ? undefined : slurmStartLives({ job, restart, cluster });
    if (alive === false) return undefined;
    return alive ? `${name}, in Slurm job ${job}` : `${name}, which cannot be seen from here`;
  }
  if (holder.boot !== me.boot || !isRunning(holder.pid)) return undefined;
  const { state, started } = processStatus(holder.pid);
  // A zombie has ended; in a container nobody may ever collect it.
  return state === "Z" || started !== holder.started ? undefined : name;
}

function parseHolder(content: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === "object" && value !== null && "pid" in value ? (value as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function thisProcess(): Holder {
  const { job, restart, cluster } = slurmStart();
  return {
    pid: process.pid,
    host: hostname(),
    started: processStatus(process.pid).started,
    boot: readProc("/proc/sys/kernel/random/boot_id"),
    slurmJob: job,
    slurmRestart: restart,
    slurmCluster: cluster,
  };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

/** Fields 3 and 22 of /proc/<pid>/stat; the name in field 2 may contain spaces, so counting starts after its bracket. */
function processStatus(pid: number): { state: string; started: string } {
  const stat = readProc(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", started: fields[19] ?? "" };
}

/** Linux only; elsewhere the process id alone decides. */
function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
