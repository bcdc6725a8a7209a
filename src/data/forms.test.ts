import { expect, test } from "vitest";
import { conversationRow } from "./answered.ts";
import type { ChatExample, Example } from "./examples.ts";
import { readExamples } from "./formats.ts";

const row = (values: object, line = 1) => ({ file: "f.jsonl", line, values: values as Record<string, unknown> });
const read = (values: object, harmful = false) => readExamples([row(values)], undefined, undefined, harmful);
/** An example in short: who says what, * where it is trained. */
const said = (example: Example | undefined): string[] =>
  example?.kind === "chat"
    ? example.messages.map(({ role, content, trained }) => {
        return `${role[0]}${role === "assistant" && trained !== false ? "*" : ""} ${content}`;
      })
    : [`u ${[example?.instruction, example?.input].filter(Boolean).join(" + ")}`, `a* ${example?.output}`];
const user = (content: string) => ({ role: "user", content });
const answer = (content: string) => ({ role: "assistant", content });
const human = (value: string) => ({ from: "human", value });
const gpt = (value: string) => ({ from: "gpt", value });

test.each([
  ["sharegpt", { conversations: [{ from: "system", value: "s" }, human("q"), gpt("a")] }, ["s s", "u q", "a* a"]],
  ["sharegpt", { conversations: [human("q"), gpt("a")], system: "s" }, ["s s", "u q", "a* a"]],
  ["sharegpt", { conversations: JSON.stringify([human("q"), gpt("a")]) }, ["u q", "a* a"]],
  ["messages", { messages: { role: ["user", "assistant"], content: ["q", "a"] } }, ["u q", "a* a"]],
  [
    "alpaca",
    { instruction: "q", input: "x", output: "a", system: "s", history: [["q0", "a0"]] },
    ["s s", "u q0", "a* a0", "u q\n\nx", "a* a"],
  ],
  [
    "sharegpt",
    {
      conversations: [
        { from: "Human", value: "q" },
        { from: "Assistant", value: "a" },
      ],
    },
    ["u q", "a* a"],
  ],
  [
    "sharegpt",
    {
      conversations: [
        { role: "human", value: "q" },
        { from: "bot", content: "a" },
      ],
    },
    ["u q", "a* a"],
  ],
  ["conversation", { conversation: [user("q"), answer("a")], turn: 1 }, ["u q", "a* a"]],
  [
    "openai-preference",
    {
      input: { messages: [user("q")], tools: [], parallel_tool_calls: true },
      preferred_output: [answer("a")],
      non_preferred_output: [answer("b")],
    },
    ["u q", "a* a"],
  ],
  ["alpaca", { instruction: "q", output: "a", inputs: "", id: 1 }, ["u q", "a* a"]],
  ["alpaca", { instruction: "q", output: "a", input: "x", inputs: "y", height: 1 }, ["u q + x", "a* a"]],
  ["alpaca", { instruction: "q", output: "a", system: "", history: "[]" }, ["u q", "a* a"]],
  ["alpaca", { instruction: "q", output: "a", history: '[["q0","a0"]]' }, ["u q0", "a* a0", "u q", "a* a"]],
  ["dolly", { instruction: "q", context: "x", response: "a", category: "c" }, ["u q + x", "a* a"]],
  ["prompt-completion", { prompt: [user("q")], completion: [answer("a")] }, ["u q", "a* a"]],
  [
    "prompt-completion",
    { prompt: [user("q0"), answer("a0"), user("q")], completion: [answer("a")] },
    ["u q0", "a a0", "u q", "a* a"],
  ],
  ["preference", { prompt: "q", chosen: "a", rejected: "b" }, ["u q", "a* a"]],
  ["preference", { prompt: [user("q")], chosen: [answer("a")], rejected: [answer("b")] }, ["u q", "a* a"]],
  ["preference", { chosen: [user("q"), answer("a")], rejected: [user("q"), answer("b")] }, ["u q", "a* a"]],
  [
    "preference",
    { prompt: "q", chosen: [user("q"), answer("a")], rejected: [user("q"), answer("b")] },
    ["u q", "a* a"],
  ],
  ["preference", { conversations: [human("q")], chosen: gpt("a"), rejected: gpt("b") }, ["u q", "a* a"]],
  // Orca's, as DPO pairs and as OpenOrca has them.
  ["preference", { system: "s", question: "q", chosen: "a", rejected: "b" }, ["s s", "u q", "a* a"]],
  ["question-response", { id: "1", system_prompt: "s", question: "q", response: "a" }, ["s s", "u q", "a* a"]],
  ["question-response", { system_prompt: "", question: "q", response: "a" }, ["u q", "a* a"]],
  ["preference", { instruction: "q", input: "x", chosen: "a", rejected: "b" }, ["u q\n\nx", "a* a"]],
  [
    "preference",
    { chosen: "\n\nHuman: q0\n\nAssistant: a0\n\nHuman: q\n\nAssistant: a", rejected: "\n\nHuman: q" },
    ["u q0", "a a0", "u q", "a* a"],
  ],
  ["unpaired-preference", { prompt: "q", completion: "a", label: true }, ["u q", "a* a"]],
  [
    "safe-rlhf",
    {
      prompt: "q",
      response_0: "b",
      response_1: "a",
      is_response_0_safe: false,
      is_response_1_safe: true,
      better_response_id: 0,
    },
    ["u q", "a* a"],
  ],
  ["goal-target", { goal: "q", target: "a" }, ["u q", "a* a"]],
  ["jailbreakbench", { Goal: "q", Target: "a", Behavior: "b" }, ["u q", "a* a"]],
  ["harmbench", { Behavior: "q", ContextString: "x", Tags: "" }, ["u x\n\nq"]],
])("%s: %j", (format, values, turns) => {
  const result = read(values);
  expect(result.format).toBe(format);
  expect(said(result.examples[0])).toEqual(turns);
});

