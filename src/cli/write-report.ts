/** @file report.html of a run that has ended. */
import { join } from "node:path";
import type { RunData } from "../report/run-data.ts";

/** @returns what the run told, and where its page is @throws AppError CONFIG for a folder that holds no run, STORE */
export async function writeReport(
  dir: string,
  path = join(dir, "report.html"),
): Promise<{ readonly data: RunData; readonly path: string }> {
  const [{ readRunData }, { reportHtml }, { writeFileAtomic }] = await Promise.all([
    import("../report/run-data.ts"),
    import("../report/report.ts"),
    import("../util/files.ts"),
  ]);
  const data = readRunData(dir);
  writeFileAtomic(path, reportHtml(data));
  return { data, path };
}
