#!/usr/bin/env python3
"""Predicted against measured latency of random subnets on this machine, for every hardware model.

    bench/hardware/hardware.py --out docs/hardware.md

Random subnets are timed as a whole with `xnnpack`, in rounds; between these, `nashost lut build` times
every layer of the space and some other subnets. A time is the lowest of its rounds, since other work
on the machine only ever adds to it, and may go on for longer than one measurement. From the table
alone come `lut`, `predictor`, a calibrated `roofline`, and lines through the MACs and the parameters
of the table's subnets; then each predicts the random subnets. What the machine's noise alone gives is
the even rounds against the odd ones. The same command goes on where it was stopped.

The Markdown file needs the lines `<!-- begin: WORK -->` and `<!-- end: WORK -->`, between which the
result goes; WORK is the name of the folder of --work.
"""
import argparse
import json
import os
import pathlib
import random
import shlex
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import section


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default="./nashost", help="the program (./nashost)")
    p.add_argument("--pipeline", default="pipeline.json", help="whose space (pipeline.json)")
    p.add_argument("--profile", default="plugins/hardware/profiles/phone-big.json",
                   help="where the calibration starts (plugins/hardware/profiles/phone-big.json)")
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/hardware"),
                   help="folder of what is measured (runs/hardware)")
    p.add_argument("--subnets", type=int, default=100, help="to predict (100)")
    p.add_argument("--networks", type=int, default=20, help="other subnets, to fit to (20)")
    p.add_argument("--rounds", type=int, default=12, help="(12)")
    p.add_argument("--options", default='{"clock": "cpu"}', help='of xnnpack ({"clock": "cpu"})')
    p.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)),
                   help="processor to run on (the last)")
    p.add_argument("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE",
                   help="changes of the pipeline")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file whose section to replace")
    args = p.parse_args()
    args.change = ["--set", *args.set] if args.set else []
    return args


def call(*command):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"`{shlex.join(map(str, command))}` ended with exit code {done.returncode}")
    return done.stdout


def cost(args, hardware, options, *subnets):
    """What `nashost cost` says of subnets, in their order."""
    out = call(args.nashost, "cost", args.pipeline, "--json", "--hardware", hardware, "--options",
               json.dumps(options), *args.change, *subnets)
    return json.loads(out)["subnets"]


def times(args, hardware, options, file):
    return [s["costs"][hardware]["latency_ms"] for s in cost(args, hardware, options, "--genome", file)]


# ---- Measuring ----

def choose(args):
    """The subnets to predict, with their MACs and parameters."""
    file = args.work / "subnets.json"
    if not file.exists():
        subnets = cost(args, "roofline", {"profile": args.profile}, "--random", args.subnets)
        file.write_text(json.dumps(subnets))
    return json.loads(file.read_text())


def measure_round(args, subnets, i):
    """Times the subnets once, in an order of the round's own, and one round of the table."""
    file = args.work / f"round{i}.json"
    if not file.exists():
        order = list(range(len(subnets)))
        random.Random(i).shuffle(order)
        shuffled = args.work / "shuffled.json"
        shuffled.write_text(json.dumps([subnets[k] for k in order]))
        found = dict(zip(order, times(args, "xnnpack", json.loads(args.options), shuffled)))
        file.write_text(json.dumps({"load": os.getloadavg()[0],
                                    "latency_ms": [found[k] for k in range(len(subnets))]}))
    call(args.nashost, "lut", "build", args.pipeline, "--hardware", "xnnpack", "--options",
         args.options, "--networks", args.networks, "--rounds", i + 1, "--quiet",
         "--out", args.work / "table.json", *args.change)
    return json.loads(file.read_text())


def lowest(rounds):
    return [min(values) for values in zip(*rounds)]


# ---- Predicting ----

def line(xs, ys):
    """a, b of y = a + b x with the least sum of squared relative errors."""
    w = [1 / y**2 for y in ys]
    n, sx, sxx = sum(w), sum(map(lambda v, x: v * x, w, xs)), sum(v * x * x for v, x in zip(w, xs))
    sy, sxy = sum(v * y for v, y in zip(w, ys)), sum(v * x * y for v, x, y in zip(w, xs, ys))
    b = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return (sy - b * sx) / n, b


def baseline(args, table, subnets, what):
    file = args.work / "fitted.json"
    file.write_text(json.dumps([{"genome": n["genome"]} for n in table["networks"]]))
    known = cost(args, "roofline", {"profile": args.profile}, "--genome", file)
    a, b = line([s[what] for s in known], [n["median_ms"] for n in table["networks"]])
    return [a + b * s[what] for s in subnets]


