import { ops } from "../autodiff/index.ts";
import { Device, type Provider } from "../runtime/index.ts";
import { tensor } from "../tensor/tensor.ts";

/** Whether an execution provider can be used, and why not. */
export interface ProviderState {
  readonly works: boolean;
  readonly reason?: string;
}

/** Squares a small matrix on an execution provider; a wrong product or an unusable provider is an error. */
async function probe(provider: Provider): Promise<void> {
  const matrix = { dtype: "float32" as const, shape: [2, 2] };
  const square = await new Device({ provider }).compile({ x: matrix }, ({ x }) => ({ y: ops.matmul(x, x) }));
  const { y } = await square.run({ x: tensor("float32", [2, 2], [1, 2, 3, 4]) });
  const found = Array.from(y.data, Number).join(" ");
  if (found !== "7 10 15 22") throw new Error(`it computes a wrong product: ${found}`);
}

const tell = (state: ProviderState): void => console.log(JSON.stringify(state));

// A program of its own, for a provider may abort the process.
try {
  await probe(process.argv[2] as Provider);
  tell({ works: true });
} catch (error) {
  tell({ works: false, reason: error instanceof Error ? error.message : String(error) });
}
// Some providers keep threads that would keep the process alive.
process.exit();
