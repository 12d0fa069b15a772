/** @file `fettle report`: a run as one HTML page. */
import { join } from "node:path";
import type { Command } from "commander";
import { examples, withJson } from "./options.ts";
import { print, printJson } from "./output.ts";

export function registerReport(program: Command): void {
  withJson(program.command("report").description("a run as one HTML page with its figures, which asks for nothing from anywhere"))
    .argument("<run>", "run folder")
    .option("--out <file>", "where to write it (default: report.html in the run folder)")
    .addHelpText("after", examples(["report runs/prune", "report runs/quantize --out policy.html"]))
    .action(async (run: string, flags: { readonly out?: string; readonly json?: true }) => {
      const [{ readRunData }, { reportHtml, reportSections }, { writeFileAtomic }] = await Promise.all([
        import("../report/run-data.ts"),
        import("../report/report.ts"),
        import("../util/files.ts"),
      ]);
      const data = readRunData(run);
      const path = flags.out ?? join(run, "report.html");
      writeFileAtomic(path, reportHtml(data));
      if (flags.json) return printJson({ path, sections: reportSections(data).map(({ title }) => title) });
      print(`saved ${path}`);
    });
}
