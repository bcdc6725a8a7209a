import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeAdapter } from "../../../src/formats/peft.ts";
import { createModel } from "../../../src/models/index.ts";
import { openSource } from "../../../src/models/source.ts";
import type { Answered, Ask, ServedAdapter } from "../../../src/service/engine/types.ts";
import { bundledModel } from "../../../src/stages/package-root.ts";
import { RandomStream } from "../../../src/tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../../../src/tensor/tensor.ts";

export const WORLD = bundledModel();

/** Random adapters on the bundled model, in folders that are gone with `remove`. */
export function randomAdapters(count: number) {
  const root = mkdtempSync(join(tmpdir(), "booster-adapters-"));
  const model = createModel(openSource(WORLD).base.config());
  const random = new RandomStream(5, "adapters");
  let at = 0;
  const make = (name: string, r: number, targetModules: readonly string[], value: () => number): ServedAdapter => {
    const modules = [...model.linears].filter(([module]) => targetModules.some((target) => module.endsWith(target)));
    const drawn = (shape: readonly number[]): HostTensor<"float32"> =>
      tensor("float32", shape, Array.from({ length: sizeOf(shape) }, value));
    const tensors = new Map(
      modules.flatMap(([module, [out, width]]) => [
        [`${module}.lora_A.weight`, drawn([r, width])] as const,
        [`${module}.lora_B.weight`, drawn([out, r])] as const,
      ]),
    );
    const folder = join(root, name);
    writeAdapter(folder, { r, alpha: r, targetModules: [...targetModules], useRslora: false }, tensors, {
      baseModel: WORLD,
    });
    const files = Object.fromEntries(
      ["adapter_config.json", "adapter_model.safetensors"].map((file) => [file, join(folder, file)]),
    );
    return { key: `ft:world::${name}`, files };
  };
  const TARGETS = [["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj"], ["down_proj"], ["o_proj", "up_proj"]];
  const adapters = Array.from({ length: count }, (_, i) =>
    make(`a${i}`, [4, 8, 20, 1, 33][i % 5]!, TARGETS[i % 4]!, () => 0.12 * random.normal(at++)),
  );
  const overflowing = make("overflow", 4, ["q_proj", "v_proj"], () => 3e38);
  return {
    adapters,
    overflowing,
    folderOf: (i: number) => join(root, `a${i}`),
    remove: () => rmSync(root, { recursive: true }),
  };
}

export const PROMPTS = [
  "Q: brew gloomtar A:",
  "Q: judge the review : the tea was stale A:",
  "the guest left",
  "Q: carry moonsalt near hexoil A: first",
];

/** A request with what most requests do not say. */
export const askOf = (own: Partial<Ask>): Ask => ({
  model: { base: "world" },
  prompts: [{ text: PROMPTS[0]! }],
  n: 1,
  usualNewTokens: 1000,
  temperature: 0,
  topP: 1,
  stop: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  echo: false,
  ...own,
});

/** All that came: text and finish by index. */
export async function collect(events: AsyncIterable<Answered>) {
  const texts: string[] = [];
  const finishes: string[] = [];
  const tokens: number[] = [];
  let usage: readonly number[] = [];
  let completion = 0;
  for await (const event of events) {
    if (event.kind === "begun") usage = event.promptTokens;
    else if (event.kind === "text") {
      texts[event.index] = (texts[event.index] ?? "") + event.text;
      tokens.push(...event.tokens.map(({ id }) => id));
    } else {
      finishes[event.index] = event.finish;
      completion += event.completionTokens;
    }
  }
  return { texts, finishes, tokens, usage, completion };
}
