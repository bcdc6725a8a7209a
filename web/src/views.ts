import type { Component } from "svelte";
import type { Scope } from "../../src/service/domain/principal.ts";
import type { ViewName } from "../../src/service/domain/views.ts";

// biome-ignore lint/suspicious/noExplicitAny: every page has other properties, all of them places of its address
type Page = Component<any>;

interface View {
  readonly title: string;
  /** Pages come when they are first looked at. */
  readonly page: () => Promise<{ readonly default: Page }>;
}

/** What each address shows. */
export const PAGES: { readonly [Name in ViewName]?: View } = {
  jobs: { title: "Jobs", page: () => import("./pages/Jobs.svelte") },
  held: { title: "Held for review", page: () => import("./pages/held/Queue.svelte") },
  review: { title: "Review", page: () => import("./pages/held/Review.svelte") },
  admin: { title: "Administration", page: () => import("./pages/admin/Admin.svelte") },
  adminView: { title: "Administration", page: () => import("./pages/admin/Admin.svelte") },
};

interface Entry {
  readonly view: ViewName;
  readonly label: string;
  /** Whoever may not do this does not see the entry. */
  readonly scope: Scope;
  /** Other views that belong to the entry. */
  readonly also?: readonly ViewName[];
}

/** The navigation, in groups. */
export const ENTRIES: readonly (readonly Entry[])[] = [
  [
    { view: "jobs", label: "Jobs", scope: "jobs:read", also: ["newJob", "job", "jobView", "compare"] },
    { view: "files", label: "Files", scope: "files:read", also: ["file"] },
    { view: "models", label: "Models", scope: "models:read" },
    { view: "playground", label: "Playground", scope: "infer" },
  ],
  [
    { view: "held", label: "Held", scope: "review", also: ["review"] },
    { view: "admin", label: "Administration", scope: "admin", also: ["adminView"] },
  ],
];
