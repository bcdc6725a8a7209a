/** How often to look whether the server brings another version of this page. */
const LOOK_MS = 300_000;

/** The main script of a page: its name holds the hash of the program. */
const scriptOf = (page: Document): string | null =>
  page.querySelector("script[type=module]")?.getAttribute("src") ?? null;

class Version {
  stale = $state(false);
  readonly #own = scriptOf(document);

  constructor() {
    setInterval(() => void this.look(), LOOK_MS);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.look();
    });
    // A part of this page that the server no longer has.
    addEventListener("vite:preloadError", () => void this.look());
  }

  async look(): Promise<void> {
    try {
      const response = await fetch("/", { cache: "no-cache" });
      if (!response.ok) return;
      const theirs = scriptOf(new DOMParser().parseFromString(await response.text(), "text/html"));
      this.stale = theirs !== null && theirs !== this.#own;
    } catch {
      // A server that is away is told of elsewhere.
    }
  }
}

/** Whether the server has been upgraded since this page was loaded. */
export const version = new Version();
