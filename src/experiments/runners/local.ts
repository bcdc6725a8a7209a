import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BoosterError } from "../../errors.ts";
import { makeFolder } from "../../formats/atomic-file.ts";
import type { DeviceChoice } from "../../stages/options.ts";
import { isDone, runTask, type Task } from "../../stages/stage.ts";
import { Workbench } from "../../stages/workbench.ts";
import { Child, type Event, type Following } from "../../train/index.ts";
import { RunLock } from "../../train/lock.ts";
import { isPick, type Key, needsOf, type Piece } from "../plan.ts";
import { folderOf, leaveOut, type Outcome, outcomeOf } from "./outcome.ts";

/** Does pieces in an order that their needs allow. What is there already is not done again, what was cut short goes on. */
export type Runner = (pieces: readonly Piece[], following: Following) => Promise<Map<Key, Outcome>>;

/** Where the experiment's folder and model are on this host, and what it computes on. */
export interface Here extends DeviceChoice {
  readonly out: string;
  readonly model: string;
  /** Processes that work side by side. */
  readonly jobs: number;
}

/** Milliseconds between two looks at a piece that another start is working on. */
const LOOK = 1000;

/** A piece that no other start works on as long as the lock is held. */
interface Claimed {
  readonly piece: Piece;
  readonly lock: RunLock;
}

const isLocked = (error: unknown): boolean => error instanceof BoosterError && error.code === "RUN_LOCKED";

/** One who does tasks, one at a time, and keeps models loaded between them. */
interface Worker {
  /** What it made, the newest last: it has those models loaded, or what they stand on. */
  readonly made: Key[];
  run(task: Task, following: Following): Promise<unknown>;
  close(): Promise<void>;
}

function workerIn(module: URL | string | undefined, device: DeviceChoice): Worker {
  if (module === undefined) {
    const bench = new Workbench(device);
    return { made: [], run: (task, following) => runTask(task, { ...following, bench }), close: async () => undefined };
  }
  let child: Child | undefined;
  return {
    made: [],
    run(task, following) {
      child ??= new Child(module);
      return child.ask(task, following);
    },
    close: async () => child?.close(),
  };
}

/**
 * Runs pieces on this host, in this process or in `jobs` others. A piece that diverges, and all that needs it, is left out. Several
 * starts on one folder share the work: whoever has a piece's lock does it, the others go on with something else.
 *
 * @param module whose processes do the work (see `worker.ts`); absent: everything in this process, one after the other
 * @throws {BoosterError} `STOPPED` when asked to stop before the end, and what the stages throw
 */
