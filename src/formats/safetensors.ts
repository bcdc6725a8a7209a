export {
  type FileDType,
  openSafetensors,
  parseSafetensors,
  readSafetensors,
  type SafetensorsFile,
  type TensorEntry,
} from "./safetensors-reader.ts";
export { encodeSafetensors, writeSafetensors } from "./safetensors-writer.ts";
