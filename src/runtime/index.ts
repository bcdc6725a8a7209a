export { arenaBytes, bytesOfAll, type Machine } from "./cost.ts";
export { Device, type DeviceOptions } from "./device.ts";
export { DryDevice } from "./dry-device.ts";
export { machineOf } from "./machine.ts";
export { leaves, type Mapped, mapNested, type Nested, typesOf } from "./nested.ts";
export { type DeviceTensor, type DeviceTensors, fromOrt } from "./ort.ts";
export { type OpProfile, type Profile, profileTable, readProfile } from "./profile.ts";
export { type Feeds, Program, State } from "./program.ts";
export { PROVIDERS, type Provider } from "./providers.ts";
