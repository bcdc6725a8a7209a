import { z } from "zod";

const word = z.string().regex(/^[\w.:,@+-]+$/, "a word as Slurm takes it, without blanks and quotes");

/** How an experiment's jobs are submitted. */
export const SlurmOptions = z.strictObject({
  partition: word.optional().describe("Partition of all jobs; the cluster's default otherwise"),
  account: word.optional().describe("Account that the jobs are charged to"),
  time: word
    .optional()
    .describe("Time limit of a task, such as 08:00:00; what is cut short is saved and goes on in a new start"),
  lines: z
    .array(z.string().regex(/^[^\r\n]*$/, "one line"))
    .default([])
    .describe("Further lines of each script, as they are: #SBATCH directives, then commands such as module load"),
});
export type SlurmOptions = z.infer<typeof SlurmOptions>;
