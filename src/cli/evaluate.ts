/** @file `fettle evaluate`: accuracy of an exported file on the test images. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatPercent } from "../util/units.ts";
import {
  type CommonFlags,
  count,
  type DataFlags,
  examples,
  type ForeignFlags,
  loadOptions,
  number,
  withData,
  withForeign,
  withJson,
} from "./options.ts";
import { note, print, printJson } from "./output.ts";

interface EvaluateFlags extends DataFlags, CommonFlags, ForeignFlags {
  readonly threads: number;
}

export function registerEvaluate(program: Command): void {
  const command = program
    .command("evaluate")
    .description("measure the accuracy of an exported model on the test images")
    .argument("<model>", "ONNX file or run folder");
  withForeign(withData(withJson(command)))
    .option("--seed <n>", "for --split-seed", number({ min: 0, integer: true }), 0)
    .option("--threads <n>", "threads of ONNX Runtime", count, 2)
    .addHelpText(
      "after",
      examples([
        "evaluate runs/shoes --data fashion-mnist",
        "evaluate model.onnx --data images:photos --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
      ]),
    )
    .action((target: string, flags: EvaluateFlags) => evaluate(target, flags));
}

/** The model's image as [C, H, W], with `--input` where the file leaves it open; -1 where nothing tells. */
function imageOf(path: string, declared: readonly number[], input: EvaluateFlags["input"]): number[] {
  const text = declared.map((n) => (n > 0 ? n : "?")).join("x");
  if (input && declared.some((n, i) => n > 0 && n !== input[i]))
    throw new AppError("CONFIG", `evaluate: --input must be ${text} as ${path} says, got ${input.join("x")}`);
  return declared.map((n, i) => (n > 0 ? n : (input?.[i] ?? -1)));
}

async function evaluate(target: string, flags: EvaluateFlags): Promise<void> {
  const [
    { loadData },
    { createSession },
    { evaluateOnnx },
    { modelPath, requireSameClasses, trainedWith },
    { imageShapeOf },
    { givenNormalisation, normalisationFor, unfitting },
  ] = await Promise.all([
    import("../data/load.ts"),
    import("../onnx/session.ts"),
    import("../run/deploy.ts"),
    import("../run/model-file.ts"),
    import("../run/feed.ts"),
    import("../run/labelled-model.ts"),
  ]);
  const given = givenNormalisation("evaluate", flags);
  const path = modelPath(target);
  const session = await createSession(path, { threads: flags.threads });
  const channels = flags.input?.[0] ?? (session.inputShape.at(-1) === 1 || session.inputShape[1] === 1 ? 1 : 3);
  const [, height = 0, width = 0] = imageOf(path, imageShapeOf(session, channels), flags.input);
  const isSquare = height > 0 && height === width;
  const size = flags.size ?? (flags.data.startsWith("images:") && isSquare ? height : undefined);
  const known = trainedWith(path);
  const splitSeed = flags.splitSeed ?? known.splitSeed ?? flags.seed;
  const data = await loadData(flags.data, loadOptions({ ...flags, splitSeed, ...(size === undefined ? {} : { size }) }));
  const wanted = imageOf(path, imageShapeOf(session, data.test.shape[0]), flags.input);
  if (wanted.some((n, i) => n > 0 && n !== data.test.shape[i])) {
    const text = wanted.map((n) => (n > 0 ? n : "?")).join("x");
    throw new AppError("CONFIG", `evaluate: ${unfitting(path, text, data.test.shape)}`);
  }
  requireSameClasses(`evaluate: ${path}`, known.classes, data.test.classes);
  const normalisation = normalisationFor("evaluate", path, known.normalisation, data, { given, onNote: (text) => note(`fettle: ${text}`) });
  const accuracy = await evaluateOnnx(session, data.test, normalisation);
  await session.close();
  if (flags.json) printJson({ model: path, data: flags.data, accuracy, images: data.test.count });
  else print(`test accuracy ${formatPercent(accuracy)} on ${data.test.count} images`);
}
