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
  newJob: { title: "New job", page: () => import("./pages/NewJob.svelte") },
  job: { title: "Job", page: () => import("./pages/Job.svelte") },
  jobView: { title: "Job", page: () => import("./pages/Job.svelte") },
  compare: { title: "Compare jobs", page: () => import("./pages/Compare.svelte") },
  files: { title: "Files", page: () => import("./pages/Files.svelte") },
  file: { title: "File", page: () => import("./pages/FilePage.svelte") },
  models: { title: "Models", page: () => import("./pages/Models.svelte") },
  playground: { title: "Playground", page: () => import("./pages/Playground.svelte") },
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
