#!/usr/bin/env python3
"""Trains MatchNAS and what it must beat, with equal data, steps and seeds, and tables test top-1.

    bench/accuracy/accuracy.py --out docs/accuracy.md

For every number of labels and every seed:

    matchnas  the pipeline as it is
    labels    the same sandwich of subnets on the labelled images alone
    alone     the smallest subnet by itself, with the pipeline's loss, its own teacher

Each is `nashost run --until train` into RUNS/LABELS-METHOD-SEED, then `nashost eval` of the subnets
of genomes.json: the smallest, the largest, and three at about 25, 50 and 75 % of the way between
their MACs. The same command goes on where it was stopped; finished runs are not made again.
Several of these may share a RUNS folder if no two make the same run at the same time.
"""
import argparse
import contextlib
import hashlib
import json
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import section

METHODS = {"matchnas": "MatchNAS", "labels": "labels only", "alone": "smallest alone"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default="./nashost", help="the program (./nashost)")
    p.add_argument("--pipeline", default="pipeline.json", help="the pipeline (pipeline.json)")
    p.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/accuracy"),
                   help="folder of the run directories (runs/accuracy)")
    p.add_argument("--labels", type=int, nargs="+", default=[250, 1000], help="(250 1000)")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="(1 2 3)")
    p.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    p.add_argument("--genomes", type=pathlib.Path, default=HERE / "genomes.json",
                   help="subnets to judge, one of them named smallest (bench/accuracy/genomes.json)")
    p.add_argument("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE",
                   help="changes of the pipeline, for every method")
    p.add_argument("--threads", type=int, help="of nashost; its default if not given")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file in which the tables are replaced")
    return p.parse_args()


def call(command, **how):
    """Runs a program. When this one is stopped, that one gets the time to save what it has."""
    # In a session of its own, so that Ctrl-C reaches it once, by us, and not twice.
    with subprocess.Popen(command, start_new_session=True, **how) as process:
        try:
            out = process.communicate()[0]
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        sys.exit(f"`{shlex.join(map(str, command))}` ended with exit code {process.returncode}")
    return out


def overrides(method, smallest):
    """Settings that turn the pipeline into a method."""
    if method == "labels":
        return ["train.ssl.plugin=supervised", "train.ssl.options={}", "train.mu=0"]
    if method == "alone":
        return ["train.subnet_sampling=fixed", "train.teacher=self", "train.distill=0",
                "train.genome=" + json.dumps(smallest["genome"])]
    return []


def train(args, method, labels, seed, smallest, folder):
    settings = args.set + overrides(method, smallest) + [f"split.labelled={labels}", f"seed={seed}"]
    command = [args.nashost, "run", args.pipeline, "--until", "train", "--out", str(folder)]
    command += ["--threads", str(args.threads)] if args.threads else []
    call(command + ["--set"] + settings)


def judge(args, folder, genomes):
    """The subnets' figures; judged anew only if weights, settings or subnets have changed."""
    content = [(folder / name).read_bytes() for name in ("pipeline.json", "supernet.safetensors")]
    key = hashlib.sha256(b"".join(content) + json.dumps(genomes).encode()).hexdigest()
    memo = folder.with_name(folder.name + ".json")
    with contextlib.suppress(FileNotFoundError, ValueError):
        known = json.loads(memo.read_text())
        if known["key"] == key:
            return known["subnets"]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(genomes, file)
        file.flush()
        command = [args.nashost, "eval", str(folder), "--json", "--genome", file.name]
        command += ["--threads", str(args.threads)] if args.threads else []
        subnets = json.loads(call(command, stdout=subprocess.PIPE))["subnets"]
    memo.write_text(json.dumps({"key": key, "subnets": subnets}, indent=1) + "\n")
    return subnets


