import { BoosterError } from "../../src/errors.ts";
import { runInChild } from "../../src/train/child.ts";
import { stopOnSignals } from "../../src/train/signals.ts";

/** The shape of a command line program that trains: this process answers at once, a child computes. */
const [module = "", job = ""] = process.argv.slice(2);
const stop = stopOnSignals(() => console.log("stopping"));
try {
  const result = await runInChild<string>(module, JSON.parse(job), {
    emit: (event) => event.type === "work" && console.log(event.text),
    signal: stop.signal,
  });
  console.log(result);
  process.exitCode = stop.exitCode() ?? 0;
} catch (error) {
  console.log(error instanceof BoosterError ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
stop.restore();
