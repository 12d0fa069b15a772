/** @file `fettle devices`: what can be searched for. */
import { cpus } from "node:os";
import type { Command } from "commander";
import { type CommonFlags, examples, withJson } from "./options.ts";
import { print, printJson, table } from "./output.ts";

export function registerDevices(program: Command): void {
  withJson(program.command("devices").description("list the devices that networks can be searched for"))
    .addHelpText("after", examples(["devices", "devices --json"]))
    .action(({ json }: CommonFlags) => {
      const devices = [
        {
          device: "cpu",
          numbers: "measured",
          description: `this machine: ${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${cpus().length} cores, through ONNX Runtime`,
        },
        {
          device: "bitfusion",
          numbers: "simulated",
          description: "Bit Fusion, 16x32 fusion units, 500 MHz, batch 1: latency and energy at 2 to 8 bits",
        },
        { device: "bismo-edge", numbers: "simulated", description: "BISMO on a Zynq-7020, bit-serial, batch 1: latency at 1 to 8 bits" },
        {
          device: "bismo-cloud",
          numbers: "simulated",
          description: "BISMO on a VU9P, bit-serial: latency of a batch of 16 at 1 to 8 bits",
        },
        {
          device: "FILE.json",
          numbers: "table",
          description: 'your own table: { "format": "fettle-table-1", "name": …, "latencyMs": { operator key: ms } }',
        },
        { device: "FILE.yaml", numbers: "table", description: "a latency table in the format of ProxylessNAS and Once-for-All" },
      ];
      if (json) printJson(devices);
      else
        print(
          table(
            ["device", "numbers", "description"],
            devices.map(({ device, numbers, description }) => [device, numbers, description]),
          ),
        );
    });
}
