#!/usr/bin/env python3
"""Compares every score with what it stands for: test top-1 of subnets.

    bench/scores/scores.py RUN --out docs/scores.md

RUN is the run directory of a trained supernet. Two lists of random subnets:

    shared  SHARED subnets with the supernet's weights: top-1 by `nashost eval`
    alone   the first ALONE of them, each trained by itself from random weights in the shape `fixed`
            with the settings of --alone-set, then `nashost eval`

Each score ranks both; the table has Kendall's tau-b and Spearman's rho. What is known is kept in WORK
and not made again, so the command goes on where it was stopped. The table takes the place of what
stands between the two marks in the file --out, which must have them.
"""
import argparse
import contextlib
import hashlib
import json
import math
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import section

PART = 20  # subnets at a time, so that little is lost when this is stopped
BASELINES = ["params", "macs"]
DIVERGENCES = [{}, {"temperature": 2}, {"teacher_views": 4}, {"views": 4},
               {"views": 4, "augment": "strong"}, {"views": 4, "augment": "strong", "teacher_views": 4}]
MEASURES = ["log_likelihood", "top1"]
PROXIES = ["synflow", "naswot", "grad_norm", "snip", "fisher", "jacob_cov", "zen", "zico"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", type=pathlib.Path, help="run directory of a trained supernet")
    p.add_argument("--nashost", default="./nashost", help="the program (./nashost)")
    p.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/scores"),
                   help="folder of what is known (runs/scores)")
    p.add_argument("--shared", type=int, default=200, help="random subnets (200)")
    p.add_argument("--alone", type=int, default=30, help="of them trained alone (30)")
    p.add_argument("--alone-set", nargs="+", metavar="KEY=VALUE", help="how: changes of the run's pipeline",
                   default=["train.ssl.plugin=supervised", "train.ssl.options={}", "train.mu=0",
                            "train.batch=64", "train.steps=300", "split.labelled=5000"])
    p.add_argument("--proxies", action=argparse.BooleanOptionalAction, default=True,
                   help="also those that need no training (yes)")
    p.add_argument("--divergences", type=int, default=len(DIVERGENCES), metavar="N",
                   help=f"the first N of the settings of divergence ({len(DIVERGENCES)})")
    p.add_argument("--weights", nargs="+", default=["initial", "inherited"],
                   choices=["initial", "inherited"])
    p.add_argument("--images", type=int, help="of a score's batch; each one's default if not given")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", type=pathlib.Path, help="Markdown file with the two marks")
    args = p.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    return args


# ---- Running, and not twice ----

def call(command):
    """A program's JSON and its seconds of processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"`{shlex.join(map(str, command))}` ended with exit code {done.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout) if done.stdout.startswith(b"{") else None, cpu


def known(args, key, make):
    """make(), kept under the key."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    file = args.work / f"{key[0]}-{digest}.json"
    with contextlib.suppress(FileNotFoundError, ValueError):
        return json.loads(file.read_text())
    print(*[k for k in key if isinstance(k, (str, int))][:4], file=sys.stderr, flush=True)
    value = make()
    file.with_suffix(".new").write_text(json.dumps(value))
    file.with_suffix(".new").rename(file)
    return value


def fingerprint(folder):
    content = [(folder / name).read_bytes() for name in ("pipeline.json", "supernet.safetensors")]
    return hashlib.sha256(b"".join(content)).hexdigest()


def with_genomes(args, command, genomes):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(genomes, file)
        file.flush()
        return call([args.nashost, *command, "--genome", file.name, "--json", "--threads",
                     args.threads])


def top1(args, folder, genomes):
    """Test top-1 of subnets."""
    found, mark = [], fingerprint(folder)
    for i in range(0, len(genomes), PART):
        part = genomes[i:i + PART]
        found += known(args, ["top1", i, mark, part], lambda part=part: [
            s["test_top1"] for s in with_genomes(args, ["eval", folder], part)[0]["subnets"]])
    return found


def score(args, name, options, genomes):
    """(values, processor time for all, with what loading takes)."""
    options = dict(options)
    if args.images and name in PROXIES and name != "synflow":
        options["images"] = args.images

    def make(part):
        result, cpu = with_genomes(args, ["score", args.run, "--quiet", "--score", name,
                                          "--options", json.dumps(options)], part)
        return [[s["score"] for s in result["subnets"]], cpu]
    values, cpu, mark = [], 0, fingerprint(args.run)
    for i in range(0, len(genomes), PART):
        part = genomes[i:i + PART]
        found = known(args, ["score", name, json.dumps(options), i, mark, part],
                      lambda part=part: make(part))
        values += found[0]
        cpu += found[1]
    return values, cpu


