"""Peer: the original stack, transformers' Llama with PEFT's LoRA on q, k, v."""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers

from common import LENGTH, LORA_ALPHA, RANK, ROWS, SEED, llama_sizes, measure, parser, random_batches


def dense_model(sizes, attention):
    """The Llama shape of dense.py with random weights."""
    config = transformers.LlamaConfig(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["width"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        intermediate_size=sizes["ffn"],
        rms_norm_eps=1e-5,
    )
    return transformers.AutoModelForCausalLM.from_config(config, **attention)


def gguf_model(path, attention):
    """A GGUF file expanded to float32."""
    folder, file = os.path.split(os.path.abspath(path))
    return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, torch_dtype=torch.float32, **attention)


def read_batches(path):
    """Batches from a file: [{"align": {"input_ids": [[..]], "labels": .., "attention_mask": ..}, "harmful": {..}}, ..]."""
    with open(path) as file:
        steps = json.load(file)
    return [{side: {key: torch.tensor(step[side][key]) for key in ("input_ids", "labels", "attention_mask")} for side in step} for step in steps]


def without_padding(batch):
    """All rows one behind the other as one, each seeing itself alone; the mean over labelled tokens stays what it was."""
    lengths = batch["attention_mask"].sum(1).tolist()
    joined = {key: torch.cat([row[:n] for row, n in zip(batch[key], lengths)])[None] for key in ("input_ids", "labels")}
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    position = torch.cat([torch.arange(n) for n in lengths])
    # The successor of a row's last token is not the next row's first one.
    joined["labels"][0, position == 0] = -100
    seen = (row[:, None] == row) & (position[:, None] >= position)
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return {**joined, "position_ids": position[None], "attention_mask": mask[None, None]}


def main():
    options = parser(__doc__)
    options.add_argument("--workload", choices=["dense", "rows"], default="dense")
    options.add_argument("--attn", choices=["eager", "sdpa"], help="attention; transformers' choice where left out")
    options.add_argument("--model", help="rows: the GGUF file")
    options.add_argument("--batches", help="rows: the JSON file with the batches")
    options.add_argument("--packed", action="store_true", help="without padding")
    arguments = options.parse_args()
    rows = arguments.workload == "rows"
    if rows and not (arguments.model and arguments.batches):
        options.error("--workload rows needs --model and --batches")

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(SEED)
    attention = {"attn_implementation": arguments.attn} if arguments.attn else {}
    shape = arguments.shape
    sizes = llama_sizes(shape)
    base = gguf_model(arguments.model, attention) if rows else dense_model(sizes, attention)
    lora = peft.LoraConfig(r=shape.get("rank", RANK), lora_alpha=LORA_ALPHA, target_modules=["q_proj", "k_proj", "v_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(base, lora).train().to(arguments.device)

    dense = (sizes["vocab"], shape.get("rows", ROWS), shape.get("length", LENGTH))
    batches = read_batches(arguments.batches) if rows else random_batches(*dense)
    if arguments.packed:
        batches = [{side: without_padding(step[side]) for side in step} for step in batches]
    measure(
        arguments,
        lambda batch: model(**batch, use_cache=False).loss,
        [p for p in model.parameters() if p.requires_grad],
        batches,
        peer="transformers+peft",
        workload=f"{arguments.workload}-{arguments.method}",
        mode=base.config._attn_implementation + (" packed" if arguments.packed else ""),
        warmup=1,
        versions={"transformers": transformers.__version__, "peft": peft.__version__},
    )


if __name__ == "__main__":
    main()
