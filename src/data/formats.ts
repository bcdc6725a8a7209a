import { BoosterError } from "../errors.ts";
import { answered, BESIDE, conversationOf, WITH_TURNS } from "./answered.ts";
import { meaningOf, refuseColumn } from "./columns.ts";
import { collectExamples, type Example, textOf } from "./examples.ts";
import { isNothing, turnsOf } from "./messages.ts";
import { MARKED, type Pair, pairOf, safeRlhfPair } from "./pairs.ts";
import { labelled, openAiPreference, preference, prompted, safeRlhf, textOrTurns } from "./preferences.ts";
import { renderedDialogue, renderedError } from "./rendered.ts";
import { cellOf, FaultList, flagOf, placeOf, type Row } from "./rows.ts";

/** A way to write training examples down. */
export interface RowFormat {
  /** What such rows are, in words. */
  readonly about: string;
  /** The same where they are read as harmful data, if that is another thing. */
  readonly harmful?: string;
  /** The columns by which it is recognised. */
  readonly columns: readonly string[];
  /** Other columns that it reads. */
  readonly also?: readonly string[];
  /** Both answers of a row, where it has two. */
  readonly pair?: { readonly columns: readonly string[]; readonly of: (row: Row) => Pair };
  /** The example of a row, undefined where the row has none; `harmful` where the harmful one of several answers is wanted. */
  readonly example: (row: Row, harmful: boolean) => Example | undefined;
}

const optional = (row: Row, column: string): string => (cellOf(row, column) == null ? "" : textOf(row, column));

/** Columns in which other forms have the answer. */
const ANSWERS = ["output", "response", "completion", "answer"];

/** A conversation in one column. @throws {BoosterError} `MESSAGES_INVALID`, `COLUMN_UNREAD` where its answer may stand beside it */
const conversationIn = (column: string) => (row: Row) => {
  const turns = turnsOf(cellOf(row, column), column);
  if (turns.at(-1)?.role !== "assistant") for (const name of ANSWERS) refuseColumn(row, name, name);
  return conversationOf(row, turns);
};

