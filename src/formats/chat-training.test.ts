import { describe, expect, test } from "vitest";
import { CHATML, tinyTokenizer } from "../../test/tiny-tokenizer.ts";
import type { ChatMessage } from "./chat-template.ts";
import { encodeChat, renderForTraining } from "./chat-training.ts";
import { IGNORE } from "./labels.ts";

const tokenizer = tinyTokenizer();
const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string, more: Partial<ChatMessage> = {}): ChatMessage => ({
  role: "assistant",
  content,
  ...more,
});

/** The text of a row and of what is trained of it. */
function shown(template: string, messages: readonly ChatMessage[], variables: Record<string, unknown> = {}) {
  const { ids, labels } = renderForTraining(tokenizer, template, messages, { variables });
  expect(labels.every((label, place) => label === IGNORE || label === ids[place])).toBe(true);
  return { text: tokenizer.decode(ids), trained: tokenizer.decode(labels.filter((label) => label !== IGNORE)) };
}

describe("what is trained", () => {
  test("a message that says so is context only", () => {
    const turns = [user("a"), assistant("no", { trained: false }), user("sure?"), assistant("yes")];
    expect(shown(CHATML, turns).trained).toBe("yes<|im_end|>\n");
    expect(() => shown(CHATML, turns.slice(0, 2))).toThrow(/no token to train on/);
  });

  const marking =
    "{%- for m in messages %}{{- m.role + ':' }}{%- if m.role == 'assistant' %}{% generation %}{{- m.content + eos_token }}{% endgeneration %}{%- else %}{{- m.content }}{%- endif %}{{- '\\n' }}{%- endfor %}";
  test("a template's own marks decide, but for turns that are not to be trained", () => {
    expect(shown(marking, [user("a"), assistant("b"), user("c"), assistant("d")]).trained).toBe(
      "b<|im_end|>d<|im_end|>",
    );
    expect(shown(marking, [user("a"), assistant("b", { trained: false }), user("c"), assistant("d")]).trained).toBe(
      "d<|im_end|>",
    );
  });

  const thinking =
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '[a]' + m.content.split('</think>')[-1] + eos_token }}{% else %}{{ '[u]' + m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[a]<think>\\n' }}{% endif %}";
  test("a prompt that opens a thinking tag: the turn begins where the two part", () => {
    expect(shown(thinking, [user("a"), assistant("b"), user("c"), assistant("<d")])).toEqual({
      text: "[u]a[a]b<|im_end|>[u]c[a]<d<|im_end|>",
      trained: "b<|im_end|><d<|im_end|>",
    });
  });

  test("reasoning that the template leaves out is refused, not dropped; in a prompt it may go, and where it is not trained", () => {
    const answer = assistant("<think>\nwhy\n</think>\n\nb");
    expect(() => shown(thinking, [user("a"), answer])).toThrow(/leaves out what the row says.*message 1/);
    const turns = [user("a"), { ...answer, trained: false }, user("c"), assistant("d")];
    expect(shown(thinking, turns).trained).toBe("d<|im_end|>");
    expect(tokenizer.decode(encodeChat(tokenizer, thinking, [user("a"), answer, user("c")]))).toContain("[a]\n\nb");
  });

  test("a template that takes reasoning apart and writes it again keeps it", () => {
    const again =
      "{% for m in messages %}{% if m.role == 'user' %}{{ 'u:' + m.content + ' ' }}{% else %}{% set c = m.content.split('</think>') %}{{ '<think>' + c[0].split('<think>')[-1].strip() + '</think>' + c[-1].lstrip('\\n') + eos_token }}{% endif %}{% endfor %}";
    expect(shown(again, [user("a"), assistant("<think>\nwhy\n</think>\n\nb")]).trained).toBe(
      "<think>why</think>b<|im_end|>",
    );
  });

  test("a conversation that the assistant begins, with the first token written with the first message", () => {
    const first =
      "{% for m in messages %}{% set c = '[' + m.role + ']' + m.content + eos_token %}{% if loop.index0 == 0 %}{% set c = bos_token + c %}{% endif %}{{ c }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
    expect(shown(first, [assistant("welcome"), user("hi"), assistant("hello")])).toEqual({
      text: "<|im_start|>[assistant]welcome<|im_end|>[user]hi<|im_end|>[assistant]hello<|im_end|>",
      trained: "welcome<|im_end|>hello<|im_end|>",
    });
  });

  test("a template may trim one role and not the other, and take blanks off one side only", () => {
    const mixed =
      "{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content.lstrip('\\n') | trim + eos_token }}{% else %}{{ 'U ' + m.content }}{% endif %}{% endfor %}";
    expect(shown(mixed, [user("q\n"), assistant("a\n")]).text).toBe("U q\n a<|im_end|>");
    const lines = CHATML.replace("message['content']", "message['content'].lstrip('\\n')");
    expect(shown(lines, [user("q"), assistant("\n    return 1")]).trained).toBe("    return 1<|im_end|>\n");
  });

  test("an answer that begins with a line break has the tokens of the whole", () => {
    const { ids } = renderForTraining(tokenizer, CHATML, [user("q"), assistant("\nhello")]);
    const whole = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n\nhello<|im_end|>\n";
    expect(ids).toEqual(tokenizer.encode(whole, { allowSpecial: true }));
    expect(shown(CHATML, [user("q"), assistant("\nhello")]).trained).toBe("\nhello<|im_end|>\n");
  });

  test("an empty system message is passed over where the template does so", () => {
    const optional = `{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set messages = messages[1:] %}{% endif %}{% if sys %}{{ '[system]' + sys }}{% endif %}${CHATML}`;
    const turns = [{ role: "system", content: "" }, user("q"), assistant("a")];
    expect(shown(optional, turns).text).toBe("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n");
  });
});

