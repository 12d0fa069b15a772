import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openRunFolder } from "./folder.ts";
import { listRuns, summariseRun } from "./list.ts";
import { clearFolder } from "./replace.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "fettle-list-"));
const at = (minute: number) => ({ nowMs: () => 0, now: () => new Date(Date.UTC(2026, 0, 1, 12, minute)) });
const config = (net: string) => ({ command: "train", net });

test("runs are listed by when they were begun, not by when they were gone on with", () => {
  const root = newFolder();
  const open = (name: string, minute: number) => openRunFolder(join(root, name), config(name), at(minute))[Symbol.dispose]();
  open("first", 1);
  open("second", 2);
  open("first", 3);
  const listed = () => listRuns(root).map(({ dir, begun }) => [dir.slice(root.length + 1), begun.slice(11, 16)]);
  expect(listed()).toEqual([
    ["second", "12:02"],
    ["first", "12:01"],
  ]);
  clearFolder(join(root, "first"));
  open("first", 4);
  expect(listed()[0]).toEqual(["first", "12:04"]);
});

test("a run is finished when it says so, not when it has saved something", () => {
  const dir = newFolder();
  const isFinished = () => summariseRun(dir).isFinished;
  {
    using run = openRunFolder(dir, config("a"), at(0));
    run.writeJson("card.json", {});
    expect(isFinished()).toBe(false);
    run.finish();
    expect(isFinished()).toBe(true);
  }
  using _again = openRunFolder(dir, config("a"), at(1));
  expect(isFinished()).toBe(false);
});

test("of runs that did not write it down it is told from their files", () => {
  const dir = newFolder();
  writeFileSync(join(dir, "config.json"), JSON.stringify(config("a")));
  expect(summariseRun(dir)).toMatchObject({ isFinished: false, begun: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) });
  writeFileSync(join(dir, "card.json"), "{}");
  expect(summariseRun(dir).isFinished).toBe(true);
});
