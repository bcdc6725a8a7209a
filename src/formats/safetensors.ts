export {
  openSafetensors,
  parseSafetensors,
  readSafetensors,
  type SafetensorsFile,
} from "./safetensors-reader.ts";
export { encodeSafetensors, streamSafetensors, writeSafetensors } from "./safetensors-writer.ts";
