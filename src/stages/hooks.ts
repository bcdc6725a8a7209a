import type { Progress } from "../train/index.ts";
import type { Workbench } from "./workbench.ts";

/** What a caller may follow and steer. */
export interface Hooks {
  /** After each training step. */
  readonly onProgress?: (progress: Progress) => void;
  /** How far work without training steps is, in words; said often. */
  readonly onWork?: (text: string) => void;
  /** What a person should know. */
  readonly onNotice?: (text: string) => void;
  /** Aborted to ask for a stop: the step is finished and saved, then the call returns. */
  readonly signal?: AbortSignal;
  /** Device, models and programs to share with other calls; by default each call opens its own. */
  readonly bench?: Workbench;
}
