"""What nashost's peers share: the work, the golden weights, and how they are timed."""
import argparse
import os
import pathlib
import random
import resource
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "golden"))
GOLDEN_FILE = ROOT / "tests" / "golden" / "supernet.safetensors"

# By default malloc returns freed activations to the system and faults them in again: 10 % slower.
MALLOC = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296"


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
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--check",
        nargs="?",
        metavar="FILE",
        const=GOLDEN_FILE,
        help="compute what the golden file holds instead; exit 1 if it differs",
    )
    return parser


def random_subnet(stages, rng):
    depths = [rng.choice(s.depth) for s in stages]
    return [
        [(rng.choice(s.kernel), rng.choice(s.expand)) for _ in range(d)]
        for s, d in zip(stages, depths)
    ]


def sandwiches(golden, seed, fixed):
    """Endless lists of subnets: the largest, the smallest and two random ones. fixed: the same ones
    every time, of which a compiler needs no more than four programs."""
    rng = random.Random(seed)
    ends = [golden.SUBNETS["largest"], golden.SUBNETS["smallest"]]
    while True:
        subnets = ends + [random_subnet(golden.STAGES, rng) for _ in range(2)]
        while fixed:
            yield subnets
        yield subnets


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


def check(golden, path, parts):
    """For each golden subnet, parts(images, labels, subnet) -> {part: value} against the file's.
    Tolerances are those of nashost's own test. (what was compared, whether all of it agrees)"""
    arrays, _ = golden.read_safetensors(path)
    result, agree = {}, True
    for name, subnet in golden.SUBNETS.items():
        for part, value in parts(arrays["images"], arrays["labels"], subnet).items():
            off = float(abs(value - arrays[f"{name}/{part}"]).max())
            result[f"{name}/{part}"] = off
            agree = agree and off < (1e-5 if part == "loss" else 1e-4)
    return result, agree
