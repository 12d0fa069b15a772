/** @file Learning-rate schedules: functions of the step, counted from 0. */

export type Schedule = (step: number) => number;

/** Half a cosine from 1 (t = 0) to 0 (t = 1). */
const fall = (t: number) => 0.5 * (1 + Math.cos(Math.PI * Math.min(1, Math.max(0, t))));

/** `peak` falling to 0 along half a cosine over `steps`, after a linear rise over `warmupSteps`. */
export function cosine({ peak, steps, warmupSteps = 0 }: { peak: number; steps: number; warmupSteps?: number }): Schedule {
  return (step) =>
    step < warmupSteps ? (peak * (step + 1)) / warmupSteps : peak * fall((step - warmupSteps) / Math.max(1, steps - warmupSteps));
}

/**
 * Rises from peak/25 to `peak` over `riseRatio` of the steps and falls to peak/250,000, both along half a cosine.
 * Source: Smith and Topin 2018, arXiv:1708.07120, with the defaults that PyTorch's OneCycleLR made common.
 */
export function oneCycle({ peak, steps, riseRatio = 0.25 }: { peak: number; steps: number; riseRatio?: number }): Schedule {
  const start = peak / 25;
  const end = start / 1e4;
  const rise = Math.max(1, riseRatio * steps - 1);
  return (step) =>
    step < rise
      ? start + (peak - start) * (1 - fall(step / rise))
      : end + (peak - end) * fall((step - rise) / Math.max(1, steps - 1 - rise));
}

export const schedules = { cosine, oneCycle } as const;
export type ScheduleName = keyof typeof schedules;
