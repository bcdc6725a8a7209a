import type { z } from "zod";
import type { Scope } from "../../../src/service/domain/principal.ts";
import type { SessionObject } from "../../../src/service/http/routes/session.ts";
import { connection } from "./connection.svelte.ts";
import { offline, problemOf } from "./problem.ts";

/** Who is signed in, as the server tells it. */
export type Who = z.output<typeof SessionObject>;

const ADDRESS = "/v1/booster/session";

class Session {
  /** `unknown` until the server was asked. */
  state: "unknown" | "in" | "out" = $state("unknown");
  who: Who | undefined = $state.raw();

  may(scope: Scope): boolean {
    return this.who?.scopes.includes(scope) ?? false;
  }

  /** Asks the server who holds this browser's cookie. @throws {Problem} */
  async ask(): Promise<void> {
    const response = await this.#send("GET");
    if (response.status === 401) return this.end();
    if (!response.ok) throw await problemOf(response);
    await this.#begin(response);
  }

  /** @throws {Problem} a key that the server does not take */
  async begin(key: string): Promise<void> {
    const response = await this.#send("POST", JSON.stringify({ key }));
    if (!response.ok) throw await problemOf(response);
    await this.#begin(response);
  }

  async leave(): Promise<void> {
    const response = await this.#send("DELETE");
    if (!response.ok && response.status !== 401) throw await problemOf(response);
    this.end();
  }

  /** The server no longer takes this browser's cookie. */
  end(): void {
    this.state = "out";
    this.who = undefined;
  }

  async #begin(response: Response): Promise<void> {
    this.who = (await response.json()) as Who;
    this.state = "in";
  }

  async #send(method: string, body?: string): Promise<Response> {
    try {
      const response = await fetch(ADDRESS, {
        method,
        headers: { "x-booster": "1", ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body }),
      });
      connection.found();
      return response;
    } catch {
      connection.lost();
      throw offline();
    }
  }
}

export const session = new Session();
