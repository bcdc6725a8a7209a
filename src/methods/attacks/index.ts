export type { Attack, AttackData, AttackRecord, AttackRow, AttackUpload, KnownGuard, Piece, Victim } from "./attack.ts";
export { plainRow } from "./attack.ts";
export { ATTACKS } from "./registry.ts";
export { encodeRow, examplesOf, guardTokens } from "./rows.ts";
export { ToyGuard, trainToyGuard } from "./virus/toy-guard.ts";
