import { fileURLToPath } from "node:url";
import { z } from "zod";
import { METHODS } from "../src/methods/registry.ts";
import { measureInChild } from "./child.ts";
import { figure, gigabytes, median, type Section } from "./report.ts";

const Result = z.object({
  seconds: z.array(z.number()).min(1),
  sftSeconds: z.array(z.number()).min(1),
  peakRssBytes: z.number(),
  passes: z.object({ forward: z.number(), backward: z.number() }),
});

/** A step may cost this much more than its passes. */
const OVERHEAD = 1.1;

/** Every method's step beside a step of SFT in the same process, turn by turn: what it costs over what its passes must cost. */
export async function methods({
  quick,
  progress,
}: {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}): Promise<Section> {
  const program = fileURLToPath(new URL("ours-method.js", import.meta.url));
  const results: { name: string; passes: number; ratio: number; seconds: number; bytes: number }[] = [];
  for (const { name } of METHODS.rows) {
    progress(`Methods: ${name}`);
    const measured = await measureInChild(Result, process.execPath, [
      program,
      "--method",
      name,
      "--steps",
      quick ? "3" : "9",
    ]);
    const { forward, backward } = measured.passes;
    const seconds = median(measured.seconds);
    const ratio = seconds / median(measured.sftSeconds);
    results.push({ name, passes: (forward + backward) / 2, ratio, seconds, bytes: measured.peakRssBytes });
  }
  return {
    title: "Methods: a step beside SFT's",
    tables: [
      {
        title: "",
        header: ["method", "passes", "step (ms)", "times SFT", "times SFT a pass", "peak memory (GB)"],
        rows: results.map(({ name, passes, ratio, seconds, bytes }) => [
          name,
          figure(passes),
          figure(1000 * seconds),
          figure(ratio),
          figure(ratio / passes),
          gigabytes(bytes),
        ]),
      },
    ],
    targets: results
      .filter(({ name }) => name !== "sft")
      .map(({ name, ratio, passes }) => ({
        what: `${name}: step over its passes`,
        value: ratio / passes,
        sense: "at most" as const,
        wanted: OVERHEAD,
        unit: "times SFT",
      })),
    notes: [
      "d=288, 6 layers, vocabulary 4096, 10 rows of 64 tokens a stream, LoRA rank 32 on queries, keys and values; sn-tune and rsn-tune, and SFT beside them, train all weights.",
      "A pass is half a forward and half a backward pass of SFT; work that comes only every so many steps is not in the median. SEAL is timed while its selector learns, two passes a step.",
    ],
    data: results,
  };
}
