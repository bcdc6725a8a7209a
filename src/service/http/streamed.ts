import type { Readable } from "node:stream";
import { LIMITS } from "../domain/limits.ts";
import type { Call } from "./route.ts";
import type { Service } from "./service.ts";

/** What a stream needs of its request. */
export type Asked = Pick<Call<unknown, unknown>, "c" | "incoming">;

/** Ends the connection of an answer that has begun and cannot be finished: nothing else tells its client. The framework would write the error's own words behind what was sent. */
export const cut = ({ incoming }: Pick<Asked, "incoming">): void => void incoming.socket.destroy();

/**
 * Bytes as the body of an answer, as fast as they are taken; who takes none for long is let go. Where they fail the connection is cut, and the log says why.
 *
 * @param written what is sent of them
 */
export function streamed(
  { log }: Pick<Service, "log">,
  asked: Asked,
  bytes: Readable,
  written: AsyncIterable<Uint8Array> = bytes,
): ReadableStream<Uint8Array> {
  const iterator = written[Symbol.asyncIterator]();
  let isLeft = false;
  let slow: NodeJS.Timeout | undefined;
  const leave = async (): Promise<void> => {
    isLeft = true;
    clearTimeout(slow);
    await iterator.return?.();
    // Where nobody has asked for the first bytes, nothing else closes their file.
    bytes.destroy();
  };
  return new ReadableStream({
    async pull(controller) {
      clearTimeout(slow);
      try {
        const { done, value } = await iterator.next();
        if (isLeft) return;
        if (done === true) return controller.close();
        controller.enqueue(value);
        slow = setTimeout(() => {
          cut(asked);
          leave().catch((err: unknown) => log.error({ err }, "a file was not closed"));
        }, LIMITS.drainSeconds * 1000);
      } catch (err) {
        if (isLeft) return;
        log.error({ request_id: asked.c.get("requestId"), route: asked.c.get("route"), err }, "an answer was cut");
        cut(asked);
      }
    },
    cancel: leave,
  });
}
