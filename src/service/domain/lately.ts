/**
 * What `ask` told not longer than so many seconds ago: however often somebody wants to know, it is asked once in that time.
 *
 * @param now seconds, from anywhere, never back
 */
export function lately<T>(
  seconds: number,
  ask: () => Promise<T>,
  now: () => number = () => performance.now() / 1000,
): () => Promise<T> {
  let last: { readonly at: number; readonly told: Promise<T> } | undefined;
  return () => {
    if (last === undefined || now() - last.at >= seconds) last = { at: now(), told: ask() };
    return last.told;
  };
}
