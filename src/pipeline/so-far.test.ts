import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { unlessOutOfReach } from "./so-far.ts";

test("what is out of reach is told and left; any other error is the run's", async () => {
  const notes: string[] = [];
  const settings = { onNote: (text: string) => void notes.push(text) };
  const failing = (code: "INFEASIBLE" | "NOT_REACHED" | "STORE") => () => Promise.reject(new AppError(code, `prune: ${code}`));
  expect(await unlessOutOfReach(async () => 3, settings)).toBe(3);
  expect(await unlessOutOfReach(failing("INFEASIBLE"), settings)).toBeNull();
  expect(await unlessOutOfReach(failing("NOT_REACHED"), settings)).toBeNull();
  expect(notes).toEqual(["the run ends with what it has: prune: INFEASIBLE", "the run ends with what it has: prune: NOT_REACHED"]);
  await expect(unlessOutOfReach(failing("STORE"), settings)).rejects.toThrow("prune: STORE");
});
