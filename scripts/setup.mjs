/**
 * @file Installs what is missing: npm dependencies, oneDNN, Fashion-MNIST. Plain JavaScript for Node 20 and newer, without
 * dependencies, because it runs before anything is installed. Quick when nothing is missing.
 *
 *   node scripts/setup.mjs [--need-data]
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const node = join(root, "node_modules", ".bin", "node");
const FASHION_MNIST = "/usr/share/datasets/fashion-mnist";
const needsData = process.argv.includes("--need-data");

const say = (text) => console.error(`setup: ${text}`);
function fail(text) {
  console.error(`setup: ${text}`);
  process.exit(1);
}
const run = (command, args, options = {}) => spawnSync(command, args, { cwd: root, encoding: "utf8", ...options });

function npmDependencies() {
  const lock = join(root, "package-lock.json");
  const installed = join(root, "node_modules", ".package-lock.json");
  const isCurrent = existsSync(installed) && existsSync(node) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs;
  if (!isCurrent) {
    say("installing npm dependencies");
    // onnxruntime-node ships its CPU library; its install script would only look for CUDA files on the network.
    const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
    const { status, stdout, stderr } = run("npm", ["ci", "--no-audit", "--no-fund"], { env });
    if (status !== 0) fail(`npm ci must succeed, got:\n${stdout}\n${stderr}`);
  }
  const version = run(node, ["--version"]).stdout?.trim() ?? "none";
  if (!(Number(/^v(\d+)/.exec(version)?.[1]) >= 24)) {
    fail(
      `node_modules/.bin/node must be Node 24 or newer, got ${version} — run \`npm rebuild node\` (its install script brings the binary)`,
    );
  }
  say(`Node ${version.slice(1)}`);
}

function hasOneDnn() {
  const folders = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib",
    "/opt/homebrew/lib",
  ];
  if (process.env.CONDA_PREFIX) folders.unshift(join(process.env.CONDA_PREFIX, "lib"));
  return folders.some(
    (folder) => existsSync(folder) && readdirSync(folder).some((file) => /^libdnnl(\.so\.[23]|\.[23].*\.dylib)/.test(file)),
  );
}

/** How root commands are run here, or null when they cannot be. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return run("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : null;
}

const hasApt = () => run("apt-get", ["--version"]).status === 0;

/** Installs Debian packages, or returns why it could not. */
function aptInstall(choosePackages) {
  if (!hasApt()) return "this system has no apt";
  const prefix = rootPrefix();
  if (!prefix) return "neither root nor password-less sudo is available";
  const sudo = (args) => {
    const [command, ...rest] = [...prefix, ...args];
    return run(command, rest, { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  };
  sudo(["apt-get", "update"]);
  const packages = choosePackages();
  say(`installing ${packages.join(" ")}`);
  const { status, stderr } = sudo(["apt-get", "install", "-y", "--no-install-recommends", ...packages]);
  return status === 0 ? null : `apt-get failed: ${stderr.trim().split("\n").at(-1)}`;
}

/** The newest libdnnl that this release has: libdnnl2 on Debian 12, libdnnl3.6 on 13. */
function oneDnnPackage() {
  const { stdout = "" } = run("apt-cache", ["search", "--names-only", "^libdnnl[0-9.]+$"]);
  const names = stdout
    .split("\n")
    .map((line) => line.split(" ")[0])
    .filter(Boolean);
  const version = (name) => Number(name.replace("libdnnl", ""));
  return names.sort((a, b) => version(b) - version(a))[0] ?? "libdnnl2";
}

function oneDnn() {
  if (hasOneDnn()) return say("oneDNN found");
  const problem = aptInstall(() => [oneDnnPackage()]);
  if (problem || !hasOneDnn()) {
    fail(
      `oneDNN must be installed, got none (${problem ?? "the library is still missing"}) — run one of\n` +
        "  sudo apt-get install libdnnl2        (Debian 12; libdnnl3.6 on Debian 13)\n" +
        "  sudo dnf install onednn\n  brew install onednn\n  conda install -c conda-forge onednn",
    );
  }
  say("oneDNN installed");
}

function fashionMnist() {
  if (existsSync(FASHION_MNIST)) return say("Fashion-MNIST found");
  const problem = aptInstall(() => ["dataset-fashion-mnist"]);
  if (existsSync(FASHION_MNIST)) return say("Fashion-MNIST installed");
  const text = `Fashion-MNIST is missing (${problem}) — \`sudo apt-get install dataset-fashion-mnist\` on Debian; elsewhere put its four IDX files in a folder and use --data idx:DIR`;
  if (needsData) fail(text);
  say(text);
}

npmDependencies();
oneDnn();
fashionMnist();
