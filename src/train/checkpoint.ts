import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { parseSafetensors } from "../formats/safetensors.ts";
import { encodeSafetensors } from "../formats/safetensors-writer.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import {
  createDurably,
  ensureDirectory,
  errnoOf,
  exists,
  type FileSystem,
  guardFiles,
  isTemporaryName,
  mebibytes,
  nodeFileSystem,
  readAll,
  removeEntries,
  removeTree,
  replaceFile,
  replaceFolder,
} from "./files.ts";
import { CHECKPOINT_VERSION, decodeManifest, encodeManifest, type Manifest, sha256 } from "./manifest.ts";

const MANIFEST = "manifest.json";
const STATE = "state.safetensors";
const LATEST = "latest";

/** What a checkpoint brings back. */
export interface Checkpoint {
  readonly step: number;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  readonly counters: Readonly<Record<string, number>>;
}

/** The newest checkpoint that is whole, and a sentence about each newer one that is not. */
export interface NewestCheckpoint {
  readonly checkpoint: Checkpoint | undefined;
  readonly problems: readonly string[];
}

export interface CheckpointStoreOptions {
  /** Newest checkpoints to keep, at least 1. */
  readonly keep: number;
  /** Hash of configuration and data. */
  readonly fingerprint: string;
  /** Program versions, for the record. */
  readonly environment: Readonly<Record<string, string>>;
  readonly fs?: FileSystem;
}

/**
 * Checkpoints as immutable folders, each committed by one rename, so that a crash at any moment leaves the previous one
 * readable:
 *
 *     step-000120.tmp-<pid>/state.safetensors    write, fsync
 *     step-000120.tmp-<pid>/manifest.json        sizes and SHA-256; write, fsync; fsync of the folder
 *     rename to step-000120, fsync of the parent, replace `latest`, remove what is older than the newest `keep`
 *
 * @example
 * const store = new CheckpointStore("run/checkpoints", { keep: 2, fingerprint, environment });
 * store.save(120, await stepper.save(), { metricsBytes: 4096 });
 * const { checkpoint, problems } = store.newest();
 */
export class CheckpointStore {
  private readonly fs: FileSystem;

  constructor(
    private readonly directory: string,
    private readonly options: CheckpointStoreOptions,
  ) {
    this.fs = options.fs ?? nodeFileSystem;
  }

  /**
   * Commits a checkpoint.
   *
   * @throws {BoosterError} `DISK_FULL`, `RUN_DIR_READ_ONLY`, `TOO_MANY_OPEN_FILES`, `DISK_IO_ERROR`; the previous
   * checkpoint still loads then.
   */
  save(step: number, tensors: ReadonlyMap<string, HostTensor>, counters: Readonly<Record<string, number>>): void {
    const state = encodeSafetensors(new Map(tensors));
    const manifest = encodeManifest({
      format: "booster-checkpoint",
      version: CHECKPOINT_VERSION,
      step,
      fingerprint: this.options.fingerprint,
      environment: this.options.environment,
      counters,
      files: { [STATE]: { bytes: state.length, sha256: sha256(state) } },
    });
    const target = join(this.directory, nameOf(step));
    guardFiles(this.fs, `saving the checkpoint of step ${step}`, target, () => {
      ensureDirectory(this.fs, this.directory);
      // The caller holds the run's lock: what crashed writers left is nobody's.
      removeEntries(this.fs, this.directory, isTemporaryName);
      // One of this step is there only when it could not be loaded; otherwise the run would have resumed from it.
      replaceFolder(this.fs, target, (folder) => {
        createDurably(this.fs, join(folder, STATE), state);
        createDurably(this.fs, join(folder, MANIFEST), manifest);
      });
      replaceFile(this.fs, join(this.directory, LATEST), new TextEncoder().encode(`${nameOf(step)}\n`));
      this.prune(step);
    });
  }