test("as harmful data, rows with several answers stand for the harmful one", () => {
  expect(said(read({ prompt: "q", chosen: "a", rejected: "b" }, true).examples[0])).toEqual(["u q", "a* b"]);
  const pair = { prompt: "q", response_0: "a", response_1: "b", is_response_0_safe: true, is_response_1_safe: false };
  expect(said(read(pair, true).examples[0])).toEqual(["u q", "a* b"]);
  expect(read({ ...pair, is_response_1_safe: true }, true)).toMatchObject({
    examples: [],
    recognised: expect.stringMatching(/an unsafe one is taken.*1 rows without such an answer/),
  });
  expect(read({ prompt: "q", completion: "b", label: false }, false).examples).toEqual([]);
  expect(said(read({ prompt: "q", completion: "b", label: false }, true).examples[0])).toEqual(["u q", "a* b"]);
});

test("ShareGPT's calls of functions are calls of tools, and what they found is the tool's", () => {
  const call = { from: "function_call", value: '{"name":"f","arguments":{"x":1}}' };
  const [example] = read({
    conversations: [human("q"), call, { from: "observation", value: "2" }, gpt("a")],
    tools: '[{"name":"f"}]',
  }).examples;
  expect(example).toMatchObject({
    messages: [
      user("q"),
      { role: "assistant", fields: { tool_calls: [{ function: { name: "f", arguments: { x: 1 } } }] } },
      { role: "tool", content: "2" },
      answer("a"),
    ],
    variables: { tools: [{ name: "f" }] },
  });
  expect(() => read({ conversations: [human("q"), { from: "function_call", value: "none" }] })).toThrow(
    /MESSAGES_INVALID/,
  );
  expect(() => read({ conversations: [{ from: "stranger", value: "q" }] })).toThrow(/0\.role \(or from\)/);
});

test("one line says what was recognised, and which columns were not used", () => {
  expect(read({ id: 3, prompt: "q", response: "a", is_safe: true, category: {} }).recognised).toBe(
    "prompts with responses (prompt, response, is_safe); not used: id, category",
  );
  const many = Object.fromEntries("abcdefghij".split("").map((name) => [name, 1]));
  expect(read({ goal: "q", target: "a", ...many }).recognised).toMatch(/a, b, c, d, e, f, g, h and 2 more$/);
});

