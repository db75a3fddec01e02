#!/usr/bin/env python3
"""Times an exported network in the engine that runs such files, on this machine.

    tools/measure-engine.py net.tflite [--threads 1] [--cpu 0] [--seconds 0.5]

net.tflite runs in LiteRT, net.onnx in onnxruntime, net.param (with net.bin) in ncnn, as it is by default, and
net.c is compiled; the Python that runs this needs ai-edge-litert, onnxruntime or ncnn. Prints what nashost's
hardware plugin `command` wants: the median of the runs after a warm-up as `latency_ms`, and beside it, as `spread`, how far the
slowest tenth is from the fastest, as a share of the median. Threads are pinned to the CPUs from --cpu on.
"""
import argparse
import json
import os
import pathlib
import sys
import time

try:
    import numpy as np
except ImportError:
    sys.exit("tools/measure-engine.py: this Python has no numpy")
sys.dont_write_bytecode = True # beside an installed program
from engines import Missing, open_engine


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--threads", type=int, default=1, help="(1)")
    p.add_argument("--cpu", type=int, help="the first CPU to run on (none: wherever there is room)")
    p.add_argument("--single", action="store_true",
                   help="ncnn computes in single precision instead of its default")
    p.add_argument("--seconds", type=float, default=0.5, help="of runs that count (0.5)")
    return p.parse_args()


def measure(run, seconds):
    """Milliseconds of each run in so many seconds, 10 runs at least, after as long a warm-up."""
    times, end, warm = [], time.perf_counter() + seconds, True
    while warm or time.perf_counter() < end or len(times) < 10:
        if warm and time.perf_counter() >= end:
            times, end, warm = [], time.perf_counter() + seconds, False
        begin = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - begin))
    return np.array(times)


def main():
    args = arguments()
    if args.cpu is not None: # before the engine starts threads, which inherit it
        os.sched_setaffinity(0, range(args.cpu, args.cpu + args.threads))
    try:
        engine = open_engine(args.model, args.threads, half=not args.single)
    except Missing as missing:
        sys.exit(f"tools/measure-engine.py: {args.model}: {missing}")
    image = engine.prepare(np.zeros(engine.shape, np.uint8))
    times = measure(lambda: engine.run(image), args.seconds)
    tenth, half, most = np.quantile(times, [0.1, 0.5, 0.9])
    print(json.dumps({"latency_ms": half, "spread": (most - tenth) / half, "runs": len(times)}))


if __name__ == "__main__":
    main()