  /**
   * Loads the newest checkpoint whose every byte is as it was written.
   *
   * @throws {BoosterError} `RESUME_MISMATCH` when it belongs to another configuration, `CHECKPOINT_TOO_NEW`,
   * `CHECKPOINT_CORRUPT` when there are checkpoints but none is whole, or a file error that says nothing about content.
   */
  newest(): NewestCheckpoint {
    return guardFiles(this.fs, "reading checkpoints", this.directory, () => {
      const problems: string[] = [];
      const steps = this.steps();
      for (const step of steps) {
        const found = this.read(step);
        if (typeof found !== "string") return { checkpoint: found, problems };
        problems.push(`checkpoint ${nameOf(step)} is not used: ${found}`);
      }
      if (steps.length > 0) {
        throw new BoosterError("CHECKPOINT_CORRUPT", "no checkpoint is whole", {
          found: problems.join("; "),
          where: this.directory,
          hint: "Restore a checkpoint folder from a copy, or start a new run in another folder",
        });
      }
      return { checkpoint: undefined, problems };
    });
  }

  /**
   * Checks before training that a checkpoint of this size can be written beside the one that it replaces.
   *
   * @throws {BoosterError} `DISK_FULL` with both figures.
   */
  checkSpace(bytes: number): void {
    guardFiles(this.fs, "measuring free space", this.directory, () => {
      ensureDirectory(this.fs, this.directory);
      const free = this.fs.freeBytes(this.directory);
      if (free >= 2 * bytes) return;
      throw new BoosterError("DISK_FULL", "there is too little space for this run's checkpoints", {
        expected: `${mebibytes(2 * bytes)} free (twice the size of a checkpoint)`,
        found: mebibytes(free),
        where: this.directory,
        hint: "Free some space or choose a run folder on another disk",
      });
    });
  }

  /** Steps of the committed checkpoints, newest first, whole or not. */
  private steps(): number[] {
    const entries = exists(this.fs, this.directory) ? this.fs.list(this.directory) : [];
    const names = entries.filter((entry) => entry.directory && /^step-\d{6,}$/.test(entry.name));
    return names.map(({ name }) => Number(name.slice("step-".length))).sort((a, b) => b - a);
  }

  /** A checkpoint, or what is wrong with it. */
  private read(step: number): Checkpoint | string {
    const folder = join(this.directory, nameOf(step));
    const bytes = this.readPart(join(folder, MANIFEST));
    if (typeof bytes === "string") return bytes;
    const manifest = decodeManifest(bytes, folder);
    if (typeof manifest === "string") return manifest;
    this.checkOwner(manifest, folder);
    if (manifest.step !== step) return `its manifest speaks of step ${manifest.step}`;
    const state = this.readPart(join(folder, STATE));
    if (typeof state === "string") return state;
    const expected = manifest.files[STATE];
    if (expected?.sha256 !== sha256(state)) {
      return `${STATE} does not have the SHA-256 of its manifest (${state.length} bytes, ${expected?.bytes} expected)`;
    }
    return { step, tensors: parseSafetensors(state, join(folder, STATE)), counters: manifest.counters };
  }

  private checkOwner(manifest: Manifest, folder: string): void {
    if (manifest.fingerprint === this.options.fingerprint) return;
    throw new BoosterError("RESUME_MISMATCH", "this checkpoint belongs to a run with other settings or data", {
      expected: `fingerprint ${this.options.fingerprint}`,
      found: manifest.fingerprint,
      where: folder,
      hint: "Resume with the settings and files that the run began with, or start a new run",
    });
  }

  /** Content of a file, or why it cannot be had for good; passing troubles such as too many open files are thrown. */
  private readPart(path: string): Uint8Array | string {
    try {
      return readAll(this.fs, path);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT") return `${path} is missing`;
      if (errno === "EIO") return `${path} cannot be read from the disk`;
      throw error;
    }
  }

  /** Newer ones could not be loaded, or the run would be further on. */
  private prune(newest: number): void {
    const steps = this.steps();
    const kept = steps.filter((step) => step <= newest).slice(0, this.options.keep);
    for (const step of steps) {
      if (!kept.includes(step)) removeTree(this.fs, join(this.directory, nameOf(step)));
    }
  }
}

const nameOf = (step: number): string => `step-${String(step).padStart(6, "0")}`;
