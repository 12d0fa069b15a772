/** @file `fettle bench`: latency of an ONNX file on a device. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatMs } from "../util/units.ts";
import { type CommonFlags, count, examples, number, withJson } from "./options.ts";
import { print, printJson } from "./output.ts";

interface BenchFlags extends CommonFlags {
  readonly device: string;
  readonly threads: number;
  readonly seconds: number;
}

export function registerBench(program: Command): void {
  withJson(program.command("bench").description("time an ONNX model, one image at a time"))
    .argument("<model>", "ONNX file or run folder")
    .option("--device <name>", "device to time it on", "cpu")
    .option("--threads <n>", "threads of ONNX Runtime", count, 1)
    .option("--seconds <s>", "time for at least so long", number({ min: 0.1, max: 600 }), 2)
    .addHelpText("after", examples(["bench model.onnx", "bench runs/shoes --threads 2 --json"]))
    .action(async (target: string, { device, threads, seconds, json }: BenchFlags) => {
      if (device !== "cpu") throw new AppError("CONFIG", `bench: --device must be cpu, got "${device}" — see \`fettle devices\``);
      const [{ measureModel }, { modelPath }] = await Promise.all([import("../hardware/measure.ts"), import("../run/model-file.ts")]);
      const path = modelPath(target);
      const result = await measureModel(path, { threads, minMs: seconds * 1000 });
      if (json) printJson({ model: path, device, threads, ...result });
      else
        print(
          `${formatMs(result.p50Ms)} median, ${formatMs(result.p95Ms)} 95th percentile, ${formatMs(result.meanMs)} mean of ${result.count} runs (${threads} thread${threads > 1 ? "s" : ""})`,
        );
    });
}
