import { randomInt } from "node:crypto";
import { randomBase62 } from "../domain/ids.ts";
import type { BoosterFields, Hyperparameters, JobSpec } from "../domain/job.ts";
import { type Principal, SERVER } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { policyOf, treatmentOf } from "../pipeline/policy.ts";
import type { Base } from "../store/bases.ts";
import type { NewJob } from "../store/jobs.ts";
import type { Model } from "../store/models.ts";
import type { Service } from "./service.ts";
import { faultSummary } from "./wire/file.ts";
import type { JobCreate } from "./wire/job.ts";

/**
 * What a request for a job amounts to: files that are there and sound, a base that the policy allows, and nothing looser than the policy.
 *
 * @throws {ServiceError} naming the field that stands in the way
 */
export async function specOf(service: Service, principal: Principal, asked: JobCreate): Promise<Omit<NewJob, "once">> {
  const { store } = service;
  refuseUnsupported(asked);
  const hyperparameters = hyperparametersOf(asked);
  const { base, continues } = await baseOf(service, principal, asked.model);
  const project = principal.project === undefined ? undefined : await store.projects.get(principal, principal.project);
  const policy = await store.policies.current(project?.policy ?? "default");
  if (policy === undefined) throw new Error("the project's policy is not there");
  const body = policyOf(policy.body);
  if (!body.bases.includes(base.name)) {
    throw new ServiceError("policy_violation", "the project's policy allows no jobs on this base", {
      param: "model",
      expected: body.bases.join(", "),
    });
  }
  if (base.facts.alignment === null && body.allowUnaligned !== true) {
    throw new ServiceError("policy_violation", "nothing is known of an alignment of this base", {
      param: "model",
      hint: "The policy's allowUnaligned: true lets jobs be trained on it",
    });
  }
  const booster = (asked.booster ?? {}) as BoosterFields;
  treatmentOf(body, booster);
  const training = await fileOf(service, principal, asked.training_file, "training_file");
  const validation =
    asked.validation_file == null
      ? undefined
      : await fileOf(service, principal, asked.validation_file, "validation_file");
  if (validation !== undefined && validation.sha256 === training.sha256) {
    throw new ServiceError("invalid_validation_file", "both files hold the same bytes", { param: "validation_file" });
  }
  const needs = booster.early_stopping ? "early stopping" : booster.evaluation?.task_metric && "a task metric";
  if (needs !== undefined && validation === undefined) {
    throw new ServiceError("missing_required_parameter", `${needs} looks at a validation file, and there is none`, {
      param: "validation_file",
    });
  }
  const spec: JobSpec = {
    base: base.identity,
    ...(continues === undefined
      ? {}
      : { continues: { model: continues.id, job: continues.job, files: continues.files } }),
    training,
    ...(validation === undefined ? {} : { validation }),
    hyperparameters,
    seed: asked.seed ?? randomInt(2 ** 31 - 1),
    threads: service.jobThreads,
    policy: { name: policy.name, version: policy.version, sha256: policy.sha256, body: policy.body },
    booster,
    lineage: continues === undefined ? [] : await lineageOf(service, continues),
  };
  const organisation = (await store.projects.org()).name;
  return {
    model: asked.model,
    publishAs: `ft:${base.name}:${organisation}:${asked.suffix ?? ""}:${randomBase62(8)}`,
    suffix: asked.suffix ?? undefined,
    metadata: asked.metadata ?? undefined,
    spec,
  };
}

function refuseUnsupported({ method, integrations }: JobCreate): void {
  if (method !== undefined && method.type !== "supervised") {
    throw new ServiceError("method_unsupported", `the method ${method.type} is not done here`, {
      param: "method.type",
      expected: "supervised",
    });
  }
  if (integrations != null && integrations.length > 0) {
    throw new ServiceError("unsupported_parameter", "jobs tell nobody else about themselves", {
      param: "integrations",
    });
  }
}

/** The same numbers may stand in the place that OpenAI gave up; different ones may not. */
function hyperparametersOf({ method, hyperparameters: old }: JobCreate): Hyperparameters {
  const current =
    method?.type === "supervised"
      ? (method as { supervised?: { hyperparameters?: typeof old } }).supervised?.hyperparameters
      : undefined;
  const chosen: Record<string, "auto" | number> = {};
  for (const name of ["n_epochs", "batch_size", "learning_rate_multiplier"] as const) {
    const [here, there] = [current?.[name], old?.[name]];
    if (here != null && there != null && here !== there) {
      throw new ServiceError("invalid_value", `${name} is given twice, and differently`, {
        param: `hyperparameters.${name}`,
        hint: `Say it in method.supervised.hyperparameters alone`,
      });
    }
    chosen[name] = here ?? there ?? "auto";
  }
  return chosen as unknown as Hyperparameters;
}

export async function baseOf(
  { store }: Service,
  principal: Principal,
  name: string,
): Promise<{ readonly base: Base; readonly continues?: Model }> {
  const base = await store.bases.get(name);
  if (base?.state === "active") return { base };
  const named = await store.models.resolve(principal, name);
  if (named === undefined || base !== undefined) {
    throw new ServiceError("model_not_found", "there is no such model, or this key may not use it", { param: "model" });
  }
  if (named.state !== "released") throw unusable(named.state);
  const root = await store.bases.get(named.model.base);
  if (root === undefined || root.identity !== named.model.identity) {
    throw new ServiceError("model_not_found", "the base of this model is not there any more", { param: "model" });
  }
  return { base: root, continues: named.model };
}

export const unusable = (state: "withdrawn" | "unreleased"): ServiceError =>
  state === "withdrawn"
    ? new ServiceError("model_withdrawn", "this model was withdrawn", { param: "model" })
    : new ServiceError("model_not_released", "this model has not been released", { param: "model" });

async function fileOf(
  { store }: Service,
  principal: Principal,
  id: string,
  param: "training_file" | "validation_file",
) {
  const file = await store.files.get(principal, id);
  if (file === undefined) throw new ServiceError("file_not_found", "there is no such file", { param });
  const code = param === "training_file" ? "invalid_training_file" : "invalid_validation_file";
  if (file.purpose !== "fine-tune") {
    throw new ServiceError(code, "this file is not for fine-tuning", { param, expected: "purpose fine-tune" });
  }
  const check = await store.checks.get(file.sha256);
  if (check !== undefined && check.faultCount > 0) {
    throw new ServiceError(code, faultSummary(check), {
      param,
      hint: `All faults: GET /v1/booster/files/${file.id}/checks`,
    });
  }
  return { file: file.id, sha256: file.sha256, filename: file.filename };
}

/** Flagged rows of all jobs that a model came of: harm cannot be dripped over several. */
async function lineageOf({ store }: Service, model: Model): Promise<JobSpec["lineage"]> {
  const job = await store.jobs.get({ ...SERVER, project: model.project }, model.job);
  if (job === undefined) throw new Error(`the job of ${model.id} is not there`);
  const facts = job.outputs.moderate?.facts ?? {};
  const count = (name: string): number => (typeof facts[name] === "number" ? facts[name] : 0);
  return [...job.spec.lineage, { job: job.id, flagged: count("trainedFlagged"), rows: count("trainedRows") }];
}
