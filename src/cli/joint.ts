/** @file `fettle joint`: a network trained once, specialised for any device and limits in seconds (Once-for-All, APQ). */
import type { Command } from "commander";
import { registerJointCompare } from "./joint-compare.ts";
import { registerJointSearch } from "./joint-search.ts";
import { registerJointTrain } from "./joint-train.ts";
import type { CommandContext } from "./main.ts";

export function registerJoint(program: Command, context: CommandContext): void {
  const joint = program
    .command("joint")
    .description("search architecture, channels and bits together: train one network once, specialise it for any device in seconds");
  registerJointTrain(joint, context);
  registerJointSearch(joint, context);
  registerJointCompare(joint, context);
}
