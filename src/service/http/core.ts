import type { Principal } from "../domain/principal.ts";
import type { Logger } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import type { Rates } from "./rates.ts";

/** What every request needs, whatever it is about. */
export interface Core {
  readonly keys: {
    find(
      presented: string,
    ): Promise<{ readonly principal: Principal } | { readonly refused: "invalid" | "revoked" | "expired" }>;
  };
  readonly sessions: Pick<Core["keys"], "find">;
  readonly projects: {
    /** @throws {ServiceError} `project_archived` */
    checkOpen(principal: Principal): Promise<void>;
  };
  /** Id of the organisation that runs this server. */
  readonly organisation: string;
  /** Values of `Host` that are answered, without port: what stops pages of other origins from talking to a server on loopback. */
  readonly hosts: readonly string[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly rates: Rates;
  readonly version: string;
  /** Aborted when the server is asked to stop. */
  readonly draining: AbortSignal;
}
