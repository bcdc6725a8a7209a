import { basename } from "node:path";
import { BoosterError } from "../../errors.ts";
import type { WrittenFormat } from "../../formats/encode-tensor.ts";
import { ggufTokenizerPairs } from "../../formats/gguf-tokenizer-writer.ts";
import { PAIR, writeGguf } from "../../formats/gguf-writer.ts";
import { publicName } from "../../formats/hub/reference.ts";
import { decodeStrictJson } from "../../formats/strict-json.ts";
import { sumOf } from "../../models/adapter-sum.ts";
import { ggufArchitecture, ggufFactors, ggufVector, ggufWeights, layoutOf } from "../../models/gguf-write.ts";
import { loraScale } from "../../models/index.ts";
import { readChain } from "../../models/load.ts";
import type { Exporting } from "./merged-model.ts";

/** llama.cpp's numbers of file types. */
const FILE_TYPES: Readonly<Record<WrittenFormat, number>> = { F32: 0, F16: 1, Q8_0: 7, BF16: 32 };
/** Keys that tell how a file was laid out, which another one is not. */
const OF_THE_FILE = /^(split\.|general\.(file_type|alignment|quantization_version|architecture)$|quantize\.)/;

/** The merged model as one GGUF file. What a GGUF base says of itself and of its tokenizer stands in it as it stood there. */
export function exportGguf(path: string, made: Exporting): void {
  const { origin, model, config, format } = made;
  const general = [
    PAIR.text(
      "general.architecture",
      (origin.base.gguf?.metadata["general.architecture"] as string) ?? ggufArchitecture(model),
    ),
    PAIR.u32("general.file_type", FILE_TYPES[format]),
    PAIR.u32("general.quantization_version", 2),
  ];
  const { pairs, vectors } = origin.base.gguf === undefined ? described(made) : copied(made);
  const extra = Object.entries(vectors).map(([name, values]) => [name, ggufVector(values)] as const);
  const weights = ggufWeights(model, config, made.load, format, made.told);
  writeGguf(path, [...general, ...pairs], new Map([...extra, ...weights]));
}

interface Description {
  readonly pairs: readonly Uint8Array[];
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

/** @throws {BoosterError} `GGUF_ARCHITECTURE_UNSUPPORTED`, `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED`, `TOKENIZER_UNSUPPORTED` */
function described({ origin, model, config }: Exporting): Description {
  const { base } = origin;
  const { pairs, vectors } = layoutOf(model).write(model, config);
  const file = base.tokenizerFiles().get("tokenizer.json");
  const json =
    file === undefined ? undefined : decodeStrictJson(file, "tokenizer.json", { depth: 100, values: 5_000_000 });
  const tokens = ggufTokenizerPairs(json, base.tokenizer(), model.vocabSize);
  return { pairs: [PAIR.text("general.name", basename(publicName(base.path))), ...pairs, ...tokens], vectors };
}

function copied({ origin, model }: Exporting): Description {
  const file = origin.base.gguf;
  if (file === undefined) return { pairs: [], vectors: {} };
  const keys = Object.keys(file.metadata).filter((key) => !OF_THE_FILE.test(key));
  const vectors = (layoutOf(model).parameters ?? [])
    .filter((name) => file.entries.has(name))
    .map((name) => [name, [...file.load(name).data]]);
  return { pairs: keys.map((key) => file.pair(key)), vectors: Object.fromEntries(vectors) };
}

/** All adapters as one, in the form of llama.cpp's adapters, for a GGUF file of the same base. */
export function exportGgufLora(path: string, { origin, plain, config, format }: Exporting): void {
  const [first, ...rest] = readChain(plain, origin.sha256, origin.adapters);
  if (first === undefined) {
    throw new BoosterError("OPTIONS_CONFLICT", "this model has no adapter that could be written alone", {
      where: origin.base.path,
    });
  }
  const sum = sumOf([first, ...rest]);
  const pairs = [
    PAIR.text("general.architecture", ggufArchitecture(plain)),
    PAIR.text("general.type", "adapter"),
    PAIR.text("adapter.type", "lora"),
    // llama.cpp multiplies by alpha / rank.
    PAIR.f32("adapter.lora.alpha", loraScale(sum.config) * sum.config.r),
  ];
  writeGguf(path, pairs, ggufFactors(plain, config, sum.tensors, format));
}
