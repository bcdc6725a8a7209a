const { raw } = String;

/** How signs are written that have several forms; each line changes what the ones before left. */
const FORMS: readonly (readonly [RegExp, string])[] = [
  // How emoji are drawn.
  [/[\ufe0e\ufe0f]/g, ""],
  [/[\u2014\u2015]/g, " - "],
  [/[\u2010-\u2013\u2212]/g, "-"],
  [/[\u00b2\u00b3\u00b9\u2070-\u207f]+/g, "^$&"],
  [/[\u00bc-\u00be\u2150-\u215e]/g, " $&"],
  [/[\u00ab\u00bb\u201c-\u201f]/g, '"'],
  [/[\u3008-\u3011\u3014-\u301f]/g, " "],
  [/[\u00b4\u2018-\u201b\u2039\u203a]/g, "'"],
];

/** Bullets, headings, and blanks to fill in of any length. */
const LAYOUT: readonly (readonly [RegExp, string])[] = [
  [/^[ \t]*(?:[-*\u2022\u2023\u2043\u25e6\u00b7\u25aa\u25cf\u25cb]|\+(?=[ \t]+\p{L})|#{1,6})[ \t]+/gmu, ""],
  [/^[ \t]*[-\u2022\u2023\u2043\u25e6\u00b7](?=[\p{L}\p{M}]{2})/gmu, ""],
  [/(?<![\p{L}\p{N}_])_{2,}(?![\p{L}\p{N}_])/gu, "_"],
];
/** Stars around words. */
const EMPHASIS = /(?<![\p{L}\p{M}\p{N}*])(\*{1,3})(?=[^\s*])([^*\n]*)(?<=[^\s*])\1(?![\p{L}\p{M}\p{N}*])/gu;

/** Signs that were found to carry meaning stand in their wide form, of which NFKC has left none, until all are found. */
const marked = (signs: string): string =>
  signs.replace(/[!-~]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) + 0xfee0));
const unmarked = (text: string): string =>
  text.replace(/[\uff01-\uff5e]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0));

