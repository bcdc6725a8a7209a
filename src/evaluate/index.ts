export * from "./beat.ts";
export * from "./detection.ts";
export * from "./figures.ts";
export * from "./harmful-score.ts";
export * from "./moderators/index.ts";
export * from "./rate.ts";
export * from "./statistics.ts";