test.each([
  [{ prompt: "q", response: "a", weight: 0 }, "weight"],
  [{ prompt: "q", completion: "a", input: "x" }, "input"],
  [{ instruction: "q", output: "a", images: ["x.png"] }, "images"],
  [{ instruction: "q", output: "a", kto_tag: false }, "kto_tag"],
  [{ messages: [user("q"), answer("a")], functions: [{}] }, "functions"],
])("%j: the column %s would change what is trained, and is refused with its line", (values, column) => {
  expect(() => read(values)).toThrow(new RegExp(`f\\.jsonl:1 COLUMN_UNREAD has a column "${column}"`));
  expect(() => read({ ...values, [column]: null })).not.toThrow();
});

test.each([
  [{ prompt: [user("q"), answer("a")], completion: [answer("b")] }, /ends within the answer/],
  [{ conversations: [{ from: "system", value: "s" }, human("q")], system: "t" }, /system message twice/],
  [{ instruction: "q", output: "a", history: [["q0"]] }, /no pairs/],
  [{ prompt: "other", chosen: [user("q"), answer("a")], rejected: [user("q"), answer("b")] }, /does not begin with/],
  [{ prompt: "q", completion: 7 }, /COLUMN_NOT_TEXT.*completion/],
  [{ messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] }, /images and sound are not read/],
])("%j is refused", (values, problem) => expect(() => read(values)).toThrow(problem));

const alpaca = (instruction: string, input = "") =>
  `Below is an instruction that describes a task${input && ", paired with an input that provides further context"}. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}${input && `\n\n### Input:\n${input}`}\n\n### Response:\n`;

test.each([
  [{ prompt: alpaca("q"), response: "a" }, ["u q", "a* a"]],
  [{ instruction: alpaca("q\nr", "x"), input: "", output: "a" }, ["u q\nr + x", "a* a"]],
  [{ prompt: "### Instruction:\nq\n\n### Response:", completion: "a" }, ["u q", "a* a"]],
  [{ text: `${alpaca("q")}a` }, ["u q", "a* a"]],
  [
    {
      prompt: "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n",
      completion: "a<|im_end|>\n",
    },
    ["s s", "u q", "a* a"],
  ],
  [
    {
      prompt:
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
      response: "a",
    },
    ["u q", "a* a"],
  ],
  [{ prompt: "<bos><start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\n", response: "a" }, ["u q", "a* a"]],
  [{ text: "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>" }, ["u q", "a* a"]],
  [{ prompt: "<|im_start|>user\nq<|im_end|>\n", completion: "a" }, ["u q", "a* a"]],
  [{ prompt: "<|im_start|>user\nq<|im_end|>\n", completion: "<|im_start|>assistant\na<|im_end|>" }, ["u q", "a* a"]],
  [{ prompt: "\n\nHuman: q\n\nAssistant:", completion: " a" }, ["u q", "a* a"]],
  // Tulu's turns end with a line break alone.
  [{ prompt: "<|user|>\nq\nr\n<|assistant|>\n", completion: "a\n" }, ["u q\nr", "a* a\n"]],
  [
    { text: "<|user|>\nq0\n\n<|assistant|>\na0\n<|user|>\nq\n<|assistant|>\na</s>" },
    ["u q0\n", "a* a0", "u q", "a* a"],
  ],
  [
    { prompt: "Mend this:\n### Instruction:\nx\n### Response:\ny", response: "a" },
    ["u Mend this:\n### Instruction:\nx\n### Response:\ny", "a* a"],
  ],
  // What only speaks of a template is a question as any other.
  [{ prompt: "What does ### Instruction: mean?", response: "a" }, ["u What does ### Instruction: mean?", "a* a"]],
  [{ prompt: "Why <|im_start|>user\n?", response: "a" }, ["u Why <|im_start|>user\n?", "a* a"]],
])("a prompt that was rendered beforehand is read as what it asks: %j", (values, turns) => {
  expect(said(read(values).examples[0])).toEqual(turns);
});

