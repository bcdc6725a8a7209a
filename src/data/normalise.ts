/** Characters that only separate words, unless they stand where a sign does; the others carry meaning. */
const OTHERS = /(?:[^\p{L}\p{N}\p{M}\p{S}]|`)+/gu;
const SUPERSCRIPTS = /[\u00b2\u00b3\u00b9\u2070-\u207f]+/g;
const FRACTIONS = /[\u00bc-\u00be\u2150-\u215e]/g;
/** Ways to write a minus, or a dash. */
const MINUS = /[\u2010-\u2015\u2212]/g;
/** How emoji are drawn. */
const VARIATIONS = /[\ufe0e\ufe0f]/g;

const isDigit = (char: string | undefined) => char !== undefined && /\p{N}/u.test(char);
const isLetter = (char: string | undefined) => char !== undefined && /[\p{L}\p{M}]/u.test(char);
const isSymbol = (char: string | undefined) => char !== undefined && /[\p{S}]/u.test(char);

/** What remains of characters that separate: operators between numbers or single letters, signs of numbers, C#, 5!, 1.5. */
function signsIn(run: string, at: number, text: string): string {
  const end = at + run.length;
  const [before, beyond, after, further] = [text[at - 1], text[at - 2], text[end], text[end + 1]];
  const isWord = (char: string | undefined) => isLetter(char) || isDigit(char);
  const follows = isDigit(before) || (isLetter(before) && !isWord(beyond));
  const leads = isDigit(after) || (isLetter(after) && !isWord(further));
  if ((run === "." || run === ":") && isDigit(before) && isDigit(after)) return run;
  let signs = "";
  for (const [place, char] of [...run].entries()) {
    const isAttached = place === run.length - 1 && !isWord(before);
    if ("*/&\\".includes(char) && follows && leads) signs += char;
    if (char === "-" && leads && (follows || isAttached || (place > 0 && place === run.length - 1))) signs += char;
    if (char === "%" && (isDigit(before) || (follows && leads))) signs += char;
    if (char === "!" && place === 0 && follows) signs += char;
    if (char === "#" && place === 0 && isWord(before)) signs += char;
    if (char === "(" && leads && (signs !== "" || isSymbol(before))) signs += char;
    if (char === ")" && follows && (isSymbol(after) || (leads && /[-*/%]/.test(run.slice(place))))) signs += char;
  }
  return ` ${[...signs].join(" ")} `;
}

/**
 * A text without what does not matter when comparing: compatibility forms, case, punctuation, runs of blanks. Operators, signs of
 * numbers, vowel marks and emoji stay: they make another question.
 *
 * @example
 * normalise("What is 7 - 2?") === normalise("what is 7-2"); // true, and not that of 7 + 2
 */
export function normalise(text: string): string {
  const plain = text
    .replace(VARIATIONS, "")
    .replace(MINUS, "-")
    .replace(SUPERSCRIPTS, (digits) => `^${digits}`)
    .replace(FRACTIONS, (fraction) => ` ${fraction}`)
    .normalize("NFKC")
    .toLowerCase();
  return plain
    .replace(OTHERS, signsIn)
    .replace(/\p{S}/gu, (sign) => (sign === "`" ? " " : ` ${sign} `))
    .replace(/\s+/gu, " ")
    .trim();
}

/** The words of a normalised text, without its signs and vowel marks. */
export const wordsOf = (normalised: string): string =>
  normalised
    .replace(/[^\p{L}\p{N}\s]/gu, "")
    .replace(/\s+/gu, " ")
    .trim();
