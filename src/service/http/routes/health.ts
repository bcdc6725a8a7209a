import { z } from "zod";
import { type Route, route } from "../route.ts";
import type { Service } from "../service.ts";

const Part = z.strictObject({ ok: z.boolean(), problem: z.string().optional(), note: z.string().optional() });
const Ready = z.strictObject({ ready: z.boolean(), parts: z.record(z.string(), Part) });

/** Whether the server lives, whether it can work, and its numbers. */
export function healthRoutes(service: Service): Route[] {
  return [
    route({
      method: "get",
      path: "/healthz",
      summary: "The process lives",
      reply: z.strictObject({ alive: z.literal(true) }),
      handle: async () => ({ alive: true }),
    }),
    route({
      method: "get",
      path: "/readyz",
      summary: "Whether requests can be answered, part by part",
      reply: Ready,
      async handle({ c }) {
        const parts: Record<string, z.infer<typeof Part>> = {};
        for (const [name, check] of Object.entries(service.parts)) {
          const problem = await check();
          parts[name] = typeof problem === "string" ? { ok: false, problem } : { ok: true, ...problem };
        }
        const ready = Object.values(parts).every(({ ok }) => ok);
        return ready ? { ready, parts } : c.json({ ready, parts }, 503);
      },
    }),
    route({
      method: "get",
      path: "/metrics",
      summary: "Numbers for Prometheus",
      reply: z.undefined(),
      media: ["text/plain"],
      async handle() {
        const { registry } = service.metrics;
        return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } });
      },
    }),
  ];
}
