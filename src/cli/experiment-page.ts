import { randomBytes } from "node:crypto";
import { createReadStream, realpathSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { basename, join, sep } from "node:path";
import { BoosterError } from "../errors.ts";
import { type ExperimentResult, liveEvent, livePage, livePolicy, renderHtml } from "../report/index.ts";
import type { Event } from "../train/index.ts";

/** A page that shows an experiment while it runs. */
export interface ExperimentPage {
  readonly url: string;
  /** Tells what is being done. */
  follow(event: Event): void;
  /** Shows what was found. */
  show(result: ExperimentResult): void;
  /** Tells readers that nothing more comes, and ends. */
  close(): Promise<void>;
}

/** Milliseconds between two words on the progress of a step. */
const APART_MS = 1000;

const LOST = "The experiment's process has ended. The same command goes on with it.";

/**
 * Serves the report of an experiment on loopback while it is made: the very page that report.html will be, with the cells so far. Links to what
 * was measured work as they do from the file.
 *
 * @throws {BoosterError} `PORT_IN_USE`
 */
export async function servePage(out: string, port: number): Promise<ExperimentPage> {
  const readers = new Set<ServerResponse>();
  const nonce = randomBytes(16).toString("base64");
  let report: string | undefined;
  let progress = "Preparing";
  let last = 0;
  const tell = (...event: Parameters<typeof liveEvent>): void => {
    for (const reader of readers) reader.write(liveEvent(...event));
  };
  const server = createServer((request, response) => {
    try {
      answer(request, response);
    } catch {
      response.writeHead(404).end();
    }
  });
  function answer({ url = "/", method, headers }: IncomingMessage, response: ServerResponse): void {
    // Pages of other origins, under whatever name they reach this host, are told nothing.
    if (!/^(127\.0\.0\.1|localhost):\d+$/.test(headers.host ?? "")) return void response.writeHead(403).end();
    if (method !== "GET") return void response.writeHead(405).end();
    const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
    if (path === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      readers.add(response.on("close", () => readers.delete(response)));
      response.write(liveEvent("progress", progress));
      if (report !== undefined) response.write(liveEvent("report", "new"));
    } else if (path === "/") {
      response.writeHead(200, {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": livePolicy(nonce),
      });
      response.end(livePage(report, { progress, nonce, lost: LOST }));
    } else if (basename(path) === "evaluation.json") {
      const folder = realpathSync(out) + sep;
      const file = realpathSync(join(out, path));
      if (!file.startsWith(folder) || !statSync(file).isFile()) throw new Error("outside of the experiment");
      response.writeHead(200, { "content-type": "application/json", "x-content-type-options": "nosniff" });
      createReadStream(file).pipe(response);
    } else response.writeHead(404).end();
  }
  // A page may be busy for longer than the usual five seconds between two requests, and this host has connections enough.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new BoosterError("PORT_IN_USE", "the experiment's page cannot be served there", {
          found: `127.0.0.1:${port}`,
          hint: "Choose another --serve; 0 is any port that is free",
          cause,
        }),
      );
    });
    server.listen(port, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : port}/`,
    follow(event) {
      const now = performance.now();
      if (event.type === "step" && now - last < APART_MS) return;
      last = now;
      const text = wordsOf(event);
      if (text === undefined) return;
      progress = text;
      tell("progress", text);
    },
    show(result) {
      report = renderHtml(result);
      tell("report", "new");
    },
    async close() {
      tell("end", "Finished");
      for (const reader of readers) reader.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function wordsOf(event: Event): string | undefined {
  const piece = "piece" in event && event.piece !== undefined ? `${event.piece}: ` : "";
  if (event.type === "piece") {
    const left = event.secondsLeft === undefined ? "" : `, about ${Math.ceil(event.secondsLeft / 60)} min left`;
    return `${event.done} of ${event.pieces} pieces done${left}. ${piece}${event.state}`;
  }
  if (event.type === "step") return `${piece}step ${event.step} of ${event.totalSteps}`;
  return event.type === "work" ? `${piece}${event.text}` : undefined;
}
