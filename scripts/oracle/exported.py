"""Compares an exported Hugging Face folder with its base model and adapter as transformers and PEFT compute them.

    booster export MODEL --adapters ADAPTER --out FOLDER
    python scripts/oracle/exported.py MODEL ADAPTER FOLDER

Prints the largest difference of logits over random rows, and ends with 1 where it exceeds 2e-5 of the largest logit.
"""
import os
import sys

# tokenizers.py beside this file is not the package of that name.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

base, adapter, exported = sys.argv[1:]
load = lambda path: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
expected_model = PeftModel.from_pretrained(load(base), adapter).eval()
found_model = load(exported)
ids = torch.randint(3, found_model.config.vocab_size, (4, 40), generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    expected, found = expected_model(input_ids=ids).logits, found_model(input_ids=ids).logits
error = ((expected - found).abs().max() / expected.abs().max()).item()
print(f"{error:.1e} of the largest logit")
sys.exit(error > 2e-5)
