/** @file Finds and loads the oneDNN shared library, and says what to do when it cannot be used. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { AppError } from "../errors.ts";

export type NativeLibrary = ReturnType<typeof koffi.load>;

export interface OneDnnLibrary {
  readonly path: string;
  readonly version: { readonly major: number; readonly minor: number; readonly patch: number };
  readonly library: NativeLibrary;
}

export const INSTALL_HINT =
  "install it with `sudo apt-get install libdnnl2` (Debian 12), `sudo apt-get install libdnnl3.6` (Debian 13), `sudo dnf install onednn`, `brew install onednn` or `conda install -c conda-forge onednn`";

const RTLD_NOW = 0x2;
const RTLD_NODELETE = process.platform === "darwin" ? 0x80 : 0x1000;
const OLDEST_MINOR_OF_2 = 6;

function searchFolders(): string[] {
  const multiarch = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const conda = process.env.CONDA_PREFIX;
  const folders = [`/usr/lib/${multiarch}`, "/usr/lib64", "/usr/local/lib", "/usr/lib", "/opt/homebrew/lib"];
  return conda ? [join(conda, "lib"), ...folders] : folders;
}

/** Full paths of oneDNN libraries on this machine, newest API generation first. */
export function findLibraries(folders: readonly string[] = searchFolders()): string[] {
  const pattern = /^libdnnl(\.so\.([23])(\.\d+)*|\.([23])(\.\d+)*\.dylib)$/;
  const found: { path: string; major: number }[] = [];
  for (const folder of folders) {
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder).sort((a, b) => a.length - b.length)) {
      const match = pattern.exec(file);
      if (match) found.push({ path: join(folder, file), major: Number(match[2] ?? match[4]) });
    }
  }
  return found.sort((a, b) => b.major - a.major).map(({ path }) => path);
}

/** Throws unless the CPU's feature flags (text of /proc/cpuinfo) include AVX2; other architectures than x86-64 pass. */
export function requireAvx2(cpuInfo: string, arch: string = process.arch): void {
  if (arch !== "x64") return;
  if (!/\bavx2\b/.test(cpuInfo)) {
    throw new AppError("BACKEND", "engine: the CPU must have AVX2, got one without it — train on a machine from 2015 or later");
  }
}

/** Widest vector unit of the CPU, which decides the activation layout: 16 floats with AVX-512, 8 otherwise. */
export function channelBlock(cpuInfo: string): 8 | 16 {
  return /\bavx512f\b/.test(cpuInfo) && /\bavx512bw\b/.test(cpuInfo) && /\bavx512dq\b/.test(cpuInfo) ? 16 : 8;
}

export function readCpuInfo(): string {
  return existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "avx2";
}

/** Keeps the library mapped until the process is gone: OpenMP threads still spin in it when koffi unloads at exit. */
function pin(path: string): void {
  const system = process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6";
  const dlopen = koffi.load(system).func("void *dlopen(const char *file, int flag)");
  for (const file of process.platform === "linux" ? ["libgomp.so.1", path] : [path]) dlopen(file, RTLD_NOW | RTLD_NODELETE);
}

/**
 * Loads oneDNN from `path`, or from the first usable place.
 *
 * @throws AppError BACKEND when it is missing, older than 2.6, or when the CPU lacks AVX2
 */
export function loadLibrary(path?: string): OneDnnLibrary {
  requireAvx2(readCpuInfo());
  const candidates = path === undefined ? findLibraries() : [path];
  if (candidates.length === 0) throw new AppError("BACKEND", `engine: oneDNN 2.6 or newer must be installed, found none — ${INSTALL_HINT}`);
  const problems: string[] = [];
  for (const file of candidates) {
    try {
      return open(file);
    } catch (error) {
      problems.push(error instanceof AppError ? error.message : `${file}: ${(error as Error).message}`);
    }
  }
  throw new AppError("BACKEND", `engine: oneDNN 2.6 or newer must load, got ${problems.join("; ")} — ${INSTALL_HINT}`);
}

function open(path: string): OneDnnLibrary {
  if (!existsSync(path)) throw new AppError("BACKEND", `${path} does not exist`);
  pin(path);
  const library = koffi.load(path);
  const info = library.func("size_t dnnl_version()")() as number;
  const [major, minor, patch] = new Int32Array(koffi.view(BigInt(info), 12)) as unknown as [number, number, number];
  checkVersion(path, major, minor);
  return { path, version: { major, minor, patch }, library };
}

/** @throws AppError BACKEND for versions that the bindings do not know */
export function checkVersion(path: string, major: number, minor: number): void {
  if ((major === 2 && minor >= OLDEST_MINOR_OF_2) || major === 3) return;
  throw new AppError("BACKEND", `${path} is oneDNN ${major}.${minor}, supported are 2.${OLDEST_MINOR_OF_2} to 3.x`);
}
