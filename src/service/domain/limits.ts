const KB = 1024;
const MB = 1024 * KB;
const GB = 1024 * MB;

/** Every limit of the service. Bytes, seconds and counts; per key and minute where it says so. */
export const LIMITS = {
  /** Requests of a key in a minute, by what they do. */
  readsPerMinute: 600,
  writesPerMinute: 60,
  inferencesPerMinute: 120,
  tokensPerMinute: 100_000,
  /** Keys that are wrong, from one address in a minute: then all of that address wait. */
  failedLoginsPerMinute: 20,

  /** Of a browser that signed in. */
  sessionSeconds: 12 * 3600,
  sessionsPerKey: 100,

  /** Of a project. */
  jobsQueued: 100,
  jobsRunning: 4,
  fileBytesPerProject: 50 * GB,
  modelsPerProject: 1000,

  jsonBytes: MB,
  /** Characters. */
  tokenizeLength: 256 * KB,
  /** Characters for each token of the context beyond which a prompt is not read at all: reading holds up everybody's answers, and no text has so few tokens. */
  charactersPerToken: 32,
  /** Requests that wait for a moderator that is a model; one that nobody asks for so long gives its memory back. */
  moderationsWaiting: 32,
  moderationsWaitingPerProject: 8,
  moderatorIdleSeconds: 600,
  chatBytes: 4 * MB,
  /** What a worker reports of one stage. */
  internalBytes: 16 * MB,
  jsonDepth: 64,
  jsonValues: 500_000,
  headerBytes: 64 * KB,

  fileBytes: 512 * MB,
  uploadBytes: 2 * GB,
  partBytes: 64 * MB,
  partsPerUpload: 1000,
  /** One file of a worker: a checkpoint of a large model's adapter with its moments. */
  blobBytes: 8 * GB,
  /** One that is sealed: it is in memory meanwhile. */
  sealedBytes: 64 * MB,
  multipartParts: 12,
  multipartFieldBytes: 4 * KB,
  filenameLength: 255,
  uploadSeconds: 3600,
  expirySeconds: { least: 3600, most: 2_592_000 },

  headerSeconds: 10,
  /** No byte of a request for so long ends it; its whole time has no limit. */
  idleSeconds: 60,
  heartbeatSeconds: 15,
  /** A reader that takes nothing for so long is let go. */
  drainSeconds: 30,
  streamsPerKey: 100,
  jobsPerStream: 20,
  pollMilliseconds: 500,
  /** How long the reader of a stream may go on before its key is looked at again. */
  admittedAgainMilliseconds: 2000,
  /** How long a pause waits for the checkpoint that it asked for. */
  pauseSeconds: 10,
  /** What a stop of the server waits for. */
  shutdownSeconds: 30,

  /** Days that are told at once. */
  usageDays: 180,

  /** Of a result whose report is shown. */
  experimentBytes: 64 * 1024 * 1024,

  webhooks: 100,
  webhookUrlLength: 2048,
  /** What a receiver has for its whole answer, and how much of it is read. */
  webhookSeconds: 10,
  webhookAnswerBytes: 16 * KB,
  /** Seconds from one try to the next; after the last of them it is given up. */
  webhookRetrySeconds: [5, 30, 120, 600, 1800, 7200, 21_600, 43_200, 86_400],
  /** Of one server at once: to all receivers, and to one. */
  webhooksAtOnce: 32,
  webhooksAtOncePerReceiver: 4,
  deliveriesKeptSeconds: 30 * 86_400,

  metadataPairs: 16,
  metadataKey: 64,
  metadataValue: 512,
  suffixLength: 64,
  faultsShown: 100,
  /** Rows of a file as the model sees them, and tokens of each. */
  previewRows: 20,
  previewTokens: 512,
  /** Within which a client's retry is given what its first try made. */
  retrySeconds: 600,
  idempotencyKeyLength: 255,
  clientRequestIdLength: 128,
} as const;
