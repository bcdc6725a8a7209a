import { BoosterError } from "../../src/errors.ts";
import { serveParent } from "../../src/train/child.ts";

/** Ways in which a child can end. */
export type OddJob = "count" | "refuse" | "throw" | "kill" | "abort" | "exit" | "heap" | "tensors";

serveParent<OddJob>(async (job, { emit }) => {
  switch (job) {
    case "count":
      for (let i = 0; i < 1000; i++) emit({ type: "work", text: String(i) });
      return Float32Array.of(1, Number.NaN);
    case "refuse":
      throw new BoosterError("DISK_FULL", "no space", {
        expected: "2 bytes",
        found: "1 byte",
        where: "here",
        hint: "free it",
        cause: { uncloneable: () => 0 },
      });
    case "throw":
      throw new TypeError("a mistake");
    case "kill":
      return process.kill(process.pid, "SIGKILL");
    case "abort":
      return process.abort();
    case "exit":
      console.error("oops");
      return process.exit(7);
    case "tensors": {
      // Outside of JavaScript's heap, as what a model computes on.
      const hoard: Float32Array[] = [];
      for (;;) {
        hoard.push(new Float32Array(5_000_000).fill(hoard.length));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    case "heap": {
      const hoard: number[][] = [];
      for (;;) hoard.push(Array.from({ length: 10_000 }, (_, i) => i));
    }
  }
});
