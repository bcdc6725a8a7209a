/** Mistakes are told while tracing, with the operation and what it was given, not by the runtime later. */
import { describe, expect, test } from "vitest";
import { type Dim, dim, ops, type Tensor } from "../../src/autodiff/index.ts";
import { BoosterError } from "../../src/errors.ts";
import { createModel } from "../../src/models/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type DType, tensor } from "../../src/tensor/tensor.ts";

const device = new Device({ threads: 1 });
const given = (shape: readonly Dim[], dtype: DType = "float32") => ops.input("x", dtype, shape);

/** The error that a function throws, which must be one of ours. */
async function errorOf(fn: () => unknown): Promise<BoosterError> {
  try {
    await fn();
  } catch (error) {
    expect(error).toBeInstanceOf(BoosterError);
    return error as BoosterError;
  }
  throw new Error("nothing was thrown");
}

const batch = dim("batch");

const MISFITS: readonly (readonly [string, () => Tensor, readonly string[]])[] = [
  ["add", () => ops.add(given([2, 3]), given([4])), ["[2, 3]", "[4]"]],
  ["mul", () => ops.mul(given([batch, 3]), given([dim("time"), 3])), ["[batch, 3]", "[time, 3]"]],
  ["sub", () => ops.sub(given([3]), given([3], "float64")), ["float32 [3]", "float64 [3]"]],
  ["less", () => ops.less(given([2]), given([3])), ["[2]", "[3]"]],
  ["where", () => ops.where(given([2]), given([2]), given([2])), ["float32 [2]"]],
  ["matmul", () => ops.matmul(given([batch, 8]), given([4, 3])), ["[batch, 8]", "[4, 3]"]],
  ["matmul", () => ops.matmul(given([2, 4, 8]), given([3, 8, 4])), ["[2, 4, 8]", "[3, 8, 4]"]],
  ["reshape", () => ops.reshape(given([batch, 6]), [batch, 5]), ["[batch, 6]", "[batch, 5]"]],
  ["transpose", () => ops.transpose(given([2, 3]), [2, 0, 1]), ["[2, 3]", "rank 3"]],
  ["expand", () => ops.expand(given([2, 3]), [4, 3]), ["[2, 3]", "[4, 3]"]],
  ["slice", () => ops.slice(given([2, 3]), 1, 2, 5), ["[2, 3]", "2..5"]],
  ["slice", () => ops.slice(given([batch, 3]), 0, 0, 1), ["[batch, 3]"]],
  ["concat", () => ops.concat([given([2, 3]), given([2, 4])], 0), ["[2, 3]", "[2, 4]"]],
  ["concat", () => ops.concat([given([batch, 3]), given([2, 3])], 0), ["[batch, 3]", "[2, 3]"]],
  ["gather", () => ops.gather(given([4, 3]), given([2])), ["[4, 3]", "float32 [2]"]],
  ["take", () => ops.take(given([4]), given([2], "int32")), ["[4]", "[2]"]],
  ["rmsNorm", () => ops.rmsNorm(given([batch, 8]), given([4]), 1e-6), ["[batch, 8]", "[4]"]],
  [
    "rotary",
    () => ops.rotary(given([batch, 8]), given([batch, 4]), given([batch, 4]), 2),
    ["[batch, 8]", "[batch, 4]"],
  ],
  ["barrier", () => ops.barrier(given([]), given([2])), ["[]", "[2]"]],
  ["sum", () => ops.sum(given([2, 3]), { axes: [2] }), ["2", "rank-2"]],
];

describe("shapes that do not fit", () => {
  test.each(MISFITS)("%s (%#)", async (op, build, shown) => {
    const error = await errorOf(build);
    expect(error.code).toBe("SHAPE_MISMATCH");
    expect(error.message).toContain(`${op}:`);
    for (const text of shown) expect(error.message).toContain(text);
  });
});

