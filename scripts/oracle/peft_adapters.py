"""What PEFT makes of adapters, as folders for `npm run fixtures`, and whether PEFT reads what this project writes.

Run: pip install torch transformers 'peft==0.21.*'
  python scripts/oracle/peft_adapters.py make OUT      tiny models, and an adapter of each kind with the logits that PEFT computes
  python scripts/oracle/peft_adapters.py read OUT      loads the adapters of such folders and compares the logits that stand there
"""

import json
import os
import sys
import warnings
from pathlib import Path

# The folder of this script would hide the package tokenizers.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import torch  # noqa: E402
import transformers  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model  # noqa: E402
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM  # noqa: E402

SIZES = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0)
MODELS = {
    "tied": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "biased": (Qwen2ForCausalLM, Qwen2Config(**SIZES, tie_word_embeddings=False)),
    "turned": (GPT2LMHeadModel, GPT2Config(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=64, pad_token_id=0)),
}
Q, QV = ["q_proj"], ["q_proj", "v_proj"]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Base, settings, and whether PEFT saves the embedding's own weight as well.
# PEFT sorts the keys of patterns when it writes them.
KINDS = {
    "all-linear": ("biased", dict(target_modules="all-linear"), False),
    "tied-embedding": ("tied", dict(target_modules=["embed_tokens", "q_proj"]), False),
    "tied-embedding-saved": ("tied", dict(target_modules=["embed_tokens", "q_proj"]), True),
    "tied-head": ("tied", dict(target_modules=["lm_head", "q_proj"]), False),
    "tied-head-and-embedding": ("tied", dict(target_modules=["lm_head", "embed_tokens"]), False),
    "tied-saved-head": ("tied", dict(target_modules=Q, modules_to_save=["lm_head"]), False),
    "tied-saved-embedding": ("tied", dict(target_modules=Q, modules_to_save=["embed_tokens"]), False),
    "saved-embedding": ("biased", dict(target_modules=["embed_tokens", "lm_head"]), True),
    "saved-norms": ("biased", dict(target_modules=Q, modules_to_save=["norm", "1.mlp"]), False),
    "dora-embedding": ("biased", dict(target_modules=["embed_tokens", "lm_head", "v_proj"], use_dora=True, use_rslora=True), False),
    "dora-patterns": ("biased", dict(target_modules=ALL, use_dora=True, rank_pattern={"[qk]_proj": 2}, alpha_pattern={"layers.1.*": 3}), False),
    "bias-and-lora-bias": ("biased", dict(target_modules=QV, bias="all", lora_bias=True, alpha_pattern={"v_proj": 1}), False),
    "layers": ("biased", dict(target_modules=["v_proj", "model.layers.2.mlp.up_proj"], layers_to_transform=[1], layers_pattern=["h", "layers"]), False),
    "excluded": ("biased", dict(target_modules=ALL, exclude_modules=["1.mlp.up_proj", "k_proj"], use_rslora=True, r=3), False),
    "expression": ("biased", dict(target_modules=r"^(?!.*mlp)model\.(?P<rest>.*[02]\..*_proj)\Z", rank_pattern={"o_proj|k_proj": 1, "z?.*": 2}), False),
    "pissa-converted": ("biased", dict(target_modules=QV, init_lora_weights="pissa", rank_pattern={"v_proj": 2}), False),
    "turned-dora": ("turned", dict(target_modules=["c_attn", "c_proj"], use_dora=True, fan_in_fan_out=True, modules_to_save=["c_fc"]), False),
    "turned-embedding": ("turned", dict(target_modules=["wte", "attn.c_proj"], bias="all", fan_in_fan_out=True), False),
    "mica": ("biased", dict(target_modules=QV, init_lora_weights="mica"), False),
}


def scramble(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    for tensor in tensors:
        tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * (0.3 if tensor.ndim > 1 else 0.5) + (tensor.ndim == 1))


@torch.no_grad()
def logits_of(model, batch):
    ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
    return model(input_ids=ids, attention_mask=mask).logits


def make(out):
    for name, (kind, config) in MODELS.items():
        model = kind(config)
        scramble(model.parameters(), 1)
        model.save_pretrained(out / "models" / name)
        # This project reads a model with its tokenizer or without; here there is none.
    lengths = [9, 13]
    ids = torch.randint(1, 97, (2, max(lengths)), generator=torch.Generator().manual_seed(2))
    mask = [[int(i < n) for i in range(max(lengths))] for n in lengths]
    batch = {"input_ids": [[int(x) * m for x, m in zip(row, ms)] for row, ms in zip(ids, mask)], "attention_mask": mask}
    batch["labels"] = [[x if m else -100 for x, m in zip(row, ms)] for row, ms in zip(batch["input_ids"], mask)]
    for seed, (name, (base, settings, embeddings)) in enumerate(KINDS.items()):
        folder = out / name
        open_base = lambda: AutoModelForCausalLM.from_pretrained(out / "models" / base, attn_implementation="eager", torch_dtype=torch.float32)
        model = get_peft_model(open_base(), LoraConfig(**{"r": 4, "lora_alpha": 6, "task_type": "CAUSAL_LM", **settings}))
        saving = {"save_embedding_layers": embeddings}
        if name.startswith("pissa"):
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(folder / "start")
            model.peft_config["default"].init_lora_weights = "pissa"
            saving["path_initial_model_for_weight_conversion"] = str(folder / "start")
        scramble([p for p in model.parameters() if p.requires_grad], seed)
        model.save_pretrained(folder / "adapter", **saving)
        read = PeftModel.from_pretrained(open_base(), folder / "adapter").eval()
        value = logits_of(read, batch).tolist()
        trained = logits_of(model.eval(), batch)
        error = float((trained - torch.tensor(value)).norm() / trained.norm())
        assert error < 1e-5, (name, error)
        document = {"base": f"../models/{base}", "align": batch, "cases": {"logits": {"value": value}}}
        (folder / "expected.json").write_text(json.dumps(document))
        print("made", name)


def read(out):
    worst = 0.0
    for path in sorted(out.glob("*/expected.json")):
        document = json.loads(path.read_text())
        base = AutoModelForCausalLM.from_pretrained(path.parent / document["base"], attn_implementation="eager", torch_dtype=torch.float32)
        model = PeftModel.from_pretrained(base, path.parent / "adapter").eval()
        found = logits_of(model, document["align"])
        off = norm = 0.0
        for row, length in enumerate(sum(mask) for mask in document["align"]["attention_mask"]):
            theirs = torch.tensor(document["cases"]["logits"]["value"][row][:length])
            off += float((found[row, :length] - theirs).norm() ** 2)
            norm += float(theirs.norm() ** 2)
        error = (off / norm) ** 0.5
        worst = max(worst, error)
        print("ok " if error <= 2e-5 else "OFF", path.parent.name, f"{error:.1e}")
    sys.exit(int(not worst <= 2e-5))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    {"make": make, "read": read}[sys.argv[1]](Path(sys.argv[2]))
