export {
  Device,
  type DeviceOptions,
  type DeviceTensor,
  type DeviceTensors,
  PROVIDERS,
  type ProgramSpec,
  type Provider,
} from "./device.ts";
export { type OpProfile, type Profile, profileTable, readProfile } from "./profile.ts";
export { type Feeds, Program, State } from "./program.ts";
