/** @file Devices by name: what `--device` accepts. */
import { existsSync } from "node:fs";
import { AppError } from "../errors.ts";
import { nearest } from "../util/nearest.ts";
import { createBismo } from "./bismo.ts";
import { createBitFusion } from "./bitfusion.ts";
import { type CpuDevice, type CpuOptions, openCpu } from "./cpu.ts";
import type { Device } from "./device.ts";
import type { Accelerator } from "./precision.ts";
import { openJsonTable, openProxylessTable } from "./table.ts";

/** Simulated accelerators by name. */
export const ACCELERATORS: Readonly<Record<string, () => Accelerator>> = {
  bitfusion: createBitFusion,
  "bismo-edge": () => createBismo("edge"),
  "bismo-cloud": () => createBismo("cloud"),
};

function unknownDevice(name: string, accepted: readonly string[]): AppError {
  const near = nearest(name, accepted);
  return new AppError("CONFIG", `device: must be ${accepted.join(", ")}, got "${name}"${near ? ` — did you mean ${near}?` : ""}`);
}

/** @throws AppError CONFIG for an unknown name, a missing file or a table that is not valid */
export async function openDevice(name: string, options: CpuOptions = {}): Promise<Device | CpuDevice | Accelerator> {
  if (name === "cpu") return openCpu(options);
  if (Object.hasOwn(ACCELERATORS, name)) return ACCELERATORS[name]!();
  const open = name.endsWith(".json") ? openJsonTable : /\.ya?ml$/.test(name) ? openProxylessTable : null;
  if (!open) throw unknownDevice(name, ["cpu", ...Object.keys(ACCELERATORS), "FILE.json", "FILE.yaml"]);
  if (!existsSync(name)) throw new AppError("CONFIG", `device: ${name} must exist, got no such file`);
  return open(name);
}

/** A device that computes with several numbers of bits. @throws AppError CONFIG for any other name */
export async function openQuantizedDevice(name: string, options: CpuOptions = {}): Promise<CpuDevice | Accelerator> {
  if (name === "cpu") return openCpu(options);
  if (Object.hasOwn(ACCELERATORS, name)) return ACCELERATORS[name]!();
  throw unknownDevice(name, ["cpu", ...Object.keys(ACCELERATORS)]);
}
