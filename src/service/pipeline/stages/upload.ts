import { existsSync } from "node:fs";
import { conversationRow } from "../../../data/answered.ts";
import type { Example } from "../../../data/examples.ts";
import { messagesOf } from "../../../data/examples.ts";
import { loadExamples } from "../../../data/load.ts";
import { asSource, PLACES } from "./stage.ts";

/** The rows of a user's file. Throws what `loadExamples` throws. */
export const loadUpload = async (path: string): Promise<readonly Example[]> =>
  (await loadExamples(asSource(path))).examples;

/** Line of an example in its file. */
export const lineOf = ({ where }: Example): number => Number(where.slice(where.lastIndexOf(":") + 1));

/** The file that is trained on: what moderation left, or all. */
export const trainedFile = (): string => (existsSync(PLACES.rows) ? PLACES.rows : PLACES.training);

/** What a user asks in an example, turn by turn. */
export const turnsAsked = (example: Example): string[] =>
  messagesOf(example)
    .filter(({ role }) => role === "user")
    .map(({ content }) => content);

/** A row as a file holds it. */
export const asRow = (example: Example): object =>
  example.kind === "chat"
    ? conversationRow(example)
    : { instruction: example.instruction, input: example.input, output: example.output };