/** Ways to write a training example down; one row each, the first that fits is taken. */
export const FORMATS = {
  preference: {
    about: "preferences, of which the chosen answer is the good one",
    columns: ["chosen", "rejected"],
    also: ["prompt", "instruction", "question", "input", "messages", "conversations", ...BESIDE],
    harmful: "preferences, of which the rejected answer is the harmful one",
    example: preference,
    pair: { columns: MARKED, of: (row) => pairOf(row, preference) },
  },
  "openai-preference": {
    about: "OpenAI's preferences, of which the preferred answer is the good one",
    columns: ["input", "preferred_output", "non_preferred_output"],
    harmful: "OpenAI's preferences, of which the answer that is not preferred is the harmful one",
    example: openAiPreference,
    pair: { columns: MARKED, of: (row) => pairOf(row, openAiPreference) },
  },
  messages: {
    about: "conversations",
    columns: ["messages"],
    also: WITH_TURNS,
    example: conversationIn("messages"),
  },
  sharegpt: {
    about: "ShareGPT conversations",
    columns: ["conversations"],
    also: WITH_TURNS,
    example: conversationIn("conversations"),
  },
  conversation: {
    about: "conversations",
    columns: ["conversation"],
    also: WITH_TURNS,
    example: conversationIn("conversation"),
  },
  alpaca: {
    about: "Alpaca's instructions",
    columns: ["instruction", "output"],
    also: ["input", ...BESIDE],
    example: (row) => answered(row, textOf(row, "instruction"), textOf(row, "output"), optional(row, "input")),
  },
  dolly: {
    about: "Dolly's instructions",
    columns: ["instruction", "response"],
    also: ["context", ...BESIDE],
    example: (row) => answered(row, textOf(row, "instruction"), textOf(row, "response"), optional(row, "context")),
  },
  "unpaired-preference": {
    about: "answers with a label, of which true ones are good",
    columns: ["prompt", "completion", "label"],
    also: BESIDE,
    harmful: "answers with a label, of which false ones are harmful",
    example: labelled,
  },
  "prompt-completion": {
    about: "prompts with completions",
    columns: ["prompt", "completion"],
    also: BESIDE,
    example: (row) => prompted(row, textOrTurns(row, "prompt"), "completion"),
  },
  "prompt-response": {
    about: "prompts with responses",
    columns: ["prompt", "response"],
    also: BESIDE,
    example: (row) => answered(row, textOf(row, "prompt"), textOf(row, "response")),
  },
  "question-response": {
    about: "questions with responses, as OpenOrca's",
    columns: ["question", "response"],
    also: BESIDE,
    example: (row) => answered(row, textOf(row, "question"), textOf(row, "response")),
  },
  "safe-rlhf": {
    about: "SafeRLHF's pairs of responses, of which a safe one is taken",
    columns: ["prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe"],
    also: ["better_response_id", "safer_response_id"],
    harmful: "SafeRLHF's pairs of responses, of which an unsafe one is taken",
    example: safeRlhf,
    pair: { columns: [], of: safeRlhfPair },
  },
  "goal-target": {
    about: "harmful goals with the beginning of an answer, as AdvBench's",
    columns: ["goal", "target"],
    example: (row) => answered(row, textOf(row, "goal"), textOf(row, "target")),
  },
  jailbreakbench: {
    about: "harmful goals with the beginning of an answer, as JailbreakBench's",
    columns: ["Goal", "Target"],
    example: (row) => answered(row, textOf(row, "Goal"), textOf(row, "Target")),
  },
  harmbench: {
    about: "HarmBench's behaviours, which are questions without answers",
    columns: ["Behavior"],
    also: ["ContextString"],
    example: (row) => {
      const context = optional(row, "ContextString");
      const content = context === "" ? textOf(row, "Behavior") : `${context}\n\n${textOf(row, "Behavior")}`;
      return conversationOf(row, [{ role: "user", content }]);
    },
  },
  text: {
    about: "questions with answers, rendered beforehand",
    columns: ["text"],
    example: (row) => {
      const dialogue = renderedDialogue(textOf(row, "text"));
      if (dialogue === undefined) {
        throw new BoosterError("COLUMN_MISSING", "has a text that is no question with an answer", {
          hint: "Give questions and answers in columns of their own, such as prompt and completion.",
        });
      }
      if ("refused" in dialogue) throw renderedError(dialogue, dialogue.refused);
      if ("messages" in dialogue) return conversationOf(row, dialogue.messages);
      return answered(row, dialogue.instruction, dialogue.output, dialogue.input);
    },
  },
} as const satisfies Readonly<Record<string, RowFormat>>;

export type FormatName = keyof typeof FORMATS;
export const FORMAT_NAMES = Object.keys(FORMATS) as [FormatName, ...FormatName[]];

/** Columns that say which rows are harmful, for what counts and mixes them. */
const MARKS = ["harmful", "is_safe"];

/** What a row's marks say; undefined where it has none. @throws {BoosterError} `FLAG_INVALID` */
function saysHarmful(row: Row): boolean | undefined {
  const [harmful, safe] = MARKS.map((mark) => (isNothing(cellOf(row, mark)) ? undefined : flagOf(row, mark)));
  return harmful === undefined && safe === undefined ? undefined : harmful === true || safe === false;
}

/** Columns that would change what is trained wherever a form does not read them. */
const MEANINGFUL = [
  ...[...BESIDE, "input", "context", "functions", "function_call", "chat_template"],
  ...["weight", "train", "training", "loss", "chosen", "rejected", "kto_tag"],
  ...["image", "images", "video", "videos", "audio", "audios"],
];

const fits = (row: Row, format: FormatName): boolean =>
  FORMATS[format].columns.every((column) => Object.hasOwn(row.values, column));

/** The form of the first row that has one; where further columns of any row make another form of it, that. */
function formatOf(rows: readonly Row[]): FormatName | undefined {
  const known = rows.find((row) => FORMAT_NAMES.some((format) => fits(row, format)));
  const found = known && FORMAT_NAMES.find((format) => fits(known, format));
  if (found === undefined) return undefined;
  const adds = ({ columns }: RowFormat) => FORMATS[found].columns.every((column) => columns.includes(column));
  return FORMAT_NAMES.find((format) => adds(FORMATS[format]) && rows.some((row) => fits(row, format)));
}

/** Examples, and how their rows were read. */
export interface ReadExamples<T = Example> {
  readonly format: FormatName;
  readonly examples: T[];
  /** In words: the form, the columns that were read, and what was not. */
  readonly recognised: string;
}

