import type { Score } from "./proxy.ts";

export interface SearchOptions {
  /** Modules in the order of the model. */
  readonly modules: readonly string[];
  /** Share of the unperturbed accuracy that must be left. */
  readonly threshold: number;
  /** Leave a module out that fails, and go on, where the search otherwise ends. */
  readonly skip: boolean;
  /** How well the proxy tells prompts while these modules are perturbed. */
  score(perturbed: readonly string[]): Promise<Score>;
}

/**
 * Modules that can be perturbed together without the proxy losing sight of what is malicious.
 *
 *     order modules by the accuracy left when each is perturbed alone, the most first; of equal ones the larger margin, then the order
 *     add one after the other, all perturbed together, until the accuracy is below threshold times the unperturbed one
 *
 * Source: the stages of Du et al., arXiv 2410.04524; what they are in detail is our reconstruction.
 *
 * @example
 * await robustModules({ modules, threshold: 0.95, skip: false, score });
 */
export async function robustModules({ modules, threshold, skip, score }: SearchOptions): Promise<string[]> {
  const least = threshold * (await score([])).accuracy;
  const alone: (Score & { readonly module: string })[] = [];
  for (const module of modules) alone.push({ module, ...(await score([module])) });
  const order = alone.toSorted((a, b) => b.accuracy - a.accuracy || b.margin - a.margin || 0);
  const robust: string[] = [];
  for (const { module } of order) {
    const { accuracy } = await score([...robust, module]);
    if (accuracy >= least) robust.push(module);
    else if (!skip) break;
  }
  return robust;
}
