#!/usr/bin/env python3
"""Runs `nashost bench` and peers on the same work, in alternation, and prints ratios.

    bench/peers/compare.py [--what train eval] [--pipeline FILE] [--set KEY=VALUE ...]
                           [--rounds 5] [--steps N] [--threads 2] [--python PYTHON]...
                           [--compile PYTHON]... [--autocast PYTHON]... [--jax PYTHON]... [--json]

train is a training step, eval calibrates and evaluates a subnet, both of the pipeline's space, or of
pipelines/bench.json, the quickstart's. cloud-64.json, cloud-96.json and ofa-mbv3-224.json, beside this
script, are larger ones. Before anything is timed, nashost writes weights, images, subnets and what
comes out, and each peer computes from the same what should be the same: a step's loss and gradient, or
logits of four calibrated subnets. One that finds something else is an error.
A PYTHON is an interpreter with another PyTorch, one whose torch.compile or whose autocast to bfloat16
is to be used (train alone), or one with JAX (train of the quickstart alone). Debian's PyTorch
(/usr/bin/python3, python3-torch) is always there.
The machine must be idle otherwise; cpu_ms_per_step suffers less than ms_per_step if it is not.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The peers' scripts, and steps in a round.
WORK = {"train": ("torch_step.py", 20), "eval": ("torch_eval.py", 5)}
FIELDS = ["ms_per_step", "cpu_ms_per_step", "peak_rss_bytes"]
# Of random weights, which are sure of nothing: with it, unlabelled images count in what is checked.
SURE = "train.ssl.options.threshold=0.15"


def run(words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit status {done.returncode}\n{done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def nashost(what, options, *words, settings=()):
    """A command; --set takes all words that follow it."""
    file = [options.pipeline] if options.pipeline else []
    settings = [*options.set, *settings]
    words = ["bench", what, *file, "--json", "--threads", options.threads, *words]
    return [options.nashost, *words, *(["--set", *settings] if settings else [])]


def write_work(what, options, folder):
    path = pathlib.Path(folder) / (what + ".safetensors")
    settings = [SURE] if what == "train" else []
    return path, run(nashost(what, options, "--out", path, settings=settings))["space"]


def torch_peers(what, options):
    for python in ["/usr/bin/python3", *options.python]:
        yield "PyTorch of " + python, [python], []
    if what != "train":
        return
    for python in options.compile:
        yield "torch.compile of " + python, [python], ["--compile"]
    for python in options.autocast:
        yield "autocast of " + python, [python], ["--autocast"]


def contestants(what, options, folder):
    script, steps = WORK[what]
    words = ["--steps", options.steps or steps, "--threads", options.threads]
    path, space = write_work(what, options, folder)
    yield "nashost", nashost(what, options, "--rounds", options.steps or steps)
    for name, python, more in torch_peers(what, options):
        peer = [*python, HERE / script, "--work", path]
        # bfloat16 is too coarse to compare; the same network in float32 is compared instead.
        found = run([*peer, *(m for m in more if m != "--autocast"), "--check"])
        print(f"{what}: {name} computes the same: {json.dumps(found)}", file=sys.stderr)
        yield name, [*peer, *more, *words]
    for python in options.jax if what == "train" else []:
        if space != "quickstart":
            sys.exit(f"--jax: the JAX peer knows the space quickstart alone, not {space}")
        run([python, HERE / "jax_step.py", "--check"])
        yield "JAX of " + python, [python, HERE / "jax_step.py", *words]


def table(what, results):
    ours = results["nashost"]
    title = f"{what} of {ours[0]['space']}"
    print(f"{title:32}{'ms/step':>10}{'min':>9}{'max':>9}{'CPU ms':>9}{'MiB':>8}   ratios to nashost: time, CPU, memory")
    for name, runs in results.items():
        middle = {f: statistics.median(r[f] for r in runs) for f in FIELDS}
        pairs = [[r[f] / o[f] for r, o in zip(runs, ours)] for f in FIELDS]
        ratios = ", ".join(f"{statistics.median(p):.2f} ({min(p):.2f} to {max(p):.2f})" for p in pairs)
        low, high = min(r["ms_min"] for r in runs), max(r["ms_max"] for r in runs)
        print(
            f"{name:32}{middle['ms_per_step']:10.1f}{low:9.1f}{high:9.1f}"
            f"{middle['cpu_ms_per_step']:9.1f}{middle['peak_rss_bytes'] / 2**20:8.0f}   {ratios}"
        )


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--pipeline", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="in a round: train 20, eval 5")
    parser.add_argument("--threads", type=int, default=2)
    for other in ["--python", "--compile", "--autocast", "--jax"]:
        parser.add_argument(other, action="append", default=[], metavar="PYTHON")
    parser.add_argument("--nashost", default=ROOT / "nashost")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.pipeline:
        options.pipeline = options.pipeline.resolve()
    return options


def measure(options, folder):
    commands = {what: dict(contestants(what, options, folder)) for what in options.what}
    results = {what: {name: [] for name in all_of_them} for what, all_of_them in commands.items()}
    for _ in range(options.rounds):
        for what, all_of_them in commands.items():
            for name, command in all_of_them.items():
                results[what][name].append(run(command))
    return results


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, folder)
    if options.json:
        print(json.dumps(results))
        return
    for what in options.what:
        table(what, results[what])


if __name__ == "__main__":
    main()
