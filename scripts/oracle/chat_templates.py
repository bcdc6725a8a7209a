"""Rewrites the texts in test/differential/chat-templates.json: what Python makes of conversations with templates as models have them.

Run: pip install 'transformers==5.24.*' jinja2; python scripts/oracle/chat_templates.py
"""

import json
import os

from fixed_date import utils

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/differential/chat-templates.json")
with open(path) as file:
    table = json.load(file)
for case in table["cases"]:
    case.pop("text", None)
    try:
        (case["text"],), _ = utils.render_jinja_template(
            [table["conversations"][case["messages"]]],
            tools=table["tools"] if case["tools"] else None,
            chat_template=table["templates"][case["template"]],
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
            **case["extra"],
        )
    except Exception:  # every kind of Python's exceptions is an error of the template
        continue


def lines(rows, indent):
    return (",\n" + indent).join(json.dumps(row, ensure_ascii=False) for row in rows)


templates = ",\n    ".join(f"{json.dumps(name)}: {json.dumps(text, ensure_ascii=False)}" for name, text in table["templates"].items())
with open(path, "w") as file:
    file.write('{\n  "tools": ' + json.dumps(table["tools"], ensure_ascii=False))
    file.write(',\n  "conversations": [\n    ' + lines(table["conversations"], "    ") + "\n  ]")
    file.write(',\n  "templates": {\n    ' + templates + "\n  }")
    file.write(',\n  "cases": [\n    ' + lines(table["cases"], "    ") + "\n  ]\n}\n")
