/**
 * @file Figures of a run's report as files, for pages that show them: black on white, since they take no colour from where they stand.
 *
 *   node scripts/evidence/pictures.ts runs/optimize/report.html docs/results/optimize-cpu
 *
 * Writes docs/results/optimize-cpu-TITLE.svg for every figure and prints the names.
 */
import { readFileSync } from "node:fs";
import { parseHTML } from "linkedom";
import { writeFileAtomic } from "../../src/util/files.ts";

const [report, prefix] = process.argv.slice(2);
if (!report || !prefix) throw new Error("pictures: a report and what names begin with must be given");
const { document } = parseHTML(readFileSync(report, "utf8"));
for (const section of document.querySelectorAll("section")) {
  const svg = section.querySelector("svg");
  if (!svg) continue;
  const title = section.querySelector("h2")!.textContent!;
  const path = `${prefix}-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.svg`;
  const style = svg.getAttribute("style") ?? "";
  svg.setAttribute("style", style.replace(/background:\s*transparent/, "background:white"));
  writeFileAtomic(path, `${svg.outerHTML}\n`);
  console.log(path);
}
