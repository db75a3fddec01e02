#!/usr/bin/env python3
"""Runs `nashost bench` and peers on the same work, in alternation, and prints ratios.

    bench/peers/compare.py [--what train eval] [--rounds 5] [--steps N] [--threads 2]
                           [--python PYTHON]... [--compile PYTHON]... [--jax PYTHON]... [--json]

train is a training step, eval calibrates and evaluates a subnet. Before anything is timed a peer
computes from the golden weights and images what nashost's own tests compute as well; one that finds
something else is an error. A PYTHON is an interpreter with another PyTorch, one whose torch.compile
is to be used (train alone), or one with JAX (train alone). Debian's PyTorch (/usr/bin/python3,
python3-torch) is always there.
The machine must be idle otherwise; cpu_ms_per_step suffers less than ms_per_step if it is not.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The peers' scripts, and steps in a round.
WORK = {"train": ("torch_step.py", 20), "eval": ("torch_eval.py", 5)}
FIELDS = ["ms_per_step", "cpu_ms_per_step", "peak_rss_bytes"]


def run(words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def peers(what, script, options):
    for python in ["/usr/bin/python3", *options.python]:
        yield "PyTorch of " + python, python, HERE / script
    if what != "train":
        return
    for python in options.compile:
        yield "torch.compile of " + python, python, HERE / script, "--compile"
    for python in options.jax:
        yield "JAX of " + python, python, HERE / "jax_step.py"


def contestants(what, options):
    script, steps = WORK[what]
    steps = options.steps or steps
    common = ["--threads", options.threads]
    ours = [options.nashost, "bench", what, "--json", "--rounds", steps, *common]
    yield "nashost", ours
    for name, *peer in peers(what, script, options):
        run([*peer, "--check"])
        yield name, [*peer, "--steps", steps, *common]


def table(what, results):
    ours = results["nashost"]
    print(f"{what:32}{'ms/step':>10}{'min':>9}{'max':>9}{'CPU ms':>9}{'MiB':>8}   ratios to nashost: time, CPU, memory")
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
    parser.add_argument("--what", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="in a round: train 20, eval 5")
    parser.add_argument("--threads", type=int, default=2)
    for other in ["--python", "--compile", "--jax"]:
        parser.add_argument(other, action="append", default=[], metavar="PYTHON")
    parser.add_argument("--nashost", default=ROOT / "nashost")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    commands = {what: dict(contestants(what, options)) for what in options.what}
    results = {what: {name: [] for name in all_of_them} for what, all_of_them in commands.items()}
    for _ in range(options.rounds):
        for what, all_of_them in commands.items():
            for name, command in all_of_them.items():
                results[what][name].append(run(command))
    if options.json:
        print(json.dumps(results))
        return
    for what in options.what:
        table(what, results[what])


if __name__ == "__main__":
    main()
