/** Passes requests on to a server on this host, and spoils those that it is told to. */
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";

/** `none`: passed on as it is. `cut`: half of the answer's body, or of the head where it has none; `flip`: one wrong byte of the answer, `flip sent`: of what was sent; `hang`: no answer. */
export type Fault = "none" | "500" | "503" | "reset" | "cut" | "hang" | "flip" | "flip sent";

export interface FaultyProxy {
  readonly port: number;
  /** For the next requests, one each. */
  readonly faults: Fault[];
  /** Those that have been done. */
  readonly done: ReadonlySet<Fault>;
  close(): Promise<void>;
}

export async function startFaultyProxy(to: number): Promise<FaultyProxy> {
  const faults: Fault[] = [];
  const done = new Set<Fault>();
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const fault = faults.shift() ?? "none";
      if (fault !== "none") done.add(fault);
      if (fault === "hang") return;
      if (fault === "reset") return void request.socket.resetAndDestroy();
      if (fault === "500" || fault === "503") {
        const code = fault === "503" ? "SlowDown" : "InternalError";
        response.writeHead(Number(fault), { "content-type": "application/xml" });
        response.end(`<Error><Code>${code}</Code></Error>`);
        return;
      }
      const { method, url, headers } = request;
      const ahead = httpRequest({ host: "127.0.0.1", port: to, method, path: url, headers }, (answer) => {
        const body: Buffer[] = [];
        answer.on("data", (part: Buffer) => body.push(part));
        answer.on("end", () => {
          const whole = Buffer.concat(body);
          if (fault === "cut" && whole.length === 0) return void request.socket.resetAndDestroy();
          if (fault === "flip" && whole.length > 0) whole[whole.length >> 1]! ^= 1;
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          if (fault === "cut") response.write(whole.subarray(0, whole.length >> 1), () => request.socket.destroy());
          else response.end(whole);
        });
      });
      ahead.on("error", () => request.socket.destroy());
      const sent = Buffer.concat(parts);
      if (fault === "flip sent") sent[sent.length >> 1]! ^= 1;
      ahead.end(sent);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    faults,
    done,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
