import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sharedPath } from "../../test/shared.ts";
import { readAdapter } from "../formats/peft.ts";
import { createModel, type Model } from "../models/index.ts";
import { mergeLora } from "../models/merge.ts";
import { openSource } from "../models/source.ts";
import { Device } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { Generator } from "./generator.ts";
import { encodePrompt, generateText, streamText } from "./text.ts";

type Weights = Map<string, HostTensor<"float32">>;

function load(path: string): { readonly model: Model; readonly weights: Weights } {
  const { base } = openSource(path);
  const [model, weights] = [createModel(base.config()), base.weights()];
  return { model, weights: new Map([...model.weights.keys()].map((name) => [name, weights.load(name)])) };
}

for (const name of ["llama", "qwen2"]) {
  const folder = sharedPath("fixtures", name);
  describe.skipIf(folder === undefined)(`${name}, as the original stack continues it`, () => {
    const read = () => {
      const at = folder as string;
      const { model, weights } = load(join(at, "model"));
      const { config, tensors } = readAdapter(join(at, "adapter"));
      const expected = JSON.parse(readFileSync(join(at, "expected.json"), "utf8")).cases.greedy as {
        prompt: number[];
        tokens: number[];
      };
      return { model, weights, tensors, scale: config.alpha / config.r, expected };
    };

    test("with the adapter", async () => {
      const { model, weights, tensors, scale, expected } = read();
      const device = new Device({ threads: 1 });
      const options = { device, model, weights: await device.uploadAll(weights), adapter: { scale, tensors } };
      const generator = await Generator.create(options);
      const [answer] = await generator.generate([expected.prompt], { maxNewTokens: 16, lora: tensors });
      expect(answer).toEqual({ ids: expected.tokens, finish: "length" });
    });

    test("with the adapter merged into the weights", async () => {
      const { model, weights, tensors, scale, expected } = read();
      const device = new Device({ threads: 1 });
      const merged = await device.uploadAll(mergeLora(weights, tensors, scale));
      const generator = await Generator.create({ device, model, weights: merged });
      const [answer] = await generator.generate([expected.prompt], { maxNewTokens: 16 });
      expect(answer?.ids).toEqual(expected.tokens);
    });
  });
}

interface Chat {
  readonly user: string;
  readonly ids: number[];
  readonly greedy: number[];
  readonly margins: number[];
  readonly text: string;
}

const smollm2 = sharedPath("fixtures", "smollm2");
describe.skipIf(smollm2 === undefined)("SmolLM2-135M, as the original stack answers", () => {
  test("greedy answers, one by one, together, and as text", async () => {
    const expected = JSON.parse(readFileSync(join(smollm2 as string, "expected.json"), "utf8")) as {
      model: string;
      chat: Chat[];
    };
    const path = join(smollm2 as string, expected.model);
    const tokenizer = openSource(path).base.tokenizer();
    const { model, weights } = load(path);
    const device = new Device();
    const generator = await Generator.create({ device, model, weights: await device.uploadAll(weights) });
    const conversations = expected.chat.map(({ user }) => [{ role: "user", content: user }]);
    expect(conversations.map((chat) => encodePrompt(tokenizer, chat))).toEqual(expected.chat.map(({ ids }) => ids));

    for (const { ids, greedy, margins } of expected.chat) {
      // Where the best two are too close to call, the expected token is taught and the comparison goes on behind it.
      let known = 0;
      while (known < greedy.length) {
        const prompt = [...ids, ...greedy.slice(0, known)];
        const [answer] = await generator.generate([prompt], { maxNewTokens: greedy.length - known });
        const close = margins.findIndex((margin, i) => i >= known && margin <= 1e-3);
        const end = close < 0 ? greedy.length : close;
        expect(answer?.ids.slice(0, end - known)).toEqual(greedy.slice(known, end));
        known = end + 1;
      }
    }

    const clear = expected.chat.filter(({ margins }) => margins.every((margin) => margin > 1e-3));
    const chats = clear.map(({ user }) => [{ role: "user", content: user }]);
    const replies = await generateText(generator, tokenizer, chats, { maxNewTokens: 24 });
    const texts = clear.map(({ text }) => text.replace(/<\|im_end\|>$/, ""));
    expect(replies.map(({ text }) => text)).toEqual(texts);
    const pieces: string[] = [];
    for await (const piece of streamText(generator, tokenizer, chats[0]!, { maxNewTokens: 24 })) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join("")).toBe(texts[0]);
    // Half a minute on two free cores.
  });
});
