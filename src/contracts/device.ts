/** @file What must hold of a device of one's own. */
import { createBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/types.ts";
import type { Device } from "../hardware/device.ts";
import { type Accelerator, layerGeometries, type Precision } from "../hardware/precision.ts";
import { type ContractCheck, must } from "./contract.ts";

type Side = "expand" | "depthwise" | "project";

/** Parts of a MobileNet block, one after the other from `from` up to `to`. */
function blockPart(from: Side, to: Side): Graph {
  const sides: readonly Side[] = ["expand", "depthwise", "project"];
  const channels = { expand: 16, depthwise: 48, project: 48 } as const;
  const b = createBuilder({ name: `${from}-${to}`, input: [channels[from], 16, 16] });
  let x = b.input;
  for (const side of sides.slice(sides.indexOf(from), sides.indexOf(to) + 1)) {
    if (side === "expand") x = b.conv(x, { name: side, outChannels: 48, kernel: 1, bias: true });
    if (side === "depthwise") x = b.conv(x, { name: side, outChannels: 48, kernel: 3, groups: 48, bias: true });
    if (side === "project") x = b.conv(x, { name: side, outChannels: 16, kernel: 1, bias: true });
  }
  return b.build(x);
}

const whole = blockPart("expand", "project");
const RELATIVE = 1e-6;
const isNear = (a: number, b: number) => Math.abs(a - b) <= RELATIVE * Math.max(Math.abs(a), Math.abs(b));

async function rejection(work: () => unknown): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Checks of any device. @param open makes or gives the device; called once a check */
export function deviceContract(open: () => Device | Promise<Device>): ContractCheck[] {
  const checks: readonly [string, (device: Device) => Promise<void>][] = [
    [
      "it has a name, a kind and an overhead that is not negative",
      async ({ name, kind, overheadMs }) => {
        must(name.length > 0, () => "the name is empty");
        must(["measured", "table", "simulated"].includes(kind), () => `the kind is "${kind}"`);
        must(overheadMs >= 0 && Number.isFinite(overheadMs), () => `the overhead is ${overheadMs} ms`);
      },
    ],
    [
      "latencies are positive milliseconds",
      async (device) => {
        for (const side of ["expand", "depthwise", "project"] as const) {
          const ms = await device.latencyMs(blockPart(side, side));
          must(ms > 0 && Number.isFinite(ms), () => `${side} takes ${ms} ms`);
        }
      },
    ],
    [
      "the same graph has the same latency each time",
      async (device) => {
        const [a, b] = [await device.latencyMs(whole), await device.latencyMs(whole)];
        must(a === b, () => `${a} ms, then ${b} ms`);
      },
    ],
    [
      "the latency of a graph is the sum of its parts'",
      async (device) => {
        const parts = await Promise.all(
          (["expand", "depthwise", "project"] as const).map((side) => device.latencyMs(blockPart(side, side))),
        );
        const sum = parts.reduce((total, ms) => total + ms, 0);
        const ms = await device.latencyMs(whole);
        must(isNear(ms, sum), () => `${ms} ms for the whole, ${sum} ms for its parts`);
      },
    ],
  ];
  return checks.map(([name, check]) => ({ name, check: async () => check(await open()) }));
}

/** Checks of an accelerator, besides those of any device. */
export function acceleratorContract(open: () => Accelerator | Promise<Accelerator>): ContractCheck[] {
  const geometries = layerGeometries(whole).map(({ geometry }) => geometry);
  const all = ({ weightBits, activationBits, isCoupled }: Accelerator["precisions"]): Precision[] =>
    weightBits.flatMap((w) => activationBits.filter((a) => !isCoupled || a === w).map((a) => ({ weightBits: w, activationBits: a })));
  const checks: readonly [string, (device: Accelerator) => Promise<void>][] = [
    [
      "it names the bits that it computes with, ascending, 8 among them",
      async ({ precisions }) => {
        for (const side of ["weightBits", "activationBits"] as const) {
          const bits = precisions[side];
          must(bits.includes(8), () => `${side} are ${bits.join(", ")}`);
          must(
            bits.every((b, i) => i === 0 || b > bits[i - 1]!),
            () => `${side} are ${bits.join(", ")}`,
          );
        }
      },
    ],
    [
      "every layer has a positive latency at all of them, and an energy at all or at none",
      async (device) => {
        const energies = new Set<boolean>();
        for (const geometry of geometries) {
          for (const precision of all(device.precisions)) {
            const { latencyMs, energyMj } = device.layerCost(geometry, precision);
            const at = `${precision.weightBits} and ${precision.activationBits} bits`;
            must(latencyMs > 0 && Number.isFinite(latencyMs), () => `a layer takes ${latencyMs} ms at ${at}`);
            must(energyMj === null || (energyMj > 0 && Number.isFinite(energyMj)), () => `a layer takes ${energyMj} mJ at ${at}`);
            energies.add(energyMj === null);
          }
        }
        must(energies.size === 1, () => "some layers have an energy, some have none");
      },
    ],
    [
      "a layer costs the same each time",
      async (device) => {
        for (const precision of all(device.precisions)) {
          const [a, b] = [device.layerCost(geometries[0]!, precision), device.layerCost(geometries[0]!, precision)];
          must(a.latencyMs === b.latencyMs && a.energyMj === b.energyMj, () => `${a.latencyMs} ms, then ${b.latencyMs} ms`);
        }
      },
    ],
    [
      "bits that it does not compute with are refused",
      async (device) => {
        const message = await rejection(() => device.layerCost(geometries[0]!, { weightBits: 13, activationBits: 13 }));
        must(message !== null, () => "13 bits were taken");
      },
    ],
    [
      "sums over a graph are those of its layers at 8 bits",
      async (device) => {
        const costs = geometries.map((geometry) => device.layerCost(geometry, { weightBits: 8, activationBits: 8 }));
        const latency = costs.reduce((sum, { latencyMs }) => sum + latencyMs, 0);
        const ms = await device.latencyMs(whole);
        must(isNear(ms, latency), () => `${ms} ms for the graph, ${latency} ms for its layers`);
        const energy = costs.reduce<number | null>((sum, { energyMj }) => (sum === null || energyMj === null ? null : sum + energyMj), 0);
        const mj = await device.energyMj(whole);
        must(energy === null ? mj === null : isNear(mj!, energy), () => `${mj} mJ for the graph, ${energy} mJ for its layers`);
      },
    ],
  ];
  return [...deviceContract(open), ...checks.map(([name, check]) => ({ name, check: async () => check(await open()) }))];
}
