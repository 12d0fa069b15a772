/** @file What a quantised network may cost, on which bits it may choose, and how its cost is known. */
import { AppError } from "../errors.ts";
import type { Graph, Model } from "../graph/types.ts";
import { choicesWithin } from "../hardware/choices.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import { isCpu } from "../hardware/kinds.ts";
import { type Accelerator, FLOAT_BITS, type Precision, type PrecisionChoices } from "../hardware/precision.ts";
import { exportOnnx } from "../onnx/export.ts";
import { cheapestBits, type PrecisionLimits, uniformBits } from "../quantize/budget.ts";
import { acceleratorEnergy, acceleratorLatency, bitOps, type PolicyCost, type QuantizableLayer } from "../quantize/layers.ts";
import { type LayerLatencies, measuredLatency, measureLayers } from "../quantize/measured-latency.ts";
import type { Quantization } from "../quantize/network.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { combined } from "../util/combined-limits.ts";
import { admitting, type Quantity } from "../util/units.ts";
import type { Obtained } from "./card.ts";
import { formatCost, LIMIT_KINDS } from "./limit-kinds.ts";
import { quantizedSize } from "./quantized-size.ts";

export type QuantizeBudgetKind = "latency" | "energy" | "size" | "bitops";

export interface QuantizeLimit {
  readonly kind: QuantizeBudgetKind;
  readonly limit: number;
  readonly cost: PolicyCost;
  /** Cost that a percentage refers to, and what of. */
  readonly reference: { readonly cost: number; readonly of: string };
  /** How `cost` comes about. */
  readonly obtained: Obtained;
}

/** What is chosen among, and what it costs. */
export interface QuantizeCosts extends Pick<PrecisionLimits, "choices" | "pins"> {
  readonly limits: readonly QuantizeLimit[];
  /** Of the CPU, where a latency on it is limited. */
  readonly latencies: LayerLatencies | null;
}
/** All limits at once. */
export interface QuantizeLimits extends QuantizeCosts, PrecisionLimits {}

export interface LimitOptions {
  readonly budgets: readonly { readonly kind: QuantizeBudgetKind; readonly quantity: Quantity }[];
  /** null where no limit depends on a device. */
  readonly device: Accelerator | CpuDevice | null;
  readonly bits: { readonly lowest: number; readonly highest: number };
  readonly scheme: WeightScheme;
  /** Whose inputs and ending the file keeps, and the images, which it names. */
  readonly original: Graph;
  readonly data: string;
  /** What layers on the CPU took when the run was begun; measured where it is not known. */
  readonly latencies?: LayerLatencies | null;
  readonly onProgress?: (done: number, total: number) => void;
}

type Choosing = Pick<LimitOptions, "budgets" | "device" | "bits">;

const ALL_BITS = [1, 2, 3, 4, 5, 6, 7, 8];
const EIGHT: Precision = { weightBits: 8, activationBits: 8 };
const FLOAT: Precision = { weightBits: FLOAT_BITS, activationBits: FLOAT_BITS };
export const isMeasured = (device: Accelerator | CpuDevice | null): device is CpuDevice => device !== null && isCpu(device);

const isSizeAlone = (budgets: LimitOptions["budgets"]): boolean => budgets.every(({ kind }) => kind === "size");

/** Which bits can be chosen. The CPU runs layers as float or on integers throughout; a file's size depends on weights alone. */
function choicesFor({ budgets, device, bits }: Choosing): PrecisionChoices {
  const { lowest, highest } = bits;
  if (isMeasured(device)) {
    if (lowest > 8 || highest < 8)
      throw new AppError(
        "CONFIG",
        `quantize: --bits must include 8 on ${device.name}, which computes with 8 or with floats, got ${lowest} to ${highest}`,
      );
    return device.precisions;
  }
  const within = ALL_BITS.filter((b) => b >= lowest && b <= highest);
  if (!device && isSizeAlone(budgets)) return { weightBits: within, activationBits: [FLOAT_BITS], isCoupled: false };
  const choices = device
    ? choicesWithin(device.precisions, lowest, highest, device.name)
    : { weightBits: within.filter((b) => b > 1), activationBits: within, isCoupled: false };
  // one bit with a sign has no value but zero
  const activationBits = choices.activationBits.filter((b) => b > 1);
  if (activationBits.length === 0 || choices.weightBits.length === 0)
    throw new AppError("CONFIG", `quantize: activations must have 2 bits or more, got ${lowest} to ${highest} — raise --bits`);
  return { ...choices, activationBits };
}

/** First and last layer stay at 8 bits, as published, except where weights alone count or the CPU decides. */
function pinsFor(layers: readonly QuantizableLayer[], { budgets, device }: Choosing): (Precision | null)[] {
  const arePinned = !isSizeAlone(budgets) && !isMeasured(device);
  return layers.map((_, i) => (arePinned && (i === 0 || i === layers.length - 1) ? EIGHT : null));
}

