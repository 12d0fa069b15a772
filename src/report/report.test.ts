import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasBrowser, inBrowser, openBrowser } from "../../test/browser.ts";
import { openStore } from "../run/store.ts";
import { blocksOfLayers } from "./architecture-figure.ts";
import { frontsOf } from "./fronts.ts";
import { escapeHtml, pageHtml, tableHtml } from "./html.ts";
import { reportHtml, reportSections } from "./report.ts";
import { readRunData } from "./run-data.ts";

const layer = (name: string, channels: number, params: number) => ({
  name,
  op: "conv",
  output: [channels, 8, 8],
  macs: 64 * params,
  params,
});
const card = {
  network: "<net>",
  input: { shape: ["N", 3, 32, 32] },
  classes: ["a", "b"],
  accuracy: { test: 0.5, testImages: 10, obtained: "measured" },
  latency: { p50Ms: 0.2, p95Ms: 0.3, device: "cpu", threads: 1 },
  constraints: [{ name: "latency", unit: "ms", limit: 0.3, value: 0.2, obtained: "estimated", isMet: true }],
  macs: 1e6,
  params: 1e4,
  fileBytes: 4e4,
  peakActivationBytes: 1e4,
  layers: [layer("stage1.block1.depthwise.conv", 16, 16 * 25), layer("stage1.block1.project.conv", 8, 128)],
  seed: 0,
};
const policies = {
  original: { validation: 0.9, test: 0.9 },
  policies: [
    { name: "haq", costs: [0.2], validation: 0.7, test: 0.6, tuned: { validation: 0.8, test: 0.79 } },
    { name: "uniform", costs: [0.25], validation: 0.6, test: 0.6, tuned: { validation: 0.75, test: 0.7 } },
  ],
};
const policy = {
  groups: [{ name: "g", channels: 10, kept: 4 }],
  layers: [{ name: "stage1.block1.depthwise.conv", weightBits: 4, activationBits: 8 }],
};
const episodes = Array.from({ length: 5 }, (_, i) => ({
  episode: i,
  accuracy: 0.5 + 0.05 * i,
  reward: 1,
  noise: i < 2 ? null : 0.5,
  isBest: true,
  costs: [0.1 + 0.02 * i],
}));

/** A run folder with these files. */
function runFolder(files: Readonly<Record<string, unknown>>): string {
  const dir = mkdtempSync(join(tmpdir(), "fettle-report-"));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), typeof content === "string" ? content : JSON.stringify(content));
  return dir;
}
const whole = runFolder({
  "config.json": { command: "quantize", data: "images:<x>" },
  "card.json": card,
  "policies.json": policies,
  "policy.json": policy,
  "frontier.json": {
    cost: "latency",
    frontier: [
      { accuracy: 0.7, cost: 0.1 },
      { accuracy: 0.8, cost: 0.2 },
    ],
  },
  "layers.json": { device: "bitfusion", unit: "ms", layers: [{ name: "a", before: 0.2, after: null }] },
});
{
  using store = openStore(whole);
  for (const data of [...episodes, episodes[4]!]) store.addEvent(new Date(0), "episode", data);
  store.addEvent(new Date(0), "other", {});
}

