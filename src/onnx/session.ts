/** @file Running ONNX files in ONNX Runtime, the runtime they are deployed with. */
import "./no-telemetry.ts";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { AppError } from "../errors.ts";

export interface SessionOptions {
  /** Threads inside one operator (default 1). */
  readonly threads?: number;
}

export interface OnnxSession {
  readonly inputName: string;
  readonly outputName: string;
  /** Declared input shape; -1 for axes that are free. */
  readonly inputShape: readonly number[];
  /** Runs a batch of row-major numbers. */
  run(x: Float32Array, shape: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Loads a file or its bytes with all graph optimisations.
 * @throws AppError ONNX when ONNX Runtime refuses the file
 */
export async function createSession(model: string | Uint8Array, { threads = 1 }: SessionOptions = {}): Promise<OnnxSession> {
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  };
  let session: InferenceSession;
  try {
    session = await (typeof model === "string" ? InferenceSession.create(model, options) : InferenceSession.create(model, options));
  } catch (error) {
    const what = typeof model === "string" ? model : "the model";
    throw new AppError("ONNX", `onnxruntime: ${what} must load, got: ${(error as Error).message.split("\n")[0]}`, { cause: error });
  }
  const inputName = session.inputNames[0]!;
  const outputName = session.outputNames[0]!;
  const metadata = session.inputMetadata[0];
  const declared = metadata && "shape" in metadata ? (metadata.shape as readonly (number | string)[]) : [];
  return {
    inputName,
    outputName,
    inputShape: declared.map((dim) => (typeof dim === "number" && dim > 0 ? dim : -1)),
    run: async (x, shape) => {
      try {
        const result = await session.run({ [inputName]: new Tensor("float32", x, [...shape]) });
        return result[outputName]!.data as Float32Array;
      } catch (error) {
        throw new AppError("ONNX", `onnxruntime: input [${shape}] must run, got: ${(error as Error).message.split("\n")[0]}`, {
          cause: error,
        });
      }
    },
    close: () => session.release(),
  };
}
