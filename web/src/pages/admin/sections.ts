import type { Component } from "svelte";
import Audit from "./Audit.svelte";
import Bases from "./Bases.svelte";
import Experiments from "./Experiments.svelte";
import Keys from "./Keys.svelte";
import Limits from "./Limits.svelte";
import Policies from "./Policies.svelte";
import Projects from "./Projects.svelte";
import Usage from "./Usage.svelte";
import Webhooks from "./Webhooks.svelte";
import Workers from "./Workers.svelte";

interface Section {
  readonly key: string;
  readonly label: string;
  readonly about: string;
  readonly page: Component;
}

/** Parts of the administration, each with an address. A new one is one row. */
export const SECTIONS: readonly Section[] = [
  {
    key: "keys",
    label: "Keys",
    page: Keys,
    about: "Who may do what. The server keeps hashes: a key is shown once, when it is made.",
  },
  {
    key: "projects",
    label: "Projects",
    page: Projects,
    about: "What tenants have belongs to a project, and is seen by its keys alone.",
  },
  {
    key: "policies",
    label: "Policies",
    page: Policies,
    about:
      "What a model must show before anybody may use it. A policy is never changed, only followed by its next version.",
  },
  { key: "bases", label: "Bases", page: Bases, about: "Aligned models that jobs start from." },
  {
    key: "workers",
    label: "Workers",
    page: Workers,
    about: "Programs that train and evaluate. One that is silent for half a minute loses its job to another.",
  },
  {
    key: "audit",
    label: "Audit log",
    page: Audit,
    about: "Who did what. Entries are only added, and each one's hash covers the one before.",
  },
  {
    key: "usage",
    label: "Usage",
    page: Usage,
    about: "What projects asked of models, by day. Trainings are not counted here: each job tells its tokens.",
  },
  {
    key: "experiments",
    label: "Experiments",
    page: Experiments,
    about: "Experiments that run beside this server, and their reports: which defence holds how long.",
  },
  { key: "webhooks", label: "Webhooks", page: Webhooks, about: "Where this server tells of jobs that are over." },
  {
    key: "limits",
    label: "Limits",
    page: Limits,
    about: "What this server takes at most. Beyond it, requests are answered with 429 or 413.",
  },
];
