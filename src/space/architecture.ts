/** @file Architectures: one choice per block of a space. */
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";
import type { SpaceDescription } from "./description.ts";

/** What a block may be: an inverted residual, or nothing but its input. */
export type Choice = { readonly kind: "mbconv"; readonly kernel: number; readonly expand: number } | { readonly kind: "zero" };

export interface BlockDescription {
  /** e.g. "stage2.block1"; stages and blocks count from 1. */
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly stride: number;
  /** [C, H, W]. */
  readonly inputShape: readonly [number, number, number];
  readonly outputShape: readonly [number, number, number];
  /** Its input is added to its result. */
  readonly hasResidual: boolean;
  readonly choices: readonly Choice[];
}

/** An index into the choices of each block, in order. */
export type Architecture = readonly number[];

const down = (extent: number, stride: number) => Math.ceil(extent / stride);

/** Every block that is searched. */
export function blocksOf(space: SpaceDescription): BlockDescription[] {
  const blocks: BlockDescription[] = [];
  let channels = space.first.width;
  let height = down(down(space.input[1], space.stem.stride), space.first.stride);
  let width = down(down(space.input[2], space.stem.stride), space.first.stride);
  for (const [s, stage] of space.stages.entries()) {
    for (let i = 0; i < stage.blocks; i++) {
      const stride = i === 0 ? stage.stride : 1;
      const hasResidual = stride === 1 && channels === stage.width;
      const candidates: Choice[] = space.candidates.map((candidate) => ({ kind: "mbconv", ...candidate }));
      const inputShape = [channels, height, width] as const;
      [height, width] = [down(height, stride), down(width, stride)];
      blocks.push({
        name: `stage${s + 1}.block${i + 1}`,
        inChannels: channels,
        outChannels: stage.width,
        stride,
        inputShape,
        outputShape: [stage.width, height, width],
        hasResidual,
        choices: space.zero && hasResidual ? [...candidates, { kind: "zero" }] : candidates,
      });
      channels = stage.width;
    }
  }
  return blocks;
}

/** Number of architectures of the space. */
export function sizeOfSpace(space: SpaceDescription): bigint {
  return blocksOf(space).reduce((size, { choices }) => size * BigInt(choices.length), 1n);
}

/** Every choice equally likely. */
export function sampleArchitecture(space: SpaceDescription, rng: Rng): Architecture {
  return blocksOf(space).map(({ choices }) => rng.int(choices.length));
}

/** "3x3_MBConv6" or "Zero", the names that ProxylessNAS uses. */
export function printChoice(choice: Choice): string {
  return choice.kind === "zero" ? "Zero" : `${choice.kernel}x${choice.kernel}_MBConv${choice.expand}`;
}

/** The names of an architecture's choices. */
export function printArchitecture(space: SpaceDescription, architecture: Architecture): string[] {
  return blocksOf(space).map(({ choices }, i) => printChoice(choices[architecture[i]!]!));
}

/** Reads names back. @throws AppError CONFIG for a name that the block does not offer or another number of blocks */
export function parseArchitecture(space: SpaceDescription, names: readonly string[]): Architecture {
  const blocks = blocksOf(space);
  if (names.length !== blocks.length)
    throw new AppError("CONFIG", `architecture: ${space.name} has ${blocks.length} blocks, got ${names.length}`);
  return blocks.map(({ name, choices }, i) => {
    const index = choices.findIndex((choice) => printChoice(choice) === names[i]);
    if (index < 0)
      throw new AppError("CONFIG", `architecture: ${name} must be one of ${choices.map(printChoice).join(", ")}, got "${names[i]}"`);
    return index;
  });
}

/** "k3e6 k3e3 | k5e3 -": stages separated by |, - for a block that is left out. */
export function summarise(space: SpaceDescription, architecture: Architecture): string {
  const blocks = blocksOf(space);
  return blocks
    .map(({ name, choices }, i) => {
      const choice = choices[architecture[i]!]!;
      const text = choice.kind === "zero" ? "-" : `k${choice.kernel}e${choice.expand}`;
      return i > 0 && name.endsWith(".block1") ? `| ${text}` : text;
    })
    .join(" ");
}
