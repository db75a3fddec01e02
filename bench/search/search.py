#!/usr/bin/env python3
"""Compares search strategies on tables of subnets: ours, pymoo's GA and NSGA-II, Optuna's TPE, GP
and NSGA-II.

    make benches && bench/search/search.py --tables TABLE:SPACE ... --out docs/search.md

needs pymoo, optuna, and torch for Optuna's GP:

    python3 -m venv VENV && VENV/bin/pip install pymoo optuna torch

A table is what functions.py or build/bench/search/table wrote. Tasks, each without a limit and, with a
5 after its name, under the limit of latency that 5 % of the subnets meet:

    one     the highest score: the regret is how far the best subnet so far is from the best there
            is, in points
    two     1 - score against latency: the share of the true front's hypervolume, up to the worst
            of each among the subnets that meet the limit, that is missing
    three   the same with parameters as a third objective

An evaluation is a subnet that meets the limit and was not asked for before. The first two are the
smallest and the largest subnet, where they meet it: the host judges them in any case, and peers are
started from them too. What else is proposed costs nothing, for peers as well: they are told at once
what the table says of it. A peer that has proposed 4 times the evaluations without filling them keeps
the best it has. Peers work on the same genes, one integer each, and what they propose counts as its
canonical form.
"""
import argparse
import functools
import gzip
import json
import math
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
COSTS = ["latency_ms phone-little", "params"]
SHARE = 0.05
MARKS = [10, 25, 50, 100, 200]
PATIENCE = 4
OURS = {"random": {}, "local_search": {}, "evolution": {}, "nsga2": {}, "bayesian": {}}
TASKS = {"one": 1, "one5": 1, "two": 2, "two5": 2, "three": 3, "three5": 3}


class Table:
    """The table's subnets by their genes, those that have a choice."""

    def __init__(self, path, space):
        self.path, self.space, self.title = path, space, path.name.split(".")[0]
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
            names = json.loads(next(lines))
            rows = np.array([json.loads(line) for line in lines])
        n_genes = names.index("agreement")
        free = [g for g in range(n_genes) if rows[:, g].max() > 0]
        self.names = [names[g] for g in free]
        self.choices = [int(rows[:, g].max()) + 1 for g in free]
        self.row = {tuple(genes): i for i, genes in enumerate(rows[:, free].astype(int).tolist())}
        self.values = np.column_stack([1 - rows[:, n_genes],
                                       *(rows[:, names.index(cost)] for cost in COSTS)])
        depth = {name: i for i, name in enumerate(self.names) if name.endswith(".depth")}
        # For each gene of a block: the gene of its stage's depth, and the block's number.
        self.block = {}
        for i, name in enumerate(self.names):
            stage, *block, _ = name.split(".") if "." in name else ("", "")
            if block:
                self.block[i] = (depth.get(f"{stage}.depth"), int(block[0][5:]))

    def active(self, genes, i):
        stage, block = self.block.get(i, (None, 0))
        return stage is None or genes[stage] >= block

    def canonical(self, genes):
        return tuple(int(v) if self.active(genes, i) else 0 for i, v in enumerate(genes))

    def extremes(self):
        return [[0] * len(self.choices), [n - 1 for n in self.choices]]


class Task:
    """What of the table counts, and how good a sequence of rows is."""

    def __init__(self, table, name):
        self.table, self.name, self.objectives = table, name, TASKS[name]
        latency = table.values[:, 1]
        self.limit = float(np.quantile(latency, SHARE)) if name.endswith("5") else None
        self.fits = latency <= self.limit if self.limit else np.ones(len(latency), bool)
        self.values = table.values[:, :self.objectives]
        self.corner = self.values[self.fits].max(0)
        self.whole = self.covered(np.flatnonzero(self.fits))

    def covered(self, rows):
        """How much of the goal: minus the least error, or the volume up to the corner."""
        if self.objectives == 1:
            return -self.values[rows, 0].min()
        from moocore import hypervolume
        return hypervolume(self.values[rows], ref=self.corner)

    def missing(self, rows, n):
        """Points, or per cent of the volume, after n evaluations."""
        rows = list(rows)[:n]
        if not rows:
            return math.nan
        lack = self.whole - self.covered(rows)
        return 100 * (lack if self.objectives == 1 else lack / self.whole)

    def beyond(self, row):
        return self.table.values[row, 1] / self.limit - 1 if self.limit else -1.0


