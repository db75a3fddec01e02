#!/usr/bin/env python3
"""Runs `nashost bench train` and peers on the same step, in alternation, and prints ratios.

    bench/compare.py [--rounds 5] [--steps 20] [--threads 2] [--python PYTHON]... [--json]

Before anything is timed a peer computes the losses of the golden subnets from the golden weights and
images, which nashost's own tests compute as well; one that finds others is an error. A PYTHON is an
interpreter with another PyTorch. Debian's (/usr/bin/python3, python3-torch) is always there.
The machine must be idle otherwise; cpu_ms_per_step suffers less than ms_per_step if it is not.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIELDS = ["ms_per_step", "cpu_ms_per_step", "peak_rss_bytes"]


def run(words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def contestants(options):
    common = ["--threads", options.threads]
    ours = [options.nashost, "bench", "train", "--json", "--rounds", options.steps, *common]
    yield "nashost", ours
    for python in ["/usr/bin/python3", *options.python]:
        script = [python, ROOT / "bench" / "torch_step.py"]
        run([*script, "--check"])
        yield "PyTorch of " + python, [*script, "--steps", options.steps, *common]


def table(results):
    ours = results["nashost"]
    print(f"{'':32}{'ms/step':>10}{'min':>9}{'max':>9}{'CPU ms':>9}{'MiB':>8}   ratios to nashost: time, CPU, memory")
    for name, runs in results.items():
        middle = {f: statistics.median(r[f] for r in runs) for f in FIELDS}
        pairs = [[r[f] / o[f] for r, o in zip(runs, ours)] for f in FIELDS]
        ratios = ", ".join(f"{statistics.median(p):.2f} ({min(p):.2f} to {max(p):.2f})" for p in pairs)
        low, high = min(r["ms_min"] for r in runs), max(r["ms_max"] for r in runs)
        print(
            f"{name:32}{middle['ms_per_step']:10.1f}{low:9.1f}{high:9.1f}"
            f"{middle['cpu_ms_per_step']:9.1f}{middle['peak_rss_bytes'] / 2**20:8.0f}   {ratios}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", action="append", default=[])
    parser.add_argument("--nashost", default=ROOT / "nashost")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    all_of_them = list(contestants(options))
    results = {name: [] for name, _ in all_of_them}
    for _ in range(options.rounds):
        for name, words in all_of_them:
            results[name].append(run(words))
    if options.json:
        print(json.dumps(results))
    else:
        table(results)


if __name__ == "__main__":
    main()
