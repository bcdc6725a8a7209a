import { send } from "../../api/client.ts";
import { type Problem, told } from "../../api/problem.ts";
import { asProblem } from "../../api/resource.svelte.ts";
import type { ErrorBody } from "../../api/types.ts";
import { serverSentEvents } from "../../sse.ts";

/** A piece of an answer, with its log-probability where it was asked for. */
export interface Piece {
  readonly text: string;
  readonly logprob: number | undefined;
}

export interface Turn {
  readonly asked: string;
  readonly pieces: readonly Piece[];
  /** `undefined` as long as it is being written. */
  readonly end: "stop" | "length" | "content_filter" | "stopped" | "failed" | undefined;
}

export interface Settings {
  readonly system: string;
  readonly temperature: number;
  readonly seed: number | undefined;
  readonly tokens: number | undefined;
  readonly logprobs: boolean;
}

interface Chunk {
  readonly error?: ErrorBody;
  readonly choices?: readonly {
    readonly delta: { readonly content?: string };
    readonly finish_reason: Turn["end"] | null;
    readonly logprobs?: { readonly content: readonly { readonly token: string; readonly logprob: number }[] } | null;
  }[];
}

export const textOf = ({ pieces }: Turn): string => pieces.map(({ text }) => text).join("");

/** One model's side of the conversation. */
export class Talk {
  turns: readonly Turn[] = $state.raw([]);
  problem: Problem | undefined = $state.raw();
  #stop: AbortController | undefined;

  constructor(readonly model: string) {}

  get busy(): boolean {
    return this.turns.at(-1)?.end === undefined && this.turns.length > 0;
  }

  stop(): void {
    this.#stop?.abort();
  }

  clear(): void {
    this.stop();
    this.turns = [];
    this.problem = undefined;
  }

  /** Asks, and adds to the answer as it comes. */
  async ask(asked: string, settings: Settings): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    this.problem = undefined;
    const messages = [
      ...(settings.system.trim() === "" ? [] : [{ role: "system", content: settings.system }]),
      ...this.turns.flatMap((turn) => [
        { role: "user", content: turn.asked },
        { role: "assistant", content: textOf(turn) },
      ]),
      { role: "user", content: asked },
    ];
    const before = this.turns;
    const show = (pieces: readonly Piece[], end: Turn["end"]): void => {
      this.turns = [...before, { asked, pieces, end }];
    };
    const pieces: Piece[] = [];
    show(pieces, undefined);
    try {
      const response = await send("POST /v1/chat/completions", {
        signal: stop.signal,
        body: {
          model: this.model,
          messages,
          stream: true,
          temperature: settings.temperature,
          ...(settings.seed === undefined ? {} : { seed: settings.seed }),
          ...(settings.tokens === undefined ? {} : { max_completion_tokens: settings.tokens }),
          ...(settings.logprobs ? { logprobs: true } : {}),
        },
      });
      let end: Turn["end"];
      for await (const data of serverSentEvents(response.body!)) {
        if (data === "[DONE]") break;
        const chunk = JSON.parse(data) as Chunk;
        if (chunk.error !== undefined) throw told(chunk.error, 500, response.headers.get("x-request-id") ?? undefined);
        const [choice] = chunk.choices ?? [];
        if (choice === undefined) continue;
        pieces.push(...piecesOf(choice));
        // A model begins with the blank that parts its words.
        if (pieces[0] !== undefined) pieces[0] = { ...pieces[0], text: pieces[0].text.trimStart() };
        end = choice.finish_reason ?? end;
        show([...pieces], undefined);
      }
      show(pieces, end ?? "stopped");
    } catch (error) {
      show(pieces, stop.signal.aborted ? "stopped" : "failed");
      if (!stop.signal.aborted) this.problem = asProblem(error);
    }
  }
}

function piecesOf({ delta, logprobs }: NonNullable<Chunk["choices"]>[number]): Piece[] {
  const tokens = logprobs?.content ?? [];
  if (tokens.length > 0) return tokens.map(({ token, logprob }) => ({ text: token, logprob }));
  return delta.content === undefined || delta.content === "" ? [] : [{ text: delta.content, logprob: undefined }];
}
