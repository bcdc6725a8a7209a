import { BoosterError } from "../errors.ts";
import type { Following } from "../train/event.ts";
import { stopOnSignals } from "../train/signals.ts";
import type { CommandContext } from "./command.ts";

/**
 * Runs a job that works in processes of its own (ONNX Runtime blocks the event loop): shows its progress, answers Ctrl-C at
 * once and leaves with the code that the convention asks after a signal. SIGINT a second time leaves without waiting.
 *
 * @param onSignal what to tell the person who asked for the stop
 * @param resume the command that goes on after a stop
 * @returns undefined where the job said `STOPPED`; how to go on has been told then
 */
export async function runLong<Result>(
  { output, exitWith }: CommandContext,
  { onSignal, resume }: { readonly onSignal: string; readonly resume: string },
  job: (following: Required<Following>) => Promise<Result>,
): Promise<Result | undefined> {
  const stop = stopOnSignals((name) => output.progress.note(`${name}: ${onSignal}; Ctrl-C again leaves at once`));
  output.progress.show({ type: "work", text: "loading", preparing: true });
  try {
    return await job({ signal: stop.signal, emit: (event) => output.progress.show(event) });
  } catch (error) {
    if (!(error instanceof BoosterError) || error.code !== "STOPPED") throw error;
    output.result({ outcome: "stopped", resume }, () => `Stopped. To go on:\n  ${resume}`);
    return undefined;
  } finally {
    const code = stop.exitCode();
    if (code !== undefined) exitWith(code);
    output.progress.finish();
    stop.restore();
  }
}

/** The command that goes on with a stopped run. */
export const resumed = (typed: string): string => (/(^|\s)--resume(\s|$)/.test(typed) ? typed : `${typed} --resume`);