def half_of(args, table):
    """A table with half of the layers, of each operation."""
    rng, entries = random.Random(1), {}
    for op in sorted({key.split()[0] for key in table["entries"]}):
        keys = sorted(key for key in table["entries"] if key.split()[0] == op)
        entries |= {key: table["entries"][key] for key in rng.sample(keys, (len(keys) + 1) // 2)}
    file = args.work / "half.json"
    file.write_text(json.dumps(table | {"entries": entries}))
    return file


def predict(args, subnets):
    """{name: (fitted to, predicted times)}"""
    file, chosen = args.work / "table.json", args.work / "subnets.json"
    table = json.loads(file.read_text())
    if {json.dumps(n["genome"]) for n in table["networks"]} & {
            json.dumps(s["genome"]) for s in subnets}:
        sys.exit("a subnet of the table is among those to predict; take another seed")
    fitted = args.work / "profile.json"
    call(args.nashost, "calibrate", "--hardware", "roofline", "--options",
         json.dumps({"profile": args.profile}), "--table", file, "--out", fitted, "--quiet")
    layers, networks = len(table["entries"]), f"{len(table['networks'])} subnets"
    half = half_of(args, table)
    n_half = len(json.loads(half.read_text())["entries"])
    both = f"{layers} layers, {networks}"
    return table, {
        "`lut`": (both, times(args, "lut", {"table": str(file)}, chosen)),
        "`predictor`": (both, times(args, "predictor", {"samples": str(file)}, chosen)),
        "`predictor`, half the layers": (f"{n_half} layers, {networks}", times(
            args, "predictor", {"samples": str(half)}, chosen)),
        "`roofline`, calibrated": (networks, times(
            args, "roofline", {"profile": str(fitted)}, chosen)),
        "a line through MACs": (networks, baseline(args, table, subnets, "macs")),
        "a line through parameters": (networks, baseline(args, table, subnets, "params")),
    }


# ---- The table ----

def ranks(values):
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    start = 0
    for i in range(1, len(order) + 1):  # equal values share their mean rank
        if i == len(order) or values[order[i]] != values[order[start]]:
            for k in order[start:i]:
                found[k] = (start + i - 1) / 2
            start = i
    return found


def row(name, fitted, predicted, measured):
    errors = [abs(p / m - 1) for p, m in zip(predicted, measured)]
    within = [100 * statistics.mean(e <= limit for e in errors) for limit in (0.05, 0.1)]
    spearman = statistics.correlation(ranks(predicted), ranks(measured))
    return (f"| {name} | {fitted} | {100 * statistics.mean(errors):.2f} % | {within[0]:.0f} % | "
            f"{within[1]:.0f} % | {100 * max(errors):.1f} % | {spearman:.4f} |")


def report(args, table, rounds, loads, predictions):
    measured = lowest(rounds)
    rows = [row(name, fitted, values, measured) for name, (fitted, values) in predictions.items()]
    noise = row("noise: even rounds against odd ones", "-", lowest(rounds[::2]), lowest(rounds[1::2]))
    single = statistics.mean(abs(a / b - 1) for one in rounds for a, b in zip(one, measured))
    command = shlex.join(["bench/hardware/hardware.py", *sys.argv[1:]])
    return f"""
{len(measured)} random subnets of the space, {min(measured):.3f} to {max(measured):.3f} ms, on one core of {table['device']}
with {table['runtime']}; a time is the lowest of {args.rounds} rounds. None of the subnets that a model is fitted to
is among them. A single round is {100 * single:.1f} % above the lowest, on average: other programs ran on
the machine (load {min(loads):.1f} to {max(loads):.1f}, on {os.cpu_count()} cores).

| model | fitted to | MAPE | within 5 % | within 10 % | worst | Spearman |
|---|---|--:|--:|--:|--:|--:|
{chr(10).join(rows + [noise])}

```
{command}
```

"""


def main():
    args = arguments()
    os.sched_setaffinity(0, {args.cpu})
    args.work.mkdir(parents=True, exist_ok=True)
    begin, subnets, rounds = time.monotonic(), choose(args), []
    for i in range(args.rounds):
        rounds.append(measure_round(args, subnets, i))
        print(f"round {i + 1} of {args.rounds}, load {rounds[i]['load']:.1f}", file=sys.stderr)
    table, predictions = predict(args, subnets)
    text = report(args, table, [r["latency_ms"] for r in rounds], [r["load"] for r in rounds],
                  predictions)
    if args.out:
        section.replace(args.out, args.work.name, text)
    print(text)
    print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from here")
