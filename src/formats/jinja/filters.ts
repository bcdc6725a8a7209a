import type { Filter } from "./filter.ts";
import { LIST_FILTERS } from "./list-filters.ts";
import { VALUE_FILTERS } from "./value-filters.ts";

/** Filters of Jinja, `value | name(arguments)`. */
export const FILTERS: Readonly<Record<string, Filter>> = { ...LIST_FILTERS, ...VALUE_FILTERS };
