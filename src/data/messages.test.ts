import { expect, test } from "vitest";
import type { ChatExample } from "./examples.ts";
import { readExamples } from "./formats.ts";
import type { Row } from "./rows.ts";

const conversation = (given: Row) => readExamples([given]).examples[0] as ChatExample;

const row = (values: Record<string, unknown>) => ({ file: "f.jsonl", line: 3, values });
const messages = (...more: object[]) => row({ messages: more });
const user = { role: "user", content: "q" };

test("a plain conversation is what it says, and nothing more", () => {
  expect(conversation(messages(user, { role: "assistant", content: "a", name: null, tool_calls: [] }))).toEqual({
    kind: "chat",
    where: "f.jsonl:3",
    messages: [user, { role: "assistant", content: "a" }],
  });
});

test("weights and train flags say whether a turn is trained", () => {
  const trained = (flags: object) =>
    conversation(messages(user, { role: "assistant", content: "a", ...flags })).messages[1];
  for (const flags of [{ weight: 0 }, { train: false }, { training: false, loss: false }]) {
    expect(trained(flags)).toEqual({ role: "assistant", content: "a", trained: false });
  }
  expect(trained({ weight: 1 })).toEqual({ role: "assistant", content: "a" });
  expect(() => trained({ weight: 0.5 })).toThrow(/1\.weight/);
  expect(() => trained({ weight: 0, train: true })).toThrow(/contradict/);
  expect(() => conversation(messages({ ...user, weight: 1 }))).toThrow(/only an assistant/);
});

test("text parts are joined, other parts refused; no content needs something else in its place", () => {
  const parts = (...content: object[]) => conversation(messages({ role: "user", content })).messages[0]?.content;
  expect(parts({ type: "text", text: "a" }, { type: "text", text: "b" })).toBe("a\nb");
  expect(() => parts({ type: "image_url", image_url: {} })).toThrow(/MESSAGES_INVALID|has no conversation/);
  expect(() => conversation(messages({ role: "user", content: null }))).toThrow(/has no content/);
});

test("tool calls, tools and what else a template reads go with the conversation; arguments in JSON are read", () => {
  const call = { id: "c", function: { name: "f", arguments: '{"x":1}' } };
  const tools = '[{"name":"f"}]';
  const turn = { role: "assistant", content: null, tool_calls: [call] };
  const values = { messages: [user, turn], tools, chat_template_kwargs: { enable_thinking: false }, id: 7 };
  expect(conversation(row(values))).toMatchObject({
    messages: [
      user,
      {
        content: "",
        fields: { content: null, tool_calls: [{ id: "c", function: { name: "f", arguments: { x: 1 } } }] },
      },
    ],
    variables: { tools: [{ name: "f" }], enable_thinking: false },
  });
  expect(conversation(row({ messages: [user], tools: [] }))).not.toHaveProperty("variables");
});

test("columns that change the training and are not understood are refused", () => {
  expect(() => conversation(row({ messages: [user], history: [["a", "b"]] }))).toThrow(/"history"/);
  expect(() => conversation(row({ messages: [user], weight: 0.5 }))).toThrow(/"weight"/);
  expect(conversation(row({ messages: [user], system: null, source: "web" })).messages).toHaveLength(1);
});
