import { z } from "zod";

/** Options of `booster worker`. */
export const WorkerOptions = z.strictObject({
  server: z.url({ protocol: /^https?$/ }).describe("Address of the server, such as http://127.0.0.1:8642"),
  tokenFile: z.string().min(1).describe("File with the token that the server knows its workers by"),
  scratch: z
    .string()
    .min(1)
    .default("scratch")
    .describe("Folder for what is being computed, on a disk of this host and of no other"),
  slots: z
    .array(z.enum(["light", "heavy"]))
    .min(1)
    .default(["light", "heavy"])
    .describe("Kinds of work to take, one piece of each at a time: light reads files, heavy has a model in memory"),
  threads: z
    .int()
    .positive()
    .max(256)
    .optional()
    .describe("Threads of a job's programs at most; jobs that ask for more are left to others. All cores by default"),
  memory: z
    .number()
    .positive()
    .optional()
    .describe("GB that a job's program may have: one with more fails with out_of_memory. All but a tenth by default"),
  checkpointSeconds: z.number().positive().default(60).describe("Seconds between checkpoints of a training"),
  once: z.boolean().default(false).describe("Take one piece of work, or find none, and end: for a batch system"),
});
export type WorkerOptions = z.output<typeof WorkerOptions>;
