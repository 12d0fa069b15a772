/** @file `fettle report`: a run as one HTML page. */
import type { Command } from "commander";
import { examples, withJson } from "./options.ts";
import { print, printJson } from "./output.ts";
import { writeReport } from "./write-report.ts";

export function registerReport(program: Command): void {
  withJson(program.command("report").description("a run as one HTML page with its figures, which asks for nothing from anywhere"))
    .argument("<run>", "run folder")
    .option("--out <file>", "where to write it (default: report.html in the run folder)")
    .addHelpText("after", examples(["report runs/prune", "report runs/quantize --out policy.html"]))
    .action(async (run: string, flags: { readonly out?: string; readonly json?: true }) => {
      const [{ data, path }, { reportSections }] = await Promise.all([writeReport(run, flags.out), import("../report/report.ts")]);
      if (flags.json) return printJson({ path, sections: reportSections(data).map(({ title }) => title) });
      print(`saved ${path}`);
    });
}
