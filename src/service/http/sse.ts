import { LIMITS } from "../domain/limits.ts";
import { asServiceError, errorBody } from "./errors.ts";
import { type Asked, cut } from "./streamed.ts";

const HEARTBEAT = Symbol("heartbeat");

/**
 * Server-sent events as they come. A reader that is gone ends what produces them at once, one that takes nothing for long is let go, and
 * silence is filled with comments. What fails after the first byte is told as an event with `error`, and the stream ends.
 *
 * @param produce whole events (`data: ...\n\n`); its signal is aborted when nobody listens any more
 * @example
 * return eventStream(async function* () { yield sseData({ hello: 1 }); yield SSE_DONE; }, { incoming });
 */
export function eventStream(
  produce: (gone: AbortSignal) => AsyncGenerator<string>,
  {
    incoming,
    onError,
    onEnd,
  }: Pick<Asked, "incoming"> & { readonly onError?: (error: unknown) => void; readonly onEnd?: () => void },
): Response {
  const gone = new AbortController();
  const events = produce(gone.signal);
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string>> | undefined;
  let slow: NodeJS.Timeout | undefined;
  let over = false;
  const end = (): void => {
    clearTimeout(slow);
    if (over) return;
    over = true;
    onEnd?.();
  };
  const leave = (): void => {
    gone.abort();
    // A generator that waits ends when what it waits for does: the signal tells it.
    events.return(undefined).catch(() => undefined);
    end();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(slow);
        next ??= events.next();
        let timer: NodeJS.Timeout | undefined;
        const silence = new Promise<typeof HEARTBEAT>((resolve) => {
          timer = setTimeout(() => resolve(HEARTBEAT), LIMITS.heartbeatSeconds * 1000);
        });
        try {
          const came = await Promise.race([next, silence]);
          if (over) return;
          if (came !== HEARTBEAT) next = undefined;
          if (came !== HEARTBEAT && came.done === true) {
            controller.close();
            end();
            return;
          }
          controller.enqueue(encoder.encode(came === HEARTBEAT ? ": waiting\n\n" : came.value));
          slow = setTimeout(() => {
            leave();
            cut({ incoming });
          }, LIMITS.drainSeconds * 1000);
        } catch (error) {
          if (over) return;
          onError?.(error);
          controller.enqueue(encoder.encode(sseData(errorBody(asServiceError(error)))));
          controller.close();
          end();
        } finally {
          clearTimeout(timer);
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no" },
  });
}

export const sseData = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

/** What clients of OpenAI's end a stream at. */
export const SSE_DONE = "data: [DONE]\n\n";
