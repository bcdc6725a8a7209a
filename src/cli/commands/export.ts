import { ExportOptions, exportModel } from "../../stages/export/export.ts";
import { defineCommand } from "../command.ts";

/** `booster export` */
export const command = defineCommand({
  details: `Writes a model with its adapters for other programs: a Hugging Face folder (safetensors), a file for llama.cpp and what is built on it (gguf),
the adapters alone for llama.cpp (gguf-lora), or a file with a Modelfile for ollama create (ollama). One tensor is in memory at a time.`,
  examples: [
    "booster export runs/hard --out models/hard --dtype bfloat16  # for transformers, vLLM and others",
    "booster export runs/hard --out hard.gguf --format gguf --dtype q8_0  # llama-cli -m hard.gguf",
    "booster export runs/hard --out hard-lora.gguf --format gguf-lora  # llama-cli -m base.gguf --lora hard-lora.gguf",
    "booster export runs/hard --out ollama/hard --format ollama  # ollama create hard -f ollama/hard/Modelfile",
  ],
  options: ExportOptions,
  positional: ["model"],
  async run(options, { output }) {
    const exported = await exportModel(options, { emit: (event) => output.progress.show(event) });
    output.progress.finish();
    const { out, format, dtype, adapters, template } = exported;
    output.result({ ...exported }, () => {
      const use = `trained in another template than its own: write its prompts in ${template}'s`;
      return [`${format}, ${dtype}, ${adapters} adapters: ${out}`, ...(template === undefined ? [] : [use])].join("\n");
    });
  },
});
