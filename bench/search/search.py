#!/usr/bin/env python3
"""Compares search strategies on a table of subnets: ours, pymoo's NSGA-II, Optuna's TPE and GP.

    make benches && bench/search/search.py --out docs/search.md --picture docs/search.svg

needs pymoo, optuna, torch (for Optuna's GP) and matplotlib:

    python3 -m venv VENV && VENV/bin/pip install pymoo optuna torch matplotlib

Two tasks on bench/search/table.jsonl.gz (made by build/bench/search/table):

    one     the highest agreement with the latency at most the table's LIMIT quantile: the regret is
            how far the best subnet so far is from the best there is, in points of agreement
    front   1 - agreement against latency, no limit: the share of the true front's hypervolume, up
            to the worst of each in the table, that is missing

An evaluation is a subnet that meets the limit and was not asked for before. What else is proposed
costs nothing, for peers as well: they are told at once what the table says of it. A peer that has
proposed 4 times the evaluations without filling them keeps the best it has. Peers work on the same
genes, one integer each, and what they propose counts as its canonical form. Optuna's GP is left out of
`front`, where each of its proposals takes seconds of processor time.
"""
import argparse
import functools
import gzip
import itertools
import json
import os
import pathlib
import subprocess
import sys
import warnings

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import section
ROOT = HERE.parent.parent
COST = "latency_ms phone-little"
LIMIT = 0.3
MARKS = [10, 25, 50, 100]
PATIENCE = 4
OURS = {"random": {}, "local_search": {}, "evolution": {}, "nsga2": {}, "bayesian": {}}
TASKS = {"one": "regret, points of agreement", "front": "hypervolume missing, %"}


class Table:
    """The table's subnets by their genes, those that have a choice."""

    def __init__(self, path):
        with gzip.open(path, "rt") as lines:
            names = json.loads(next(lines))
            rows = np.array([json.loads(line) for line in lines])
        n_genes = names.index("agreement")
        free = [g for g in range(n_genes) if rows[:, g].max() > 0]
        self.names = [names[g] for g in free]
        self.choices = [int(rows[:, g].max()) + 1 for g in free]
        self.row = {tuple(genes): i for i, genes in enumerate(rows[:, free].astype(int).tolist())}
        self.error = 1 - rows[:, names.index("agreement")]
        self.cost = rows[:, names.index(COST)]
        depth = {name: i for i, name in enumerate(self.names) if name.endswith(".depth")}
        # For each gene of a block: the gene of its stage's depth, and the block's number.
        self.block = {}
        for i, name in enumerate(self.names):
            stage, *block, _ = name.split(".")
            if block:
                self.block[i] = (depth.get(f"{stage}.depth"), int(block[0][5:]))

    def active(self, genes, i):
        stage, block = self.block.get(i, (None, 0))
        return stage is None or genes[stage] >= block

    def canonical(self, genes):
        return tuple(int(v) if self.active(genes, i) else 0 for i, v in enumerate(genes))


class Task:
    """What of the table counts, and how good a sequence of rows is."""

    def __init__(self, table, name):
        self.table, self.name = table, name
        self.limit = float(np.quantile(table.cost, LIMIT)) if name == "one" else None
        self.fits = table.cost <= self.limit if self.limit else np.ones(len(table.cost), bool)
        self.corner = np.array([table.error.max(), table.cost.max()])

    def volume(self, rows):
        """The area between the points of the rows and the worst corner."""
        left, area = self.corner[1], 0.0
        points = sorted(zip(self.table.error[rows], self.table.cost[rows]))
        for error, cost in points:
            if cost < left:
                area += (self.corner[0] - error) * (left - cost)
                left = cost
        return area

    def curve(self, rows, n):
        """How much is missing after 1 ... n evaluations."""
        rows = list(rows)[:n]
        if self.name == "one":
            best = np.minimum.accumulate(self.table.error[rows])
            missing = 100 * (best - self.table.error[self.fits].min())
        else:
            whole = self.volume(np.arange(len(self.table.cost)))
            missing = np.array([100 * (1 - self.volume(rows[:i + 1]) / whole)
                                for i in range(len(rows))])
        return np.pad(missing, (0, n - len(missing)), mode="edge")


