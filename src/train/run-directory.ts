import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { RUN_VERSION } from "../models/model-file.ts";
import { CheckpointStore } from "./checkpoint.ts";
import {
  ensureDirectory,
  exists,
  type FileSystem,
  guardFiles,
  isTemporaryName,
  nodeFileSystem,
  readAll,
  removeEntries,
  removeIfPresent,
  replaceFile,
  replaceFolder,
} from "./files.ts";
import { type Json, jsonDifferences, sortedJson } from "./json-differences.ts";
import { RunLock } from "./lock.ts";
import { sha256 } from "./manifest.ts";
import { MetricsLog } from "./metrics.ts";

const DESCRIPTION = "run.json";
const LOCK = "lock";

/** Everything that determines a run's numbers, and what it ran with. */
export interface RunDescription {
  /** The resolved configuration, defaults filled in. */
  readonly config: Json;
  /** SHA-256 of each data file or base model by role, e.g. `{ alignment: "ab12..." }`. */
  readonly data: Readonly<Record<string, string>>;
  /** Program versions, device: recorded, and reported when a resumed run has others, but no reason to refuse. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface OpenRunOptions {
  /** Go on with a run that is there; start a new one where there is none. */
  readonly resume: boolean;
  /** Newest checkpoints to keep. */
  readonly keep: number;
  readonly fs?: FileSystem;
}

/**
 * The folder that is the truth of a run, held by one process at a time:
 *
 *     run.json        resolved configuration, data hashes, versions
 *     metrics.jsonl   one line a step
 *     checkpoints/    step-000120/..., latest
 *     adapter/        the result, published by rename
 *     report.json     whatever reports are written
 *     lock/           who is writing
 *
 * @example
 * const run = RunDirectory.open("runs/a", { config, data, environment }, { resume: false, keep: 2 });
 * try { await train({ run, ... }); } finally { run.close(); }
 */
export class RunDirectory {
  readonly checkpoints: CheckpointStore;
  readonly metrics: MetricsLog;
  /** What the reader should know about this start, e.g. that a run is resumed under another ONNX Runtime. */
  readonly notices: readonly string[];
  private readonly fs: FileSystem;

  private constructor(
    readonly path: string,
    private readonly lock: RunLock,
    description: RunDescription,
    options: OpenRunOptions,
  ) {
    this.fs = options.fs ?? nodeFileSystem;
    const { stored, notices } = describe(this.fs, path, description, options.resume);
    this.notices = notices;
    this.checkpoints = new CheckpointStore(join(path, "checkpoints"), {
      keep: options.keep,
      fingerprint: fingerprintOf(stored),
      environment: description.environment,
      fs: this.fs,
    });
    // What crashed writers left; the lock is held, so nobody is using it.
    removeEntries(this.fs, path, (name) => isTemporaryName(name) && !name.startsWith(LOCK));
    this.metrics = new MetricsLog(join(path, "metrics.jsonl"), this.fs);
  }

