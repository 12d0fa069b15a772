/** @file Which device is which. */
import type { CpuDevice } from "./cpu.ts";
import type { Device } from "./device.ts";
import type { Accelerator } from "./precision.ts";

export const isAccelerator = (device: Device): device is Accelerator => device.kind === "simulated";
/** This machine, where exported files can be timed; another board's numbers may have been measured too. */
export const isCpu = (device: Device): device is CpuDevice => "threads" in device;
