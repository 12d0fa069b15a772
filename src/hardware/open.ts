/** @file Devices by name: what `--device` accepts. */
import { existsSync } from "node:fs";
import { AppError } from "../errors.ts";
import { type CpuDevice, type CpuOptions, openCpu } from "./cpu.ts";
import type { Device } from "./device.ts";
import { openJsonTable, openProxylessTable } from "./table.ts";

/** @throws AppError CONFIG for an unknown name, a missing file or a table that is not valid */
export async function openDevice(name: string, options: CpuOptions = {}): Promise<Device | CpuDevice> {
  if (name === "cpu") return openCpu(options);
  const open = name.endsWith(".json") ? openJsonTable : /\.ya?ml$/.test(name) ? openProxylessTable : null;
  if (!open) throw new AppError("CONFIG", `device: must be cpu, FILE.json or FILE.yaml, got "${name}"`);
  if (!existsSync(name)) throw new AppError("CONFIG", `device: ${name} must exist, got no such file`);
  return open(name);
}