def run_all(args, genomes):
    """{(labels, method, seed): {subnet's name: figures}}"""
    smallest = next((g for g in genomes if g["name"] == "smallest"), None)
    if not smallest:
        sys.exit(f"{args.genomes}: expected a subnet named \"smallest\"")
    found = {}
    for seed in args.seeds:
        for labels in args.labels:
            for method in args.methods:
                folder = args.runs / f"{labels}-{method}-{seed}"
                print(f"{folder}", file=sys.stderr, flush=True)
                train(args, method, labels, seed, smallest, folder)
                subnets = judge(args, folder, [smallest] if method == "alone" else genomes)
                found[labels, method, seed] = {s["name"]: s for s in subnets}
                for s in subnets:
                    print(f"  {s['name']:10} {100 * s['test_top1']:.2f} %", file=sys.stderr)
    return found


# ---- The table ----

def spread(values, sign=""):
    """Mean and sample standard deviation of shares, in per cent."""
    if not values:
        return "-"
    mean = format(100 * statistics.mean(values), sign + ".2f")
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.2f}"


def row(args, found, labels, name):
    def top1(method):
        return {seed: found[labels, method, seed][name]["test_top1"] for seed in args.seeds
                if name in found.get((labels, method, seed), {})}
    figures = next(f[name] for f in found.values() if name in f)
    of = {method: top1(method) for method in METHODS}
    gain = [v - of["labels"][seed] for seed, v in of["matchnas"].items() if seed in of["labels"]]
    cells = [name, f"{figures['macs'] / 1e6:.2f} M", f"{figures['params'] / 1e3:.1f} k",
             spread(of["matchnas"].values()), spread(of["labels"].values()), spread(gain, "+"),
             spread(of["alone"].values())]
    return "| " + " | ".join(cells) + " |"


def table(args, found, labels, genomes):
    known = {name for figures in found.values() for name in figures}
    return "\n".join([
        f"## {labels} labels", "",
        f"| subnet | MACs | parameters | {METHODS['matchnas']} | {METHODS['labels']} | gain | "
        f"{METHODS['alone']} |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(row(args, found, labels, g["name"]) for g in genomes if g["name"] in known), ""])


def facts(args):
    command = [args.nashost, "validate", args.pipeline, "--json"]
    command += ["--set"] + args.set if args.set else []
    pipeline = json.loads(call(command, stdout=subprocess.PIPE))  # with every default
    t, ssl, data = pipeline["train"], pipeline["train"]["ssl"], pipeline["dataset"]
    options = ", ".join(f"{k} {json.dumps(v)}" for k, v in ssl["options"].items())
    folder = pathlib.Path(str(data["options"].get("folder", ""))).name
    seeds = f"seed{'s' if len(args.seeds) > 1 else ''} {', '.join(map(str, args.seeds))}"
    return f"""Test top-1 in per cent, mean ± standard deviation over {seeds}.
Data set `{data['plugin']}`{f' ({folder})' if folder else ''}, space `{pipeline['space']['name']}`. A seed sets the labelled images, the first
weights and the order of everything, and is the same for each method.

- {METHODS['matchnas']}: `{t['subnet_sampling']}` of {t['subnets']} subnets, loss `{ssl['plugin']}` ({options or 'no options'}), teacher `{t['teacher']}`.
- {METHODS['labels']}: the same subnets without unlabelled images (loss `supervised`). The gain is what
  {METHODS['matchnas']} has above it, by pairs of one seed.
- {METHODS['alone']}: the smallest subnet and no other is trained, with the loss of {METHODS['matchnas']}, as its own
  teacher.

Each has {t['steps']} steps of {t['batch']} labelled images and, but for {METHODS['labels']}, {t['mu']:g} times as many unlabelled
ones; learning rate {t['lr']:g}, decay of the averaged weights {t['ema']:g}, batch statistics {t['batch_statistics']}, strong
views of magnitude {pipeline['augment']['strong_magnitude']:g}. Batch norm is calibrated for each subnet on training images. Made by:

```
{shlex.join(sys.argv)}
```
"""


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    args = arguments()
    genomes = json.loads(args.genomes.read_text())
    args.runs.mkdir(parents=True, exist_ok=True)
    found = run_all(args, genomes)
    text = "\n".join([facts(args), *(table(args, found, n, genomes) for n in args.labels)])
    if args.out:
        section.replace(args.out, "bench/accuracy/accuracy.py", text + "\n")
    print(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
