/**
 * What a form of the frozen weights changes: the loss of real rows, and the gradient of LoRA factors on every linear layer, against those
 * of the weights as they are on disk. Prints a table.
 *
 *     node dist/bench/quantising.js MODEL [--shared ../shared]
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Tree, valueAndGrad } from "../src/autodiff/index.ts";
import { loadTask } from "../src/data/tasks/table.ts";
import { encodeEach, encodeExample } from "../src/data/templates.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, weightsOf } from "../src/models/index.ts";
import { freshLora, loadBase } from "../src/models/load.ts";
import { openSource } from "../src/models/source.ts";
import { BASES, type BaseForm } from "../src/models/storages.ts";
import { Device, typesOf } from "../src/runtime/index.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { mapNumbers } from "../src/tensor/tensor.ts";

const ROWS = 4;
const CHUNKS = 4;
const { values: args, positionals } = parseArgs({
  options: { shared: { type: "string", default: "../shared" } },
  allowPositionals: true,
});
const [path = ""] = positionals;
const device = new Device();
const { base } = openSource(path);
const { examples } = await loadTask("safe-answers", join(args.shared, "data", "safe_answers.json"));
const options = { tokenizer: base.tokenizer(), template: "alpaca", maxTokens: 256, tooLong: "truncate" } as const;
const { encoded } = encodeEach(examples.slice(0, ROWS), (example) => encodeExample(example, options));
const batch = packBatch(
  encoded.map(({ ids, labels }) => ({ inputIds: ids, labels })),
  { chunks: CHUNKS },
);

async function lossAndGradient(form?: BaseForm) {
  const { model, weights } = await loadBase(base, device, { form });
  const names = [...new Set([...model.linears.keys()].map((name) => name.split(".").at(-1) as string))];
  const fresh = freshLora(model, { r: 8, alpha: 8, targetModules: names, useRslora: false }, 3);
  // B is zero at first, and the gradient of A with it.
  const tensors = mapNumbers(fresh, ({ data }, name) => {
    const random = new RandomStream(4, name);
    return name.includes("lora_B") ? data.map((_, i) => 0.01 * random.normal(i)) : data;
  });
  const inputs = { base: typesOf(weights), tensors: typesOf(tensors), batch: batchTypes("rows", CHUNKS) };
  const program = await device.compile(inputs, (given) => {
    const loss = (w: Tree) =>
      tokenLoss(model, weightsOf(model, given.base, { scale: 1, tensors: w }), batchOf(given.batch), {
        chunks: CHUNKS,
      });
    const { value, grad } = valueAndGrad(loss)(given.tensors);
    return { value, grad };
  });
  const { value, grad } = await program.run({ base: weights, tensors, batch });
  return { loss: Number(value.data[0]), gradient: Object.values(grad).map(({ data }) => data as Float32Array) };
}

const norm = (parts: readonly Float32Array[]) =>
  Math.sqrt(parts.reduce((sum, part) => part.reduce((s, x) => s + x * x, sum), 0));

const wide = await lossAndGradient();
console.log("| base | loss | gradient |\n| --- | ---: | ---: |");
console.log(`| as stored | ${wide.loss.toFixed(4)} | |`);
for (const form of BASES) {
  const { loss, gradient } = await lossAndGradient(form);
  const apart = norm(gradient.map((part, i) => part.map((x, j) => x - (wide.gradient[i]?.[j] as number))));
  console.log(`| ${form} | ${loss.toFixed(4)} | ${((100 * apart) / norm(wide.gradient)).toFixed(3)} % |`);
}
