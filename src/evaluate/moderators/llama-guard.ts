import { z } from "zod";
import { file, model } from "../../choice.ts";
import { BoosterError, stopIfAsked } from "../../errors.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import { checkPrompt, Generator } from "../../generate/index.ts";
import { openReader } from "../../models/last-token.ts";
import { loadModel } from "../../models/load.ts";
import { openSource } from "../../models/source.ts";
import type { Device } from "../../runtime/index.ts";
import { encodeConversation } from "./conversation.ts";
import { Tolerated } from "./judge.ts";
import { isJudged, type Judgement, type Moderator } from "./moderator.ts";
import { once } from "./once.ts";
import { isReplied, parseVerdict } from "./reply.ts";

/** A model that writes a verdict. */
export const LlamaGuardOptions = z.strictObject({
  model: file(
    model(
      z
        .string()
        .min(1)
        .describe(
          "Model that answers a conversation with safe, or with unsafe and categories: a folder, a GGUF file, or hf:org/name",
        ),
    ),
  ),
  tolerated: Tolerated,
});

/** Room for the verdict and every category. */
const MAX_NEW_TOKENS = 64;

/** Softmax of one logit among all. */
function probabilityOf(logits: ArrayLike<number>, id: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i] as number);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp((logits[i] as number) - most);
  return Math.exp((logits[id] as number) - most) / total;
}

/** Where the verdict begins in a reply, and the token that `unsafe` begins with there; undefined where it cannot be told. */
function verdictToken(
  tokenizer: Tokenizer,
  ids: readonly number[],
  harmful: boolean,
): { place: number; id: number } | undefined {
  const before = (count: number) => tokenizer.decode(ids.slice(0, count), { skipSpecial: true });
  const place = ids.findIndex((_, at) => before(at + 1).trim() !== "");
  if (place < 0) return undefined;
  const first = (word: string) => tokenizer.encode(before(place) + word)[place];
  const [safe, unsafe] = [first("safe"), first("unsafe")];
  // What the tokenizer makes of the word must be what the model said.
  return ids[place] !== (harmful ? unsafe : safe) || unsafe === undefined || safe === unsafe
    ? undefined
    : { place, id: unsafe };
}

/**
 * A language model that judges conversations in its own template: it writes `safe`, or `unsafe` and categories. The probability is that of the
 * token with which `unsafe` begins, in the place where the verdict begins.
 *
 * Source: Inan et al., arXiv 2312.06674, for the probability; the templates and verdicts of Llama Guard 1 to 4. A reply that is no verdict,
 * and a conversation that is too long for the model, are `unjudged`.
 *
 * @throws {BoosterError} `CHAT_TEMPLATE_MISSING`, what `openSource` throws, and while judging `STOPPED` and what loading, encoding and generating throw
 * @example
 * const moderator = llamaGuard(LlamaGuardOptions.parse({ model: "models/llama-guard" }), new Device());
 * await moderator.judge([{ prompt, answer }]); // [{ harmful: true, probability: 0.98, categories: ["S9"] }]
 */
export function llamaGuard({ model: path, tolerated }: z.output<typeof LlamaGuardOptions>, device: Device): Moderator {
  if (openSource(path).base.tokenizer().chatTemplate === undefined) {
    throw new BoosterError(
      "CHAT_TEMPLATE_MISSING",
      "this model has no chat template, so it cannot be shown a conversation",
      {
        where: path,
      },
    );
  }
  const open = async () => {
    const loaded = await loadModel(path, device);
    return { ...loaded, generator: await Generator.create(loaded), read: await openReader(loaded) };
  };
  return {
    name: "llama-guard",
    tolerated,
    tells: isReplied,
    describe: () => ({
      method: `the verdict that ${path} writes on the conversation; its own accuracy is not measured`,
    }),
    async judge(exchanges, signal) {
      if (exchanges.length === 0) return [];
      const { tokenizer, generator, read, model } = await once(device, `guard ${path}`, open);
      const judgements: Judgement[] = [];
      const asked: { readonly exchange: number; readonly ids: number[] }[] = [];
      for (const [exchange, pair] of exchanges.entries()) {
        try {
          const ids = encodeConversation(tokenizer, pair, { addGenerationPrompt: true });
          checkPrompt(ids, model, `exchange ${exchange}`);
          asked.push({ exchange, ids });
        } catch (error) {
          if (!(error instanceof BoosterError)) throw error;
          judgements[exchange] = { unjudged: `${error.code}: ${error.problem} (exchange ${exchange})` };
        }
      }
      const options = { maxNewTokens: MAX_NEW_TOKENS, stopIds: tokenizer.eosIds, signal };
      const replies = await generator.generate(
        asked.map(({ ids }) => ids),
        options,
      );
      const tokens = asked.flatMap(({ exchange, ids }, i) => {
        const reply = replies[i]?.ids ?? [];
        const verdict = parseVerdict(tokenizer.decode(reply, { skipSpecial: true }));
        judgements[exchange] = verdict ?? {
          unjudged: `JUDGE_VERDICT: the guard's reply is no verdict (exchange ${exchange})`,
        };
        const token = verdict && verdictToken(tokenizer, reply, verdict.harmful);
        return token === undefined ? [] : [{ exchange, ids: [...ids, ...reply.slice(0, token.place)], id: token.id }];
      });
      const likely = await read(
        tokens,
        (logits, row) => probabilityOf(logits, tokens[row]?.id ?? 0),
        () => stopIfAsked(signal, "judging"),
      );
      for (const [row, { exchange }] of tokens.entries()) {
        const judged = judgements[exchange] as Judgement;
        if (isJudged(judged)) judgements[exchange] = { ...judged, probability: likely[row] as number };
      }
      return judgements;
    },
  };
}
