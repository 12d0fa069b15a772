/** @file `fettle doctor`: whether everything that Fettle needs is there. */
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { ensureDir } from "../util/files.ts";
import { formatBytes } from "../util/units.ts";
import { type CommonFlags, examples, withJson } from "./options.ts";
import { print, printJson, table } from "./output.ts";

type Status = "ok" | "warn" | "fail";
interface Finding {
  readonly status: Status;
  readonly text: string;
}
type Check = () => Finding | Promise<Finding>;

const NEEDED_NODE = 24;
const LITTLE_DISK_BYTES = 1e9;

const checks: Readonly<Record<string, Check>> = {
  node: () => {
    const isEnough = Number(process.versions.node.split(".")[0]) >= NEEDED_NODE;
    return {
      status: isEnough ? "ok" : "fail",
      text: `${process.versions.node}${isEnough ? "" : ` — Node ${NEEDED_NODE} or newer is needed`}`,
    };
  },
  engine: async () => {
    const { runtime } = await import("../onednn/runtime.ts");
    const { library, channelBlock, threads } = runtime();
    const { major, minor, patch } = library.version;
    return {
      status: "ok",
      text: `oneDNN ${major}.${minor}.${patch} (${library.path}), ${channelBlock === 16 ? "AVX-512" : "AVX2"}, ${threads()} threads`,
    };
  },
  onnxruntime: async () => {
    const [{ createSession }, { timingModel, emptyGraph }, { createRng }] = await Promise.all([
      import("../onnx/session.ts"),
      import("../hardware/operator-model.ts"),
      import("../util/rng.ts"),
    ]);
    const session = await createSession(timingModel(emptyGraph([4]), createRng(0)));
    const result = await session.run(Float32Array.of(1, 2, 3, 4), [1, 4]);
    await session.close();
    return result[3] === 4 ? { status: "ok", text: "runs a model" } : { status: "fail", text: `a model that copies 4 gave ${result[3]}` };
  },
  images: async () => {
    const { default: sharp } = await import("sharp");
    return { status: "ok", text: `sharp ${sharp.versions.sharp ?? ""}`.trim() };
  },
  "fashion-mnist": () =>
    existsSync("/usr/share/datasets/fashion-mnist")
      ? { status: "ok", text: "installed" }
      : { status: "warn", text: "not installed — `sudo apt-get install dataset-fashion-mnist`, or use your own images" },
  cache: async () => {
    const { defaultCacheDir } = await import("../util/cache-dir.ts");
    const dir = defaultCacheDir();
    ensureDir(dir);
    accessSync(dir, constants.W_OK);
    return { status: "ok", text: dir };
  },
  disk: () => {
    const { bavail, bsize } = statfsSync(".");
    const free = Number(bavail) * Number(bsize);
    return { status: free > LITTLE_DISK_BYTES ? "ok" : "warn", text: `${formatBytes(free)} free here` };
  },
};

export function registerDoctor(program: Command): void {
  withJson(program.command("doctor").description("check that everything Fettle needs is there"))
    .addHelpText("after", examples(["doctor", "doctor --json"]))
    .action(async ({ json }: CommonFlags) => {
      const findings: (Finding & { readonly check: string })[] = [];
      for (const [check, run] of Object.entries(checks)) {
        try {
          findings.push({ check, ...(await run()) });
        } catch (error) {
          findings.push({ check, status: "fail", text: error instanceof AppError ? error.message : (error as Error).message });
        }
      }
      if (json) printJson(findings);
      else
        print(
          table(
            ["check", "status", "found"],
            findings.map(({ check, status, text }) => [check, status, text]),
          ),
        );
      if (findings.some(({ status }) => status === "fail")) process.exitCode = 1;
    });
}