def train_alone(args, index, genome):
    """Test top-1 of a subnet trained by itself."""
    folder = args.work / "alone" / str(index)
    settings = [*args.alone_set, "train.subnet_sampling=fixed", "train.teacher=self",
                "train.distill=0", "train.genome=" + json.dumps(genome)]

    def make():
        call([args.nashost, "run", args.run / "pipeline.json", "--until", "train", "--quiet",
              "--out", folder, "--threads", args.threads, "--set", *settings])
        return with_genomes(args, ["eval", folder], [genome])[0]["subnets"][0]["test_top1"]
    return known(args, ["alone", index, settings], make)


# ---- Ranks ----

def kendall(a, b):
    """Tau-b (Kendall, Biometrika 33, 1945)."""
    same = opposite = only_a = only_b = 0
    for i, (x, y) in enumerate(zip(a, b)):
        for u, v in zip(a[:i], b[:i]):
            if x == u or y == v:
                only_a += x != u
                only_b += y != v
            elif (x > u) == (y > v):
                same += 1
            else:
                opposite += 1
    scale = math.sqrt((same + opposite + only_a) * (same + opposite + only_b))
    return (same - opposite) / scale if scale else math.nan


def ranks(values):
    """1, 2, ...; equals share their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    rank, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j < len(order) and values[order[j]] == values[order[i]]:
            j += 1
        for k in order[i:j]:
            rank[k] = (i + j + 1) / 2
        i = j
    return rank


def spearman(a, b):
    x, y = ranks(a), ranks(b)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return math.nan
    return statistics.correlation(x, y)


# ---- The table ----

def rows(args):
    """(name, options, what the table calls it)"""
    found = [(name, {}, f"`{name}`") for name in BASELINES + ["agreement"]]
    for options in DIVERGENCES[:args.divergences]:
        title = ", ".join(["`divergence`", *(f"{key} {value}" for key, value in options.items())])
        found.append(("divergence", options, title))
    pipeline = json.loads((args.run / "pipeline.json").read_text())
    for measure in MEASURES if pipeline["split"]["validation"] else []:
        found.append(("validation", {"measure": measure}, f"`validation`, {measure}"))
    for name in PROXIES if args.proxies else []:
        kinds = ["normal"] if name == "zen" else args.weights
        found += [(name, {"weights": w}, f"`{name}`, {w}") for w in kinds]
    return found


def cells(values, targets):
    if len(targets) < 3:
        return "- | -"
    return " | ".join(f"{f(values[:len(targets)], targets):+.2f}" for f in (kendall, spearman))


def about(name, values):
    return (f"{name}: {len(values)} subnets, top-1 {100 * min(values):.2f} to "
            f"{100 * max(values):.2f} %, mean {100 * statistics.mean(values):.2f} %, standard "
            f"deviation {100 * statistics.stdev(values):.2f}") if len(values) > 1 else None


def table(args, shared, alone, results):
    load = results["macs"][1]
    n = len(shared)
    lines = [f"    {shlex.join(['bench/scores/scores.py', *sys.argv[1:]])}", ""]
    lines += [f"- {line}" for line in (about("shared", shared), about("alone", alone)) if line]
    # Of tau where nothing depends on anything: Kendall, Rank Correlation Methods, 1948.
    noise = [math.sqrt(2 * (2 * k + 5) / (9 * k * (k - 1))) for k in (n, max(len(alone), 2))]
    lines += [f"- A score that knows nothing has a tau of 0 ± {noise[0]:.2f} (shared) and "
              f"± {noise[1]:.2f} (alone).", "",
              "| score | tau, shared | rho, shared | tau, alone | rho, alone | CPU time a subnet |",
              "|---|--:|--:|--:|--:|--:|"]
    for name, options, title in rows(args):
        values, cpu = results[title]
        ms = max(0, cpu - load) / n * 1000
        time = "-" if name in BASELINES else f"{ms:.0f} ms"
        lines.append(f"| {title} | {cells(values, shared)} | {cells(values, alone)} | {time} |")
    return "\n".join(lines)


def main():
    args = arguments()
    drawn, _ = call([args.nashost, "score", args.run, "--score", "macs", "--random", args.shared,
                     "--json", "--quiet"])
    genomes = [s["genome"] for s in drawn["subnets"]]
    results = {}
    for name, options, title in rows(args):
        results[title] = score(args, name, options, genomes)
    results["macs"] = results["`macs`"]
    shared = top1(args, args.run, genomes)
    alone = [train_alone(args, i, g) for i, g in enumerate(genomes[:args.alone])]
    text = table(args, shared, alone, results)
    if args.out:
        section.replace(args.out, "bench/scores/scores.py", text + "\n")
    print(text)


if __name__ == "__main__":
    main()