  /**
   * Creates or resumes a run and takes its lock.
   *
   * @throws {BoosterError} `RUN_EXISTS`, `RUN_LOCKED`, `RESUME_MISMATCH`, `RUN_CORRUPT`, `RUN_DIR_READ_ONLY`, `DISK_FULL`.
   */
  static open(path: string, description: RunDescription, options: OpenRunOptions): RunDirectory {
    const fs = options.fs ?? nodeFileSystem;
    guardFiles(fs, "creating the run folder", path, () => refuseForeignFolder(fs, path));
    const lock = RunLock.acquire(join(path, LOCK), fs);
    try {
      return guardFiles(fs, "opening the run", path, () => new RunDirectory(path, lock, description, options));
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  /** @throws {BoosterError} `LOCK_LOST`, see `RunLock.assertHeld`. */
  assertHeld(): void {
    guardFiles(this.fs, "checking the lock", this.path, () => this.lock.assertHeld());
  }

  /**
   * Publishes a folder of results, e.g. the adapter, whole or not at all. One of the same name is replaced.
   *
   * @param write writes the files into the folder that it is given, each durably
   * @returns the folder
   * @throws {BoosterError} `LOCK_LOST`, `DISK_FULL`, `RUN_DIR_READ_ONLY`, and what `write` throws
   * @example
   * run.publish("adapter", (folder) => writeAdapter(folder, config, tensors, { baseModel }));
   */
  publish(name: string, write: (folder: string) => void): string {
    return this.change(`publishing ${name}`, name, (target) => replaceFolder(this.fs, target, write));
  }

  /** Writes one file at the top of the run, e.g. `report.json`, whole or not at all. */
  writeFile(name: string, content: string): void {
    this.change(`writing ${name}`, name, (target) => replaceFile(this.fs, target, new TextEncoder().encode(content)));
  }

  /** Removes one file at the top of the run; it may be absent. */
  removeFile(name: string): void {
    this.change(`removing ${name}`, name, (target) => removeIfPresent(this.fs, target));
  }

  private change(action: string, name: string, body: (target: string) => void): string {
    const target = join(this.path, name);
    this.assertHeld();
    guardFiles(this.fs, action, target, () => body(target));
    return target;
  }

  /** Lets go of the run and leaves nothing of it: for work that failed and keeps nothing before its end. */
  discard(): void {
    this.assertHeld();
    guardFiles(this.fs, "removing what was begun", this.path, () => {
      removeEntries(this.fs, this.path, (name) => !name.startsWith(LOCK));
      this.close();
      // Whoever waited for the lock may have it now, and then the folder stays.
      if (this.fs.list(this.path).length === 0) this.fs.rmdir(this.path);
    });
  }

  /** Lets go of the run. */
  close(): void {
    this.metrics.close();
    guardFiles(this.fs, "unlocking the run folder", this.path, () => this.lock.release());
  }
}

/** What the run in a folder began with; undefined where there is none. Throws `RUN_CORRUPT`. */
export function readDescription(path: string, fs: FileSystem = nodeFileSystem): RunDescription | undefined {
  const file = join(path, DESCRIPTION);
  if (!exists(fs, file)) return undefined;
  const text = new TextDecoder().decode(readAll(fs, file));
  try {
    return JSON.parse(text) as RunDescription;
  } catch (cause) {
    throw new BoosterError("RUN_CORRUPT", "run.json is not JSON", {
      where: file,
      hint: "Restore the file from a copy, or start a new run in another folder",
      cause,
    });
  }
}

/** Settings and data in one hash; versions are left out on purpose. */
const fingerprintOf = ({ config, data }: RunDescription): string => sha256(sortedJson({ config, data }));

/** What a run must have in common with one that goes on with it. Where models lie may have changed: `data` says which ones they are. */
function comparable({ config, data }: RunDescription): Json {
  const { model: _, adapters: __, ...rest } = config as { readonly [option: string]: Json };
  return { config: rest, data };
}

/** Creates the folder, or makes sure that what is in it may be a run. */
function refuseForeignFolder(fs: FileSystem, path: string): void {
  if (ensureDirectory(fs, path)) return;
  const names = fs.list(path).map(({ name }) => name);
  const foreign = names.filter((name) => name !== LOCK && !isTemporaryName(name));
  if (foreign.length > 0 && !foreign.includes(DESCRIPTION)) {
    throw new BoosterError("RUN_EXISTS", "this folder is neither empty nor a run", {
      found: foreign.slice(0, 3).join(", "),
      where: path,
      hint: "Choose another folder for the run",
    });
  }
}

/** Writes run.json, or compares it with what a resumed run asks for. */
function describe(
  fs: FileSystem,
  path: string,
  description: RunDescription,
  resume: boolean,
): { readonly stored: RunDescription; readonly notices: string[] } {
  const file = join(path, DESCRIPTION);
  const stored = readDescription(path, fs);
  if (stored === undefined) {
    const text = JSON.stringify({ version: RUN_VERSION, ...description }, undefined, 2);
    replaceFile(fs, file, new TextEncoder().encode(`${text}\n`));
    return { stored: description, notices: [] };
  }
  if (!resume) {
    throw new BoosterError("RUN_EXISTS", "there already is a run in this folder", {
      where: path,
      hint: "Resume it (--resume), or choose another folder",
    });
  }
  const differences = jsonDifferences(comparable(stored), comparable(description));
  if (differences.length > 0) {
    throw new BoosterError("RESUME_MISMATCH", "the run began with other settings or data", {
      found: differences.slice(0, 5).join("; "),
      where: file,
      hint: "Resume with the settings and files that it began with, or start a new run in another folder",
    });
  }
  const notices = jsonDifferences(stored.environment, description.environment).map(
    (difference) => `the run began in another environment, its numbers may differ slightly: ${difference}`,
  );
  return { stored, notices };
}
