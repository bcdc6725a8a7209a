"""The PyPI client, strict about what answers hold: argv are the address, a key, a model and a job that has checkpoints."""

import io
import sys

from openai import APIResponseValidationError, BadRequestError, NotFoundError, OpenAI

address, key, model, with_checkpoints = sys.argv[1:]
client = OpenAI(base_url=address, api_key=key, max_retries=0, _strict_response_validation=True)
ROWS = b"".join(
    b'{"messages":[{"role":"user","content":"what is %d"},{"role":"assistant","content":"it is %d"}]}\n' % (i, i) for i in range(12)
)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


file = client.files.create(file=("a.jsonl", ROWS), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600})
assert client.files.wait_for_processing(file.id).status == "processed"
assert client.files.content(file.id).read() == ROWS
assert [one.id for one in client.files.list(limit=1)][0] == file.id
lost = client.files.create(file=io.BytesIO(ROWS), purpose="fine-tune")
assert client.files.delete(lost.id).deleted
refused(NotFoundError, lambda: client.files.retrieve(lost.id))

upload = client.uploads.create(bytes=len(ROWS), filename="b.jsonl", mime_type="text/jsonl", purpose="fine-tune")
parts = [client.uploads.parts.create(upload.id, data=part).id for part in (ROWS[500:], ROWS[:500])]
assert client.uploads.complete(upload.id, part_ids=parts[::-1]).file.status == "processed"
whole = client.uploads.upload_file_chunked(
    file=ROWS, filename="c.jsonl", bytes=len(ROWS), mime_type="text/jsonl", purpose="fine-tune", part_size=300
)
assert client.files.content(whole.file.id).read() == ROWS
assert client.uploads.cancel(client.uploads.create(bytes=5, filename="d", mime_type="text/jsonl", purpose="fine-tune").id).status == "cancelled"

jobs = client.fine_tuning.jobs
job = jobs.create(
    model=model,
    training_file=file.id,
    suffix="py",
    seed=3,
    metadata={"team": "a b"},
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
)
assert jobs.retrieve(job.id).metadata == {"team": "a b"}
assert [one.id for one in jobs.list(limit=1, metadata={"team": "a b"})] == [job.id]
# The one status that the client's types do not know.
refused(APIResponseValidationError, lambda: jobs.pause(job.id))
assert jobs.resume(job.id).status == "validating_files"
assert [event.object for event in jobs.list_events(job.id, limit=1)]
assert jobs.cancel(job.id).status == "cancelled"
assert refused(BadRequestError, lambda: jobs.cancel(job.id)).code == "invalid_job_state"
checkpoints = list(jobs.checkpoints.list(with_checkpoints, limit=1))
assert [one.step_number for one in checkpoints] == [4, 2]

assert model in [one.id for one in client.models.list()]
assert client.models.retrieve(model).owned_by
messages = [{"role": "user", "content": "brew gloomtar"}]
chat = client.chat.completions.create(model=model, messages=messages, n=2, max_completion_tokens=5, logprobs=True, top_logprobs=3, seed=1)
assert len(chat.choices) == 2 and chat.usage.total_tokens > 0
chunks = list(client.chat.completions.create(model=model, messages=messages, max_tokens=5, stream=True, stream_options={"include_usage": True}))
assert chunks[-1].usage.completion_tokens > 0
# To its end: where an answer is cut, the helper raises an error.
with client.chat.completions.stream(model=model, messages=messages) as stream:
    assert stream.get_final_completion().choices[0].finish_reason
asked = {"model": model, "prompt": ["the guest", "the tea"], "max_tokens": 4}
assert len(client.completions.create(**asked, logprobs=2).choices) == 2
assert client.completions.create(**asked, echo=True).choices[1].text.startswith("the tea")
# A text's first token has no log-probability: null there, as from the service that the client was written for and as lm-eval reads it.
refused(APIResponseValidationError, lambda: client.completions.create(**asked, logprobs=2, echo=True))
# Its type has no chunk before the last, whose reason is null.
lax = OpenAI(base_url=address, api_key=key)
texts = [one.choices[0] for one in lax.completions.create(model=model, prompt="the guest", max_tokens=4, stream=True)]
assert "".join(one.text for one in texts) and [one.finish_reason for one in texts[:-1]] == [None] * (len(texts) - 1)
assert not client.moderations.create(input="hello there").results[0].flagged
answer = client.responses.create(model=model, input="the guest", instructions="be brief", max_output_tokens=5)
assert answer.output[0].type == "message" and answer.usage.total_tokens > 0
events = [event.type for event in client.responses.create(model=model, input="the guest", max_output_tokens=5, stream=True)]
assert events[0] == "response.created" and events[-1] in ("response.completed", "response.incomplete"), events
print("all answers are of the client's types")