class Ledger:
    """Looks proposals of a peer up, and keeps those that count as evaluations."""

    def __init__(self, task, evaluations):
        self.task, self.most = task, evaluations
        self.rows, self.seen, self.proposed = [], set(), 0

    def done(self):
        return len(self.rows) >= self.most or self.proposed >= PATIENCE * self.most

    def look(self, genes):
        row = self.task.table.row[self.task.table.canonical(genes)]
        self.proposed += 1
        if row not in self.seen and self.task.fits[row] and len(self.rows) < self.most:
            self.rows.append(row)
        self.seen.add(row)
        return row


# ---- Ours ----

def ours(task, args, plugin, batch):
    request = {"plugin": plugin, "options": OURS[plugin], "cost": COST, "limit": task.limit,
               "evaluations": args.evaluations, "batch": batch, "seeds": args.seeds}
    out = subprocess.run([args.program, args.table, args.space, json.dumps(request)], check=True,
                         capture_output=True, text=True,
                         env={**os.environ, "NASHOST_HOME": str(ROOT)}).stdout
    return [json.loads(line) for line in out.splitlines()]


# ---- Peers: each runs one seed and returns the rows ----

def pymoo_nsga2(task, evaluations, seed, population):
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    table = task.table
    problem = Problem(n_var=len(table.choices), n_obj=2, n_ieq_constr=1, xl=0,
                      xu=np.array(table.choices) - 1, vtype=int)

    class Canonical(RoundingRepair):
        def _do(self, problem, X, **kwargs):
            X = super()._do(problem, X, **kwargs)
            return np.array([table.canonical(x) for x in X])

    repair = Canonical()
    search = NSGA2(pop_size=population, sampling=IntegerRandomSampling(), repair=repair,
                   crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=repair),
                   mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=repair),
                   eliminate_duplicates=True)
    search.setup(problem, termination=("n_gen", 10 ** 6), seed=seed, verbose=False)
    ledger = Ledger(task, evaluations)
    while not ledger.done() and search.has_next():
        asked = search.ask()
        rows = [ledger.look(x) for x in asked.get("X")]
        beyond = table.cost[rows] / task.limit - 1 if task.limit else -np.ones(len(rows))
        asked.set("F", np.column_stack([table.error[rows], table.cost[rows]]))
        asked.set("G", beyond.reshape(-1, 1))
        for one in asked:
            one.evaluated.update({"F", "G", "H"})
        search.tell(infills=asked)
    return ledger.rows


def optuna_search(task, evaluations, seed, sampler, conditional):
    import optuna
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = task.table
    constraints = (lambda trial: trial.user_attrs["beyond"]) if task.limit else None
    study = optuna.create_study(directions=["minimize"] * (1 if task.name == "one" else 2),
                                sampler=sampler(seed=seed, constraints_func=constraints))
    ledger = Ledger(task, evaluations)
    while not ledger.done():
        trial = study.ask()
        # A depth comes before the blocks of its stage.
        genes = []
        for i, name in enumerate(table.names):
            wanted = not conditional or table.active(genes, i)
            genes.append(trial.suggest_int(name, 0, table.choices[i] - 1) if wanted else 0)
        row = ledger.look(genes)
        trial.set_user_attr("beyond", [table.cost[row] / task.limit - 1] if task.limit else [])
        told = [float(table.error[row]), float(table.cost[row])]
        study.tell(trial, told[0] if task.name == "one" else told)
    return ledger.rows


def optuna_tpe(task, evaluations, seed, **options):
    from optuna.samplers import TPESampler
    return optuna_search(task, evaluations, seed, functools.partial(TPESampler, **options), True)


def optuna_gp(task, evaluations, seed):
    import torch
    from optuna.samplers import GPSampler
    torch.set_num_threads(1)
    return optuna_search(task, evaluations, seed, GPSampler, False)


PEERS = {
    "pymoo NSGA-II, population 10": functools.partial(pymoo_nsga2, population=10),
    "pymoo NSGA-II, population 20": functools.partial(pymoo_nsga2, population=20),
    "pymoo NSGA-II, population 40": functools.partial(pymoo_nsga2, population=40),
    "Optuna TPE": optuna_tpe,
    "Optuna TPE, multivariate": functools.partial(optuna_tpe, multivariate=True, group=True),
    "Optuna GP": optuna_gp,
}
TOO_SLOW = {("front", "Optuna GP")}


