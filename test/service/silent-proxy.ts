/** A network that swallows everything. */
import { connect, createServer, type Socket } from "node:net";

/** Passes bytes on, or takes them and says nothing. */
export async function startProxy(port: number) {
  const sockets = new Set<Socket>();
  let swallows = false;
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on("data", (bytes) => swallows || to.write(bytes));
    from.on("error", () => {});
    from.on("close", () => swallows || to.destroy());
  };
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    pass(client, server);
    pass(server, client);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return {
    port: (proxy.address() as { readonly port: number }).port,
    swallow: (on: boolean) => {
      swallows = on;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    },
  };
}
