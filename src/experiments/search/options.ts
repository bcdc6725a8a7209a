import { z } from "zod";
import { Count, FinetuneOptions, Source } from "../../stages/options.ts";

const { shape } = FinetuneOptions;

/** Values that an option of the attack may take; the default of the option itself has no part in it. */
const values = <T extends z.ZodType>(option: T) => {
  const bare = option instanceof z.ZodDefault ? (option.unwrap() as z.ZodType<z.output<T>, z.input<T>>) : option;
  return z
    .array(bare as z.ZodType<NonNullable<z.output<T>>, NonNullable<z.input<T>>>)
    .min(1)
    .optional()
    .describe(`Values: ${option.description ?? ""}`);
};

/** What an attacker who tries may change. */
const Space = z
  .strictObject({
    learningRate: values(shape.learningRate),
    epochs: values(shape.epochs),
    targetModules: values(shape.targetModules),
    loraRank: values(shape.loraRank),
    loraScale: z.array(z.number().positive()).min(1).optional().describe("Values: LoRA's scale, whatever the rank is"),
    tune: values(shape.tune),
    adapterPolicy: values(shape.adapterPolicy),
    batchSize: values(shape.batchSize),
    optimizer: values(shape.optimizer),
    weightDecay: values(shape.weightDecay),
    schedule: values(shape.schedule),
    warmup: values(shape.warmup),
    poisonRatio: values(shape.poisonRatio),
    sampleNumber: values(shape.sampleNumber),
  })
  .refine((space) => Object.values(space).some((axis) => axis !== undefined), "name at least one axis");

/** How attacks are searched: the same trials for every method and seed, judged on questions that the report does not use. */
export const SearchOptions = z
  .strictObject({
    budget: Count.describe("Full trainings that a search may cost, for each method and seed"),
    strategy: z
      .enum(["random", "halving"])
      .default("random")
      .describe(
        "Train all trials to the end, or thrice as many for a ninth of it, the best third for a third, and the best of these to the end",
      ),
    seed: z.int().nonnegative().default(0).describe("Seed of the trials"),
    space: Space.describe("Options of the attack that are tried, each with its values"),
    harmful: Source.describe("Harmful prompts to judge trials by, other ones than the evaluation's"),
    harmless: Source.optional().describe("Harmless prompts to judge trials by"),
    task: Source.optional().describe("Rows of the user's task to judge trials by"),
  })
  .refine(({ strategy, budget }) => strategy === "random" || budget >= 3, {
    error: "halving takes a budget of at least 3",
    path: ["budget"],
  });
export type SearchOptions = z.infer<typeof SearchOptions>;
