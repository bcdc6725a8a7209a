import { join } from "node:path";
import { alpacaPrompt } from "../../data/templates.ts";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import { renderMarked } from "../../formats/chat-template.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import { exportGguf } from "./gguf.ts";
import type { Exporting } from "./merged-model.ts";

const MODEL = "model.gguf";

/** A GGUF file and the Modelfile that `ollama create` makes a model of: its template, where turns end, and a standing system message. */
export function exportOllama(folder: string, made: Exporting): void {
  exportGguf(join(folder, MODEL), made);
  const text = modelfile(made.origin.base.tokenizer(), made.template);
  writeFileAtomic(join(folder, "Modelfile"), [Buffer.from(text)]);
}

/** The text of a Modelfile. Source: Ollama's docs/modelfile.md; its template is Go's, and stands for one turn. */
export function modelfile(tokenizer: Tokenizer, template: "alpaca" | "chat"): string {
  const found = template === "alpaca" ? alpacaTurn() : chatTurn(tokenizer);
  const turn = found !== undefined && Object.values(found).every(isPlain) ? found : undefined;
  const ends = tokenizer.eosIds.map((id) => tokenizer.tokenOf(id) ?? "").filter(isPlain);
  const stops = ends.map((text) => `PARAMETER stop ${quoted(text)}`);
  const lines = [`FROM ./${MODEL}`];
  if (turn === undefined)
    lines.push("# The chat template is the one in the file: it has no turns of one form, which a TEMPLATE could tell.");
  else lines.push(`TEMPLATE ${quoted(turnTemplate(turn))}`);
  if (turn?.system) lines.push(`SYSTEM ${quoted(turn.system)}`);
  return `${[...lines, ...stops].join("\n")}\n`;
}

/** What neither ends a quoted text nor is an action of Go's templates. */
const isPlain = (text: string): boolean => !/"""|\{\{|"$/.test(text);

const quoted = (text: string): string => `"""${text}"""`;

/** What stands around the texts of one turn. */
interface Turn {
  readonly beforeSystem: string;
  readonly afterSystem: string;
  readonly beforeUser: string;
  /** And before the answer. */
  readonly afterUser: string;
  readonly afterAnswer: string;
  /** What the model is told where nobody tells it anything else. */
  readonly system?: string;
}

const turnTemplate = (turn: Turn): string =>
  [
    `{{ if .System }}${turn.beforeSystem}{{ .System }}${turn.afterSystem}{{ end }}`,
    `{{ if .Prompt }}${turn.beforeUser}{{ .Prompt }}${turn.afterUser}{{ end }}`,
    `{{ .Response }}${turn.afterAnswer}`,
  ].join("");

function alpacaTurn(): Turn {
  const [before, , after] = alpacaPrompt("instruction", "");
  return {
    ...{ beforeSystem: "", afterSystem: "\n\n", afterAnswer: "\n\n" },
    beforeUser: before?.text ?? "",
    afterUser: after?.text ?? "",
  };
}

const MARKS = { system: "SYSTEM-TEXT", user: "USER-TEXT", assistant: "ANSWER-TEXT", again: "USER-AGAIN" };

/** The turns of a chat template, by writing conversations with it; undefined where they are no turns of one form. */
function chatTurn(tokenizer: Tokenizer): Turn | undefined {
  const { chatTemplate, bosId, named } = tokenizer;
  if (chatTemplate === undefined) return undefined;
  const bos = bosId === undefined ? undefined : tokenizer.tokenOf(bosId);
  const write = (...turns: (readonly [role: "system" | "user" | "assistant", content: string])[]) => {
    const messages = turns.map(([role, content]) => ({ role, content }));
    const { segments } = renderMarked(chatTemplate, messages, { tokens: named, addGenerationPrompt: true });
    const whole = segments.map(({ text }) => text).join("");
    // Ollama writes it itself.
    return tokenizer.addsBos && bos !== undefined && whole.startsWith(bos) ? whole.slice(bos.length) : whole;
  };
  const user = ["user", MARKS.user] as const;
  const [bare, told, long] = [
    write(user),
    write(["system", MARKS.system], user),
    write(["system", MARKS.system], user, ["assistant", MARKS.assistant], ["user", MARKS.again]),
  ].map((text) => text.split(new RegExp(Object.values(MARKS).join("|"))));
  const [beforeSystem = "", betweenSystemAndUser = "", afterUser = ""] = told ?? [];
  const [, , , betweenAnswerAndUser = "", last] = long ?? [];
  if (told?.length !== 3 || long?.length !== 5 || last !== afterUser || bare?.at(-1) !== afterUser) return undefined;
  const [start = ""] = bare;
  const beforeUser = commonEnd(start, commonEnd(betweenSystemAndUser, betweenAnswerAndUser));
  const afterSystem = betweenSystemAndUser.slice(0, betweenSystemAndUser.length - beforeUser.length);
  const afterAnswer = betweenAnswerAndUser.slice(0, betweenAnswerAndUser.length - beforeUser.length);
  const standing = start.slice(0, start.length - beforeUser.length);
  const turn = { beforeSystem, afterSystem, beforeUser, afterUser, afterAnswer };
  if (standing === "") return turn;
  const isStanding = standing.startsWith(beforeSystem) && standing.endsWith(afterSystem);
  if (!isStanding) return undefined;
  return { ...turn, system: standing.slice(beforeSystem.length, standing.length - afterSystem.length) };
}

function commonEnd(a: string, b: string): string {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a.at(-1 - length) === b.at(-1 - length)) length++;
  return a.slice(a.length - length);
}
