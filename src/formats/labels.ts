/** Label of a token that is only read, as in Hugging Face. */
export const IGNORE = -100;

/** How many tokens of a row are learned: each is predicted from the one before it, so a label on the first trains nothing. */
export function countLabelled(labels: ArrayLike<number>): number {
  let count = 0;
  for (let place = 1; place < labels.length; place++) if (labels[place] !== IGNORE) count++;
  return count;
}
