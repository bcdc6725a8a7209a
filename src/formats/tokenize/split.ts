/** What becomes of the stretches that a pattern matches. Names as in `tokenizer.json`. */
export const BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
export type Behavior = (typeof BEHAVIORS)[number];

interface Stretch {
  start: number;
  end: number;
  readonly matched: boolean;
}

function stretches(text: string, pattern: RegExp, invert: boolean): Stretch[] {
  const found: Stretch[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) found.push({ start: end, end: match.index, matched: invert });
    end = match.index + match[0].length;
    found.push({ start: match.index, end, matched: !invert });
  }
  if (end < text.length) found.push({ start: end, end: text.length, matched: invert });
  return found;
}

/** Joins neighbours: each stretch for which `joins(it, the one before)` grows the one before. */
function joined(all: readonly Stretch[], joins: (stretch: Stretch, before: Stretch) => boolean): Stretch[] {
  const kept: Stretch[] = [];
  for (const [place, stretch] of all.entries()) {
    const [last, before] = [kept.at(-1), all[place - 1]];
    if (last !== undefined && before !== undefined && joins(stretch, before)) last.end = stretch.end;
    else kept.push({ ...stretch });
  }
  return kept;
}

/** The same from the other end: each stretch for which `joins(it, the one behind)` is taken up by the one behind. */
function joinedBackwards(all: readonly Stretch[], joins: (stretch: Stretch, behind: Stretch) => boolean): Stretch[] {
  const kept: Stretch[] = [];
  for (let place = all.length - 1; place >= 0; place--) {
    const stretch = all[place] as Stretch;
    const [last, behind] = [kept.at(-1), all[place + 1]];
    if (last !== undefined && behind !== undefined && joins(stretch, behind)) last.start = stretch.start;
    else kept.push({ ...stretch });
  }
  return kept.reverse();
}

const alone = (stretch: Stretch, other: Stretch) => stretch.matched && !other.matched;
const SHAPES: Readonly<Record<Behavior, (all: Stretch[]) => Stretch[]>> = {
  Removed: (all) => all.filter(({ matched }) => !matched),
  Isolated: (all) => all,
  MergedWithPrevious: (all) => joined(all, alone),
  MergedWithNext: (all) => joinedBackwards(all, alone),
  Contiguous: (all) => joined(all, (stretch, before) => stretch.matched === before.matched),
};

/**
 * Cuts a text by a global pattern. Source: `NormalizedString::split` of Hugging Face's tokenizers.
 *
 * @example
 * split("a-b", /-/g, "MergedWithNext"); // ["a", "-b"]
 */
export function split(text: string, pattern: RegExp, behavior: Behavior, invert = false): string[] {
  return SHAPES[behavior](stretches(text, pattern, invert))
    .filter(({ start, end }) => end > start)
    .map(({ start, end }) => text.slice(start, end));
}