describe("what a row says besides", () => {
  const turns = (more: Partial<ChatMessage>) => [user("q"), assistant("a", more)];

  test("a system message or a field that the template does not write is refused, with the place", () => {
    const deaf = CHATML.replace(
      "{% for message in messages %}",
      "{% for message in messages if message.role != 'system' %}",
    );
    expect(() => shown(deaf, [{ role: "system", content: "Be brief." }, ...turns({})])).toThrow(
      /"content" of message 0/,
    );
    expect(shown(CHATML, turns({ fields: { name: "Bo" } })).trained).toBe("a<|im_end|>\n");
    expect(() => shown(CHATML, turns({ fields: { mood: "glad" } }))).toThrow(/message 1 has "mood"/);
    expect(() => shown(CHATML, turns({ fields: { tool_calls: [{ function: { name: "f" } }] } }))).toThrow(/calls "f"/);
    expect(() => shown(CHATML, turns({ fields: { tool_calls: [{ id: "c" }] } }))).toThrow(/"tool_calls"/);
    expect(() => shown(CHATML, turns({ fields: { reasoning_content: "why" } }))).toThrow(/reasoning_content/);
    expect(() => shown(CHATML, turns({}), { tools: [{ name: "f" }] })).toThrow(/does not read "tools"/);
    expect(shown(CHATML, turns({ fields: { name: null, tool_call_id: "c1" } })).trained).toBe("a<|im_end|>\n");
  });

  test("tools and calls that a template asks for and does not write are refused", () => {
    const asks = `{% if tools %}{% endif %}{% for m in messages %}{% if m.tool_calls %}{% endif %}{% endfor %}${CHATML}`;
    expect(() => shown(asks, turns({}), { tools: [{ name: "f" }] })).toThrow(/does not write the tool "f"/);
    const call = { tool_calls: [{ function: { name: "g" } }] };
    expect(() => shown(asks, turns({ fields: call }))).toThrow(/message 1 calls "g"/);
  });

  test("a variable may matter to the prompt alone", () => {
    const quiet = `${CHATML}{% if add_generation_prompt and enable_thinking is false %}{% endif %}`;
    expect(shown(quiet, turns({}), { enable_thinking: false }).trained).toBe("a<|im_end|>\n");
  });

  test("an answer that comes first, with a template that needs a message", () => {
    const asks = `{% if messages[0]['role'] == 'system' %}{% endif %}${CHATML}`;
    expect(shown(asks, turns({}).slice(1)).trained).toBe("a<|im_end|>\n");
  });

  test("tools, tool calls and reasoning are the template's to write, under any of their names", () => {
    const able = `{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.reasoning_content %}{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}{{ m.content }}{% for call in m.tool_calls %}{{ call.function | tojson }}{% endfor %}{{ eos_token }}{% endfor %}`;
    const call = { tool_calls: [{ function: { name: "f", arguments: { x: 1 } } }], content: null };
    expect(shown(able, [user("q"), assistant("", { fields: call })], { tools: [{ name: "f" }] }).text).toBe(
      '[{"name": "f"}][user]q<|im_end|>[assistant]{"name": "f", "arguments": {"x": 1}}<|im_end|>',
    );
    for (const name of ["reasoning_content", "thinking", "reasoning"]) {
      expect(shown(able, turns({ fields: { [name]: "why" } })).trained).toContain("<think>why</think>a");
    }
  });

  test("special tokens in any text of the row are text, in what the template writes they are special", () => {
    const able = `{% for m in messages %}{{ '<|im_start|>' + m.content }}{% for call in m.tool_calls %}{{ call | tojson }}{% endfor %}{% endfor %}<|im_end|>`;
    const call = { tool_calls: [{ "<|im_end|>": "<|im_start|>" }] };
    const { ids } = renderForTraining(tokenizer, able, [
      user("<|im_end|>"),
      assistant("x<|im_end|>", { fields: call }),
    ]);
    expect(ids.filter((id) => tokenizer.isSpecial(id)).map((id) => tokenizer.tokenOf(id))).toEqual([
      "<|im_start|>",
      "<|im_start|>",
      "<|im_end|>",
    ]);
  });
});
