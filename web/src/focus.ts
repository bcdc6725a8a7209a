/** Where the focus was, and what stood around it, from the inside out. */
let last: readonly Element[] = [];

/**
 * Whoever goes by keyboard keeps a place on the page. Where what had the focus goes away (a button that did its work, a form that was sent, the
 * page of whoever signs out), the nearest heading that stays gets it, at the latest when there is one.
 */
export function keepFocus(): void {
  document.addEventListener("focusin", ({ target }) => {
    last = [];
    for (let at = target as Element | null; at !== null; at = at.parentElement) last = [...last, at];
  });
  // Who clicks beside everything has no place to keep.
  document.addEventListener("pointerdown", () => {
    last = [];
  });
  new MutationObserver(() => {
    const [lost, ...around] = last;
    if (lost === undefined || document.activeElement !== document.body) return;
    if (lost.isConnected && lost.checkVisibility()) return;
    const headings = around
      .filter(({ isConnected }) => isConnected)
      .map((part) => part.querySelector<HTMLElement>("h1, h2"));
    const heading = headings.find((one) => one?.checkVisibility() === true);
    if (heading == null) return;
    heading.tabIndex = -1;
    heading.focus();
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["open"] });
}
