import type { Failure } from "../../train/child.ts";
import type { Answered, Ask, EngineStatus, ServedBase } from "./types.ts";

/** What a process is to serve. */
export interface Opening {
  readonly name: string;
  /** The base, as `openSource` takes it. */
  readonly reference: string;
  /** The program's; a part of the fingerprint. */
  readonly version: string;
  readonly threads?: number | undefined;
  /** Adapters that can be in memory at once. */
  readonly slots: number;
  readonly rows: number;
  /** Tokens of a long prompt that are read between two steps of rows that are being written. */
  readonly share: number;
  readonly waiting: number;
  readonly waitingPerGroup: number;
  readonly waitingSeconds: number;
  /** Bytes of keys and values. */
  readonly cacheBytes: number;
}

/** What the server says to an engine's process. */
export type ToEngine =
  | { readonly kind: "open"; readonly opening: Opening }
  | { readonly kind: "answer"; readonly id: number; readonly ask: Ask; readonly group: string }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "withdraw"; readonly model: string }
  | { readonly kind: "encode"; readonly id: number; readonly text: string; readonly special: boolean }
  | { readonly kind: "decode"; readonly id: number; readonly ids: readonly number[] }
  | { readonly kind: "leave" };

/** What an engine's process says; what belongs together in time comes in one message. */
export type FromEngine =
  | { readonly kind: "ready"; readonly base: ServedBase }
  | { readonly kind: "broken"; readonly failure: Failure }
  | { readonly kind: "told"; readonly events: readonly Told[] }
  | { readonly kind: "status"; readonly status: EngineLoad };

/** What a process knows of itself. */
export type EngineLoad = Omit<EngineStatus, "state" | "pid" | "restarts" | "bytes">;

/** Of one request, by its number. */
export type Told =
  | { readonly id: number; readonly event: Answered }
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: Failure };
