import { expect, test } from "vitest";
import { CHATML, tinyTokenizerFiles } from "../../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../../formats/tokenizer.ts";
import { modelfile } from "./ollama.ts";

const withTemplate = (chat_template: string | undefined) => {
  const { json, config } = tinyTokenizerFiles();
  return createTokenizer({ json, config: { ...config, chat_template } });
};

interface Turn {
  readonly system?: string;
  readonly prompt: string;
  readonly response?: string;
}

const part = (text: string, name: string): string | undefined => new RegExp(`${name} """(.*?)"""`, "s").exec(text)?.[1];

/** What Ollama makes of turns: its template once for each, the last one up to where the answer begins. */
function written(text: string, turns: readonly Turn[]): string {
  const template = part(text, "TEMPLATE") ?? "";
  return turns
    .map(({ system = part(text, "SYSTEM"), prompt, response = "" }, i) => {
      const values: Record<string, string> = {
        System: i === 0 ? (system ?? "") : "",
        Prompt: prompt,
        Response: response,
      };
      const shown = template
        .replace(/\{\{ if \.(\w+) \}\}(.*?)\{\{ end \}\}/gs, (_, name: string, inner: string) =>
          values[name] ? inner : "",
        )
        .split("{{ .Response }}");
      const [before = "", after = ""] = shown.map((piece) =>
        piece.replace(/\{\{ \.(\w+) \}\}/g, (_, name: string) => values[name] ?? ""),
      );
      return before + response + (i < turns.length - 1 ? after : "");
    })
    .join("");
}

const CHAT: readonly Turn[] = [{ prompt: "Hi", response: "Hello." }, { prompt: "Bye" }];

test("ChatML", () => {
  const text = modelfile(withTemplate(CHATML), "chat");
  expect(text).toContain("FROM ./model.gguf\n");
  expect(text).toContain('PARAMETER stop """<|im_end|>"""');
  const [user, assistant] = ["<|im_start|>user\n", "<|im_start|>assistant\n"];
  const end = "<|im_end|>\n";
  expect(written(text, CHAT)).toBe(`${user}Hi${end}${assistant}Hello.${end}${user}Bye${end}${assistant}`);
  expect(written(text, [{ system: "Be kind", prompt: "Hi" }])).toBe(
    `<|im_start|>system\nBe kind${end}${user}Hi${end}${assistant}`,
  );
});

test("a template that tells the model something by itself", () => {
  const standing = `{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are kind<|im_end|>\n' }}{% endif %}${CHATML}`;
  const text = modelfile(withTemplate(standing), "chat");
  const end = "<|im_end|>\n";
  const after = (system: string) =>
    `<|im_start|>system\n${system}${end}<|im_start|>user\nHi${end}<|im_start|>assistant\n`;
  expect(written(text, [{ prompt: "Hi" }])).toBe(after("You are kind"));
  expect(written(text, [{ system: "Be brief", prompt: "Hi" }])).toBe(after("Be brief"));
});

test("without system messages, or with turns of several forms, the file's own template is left to tell", () => {
  const counting =
    "{% for m in messages %}{{ loop.index ~ m['role'] ~ m['content'] }}{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
  expect(modelfile(withTemplate(counting), "chat")).not.toContain('TEMPLATE """');
});

test("a template cannot add lines or actions of its own", () => {
  for (const text of ['"""\nSYSTEM """evil', "{{ .Evil }}"]) {
    const template = CHATML.replaceAll(
      "<|im_end|>",
      `${text.replaceAll("\n", "\\n").replaceAll("{{", "{' + '{")}<|im_end|>`,
    );
    const written = modelfile(withTemplate(template), "chat");
    expect(written).not.toMatch(/evil|Evil/);
    expect(written).toContain("FROM ./model.gguf");
  }
});

test("the paper's template", () => {
  const text = modelfile(withTemplate(CHATML), "alpaca");
  expect(written(text, [{ prompt: "Sort these" }])).toBe(
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nSort these\n\n### Response:\n",
  );
});
