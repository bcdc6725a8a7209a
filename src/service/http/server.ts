import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createAdaptorServer } from "@hono/node-server";
import type { OpenAPIHono } from "@hono/zod-openapi";
import { LIMITS } from "../domain/limits.ts";
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
