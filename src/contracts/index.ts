/** @file Contracts for devices and images of one's own: `for (const { name, check } of deviceContract(() => mine)) test(name, check)`. */
export type { ContractCheck } from "./contract.ts";
export { dataContract } from "./data.ts";
export { acceleratorContract, deviceContract } from "./device.ts";
