import { z } from "zod";
import { isInside } from "./webhooks/address.ts";

const Host = z.string().regex(/^[A-Za-z0-9.:-]{1,253}$/, "must be a name or an address");

/** Where files lie, for every command that opens a server's store. */
export const BlobsOption = z
  .string()
  .regex(/^s3:\/\//, "must begin with s3://")
  .optional()
  .describe("Object storage for files: s3://bucket/prefix?endpoint=https://...; or BOOSTER_BLOBS in the environment");

/** Options of `booster serve`. */
export const ServeOptions = z.strictObject({
  data: z.string().min(1).default("data").describe("Folder of the server: database, files, keys"),
  blobs: BlobsOption,
  host: Host.default("127.0.0.1").describe(
    "Address to listen on; another than loopback needs keys, and TLS by a proxy or tlsCert",
  ),
  port: z.int().min(0).max(65_535).default(8642).describe("Port; 0: any that is free"),
  publicUrl: z.url().optional().describe("Where clients find the server, if by another name"),
  iHaveTls: z.boolean().default(false).describe("Connections from outside are encrypted before they come here"),
  tlsCert: z.string().min(1).optional().describe("Certificate chain (PEM)"),
  tlsKey: z.string().min(1).optional().describe("Its private key (PEM)"),
  workers: z.int().min(0).max(64).default(1).describe("Worker processes on this host"),
  threads: z
    .int()
    .positive()
    .max(256)
    .optional()
    .describe("Threads of a job's programs; by default those that workers and serving leave each other"),
  base: z
    .enum(["world-booster", "world-sft"])
    .default("world-booster")
    .describe("Bundled base to offer: aligned with Booster, or plainly"),
  servingMemory: z
    .number()
    .positive()
    .optional()
    .describe("Gigabytes that bases which are served may take together; by default half of what is free"),
  policy: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Policy file that the default project gets at each start; without it what was set before, at first the bundled one",
    ),
  webhookInside: z
    .array(z.string().refine(isInside, "must be a name, an address or a network as 10.1.0.0/16"))
    .default([])
    .describe("Hosts that are not the public's which webhooks may reach, also without TLS: names, addresses, networks"),
  experiments: z
    .string()
    .min(1)
    .optional()
    .describe("Folder of experiments whose reports owners may read, also while they run"),
  logLevel: z
    .enum(["error", "warn", "info", "debug", "silent"])
    .optional()
    .describe("Log lines on standard error; by default warn on a terminal, info elsewhere"),
});
export type ServeOptions = z.output<typeof ServeOptions>;
