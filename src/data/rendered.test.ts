import { expect, test } from "vitest";
import { renderedPrompt } from "./rendered.ts";

const VICUNA =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";

test.each([
  ["Human: q\n\nAssistant:", ["user q", "assistant "]],
  ["Human: q0\n\nAssistant: a0\n\nHuman: q", ["user q0", "assistant a0", "user q"]],
  ["System: s\n\nUser: q\n\nAssistant:", ["system s", "user q", "assistant "]],
  ["### Human: q### Assistant:", ["user q", "assistant "]],
  ["### System:\ns\n\n### User:\nq\n\n### Assistant:\n", ["system s", "user q", "assistant "]],
  [
    "<|begin_of_text|><|header_start|>user<|header_end|>\n\nq<|eot|><|header_start|>assistant<|header_end|>\n\n",
    ["user q", "assistant "],
  ],
  ["<|im_start|>user<|im_sep|>q<|im_end|><|im_start|>assistant<|im_sep|>", ["user q", "assistant "]],
])("is read: %j", (text, turns) => {
  const found = renderedPrompt(text);
  expect(found && "messages" in found && found.messages.map(({ role, content }) => `${role} ${content}`)).toEqual(
    turns,
  );
});

test.each([
  ["### Instruction\nq\n\n### Response\n", "q", ""],
  ["### Instruction\nq\n\n### Input\nx\n\n### Response", "q", "x"],
  ["### Instruction:\nq\n### Input\n1 2\n\n### Response:\n", "q\n### Input\n1 2", ""],
])("is read as an instruction: %j", (text, instruction, input) => {
  expect(renderedPrompt(text)).toMatchObject({ instruction, input });
});

test.each([
  // FastChat's and their like: words, behind a preamble or not.
  `${VICUNA} USER: q ASSISTANT:`,
  "BEGINNING OF CONVERSATION: USER: q ASSISTANT:",
  "BEGINNING OF CONVERSATION: USER: q GPT:",
  "Human: q\nAssistant:",
  "Be kind.\n\nHuman: q\n\nAssistant:",
  "The following is a conversation with an AI.\n\nHuman: q\nAI:",
  "<human>: q\n<bot>:",
  "**User:** q\n**Assistant:**",
  "Instruct: q\nOutput:",
  "GPT4 Correct User: q<|end_of_turn|>GPT4 Correct Assistant:",
  "A chat.\n### Human: q\n### Assistant:",
  "### Question:\nq\n### Answer:\n",
  "### Input: [|Human|] q\n### Response: [|AI|]",
  "\u7528\u6237\uff1aq\n\u52a9\u624b\uff1a",
  // Tokens that say who speaks.
  "<|start|>system<|message|>s<|end|><|start|>user<|message|>q<|end|><|start|>assistant",
  "<|start|>user<|message|>q<|end|><|start|>assistant<|channel|>final<|message|>",
  "<\uff5cbegin\u2581of\u2581sentence\uff5c>s<\uff5cUser\uff5c>q<\uff5cAssistant\uff5c><think>\n",
  "[SYSTEM_PROMPT]s[/SYSTEM_PROMPT][INST]q[/INST]",
  "<s>[INST] <<SYS>>\ns\n<</SYS>>\n\nq [/INST]",
  "<BOS_TOKEN><|START_OF_TURN_TOKEN|><|USER_TOKEN|>q<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
  "<|prompter|>q<|endoftext|><|assistant|>",
  "[gMASK]<sop><|user|>\nq<|assistant|>\n",
  "<|start_of_role|>user<|end_of_role|>q<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
  "<extra_id_0>System\n\n<extra_id_1>User\nq\n<extra_id_1>Assistant\n",
  "<|User|>:q<eoh>\n<|Bot|>:",
  "s\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
  // Without the head of an answer.
  "<|start|>user<|message|>q",
  "<\uff5cUser\uff5c>q",
  "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>q<|END_OF_TURN_TOKEN|>",
])("is refused: %j", (text) => expect(renderedPrompt(text)).toHaveProperty("refused"));

test.each([
  "What is the difference between <|user|> and <|assistant|>",
  "<|user|> and <|assistant|> are what?",
  "Explain <|im_start|>user",
  "Which model writes [INST] and [/INST]",
  "How do I print '<|user|>' and then '<|assistant|>'",
  "Describe <|endoftext|>",
  "Convert <user>Bob</user> to JSON",
  "Write an email to [user] from [AI]",
  "What does Human: mean in HH-RLHF?",
  "Explain the USER: environment variable",
  "Human: a species. Define it.",
  "Write of a user: a human and an assistant:",
  "My instruction: write the output:",
  "Question: What is 2+2?\nAnswer:",
  "Read it.\n\nPassage: x\nOutput:",
  "# Instruction\nWrite.\n# Response format\nJSON",
  "User: I want a refund.\n\nAssistant: Sure.\n\nSum up this dialogue.",
])("is an ordinary question: %j", (text) => expect(renderedPrompt(text)).toBeUndefined());

test("texts full of what heads are made of take no time that grows with their square", () => {
  const start = performance.now();
  for (const piece of ["<", "<|", "<|user_", "USER", "### ", "\n### Instruction", " "])
    renderedPrompt(`${piece.repeat(1_000_000 / piece.length)}\nAssistant:`);
  expect(performance.now() - start).toBeLessThan(5_000);
});
