import { WorkerOptions } from "../../service/worker/options.ts";
import { stopOnSignals } from "../../train/index.ts";
import { defineCommand } from "../command.ts";
import { boosterVersion } from "../version.ts";

/** `booster worker` */
export const command = defineCommand({
  details: `Takes jobs from a service (booster serve) and does them, stage by stage: checks files, trains, evaluates. It needs the server's address and a
token, and nothing else of the server's: neither its database nor its disk. It can be stopped at any time: on SIGTERM it saves what it does and gives it
back (exit code 143), and what a killed one did goes on elsewhere from its last checkpoint, to the same bytes.`,
  examples: [
    "booster worker --server http://10.0.0.1:8642 --token-file worker.token  # on another host",
    "sbatch --wrap 'booster worker --server http://10.0.0.1:8642 --token-file worker.token --once'  # one piece of work as a Slurm job",
    "booster worker --server http://10.0.0.1:8642 --token-file worker.token --slots light  # only what needs no model in memory",
  ],
  options: WorkerOptions,
  async run(options, { output, exitWith }) {
    const stop = stopOnSignals((name) =>
      output.progress.note(`${name}: saving what is being done, and giving it back`),
    );
    const { startWorker } = await import("../../service/worker/run.ts");
    try {
      const pieces = await startWorker(options, boosterVersion(), stop.signal, (what, { job, stage }) =>
        output.progress.show({ type: "notice", text: `${what} ${job}: ${stage}` }),
      );
      output.result({ pieces }, () => `${pieces} pieces of work done`);
    } finally {
      const code = stop.exitCode();
      if (code !== undefined) exitWith(code);
      output.progress.finish();
      stop.restore();
    }
  },
});
