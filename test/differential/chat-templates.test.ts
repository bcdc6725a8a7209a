import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ChatMessage, renderChat } from "../../src/formats/chat-template.ts";

interface Table {
  readonly tools: readonly unknown[];
  readonly conversations: readonly (readonly ({ role: string; content: string } & Record<string, unknown>)[])[];
  readonly templates: Readonly<Record<string, string>>;
  /** Without a text, Python refuses. */
  readonly cases: readonly { template: string; messages: number; tools: boolean; extra: object; text?: string }[];
}
/** From `scripts/oracle/chat_templates.py`. */
const table: Table = JSON.parse(readFileSync(join(import.meta.dirname, "chat-templates.json"), "utf8"));

const tokens = { bos_token: "<s>", eos_token: "</s>", pad_token: "<pad>" };

test.each(Object.entries(table.templates))("%s: as Python writes it", (name, template) => {
  for (const { messages, tools, extra, text } of table.cases.filter((one) => one.template === name)) {
    const turns = (table.conversations[messages] ?? []).map(
      ({ role, content, ...fields }): ChatMessage => ({ role, content, fields }),
    );
    const variables = { ...(tools ? { tools: table.tools } : {}), ...extra };
    const render = () => renderChat(template, turns, { addGenerationPrompt: true, tokens, variables });
    if (text === undefined) expect(render).toThrow(/cannot render/);
    else expect(render()).toBe(text);
  }
});
