#!/usr/bin/env python3
"""Costs of an int8 .tflite file on Arm's Ethos-U, from the report of its compiler, Vela.

    tools/measure-vela.py net.int8.tflite [--accelerator ethos-u55-128] [--all] [-- VELA'S OPTIONS]

Prints what nashost's hardware plugin `command` wants: `latency_ms` by Vela's model of the accelerator,
`peak_bytes` (SRAM), `flash_bytes`, and beside them `cycles` and `npu_share`, the share of operators that
the accelerator runs. With --all a network of which something is left to the CPU is infeasible. `vela`
(the Python package ethos-u-vela) must be in PATH.
"""
import argparse
import csv
import json
import pathlib
import re
import subprocess
import sys
import tempfile


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--accelerator", default="ethos-u55-128", help="(ethos-u55-128)")
    p.add_argument("--all", action="store_true", help="all operators must run on the accelerator")
    p.add_argument("more", nargs="*", help="such as --config FILE --system-config NAME")
    return p.parse_args()


def compile_model(args, folder):
    try:
        done = subprocess.run(["vela", args.model, "--accelerator-config", args.accelerator,
                               "--output-dir", folder, *args.more], capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit("tools/measure-vela.py: there is no vela in PATH; pip install ethos-u-vela")
    if done.returncode:
        sys.exit(f"tools/measure-vela.py: vela: {(done.stdout + done.stderr)[-1500:]}")
    return done.stdout


def operators(text, where):
    """How many operators run there, by Vela's report."""
    found = re.search(rf"{where} operators = (\d+)", text)
    if not found:
        sys.exit(f"tools/measure-vela.py: expected a number of {where} operators from vela, found "
                 f"none: {text[-1500:]}")
    return int(found[1])


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        text = compile_model(args, folder)
        summary, = pathlib.Path(folder).glob("*_summary_*.csv")
        with open(summary) as file:
            row = next(csv.DictReader(file))
    cpu, npu = operators(text, "CPU"), operators(text, "NPU")
    if args.all and cpu:
        print(json.dumps({"infeasible": f"{cpu} of {cpu + npu} operators are left to the CPU"}))
        return
    flash = float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
    print(json.dumps({"latency_ms": 1000 * float(row["inference_time"]),
                      "peak_bytes": round(1024 * float(row["sram_memory_used"])),
                      "flash_bytes": round(1024 * flash),
                      "cycles": round(float(row["cycles_total"])),
                      "npu_share": npu / (cpu + npu)}))


if __name__ == "__main__":
    main()
