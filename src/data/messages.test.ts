import { expect, test } from "vitest";
import { renderChat } from "../formats/chat-template.ts";
import { exactJson } from "../formats/exact-json.ts";
import { conversationRow } from "./answered.ts";
import type { ChatExample } from "./examples.ts";
import { readExamples } from "./formats.ts";
import { readJsonRow } from "./json-row.ts";
import type { Row } from "./rows.ts";

const conversation = (given: Row) => readExamples([given]).examples[0] as ChatExample;

const read = (json: string): ChatExample => {
  const rows: Row[] = [];
  const sink = {
    row: (at: number, values: Row["values"]) => rows.push({ file: "f", line: at, values }),
    fault: () => expect.fail(),
    note: () => expect.fail(),
  };
  readJsonRow(json, 1, 1, sink);
  return conversation(rows[0] as Row);
};

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
  const more = { cache_control: { type: "ephemeral" }, annotations: [], image: null };
  expect(parts({ type: "text", text: "a", ...more }, { type: "text", text: "" })).toBe("a\n");
  for (const meant of [{ weight: 0 }, { train: true }, { image: "http://x" }]) {
    expect(() => parts({ type: "text", text: "a" }, { type: "text", text: "b", ...meant })).toThrow(
      new RegExp(`content\\.1\\.${Object.keys(meant)[0]}: is not read`),
    );
  }
  expect(() => parts({ type: "image_url", image_url: {} })).toThrow(/MESSAGES_INVALID|has no conversation/);
  expect(() => conversation(messages({ role: "user", content: null }))).toThrow(/has no content/);
});

test("a part is kept for templates that read lists, without what says nothing; Llama 3's role of tools has the usual name", () => {
  const content = [
    { image: null, type: "text", text: "a", cache_control: { type: "x" } },
    { type: "text", text: "b" },
  ];
  const [first] = conversation(messages({ role: "user", content }, { role: "assistant", content: "c" })).messages;
  expect(first).toEqual({
    role: "user",
    content: "a\nb",
    parts: [{ type: "text", text: "a", cache_control: { type: "x" } }, content[1]],
  });
  expect(conversation(messages(user, { role: "ipython", content: "4" })).messages[1]?.role).toBe("tool");
});

test("tool calls, tools and what else a template reads go with the conversation", () => {
  const call = { id: "c", function: { name: "f", arguments: '{"x":1}' } };
  const tools = '[{"name":"f"}]';
  const turn = { role: "assistant", content: null, tool_calls: [call] };
  const values = { messages: [user, turn], tools, chat_template_kwargs: { enable_thinking: false }, id: 7 };
  expect(conversation(row(values))).toMatchObject({
    messages: [
      user,
      {
        content: "",
        fields: { content: null, tool_calls: [{ id: "c", function: { name: "f", arguments: '{"x":1}' } }] },
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

test("numbers and keys that a template writes are those of the file: of calls, tools and variables", () => {
  const call =
    '{"function": {"name": "f", "arguments": {"price": 10.0, "e": 1e5, "big": 12345678901234567890, "1": 2, "0": 3}}}';
  const text = JSON.stringify('{"id": 9007199254740993, "2": 1.0, "1": 1}');
  const tools = '[{"name": "f", "parameters": {"properties": {"b": {"default": 1.0}, "1": {}, "0": {}}}}]';
  const line = `{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "weight": 1.0, "tool_calls":
    [${call}, {"function": {"name": "g", "arguments": ${text}}}]}], "tools": ${tools}, "chat_template_kwargs": {"x": [2.0, 1e16]}}`;
  const template =
    "{{ tools|tojson }}{{ x }}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{{ c.function.arguments|tojson }}{% endfor %}{% endfor %}";
  // The second time as `data prepare` writes it.
  for (const { messages, variables } of [read(line), read(exactJson(conversationRow(read(line))))]) {
    // As Python's json writes them.
    expect(renderChat(template, messages, { variables: variables ?? {} })).toBe(
      `${tools}[2.0, 1e+16]q{"price": 10.0, "e": 100000.0, "big": 12345678901234567890, "1": 2, "0": 3}{"id": 9007199254740993, "2": 1.0, "1": 1}`,
    );
  }
});

test("a message has its keys in the order of the row, and reasoning under the names of transformers", () => {
  const line = `{"messages": [{"content": "q", "role": "user"}, {"role": "assistant", "name": "n", "content": "a", "reasoning": "r"},
    {"thinking": "b", "role": "assistant", "reasoning_content": "c", "content": "d"}, {"role": "tool", "1": 2, "content": "x", "0": 1}]}`;
  const again = read(exactJson(conversationRow(read(line))));
  // What transformers 5.24 writes of these.
  for (const { messages } of [read(line), again])
    expect(renderChat("{% for m in messages %}{{ m|tojson }}\n{% endfor %}", messages)).toBe(
      `{"content": "q", "role": "user"}
{"thinking": "r", "role": "assistant", "name": "n", "content": "a", "reasoning": "r", "reasoning_content": "r"}
{"thinking": "b", "role": "assistant", "reasoning_content": "c", "content": "d"}
{"role": "tool", "1": 2, "content": "x", "0": 1}
`,
    );
});

test("JSON in a text that is nested too deeply is a fault of its row", () => {
  const tools = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
  expect(() => conversation(row({ messages: [user], tools }))).toThrow(/nested deeper than 64/);
});

test("a number without end is refused where a template would write it", () => {
  for (const number of [Number.POSITIVE_INFINITY, Number.NaN]) {
    const faulty = { ...user, name: "x", scores: [number] };
    expect(() => conversation(messages(faulty))).toThrow(/too large or none/);
    expect(() => conversation(row({ messages: [user], chat_template_kwargs: { x: number } }))).toThrow(
      /too large or none/,
    );
    expect(conversation(row({ messages: [user], score: number })).messages).toHaveLength(1);
  }
});