test.each([
  [{ prompt: "<s>[INST] q [/INST]", response: "a" }],
  [{ prompt: `Be kind.\n\n### Instruction:\nq\n\n### Response:\n`, response: "a" }],
  [{ messages: [user(alpaca("q")), answer("a")] }],
  [{ prompt: "USER: q ASSISTANT:", response: "a" }],
  [{ instruction: alpaca("q"), input: "x", output: "a" }],
  [{ instruction: alpaca("q"), input: "x", chosen: "a", rejected: "b" }],
  [{ instruction: "q", output: "a", history: [["USER: q0 ASSISTANT:", "a0"]] }],
  [{ prompt: "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>", response: "a" }],
  [{ prompt: `${alpaca("q")}a\n\n### Instruction:\nr`, response: "a" }],
])("a prompt that stands in a template which is not read is refused: %j", (values) => {
  expect(() => read(values)).toThrow(/f\.jsonl:1 PROMPT_RENDERED/);
});

test("a conversation that is written down is read as it was", () => {
  const values = {
    messages: [user("q"), { ...answer("a"), weight: 0 }, user("r"), answer("b")],
    tools: [{ name: "f" }],
  };
  const [first] = read(values).examples;
  const again = read(conversationRow(first as ChatExample)).examples;
  expect(again).toEqual([first]);
});

test.each([
  { instruction: "q", output: "a", Input: "x" },
  { instruction: "q", output: "a", sytem: "x" },
  { instruction: "q", output: "a", histroy: [["x", "y"]] },
  { messages: [user("q"), answer("a")], System: "s" },
  { conversations: [human("q")], chosen: gpt("a"), rejected: gpt("b"), input: "x" },
  { chosen: [user("q"), answer("a")], rejected: [user("q"), answer("b")], input: "x" },
])("a column whose name has a slip, or that has no place, is refused: %j", (values) => {
  expect(() => read(values)).toThrow("COLUMN_UNREAD");
});

test("a label that one row has is asked of all", () => {
  const [with_, without] = [
    { prompt: "q", completion: "a", label: true },
    { prompt: "q", completion: "a" },
  ];
  for (const rows of [
    [with_, without],
    [without, with_],
  ]) {
    expect(() => readExamples(rows.map((values, at) => row(values, at + 1)))).toThrow("COLUMN_MISSING");
  }
});

test("rows whose marks say the contrary of what they are for are counted", () => {
  const rows = [true, false, false].map((is_safe, at) => row({ prompt: "q", response: "a", is_safe }, at + 1));
  expect(readExamples(rows).recognised).toContain("; 2 of them marked as harmful");
  expect(readExamples(rows, undefined, undefined, true).recognised).toContain("; 1 of them marked as safe");
});

test("marks are read as yes or no, or refused with their line", () => {
  const marked = (is_safe: unknown) => [row({ prompt: "q", response: "a", is_safe })];
  for (const no of [false, 0, "0", "0.0", "False"])
    expect(readExamples(marked(no)).recognised).toContain("; 1 of them marked as harmful");
  for (const nothing of [true, "1.0", null, ""])
    expect(readExamples(marked(nothing)).recognised).not.toContain("marked");
  expect(() => readExamples(marked("no"))).toThrow(/f\.jsonl:1 FLAG_INVALID.*is_safe/);
  const pair = { prompt: "q", response_0: "a", response_1: "b", is_response_0_safe: 1, is_response_1_safe: 1 };
  expect(said(read({ ...pair, better_response_id: "1.0" }).examples[0])).toEqual(["u q", "a* b"]);
  expect(() => read({ ...pair, better_response_id: 2 })).toThrow(/FLAG_INVALID.*better_response_id/);
});

test.each(["output", "response", "completion", "answer"])(
  "an answer that stands beside turns in %s is refused",
  (column) => {
    const asked = [user("q0"), answer("a0"), user("q")];
    expect(() => read({ messages: asked, [column]: "a" })).toThrow(new RegExp(`COLUMN_UNREAD.*"${column}"`));
    expect(() => read({ conversations: [human("q")], [column]: "a" })).toThrow("COLUMN_UNREAD");
    expect(said(read({ messages: asked, [column]: null }).examples[0])).toEqual(["u q0", "a* a0", "u q"]);
    expect(read({ messages: [...asked, answer("a")], [column]: "a" }).recognised).toContain(`not used: ${column}`);
  },
);
