export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEPT = "booster.theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

class Appearance {
  chosen: Theme = $state(THEMES.find((theme) => theme === localStorage.getItem(KEPT)) ?? "system");
  #systemDark = $state(prefersDark.matches);
  readonly dark = $derived(this.chosen === "system" ? this.#systemDark : this.chosen === "dark");

  constructor() {
    prefersDark.addEventListener("change", ({ matches }) => {
      this.#systemDark = matches;
      this.#show();
    });
    this.#show();
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    localStorage.setItem(KEPT, theme);
    this.#show();
  }

  #show(): void {
    document.documentElement.dataset.theme = this.dark ? "dark" : "light";
  }
}

/** Light or dark: as the system prefers, or as chosen here, which this browser remembers. */
export const appearance = new Appearance();