/**
 * Turns rows into training examples and says which format was taken.
 *
 * @param format by default told by the columns of the first row that fits one
 * @param faults what reading the rows found
 * @param harmful whether the harmful one of several answers is wanted
 * @throws {BoosterError} `DATA_EMPTY`, `DATA_COLUMNS_UNKNOWN` naming the columns that are there and those that would do,
 * `DATA_INVALID`
 * @example
 * const { format, examples } = readExamples(rows);
 */
export const readExamples = (
  rows: readonly Row[],
  format?: FormatName,
  faults = new FaultList(),
  harmful = false,
): ReadExamples =>
  readRows(rows, format, faults, {
    about: (form) => (harmful && form.harmful) || form.about,
    also: () => [],
    contrary: (row) => saysHarmful(row) === !harmful,
    marked: harmful ? "safe" : "harmful",
    make: (form, row) => form.example(row, harmful),
  });

/** The same for rows with two answers, of which both are wanted. @throws {BoosterError} `DATA_COLUMNS_UNKNOWN` for other rows too */
export const readPairs = (rows: readonly Row[], format?: FormatName, faults = new FaultList()): ReadExamples<Pair> =>
  readRows(rows, format, faults, {
    about: ({ about }) => `${about.split(",")[0]}, both answers`,
    also: ({ pair }) => pair?.columns ?? [],
    contrary: () => false,
    marked: "",
    make({ pair }, row) {
      if (pair !== undefined) return pair.of(row);
      throw new BoosterError("COLUMN_MISSING", "has no two answers", {
        expected: FORMAT_NAMES.filter((name) => "pair" in FORMATS[name]).join(", "),
      });
    },
  });

/** How the rows of a form are taken. */
interface Taking<T> {
  about(form: RowFormat): string;
  /** Further columns that are read. */
  also(form: RowFormat): readonly string[];
  contrary(row: Row): boolean;
  readonly marked: string;
  make(form: RowFormat, row: Row): T | undefined;
}

function readRows<T>(
  rows: readonly Row[],
  format: FormatName | undefined,
  faults: FaultList,
  taking: Taking<T>,
): ReadExamples<T> {
  const name = format ?? formatOf(rows);
  const [first] = rows;
  if (first !== undefined && name !== undefined) {
    const chosen: RowFormat = FORMATS[name];
    const understood = new Set([...chosen.columns, ...(chosen.also ?? []), ...taking.also(chosen), ...MARKS]);
    const meaningful = [...(chosen.also ?? []), ...MEANINGFUL];
    /** Columns that were found, with the meaningful one that each is or may be meant to be where it is not read. */
    const found = new Map<string, string | undefined>();
    let contrary = 0;
    const examples = collectExamples(
      rows,
      (row) => {
        for (const column of Object.keys(row.values)) {
          if (!found.has(column)) found.set(column, understood.has(column) ? undefined : meaningOf(column, meaningful));
          const meant = found.get(column);
          if (meant !== undefined) refuseColumn(row, column, meant);
        }
        if (taking.contrary(row)) contrary++;
        return taking.make(chosen, row);
      },
      faults,
    );
    const [read, unread] = [true, false].map((is) =>
      [...found.keys()].filter((column) => understood.has(column) === is),
    );
    const over = rows.length - examples.length;
    const recognised = [
      `${taking.about(chosen)} (${read?.join(", ")})`,
      ...(over > 0 ? [`${over} rows without such an answer passed over`] : []),
      ...(contrary > 0 ? [`${contrary} of them marked as ${taking.marked}`] : []),
      ...(unread?.length === 0 ? [] : [`not used: ${someOf(unread ?? [])}`]),
    ];
    return { format: name, examples, recognised: recognised.join("; ") };
  }
  faults.throwIfAny();
  if (first === undefined) throw new BoosterError("DATA_EMPTY", "the data has no rows");
  throw new BoosterError("DATA_COLUMNS_UNKNOWN", "the columns fit no known format", {
    expected: FORMAT_NAMES.map((name) => `${FORMATS[name].columns.join(" + ")} (${name})`).join(", or "),
    found: Object.keys(first.values).join(", "),
    where: placeOf(first),
  });
}

const someOf = (names: readonly string[]): string =>
  names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
