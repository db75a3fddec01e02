#!/usr/bin/env python3
"""Writes a table of subnets whose score is a function of the genome, for search.py:

    bench/search/functions.py KIND SEED SPACE OUT

Costs are those of `nashost cost` on the profile phone-little. The score, in the column "agreement", is

    smooth    a saturating sum over active genes and pairs of them, so that more is mostly better
    rugged    the same sum plus an NK landscape (Kauffman and Levin, 1987): a random number for each
              gene's value together with those of two others
    plateau   a smooth function that is best in the middle of the costs, answered by a test of 200
              images: many subnets are equal, and each answer has the noise that such a test has

and another SEED is another function of that kind. OUT is gzipped if its name says so.
"""
import argparse
import gzip
import hashlib
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COSTS = {"latency_ms phone-little": "latency_ms", "peak phone-little": "peak_bytes"}


def choices(value):
    return value if isinstance(value, list) else [value]


def stage_genomes(stage):
    """Each subnet of a stage: its genes with inactive ones 0, and its JSON."""
    depths = choices(stage["depth"])
    blocks = list(itertools.product(enumerate(choices(stage["kernel"])),
                                    enumerate(choices(stage["expand"]))))
    for (w, width), (d, depth) in itertools.product(enumerate(choices(stage["width"])),
                                                    enumerate(depths)):
        for picked in itertools.product(blocks, repeat=depth):
            genes = [w, d] + [i for (k, _), (e, _) in picked for i in (k, e)]
            yield (genes + [0] * (2 * (depths[-1] - depth)),
                   {"width": width, "blocks": [{"kernel": k, "expand": e}
                                               for (_, k), (_, e) in picked]})


def gene_names(space):
    names = ["resolution"]
    for s, stage in enumerate(space["stages"]):
        names += [f"stage{s}.width", f"stage{s}.depth"]
        names += [f"stage{s}.block{b}.{kind}" for b in range(choices(stage["depth"])[-1])
                  for kind in ("kernel", "expand")]
    return names


def all_genomes(space):
    stages = [list(stage_genomes(stage)) for stage in space["stages"]]
    for (r, resolution), *picked in itertools.product(enumerate(choices(space["resolution"])),
                                                      *stages):
        yield ([r] + [g for genes, _ in picked for g in genes],
               {"resolution": resolution, "stages": [json for _, json in picked]})


def costs_of(genomes, space):
    """What nashost says of each genome."""
    pipeline = {
        "dataset": {"plugin": "synthetic", "options": {"classes": 10, "side": 28}},
        "split": {"labelled": 10, "heldout": 10}, "space": str(space),
        "train": {"steps": 1, "ssl": {"plugin": "fixmatch"}},
        "search": {"plugin": "random", "score": {"plugin": "agreement"}},
        "platforms": [{"name": "phone", "hardware": {"plugin": "roofline", "options": {
            "profile": str(ROOT / "plugins/hardware/profiles/phone-little.json")}}}],
        "export": [{"plugin": "safetensors"}]}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "pipeline.json").write_text(json.dumps(pipeline))
        (folder / "genomes.json").write_text(json.dumps(genomes))
        answer = subprocess.run([ROOT / "nashost", "cost", folder / "pipeline.json", "--json",
                                 "--genome", folder / "genomes.json"],
                                check=True, capture_output=True, text=True).stdout
    return [{**one, **one["costs"]["phone"]} for one in json.loads(answer)["subnets"]]


def noise(seed, *key):
    """Uniform in [0, 1), a function of the key."""
    digest = hashlib.sha256(repr((seed,) + key).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 256 ** 7


class Function:
    def __init__(self, kind, seed, names, genes, cost):
        self.kind, self.seed, self.names, self.genes = kind, seed, names, genes
        self.most = np.maximum(genes.max(0), 1)
        self.depth = {name: i for i, name in enumerate(names) if name.endswith(".depth")}
        self.free = [g for g in range(len(names)) if genes[:, g].max() > 0]
        size = np.log(cost)
        self.size = (size - size.min()) / (size.max() - size.min())

    def active(self, row, g):
        stage, *block, _ = self.names[g].split(".") if "." in self.names[g] else ("", "")
        return not block or row[self.depth[f"{stage}.depth"]] >= int(block[0][5:])

    def worth(self, row):
        """Each free gene's, and that of some pairs; inactive ones are worth 0."""
        level = {g: (row[g] + 1) / (self.most[g] + 1) if self.active(row, g) else 0
                 for g in self.free}
        sign = {g: 1 if noise(self.seed, "sign", g) < 0.8 else -0.6 for g in self.free}
        total = sum(sign[g] * (0.2 + noise(self.seed, "weight", g)) *
                    level[g] ** (0.4 + noise(self.seed, "power", g)) for g in self.free)
        for i, g in enumerate(self.free):
            h = self.free[(i + 1 + int(noise(self.seed, "pair", g) * 4)) % len(self.free)]
            total += (noise(self.seed, "together", g) - 0.5) * level[g] * level[h]
        return total

    def rough(self, row):
        n, total = len(self.free), 0
        for i, g in enumerate(self.free):
            if not self.active(row, g):
                continue
            others = [self.free[(i + 1 + int(noise(self.seed, "other", g, k) * (n - 1))) % n]
                      for k in range(2)]
            key = tuple(int(row[h]) for h in [g] + others)
            total += noise(self.seed, "nk", g, *key)
        return total

    def scores(self):
        worth = np.array([self.worth(row) for row in self.genes])
        worth = (worth - worth.mean()) / worth.std()
        if self.kind == "rugged":
            rough = np.array([self.rough(row) for row in self.genes])
            worth = 0.6 * worth + (rough - rough.mean()) / rough.std()
        if self.kind == "plateau":
            worth = worth - 8 * (self.size - 0.55 - 0.2 * noise(self.seed, "middle")) ** 2
        score = 0.9 / (1 + np.exp(-0.7 * worth - 1))
        if self.kind == "plateau":
            rng = np.random.default_rng(self.seed)
            score = rng.binomial(200, score) / 200
        return score


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=["smooth", "rugged", "plateau"])
    p.add_argument("seed", type=int)
    p.add_argument("space", type=pathlib.Path)
    p.add_argument("out", type=pathlib.Path)
    args = p.parse_args()
    space = json.loads(args.space.read_text())
    genes, genomes = zip(*all_genomes(space))
    names, costs = gene_names(space), costs_of(genomes, args.space.resolve())
    score = Function(args.kind, args.seed, names, np.array(genes),
                     np.array([c["macs"] for c in costs])).scores()
    # The order in which nashost counts: the first gene fastest.
    order = sorted(range(len(genes)), key=lambda i: genes[i][::-1])
    kept = ["macs", "params", *COSTS.values()]
    out = gzip.open(args.out, "wt") if args.out.suffix == ".gz" else args.out.open("w")
    with out:
        print(json.dumps([*names, "agreement", "macs", "params", *COSTS]), file=out)
        for i in order:
            values = [float(f"{score[i]:.6g}"), *(costs[i][key] for key in kept)]
            print(json.dumps([*genes[i], *values]), file=out)


if __name__ == "__main__":
    main()
