/** @file `fettle evaluate`: accuracy of an exported file on the test images. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatPercent } from "../util/units.ts";
import { type CommonFlags, count, type DataFlags, examples, loadOptions, number, withData, withJson } from "./options.ts";
import { print, printJson } from "./output.ts";

interface EvaluateFlags extends DataFlags, CommonFlags {
  readonly threads: number;
}
export function registerEvaluate(program: Command): void {
  const command = program
    .command("evaluate")
    .description("measure the accuracy of an exported model on the test images")
    .argument("<model>", "ONNX file or run folder");
  withData(withJson(command))
    .option("--seed <n>", "for --split-seed", number({ min: 0, integer: true }), 0)
    .option("--threads <n>", "threads of ONNX Runtime", count, 2)
    .addHelpText("after", examples(["evaluate runs/shoes --data fashion-mnist", "evaluate model.onnx --data images:photos --json"]))
    .action(async (target: string, flags: EvaluateFlags) => {
      const [{ loadData }, { createSession }, { evaluateOnnx }, { modelPath, requireSameClasses, trainedWith }, { imageShapeOf }] =
        await Promise.all([
          import("../data/load.ts"),
          import("../onnx/session.ts"),
          import("../run/deploy.ts"),
          import("../run/model-file.ts"),
          import("../run/feed.ts"),
        ]);
      const path = modelPath(target);
      const session = await createSession(path, { threads: flags.threads });
      const channels = session.inputShape.at(-1) === 1 || session.inputShape[1] === 1 ? 1 : 3;
      const [, height = 0, width = 0] = imageShapeOf(session, channels);
      const isSquare = height > 0 && height === width;
      const size = flags.size ?? (flags.data.startsWith("images:") && isSquare ? height : undefined);
      const known = trainedWith(path);
      const splitSeed = flags.splitSeed ?? known.splitSeed ?? flags.seed;
      const data = await loadData(flags.data, loadOptions({ ...flags, splitSeed, ...(size === undefined ? {} : { size }) }));
      const wanted = imageShapeOf(session, data.test.shape[0]);
      if (wanted.some((n, i) => n > 0 && n !== data.test.shape[i])) {
        throw new AppError(
          "CONFIG",
          `evaluate: images must be ${wanted.map((n) => (n > 0 ? n : "?")).join("x")} as ${path} reads them, got ${data.test.shape.join("x")}`,
        );
      }
      requireSameClasses(`evaluate: ${path}`, known.classes, data.test.classes);
      const accuracy = await evaluateOnnx(session, data.test, known.normalisation ?? data.normalisation);
      await session.close();
      if (flags.json) printJson({ model: path, data: flags.data, accuracy, images: data.test.count });
      else print(`test accuracy ${formatPercent(accuracy)} on ${data.test.count} images`);
    });
}