class Ledger:
    """Looks proposals of a peer up, and keeps those that count as evaluations."""

    def __init__(self, task, evaluations):
        self.task, self.most = task, min(evaluations, int(task.fits.sum()))
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
    request = {"plugin": plugin, "options": OURS[plugin], "costs": COSTS, "limit": task.limit,
               "objectives": task.objectives, "evaluations": args.evaluations, "batch": batch,
               "seeds": args.seeds}
    out = subprocess.run([args.program, task.table.path, task.table.space, json.dumps(request)],
                         check=True, capture_output=True, text=True,
                         env={**os.environ, "NASHOST_HOME": str(ROOT)}).stdout
    return [json.loads(line) for line in out.splitlines()]


# ---- Peers: each runs one seed and returns the rows ----

def pymoo_search(task, evaluations, seed, population):
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    table, rng = task.table, np.random.default_rng(seed)
    problem = Problem(n_var=len(table.choices), n_obj=task.objectives, n_ieq_constr=1, xl=0,
                      xu=np.array(table.choices) - 1, vtype=int)

    class Canonical(RoundingRepair):
        def _do(self, problem, X, **kwargs):
            X = super()._do(problem, X, **kwargs)
            return np.array([table.canonical(x) for x in X])

    repair = Canonical()
    start = table.extremes()
    while len(start) < population:
        one = list(table.canonical(rng.integers(0, table.choices)))
        if one not in start:
            start.append(one)
    search = (GA if task.objectives == 1 else NSGA2)(
        pop_size=population, sampling=np.array(start), repair=repair,
        crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=repair),
        mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=repair), eliminate_duplicates=True)
    search.setup(problem, termination=("n_gen", 10 ** 6), seed=seed, verbose=False)
    ledger = Ledger(task, evaluations)
    while not ledger.done() and search.has_next():
        asked = search.ask()
        if asked is None or len(asked) == 0:
            break
        rows = [ledger.look(x) for x in asked.get("X")]
        asked.set("F", task.values[rows])
        asked.set("G", np.array([[task.beyond(row)] for row in rows]))
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
    study = optuna.create_study(directions=["minimize"] * task.objectives,
                                sampler=sampler(seed=seed, constraints_func=constraints))
    for genes in table.extremes():
        study.enqueue_trial(dict(zip(table.names, genes)))
    ledger = Ledger(task, evaluations)
    while not ledger.done():
        trial = study.ask()
        # A depth comes before the blocks of its stage.
        genes = []
        for i, name in enumerate(table.names):
            wanted = not conditional or table.active(genes, i)
            genes.append(trial.suggest_int(name, 0, table.choices[i] - 1) if wanted else 0)
        row = ledger.look(genes)
        trial.set_user_attr("beyond", [task.beyond(row)])
        study.tell(trial, [float(v) for v in task.values[row]])
    return ledger.rows


def optuna_tpe(task, evaluations, seed):
    from optuna.samplers import TPESampler
    return optuna_search(task, evaluations, seed, TPESampler, True)


def optuna_nsga2(task, evaluations, seed):
    from optuna.samplers import NSGAIISampler
    return optuna_search(task, evaluations, seed,
                         functools.partial(NSGAIISampler, population_size=20), False)


def optuna_gp(task, evaluations, seed):
    import torch
    from optuna.samplers import GPSampler
    torch.set_num_threads(1)
    return optuna_search(task, evaluations, seed, GPSampler, False)


PEERS = {
    "pymoo": functools.partial(pymoo_search, population=20),
    "Optuna TPE": optuna_tpe,
    "Optuna NSGA-II": optuna_nsga2,
    "Optuna GP": optuna_gp,
}
BATCHED = {"bayesian", "evolution"}  # the others propose the same, whatever they are asked for at once
# Of those that take long: seeds, evaluations, tasks.
SEEDS = {"Optuna NSGA-II": 10, "Optuna TPE": 3, "Optuna GP": 3}
EVALUATIONS = {"Optuna TPE": 100, "Optuna GP": 50}
TASKS_OF = {"Optuna TPE": {"one", "two"}, "Optuna GP": {"one"}}


def title(name, task):
    return f"pymoo {'GA' if task.objectives == 1 else 'NSGA-II'}" if name == "pymoo" else name


# ---- Results ----

def gather(args, task, kept):
    """The rows of every method, by name; kept: what was found before, by table, task and name."""
    def keep(name, seeds, run):
        runs = kept.setdefault(f"{task.table.title}: {task.name}: {name}", [])
        if len(runs) < seeds:
            for more in run(range(len(runs) + 1, seeds + 1)):
                runs.append([int(row) for row in more])
                if args.keep:
                    args.keep.write_text(json.dumps(kept))
        return runs[:seeds]

    found = {}
    for plugin in args.strategies:
        for batch in args.batches if plugin in BATCHED else args.batches[:1]:
            name = f"{plugin}, batch {batch}" if plugin in BATCHED else plugin
            found[name] = keep(name, args.seeds, lambda _: ours(task, args, plugin, batch))
    for name in args.peers:
        if task.name in TASKS_OF.get(name, TASKS):
            seeds = min(args.seeds, SEEDS.get(name, args.seeds))
            most = min(args.evaluations, EVALUATIONS.get(name, args.evaluations))
            found[title(name, task)] = keep(
                name, seeds, lambda seeds: (PEERS[name](task, most, seed) for seed in seeds))
    return found