export const localRunner =
  (here: Here, module?: URL | string): Runner =>
  async (pieces, { emit, signal }) => {
    const { out, jobs, provider, threads } = here;
    const device = { provider, ...(threads === undefined ? {} : { threads }) };
    const needs = new Map(pieces.map((piece) => [piece, needsOf(piece)]));
    const outcomes = new Map<Key, Outcome>();
    const underWay = new Set<Piece>();
    /** Pieces that another start has; looked at again now and then. */
    const elsewhere = new Set<Piece>();
    const errors: unknown[] = [];
    const failed = new AbortController();
    const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    const start = performance.now();
    let computed = 0;

    /** Pieces read the same files: what was noticed about them is said once. */
    const noticed = new Set<string>();
    const isNew = (event: Event): boolean => {
      if (event.type !== "notice") return true;
      const isFirst = !noticed.has(event.text);
      noticed.add(event.text);
      return isFirst;
    };
    const tell = ({ label }: Piece, state: Extract<Event, { type: "piece" }>["state"]): void => {
      const left = ((performance.now() - start) / computed) * (pieces.length - outcomes.size);
      const secondsLeft = computed === 0 ? {} : { secondsLeft: left / 1000 };
      emit?.({ type: "piece", piece: label, state, done: outcomes.size, pieces: pieces.length, ...secondsLeft });
    };
    const settle = (piece: Piece, state: "done" | "skipped" | "left out", outcome: Outcome): void => {
      outcomes.set(piece.key, outcome);
      if (state === "done") computed++;
      tell(piece, state);
    };
    const thereOf = (key: Key): string | undefined => {
      const outcome = outcomes.get(key);
      return outcome !== undefined && "run" in outcome ? outcome.run : undefined;
    };
    const runOf = (key: Key): string => (outcomes.get(key) as { readonly run: string }).run;
    const taskOf = (piece: Piece): Task => {
      const { stage, options, on } = piece;
      const chosen = isPick(options) ? options.pick(options.from.map(thereOf)) : options;
      const model = on === undefined ? here.model : runOf(on);
      return { stage, options: { ...chosen, ...device, model, run: folderOf(out, piece), resume: true } };
    };

    /** A piece whose needs are there: one that needs what the worker made last, or what it made at all, or the first. */
    const readyFor = ({ made }: Worker): Piece | undefined => {
      let best: Piece | undefined;
      let rank = Number.NEGATIVE_INFINITY;
      for (const [piece, needed] of needs) {
        if (outcomes.has(piece.key) || underWay.has(piece) || elsewhere.has(piece)) continue;
        if (!needed.every((key) => outcomes.has(key))) continue;
        const own = Math.max(-1, ...needed.map((key) => made.lastIndexOf(key)));
        if (own <= rank) continue;
        best = piece;
        rank = own;
      }
      return best;
    };
    /** Undefined where another start has the piece. */
    const claim = (piece: Piece): RunLock | undefined => {
      try {
        makeFolder(join(out, "locks"));
        return RunLock.acquire(join(out, "locks", piece.key));
      } catch (error) {
        if (isLocked(error)) return undefined;
        throw error;
      }
    };
    /** The next piece that a worker has work with; those without are settled on the way. */
    const nextFor = (worker: Worker): Claimed | undefined => {
      for (;;) {
        const piece = readyFor(worker);
        if (piece === undefined) return undefined;
        const lock = outcomeOf(out, piece, outcomes) === undefined ? claim(piece) : undefined;
        const known = outcomeOf(out, piece, outcomes);
        if (known !== undefined) settle(piece, "run" in known ? "skipped" : "left out", known);
        else if (lock === undefined) elsewhere.add(piece);
        else return { piece, lock };
        lock?.release();
      }
    };
    const work = async (worker: Worker, { piece, lock }: Claimed): Promise<void> => {
      const task = taskOf(piece);
      tell(piece, "started");
      try {
        await worker.run(task, {
          signal: stop,
          emit: (event) => isNew(event) && emit?.({ ...event, piece: piece.label }),
        });
        if (!isDone(task)) throw stopped();
        worker.made.push(piece.key);
        settle(piece, "done", { run: folderOf(out, piece) });
      } catch (error) {
        if (isLocked(error)) elsewhere.add(piece);
        else if (error instanceof BoosterError && error.kind === "diverged") {
          emit?.({ type: "notice", text: `${piece.label}: left out, since ${error.problem}` });
          settle(piece, "left out", leaveOut(out, piece, error.problem));
        } else {
          errors.push(error);
          failed.abort("another piece failed");
        }
      } finally {
        lock.release();
      }
    };

    const count = module === undefined ? 1 : Math.min(jobs, pieces.length);
    const workers = Array.from({ length: count }, () => workerIn(module, device));
    const running = new Map<Worker, Promise<void>>();
    try {
      for (;;) {
        for (const worker of workers) {
          const next = stop.aborted || running.has(worker) ? undefined : nextFor(worker);
          if (next === undefined) continue;
          underWay.add(next.piece);
          const job = work(worker, next).finally(() => {
            underWay.delete(next.piece);
            running.delete(worker);
          });
          running.set(worker, job);
        }
        const looks = elsewhere.size > 0 && !stop.aborted ? [delay(LOOK).then(() => elsewhere.clear())] : [];
        if (running.size + looks.length === 0) break;
        await Promise.race([...running.values(), ...looks]);
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.close()));
    }
    // The first to fail is the cause; the others say STOPPED.
    const cause = errors.find((error) => (error as { code?: string }).code !== "STOPPED") ?? errors[0];
    if (cause !== undefined) throw cause;
    if (outcomes.size < pieces.length) throw stopped();
    return outcomes;
  };

const stopped = () =>
  new BoosterError("STOPPED", "the experiment was stopped before its end", {
    hint: "Start it again with the same options: what is done is kept.",
  });
