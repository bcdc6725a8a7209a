import type { Progress } from "./pace.ts";

/** What long work tells on its way: the same from a worker process to the terminal, to JSON lines and to a script. */
export type Event =
  /** After each training step. */
  | (Told & { readonly type: "step" } & Progress)
  /** How far work without training steps is; said often. `preparing`: nothing that a stop would have to save is there yet. */
  | (Told & { readonly type: "work"; readonly text: string; readonly preparing?: true })
  /** What a person should know. */
  | (Told & { readonly type: "notice"; readonly text: string })
  /** A checkpoint lies in the folder that the run was told to lay them in; with an adapter where an epoch ended. */
  | (Told & { readonly type: "checkpoint"; readonly step: number; readonly epochEnd: boolean; readonly folder: string })
  /** A piece of an experiment begins, is done, was there already (`skipped`), or cannot be done (`left out`). */
  | {
      readonly type: "piece";
      readonly piece: string;
      readonly state: "started" | "done" | "skipped" | "left out";
      /** Pieces that need no more work, of all there are. */
      readonly done: number;
      readonly pieces: number;
      readonly secondsLeft?: number;
    };

interface Told {
  /** The piece of an experiment that it is about. */
  readonly piece?: string;
}

/** How long work is followed and stopped. */
export interface Following {
  readonly emit?: ((event: Event) => void) | undefined;
  /** Aborted to ask for a stop: the step is finished and saved, then the call returns. */
  readonly signal?: AbortSignal | undefined;
}
