/** @file Later stages of a run that cannot go on: what the stages before them made is kept. */
import { AppError } from "../errors.ts";
import type { StageSettings } from "./settings.ts";

/** What later stages give; null, with the reason told, when a limit or the time is out of their reach or they were interrupted before they had anything. */
export async function unlessOutOfReach<T>(work: () => Promise<T>, { onNote }: Pick<StageSettings, "onNote">): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AppError) || (error.code !== "INFEASIBLE" && error.code !== "NOT_REACHED")) throw error;
    onNote(`the run ends with what it has: ${error.message}`);
    return null;
  }
}
