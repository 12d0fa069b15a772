/** @file What the project needs to know of a device. */
import type { Graph } from "../graph/types.ts";

/** How a device's numbers come about; printed beside every number. */
export type DeviceKind = "measured" | "table" | "simulated";

/**
 * A device that answers what graphs cost. Costs are additive: the cost of a graph is the sum of its operators' (plus
 * `overheadMs` per inference), so a search can add up fragments. Answers are the same for the same graph within a process.
 */
export interface Device {
  readonly name: string;
  readonly kind: DeviceKind;
  /** Milliseconds per inference that no operator accounts for. */
  readonly overheadMs: number;
  /** Sum over the graph's operators for one sample, ms, without the overhead. @throws AppError for an operator it cannot tell */
  latencyMs(graph: Graph): Promise<number>;
  /** Told beforehand what it will be asked: measures it at once, or says at once what it cannot tell. */
  prepare?(graphs: readonly Graph[]): Promise<void>;
}
