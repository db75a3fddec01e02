#!/usr/bin/env python3
"""A training step over ranks: measured on this machine, and what a model makes of larger clusters.

    sudo bench/cluster/cluster.py --out docs/cluster.md

Hosts are network namespaces (tests/lib/hosts), each with one rank of one thread. Their links have the
rates of --rates: by netem with --delay, or where the kernel has no netem by tbf without a delay.

The model of a step:

    compute    the time of one process, of which other_ms is done by every rank and the rest is cut by
               chunks; ranks beyond this machine's processors share them
    waiting    exchanges that work waits for, each the overhead of an exchange and the delay, and their
               bytes at the link's rate
    beside     the gradients' bytes at the link's rate, as far as they take longer than the computation
               of the backward pass

The overhead of an exchange is the only thing fitted: to two ranks without a limit. The link carries
the larger of what a rank receives and what it sends, as each sends its part to every other.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench/lib"))
import section

CHUNKS, CHUNK_IMAGES = 16, 4 # the most chunks of a group of images, the least images of one
STEP = ["train.ssl.plugin=supervised", "train.ssl.options={}", "train.mu=0", "split.heldout=20"]
TASKS = {"quickstart, 28 px": [],
         "ofa-mbv3, 224 px": ["space=ofa-mbv3", "dataset.options.side=224", "dataset.options.channels=3"]}
KINDS = {"sums": "sums and images' values, waited for", "gradients": "parts of gradients, beside",
         "meetings": "coming together", "broadcast": "from one to all"}
HOSTS = """. tests/lib/hosts
trap hosts_end EXIT
trap 'exit 1' HUP INT TERM
hosts_begin {ranks} || exit 1
{shape}
"$hosts_dir/mpirun" -n {ranks} {command} 2>"$hosts_dir/log" || {{ cat "$hosts_dir/log" >&2; exit 1; }}
"""


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default="./nashost", help="the program (./nashost)")
    p.add_argument("--ranks", type=int, nargs="+", default=[2, 4], help="to measure (2 4)")
    p.add_argument("--rates", nargs="+", default=["200mbit", "1gbit"], help="of links to measure (200mbit 1gbit)")
    p.add_argument("--delay", type=float, default=0, metavar="MS", help="of those links (0)")
    p.add_argument("--batch", type=int, default=64, help="images of a step (64)")
    p.add_argument("--rounds", type=int, default=20, help="steps of quickstart (20)")
    p.add_argument("--large-rounds", type=int, default=3, help="of ofa-mbv3 at 224 px; 0: leave it out (3)")
    p.add_argument("--gigabits", type=float, nargs="+", default=[1, 10, 25, 100], help="of modelled links (1 10 25 100)")
    p.add_argument("--latency", type=float, default=20, metavar="US", help="of modelled links (20)")
    p.add_argument("--modelled", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256], help="ranks")
    p.add_argument("--out", type=pathlib.Path, help="a Markdown file with the part `cluster`; none: print it")
    return p.parse_args()


# ---- Measuring ----

def bench(args, task, rounds, ranks=1, rate=None):
    settings = [*STEP, f"train.batch={args.batch}", f"split.labelled={args.batch}",
                f"dataset.options.train={args.batch + 40}", *TASKS[task]]
    command = [args.nashost, "bench", "train", "--threads", "1", "--rounds", str(rounds), "--json", "--set", *settings]
    if ranks > 1:
        shape = ""
        if rate:
            shape = f"hosts_shape rate {rate} delay {args.delay}ms" if args.delay else f"hosts_rate {rate}"
        script = HOSTS.format(ranks=ranks, shape=f"{shape} || exit 1" if shape else "", command=shlex.join(command))
        command = ["sh", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
    print(f"{task}: {ranks} ranks, {rate or 'no limit'}: {json.loads(done.stdout)['ms_per_step']:.1f} ms", file=sys.stderr)
    return json.loads(done.stdout)


def bits(rate):
    """Of a rate as tc writes it, in bits a second."""
    number, unit = re.fullmatch(r"([0-9.]+)([kmg])bit", rate).groups()
    return float(number) * {"k": 1e3, "m": 1e6, "g": 1e9}[unit]


# ---- The model ----

class Model:
    """One task, from a step of one process, and one of two ranks without a limit."""

    def __init__(self, alone, two, chunks):
        self.chunks = chunks
        self.ms, self.every = alone["ms_per_step"], alone["other_ms"]
        backward = sum(layer["ms"] for layer in alone["layers"] if layer["pass"] == "backward")
        self.backward = backward / sum(layer["ms"] for layer in alone["layers"])
        self.whole = {kind: 2 * t["bytes"] for kind, t in two["traffic"].items()} # of all ranks together
        self.waits = two["traffic"]["sums"]["exchanges"] + two["traffic"]["meetings"]["exchanges"]
        self.overhead = 0
        self.overhead = max(0, two["ms_per_step"] - self.step(2, os.cpu_count())) / self.waits

    def cut(self, ranks, processors):
        """Milliseconds of what is cut, on the rank with most chunks; processors: None: one a rank."""
        share = -(-self.chunks // ranks) / self.chunks
        crowd = max(1, ranks / processors) if processors else 1
        return (self.ms - self.every) * share * crowd

    def send(self, kind, ranks, rate):
        part = self.whole[kind] / min(ranks, self.chunks)
        most = max(self.whole[kind] - part, part * (ranks - 1))
        return most * 8 / rate * 1e3 if rate else 0

    def step(self, ranks, processors=None, rate=None, latency_ms=0):
        cut = self.cut(ranks, processors)
        crowd = max(1, ranks / processors) if processors else 1
        waiting = self.waits * (self.overhead + latency_ms) + self.send("sums", ranks, rate)
        beside = max(0, self.send("gradients", ranks, rate) - cut * self.backward)
        return self.every * crowd + cut + waiting + beside


# ---- The text ----

def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def measured(args, name, model):
    rows = []
    for ranks in args.ranks:
        for rate in [None, *args.rates]:
            ms = bench(args, name, args.rounds, ranks, rate)["ms_per_step"]
            told = model.step(ranks, os.cpu_count(), bits(rate) if rate else None, args.delay if rate else 0)
            fitted = ranks == 2 and not rate
            rows.append([ranks, rate or "no limit", f"{ms:.0f}", f"{told:.0f}",
                         "fitted" if fitted else f"{100 * (told / ms - 1):+.0f} %"])
    return (f"A step of {name} with {args.batch} images takes {model.ms:.0f} ms in one process of one thread. Over "
            f"ranks of one thread each, on {os.cpu_count()} processors:\n\n"
            + table(["ranks", "links", "measured, ms", "model, ms", "off"], rows))


def traffic(models, twos):
    rows = []
    for name, two in twos.items():
        for kind, text in KINDS.items():
            t = two["traffic"][kind]
            rows.append([name, text, f"{t['exchanges']:.0f}", f"{models[name].whole[kind] / 1e6:.2f}"])
    return ("What a step exchanges; a rank of n receives (n - 1) / n of the bytes:\n\n"
            + table(["task", "what", "exchanges", "MB in all"], rows))


def modelled(args, name, model):
    rows = []
    for ranks in args.modelled:
        row = [ranks]
        for gigabits in args.gigabits:
            ms = model.step(ranks, None, gigabits * 1e9, args.latency * 1e-3)
            row.append(f"{ms / 1e3:.2f} s, {100 * model.ms / ms / ranks:.0f} %")
        rows.append(row)
    return (f"By the model: a step of {name} with {args.batch} images, {model.ms / 1e3:.2f} s in one process, over ranks "
            f"with a processor and a link each, of {args.latency:g} us, and the efficiency:\n\n"
            + table(["ranks", *(f"{g:g} Gb/s" for g in args.gigabits)], rows))


def main():
    args = arguments()
    chunks = max(1, min(CHUNKS, args.batch // CHUNK_IMAGES))
    models, twos = {}, {}
    for name, rounds in zip(TASKS, [args.rounds, args.large_rounds]):
        if not rounds: continue
        twos[name] = bench(args, name, rounds, 2)
        models[name] = Model(bench(args, name, rounds), twos[name], chunks)
    names = list(models)
    parts = [measured(args, names[0], models[names[0]]), traffic(models, twos),
             modelled(args, names[-1], models[names[-1]])]
    text = "\n".join(parts)
    if args.out:
        section.replace(args.out, "cluster", text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
