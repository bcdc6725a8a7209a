import type { Route } from "../route.ts";
import { chatRoutes } from "./chat.ts";
import { completionRoutes } from "./completions.ts";
import { responseRoutes } from "./responses.ts";
import type { Serving } from "./served.ts";
import { tokenizerRoutes } from "./tokenizer.ts";

export type { Serving } from "./served.ts";

/** All routes that ask a model. */
export const inferenceRoutes = (serving: Serving): Route[] =>
  [chatRoutes, completionRoutes, responseRoutes, tokenizerRoutes].flatMap((routes) => routes(serving));
