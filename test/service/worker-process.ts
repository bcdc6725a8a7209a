/** A worker as a process of its own: `worker-process.js URL TOKEN_FILE SCRATCH CHECKPOINT_SECONDS [once]`. Exits with 143 after SIGTERM. */
import { readFileSync } from "node:fs";
import { WorkerClient } from "../../src/service/worker/client.ts";
import { runWorker } from "../../src/service/worker/worker.ts";
import { stopOnSignals } from "../../src/train/index.ts";

const [url = "", tokenFile = "", scratch = "", seconds = "60", once] = process.argv.slice(2);
const stop = stopOnSignals();
await runWorker({
  server: new WorkerClient({ url, token: readFileSync(tokenFile, "utf8") }),
  scratch,
  slots: ["light", "heavy"],
  threads: 1,
  version: "test",
  once: once === "once",
  signal: stop.signal,
  // Often, so that a test sees how far a training is.
  beatMs: 100,
  pollMs: 200,
  checkpointSeconds: Number(seconds),
});
process.exit(stop.exitCode() ?? 0);
