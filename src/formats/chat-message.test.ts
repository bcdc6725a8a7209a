import { expect, test } from "vitest";
import type { ChatMessage, TextPart } from "./chat-message.ts";
import { renderChat, renderMarked } from "./chat-template.ts";

const part = (text: string): TextPart => ({ type: "text", text });
const inParts = (role: string, ...texts: string[]): ChatMessage => ({
  role,
  content: texts.join("\n"),
  parts: texts.map(part),
});
const GEMMA =
  "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}{% for i in m.content %}{{ i.text|trim }}{% endfor %}{% endif %}{% endfor %}";
const TEXTS_ONLY = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
const UNTIL_ASSISTANT =
  "{% for m in messages %}{% if m.role == 'user' %}{% for i in m.content %}{{ i['text'] }}{% endfor %}{% else %}{{ m.content.strip() }}{% endif %}{% endfor %}";

// Right values: Jinja with the list as content, as transformers gives it; where a template writes its repr, the texts joined.
test.each([
  [GEMMA, [inParts("user", "Hello ", "World")], "<user>HelloWorld"],
  [GEMMA, [{ role: "system", content: "s" }, inParts("user", "a\n", "b")], "<system>s<user>ab"],
  [TEXTS_ONLY, [inParts("user", "Hello ", "World")], "<user>Hello \nWorld"],
  [TEXTS_ONLY.replace("m.content", "m.content|tojson"), [inParts("user", "a", "b")], '<user>"a\\nb"'],
  [TEXTS_ONLY.replace("m.content", "'' + m.content"), [inParts("user", "a", "b")], "<user>a\nb"],
  [UNTIL_ASSISTANT, [inParts("user", "a ", "b"), { role: "assistant", content: "c " }], "a bc"],
  // What its texts were joined to was changed meanwhile.
  [GEMMA, [{ ...inParts("user", "a", "b"), content: "other" }], "<user>other"],
])("a list of parts is given to templates that read lists: %s", (template, messages, right) => {
  expect(renderChat(template, messages)).toBe(right);
  expect(() => renderMarked(template, messages).check(() => true)).not.toThrow();
});

test("a part that the template leaves out is refused", () => {
  const first = "{% for m in messages %}{{ m.content if m.content is string else m.content[0].text }}{% endfor %}";
  expect(() => renderMarked(first, [inParts("user", "a", "b")]).check(() => true)).toThrow(/leaves out/);
});

const calls = (template: string) =>
  `{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{% set c = c.function %}{{ c.name }}:${template}{% endfor %}{% endfor %}`;
const STRING_TEST = calls(
  "{% if c.arguments is string %}{{ c.arguments }}{% else %}{{ c.arguments|tojson }}{% endif %}",
);

// Right values: Jinja with the text, as transformers gives it; where a template writes JSON of it or fails, with what it says.
test.each([
  [STRING_TEST, '{"a":1,"b":[1,2]}', 'f:{"a":1,"b":[1,2]}'],
  [STRING_TEST, "{}", "f:{}"],
  [calls("{{ '[' + c['arguments'] + ']' }}"), '{"a":1}', 'f:[{"a":1}]'],
  [calls("{{ c.arguments|tojson }}"), '{"a":1,"b":1.0,"2":{},"1":[]}', 'f:{"a": 1, "b": 1.0, "2": {}, "1": []}'],
  [calls("{{ c.arguments|tojson }}"), "{}", "f:{}"],
  [calls("{% for k, v in c.arguments|items %}{{ k }}={{ v }};{% endfor %}"), '{"b":1,"a":2.0}', "f:b=1;a=2.0;"],
  [calls("{% for k, v in c.arguments.items() %}{{ k }}={{ v }};{% endfor %}"), '{"b":1}', "f:b=1;"],
  [calls("{% if c.arguments is mapping %}{{ c.arguments.a }}{% endif %}"), '{"a":1}', "f:1"],
  [calls("{{ c.arguments }}"), "no JSON", "f:no JSON"],
])("arguments as text are given to templates that write it: %s %s", (template, args, right) => {
  const fields = { content: null, tool_calls: [{ type: "function", function: { name: "f", arguments: args } }] };
  expect(renderChat(template, [{ role: "assistant", content: "", fields }])).toBe(right);
});

test("what a collection notes about turns need not be written, what changes the training must", () => {
  const turn = (fields: object) => renderMarked(TEXTS_ONLY, [{ role: "user", content: "q", fields: { ...fields } }]);
  const notes = {
    language: "English",
    redacted: false,
    toxic: false,
    hashed_ip: "1f",
    country: "US",
    state: "NY",
    header: {},
  };
  expect(() => turn({ ...notes, timestamp: "2023-04-09", turn_identifier: 1 }).check(() => true)).not.toThrow();
  expect(() => turn({ mood: "sad" }).check(() => true)).toThrow(/leaves out/);
});
