/** @file The machine's own Chromium, for tests. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export const hasBrowser = executablePath !== undefined;
/** Of a group of tests: which browser, or why none runs. */
export const inBrowser = `in a browser (${executablePath ?? "skipped: no Chromium is installed — apt install chromium"})`;

export const openBrowser = () => chromium.launch({ executablePath: executablePath!, args: ["--no-sandbox"] });
