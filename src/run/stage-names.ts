/** @file Folders of the stages of a run of several. */

export const STAGE_NAMES = ["architecture", "supernet", "specialised", "pruned", "quantized", "pruned-alone"] as const;
export type StageName = (typeof STAGE_NAMES)[number];

/** Names of the stages that were run, and whether the run was ended before its time. */
export const STAGES_FILE = "stages.json";
