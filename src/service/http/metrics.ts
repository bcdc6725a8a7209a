import { collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What the server counts. No label names a tenant, key, model or job: such labels grow for ever. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Histogram({
    name: "http_request_seconds",
    help: "time until the answer's first byte",
    labelNames: ["route", "status"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [this.registry],
  });
  readonly inFlight = new Gauge({
    name: "http_in_flight",
    help: "requests without an answer yet",
    registers: [this.registry],
  });
  readonly streams = new Gauge({
    name: "sse_clients",
    help: "open streams of events",
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }
}
