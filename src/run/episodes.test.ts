/** @file Judgements of a search are kept apart from those of other policies, and none is asked for twice. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../util/clock.ts";
import { openEpisodes } from "./episodes.ts";
import { openRunFolder } from "./folder.ts";

const asked: string[] = [];
const judge = (decisions: readonly number[]) => {
  asked.push(decisions.join());
  return { accuracy: decisions[0]! / 10 };
};

function session<T>(dir: string, resume: boolean, work: (episodes: ReturnType<typeof openEpisodes>) => T): T {
  using folder = openRunFolder(dir, {}, systemClock);
  return work(openEpisodes({ folder, judge, costsOf: () => [], onBest: () => {}, episodes: 2, resume }));
}

test("a run that is gone on with knows of the search what the search had judged, and asks for nothing again", () => {
  const dir = mkdtempSync(join(tmpdir(), "fettle-episodes-"));
  session(dir, false, ({ judged, judgedBeside }) => {
    judged([1, 2]);
    judgedBeside([9, 9]);
    judgedBeside([1, 2]);
  });
  session(dir, true, ({ judged, judgedBeside, known, all, accuracyOf }) => {
    expect([...known.keys()]).toEqual(["1,2"]);
    expect(all().map(({ decisions }) => decisions)).toEqual([
      [1, 2],
      [9, 9],
    ]);
    expect(accuracyOf([9, 9])).toBe(0.9);
    expect(accuracyOf([3, 3])).toBeUndefined();
    judgedBeside([9, 9]);
    // the search comes by it after all
    judged([9, 9]);
    expect([...known.keys()]).toEqual(["1,2", "9,9"]);
    expect(all()).toHaveLength(2);
  });
  expect(asked).toEqual(["1,2", "9,9"]);
});