describe("a report", () => {
  test("has a section for everything that the folder has, and none for what it has not", () => {
    const titles = (dir: string) => reportSections(readRunData(dir)).map(({ title }) => title);
    expect(titles(whole)).toEqual([
      "Limits",
      "The model",
      "Accuracy and latency",
      "Beside simpler rules",
      "Architecture",
      "Channels",
      "Bits",
      "Cost of every layer",
      "The search",
    ]);
    expect(titles(runFolder({ "config.json": {}, "card.json": { ...card, constraints: [], layers: [] } }))).toEqual(["The model"]);
    expect(titles(runFolder({ "config.json": {} }))).toEqual([]);
  });

  test("of several stages sets what all of them tried beside each of the run's limits", () => {
    const tried = (name: string, ...costs: number[]) => ({
      "card.json": { ...card, constraints: [{ ...card.constraints[0], name }] },
      costs,
    });
    const dir = runFolder({
      "config.json": {},
      "card.json": { ...card, constraints: ["latency", "size"].map((name) => ({ ...card.constraints[0], name, limit: 0.3 })) },
      "stages.json": { stages: ["pruned", "quantized"], isCancelled: false },
    });
    for (const [stage, { costs, ...files }] of Object.entries({ pruned: tried("latency", 0.5, 0.4), quantized: tried("latency", 0.3) })) {
      cpSync(runFolder({ "config.json": {}, ...files, "policies.json": policies }), join(dir, stage), { recursive: true });
      using store = openStore(join(dir, stage));
      for (const [episode, cost] of costs.entries())
        store.addEvent(new Date(0), "episode", { ...episodes[0], episode, accuracy: cost, costs: [cost] });
    }
    const [front, ...others] = frontsOf(readRunData(dir), (stage) => stage.toUpperCase());
    expect(others).toEqual([]); // no stage tells sizes
    expect(front).toMatchObject({ name: "latency", limit: 0.3, chosen: null });
    expect(front!.tried.map(({ cost }) => cost)).toEqual([0.5, 0.4, 0.3]);
    expect(front!.front).toHaveLength(3);
    expect(front!.trained.map(({ name }) => name)).toEqual(["pruned: haq", "pruned: uniform", "quantized: haq", "quantized: uniform"]);
  });

  test("counts episodes once that a resumed run repeated", () => {
    expect(readRunData(whole).episodes.map(({ episode }) => episode)).toEqual([0, 1, 2, 3, 4]);
  });

  test("escapes what it is given, and names no address", () => {
    const html = reportHtml(readRunData(whole));
    expect(html).not.toContain("<net>");
    expect(html).toContain("&lt;net&gt;");
    expect(html.replaceAll("http://www.w3.org/2000/svg", "").replaceAll("http://www.w3.org/1999/xlink", "")).not.toMatch(
      /https?:|src=|@import|url\(/,
    );
    expect(escapeHtml(`<a href="x">'&`)).toBe("&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
  });

  test("says what is wrong with a folder", () => {
    expect(() => readRunData(runFolder({}))).toThrow(/^report: .* must be the folder of a run, got no config\.json$/);
    expect(() => readRunData(runFolder({ "config.json": {}, "card.json": "{" }))).toThrow(/^report: .*card\.json must be JSON, got /);
    expect(() => readRunData(runFolder({ "config.json": {}, "card.json": { ...card, macs: "many" } }))).toThrow(
      /must be a run's, got macs: /,
    );
  });

  test("draws blocks by the channels and kernels of their depthwise convolutions", () => {
    expect(blocksOfLayers(card.layers)).toEqual([{ name: "stage1.block1", stage: 1, kernel: 5, channels: 16 }]);
  });

  test("sets columns of numbers to the right", () => {
    expect(
      tableHtml(
        ["name", "n"],
        [
          ["a", "1"],
          ["b", "-2.5"],
        ],
      ),
    ).toContain('<td>b</td><td class="n">-2.5</td>');
    expect(tableHtml(["n"], [["1"], ["x"]])).not.toContain('class="n"');
  });
});

describe.skipIf(!hasBrowser)(inBrowser, () => {
  test("a report shows its figures in light and in dark, and asks for nothing from anywhere", async () => {
    const opened = await openBrowser();
    try {
      for (const colorScheme of ["light", "dark"] as const) {
        const page = await opened.newPage({ colorScheme });
        const requests: string[] = [];
        const errors: string[] = [];
        page.on("request", (request) => requests.push(request.url()));
        page.on("pageerror", (error) => errors.push(error.message));
        await page.setContent(reportHtml(readRunData(whole)));
        expect(await page.locator("svg").count()).toBeGreaterThanOrEqual(6);
        for (const svg of await page.locator("svg").all()) {
          const box = (await svg.boundingBox())!;
          expect(box.width * box.height).toBeGreaterThan(1000);
        }
        const luminance = (css: string) =>
          css
            .match(/[\d.]+/g)!
            .slice(0, 3)
            .reduce((sum, v) => sum + Number(v), 0) / 765;
        const colours: string = await page.evaluate(
          "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor].join('|')",
        );
        const [text, background] = colours.split("|");
        expect(Math.abs(luminance(text!) - luminance(background!))).toBeGreaterThan(0.7);
        expect([requests, errors]).toEqual([[], []]);
        await page.close();
      }
    } finally {
      await opened.close();
    }
  });
});

test("a page is whole without sections", () => {
  expect(pageHtml("t", "s", [])).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/);
});
