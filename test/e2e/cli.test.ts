/** @file Every command but `optimize`, as a user runs it. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { writeClasses } from "../../src/data/fixtures.ts";
import { onnxFile } from "../../src/onnx/import/fixtures.ts";
import { main, programInNewFolder, writePhotos } from "./program.ts";

const { dir, env, fettle, killedWhen, stored, expectSame } = programInNewFolder();
const photos = join(dir, "photos");
const json = (text: string) => JSON.parse(text);

const space = {
  name: "tiny",
  input: [3, 16, 16],
  classes: 2,
  stem: { width: 8, kernel: 3, stride: 2 },
  first: { width: 8, kernel: 3, stride: 1 },
  stages: [{ width: 8, blocks: 2, stride: 2 }],
  candidates: [
    { kernel: 3, expand: 2 },
    { kernel: 5, expand: 4 },
  ],
  zero: true,
  head: { width: 16 },
  norm: { epsilon: 1e-3, momentum: 0.1 },
};
const data = ["--data", "images:photos", "--size", "16", "--validation", "0.2", "--batch", "16"];

beforeAll(async () => {
  await writePhotos(photos);
  writeFileSync(join(dir, "space.json"), JSON.stringify(space));
});

describe("help", () => {
  test.each(["optimize", "train", "evaluate", "inspect", "bench", "nas", "prune", "quantize", "report", "devices", "doctor"])(
    "%s has examples",
    (verb) => {
      const { status, stdout } = fettle(verb, "--help");
      expect(status).toBe(0);
      expect(stdout).toMatch(/Examples:\n {2}\$ fettle /);
    },
  );
  test("the program names every verb and the exit codes", () => {
    const { status, stdout } = fettle("--help");
    expect(status).toBe(0);
    for (const word of [
      "train",
      "evaluate",
      "inspect",
      "bench",
      "nas",
      "prune",
      "quantize",
      "joint",
      "report",
      "devices",
      "doctor",
      "Exit codes:",
    ])
      expect(stdout).toContain(word);
  });
});

describe("wrong usage is one line and exit code 2", () => {
  test.each([
    [["trian"], /unknown command 'trian'\n\(Did you mean train\?\)/],
    [["inspect", "resnet20"], /^fettle: network: expected one of .*, got "resnet20" — did you mean resnet-20\?\n$/],
    [["inspect"], /^fettle: inspect: a network must be given, got none — see --list\n$/],
    [["inspect", "resnet-20", "--input", "3x32"], /must be channels x height x width/],
    [["train", "--net", "resnet-20"], /required option '--data <set>' not specified/],
    [["train", "--net", "resnet-20", "--data", "photos"], /^fettle: data: must be one of .*, got "photos"/],
    [["train", "--net", "nothing", "--data", "images:photos"], /^fettle: network: expected one of .*, got "nothing"\n$/],
    [["train", "--net", "resnet-20", "--data", "images:photos", "--epochs", "0"], /must be a whole number from 1/],
    [["nas", "--data", "images:photos"], /^fettle: nas: one of --max-latency and --max-macs must be given, got none\n$/],
    [
      ["nas", "--data", "images:photos", "--max-latency", "4"],
      /^fettle: --max-latency: must be a positive number with one of the units us, µs, ms, s or %, got "4"/,
    ],
    [
      ["nas", "--data", "images:photos", "--max-macs", "5M", "--device", "tpu"],
      /^fettle: device: must be cpu, bitfusion, .*FILE\.yaml, got "tpu"/,
    ],
    [
      ["nas", "--data", "images:photos", "--max-macs", "5M", "--loss", "mul_log", "--lambda", "0.2"],
      /^fettle: nas: --lambda must be left out with --loss mul_log, .*, got 0\.2\n$/,
    ],
    [["prune", "nowhere.onnx", "--list-groups"], /^fettle: model: nowhere\.onnx must exist, got no such file\n$/],
    [["prune", "m.onnx"], /^fettle: prune: --data must be given, got none\n$/],
    [
      ["prune", "m.onnx", "--data", "images:photos", "--max-macs", "50%", "--reward", "flops"],
      /^fettle: prune: limits \(--max-macs, .*\) or --reward must be given, got --max-macs and --reward\n$/,
    ],
    [
      ["prune", "m.onnx", "--data", "images:photos", "--max-macs", "50%", "--channel-step", "x"],
      /^fettle: prune: --channel-step must be a whole number from 1, or device, got "x"\n$/,
    ],
    [["bench", "nowhere.onnx"], /^fettle: model: nowhere\.onnx must exist, got no such file\n$/],
    [["inspect", "resnet-20", "--jsno"], /unknown option '--jsno'/],
  ] as const)("fettle %j", (args, message) => {
    const { status, stdout, stderr } = fettle(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
    expect(stdout).toBe("");
  });
});

test("data that is missing or damaged is an error with its path and exit code 1, before anything is written", () => {
  const { status, stderr } = fettle("train", "--net", "resnet-20", "--data", "images:nowhere", "--out", "never");
  expect(stderr).toMatch(/^fettle: data.*nowhere.*\n$/);
  expect(status).toBe(1);
  expect(existsSync(join(dir, "never"))).toBe(false);
});

test("inspect counts reference networks", () => {
  const { status, stdout } = fettle("inspect", "mobilenet-v2", "--input", "3x224x224", "--json");
  expect(status).toBe(0);
  const counts = json(stdout);
  expect(counts).toMatchObject({ params: 3_504_872, bytes: 4 * 3_504_872 });
  expect((counts.macs / 1e6).toFixed(2)).toBe("300.77");
  expect(counts.peakActivationBytes).toBeGreaterThan(4 * 96 * 112 * 112);
  expect(counts.layers.length).toBeGreaterThan(100);
});

test("train, evaluate, inspect and bench one model; its card is true", () => {
  const train = fettle("train", "--net", "mobilenet-v2:0.25", ...data, "--epochs", "6", "--lr", "0.05", "--out", "run", "--json");
  expect(train.stderr).toBe("");
  expect(train.status).toBe(0);
  const card = json(readFileSync(join(dir, "run", "card.json"), "utf8"));
  expect(json(train.stdout).card).toEqual(card);
  expect(card).toMatchObject({
    classes: ["blue", "red"],
    input: { layout: "NCHW", name: "input" },
    latency: { device: "cpu", threads: 1, obtained: "measured" },
    data: "images:photos",
  });
  expect(card.accuracy.test).toBeGreaterThan(0.9);
  expect(card.maxDifference).toBeLessThan(1e-4 * 20);
  expect(readFileSync(join(dir, "run", "model.onnx")).length).toBe(card.fileBytes);

  const evaluation = json(fettle("evaluate", "run", ...data.slice(0, 6), "--json").stdout);
  expect(evaluation).toMatchObject({ accuracy: card.accuracy.test, images: card.accuracy.testImages });
  const counts = json(fettle("inspect", "run/model.onnx", "--json").stdout);
  expect(counts.macs).toBe(card.macs);
  const bench = json(fettle("bench", "run", "--seconds", "0.2", "--json").stdout);
  expect(bench.p50Ms).toBeGreaterThan(0);
  expect(bench.p95Ms).toBeGreaterThanOrEqual(bench.p50Ms);
  expect(bench.count).toBeGreaterThanOrEqual(50);

  const resumed = fettle(
    "train",
    "--net",
    "mobilenet-v2:0.25",
    ...data,
    "--epochs",
    "6",
    "--lr",
    "0.05",
    "--out",
    "run",
    "--resume",
    "--json",
  );
  expect(json(resumed.stdout).card.accuracy).toEqual(card.accuracy);
});

test("evaluate feeds a file of other origin as it is told to, and tells what it assumes", () => {
  const file = onnxFile({
    input: ["N", 3, "H", "W"],
    nodes: [
      { op: "GlobalAveragePool", in: ["x"], out: "means" },
      { op: "Flatten", in: ["means"], out: "flat" },
      { op: "MatMul", in: ["flat", "w"], out: "y" },
    ],
    floats: { w: { dims: [3, 2], data: [0, 1, 0, 0, 0, 0] } }, // blue: 0, red: how red it is
  });
  writeFileSync(join(dir, "foreign.onnx"), file);
  const evaluate = (...flags: string[]) =>
    fettle("evaluate", "foreign.onnx", "--data", "images:photos", "--input", "3x16x16", "--json", ...flags);
  const centred = evaluate("--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5");
  expect(centred).toMatchObject({ status: 0, stderr: "" });
  expect(json(centred.stdout).accuracy).toBe(1);
  expect(json(evaluate("--mean", "0,0,0", "--std", "1,1,1").stdout).accuracy).toBe(0.5);
  expect(evaluate().stderr).toMatch(/^fettle: foreign\.onnx: --mean and --std were not given; .*\n$/);
  expect(evaluate("--mean", "0,0,0").stderr).toMatch(/^fettle: evaluate: --mean and --std must be given together/);
});

test("a training is not gone on with when its images or its teacher are others, and never replaces its teacher", async () => {
  await writePhotos(join(dir, "changing"));
  const flags = ["train", "--net", "mobilenet-v2:0.25", "--data", "images:changing", ...data.slice(2), "--epochs", "1"];
  expect(fettle(...flags, "--out", "teaching").status).toBe(0);
  const taught = [...flags, "--teacher", "teaching", "--out", "taught"];
  expect(fettle(...taught).status).toBe(0);
  const refused = (args: readonly string[], reason: RegExp) => {
    const { status, stderr } = fettle(...args);
    expect([status, stderr]).toEqual([2, expect.stringMatching(reason)]);
  };
  refused([...flags, "--teacher", "teaching", "--out", "teaching", "--overwrite"], /^fettle: run: --out must be another folder than that/m);
  expect(fettle(...flags, "--seed", "1", "--split-seed", "0", "--out", "teaching", "--overwrite").status).toBe(0);
  refused([...taught, "--resume"], /^fettle: resume: teacherSha256 must be "[0-9a-f]{64}" as when taught was begun/m);
  await writeClasses(join(dir, "changing"), { blue: 41 }, { width: 16, height: 16, colour: { r: 30, g: 60, b: 220 } });
  const again = [...flags, "--seed", "1", "--split-seed", "0", "--out", "teaching", "--resume"];
  refused(again, /^fettle: resume: imagesSha256 must be .* as when teaching was begun/m);
});

test("fewer images than a batch is an error", () => {
  const { status, stderr } = fettle("train", "--net", "mobilenet-v2:0.25", "--data", "images:photos", "--size", "16", "--out", "never");
  expect(stderr).toMatch(/batch/);
  expect(status).toBe(1);
});

describe("nas", () => {
  const search = ["nas", ...data, "--space", "space.json", "--warmup-epochs", "1", "--search-epochs", "2", "--epochs", "4", "--lr", "0.05"];

  test("--dry-run prints the resolved configuration and does nothing", () => {
    const { status, stdout } = fettle(...search, "--max-macs", "60%", "--out", "dry", "--dry-run");
    expect(status).toBe(0);
    expect(json(stdout)).toMatchObject({
      command: "nas",
      budget: { kind: "macs", quantity: { kind: "percent", ratio: 0.6 } },
      seed: 0,
      recipe: { epochs: 4, lr: 0.05 },
    });
    expect(existsSync(join(dir, "dry"))).toBe(false);
  });

  test("a limit in MACs is met, and everything is in the run folder", () => {
    const { status, stdout, stderr } = fettle(...search, "--max-macs", "60%", "--out", "macs", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const result = json(stdout);
    expect(result.card.constraints[0]).toMatchObject({ name: "macs", obtained: "counted", isMet: true });
    expect(result.card.macs).toBe(result.card.constraints[0].value);
    for (const file of ["model.onnx", "card.json", "policy.json", "space.json", "config.json", "run.db"])
      expect(existsSync(join(dir, "macs", file)), file).toBe(true);
    expect(json(readFileSync(join(dir, "macs", "policy.json"), "utf8")).architecture).toHaveLength(2);
    const again = json(fettle(...search, "--max-macs", "60%", "--out", "again", "--json").stdout);
    expect(again.architecture).toEqual(result.architecture);
    expect(again.card.accuracy).toEqual(result.card.accuracy);
  });

  test("a latency limit is measured on the exported file, and the exit code says whether it is met", () => {
    const { status, stdout, stderr } = fettle(...search, "--max-latency", "90%", "--out", "latency");
    expect(stdout).toMatch(/^found {4}k\d/);
    expect(stdout).toMatch(/limit .* on cpu, (met|MISSED): .* \(measured\)/);
    expect(stderr).toContain("of them are within");
    const card = json(readFileSync(join(dir, "latency", "card.json"), "utf8"));
    expect(status).toBe(card.constraints[0].isMet ? 0 : 4);
  });

  test("a limit that no network meets is refused before training, with the nearest that can be met", () => {
    const { status, stderr } = fettle(...search, "--max-macs", "1K", "--out", "infeasible");
    expect(stderr).toMatch(
      /^(.*\n)*fettle: nas: MACs must be at least .* MACs in the space tiny, got a limit of 1\.00 K MACs — raise it to \d.*\n$/,
    );
    expect(status).toBe(3);
    expect(existsSync(join(dir, "infeasible"))).toBe(false);
  });

  test("killed in its search, then in its training, and resumed, it ends where an uninterrupted run ends", async () => {
    const flags = [...search, "--search-epochs", "6", "--max-macs", "60%"];
    expect(fettle(...flags, "--out", "whole-nas").status).toBe(0);
    await killedWhen(flags, "killed-nas", () => existsSync(join(dir, "killed-nas", "search.safetensors")));
    expect(existsSync(join(dir, "killed-nas", "found.json"))).toBe(false);
    await killedWhen([...flags, "--resume"], "killed-nas", () => existsSync(join(dir, "killed-nas", "checkpoint.safetensors")));
    expect(existsSync(join(dir, "killed-nas", "model.onnx"))).toBe(false);
    expect(fettle("resume", "killed-nas").status).toBe(0);
    expectSame("killed-nas", "whole-nas", ["policy.json", "model.onnx"]);
    const other = fettle(...flags, "--seed", "1", "--out", "killed-nas", "--resume");
    expect(other.stderr).toMatch(/^(.*\n)*fettle: resume: \w+ must be .*\n$/);
    expect(other.status).toBe(2);
  });

  test("Ctrl-C ends a search within seconds, with the best so far saved", async () => {
    const args = [main, ...search, "--search-epochs", "5000", "--max-macs", "60%", "--out", "stopped"];
    const child = spawn(process.execPath, args, { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    const started = new Promise<void>((resolve) => {
      child.stderr.on("data", (chunk: Buffer) => {
        stderr += chunk.toString();
        if (stderr.includes("searching")) resolve();
      });
    });
    const exit = new Promise<number | null>((resolve) => child.on("exit", resolve));
    await started;
    child.kill("SIGINT");
    const giveUp = setTimeout(() => child.kill("SIGKILL"), 20_000);
    expect(await exit).toBe(4);
    clearTimeout(giveUp);
    expect(stderr).toContain("stopping and saving");
    expect(existsSync(join(dir, "stopped", "model.onnx"))).toBe(true);
    expect(existsSync(join(dir, "stopped", "policy.json"))).toBe(true);
  });
});

describe("prune", () => {
  const common = ["--data", "images:photos", "--validation", "0.4", "--batch", "16", "--channel-step", "1", "--warmup", "6"];
  beforeAll(() => {
    fettle("train", "--net", "resnet-20", ...data, "--epochs", "2", "--out", "base");
  });

  test("lists what stands and falls together, of a run and of its exported file", () => {
    const groups = json(fettle("prune", "base", "--list-groups", "--json").stdout);
    expect(groups.at(-1)).toMatchObject({ name: "classifier", reason: "the output", channels: 2 });
    expect(groups[0]).toMatchObject({ channels: 16, reason: null });
    const ofFile = json(fettle("prune", "base/model.onnx", "--list-groups", "--json").stdout);
    expect(ofFile.map(({ channels }: { channels: number }) => channels)).toEqual(
      groups.map(({ channels }: { channels: number }) => channels),
    );
    expect(fettle("prune", "base", "--list-groups").stdout).toMatch(/channels +made by +read by +kept whole because/);
  });

  test("images that a model was trained on never become test images: the split is the model's own", () => {
    fettle("train", "--net", "resnet-20", ...data, "--epochs", "1", "--seed", "3", "--out", "seeded");
    const resolved = (...flags: string[]) =>
      json(fettle("prune", "seeded", ...common, "--max-macs", "50%", "--seed", "5", ...flags, "--dry-run").stdout).splitSeed;
    expect(resolved()).toBe(3);
    expect(resolved("--split-seed", "7")).toBe(7);
    const teacher = fettle("train", "--net", "resnet-20", ...data, "--teacher", "seeded", "--dry-run");
    expect(json(teacher.stdout).splitSeed).toBe(3);
    const images = ["--data", "images:photos", "--json"];
    const card = json(readFileSync(join(dir, "seeded", "card.json"), "utf8"));
    expect(json(fettle("evaluate", "seeded", ...images).stdout).accuracy).toBe(card.accuracy.test);
  });

  test("a file meets its limit, beside the rules of thumb; the card is true", () => {
    const flags = ["--max-macs", "50%", "--episodes", "10", "--epochs", "1", "--lr", "0.01", "--baselines", "--out", "pruned", "--json"];
    const { status, stdout, stderr } = fettle("prune", "base/model.onnx", ...common, ...flags);
    expect(stderr).not.toMatch(/fettle: /);
    expect(status).toBe(0);
    const { original, policies, constraints, card } = json(stdout);
    const [constraint] = constraints;
    expect(policies.map(({ name }: { name: string }) => name)).toEqual(["amc", "uniform", "shallow", "deep", "random"]);
    for (const { macs } of policies) expect(macs).toBeLessThanOrEqual(original.macs / 2);
    expect(constraint).toMatchObject({ name: "macs", isMet: true, obtained: "counted", value: card.macs });
    expect(json(fettle("inspect", "pruned/model.onnx", "--json").stdout).macs).toBe(card.macs);
    expect(json(fettle("evaluate", "pruned", "--data", "images:photos", "--size", "16", "--json").stdout).accuracy).toBe(
      card.accuracy.test,
    );
    const policy = json(readFileSync(join(dir, "pruned", "policy.json"), "utf8"));
    expect(json(fettle("report", "pruned", "--json").stdout)).toEqual({
      path: "pruned/report.html",
      sections: ["Limits", "The model", "Accuracy and MACs", "Beside simpler rules", "Channels", "Cost of every layer", "The search"],
    });
    expect(fettle("compare", "base", "pruned").stdout).toMatch(
      /base +pruned\n[\s\S]*command +train +prune\n[\s\S]*limits +[\d.]+ M MACs of /,
    );
    expect(fettle("runs", ".").stdout).toMatch(/pruned +prune +\d{4}-\d\d-\d\d \d\d:\d\d +finished +\d+\.\d\d% +[\d.]+ M MACs of/);
    expect(fettle("resume", "photos").stderr).toBe("fettle: runs: photos must be the folder of a run, got no config.json of one\n");
    expect(fettle("report", "photos").stderr).toBe("fettle: report: photos must be the folder of a run, got no config.json\n");
    expect(policy.amc[0]).toBe(3);
    expect(policy.groups.every(({ kept, channels }: { kept: number; channels: number }) => kept >= 1 && kept <= channels)).toBe(true);
  });

  test("single weights, stored sparse: the file has the size that was asked for", () => {
    const flags = ["--fine-grained", "--max-size", "30%", "--episodes", "8", "--epochs", "1", "--lr", "0.01", "--out", "sparse", "--json"];
    const { status, stdout, stderr } = fettle("prune", "base", ...common, ...flags);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { original, rounds, constraint, card } = json(stdout);
    expect(rounds.map(({ density }: { density: number }) => density).slice(0, 2)).toEqual([0.5, 0.35]);
    expect(card.fileBytes).toBe(statSync(join(dir, "sparse", "model.onnx")).size);
    expect(card.fileBytes).toBeLessThanOrEqual(0.3 * original.fileBytes);
    expect(card.fileBytes).toBeGreaterThan(0.25 * original.fileBytes);
    expect(constraint).toMatchObject({ name: "size", isMet: true, obtained: "measured", value: card.fileBytes });
    const refused = fettle("prune", "base", ...common, "--fine-grained", "--max-size", "2%");
    expect([refused.status, refused.stderr]).toEqual([3, expect.stringMatching(/prune: size must be at least [\d.]+ KB for this network/)]);
    expect(fettle("prune", "base", ...common, "--fine-grained", "--max-macs", "50%").stderr).toBe(
      "fettle: prune: --fine-grained must have --max-size alone, got --max-macs\n",
    );
  });

  test("a limit that cannot be met is refused at once, with the nearest that can", () => {
    const { status, stderr } = fettle("prune", "base", ...common, "--max-macs", "1%", "--out", "impossible");
    expect(status).toBe(3);
    expect(stderr).toMatch(/prune: MACs must be at least [\d.]+ K MACs for this network, got a limit of [\d.]+ K MACs/);
    expect(existsSync(join(dir, "impossible"))).toBe(false);
  });

  test("killed in its search and resumed, it ends where an uninterrupted search ends", async () => {
    const flags = ["prune", "base", ...common, "--max-macs", "60%", "--episodes", "14", "--epochs", "0"];
    expect(fettle(...flags, "--out", "whole").status).toBe(0);
    await killedWhen(flags, "killed", () => stored("killed") >= 4);
    expect(json(fettle("runs", ".", "--json").stdout).find(({ dir: run }: { dir: string }) => run === "killed")).toMatchObject({
      command: "prune",
      isFinished: false,
    });
    const begunWith = () => json(readFileSync(join(dir, "killed", "config.json"), "utf8")).argv;
    const argv = begunWith();
    for (let time = 0; time < 2; time++) expect(fettle("resume", "killed").status).toBe(0);
    expect(begunWith().slice(0, argv.length)).toEqual(argv);
    expectSame("killed", "whole", ["policy.json", "policies.json", "model.onnx"]);
  });

  test("killed while it trains a rule of thumb and resumed, it ends where an uninterrupted run ends", async () => {
    const flags = ["prune", "base", ...common, "--max-macs", "60%", "--episodes", "4", "--epochs", "2", "--lr", "0.02", "--baselines"];
    expect(fettle(...flags, "--out", "tuned").status).toBe(0);
    expect(existsSync(join(dir, "tuned", "checkpoints"))).toBe(false);
    const checkpoint = join(dir, "killed-tuned", "checkpoints", "uniform.safetensors");
    await killedWhen(flags, "killed-tuned", () => existsSync(checkpoint));
    expect(existsSync(join(dir, "killed-tuned", "checkpoints", "amc.safetensors"))).toBe(true);
    expect(fettle(...flags, "--out", "killed-tuned", "--resume").status).toBe(0);
    expectSame("killed-tuned", "tuned", ["policy.json", "policies.json", "model.onnx"]);
  });

  test("killed between rounds of single weights and resumed, it ends where an uninterrupted run ends", async () => {
    const flags = ["prune", "base", ...common, "--fine-grained", "--max-size", "40%", "--episodes", "8", "--epochs", "1", "--lr", "0.01"];
    expect(fettle(...flags, "--out", "rounds").status).toBe(0);
    await killedWhen(flags, "killed-rounds", () => stored("killed-rounds") >= 10);
    expect(fettle(...flags, "--out", "killed-rounds", "--resume").status).toBe(0);
    expectSame("killed-rounds", "rounds", ["policy.json", "model.onnx"]);
  });

  test("a size limit is that of the file", () => {
    const flags = ["--max-size", "50%", "--episodes", "6", "--epochs", "0", "--out", "half", "--json"];
    const { status, stdout } = fettle("prune", "base", ...common, ...flags);
    expect(status).toBe(0);
    const { constraints, card } = json(stdout);
    const [constraint] = constraints;
    const bytes = statSync(join(dir, "half", "model.onnx")).size;
    expect(constraint).toMatchObject({ name: "size", isMet: true, obtained: "measured", value: bytes });
    expect(card.fileBytes).toBe(bytes);
    const whole = statSync(join(dir, "base", "model.onnx")).size;
    expect(Math.abs(constraint.limit - whole / 2)).toBeLessThan(0.01 * whole);
  });

  test("several limits hold at once", () => {
    const flags = [
      "--max-macs",
      "70%",
      "--max-params",
      "50%",
      "--max-latency",
      "80%",
      "--device",
      "bitfusion",
      "--episodes",
      "8",
      "--epochs",
      "0",
    ];
    const { status, stdout } = fettle("prune", "base", ...common, ...flags, "--out", "several", "--json");
    expect(status).toBe(0);
    const { constraints, card } = json(stdout);
    expect(constraints.map(({ name, isMet }: { name: string; isMet: boolean }) => [name, isMet])).toEqual([
      ["macs", true],
      ["params", true],
      ["latency", true],
    ]);
    expect(card.macs).toBe(constraints[0].value);
  });

  test("a run is not gone on with when the images or the model are others", () => {
    const flags = ["prune", "base", "--max-macs", "70%", "--episodes", "6", "--warmup", "6", "--epochs", "0", "--out", "same"];
    const others = ["--data", "images:photos", "--batch", "16"];
    expect(fettle(...flags, ...others, "--limit", "40").status).toBe(0);
    fettle("train", "--net", "resnet-20", ...data, "--epochs", "1", "--out", "other");
    writeFileSync(join(dir, "base.onnx"), readFileSync(join(dir, "base", "model.onnx")));
    const onFile = ["prune", "base.onnx", ...common, "--max-macs", "70%", "--episodes", "6", "--epochs", "0", "--out", "of-file"];
    expect(fettle(...onFile).status).toBe(0);
    writeFileSync(join(dir, "base.onnx"), readFileSync(join(dir, "other", "model.onnx")));
    const { status, stderr } = fettle(...onFile, "--resume");
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^fettle: resume: modelSha256 must be "[0-9a-f]{64}" as when of-file was begun/m),
    ]);
  });
});

describe("quantize", () => {
  const common = [
    "--data",
    "images:photos",
    "--validation",
    "0.4",
    "--batch",
    "16",
    "--episodes",
    "6",
    "--warmup",
    "3",
    "--tune-steps",
    "1",
  ];
  const tuned = ["--epochs", "1", "--lr", "0.01"];
  beforeAll(() => {
    fettle("train", "--net", "mobilenet-v1:0.25", ...data, "--epochs", "20", "--lr", "0.05", "--out", "v1");
  });

  test("bits for an accelerator within its latency, beside uniform and greedy bits; the card and the file are true", () => {
    const flags = ["--device", "bitfusion", "--max-latency", "70%", "--baselines", ...tuned, "--out", "fused", "--json"];
    const { status, stdout, stderr } = fettle("quantize", "v1", ...common, ...flags);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { policies, chosen, constraints, card, layers } = json(stdout);
    const [constraint] = constraints;
    expect(policies.map(({ name }: { name: string }) => name)).toEqual(["haq", "uniform", "greedy"]);
    const kept = policies.find(({ name }: { name: string }) => name === chosen);
    for (const { tuned: other, validation } of policies)
      expect(Math.max(kept.validation, kept.tuned.validation)).toBeGreaterThanOrEqual(Math.max(validation, other.validation));
    for (const { costs } of policies) expect(costs[0]).toBeLessThanOrEqual(constraint.limit);
    expect(constraint).toMatchObject({ name: "latency", unit: "ms", obtained: "estimated", isMet: true, value: kept.costs[0] });
    expect(kept.bits[0]).toEqual({ weightBits: 8, activationBits: 8 });
    const evaluation = json(fettle("evaluate", "fused", "--data", "images:photos", "--json").stdout);
    expect(evaluation.accuracy).toBe(card.accuracy.test);
    expect(Math.abs(card.accuracy.test - (kept.tuned.validation < kept.validation ? kept.test : kept.tuned.test))).toBeLessThanOrEqual(
      0.07,
    ); // one of 16 images
    const policy = json(readFileSync(join(dir, "fused", "policy.json"), "utf8"));
    expect(policy.haq).toEqual(kept.bits.map(({ weightBits, activationBits }: Record<string, number>) => [weightBits, activationBits]));
    const inspected = json(fettle("inspect", "fused/model.onnx", "--json").stdout);
    expect(inspected.bitOps).toBe(card.bitOps);
    expect(inspected.bitOps).toBe(kept.bitOps);
    const ofLayers = inspected.layers.filter(({ name }: { name: string }) => layers.some((layer: { name: string }) => layer.name === name));
    expect(ofLayers.map(({ weightBits }: { weightBits: number }) => weightBits)).toEqual(policy.haq.map(([w]: number[]) => w));
    expect(fettle("inspect", "fused/model.onnx", "--layers").stdout).toMatch(/weight bits +activation bits/);
    expect(readFileSync(join(dir, "fused", "bits.svg"), "utf8")).toMatch(/^<svg xmlns=[\s\S]*depthwise layers[\s\S]*<\/svg>$/);
    const onDevice = (name: string) => json(fettle("inspect", "fused/model.onnx", "--device", name, "--json").stdout).cost;
    expect(onDevice("bitfusion").latencyMs).toBeCloseTo(constraint.value, 9);
    expect(onDevice("bitfusion").energyMj).toBeGreaterThan(0);
    expect(onDevice("bismo-edge")).toMatchObject({ device: "bismo-edge", kind: "simulated", energyMj: null });
    expect(fettle("inspect", "fused/model.onnx", "--layers", "--device", "bismo-cloud").stdout).toMatch(
      /on bismo-cloud +\d[\s\S]*on bismo-cloud/,
    );
  });

  test("shared values within a file size: the file has the size that the limit promised", () => {
    const flags = ["--max-size", "12%", "--bits", "1..6", ...tuned, "--out", "shared", "--json"];
    const { status, stdout, stderr } = fettle("quantize", "v1/model.onnx", ...common, ...flags);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { policies, constraints, card } = json(stdout);
    const [constraint] = constraints;
    const bytes = statSync(join(dir, "shared", "model.onnx")).size;
    expect(constraint).toMatchObject({ name: "size", obtained: "measured", value: bytes, isMet: true });
    expect(card.fileBytes).toBe(bytes);
    expect(Math.abs(bytes - policies[0].costs[0])).toBeLessThanOrEqual(0.01 * bytes + 600);
    expect(json(readFileSync(join(dir, "shared", "policy.json"), "utf8")).haq.every((b: number) => b >= 1 && b <= 6)).toBe(true);
  });

  test("several limits hold at once", () => {
    const flags = [
      "--device",
      "bitfusion",
      "--max-latency",
      "80%",
      "--max-energy",
      "80%",
      "--max-size",
      "25%",
      "--epochs",
      "0",
      "--out",
      "three",
    ];
    const { status, stdout } = fettle("quantize", "v1", ...common, ...flags, "--json");
    expect(status).toBe(0);
    const { constraints } = json(stdout);
    expect(constraints.map(({ name, isMet, obtained }: Record<string, unknown>) => [name, isMet, obtained])).toEqual([
      ["latency", true, "estimated"],
      ["energy", true, "estimated"],
      ["size", true, "measured"],
    ]);
    const impossible = fettle("quantize", "v1", ...common, ...flags.slice(0, 6), "--max-size", "14%", "--bits", "4..8", "--out", "no");
    expect([impossible.status, impossible.stderr]).toEqual([
      3,
      expect.stringMatching(/^fettle: quantize: (size must be at least|all limits must)/m),
    ]);
  });

  test("float and integer layers on this CPU: the faster file is kept, and said to be", () => {
    const flags = ["--device", "cpu", "--max-latency", "200%", "--epochs", "0", "--out", "mixed", "--json"];
    const { status, stdout } = fettle("quantize", "v1", ...common, ...flags);
    expect(status).toBe(0);
    const { isQuantizedKept, latencyMs, constraints } = json(stdout);
    const [constraint] = constraints;
    expect(constraint).toMatchObject({ name: "latency", obtained: "measured" });
    expect(isQuantizedKept).toBe(latencyMs.quantized <= 0.98 * latencyMs.original);
    expect(existsSync(join(dir, "mixed", "quantized.onnx"))).toBe(!isQuantizedKept);
  });

  test.each([
    [
      ["--max-latency", "1ms"],
      /^fettle: quantize: latency and energy must be those of a device, got none — give an accelerator with --device\n$/m,
      2,
    ],
    [["--device", "bitfusion"], /^fettle: quantize: at least one of --max-latency, .* must be given, got none\n$/m, 2],
    [["--max-size", "20%", "--device", "bitfusion"], /^fettle: quantize: --max-size alone must be given without --device/, 2],
    [["--max-latency", "60%", "--device", "bitfuson"], /^fettle: device: must be .*, got "bitfuson" — did you mean bitfusion\?\n$/m, 2],
    [["--max-bitops", "60%", "--bits", "8..2"], /must be bits from 1 to 8, for example 2\.\.8 or 4/, 2],
    [["--max-size", "1%"], /^fettle: quantize: size must be at least [\d.]+ KB for this network, got a limit of [\d.]+ KB — raise it/m, 3],
    [
      ["--max-energy", "60%", "--device", "bismo-edge"],
      /^fettle: device: bismo-edge must have an energy model for an energy limit, got none\n$/m,
      2,
    ],
  ] as const)("%j is refused in one line, before anything is written", (flags, message, code) => {
    const { status, stdout, stderr } = fettle("quantize", "v1", ...common, ...flags, "--out", "refused");
    expect(stderr).toMatch(message);
    expect(stdout).toBe("");
    expect(status).toBe(code);
    expect(existsSync(join(dir, "refused"))).toBe(false);
  });

  test("killed in its search and resumed, it ends where an uninterrupted search ends", async () => {
    const flags = ["quantize", "v1", ...common, "--max-bitops", "30%", "--episodes", "9", "--epochs", "0"];
    expect(fettle(...flags, "--out", "whole-bits").status).toBe(0);
    await killedWhen(flags, "killed-bits", () => stored("killed-bits") >= 3);
    expect(fettle(...flags, "--out", "killed-bits", "--resume").status).toBe(0);
    expectSame("killed-bits", "whole-bits", ["policy.json", "policies.json", "model.onnx"]);
  });

  test("killed while it trains and resumed, it ends where an uninterrupted run ends", async () => {
    const flags = ["quantize", "v1", ...common, "--max-bitops", "30%", "--episodes", "4", "--epochs", "2", "--lr", "0.01"];
    expect(fettle(...flags, "--out", "tuned-bits").status).toBe(0);
    await killedWhen(flags, "killed-tuning", () => existsSync(join(dir, "killed-tuning", "checkpoints", "haq.safetensors")));
    expect(fettle(...flags, "--out", "killed-tuning", "--resume").status).toBe(0);
    expectSame("killed-tuning", "tuned-bits", ["policy.json", "policies.json", "model.onnx"]);
  });
});

describe("joint", () => {
  const elastic = {
    ...space,
    name: "tiny-elastic",
    stages: [
      { width: 8, blocks: 2, leastBlocks: 1, stride: 1 },
      { width: 16, blocks: 2, leastBlocks: 1, stride: 2 },
    ],
    kernels: [3, 5],
    expand: { least: 2, most: 4, step: 8 },
    bits: [4, 6, 8],
  };
  const training = ["joint", "train", ...data, "--space", "elastic.json", "--epochs", "4", "--samples", "24", "--quantized-samples", "20"];
  const flags = [...training, "--tune-steps", "1"];
  beforeAll(() => {
    const { candidates, zero, ...rest } = elastic;
    writeFileSync(join(dir, "elastic.json"), JSON.stringify(rest));
    fettle(...flags, "--out", "supernet");
  });

  test("a network trained once gives sub-nets within several limits of a device; the card and the file are true", () => {
    const limits = ["--device", "bitfusion", "--max-latency", "60%", "--max-energy", "70%", "--max-size", "30KB"];
    const search = ["joint", "search", "supernet", ...limits, "--generations", "20", "--epochs", "1", "--lr", "0.01", "--batch", "16"];
    const { status, stdout, stderr } = fettle(...search, "--out", "special", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { card, frontier, searchSeconds } = json(stdout);
    expect(card.constraints.map(({ name, obtained, isMet }: Record<string, unknown>) => [name, obtained, isMet])).toEqual([
      ["latency", "estimated", true],
      ["energy", "estimated", true],
      ["size", "measured", true],
    ]);
    expect(card.fileBytes).toBe(statSync(join(dir, "special", "model.onnx")).size);
    const cost = json(fettle("inspect", "special/model.onnx", "--device", "bitfusion", "--json").stdout).cost;
    expect(cost.latencyMs).toBeCloseTo(card.constraints[0].value, 9);
    expect(cost.energyMj).toBeCloseTo(card.constraints[1].value, 9);
    expect(json(fettle("evaluate", "special", "--data", "images:photos", "--json").stdout).accuracy).toBe(card.accuracy.test);
    expect(frontier.length).toBeGreaterThan(0);
    expect(searchSeconds).toBeGreaterThan(0);
  });

  test("float sub-nets for this CPU, by MACs and by measured latency", () => {
    const search = ["joint", "search", "supernet", "--device", "cpu", "--max-macs", "60%", "--max-latency", "1s", "--generations", "10"];
    const { status, stdout } = fettle(...search, "--epochs", "0", "--out", "on-cpu", "--json");
    expect(status).toBe(0);
    const { card } = json(stdout);
    expect(card.constraints).toMatchObject([
      { name: "latency", obtained: "measured", isMet: true },
      { name: "macs", obtained: "counted", isMet: true, value: card.macs },
    ]);
    expect(card.layers.every(({ weightBits }: { weightBits?: number }) => weightBits === undefined)).toBe(true);
  });

  test.each([
    [
      ["--device", "bitfusion", "--max-latency", "1%"],
      /^fettle: joint: latency must be at least \d+ us in the space tiny-elastic, got/m,
      3,
    ],
    [["--device", "cpu", "--max-latency", "0.001us"], /^fettle: joint: latency must be at least \d+ us in the space tiny-elastic, got/m, 3],
    [["--device", "bitfusion"], /^fettle: joint search: at least one of --max-latency, .* must be given, got none$/m, 2],
    [["--max-latency", "1ms"], /^fettle: joint: latency must be that of a device, got none — give one with --device$/m, 2],
    [["--device", "cpu", "--max-energy", "1mJ"], /^fettle: joint: an energy limit must be that of a simulated accelerator, got cpu/m, 2],
  ] as const)("%j is refused in one line, before anything is written", (wrong, message, code) => {
    const { status, stderr } = fettle("joint", "search", "supernet", ...wrong, "--out", "refused");
    expect(stderr).toMatch(message);
    expect(status).toBe(code);
    expect(existsSync(join(dir, "refused"))).toBe(false);
  });

  test("a folder without a supernet is no supernet", () => {
    const { status, stderr } = fettle("joint", "search", "photos", "--max-macs", "50%");
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^fettle: joint: photos must hold a trained supernet, got none — train one/),
    ]);
  });

  test("the same limit by every route: none is over it", () => {
    const compare = ["joint", "compare", "supernet", "--max-latency", "60%", "--generations", "10", "--episodes", "6"];
    const { status, stdout, stderr } = fettle(...compare, "--epochs", "1", "--lr", "0.01", "--batch", "16", "--out", "routes", "--json");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const { limit, routes } = json(stdout);
    expect(routes.map(({ name }: { name: string }) => name)).toEqual(["joint", "random", "4 bits", "8 bits", "sequential"]);
    for (const { cost, isMet, test } of routes) {
      expect(cost).toBeLessThanOrEqual(limit);
      expect(isMet).toBe(true);
      expect(test).toBeGreaterThanOrEqual(0);
    }
    expect(json(readFileSync(join(dir, "routes", "compare.json"), "utf8"))).toEqual({ kind: "latency", limit, routes, isFinished: true });
    const listed = json(fettle("runs", "routes", "--json").stdout);
    expect(listed).toMatchObject([{ command: "joint compare", isFinished: true }]);
    const again = fettle(...compare, "--epochs", "1", "--lr", "0.01", "--batch", "16", "--out", "routes", "--json", "--resume");
    expect(json(again.stdout).routes).toEqual(routes); // all are done: nothing is run again, not even timed
    const anew = fettle(...compare, "--out", "routes");
    expect(anew.stderr).toMatch(/^fettle: run: routes must be a new folder/m);
  });

  test("killed while it measures sub-nets and resumed, it ends where an uninterrupted training ends", async () => {
    await killedWhen(flags, "killed-supernet", () => stored("killed-supernet", "float samples") >= 5);
    expect(fettle(...flags, "--out", "killed-supernet", "--resume").status).toBe(0);
    expectSame("killed-supernet", "supernet", ["supernet.safetensors", "predictor.safetensors", "joint.json"]);
  });
});

test("doctor finds everything, devices lists this CPU", () => {
  const doctor = fettle("doctor", "--json");
  expect(json(doctor.stdout).filter(({ status }: { status: string }) => status === "fail")).toEqual([]);
  expect(doctor.status).toBe(0);
  expect(json(fettle("devices", "--json").stdout)[0]).toMatchObject({ device: "cpu", numbers: "measured" });
});

test("output that nobody reads to the end is no error", () => {
  const { status, stderr } = spawnSync(
    "bash",
    ["-c", `set -o pipefail; "${process.execPath}" "${main}" inspect proxyless-gpu --json | head -n 1`],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
