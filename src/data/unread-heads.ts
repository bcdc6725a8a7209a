const { raw } = String;

/** Who asks and who answers, as tokens of templates call them. */
const ASKS = "user|human|prompter|inst";
const ANSWERS = "assistant|chatbot|bot|model|gpt|ai";
const COLON = raw`[:\uff1a]`;
const [OPENS, CLOSES] = [raw`[<\[][|\uff5c]?`, raw`[|\uff5c]?[>\]]`];

/** The head of a turn as a token that names who speaks, or one before that name. */
const tokens = (who: string): string =>
  [
    raw`${OPENS}(?:\w{1,20}_)?(?:${who})(?:_\w{1,10})?${CLOSES}${COLON}?`,
    raw`${OPENS}\w{1,25}${CLOSES}(?:${who})(?=\s*(?:\n|$|[<\[]))`,
  ].join("|");
/** Where a token stands that is not spoken of: not within a line of words or in quotes. */
const APART = raw`(?<![^>\]\s][ \t]|["'${"`"}\u201c\u2018(])`;
/** Behind the last head others may stand, such as those of a channel or of thinking. */
const END = raw`\s*(?:[<\[][^<>\[\]\s]{1,30}[>\]]\w{0,12}\s*){0,3}$`;

/** The head of a turn as a heading, as a word with a colon where a line begins, or in capitals within a line. */
const words = (heading: string, line: string, inLine: string): string =>
  [
    raw`#{2,4} ?(?:${heading})(?:${COLON}|[ \t]*$)`,
    raw`(?<=^|[\n>\]])\*{0,2}(?:[A-Z]\w{2,6} (?:Correct )?)?(?:${line})${COLON}\*{0,2}`,
    raw`(?<!\w)(?:${inLine}):`,
  ].join("|");

/** How somebody asks, and how a prompt ends with the head of the answer. */
const OPEN: readonly { readonly asks: RegExp; readonly answers: RegExp }[] = [
  {
    asks: new RegExp(`${APART}(?:${tokens(ASKS)})`, "iu"),
    answers: new RegExp(raw`(${tokens(ANSWERS)}|\[/inst\])${END}`, "iu"),
  },
  {
    asks: new RegExp(
      words(
        "Human|User|USER|Prompt|Question|Instructions?|Input",
        "Human|HUMAN|User|USER|Instruct|Instruction|\u7528\u6237|\u4eba\u7c7b",
        "HUMAN|USER",
      ),
      "mu",
    ),
    answers: new RegExp(
      `(${words(
        "Assistant|AI|Bot|Answer|Output|Response",
        "Assistant|ASSISTANT|AI|Bot|Chatbot|GPT|Output|Response|\u52a9\u624b",
        "ASSISTANT|GPT",
      )})${END}`,
      "u",
    ),
  },
];
/** How a prompt begins with a turn, behind tokens that a sequence begins with. */
const BEGIN = new RegExp(
  raw`^(?:<[^<>\s]{1,40}>\s?|\[gmask\]){0,4}?(?=<[|\uff5c])(?:${tokens(`system|developer|assistant|${ASKS}`)})`,
  "iu",
);
/** A token that stands right behind something or before a word, as no word of a sentence does. */
const ATTACHED = /(?:\S|\n)<[|\uff5c]|[|\uff5c]>[\p{L}\p{N}]/u;

/**
 * The head by which a prompt is told to stand in a template, whichever: somebody asks and the head of the answer ends it, or it
 * begins with a turn in tokens. What speaks of such heads does neither.
 *
 * @example
 * unreadHead("Be kind. USER: hi ASSISTANT:"); // "ASSISTANT:"
 */
export function unreadHead(text: string): string | undefined {
  const trimmed = text.trim();
  const end = trimmed.slice(-200);
  for (const { asks, answers } of OPEN) {
    const head = answers.exec(end)?.[1];
    if (head !== undefined && asks.test(trimmed)) return head.trim();
  }
  return ATTACHED.test(trimmed) ? BEGIN.exec(trimmed)?.[0] : undefined;
}
