/** @file The report of a run: what it was asked for, what it found, and how it got there. */
import { LIMIT_KINDS, type LimitKind } from "../run/limit-kinds.ts";
import { formatBytes, formatCount, formatMs, formatPercent } from "../util/units.ts";
import { architectureFigure, blocksOfLayers } from "./architecture-figure.ts";
import { bitsFigure } from "./bits-figure.ts";
import { densityFigure } from "./density-figure.ts";
import { episodesFigure } from "./episodes-figure.ts";
import { frontFigure } from "./front-figure.ts";
import { frontsOf } from "./fronts.ts";
import { pageHtml, type Section, tableHtml } from "./html.ts";
import { layerCostFigure } from "./layer-cost-figure.ts";
import { predictedFigure } from "./predicted-figure.ts";
import type { RunCard, RunData } from "./run-data.ts";

const FORMATS = new Map<string, (value: number) => string>(Object.values(LIMIT_KINDS).map(({ unit, format }) => [unit, format]));
const valueIn = (unit: string, value: number): string => FORMATS.get(unit)?.(value) ?? `${formatCount(value)} ${unit}`;

function limitsSection({ constraints }: RunCard): Section | null {
  if (constraints.length === 0) return null;
  const rows = constraints.map(({ name, unit, limit, value, isMet, obtained }) => [
    LIMIT_KINDS[name as LimitKind]?.title ?? name,
    valueIn(unit, limit),
    valueIn(unit, value),
    isMet ? "met" : "MISSED",
    obtained,
  ]);
  return { title: "Limits", body: tableHtml(["limit", "at most", "value", "", "how it was obtained"], rows) };
}

function modelSection({ network, accuracy, latency, macs, params, fileBytes, bitOps, peakActivationBytes }: RunCard): Section {
  const rows = [
    ["network", network],
    ["test accuracy", `${formatPercent(accuracy.test)} of ${accuracy.testImages} images, measured on the file`],
    ["latency", `${formatMs(latency.p50Ms)} (p95 ${formatMs(latency.p95Ms)}) on ${latency.device}, ${latency.threads} thread, measured`],
    ["file", formatBytes(fileBytes)],
    ["MACs", formatCount(macs)],
    ["parameters", formatCount(params)],
    ["peak activations", `${formatBytes(peakActivationBytes)} as float32`],
    ...(bitOps === undefined ? [] : [["BitOps", formatCount(bitOps)]]),
  ];
  return { title: "The model", body: tableHtml(["", ""], rows) };
}

/** Every policy that was trained, with its cost in the unit of the first limit. */
function policySections({ policies, card }: RunData): Section[] {
  if (!policies) return [];
  const { original } = policies;
  const unit = card?.constraints[0]?.unit ?? "MACs";
  const rows = policies.policies.map(({ name, costs, validation, test, tuned }) => [
    name,
    costs?.[0] === undefined ? "" : valueIn(unit, costs[0]),
    ...[validation, test].map(formatPercent),
    ...(tuned ? [tuned.validation, tuned.test].map(formatPercent) : ["", ""]),
  ]);
  const whole = original ? [["original", "", formatPercent(original.validation), formatPercent(original.test), "", ""]] : [];
  const header = ["policy", "cost", "validation", "test", "trained: validation", "test"];
  const title = rows.length > 1 ? "Beside simpler rules" : "Before and after training";
  return [{ title, body: tableHtml(header, [...whole, ...rows]) }];
}

/** Accuracy against each cost that was limited. */
function frontSections(data: RunData): Section[] {
  return frontsOf(data, titleOfStage).map((front) => {
    const { tried, scored, trained, chosen, limit } = front;
    const legend = [
      ...(tried.length > 0 ? ["Grey: every policy that the search tried, on validation images before training."] : []),
      ...(scored.length > 0 ? ["Grey: some of the sub-nets that the search scored, as predicted."] : []),
      `Line: what nothing beats in ${tried.length > 0 ? "accuracy" : "predicted accuracy"} and cost.`,
      ...(trained.length > 0 ? ["Rings: policies that were kept, after training where there was any."] : []),
      ...(chosen ? ["Star: what was chosen, as predicted."] : []),
      ...(limit === null ? [] : ["Dashed: the limit."]),
    ];
    return { title: `Accuracy and ${front.title}`, body: frontFigure(front), caption: legend.join(" ") };
  });
}

/** How the stages of a run are called. */
const STAGE_TITLES: Readonly<Record<string, string>> = {
  architecture: "Architecture search",
  supernet: "Once-for-all network",
  specialised: "Joint search",
  pruned: "Pruning",
  quantized: "Bits",
  "pruned-alone": "Pruning, with floats",
  packed: "Bits that floats are stored in",
};

const titleOfStage = (stage: string): string => STAGE_TITLES[stage] ?? stage;

/** The sections of every stage, under its name. */
const stageSections = ({ stages }: RunData): Section[] =>
  stages.flatMap((stage) =>
    detailSections(stage).map((section) => ({
      ...section,
      title: `${titleOfStage(stage.name)}: ${section.title.toLowerCase()}`,
    })),
  );

/** Sections of what the folder has, in reading order. */
export function reportSections(data: RunData): Section[] {
  const { card } = data;
  const head = [card && limitsSection(card), card && modelSection(card)].filter((section) => section !== null);
  return [...head, ...frontSections(data), ...(data.stages.length > 0 ? stageSections(data) : detailSections(data))];
}

/** How the model came about. */
function detailSections(data: RunData): Section[] {
  const { card, policy, episodes, layerCosts, predictions } = data;
  const blocks = card ? blocksOfLayers(card.layers) : [];
  const groups = policy?.groups ?? [];
  const bits = (policy?.layers ?? []).map((layer) => ({ ...layer, isDepthwise: layer.name.includes("depthwise") }));
  const sections: (Section | null)[] = [
    ...policySections(data),
    blocks.length > 0
      ? {
          title: "Architecture",
          body: architectureFigure(blocks),
          caption: "A box for every block: as wide as its depthwise convolution has channels, as high as its kernel.",
        }
      : null,
    groups.length > 0
      ? {
          title: "Channels",
          body: densityFigure(groups),
          caption: "Share of its channels that every group keeps; above the bars how many.",
        }
      : null,
    bits.length > 0 ? { title: "Bits", body: bitsFigure("the policy that was kept", bits) } : null,
    layerCosts
      ? {
          title: "Cost of every layer",
          body: layerCostFigure(layerCosts.unit, layerCosts.layers),
          caption: `On ${layerCosts.device}: grey before, blue after.`,
        }
      : null,
    predictions.length > 0
      ? {
          title: "The accuracy predictor",
          body: predictedFigure(predictions),
          caption: "Sub-nets, each predicted by what has learnt from others alone. Dashed: predictions as measured.",
        }
      : null,
    episodes.length > 1
      ? {
          title: "The search",
          body: episodesFigure(episodes),
          caption: "Grey: random policies. Blue: the agent's. Line: the best so far. Below: rewards, and how far actions were varied.",
        }
      : null,
  ];
  return sections.filter((section) => section !== null);
}

/** One self-contained HTML page. */
export function reportHtml(data: RunData): string {
  const { name, config, card } = data;
  const facts = [
    ...(typeof config.command === "string" ? [`fettle ${config.command}`] : []),
    ...(typeof config.data === "string" ? [config.data] : []),
    ...(card?.seed === undefined ? [] : [`seed ${card.seed}`]),
    ...Object.entries(card?.versions ?? {}).map(([what, version]) => `${what} ${version}`),
  ];
  return pageHtml(`Fettle: ${name}`, facts.join(" · "), reportSections(data));
}