def interval(values):
    """Mean and half the width of its 95 % interval (Student's t)."""
    from scipy.stats import t
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {half:.2f}"


GOALS = ["score", "score and latency", "score, latency and parameters"]


def reached(task, runs, mark):
    """What each seed misses after so many evaluations; nothing if a run ended before."""
    if max(map(len, runs)) < min(mark, task.fits.sum()):
        return []
    return [task.missing(rows, mark) for rows in runs]


def summary(args, task, found):
    """One line: at each mark the best of ours and the best peer."""
    cells = []
    for mark in [m for m in MARKS if m <= args.evaluations]:
        best = []
        for mine in (True, False):
            means = [(np.mean(values), name) for name, runs in found.items()
                     if (name.split(",")[0] in OURS) == mine
                     and len(values := reached(task, runs, mark))]
            mean, name = min(means, default=(math.nan, ""))
            best.append(f"{mean:.2f} {name.split(',')[0]}" if means else "ended before")
        cells.append(" / ".join(best))
    limit = ", limit" if task.limit else ""
    return f"| {task.table.title}: {GOALS[task.objectives - 1]}{limit} | {' | '.join(cells)} |\n"


def markdown(args, task, found):
    marks = [m for m in MARKS if m <= args.evaluations]
    what = "regret, points" if task.objectives == 1 else "hypervolume missing, %"
    goal = GOALS[task.objectives - 1]
    limit = (f"latency at most {task.limit:.4g} ms, which {task.fits.sum()} of "
             f"{len(task.fits)} subnets meet" if task.limit else f"{len(task.fits)} subnets")
    lines = [f"**{task.table.title}**, {goal}, {limit}: {what}", "",
             "| evaluations | " + " | ".join(f"{m}" for m in marks) + " |",
             "|---|" + "--:|" * len(marks)]
    for name, runs in found.items():
        seeds = "" if len(runs) == args.seeds else f" ({len(runs)} seeds)"
        cells = [interval(values) if len(values := reached(task, runs, m)) else "" for m in marks]
        lines.append(f"| {name}{seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def pair(text):
    table, space = text.split(":")
    return pathlib.Path(table), pathlib.Path(space)


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tables", type=pair, nargs="+", metavar="TABLE:SPACE",
                   default=[(HERE / "table.jsonl.gz", HERE / "space.json")])
    p.add_argument("--program", type=pathlib.Path, default=ROOT / "build/bench/search/search")
    p.add_argument("--seeds", type=int, default=20)
    p.add_argument("--evaluations", type=int, default=200)
    p.add_argument("--batches", type=int, nargs="+", default=[1, 16],
                   help="subnets that ours are asked for at once")
    p.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    p.add_argument("--strategies", nargs="*", choices=OURS, default=list(OURS))
    p.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    p.add_argument("--options", type=json.loads, default={},
                   help='options of ours, such as {"nsga2": {"population": 20}}')
    p.add_argument("--keep", type=pathlib.Path,
                   help="JSON file that keeps what was found, so that each method runs once")
    p.add_argument("--section", default="bench/search/search.py",
                   help="name of the part of the Markdown files that is replaced")
    p.add_argument("--out", type=pathlib.Path, help="Markdown file in which the tables are replaced")
    p.add_argument("--summary", type=pathlib.Path,
                   help="another, in which the best of ours and of peers are replaced")
    return p.parse_args()


def main():
    args = arguments()
    OURS.update(args.options)
    kept = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    marks = [str(m) for m in MARKS if m <= args.evaluations]
    short = "\n| ours / peers | " + " | ".join(marks) + " |\n|---|" + "---|" * len(marks) + "\n"
    text = ""
    for path, space in args.tables:
        table = Table(path, space)
        for name in args.tasks:
            task = Task(table, name)
            found = gather(args, task, kept)
            text += "\n" + markdown(args, task, found)
            short += summary(args, task, found)
    section.replace(args.out, args.section, text + "\n") if args.out else print(text)
    section.replace(args.summary, args.section, short + "\n") if args.summary else print(short)


if __name__ == "__main__":
    main()
