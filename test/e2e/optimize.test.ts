/** @file `fettle optimize`, as a user runs it. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { writeImage } from "../../src/data/fixtures.ts";
import { onnxFile } from "../../src/onnx/import/fixtures.ts";
import { createRng } from "../../src/util/rng.ts";
import { main, programInNewFolder, writePhotos } from "./program.ts";

const { dir, env, fettle, expectSame } = programInNewFolder();
const json = (text: string) => JSON.parse(text);
const data = ["--data", "images:photos", "--validation", "0.2", "--batch", "16"];
const few = ["--episodes", "6", "--epochs", "1"];

beforeAll(async () => {
  await writePhotos(join(dir, "photos"));
  const training = ["--net", "mobilenet-v1:0.1", "--size", "16", "--epochs", "2", "--lr", "0.05"];
  expect(fettle("train", ...training, ...data, "--out", "base").status).toBe(0);
});

interface Told {
  readonly name: string;
  readonly obtained: string;
  readonly isMet: boolean;
  readonly value: number;
  readonly limit: number;
}
const told = (constraints: readonly Told[]) => constraints.map(({ name, obtained, isMet }) => [name, obtained, isMet]);

describe("a model of one's own", () => {
  test("is pruned and quantised as far as its limits ask for; card, file and report are the run's", () => {
    const limits = [
      "--device",
      "bitfusion",
      "--max-latency",
      "50%",
      "--max-size",
      "25%",
      "--max-macs",
      "70%",
      "--max-accuracy-drop",
      "100",
    ];
    const { status, stdout, stderr } = fettle("optimize", "base", ...data, ...few, ...limits, "--out", "both", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { card, stages } = json(stdout);
    expect(stages).toEqual(["pruned", "quantized"]);
    expect(told(card.constraints)).toEqual([
      ["latency", "estimated", true],
      ["size", "measured", true],
      ["macs", "counted", true],
      ["accuracyDrop", "measured", true],
    ]);
    const byName = Object.fromEntries(card.constraints.map((one: Told) => [one.name, one]));
    expect(byName.size.value).toBe(statSync(join(dir, "both", "model.onnx")).size);
    expect(byName.macs.value).toBe(card.macs);
    const cost = json(fettle("inspect", "both/model.onnx", "--device", "bitfusion", "--json").stdout).cost;
    expect(cost.latencyMs).toBeCloseTo(byName.latency.value, 9);
    expect(json(fettle("evaluate", "both", "--data", "images:photos", "--json").stdout).accuracy).toBe(card.accuracy.test);
    const report = readFileSync(join(dir, "both", "report.html"), "utf8");
    for (const heading of ["Limits", "Accuracy and latency", "Accuracy and size", "Pruning: channels", "Bits: bits"])
      expect(report).toContain(heading);
  });

  test("is only quantised where 8 bits are enough, only pruned where bits change nothing, and left alone where it meets its limits", () => {
    const stagesOf = (out: string, ...limits: string[]) => {
      const { status, stdout } = fettle("optimize", "base", ...data, ...few, ...limits, "--out", out, "--json");
      expect(status).toBe(0);
      return json(stdout).stages;
    };
    expect(stagesOf("bits-only", "--max-size", "60%")).toEqual(["quantized"]);
    expect(stagesOf("channels-only", "--max-peak-memory", "80%")).toEqual(["pruned"]);
    expect(stagesOf("as-it-is", "--max-macs", "100%")).toEqual([]);
    expect(existsSync(join(dir, "as-it-is", "model.onnx"))).toBe(true);
  });

  test.each([
    [["--max-macs", "1%"], /^fettle: optimize: MACs must be at least .* for this model, got a limit of .* — raise it to /m, 3],
    [["--max-macs", "50%", "--method", "joint"], /^fettle: optimize: --method joint must be used without a model/m, 2],
    [["--max-macs", "50%", "--time", "soon"], /^fettle: optimize: --time: must be a duration in s, m or h, got "soon"/m, 2],
    [["--device", "cpu", "--max-energy", "1mJ"], /^fettle: prune: an energy limit must be that of a simulated accelerator, got cpu/m, 2],
  ] as const)("%j is refused in one line, with nothing left behind", (wrong, message, code) => {
    const { status, stderr } = fettle("optimize", "base", ...data, ...wrong, "--out", "refused");
    expect(stderr).toMatch(message);
    expect(status).toBe(code);
    expect(existsSync(join(dir, "refused"))).toBe(false);
  });

  test("a run is not lost to one that cannot begin", () => {
    expect(fettle("optimize", "base", ...data, ...few, "--max-macs", "70%", "--out", "kept").status).toBe(0);
    const before = readFileSync(join(dir, "kept", "model.onnx"));
    const again = (limit: string) => fettle("optimize", "base", ...data, ...few, "--max-macs", limit, "--out", "kept", "--overwrite");
    expect(again("1%").status).toBe(3);
    expect(readFileSync(join(dir, "kept", "model.onnx")).equals(before)).toBe(true);
    expect(fettle("report", "kept").status).toBe(0);
    expect(again("60%").status).toBe(0);
    expect(readFileSync(join(dir, "kept", "model.onnx")).equals(before)).toBe(false);
  });

  test("killed at twenty moments and resumed each time, it ends where an uninterrupted run ends", { timeout: 240_000 }, async () => {
    const flags = ["optimize", "base", ...data, "--episodes", "12", "--epochs", "2", "--device", "bitfusion", "--max-latency", "50%"];
    expect(fettle(...flags, "--out", "whole").status).toBe(0);
    const rng = createRng(20);
    for (let kill = 0; kill < 20; kill++) {
      const resume = existsSync(join(dir, "killed", "config.json")) ? ["--resume"] : ["--overwrite"];
      const child = spawn(process.execPath, [main, ...flags, ...resume, "--out", "killed"], { cwd: dir, env, stdio: "ignore" });
      const closed = new Promise((resolve) => child.once("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, 400 + 1600 * rng.uniform()));
      child.kill("SIGKILL");
      await closed;
    }
    expect(fettle(...flags, "--out", "killed", "--resume").status).toBe(0);
    for (const stage of ["pruned", "quantized"])
      expectSame(join("killed", stage), join("whole", stage), ["policy.json", "policies.json", "model.onnx"]);
    for (const file of ["policy.json", "model.onnx", "stages.json"])
      expect(readFileSync(join(dir, "killed", file)).equals(readFileSync(join(dir, "whole", file))), file).toBe(true);
  });
});

// 256 KiB hold the first files of the run, 64 MiB all of them
test.skipIf(process.getuid?.() !== 0)(
  "a disk that fills up stops the run in one line, and with space it goes on (needs root for a small tmpfs)",
  () => {
    const flags = ["optimize", "base", ...data, ...few, "--device", "bitfusion", "--max-latency", "50%"];
    const small = join(dir, "small");
    mkdirSync(small);
    const mount = (...options: string[]) => expect(spawnSync("mount", ["-t", "tmpfs", ...options, "tmpfs", small]).status).toBe(0);
    mount("-o", "size=256k");
    try {
      const stopped = fettle(...flags, "--out", "small/run");
      expect(stopped.stderr).toMatch(/^fettle: write: .* must be writable, got a full disk — free some space$/m);
      expect(stopped.status).toBe(1);
      mount("-o", "remount,size=64m");
      expect(fettle("resume", "small/run").status).toBe(0);
      expect(fettle(...flags, "--out", "undisturbed").status).toBe(0);
      for (const file of ["policy.json", "model.onnx", "stages.json"])
        expect(readFileSync(join(small, "run", file)).equals(readFileSync(join(dir, "undisturbed", file))), file).toBe(true);
    } finally {
      spawnSync("umount", [small]);
    }
  },
);

describe("a network from images", () => {
  test("by the joint search, within its time, with the predictor in the report", { timeout: 180_000 }, () => {
    const how = ["--size", "16", "--width", "0.1", "--device", "bitfusion", "--time", "40s"];
    const started = performance.now();
    const { status, stdout } = fettle("optimize", ...data, ...how, "--max-energy", "60%", "--out", "joint", "--json");
    expect(status).toBe(0);
    expect(performance.now() - started).toBeLessThan(80_000); // twice the time, as other tests run beside
    const { card, stages } = json(stdout);
    expect(stages).toEqual(["supernet", "specialised"]);
    expect(told(card.constraints)).toEqual([["energy", "estimated", true]]);
    expect(readFileSync(join(dir, "joint", "report.html"), "utf8")).toContain("Once-for-all network: the accuracy predictor");
    expect(json(fettle("runs", "joint", "--json").stdout)).toMatchObject([{ command: "optimize", isFinished: true }]);
  });

  test.each([
    [
      ["--method", "pipeline", "--max-macs", "1K"],
      /MACs must be at least .* for the smallest network of the space, got a limit of 1\.00 K MACs/,
    ],
    [["--max-size", "1KB"], /size must be at least .* for the smallest network of the space, got a limit of 1\.00 KB/],
  ] as const)("%j is refused before anything is trained, in the user's numbers", (limits, message) => {
    const { status, stderr } = fettle("optimize", ...data, "--size", "16", "--width", "0.1", ...limits, "--out", "beyond");
    expect(stderr).toMatch(message);
    expect(status).toBe(3);
    expect(existsSync(join(dir, "beyond"))).toBe(false);
  });

  test("in stages", { timeout: 180_000 }, () => {
    const how = ["--size", "16", "--width", "0.1", "--method", "pipeline", "--device", "bitfusion", "--time", "40s", ...few];
    const { status, stdout } = fettle("optimize", ...data, ...how, "--max-latency", "40%", "--out", "staged", "--json");
    expect(status).toBe(0);
    const { card, stages } = json(stdout);
    expect(stages[0]).toBe("architecture");
    expect(told(card.constraints)).toEqual([["latency", "estimated", true]]);
  });
});

test("without a model there is no accuracy to lose", () => {
  const { status, stderr } = fettle("optimize", ...data, "--max-macs", "50%", "--max-accuracy-drop", "1%", "--out", "refused");
  expect(stderr).toMatch(/^fettle: optimize: --max-accuracy-drop must be left out without a model, got "1%"$/m);
  expect(status).toBe(2);
});

describe("a program of one's own", () => {
  const example = (name: string, ...args: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, "..", "..", "examples", name), ...args], { encoding: "utf8", cwd: dir, env });

  test("gets events and the result", () => {
    const { status, stdout, stderr } = example("optimize.ts", "base", "photos");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^latency \d+\.\d+ of \d+\.\d+ ms\ntest accuracy [\d.]+%, \d+ bytes\n$/m);
    expect(stdout).toMatch(/^pruned, in runs\/example\/pruned$|^quantized, in runs\/example\/quantized$/m);
  });

  test("classifies a photo with what was exported", () => {
    const classes = readdirSync(join(dir, "photos"));
    const photo = join("photos", classes[0]!, readdirSync(join(dir, "photos", classes[0]!))[0]!);
    const { status, stdout, stderr } = example("classify.mjs", "base", photo);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(classes).toContain(stdout.trim());
  });

  test("classifies grey photos, with one channel or three, first or last", async () => {
    await writeImage(join(dir, "bright.png"), { colour: { r: 200, g: 200, b: 200 }, isGrey: true });
    await writeImage(join(dir, "dark.jpg"), { colour: { r: 20, g: 20, b: 20 }, isGrey: true });
    // two outputs: 0, and the mean of what is read
    const nodes = [
      { op: "GlobalAveragePool", in: ["image"], out: "means" },
      { op: "Flatten", in: ["means"], out: "flat" },
      { op: "MatMul", in: ["flat", "w"], out: "y" },
    ];
    const first = [{ op: "Identity", in: ["x"], out: "image" }];
    const last = [{ op: "Transpose", in: ["x"], out: "image", attributes: [{ name: "perm", ints: [0, 3, 1, 2] }] }];
    for (const [layout, shape, channels, entry] of [
      ["NCHW", [1, 1, 16, 16], 1, first],
      ["NCHW", [1, 3, 16, 16], 3, first],
      ["NHWC", [1, 16, 16, 3], 3, last],
    ] as const) {
      const run = join(dir, `grey-${layout}-${channels}`);
      mkdirSync(run);
      const w = { dims: [channels, 2], data: Array.from({ length: 2 * channels }, (_, i) => i % 2) };
      writeFileSync(join(run, "model.onnx"), onnxFile({ input: shape, nodes: [...entry, ...nodes], floats: { w } }));
      const [mean, std] = [0.5, 0.5].map((value) => Array<number>(channels).fill(value));
      const card = { input: { name: "x", shape, layout, mean, std }, classes: ["dark", "bright"] };
      writeFileSync(join(run, "card.json"), JSON.stringify(card));
      for (const photo of ["bright.png", "dark.jpg"])
        expect(`${example("classify.mjs", run, photo).stdout.trim()}`).toBe(photo.split(".")[0]);
    }
  });

  test("brings a device and images of its own", () => {
    const { status, stdout, stderr } = example("own-device.ts");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok: the latency of a graph is the sum of its parts'$/m);
    expect(stdout).toMatch(/ ms on the board, test accuracy /);
  });
});

describe("a configuration file", () => {
  const config = { data: "images:photos", validation: 0.2, batch: 16, model: "base", maxMacs: "100%", out: "from-file" };

  test("says what flags do not; a flag overrides it; every form reads the same", () => {
    const resolved = (...flags: string[]) => json(fettle("optimize", "--dry-run", ...flags).stdout);
    writeFileSync(join(dir, "fettle.config.json"), JSON.stringify({ $schema: "fettle.schema.json", ...config }));
    expect(resolved()).toMatchObject({ ...config, device: "cpu" });
    expect(resolved("--max-macs", "50%", "--no-flip")).toMatchObject({ ...config, maxMacs: "50%", flip: false });
    rmSync(join(dir, "fettle.config.json"));
    writeFileSync(
      join(dir, "own.yaml"),
      Object.entries(config)
        .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
        .join(""),
    );
    writeFileSync(join(dir, "own.ts"), `const batch: number = 16;\nexport default { ...${JSON.stringify(config)}, batch };\n`);
    for (const file of ["own.yaml", "own.ts"]) expect(resolved("--config", file)).toMatchObject(config);
  });

  test("flags undo what it says, and a flag that is wrong is found by --dry-run", () => {
    const settings = { ...config, flip: false, distillation: false, baselines: true };
    writeFileSync(join(dir, "quiet.json"), JSON.stringify(settings));
    const dry = (...flags: string[]) => fettle("optimize", "--dry-run", "--config", "quiet.json", ...flags);
    expect(json(dry().stdout)).toMatchObject({ flip: false, distillation: false, baselines: true });
    const undone = dry("--flip", "--distillation", "--no-baselines");
    expect(json(undone.stdout)).toMatchObject({ flip: true, distillation: true, baselines: false });
    for (const [flags, message] of [
      [["--max-latency", "banana"], /^fettle: optimize: --max-latency: must be a positive number with one of the units us, .*"banana"/],
      [["--time", "soon"], /^fettle: optimize: --time: must be a duration in s, m or h, got "soon"/],
    ] as const) {
      expect(dry(...flags).stderr).toMatch(message);
      expect(dry(...flags)).toMatchObject({ status: 2, stdout: "" });
    }
    const none = fettle("optimize", "--dry-run", "--data", "images:photos");
    expect(none).toMatchObject({ status: 2, stdout: "" });
    expect(none.stderr).toMatch(/^fettle: optimize: at least one of --max-latency, .* must be given, got none$/m);
  });

  test.each([
    [
      "wrong.json",
      '{ "data": "images:photos", "maxLatncy": "4ms" }',
      /^fettle: wrong\.json: keys must be known, got "maxLatncy" — did you mean maxLatency\?$/m,
    ],
    [
      "number.json",
      '{ "data": "images:photos", "maxMacs": 5000000 }',
      /^fettle: number\.json: maxMacs must be text with a unit such as "5M" or "50%", got 5000000$/m,
    ],
    ["broken.json", "{", /^fettle: config: broken\.json must be readable, got /m],
    ["list.yaml", "- 1", /^fettle: config: list\.yaml must give an object of settings/m],
  ])("%s is refused in one line", (name, content, message) => {
    writeFileSync(join(dir, name), content);
    const { status, stderr } = fettle("optimize", "--config", name);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});
