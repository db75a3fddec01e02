#!/usr/bin/env python3
"""Trains MatchNAS and what it must beat, with equal data, steps and seeds, and tables test top-1.

    bench/accuracy/accuracy.py --out docs/accuracy.md

For every number of labels, every seed and every way of ways.json, an array of

    name     short, of the run's folder; --ways chooses some
    title    the column's
    what     a sentence for the list of ways
    set      what turns the pipeline into this way; @NAME is that subnet's genome
    subnets  names of those to judge, such as ["smallest"]; if left out, all
    above    name of a way; a further column has the gain over it, by pairs of one seed

it is `nashost run --until train` into RUNS/LABELS-WAY-SEED, then `nashost eval` of the subnets
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

def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default="./nashost", help="the program (./nashost)")
    p.add_argument("--pipeline", default="pipeline.json", help="the pipeline (pipeline.json)")
    p.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/accuracy"),
                   help="folder of the run directories (runs/accuracy)")
    p.add_argument("--labels", type=int, nargs="+", default=[250, 1000], help="(250 1000)")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="(1 2 3)")
    p.add_argument("--ways", nargs="+", metavar="NAME", help="(all of the file)")
    p.add_argument("--ways-file", type=pathlib.Path, default=HERE / "ways.json",
                   help="the ways (bench/accuracy/ways.json)")
    p.add_argument("--genomes", type=pathlib.Path, default=HERE / "genomes.json",
                   help="subnets to judge (bench/accuracy/genomes.json)")
    p.add_argument("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE",
                   help="changes of the pipeline, for every method")
    p.add_argument("--threads", type=int, help="of nashost; its default if not given")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file in which the tables are replaced")
    p.add_argument("--section", default="bench/accuracy/accuracy.py",
                   help="name of the part of the Markdown file that is replaced")
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


def settings_of(way, genomes):
    """Settings that turn the pipeline into a way."""
    settings = list(way["set"])
    for i, one in enumerate(settings):
        key, _, value = one.partition("=@")
        if value:
            genome = next(g["genome"] for g in genomes if g["name"] == value)
            settings[i] = f"{key}={json.dumps(genome)}"
    return settings


def train(args, way, labels, seed, genomes, folder):
    settings = args.set + settings_of(way, genomes) + [f"split.labelled={labels}", f"seed={seed}"]
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


def run_all(args, ways, genomes):
    """{(labels, way's name, seed): {subnet's name: figures}}"""
    found = {}
    for seed in args.seeds:
        for labels in args.labels:
            for way in ways:
                folder = args.runs / f"{labels}-{way['name']}-{seed}"
                print(f"{folder}", file=sys.stderr, flush=True)
                train(args, way, labels, seed, genomes, folder)
                judged = [g for g in genomes if g["name"] in way.get("subnets", [g["name"]])]
                subnets = judge(args, folder, judged)
                found[labels, way["name"], seed] = {s["name"]: s for s in subnets}
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


def top1(args, found, labels, way, name):
    """{seed: share} of the subnet of that name."""
    return {seed: found[labels, way, seed][name]["test_top1"] for seed in args.seeds
            if name in found.get((labels, way, seed), {})}


def gain(args, found, labels, way, name):
    """What a way has above another, where both have the subnet."""
    base = top1(args, found, labels, way["above"], name)
    mine = top1(args, found, labels, way["name"], name)
    return [v - base[seed] for seed, v in mine.items() if seed in base]


def columns(ways):
    """(title, values) of each: a gain stands behind the way that it is above."""
    for way in ways:
        yield way["title"], lambda *at, way=way: spread(top1(*at[:3], way["name"], at[3]).values())
        for other in ways:
            if other.get("above") == way["name"]:
                yield "gain", lambda *at, other=other: spread(gain(*at[:3], other, at[3]), "+")


def row(args, found, labels, name, ways):
    figures = next(f[name] for f in found.values() if name in f)
    cells = [name, f"{figures['macs'] / 1e6:.2f} M", f"{figures['params'] / 1e3:.1f} k"]
    cells += [values(args, found, labels, name) for _, values in columns(ways)]
    return "| " + " | ".join(cells) + " |"


def table(args, found, labels, ways, genomes):
    known = {name for figures in found.values() for name in figures}
    titles = ["subnet", "MACs", "parameters"] + [title for title, _ in columns(ways)]
    return "\n".join([
        f"## {labels} labels", "",
        "| " + " | ".join(titles) + " |",
        "|---|" + "--:|" * (len(titles) - 1),
        *(row(args, found, labels, g["name"], ways) for g in genomes if g["name"] in known), ""])


def facts(args, ways):
    command = [args.nashost, "validate", args.pipeline, "--json"]
    command += ["--set"] + args.set if args.set else []
    pipeline = json.loads(call(command, stdout=subprocess.PIPE))  # with every default
    t, ssl, data = pipeline["train"], pipeline["train"]["ssl"], pipeline["dataset"]
    options = ", ".join(f"{k} {json.dumps(v)}" for k, v in ssl["options"].items())
    folder = pathlib.Path(str(data["options"].get("folder", ""))).name
    listed = "\n".join(f"- {way['title']}: {way['what']}" for way in ways)
    seeds = f"seed{'s' if len(args.seeds) > 1 else ''} {', '.join(map(str, args.seeds))}"
    return f"""Test top-1 in per cent, mean ± standard deviation over {seeds}.
Data set `{data['plugin']}`{f' ({folder})' if folder else ''}, space `{pipeline['space']['name']}`. A seed sets the labelled images, the first
weights and the order of everything, and is the same for each method.

The pipeline: `{t['subnet_sampling']}` of {t['subnets']} subnets, loss `{ssl['plugin']}` ({options or 'no options'}), teacher `{t['teacher']}`, {t['steps']} steps
of {t['batch']} labelled images and {t['mu']:g} times as many unlabelled ones; learning rate {t['lr']:g}, decay of the averaged
weights {t['ema']:g}, batch statistics {t['batch_statistics']}, strong views of magnitude {pipeline['augment']['strong_magnitude']:g}. Batch norm is
calibrated for each subnet on training images. The ways:

{listed}

Made by:

```
{shlex.join(sys.argv)}
```
"""


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    args = arguments()
    genomes = json.loads(args.genomes.read_text())
    args.runs.mkdir(parents=True, exist_ok=True)
    known = json.loads(args.ways_file.read_text())
    ways = [way for way in known if not args.ways or way["name"] in args.ways]
    found = run_all(args, ways, genomes)
    text = "\n".join([facts(args, ways),
                      *(table(args, found, n, ways, genomes) for n in args.labels)])
    if args.out:
        section.replace(args.out, args.section, text + "\n")
    print(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
