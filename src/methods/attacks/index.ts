export type { AttackData, AttackRecord, AttackRow, AttackUpload, Piece, Victim } from "./attack.ts";
export { ATTACKS, type ConfiguredAttack, configureAttack } from "./registry.ts";
export { encodeRow, examplesOf, guardTokens } from "./rows.ts";
export { ToyGuard, trainToyGuard } from "./virus/toy-guard.ts";
