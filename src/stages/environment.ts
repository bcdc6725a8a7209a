import { availableParallelism } from "node:os";
import { ort } from "../runtime/ort.ts";
import type { DeviceChoice } from "./options.ts";

/** What a run ran with: recorded, no reason to refuse a resume. */
export const environmentOf = ({ provider, threads }: DeviceChoice): Record<string, string> => ({
  node: process.versions.node,
  onnxruntime: ort().env.versions.node ?? "unknown",
  platform: `${process.platform} ${process.arch}`,
  provider,
  threads: String(threads ?? availableParallelism()),
});
