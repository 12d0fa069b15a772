/** @file Graphs of a space: whole networks, and the fragments of its supernet. Both name the same weights. */
import { createBuilder, type GraphBuilder } from "../graph/builder.ts";
import { type ParamSpec, paramSpecs } from "../graph/params.ts";
import type { Graph, SampleShape } from "../graph/types.ts";
import { type Architecture, type BlockDescription, blocksOf, type Choice } from "./architecture.ts";
import type { SpaceDescription } from "./description.ts";

/** The supernet cut into pieces that are run one after the other. */
export interface Supernet {
  readonly blocks: readonly BlockDescription[];
  readonly stem: Graph;
  /** candidates[b][c]: choice c of block b without the residual sum; null leaves the block out. */
  readonly candidates: readonly (readonly (Graph | null)[])[];
  readonly head: Graph;
  readonly specs: ReadonlyMap<string, ParamSpec>;
}

function addStem(b: GraphBuilder, space: SpaceDescription): string {
  const { stem, first } = space;
  const x = b.convBn(b.input, { name: "stem", outChannels: stem.width, kernel: stem.kernel, stride: stem.stride, activation: "relu6" });
  return b.mbconv(x, { name: "first", outChannels: first.width, expand: 1, kernel: first.kernel, stride: first.stride, residual: false });
}

/** Each choice of a block has weights of its own, named for block, kernel and expansion. */
function addChoice(b: GraphBuilder, x: string, block: BlockDescription, choice: Choice, residual: boolean): string {
  if (choice.kind === "zero") return x;
  const { kernel, expand } = choice;
  return b.mbconv(x, {
    name: `${block.name}.k${kernel}e${expand}`,
    outChannels: block.outChannels,
    kernel,
    expand,
    stride: block.stride,
    residual,
  });
}

function addHead(b: GraphBuilder, x: string, space: SpaceDescription): string {
  const y = b.convBn(x, { name: "head", outChannels: space.head.width, kernel: 1, activation: "relu6" });
  return b.classifier(y, { classes: space.classes, dropout: space.dropout });
}

/** One choice of a block as a network of its own, with the residual sum: what a device is asked the cost of; null for none. */
export function blockGraph(space: SpaceDescription, block: BlockDescription, choice: Choice): Graph | null {
  if (choice.kind === "zero") return null;
  const b = createBuilder({ name: block.name, input: block.inputShape, norm: space.norm });
  return b.build(addChoice(b, b.input, block, choice, block.hasResidual));
}

/** The network of an architecture, with residual sums. */
export function architectureGraph(space: SpaceDescription, architecture: Architecture): Graph {
  const b = createBuilder({ name: space.name, input: space.input, norm: space.norm });
  let x = addStem(b, space);
  for (const [i, block] of blocksOf(space).entries()) x = addChoice(b, x, block, block.choices[architecture[i]!]!, block.hasResidual);
  return b.build(addHead(b, x, space));
}

/** All pieces of the space's supernet and the parameters that they need together. */
export function createSupernet(space: SpaceDescription): Supernet {
  const blocks = blocksOf(space);
  const fragment = (name: string, input: SampleShape, fill: (b: GraphBuilder) => string): Graph => {
    const b = createBuilder({ name, input, inputName: `${name}.input`, norm: space.norm });
    return b.build(fill(b));
  };
  const stem = fragment("stem-fragment", space.input, (b) => addStem(b, space));
  const candidates = blocks.map((block) =>
    block.choices.map((choice, c) =>
      choice.kind === "zero" ? null : fragment(`${block.name}.${c}`, block.inputShape, (b) => addChoice(b, b.input, block, choice, false)),
    ),
  );
  const head = fragment("head-fragment", blocks.at(-1)!.outputShape, (b) => addHead(b, b.input, space));
  const specs = new Map<string, ParamSpec>();
  for (const graph of [stem, ...candidates.flat(), head]) {
    if (graph) for (const [name, spec] of paramSpecs(graph)) specs.set(name, spec);
  }
  return { blocks, stem, candidates, head, specs };
}
