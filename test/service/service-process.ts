/** A whole server as a process of its own, with short leases: `service-process.js serve OPTIONS` prints what is needed to use it. Its workers are the same program. */

import { serve } from "../../src/service/serve.ts";
import { ServeOptions } from "../../src/service/serve-options.ts";
import { WorkerOptions } from "../../src/service/worker/options.ts";
import { startWorker } from "../../src/service/worker/run.ts";
import { stopOnSignals } from "../../src/train/index.ts";

const [mode, ...words] = process.argv.slice(2);
const stop = stopOnSignals();
if (mode === "worker") {
  // The flags that a server starts its workers with.
  const flags = Object.fromEntries(
    words.flatMap((word, i) =>
      word.startsWith("--") ? [[word.slice(2).replace(/-(.)/g, (_, c) => c.toUpperCase()), words[i + 1]]] : [],
    ),
  );
  const options = WorkerOptions.parse({ ...flags, threads: Number(flags.threads), checkpointSeconds: 0.3 });
  await startWorker(options, "test", stop.signal, undefined);
} else {
  const options = ServeOptions.parse(JSON.parse(words[0] ?? "{}"));
  const server = await serve(options, {
    version: "test",
    program: process.argv[1]!,
    leaseSeconds: 12,
    signal: stop.signal,
  });
  process.stdout.write(`${JSON.stringify({ key: server.firstKey ?? null })}\n`);
  await new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve(), { once: true }));
  await server.stop();
}
process.exit(stop.exitCode() ?? 0);
