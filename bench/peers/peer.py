"""What nashost's peers share: the work, and how they are timed."""
import argparse
import json
import os
import pathlib
import resource
import statistics
import sys
import time

import numpy

# By default malloc returns freed activations to the system and faults them in again: 10 % slower.
MALLOC = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296"

# What the peers do of a pipeline's section train; all else may have any value. (One learning rate for
# all layers takes as long as several.)
ONLY = {
    "subnet_sampling": "sandwich",
    "teacher": "largest",
    "accumulate": 1,
    "distill": 0,
    "freeze_trunk_steps": 0,
    "freeze_batch_norm": False,
    "anchor": 0,
    "clip_norm": 0,
    "label_smoothing": 0,
    "logit_adjustment": 0,
    "dropout": 0,
}


def keep_freed_memory():
    """Starts the script again with that, before it has loaded anything big."""
    if "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable] + sys.argv)


def resident_bytes():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def parser(doc, steps, warmup):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--warmup", type=int, default=warmup)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def work_parser(doc, kind, steps, warmup):
    new = parser(doc, steps, warmup)
    new.add_argument(
        "--work", required=True, metavar="FILE", help=f"what `nashost bench {kind} --out` wrote"
    )
    new.add_argument(
        "--check", action="store_true", help="compute what FILE holds instead; exit 1 if it differs"
    )
    return new


class Work:
    """What `nashost bench train|eval --out` wrote (core/cli/commands.h). A tensor is read when it is
    asked for, so that the file takes no memory while a peer is timed."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self.tensors = json.loads(file.read(size))
        self.start = 8 + size
        self.metadata = self.tensors.pop("__metadata__")
        self.space, self.train, self.genomes = map(self.value, ["space", "train", "genomes"])
        self.classes = self.tensors["weights.classifier.bias"]["shape"][0]

    def array(self, name):
        tensor = self.tensors[name]
        begin, end = tensor["data_offsets"]
        values = numpy.fromfile(self.path, "<f4", (end - begin) // 4, offset=self.start + begin)
        return values.reshape(tensor["shape"])

    def value(self, key):
        return json.loads(self.metadata[key])

    def named(self, prefix):
        prefix += "."
        for name in self.tensors:
            if name.startswith(prefix):
                yield name[len(prefix) :], self.array(name)

    def refuse_other_training(self):
        ssl, wrong = self.train["ssl"], {k: self.train[k] for k in ONLY if self.train[k] != ONLY[k]}
        if ssl["plugin"] != "fixmatch" or ssl["options"]["align"]:
            wrong["ssl"] = ssl
        if wrong:
            sys.exit(f"the peers do no such training: {wrong}; they do {ONLY} and plain fixmatch")


def measure(step, inputs, warmup, steps):
    """Times step(*inputs()); what nashost bench says of the same."""
    times, used = [], 0
    for i in range(warmup + steps):
        arguments = inputs()
        if i == warmup:
            used = time.process_time()
        start = time.perf_counter()
        step(*arguments)
        times.append((time.perf_counter() - start) * 1e3)
    used = time.process_time() - used
    times = times[warmup:]
    return {
        "ms_per_step": statistics.median(times),
        "ms_min": min(times),
        "ms_max": max(times),
        "cpu_ms_per_step": used * 1e3 / steps,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "steps": steps,
    }
