/**
 * A script written for OpenAI's fine-tuning, against Booster: only the environment differs.
 *
 *     export OPENAI_BASE_URL=http://127.0.0.1:8642/v1 OPENAI_API_KEY=sk-booster-...
 *     npx tsx examples/service/fine-tune.ts examples/service/train.jsonl
 */
import { createReadStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";

const [path = "examples/service/train.jsonl"] = process.argv.slice(2);
const client = new OpenAI();

const file = await client.files.create({ file: createReadStream(path), purpose: "fine-tune" });
let job = await client.fineTuning.jobs.create({ model: "world-booster", training_file: file.id, suffix: "reviews" });
while (!["succeeded", "failed", "cancelled"].includes(job.status)) {
  await sleep(2000);
  job = await client.fineTuning.jobs.retrieve(job.id);
  console.log(job.status);
}
if (job.fine_tuned_model === null) throw new Error(job.error?.message);

const answer = await client.chat.completions.create({
  model: job.fine_tuned_model,
  messages: [{ role: "user", content: "judge the review : the host was rude and the lamp was shabby" }],
  temperature: 0,
  max_tokens: 4,
});
console.log(job.fine_tuned_model, answer.choices[0]?.message.content);
