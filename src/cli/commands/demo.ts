import { DemoOptions, demo as runDemo } from "../../experiments/demo.ts";
import { defineCommand } from "../command.ts";
import { runExperimentCommand } from "../experiment-command.ts";

/** `booster demo` */
export const command = defineCommand({
  details: `The paper's story on a laptop, in minutes: the bundled model is aligned with SFT and with Booster, both are attacked with
growing strength, over several seeds. Prints the table and writes result.json and report.html. What is there already is not
computed again, so the same command goes on after Ctrl-C.`,
  examples: [
    "booster demo  # all of it, into runs/demo",
    "booster demo --seeds 0 --strengths 5e-5,1e-4 --out runs/quick  # a smaller one",
    "booster demo --methods all --strengths 7e-5,1e-4 --out runs/all  # every method there is, under the same attacks",
  ],
  options: DemoOptions,
  run: (options, context) => runExperimentCommand(context, options.out, (inWorkers) => runDemo(options, inWorkers)),
});
