"""Rewrites the values in test/differential/tokenizer-folders.json: what transformers reads in folders whose files say more than tokenizer.json.

Run: pip install 'transformers==5.24.*' jinja2; python scripts/oracle/tokenizer_folders.py
"""

import json
import os
import sys
import tempfile

# The folder of this script would hide the package tokenizers.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
from transformers import AutoTokenizer  # noqa: E402

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/differential/tokenizer-folders.json")
with open(path) as file:
    table = json.load(file)
for case in table["cases"]:
    with tempfile.TemporaryDirectory() as folder:
        files = {"tokenizer.json": {**table["json"], **case["json"]}, **case["files"]}
        for name, content in files.items():
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "w") as file:
                file.write(content if name.endswith(".jinja") else json.dumps(content))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    case["named"] = tokenizer.special_tokens_map
    case["ids"] = [tokenizer.encode(text, add_special_tokens=False) for text in table["texts"]]
    case["first"] = tokenizer.encode("a")[: tokenizer.encode("a").index(tokenizer.encode("a", add_special_tokens=False)[0])]
    if tokenizer.chat_template is not None:
        turns = [{"role": "user", "content": "b"}]
        case["chat"] = [tokenizer.apply_chat_template(turns, tools=tools, tokenize=False) for tools in (None, [], table["tools"])]

with open(path, "w") as file:
    rows = [f"{json.dumps(key)}: {json.dumps(table[key], ensure_ascii=False)}" for key in ("json", "texts", "tools")]
    cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in table["cases"])
    file.write("{\n" + ",\n".join(rows) + ',\n"cases": [\n' + cases + "\n]\n}\n")
