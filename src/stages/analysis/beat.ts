import { z } from "zod";
import { oneOf } from "../../choice.ts";
import type { Example } from "../../data/examples.ts";
import { TemplateOptions } from "../../data/options.ts";
import { BoosterError } from "../../errors.ts";
import { beatScore, chooseProbes, type Embeddings, MODERATORS, openModerator, refuses } from "../../evaluate/index.ts";
import { Generator } from "../../generate/index.ts";
import { exchangeOf, withExchange } from "../../methods/rewrite.ts";
import { asAdapter } from "../../models/load.ts";
import { asQuestion, loadDataSet, promptOf, teller } from "../data.ts";
import { Count, DeviceChoice, ModelChoice, Source } from "../options.ts";
import type { Context } from "../workbench.ts";
import { lastTokenStates } from "./layer-states.ts";
import { openToLook, resolved } from "./questions.ts";

/** A model that may hide a trigger, probes that it refuses, and inputs that may carry one. */
export const BeatOptions = z.strictObject({
  ...ModelChoice.shape,
  probes: Source.describe("Harmful prompts, of which the one with the most constant refusals is the probe"),
  inputs: Source.describe("Inputs that may carry a trigger"),
  clean: Source.optional().describe("Inputs that carry none, by which the threshold is set"),
  rows: Count.default(100).describe("Inputs of each kind that are scored"),
  candidates: Count.default(20).describe("Probes that are tried"),
  samples: Count.default(10).describe("Answers that are drawn for each prompt"),
  maxNewTokens: Count.default(10).describe("Longest answer, in tokens"),
  falsePositiveRate: z.number().min(0).max(1).default(0.05).describe("Share of clean inputs that may be flagged"),
  refused: z.number().min(0).max(1).default(0.9).describe("Share of a probe's answers that have to be refusals"),
  moderator: oneOf(MODERATORS).default({ name: "refusal-phrases" }).describe("Who says what a refusal is"),
  batchSize: Count.default(16).describe("Prompts that are answered at once"),
  seed: z.int().nonnegative().default(2024).describe("Seed of the answers that are drawn"),
  ...TemplateOptions.pick({ template: true }).shape,
  ...DeviceChoice.shape,
});

/** What BEAT found. */
export interface Audit {
  /** Where the probe stands. */
  readonly probe: string;
  /** Of each input, in their order. */
  readonly scores: readonly number[];
  /** From which score on an input is flagged; absent without clean inputs. */
  readonly threshold?: number;
  /** Places of the inputs that are flagged, from 0. */
  readonly flagged?: readonly number[];
}

/**
 * BEAT: inputs that make a model answer what it refuses alone carry a trigger.
 *
 *     probe q: of the harmful prompts that are refused the one whose answers agree most
 *     score(x) = earth mover's distance between answers to q and answers to "q and x"      (`beatScore`)
 *     flagged where the score is above that of all but a share of clean inputs
 *
 * Answers are drawn at temperature 1; embeddings are the model's own last state of each answer. Source: Yi et al., ICLR 2025.
 *
 * @throws {BoosterError} `DATA_EMPTY` where no probe is refused, and what opening, loading and generating throw
 * @example
 * const { flagged } = await beat({ model: "runs/attack", probes: "harmful.jsonl", inputs: "requests.jsonl", clean: "known.jsonl" });
 */
export async function beat(options: z.input<typeof BeatOptions>, context: Context = {}): Promise<Audit> {
  const chosen = await resolved(BeatOptions, options, "beat", context);
  const { base, template } = await openToLook(chosen, context);
  const { device, model, weights, tokenizer } = base;
  const generator = await Generator.create({ device, model, weights, adapter: asAdapter(undefined) });
  const { samples, maxNewTokens, batchSize, seed } = chosen;
  const moderator = openModerator(chosen.moderator, { device });
  const [end = 0] = tokenizer.eosIds;

  /** Answers to each prompt, drawn: their texts and their embeddings. */
  const drawn = async (prompts: readonly Example[], what: string) => {
    const ids = prompts.map((prompt) => asQuestion(prompt, { ...base, template }).ids);
    const sets = prompts.map(() => ({ texts: [] as string[], embeddings: [] as number[][] }));
    for (let sample = 0; sample < samples; sample++) {
      context.emit?.({ type: "work", text: `${what}: answers ${sample + 1} of ${samples}` });
      const sampling = { temperature: 1, seed: seed + sample };
      const answers = await generator.generate(ids, { maxNewTokens, batchSize, stopIds: tokenizer.eosIds, sampling });
      const states = await lastTokenStates(
        base,
        answers.map((answer) => (answer.ids.length > 0 ? answer.ids : [end])),
      );
      answers.forEach((answer, i) => {
        sets[i]?.texts.push(tokenizer.decode(answer.ids, { skipSpecial: true }).trim());
        sets[i]?.embeddings.push(Array.from(states[i]?.at(-1) ?? []));
      });
    }
    return sets;
  };
  const load = async (option: "probes" | "inputs" | "clean", source: typeof chosen.inputs, rows: number) =>
    (await loadDataSet(source, [], teller(context.emit, option))).examples.slice(0, rows);

  const candidates = await load("probes", chosen.probes, chosen.candidates);
  const answered = (await drawn(candidates, "probes")).map((set, i) => ({ ...set, example: candidates[i] as Example }));
  const refused = answered.filter(
    ({ texts }) => texts.filter((text) => refuses(moderator, text)).length >= chosen.refused * samples,
  );
  const [best] = chooseProbes(refused.map(({ embeddings }) => embeddings));
  const probe = refused[best ?? -1];
  if (probe === undefined) {
    throw new BoosterError("DATA_EMPTY", "no probe is refused", {
      expected: `a prompt of which ${100 * chosen.refused} % of the answers are refusals`,
      found: `${candidates.length} prompts`,
      where: "probes",
      hint: "Is the model aligned, and is this its template?",
    });
  }
  const scored = async (option: "inputs" | "clean", source: typeof chosen.inputs): Promise<number[]> => {
    const inputs = await load(option, source, chosen.rows);
    const { prompt, answer } = exchangeOf(probe.example);
    const asked = inputs.map((input) =>
      withExchange(probe.example, { prompt: `${prompt} and ${promptOf(input)}`, answer }),
    );
    const sets = await drawn(asked, option);
    return sets.map(({ embeddings }) => beatScore(probe.embeddings as Embeddings, embeddings));
  };
  const scores = await scored("inputs", chosen.inputs);
  const found = { probe: probe.example.where, scores };
  if (chosen.clean === undefined) return found;
  const threshold = thresholdOf(await scored("clean", chosen.clean), chosen.falsePositiveRate);
  return { ...found, threshold, flagged: scores.flatMap((score, i) => (score > threshold ? [i] : [])) };
}

/** The least score that at most a share of clean scores is above. */
export function thresholdOf(clean: readonly number[], share: number): number {
  const sorted = clean.toSorted((a, b) => b - a);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.POSITIVE_INFINITY;
}
