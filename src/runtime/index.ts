export { Device, type DeviceOptions, PROVIDERS, type ProgramSpec, type Provider } from "./device.ts";
export type { DeviceTensor, DeviceTensors } from "./ort.ts";
export { type OpProfile, type Profile, profileTable, readProfile } from "./profile.ts";
export { type Feeds, Program, State } from "./program.ts";