/** What the bits of a model cost in each limit's unit, whether the limits can be met or not. @throws AppError CONFIG */
export async function quantizeCosts(
  model: Model,
  layers: readonly QuantizableLayer[],
  quantization: Quantization,
  options: LimitOptions,
): Promise<QuantizeCosts> {
  const { budgets, device, scheme, original, data } = options;
  let latencies = options.latencies ?? null;
  const choices = choicesFor(options);
  const pins = pinsFor(layers, options);
  const onDevice = (what: (layers: readonly QuantizableLayer[], device: Accelerator) => PolicyCost): PolicyCost => {
    if (device && !isMeasured(device)) return what(layers, device);
    throw new AppError(
      "CONFIG",
      `quantize: latency and energy must be those of a device, got ${device?.name ?? "none"} — give an accelerator with --device`,
    );
  };
  const costs: Record<QuantizeBudgetKind, () => Promise<PolicyCost>> = {
    latency: async () => {
      if (!isMeasured(device)) return onDevice(acceleratorLatency);
      latencies ??= await measureLayers(layers, quantization, device.threads, options.onProgress);
      return measuredLatency(latencies);
    },
    energy: async () => onDevice(acceleratorEnergy),
    size: async () => quantizedSize({ layers, quantization, scheme, original, data }),
    bitops: async () => bitOps(layers),
  };
  const references = (cost: PolicyCost): Record<QuantizeBudgetKind, () => QuantizeLimit["reference"]> => {
    const ofEight = () => ({ cost: cost(uniformBits(pins, EIGHT)), of: "8 bits" });
    return {
      latency: () => (isMeasured(device) ? { cost: cost(uniformBits(pins, FLOAT)), of: "the float network" } : ofEight()),
      energy: ofEight,
      size: () => ({ cost: exportOnnx(model).length, of: "the float file" }),
      bitops: ofEight,
    };
  };
  const limits: QuantizeLimit[] = [];
  for (const { kind, quantity } of budgets) {
    const cost = await costs[kind]();
    const reference = references(cost)[kind]();
    const limit = quantity.kind === "absolute" ? quantity.value : quantity.ratio * reference.cost;
    const onFile = kind === "size" || (kind === "latency" && isMeasured(device));
    const obtained = onFile ? "measured" : kind === "bitops" ? "counted" : "estimated";
    limits.push({ kind, limit, cost, reference, obtained });
  }
  return { choices, pins, limits, latencies };
}

/** The least that bits bring a network to on an accelerator, ms or mJ. */
export function leastOnAccelerator(
  layers: readonly QuantizableLayer[],
  { kind, device, bits }: { readonly kind: "latency" | "energy"; readonly device: Accelerator; readonly bits: LimitOptions["bits"] },
): number {
  const choosing: Choosing = { budgets: [{ kind, quantity: { kind: "percent", ratio: 1 } }], device, bits };
  const cost = (kind === "latency" ? acceleratorLatency : acceleratorEnergy)(layers, device);
  return cost(cheapestBits({ choices: choicesFor(choosing), pins: pinsFor(layers, choosing), cost }));
}

/** The limits of a model. @throws AppError CONFIG, INFEASIBLE before anything is searched */
export async function quantizeLimits(
  model: Model,
  layers: readonly QuantizableLayer[],
  quantization: Quantization,
  options: LimitOptions,
): Promise<QuantizeLimits> {
  const costs = await quantizeCosts(model, layers, quantization, options);
  const { choices, pins, limits } = costs;
  for (const limit of limits) requireReachable(limit, limit.cost(cheapestBits({ choices, pins, cost: limit.cost })));
  const both = combined(limits, bitOps(layers));
  const share = both.cost(cheapestBits({ choices, pins, cost: both.cost }));
  if (share > both.budget)
    throw new AppError(
      "INFEASIBLE",
      `quantize: all limits must be met at once, got ${((share - 1) * 100).toFixed(1)}% too little in one of ${limits.map(({ kind }) => LIMIT_KINDS[kind].title).join(", ")} — raise it, or allow fewer bits with --bits`,
    );
  return { ...costs, ...both };
}

function requireReachable({ kind, limit }: Pick<QuantizeLimit, "kind" | "limit">, least: number): void {
  if (least <= limit) return;
  const [wanted, nearest] = [limit, least].map((value) => formatCost(kind, value));
  throw new AppError(
    "INFEASIBLE",
    `quantize: ${LIMIT_KINDS[kind].title} must be at least ${nearest} for this network, got a limit of ${wanted} — raise it to ${admitting(least, LIMIT_KINDS[kind].dimension)}, or allow fewer bits with --bits`,
  );
}
