import { createServer, type Server, STATUS_CODES } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createAdaptorServer } from "@hono/node-server";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { LIMITS } from "../domain/limits.ts";
import { type ServiceCode, ServiceError } from "../domain/service-error.ts";
import { errorParts } from "./errors.ts";
import type { Env } from "./route.ts";

/** A server on a socket. */
export interface Listening {
  readonly server: Server;
  readonly port: number;
  /** No new connections; waits for answers that are on their way, at most `seconds`. */
  close(seconds: number): Promise<void>;
}

/** Certificate chain and private key, as PEM. */
export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * Listens. Requests may take as long as they send something (`bodyOf`): Node's limit of five minutes for a whole request would cut uploads.
 */
export async function listen(app: OpenAPIHono<Env>, host: string, port: number, tls?: Tls): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch as never,
    createServer: (tls === undefined ? createServer : createSecureServer) as typeof createServer,
    serverOptions: {
      ...tls,
      requestTimeout: 0,
      headersTimeout: LIMITS.headerSeconds * 1000,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: LIMITS.headerBytes,
      keepAliveTimeout: LIMITS.idleSeconds * 1000,
    },
  }) as Server;
  server.on("clientError", refuseUnread);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
  const address = server.address();
  return {
    server,
    port: typeof address === "object" && address !== null ? address.port : port,
    close: (seconds) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), seconds * 1000);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** What Node's parser of HTTP gives up on, by its codes. */
const UNREAD: Readonly<Record<string, readonly [ServiceCode, string]>> = {
  HPE_HEADER_OVERFLOW: ["headers_too_large", "the headers are too long"],
  ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", "the headers did not come in time"],
};

/** Tells it in the form of all errors, where no other answer has begun on the connection. */
function refuseUnread(error: NodeJS.ErrnoException, socket: Duplex): void {
  const [code, message] = UNREAD[error.code ?? ""] ?? ["malformed_request", "this is no HTTP"];
  if (error.code === "ECONNRESET" || !socket.writable || (socket as Socket).bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const { status, headers, body } = errorParts(new ServiceError(code, message));
  const lines = Object.entries({ ...headers, connection: "close", "content-length": Buffer.byteLength(body) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`);
}
