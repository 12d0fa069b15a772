/** @file The folder for what can be made again but takes long. */
import envPaths from "env-paths";

/** Of this user, by the system's rules (XDG_CACHE_HOME on Linux). */
export const defaultCacheDir = (): string => envPaths("fettle", { suffix: "" }).cache;
