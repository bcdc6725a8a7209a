import type { Op } from "../tensor.ts";
import { BLOCK_OPS } from "./block-product.ts";
import { BROADCAST_OPS } from "./broadcast.ts";
import { COMPARE_OPS } from "./compare.ts";
import { CONSTANT_OPS } from "./constant.ts";
import { CONTROL_OPS } from "./control.ts";
import { ELEMENTWISE_OPS } from "./elementwise.ts";
import { ERROR_FUNCTION_OPS } from "./error-function.ts";
import { INDEX_OPS } from "./indexing.ts";
import { MATMUL_OPS } from "./matmul.ts";
import { NEURAL_OPS } from "./neural.ts";
import { REDUCE_OPS } from "./reduce.ts";
import { SCAN_OPS } from "./scan.ts";
import { SHAPE_OPS } from "./shape.ts";
import { STORED_OPS } from "./stored.ts";
import { TRIGONOMETRY_OPS } from "./trigonometry.ts";

export * from "./block-product.ts";
export * from "./broadcast.ts";
export * from "./compare.ts";
export * from "./constant.ts";
export * from "./control.ts";
export * from "./elementwise.ts";
export * from "./error-function.ts";
export * from "./indexing.ts";
export * from "./matmul.ts";
export * from "./neural.ts";
export * from "./reduce.ts";
export * from "./scan.ts";
export * from "./shape.ts";
export * from "./stored.ts";
export * from "./trigonometry.ts";

/** Every primitive operation. The conformance suite tests each row; a new op is one file and one row. */
export const OPS: readonly Op[] = [
  ...CONSTANT_OPS,
  ...ELEMENTWISE_OPS,
  ...TRIGONOMETRY_OPS,
  ...ERROR_FUNCTION_OPS,
  ...COMPARE_OPS,
  ...BROADCAST_OPS,
  ...REDUCE_OPS,
  ...SHAPE_OPS,
  ...INDEX_OPS,
  ...MATMUL_OPS,
  ...NEURAL_OPS,
  ...CONTROL_OPS,
  ...SCAN_OPS,
  ...STORED_OPS,
  ...BLOCK_OPS,
];
