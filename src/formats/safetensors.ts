export {
  openSafetensors,
  parseSafetensors,
  readSafetensors,
  type SafetensorsFile,
} from "./safetensors-reader.ts";
export { encodeSafetensors, writeSafetensors } from "./safetensors-writer.ts";