# ---- Results ----

def gather(args, task, kept):
    """The rows of every method, by name; kept: what was found before, by task and name."""
    found = {}
    for plugin in args.strategies:
        for batch in args.batches:
            found[f"{plugin}, batch {batch}"] = ours(task, args, plugin, batch)
    for name in args.peers:
        if (task.name, name) in TOO_SLOW:
            continue
        key = f"{task.name}: {name}"
        runs = kept.setdefault(key, [])
        while len(runs) < args.seeds:
            runs.append([int(r) for r in PEERS[name](task, args.evaluations, len(runs) + 1)])
            if args.keep:
                args.keep.write_text(json.dumps(kept))
        found[name] = runs[:args.seeds]
    return found


def interval(values):
    """Mean and half the width of its 95 % interval (Student's t)."""
    from scipy.stats import t
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {half:.2f}"


def markdown(args, task, curves):
    marks = [m for m in MARKS if m <= args.evaluations]
    what = TASKS[task.name]
    if task.limit:
        what += f"; {COST} at most {task.limit:.4g}, {task.fits.sum()} of {len(task.fits)} subnets"
    lines = [f"{what[0].upper()}{what[1:]}, mean of {args.seeds} seeds and its 95 % interval:", "",
             "| evaluations | " + " | ".join(f"{m}" for m in marks) + " |",
             "|---|" + "--:|" * len(marks)]
    for name, values in curves.items():
        lines.append(f"| {name} | " + " | ".join(interval(values[:, m - 1]) for m in marks) + " |")
    return "\n".join(lines) + "\n"


def draw(args, curves):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    matplotlib.rcParams["svg.hashsalt"] = "nashost"
    figure, axes = pyplot.subplots(1, len(curves), figsize=(11, 4.6), layout="constrained")
    for axis, (task, methods) in zip(axes, curves.items()):
        dashes = itertools.cycle(["--", "-.", ":"])
        for name, values in methods.items():
            mine = name.split(",")[0] in OURS
            axis.plot(np.arange(1, args.evaluations + 1), values.mean(0), label=name,
                      linestyle="-" if mine else next(dashes), linewidth=1.8 if mine else 1.2)
        # Regret ends near 0, missing hypervolume does not.
        axis.set(xlabel="evaluations", ylabel=TASKS[task], xscale="log",
                 yscale="log" if task == "one" else "linear", xlim=(5, args.evaluations))
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=7, loc="lower left" if task == "one" else "upper right")
    figure.savefig(args.picture, metadata={"Date": None} if args.picture.suffix == ".svg" else None)


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--table", type=pathlib.Path, default=HERE / "table.jsonl.gz")
    p.add_argument("--space", type=pathlib.Path, default=HERE / "space.json")
    p.add_argument("--program", type=pathlib.Path, default=ROOT / "build/bench/search/search")
    p.add_argument("--seeds", type=int, default=20)
    p.add_argument("--evaluations", type=int, default=100)
    p.add_argument("--batches", type=int, nargs="+", default=[1, 16],
                   help="subnets that ours are asked for at once (1 and the host's default, 16)")
    p.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    p.add_argument("--strategies", nargs="*", choices=OURS, default=list(OURS))
    p.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    p.add_argument("--keep", type=pathlib.Path,
                   help="JSON file that keeps what peers found, so that they run once")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file in which the tables are replaced")
    p.add_argument("--picture", type=pathlib.Path, help="SVG or PNG file to draw")
    return p.parse_args()


def main():
    args = arguments()
    table = Table(args.table)
    kept = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    curves, text = {}, ""
    for name in args.tasks:
        task = Task(table, name)
        curves[name] = {method: np.array([task.curve(rows, args.evaluations) for rows in runs])
                        for method, runs in gather(args, task, kept).items()}
        text += "\n" + markdown(args, task, curves[name])
    text += f"\n![Means over the seeds]({args.picture.name})\n\n" if args.picture else "\n"
    section.replace(args.out, "bench/search/search.py", text) if args.out else print(text)
    if args.picture:
        draw(args, curves)


if __name__ == "__main__":
    main()
