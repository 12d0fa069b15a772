/**
 * @file What the joint search gives beside other routes, and what its predictors are worth, as in APQ (Wang et al. 2020).
 *
 *   node scripts/evidence/apq.ts --data images:DIR [--out runs/apq] [--epochs 40] [--width 0.5] [--limit N] [--latencies 13%,18%,26%] [--energies 22%] [--tune-epochs 6] [--judge 24]
 *
 * Started again, it goes on where it stopped. Prints Markdown. `supernet.ts OUT/supernet` compares sub-nets with the same trained alone.
 */
import { parseArgs } from "node:util";
import type { JointCompareResult } from "../../src/run/joint-compare-run.ts";
import type { Ranking } from "../../src/run/joint-ranking.ts";
import type { JointSearchResult } from "../../src/run/joint-search-run.ts";
import type { JointTrainResult } from "../../src/run/joint-train-run.ts";
import { attempt, header, percent, row, stepsIn } from "./steps.ts";

const { values: flags } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string", default: "runs/apq" },
    epochs: { type: "string", default: "40" },
    samples: { type: "string", default: "400" },
    "quantized-samples": { type: "string", default: "300" },
    "sample-images": { type: "string", default: "5000" },
    width: { type: "string", default: "0.5" },
    latencies: { type: "string", default: "13%,18%,26%" },
    energies: { type: "string", default: "22%" },
    "tune-epochs": { type: "string", default: "6" },
    judge: { type: "string", default: "24" },
    episodes: { type: "string", default: "100" },
    limit: { type: "string" },
  },
});
if (!flags.data) throw new Error("apq: --data must be given");
const { fettle, folderOf } = stepsIn(flags.out);
const listed = (list: string) => list.split(",").filter((one) => one !== "");
const supernet = folderOf("supernet");

const trained = fettle<JointTrainResult>("supernet", [
  "joint",
  "train",
  ...["--data", flags.data, "--epochs", flags.epochs, "--samples", flags.samples, "--quantized-samples", flags["quantized-samples"]],
  ...["--sample-images", flags["sample-images"], "--width", flags.width],
  ...(flags.limit ? ["--limit", flags.limit] : []),
]);
console.log(
  `\nsupernet: test accuracy ${percent(trained.largest!)} of the largest, ${percent(trained.smallest!)} of the smallest sub-net\n`,
);
header("predictor", "learnt from", "held out", "pairs in order", "Kendall's tau");
const ranked = (name: string, { learnt, heldOut, pairwiseAccuracy, kendallTau }: Ranking) =>
  row(name, `${learnt}`, `${heldOut}`, percent(pairwiseAccuracy), kendallTau?.toFixed(3) ?? "-");
ranked("float", trained.float!);
ranked("with bits", trained.quantized!);
row("BitOps alone", "-", `${trained.quantized!.heldOut}`, percent(trained.byRule!.bitops), "-");
row("float predictor on samples with bits", "-", `${trained.quantized!.heldOut}`, percent(trained.byRule!.float), "-");
console.log("");
header("samples with bits", "with transfer", "without");
for (const { learnt, withTransfer, without } of trained.transfer) row(`${learnt}`, percent(withTransfer), percent(without));

console.log("");
header("limit on bitfusion", "route", "cost", "test accuracy", "BitOps, M", "file, KB", "seconds");
const budgets = [
  ...listed(flags.latencies).map((share) => ["latency", "us", share] as const),
  ...listed(flags.energies).map((share) => ["energy", "uJ", share] as const),
];
for (const [kind, unit, share] of budgets) {
  attempt(`${kind} ${share}`, () => {
    const name = `${kind}-${Number.parseFloat(share)}`;
    const how = ["--epochs", flags["tune-epochs"], "--episodes", flags.episodes, "--judge", flags.judge];
    const { limit, routes } = fettle<JointCompareResult>(name, ["joint", "compare", supernet, `--max-${kind}`, share, ...how], {
      accepted: [0, 3, 4],
    });
    const inUnit = (value: number | null) => (value === null ? "cannot" : `${(1000 * value).toFixed(1)} ${unit}`);
    for (const { name: route, cost, test, bitOps, fileBytes, seconds } of routes) {
      const numbers = [bitOps, fileBytes].map((value, i) => (value === null ? "-" : (value / (i === 0 ? 1e6 : 1e3)).toFixed(1)));
      row(`${kind} ${share}: ${inUnit(limit)}`, route, inUnit(cost), percent(test), ...numbers, seconds.toFixed(0));
    }
  });
}

console.log("");
header("another device and limit", "found in, s", "of it before judging on images, s", "test accuracy before fine-tuning");
for (const [device, share] of [
  ["bitfusion", "20%"],
  ["bismo-edge", "30%"],
] as const) {
  attempt(`${device} ${share}`, () => {
    const asked = ["--device", device, "--max-latency", share, "--epochs", "0"];
    const result = fettle<JointSearchResult>(`seconds-${device}`, ["joint", "search", supernet, ...asked], { accepted: [0, 4] });
    const { searchSeconds, scoredSeconds, card } = result;
    row(`${device}, latency ${share}`, searchSeconds.toFixed(1), scoredSeconds.toFixed(1), percent(card.accuracy.test));
  });
}
