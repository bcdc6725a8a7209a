/** What a key may do. */
export const SCOPES = [
  "files:read",
  "files:write",
  "jobs:read",
  "jobs:write",
  "models:read",
  "models:write",
  "infer",
  "review",
  "metrics",
  "admin",
  "worker",
] as const;
export type Scope = (typeof SCOPES)[number];

export const KEY_KINDS = ["project", "admin", "worker"] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

/** Scopes that are handed out together. */
export const PRESETS = {
  reader: ["files:read", "jobs:read", "models:read"],
  user: ["files:read", "files:write", "jobs:read", "jobs:write", "models:read", "models:write", "infer"],
  reviewer: ["jobs:read", "models:read", "review"],
  owner: ["jobs:read", "models:read", "metrics", "admin"],
  worker: ["worker"],
} as const satisfies Readonly<Record<string, readonly Scope[]>>;
export type Preset = keyof typeof PRESETS;

/** Who asks: a key, the project that it is bound to, the person or service that owns it. Every query about tenants' things takes one. */
export interface Principal {
  readonly key: string;
  readonly kind: KeyKind;
  /** Absent: keys of the whole server, which see no tenant's things but through the routes that are about all of them. */
  readonly project?: string;
  readonly scopes: readonly Scope[];
  readonly owner: string;
}

/** The server itself, where it acts on its own: first keys, expired holds, reaped leases. */
export const SERVER: Principal = { key: "server", kind: "admin", scopes: ["admin"], owner: "server" };

/** The same of the whole server: an owner's key may be of a project as well, and is the owner's still. */
export const ownerOf = ({ project: _, ...principal }: Principal): Principal => principal;