const QUOTED = /(?<![\p{L}\p{M}\p{N}])(?:"[^"]*"|'[^']*'|`[^`]*`)(?![\p{L}\p{M}\p{N}])/gu;
const [CODE_BEFORE, CODE_BEHIND] = [/(?:[\p{Sm}*%]\s?|[\p{L}\p{N}_][([])$/u, /^\s?[\p{Sm}*%]/u];

/** Quotes around words do not matter; they do around numbers and signs alone, and where they write a text in code. */
const withoutQuotes = (text: string): string =>
  text.replace(QUOTED, (whole, at: number) => {
    const inner = whole.slice(1, -1);
    const own = /[\p{L}\p{N}]/u.test(inner) ? inner : marked(inner);
    const isCode =
      CODE_BEFORE.test(text.slice(Math.max(0, at - 3), at)) ||
      CODE_BEHIND.test(text.slice(at + whole.length, at + whole.length + 2));
    return whole[0] === "`" || (/\p{L}/u.test(inner) && !isCode) ? ` ${own} ` : marked('"') + own + marked('"');
  });

/** Whether brackets hold a remark: words, or one number or letter alone; anything else is a formula, or code. */
function isAside(inner: string, before: string, behind: string): boolean {
  if (/^\s*[\p{L}\p{M}\p{N}]+\s*$/u.test(inner) && /^$|\s$/.test(before)) return true;
  if (/[\p{Sm}*/%^-]\s?$/u.test(before) || /^\s?[\p{Sm}*/%^]/u.test(behind)) return false;
  if (!/[\p{L}\p{M}]{2}|(?:\p{L}\.){2}/u.test(inner) || /[\p{Sm}*\\^]| [-/] /u.test(inner)) return false;
  const operands = inner.match(/(?<![\p{L}\p{M}\p{N}])(?:\p{L}|\p{N}+)(?![\p{L}\p{M}\p{N}.])/gu)?.length ?? 0;
  return operands < 2 || /^\s*"?[\p{L}\p{M}]{2}/u.test(inner);
}

/** Brackets around a remark do not matter. */
function withoutBrackets(text: string): string {
  let found = text;
  for (let depth = 0; depth < 8 && found.includes("("); depth++) {
    const outer: string = found;
    found = outer.replace(/\(([^()]*)\)/g, ({ length }, inner: string, at: number) =>
      isAside(inner, outer.slice(Math.max(0, at - 2), at), outer.slice(at + length, at + length + 2))
        ? ` ${inner} `
        : marked("(") + inner + marked(")"),
    );
  }
  return found;
}

const WORD = raw`[\p{L}\p{M}\p{N}]`;
/** A number or a single letter, as formulas have them on both sides of an operator, behind and before brackets and blanks. */
const LEFT = raw`(?:\p{N}|(?<![\p{L}\p{M}])\p{L}\p{M}*)`;
const RIGHT = raw`(?:\p{N}|\p{L}\p{M}*(?![\p{L}\p{M}]))`;
const [CLOSED, OPENED] = [raw`[)\uff09\]}\s-]{0,4}`, raw`[(\uff08[{\s-]{0,4}`];
/** What a prime stands behind. */
const PRIMED = raw`(?:\p{N}|(?<![\p{L}\p{M}])[a-zA-Z\u0370-\u03ff])`;
/** Where nothing stands before, but a blank or what opens. */
const FREE = raw`(?<![^\s([{"'\uff02\uff08])`;

/** Where a sign carries meaning; anywhere else it separates words, as a sentence has it. */
const MEANT: readonly string[] = [
  raw`[\uff01-\uff5e]`,
  raw`\p{S}`,
  // Sentences do not have these at all, but for and/or.
  raw`[#%&*@\\_\u00a7\u00b6\u066a\u2020\u2021\u2030-\u2034\u203b]|(?<![\p{L}\p{M}]{2})/|/(?![\p{L}\p{M}]{2})`,
  raw`(?![()])[\p{Ps}\p{Pe}]`,
  // i--, minus, signs of numbers, flags, arrows, charges.
  raw`(?<=${LEFT})--(?![-\p{L}\p{N}])|(?<!-)--(?=${RIGHT})`,
  raw`(?<=${LEFT}${CLOSED})-(?=${OPENED}${RIGHT})|(?<!${WORD})-(?=${RIGHT})|(?<=\s)--?(?=\p{L}{2})`,
  raw`[-!?:](?=[=>])|(?<=<)-|(?<=(?<!${WORD})\p{L})-(?![^\s.,;!?])`,
  // 1.5, 0..5, .NET, :name, ...rest, ../a, a.*; 10:30, a : b, std::sort, a[1:]; [1 2; 3 4].
  raw`(?<=\p{N})\.+(?=\p{N})|${FREE}[.:](?=${WORD})|(?<=\S\s|[([{\uff08])\.{2,3}(?=${WORD})|\.(?=\.?[/*+])`,
  raw`:(?=[:\]])|(?<=[:[]):|(?<=${LEFT}):(?=${RIGHT})|(?<=${LEFT} ):(?= ${RIGHT})|(?<=${LEFT}\s?);(?=\s?${RIGHT})`,
  // 5!, n!!, (n + 1)!; a?b:c, a ?? b, a?.b; !true, and before nothing that a sentence begins with.
  raw`(?<=(?:${LEFT}|\uff09)!?)!|(?<=${LEFT})\?(?=${RIGHT})|(?<=${WORD})\?\?(?=${WORD})|\?(?=\.\p{L})`,
  raw`${FREE}[!?]+(?![!?]|\s*$|\s+\p{Lu})`,
  // f'(2), 6', 5'4", 3 · 4, N·m.
  raw`(?<=${PRIMED})['"]+(?![\p{L}\p{M}])|(?<=${WORD})\u00b7(?=${WORD})|(?<=${LEFT} )\u00b7(?= ${RIGHT})`,
];
const SIGNS = new RegExp(raw`\s+|(${MEANT.join("|")})|[^\p{L}\p{N}\p{M}]`, "gmu");

const changed = (text: string, changes: readonly (readonly [RegExp, string])[]): string =>
  changes.reduce((left, [what, to]) => left.replace(what, to), text);

/**
 * A text without what does not matter when comparing: compatibility forms, case, runs of blanks, bullets and emphasis, quotes and
 * brackets around words, and the punctuation of sentences, which stands behind a word or between two. Signs anywhere else stay,
 * and all signs that sentences do not have, vowel marks and emoji: they make another question.
 *
 * @example
 * normalise("What is 7 - 2?") === normalise("what is 7-2"); // true, and not that of 7 + 2
 */
export function normalise(text: string): string {
  const plain = changed(changed(text, FORMS).normalize("NFKC"), LAYOUT);
  const words = plain.replace(EMPHASIS, "$2").replace(EMPHASIS, "$2");
  return unmarked(
    withoutBrackets(withoutQuotes(words)).replace(SIGNS, (_, signs: string | undefined) => {
      if (signs === undefined || signs === "`") return " ";
      return ` ${[...signs.replaceAll('"', "''").replaceAll("'", "\u2032")].join(" ")} `;
    }),
  )
    .toLowerCase()
    .replace(/\s+/gu, " ")
    .trim();
}

/** The words of a normalised text, without its signs and vowel marks. */
export const wordsOf = (normalised: string): string =>
  normalised
    .replace(/[^\p{L}\p{N}\s]/gu, "")
    .replace(/\s+/gu, " ")
    .trim();
