/** @file Reference networks by name. */
import { AppError } from "../../errors.ts";
import { nearest } from "../../util/nearest.ts";
import type { Graph } from "../types.ts";
import { mbconvBench, mobilenetV1, mobilenetV2, type NetworkOptions } from "./mobilenet.ts";
import { type ProxylessTarget, proxyless } from "./proxyless.ts";
import { cifarResnet } from "./resnet.ts";

export type { NetworkOptions } from "./mobilenet.ts";

type Make = (options: NetworkOptions, width: number) => Graph;

const resnets: Record<string, Make> = Object.fromEntries(
  [20, 32, 44, 56, 110].flatMap((depth) => [
    [`resnet-${depth}`, (o: NetworkOptions) => cifarResnet({ ...o, depth, shortcut: "A" })],
    [`resnet-${depth}-b`, (o: NetworkOptions) => cifarResnet({ ...o, depth, shortcut: "B" })],
  ]),
);
const proxylessNets: Record<string, Make> = Object.fromEntries(
  (["cpu", "gpu", "mobile", "mobile-14"] satisfies ProxylessTarget[]).map((target) => [
    `proxyless-${target}`,
    (o: NetworkOptions) => proxyless({ ...o, target }),
  ]),
);
/** Names that take a width multiplier after a colon. */
const scalable: Record<string, Make> = {
  "mobilenet-v1": (o, width) => mobilenetV1({ ...o, width }),
  "mobilenet-v2": (o, width) => mobilenetV2({ ...o, width }),
};
const networks: Record<string, Make> = {
  ...scalable,
  ...resnets,
  "plain-20": (o) => cifarResnet({ ...o, depth: 20, shortcut: "none" }),
  ...proxylessNets,
  "mbconv-bench": (o) => mbconvBench(o),
};

export const networkNames: readonly string[] = Object.keys(networks);

function parseSpec(spec: string): { readonly make: Make; readonly width: number } {
  const [name = "", width, ...rest] = spec.split(":");
  const make = Object.hasOwn(networks, name) ? networks[name] : undefined;
  if (!make) {
    const hint = nearest(name, networkNames);
    throw new AppError(
      "CONFIG",
      `network: expected one of ${networkNames.join(", ")}, got "${spec}"${hint ? ` — did you mean ${hint}?` : ""}`,
    );
  }
  const factor = width === undefined ? 1 : Number(width);
  if (rest.length > 0 || !(factor > 0 && factor <= 8) || (width !== undefined && !Object.hasOwn(scalable, name))) {
    throw new AppError(
      "CONFIG",
      `network: ${Object.keys(scalable).join(" and ")} take a width above 0 and at most 8 after a colon, got "${spec}"`,
    );
  }
  return { make, width: factor };
}

/** @throws AppError CONFIG for an unknown name or a width outside (0, 8] */
export function requireNetwork(spec: string): void {
  parseSpec(spec);
}

/**
 * Builds a reference network: `resnet-20`, `mobilenet-v2`, `mobilenet-v2:0.35` (width multiplier), …
 * @throws AppError CONFIG for an unknown name or a width outside (0, 8]
 */
export function buildNetwork(spec: string, options: NetworkOptions): Graph {
  const { make, width } = parseSpec(spec);
  return make(options, width);
}
