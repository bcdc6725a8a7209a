import { z } from "zod";
import { LIMITS } from "../../domain/limits.ts";
import type { Principal } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { strict } from "../json.ts";
import { leastTokens } from "../rates.ts";
import { type Route, route } from "../route.ts";
import { Model } from "./fields.ts";
import { modelNamed, type Serving } from "./served.ts";

const Token = z.string().nullable();

/** The tokeniser at the root, where evaluation harnesses look for it; without `model` that of the first base. */
export function tokenizerRoutes(serving: Serving): Route[] {
  const { engine, service } = serving;
  async function baseOf(principal: Principal, model: string | null | undefined): Promise<string> {
    if (typeof model === "string") return (await modelNamed(serving, principal, model)).base;
    const [first] = await service.store.bases.list();
    if (first !== undefined) return first.name;
    throw new ServiceError("model_not_found", "this server has no model yet");
  }
  return [
    route({
      method: "get",
      path: "/tokenizer_info",
      summary: "What a model's tokeniser adds to texts",
      query: strict({ model: Model.optional() }),
      reply: z.strictObject({ eos_token: Token, bos_token: Token, pad_token: Token, chat_template: Token }),
      async handle({ principal, query }) {
        const base = await engine.base(await baseOf(principal, query.model));
        return {
          eos_token: base.eosToken,
          bos_token: base.bosToken,
          pad_token: base.padToken,
          chat_template: base.chatTemplate,
        };
      },
    }),
    route({
      method: "post",
      path: "/tokenize",
      summary: "Text to token ids; special tokens that are written in it are recognised",
      body: strict({
        // A text is read in one go, and everybody's answers wait meanwhile.
        prompt: z.string().max(LIMITS.tokenizeLength),
        add_special_tokens: z.boolean().default(true),
        model: Model.nullish(),
      }),
      bodyLimit: LIMITS.chatBytes,
      reply: z.strictObject({ tokens: z.array(z.int()), count: z.int(), max_model_len: z.int() }),
      async handle({ principal, body }) {
        const name = await baseOf(principal, body.model);
        service.rates.pay(principal.key, leastTokens(body.prompt.length));
        const tokens = await engine.tokenize(name, body.prompt, body.add_special_tokens);
        const { contextLength } = await engine.base(name);
        return { tokens: [...tokens], count: tokens.length, max_model_len: contextLength };
      },
    }),
    route({
      method: "post",
      path: "/detokenize",
      summary: "Token ids to text",
      body: strict({ tokens: z.array(z.int().nonnegative()).max(1_000_000), model: Model.nullish() }),
      bodyLimit: LIMITS.chatBytes,
      reply: z.strictObject({ prompt: z.string() }),
      async handle({ principal, body }) {
        const name = await baseOf(principal, body.model);
        const { vocabularySize } = await engine.base(name);
        const foreign = body.tokens.find((id) => id >= vocabularySize);
        if (foreign === undefined) {
          service.rates.pay(principal.key, body.tokens.length);
          return { prompt: await engine.detokenize(name, body.tokens) };
        }
        throw new ServiceError("invalid_value", "a token id is outside the model's vocabulary", {
          param: "tokens",
          expected: `0 to ${vocabularySize - 1}`,
          found: String(foreign),
        });
      },
    }),
  ];
}
