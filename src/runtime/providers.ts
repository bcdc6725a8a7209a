/** Execution providers of ONNX Runtime, known without loading it. */
export const PROVIDERS = ["cpu", "webgpu", "cuda"] as const;
export type Provider = (typeof PROVIDERS)[number];
