/** @file Folders and files of runs of several stages or routes. */

export const STAGE_NAMES = ["architecture", "supernet", "specialised", "pruned", "quantized", "pruned-alone", "packed"] as const;
export type StageName = (typeof STAGE_NAMES)[number];

/** Names of the stages that were run, and whether the run was ended before its time. */
export const STAGES_FILE = "stages.json";

/** Routes of a comparison that are done, and whether all are. */
export const COMPARISON = "compare.json";

export const ROUTE_NAMES = ["joint", "random", "8 bits", "4 bits", "sequential"] as const;
export type RouteName = (typeof ROUTE_NAMES)[number];
export const folderOfRoute = (route: RouteName): string => route.replaceAll(" ", "-");
