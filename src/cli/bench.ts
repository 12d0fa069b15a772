/** @file `fettle bench`: latency of an ONNX file on a device. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatMs } from "../util/units.ts";
import { type CommonFlags, count, examples, imageShape, number, withJson } from "./options.ts";
import { print, printJson } from "./output.ts";

interface BenchFlags extends CommonFlags {
  readonly device: string;
  readonly threads: number;
  readonly seconds: number;
  readonly input?: [number, number, number];
}

/** The input's shape with a batch of one, or the batch that the file insists on. @throws AppError CONFIG when its size stays open */
async function inputShape(path: string, input: BenchFlags["input"]): Promise<number[]> {
  const { createSession } = await import("../onnx/session.ts");
  const session = await createSession(path);
  const [batch = 1, ...declared] = session.inputShape;
  await session.close();
  const isLast = input !== undefined && declared.at(-1) === input[0] && declared[0] !== input[0];
  const wanted = input && (isLast ? [input[1], input[2], input[0]] : input);
  const shape = declared.map((n, i) => (n > 0 ? n : (wanted?.[i] ?? 0)));
  if (shape.some((n) => n === 0) || (wanted && shape.join() !== wanted.join())) {
    const text = declared.map((n) => (n > 0 ? n : "?")).join("x");
    throw new AppError(
      "CONFIG",
      `bench: the image of ${path} must be ${text}, got ${input?.join("x") ?? "none"} — give it with --input CxHxW`,
    );
  }
  return [Math.max(1, batch), ...shape];
}

export function registerBench(program: Command): void {
  withJson(program.command("bench").description("time an ONNX model, one image at a time"))
    .argument("<model>", "ONNX file or run folder")
    .option("--device <name>", "device to time it on", "cpu")
    .option("--threads <n>", "threads of ONNX Runtime", count, 1)
    .option("--input <CxHxW>", "image where the file leaves its size open", imageShape)
    .option("--seconds <s>", "time for at least so long", number({ min: 0.1, max: 600 }), 2)
    .addHelpText("after", examples(["bench model.onnx", "bench runs/shoes --threads 2 --json"]))
    .action(async (target: string, { device, threads, seconds, input, json }: BenchFlags) => {
      if (device !== "cpu") throw new AppError("CONFIG", `bench: --device must be cpu, got "${device}" — see \`fettle devices\``);
      const [{ measureModel }, { modelPath }] = await Promise.all([import("../hardware/measure.ts"), import("../run/model-file.ts")]);
      const path = modelPath(target);
      const shape = await inputShape(path, input);
      const result = await measureModel(path, { threads, minMs: seconds * 1000, shape });
      const batch = shape[0]!;
      if (json) printJson({ model: path, device, threads, batch, ...result });
      else
        print(
          `${batch > 1 ? `a batch of ${batch} images: ` : ""}${formatMs(result.p50Ms)} median, ${formatMs(result.p95Ms)} 95th percentile, ${formatMs(result.meanMs)} mean of ${result.count} runs (${threads} thread${threads > 1 ? "s" : ""})`,
        );
    });
}
