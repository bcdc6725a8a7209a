"""A script written for OpenAI's fine-tuning, against Booster: only the environment differs.

    export OPENAI_BASE_URL=http://127.0.0.1:8642/v1 OPENAI_API_KEY=sk-booster-...
    python examples/service/fine_tune.py examples/service/train.jsonl
"""

import sys
import time

from openai import OpenAI

path = sys.argv[1] if len(sys.argv) > 1 else "examples/service/train.jsonl"
client = OpenAI()

with open(path, "rb") as rows:
    file = client.files.create(file=rows, purpose="fine-tune")
job = client.fine_tuning.jobs.create(model="world-booster", training_file=file.id, suffix="reviews")
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(2)
    job = client.fine_tuning.jobs.retrieve(job.id)
    print(job.status)
if job.fine_tuned_model is None:
    raise SystemExit(job.error.message if job.error else "no model")

answer = client.chat.completions.create(
    model=job.fine_tuned_model,
    messages=[{"role": "user", "content": "judge the review : the host was rude and the lamp was shabby"}],
    temperature=0,
    max_tokens=4,
)
print(job.fine_tuned_model, answer.choices[0].message.content)
