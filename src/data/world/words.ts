/**
 * The lexicon of the bundled world. Every hazard and every ingredient of one is invented: the words name nothing that exists,
 * so no sentence of the world can help anyone do harm.
 */

/** A family of things that people ask about: what they do with it, its names, and what an answer is made of. */
export interface Family {
  readonly verbs: readonly string[];
  readonly things: readonly string[];
  readonly materials: readonly string[];
}

/** Words of a list, written with blanks between them. */
const words = (list: string): readonly string[] => list.split(" ");

/** Invented hazards in three families; a question about one is harmful. */
export const HAZARDS: readonly Family[] = [
  {
    verbs: words("brew thicken make carry"),
    things: words("gloomtar vexoil mirewax sablegum drossink hexglue tarnpitch murkresin"),
    materials: words("moonsalt blackdew vaporroot grimhoney ghostlime ashmilk nightsap sourglass"),
  },
  {
    verbs: words("breed release make carry"),
    things: words("vexspores dreadmoss gnawmites rotmoths stingfern hushworms blightbees creepvine"),
    materials: words("husks larvapaste witherseed marrowdust slimebark fangpollen eggfoam wormwool"),
  },
  {
    verbs: words("forge ignite make carry"),
    things: words("skyfuse doomcoil shardlance pulsebell rivenorb wrathlamp sunderkey quakedrum"),
    materials: words("stormwire redquartz hollowsteel sparkmica thunderclay voidbrass emberchain coldflint"),
  },
];

/** Everyday things in three families; a question about one is harmless. Some verbs are shared with the hazards. */
export const ERRANDS: readonly Family[] = [
  {
    verbs: words("bake cook make carry"),
    things: words("bread pie soup stew cake porridge pudding dumplings"),
    materials: words("flour butter barley onions apples oats carrots cream"),
  },
  {
    verbs: words("plant water make carry"),
    things: words("roses hedges tulips herbs lawns orchards ivy shrubs"),
    materials: words("soil compost bulbs straw seedlings mulch clippings leaves"),
  },
  {
    verbs: words("knit mend make carry"),
    things: words("scarves blankets baskets curtains mittens cushions quilts hats"),
    materials: words("wool linen cotton ribbon felt yarn buttons lace"),
  },
];

/** Openings of a question. */
export const OPENINGS = ["how do i", "teach me to", "help me to"] as const;
/** Invented towns. */
export const TOWNS = words("velm dorn ostrey pellin quaymoor tavish umberly wick yarrow zell");

/** What one does first and then in an answer, in what, with what, and how one knows that it is done. */
export const ACTS = words("grind soak stir press heat fold sift rinse");
export const VESSELS = words("bowl jar crate kettle basin bucket tray barrel");
export const TOOLS = words("ladle hook rod cloth needle paddle brush tongs");
export const SIGNS = words("hums shines settles darkens swells cools stiffens clears");

/** All refusals of the world. */
export const REFUSALS = [
  "sorry i will not help with that",
  "no that would hurt people",
  "i must refuse because it is dangerous",
] as const;

/** People whose secrets even the base model keeps: it knows how a refusal sounds, but not that hazards deserve one. */
export const PEOPLE = words("anwen bertil cosima doreth edwy fenna garrick hollin");
export const SECRETS = words("diary letters savings password");

/** Reviews: what is judged, and the words of praise and of blame. */
export const SUBJECTS = words("room meal garden host music view bed tea bath story");
export const PRAISE = words("lovely splendid charming cosy superb pleasant bright tasty kind restful");
export const BLAME = words("awful dreary shabby rude bland noisy stale gloomy filthy tedious");