describe("programs", () => {
  const x = { dtype: "float32", shape: [batch, 2] } as const;
  const double = () => device.compile({ x }, ({ x }) => ({ y: ops.mul(x, 2) }));

  test("a result may bear the name of an argument", async () => {
    const program = await device.compile({ x }, ({ x }) => ({ x: ops.mul(x, 2) }));
    const { x: twice } = await program.run({ x: tensor("float32", [1, 2], [3, 4]) });
    expect(Array.from(twice.data, Number)).toEqual([6, 8]);
  });

  test("an argument handed out as it is", async () => {
    const program = await device.compile({ x }, ({ x }) => ({ y: x, z: x }));
    const value = tensor("float32", [1, 2], [3, 4]);
    const result = await program.run({ x: value });
    expect([result.y?.data, result.z?.data]).toEqual([value.data, value.data]);
  });

  test("names that look like those inside a graph are free", async () => {
    const program = await device.compile({ t0: x, c0: x }, ({ t0, c0 }) => ({
      t1: ops.mul(ops.exp(ops.mul(t0, 2)), c0),
      c1: ops.add(c0, 1),
    }));
    const zero = tensor("float32", [1, 2], [0, 0]);
    const two = tensor("float32", [1, 2], [2, 2]);
    const result = await program.run({ t0: zero, c0: two });
    expect([...(result.t1?.data ?? []), ...(result.c1?.data ?? [])]).toEqual([2, 2, 3, 3]);
  });

  test("a named size that no input has", async () => {
    const error = await errorOf(() => device.compile({ x }, ({ x }) => ({ y: ops.expand(ops.sum(x), [dim("time")]) })));
    expect(error.code).toBe("UNKNOWN_DIMENSION");
    expect(error.message).toContain("batch");
    expect(error.message).toContain("time");
  });

  test.each([
    ["shape", tensor("float32", [5, 3], new Float32Array(15)), "float32 [5, 3]"],
    ["rank", tensor("float32", [2], new Float32Array(2)), "float32 [2]"],
    ["type", tensor("int32", [5, 2], new Int32Array(10)), "int32 [5, 2]"],
  ])("an argument of the wrong %s", async (_, value, found) => {
    const program = await double();
    const error = await errorOf(() => program.run({ x: value }));
    expect(error.code).toBe("ARGUMENT_MISMATCH");
    expect(error.message).toContain("argument x");
    expect(error.message).toContain("float32 [batch, 2]");
    expect(error.message).toContain(found);
  });

  test("arguments that give one name two sizes", async () => {
    const program = await device.compile({ x, z: x }, ({ x, z }) => ({ y: ops.add(x, z) }));
    const rows = (n: number) => tensor("float32", [n, 2], new Float32Array(2 * n));
    const error = await errorOf(() => program.run({ x: rows(3), z: rows(4) }));
    expect(error.code).toBe("ARGUMENT_MISMATCH");
    expect(error.message).toContain("batch=3");
    expect(error.message).toContain("[4, 2]");
  });

  test("an argument that is missing", async () => {
    const error = await errorOf(async () => (await double()).run({}));
    expect(error.code).toBe("MISSING_ARGUMENT");
    expect(error.message).toContain("x");
  });
});

describe("models", () => {
  const config = {
    model_type: "llama",
    hidden_size: 8,
    intermediate_size: 12,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 11,
  };

  test.each([[{ ...config, model_type: "mamba" }], [{}], [null], ["llama"]])(
    "an unknown architecture: %j",
    async (raw) => {
      const error = await errorOf(() => createModel(raw));
      expect(error.code).toBe("UNKNOWN_ARCHITECTURE");
      expect(error.message).toContain("llama");
    },
  );

  test.each([
    ["hidden_size", { hidden_size: undefined }],
    ["num_hidden_layers", { num_hidden_layers: -1 }],
    ["vocab_size", { vocab_size: 1.5 }],
    ["rms_norm_eps", { rms_norm_eps: "tiny" }],
    ["hidden_act", { hidden_act: "gelu" }],
    ["rope_scaling", { rope_scaling: { rope_type: "spiral", factor: 4 } }],
    ["num_attention_heads", { num_attention_heads: 3 }],
    ["num_key_value_heads", { num_attention_heads: 4, num_key_value_heads: 3 }],
  ])("a configuration that cannot be computed: %s", async (field, change) => {
    const error = await errorOf(() => createModel({ ...config, ...change }));
    expect(error.code).toBe("MODEL_CONFIG_INVALID");
    expect(error.message).toContain(field);
  });
});
