/** @file `fettle inspect`: multiply-accumulates, parameters and memory of a network. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { inspectGraph } from "../graph/counts.ts";
import { buildNetwork, networkNames } from "../graph/networks/index.ts";
import { opaqueNodes } from "../graph/opaque.ts";
import type { Graph } from "../graph/types.ts";
import { type GraphCost, graphCost } from "../hardware/graph-cost.ts";
import { FLOAT_BITS, type LayerCost, type Precision } from "../hardware/precision.ts";
import { formatBytes, formatCount, formatEnergy, formatMs } from "../util/units.ts";
import { type CommonFlags, count, examples, imageShape, withJson } from "./options.ts";
import { note, print, printJson, table } from "./output.ts";

interface InspectFlags extends CommonFlags {
  readonly input?: [number, number, number];
  readonly classes?: number;
  readonly list?: true;
  readonly layers?: true;
  readonly device?: string;
}

async function costOn(name: string, graph: Graph, bits: Bits): Promise<GraphCost> {
  const { openDevice } = await import("../hardware/open.ts");
  return graphCost(graph, await openDevice(name, { onWarning: (message) => note(`fettle: ${message}`) }), bits);
}

const product = (bits: Precision | undefined): number => (bits ? bits.weightBits * bits.activationBits : FLOAT_BITS ** 2);

const layerCost = (cost: LayerCost | undefined): string =>
  cost ? `${formatMs(cost.latencyMs)}${cost.energyMj === null ? "" : `, ${formatEnergy(cost.energyMj)}`}` : "";

const REFERENCE_INPUT = [3, 224, 224] as const;

type Bits = ReadonlyMap<string, Precision>;

async function open(target: string, { input, classes }: InspectFlags): Promise<{ graph: Graph; bits: Bits }> {
  if (!target.endsWith(".onnx") && !target.includes("/")) {
    const shape = input ?? REFERENCE_INPUT;
    return { graph: buildNetwork(target, { input: shape, classes: classes ?? (shape[1]! >= 64 ? 1000 : 10) }), bits: new Map() };
  }
  const { openModel } = await import("../run/model-file.ts");
  const { model, bits } = await openModel(target, input);
  return { graph: model.graph, bits };
}

export function registerInspect(program: Command): void {
  withJson(program.command("inspect").description("count a network's multiply-accumulates, parameters and memory"))
    .argument("[network]", "reference network, ONNX file or run folder")
    .option("--input <CxHxW>", "input of a reference network (default 3x224x224), or where a file leaves it open", imageShape)
    .option("--classes <n>", "classes of a reference network", count)
    .option("--layers", "print every layer")
    .option("--device <name>", "also what it costs on a device, at the bits of its layers (8 where none are noted)")
    .option("--list", "list the reference networks")
    .addHelpText(
      "after",
      examples([
        "inspect mobilenet-v2:0.35 --input 3x224x224 --json",
        "inspect resnet-20 --input 3x32x32 --layers",
        "inspect runs/shoes/model.onnx",
        "inspect runs/quantize/model.onnx --device bismo-edge --layers",
      ]),
    )
    .action(async (target: string | undefined, flags: InspectFlags) => {
      if (flags.list) return flags.json ? printJson(networkNames) : print(networkNames.join("\n"));
      if (target === undefined) throw new AppError("CONFIG", "inspect: a network must be given, got none — see --list");
      const { graph, bits } = await open(target, flags);
      const counts = inspectGraph(graph);
      const notCounted = opaqueNodes(graph);
      const layers = counts.layers.map((layer) => ({ ...layer, ...bits.get(layer.name) }));
      const bitOps = bits.size > 0 ? counts.layers.reduce((sum, { name, macs }) => sum + macs * product(bits.get(name)), 0) : undefined;
      const cost = flags.device ? await costOn(flags.device, graph, bits) : undefined;
      if (flags.json) return printJson({ network: graph.name, input: graph.input.shape, ...counts, layers, bitOps, cost, notCounted });
      print(`${graph.name}, input ${graph.input.shape.join("x")}`);
      print(`  MACs             ${formatCount(counts.macs)}`);
      print(`  parameters       ${formatCount(counts.params)} (${formatBytes(counts.bytes)} as float32)`);
      if (bitOps !== undefined) print(`  BitOps           ${formatCount(bitOps)} (MACs x weight bits x activation bits)`);
      print(`  peak activations ${formatBytes(counts.peakActivationBytes)} (batch 1, float32)`);
      if (cost) {
        const energy = cost.energyMj === null ? "" : `, ${formatEnergy(cost.energyMj)}`;
        const of = cost.batch === 1 ? "one image" : `a batch of ${cost.batch}`;
        print(`  on ${cost.device.padEnd(14)}${formatMs(cost.latencyMs)}${energy} (${cost.kind}, ${of})`);
      }
      if (notCounted.length > 0) {
        print("  not counted      nodes that Fettle cannot compute, train or change:");
        for (const { name, opType, reason } of notCounted) print(`    ${opType} "${name}": ${reason}`);
      }
      if (!flags.layers) return;
      const costOf = new Map(cost?.layers.map((layer) => [layer.name, layer]));
      const hasCosts = costOf.size > 0;
      const rows = layers.map((layer) => [
        layer.name,
        layer.op,
        layer.outputShape.join("x"),
        formatCount(layer.macs),
        formatCount(layer.params),
        ...(bits.size > 0 ? [`${layer.weightBits ?? ""}`, `${layer.activationBits ?? ""}`] : []),
        ...(hasCosts ? [layerCost(costOf.get(layer.name))] : []),
      ]);
      const titles = [
        "layer",
        "op",
        "output",
        "MACs",
        "params",
        ...(bits.size > 0 ? ["weight bits", "activation bits"] : []),
        ...(hasCosts ? [`on ${cost!.device}`] : []),
      ];
      print(`\n${table(titles, rows)}`);
    });
}
