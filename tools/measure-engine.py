#!/usr/bin/env python3
"""Times an exported network in the engine that runs such files, on this machine.

    tools/measure-engine.py net.tflite [--threads 1] [--cpu 0] [--seconds 0.5]

net.tflite runs in LiteRT, net.onnx in onnxruntime, net.param (with net.bin) in ncnn; the Python that
runs this needs ai-edge-litert, onnxruntime or ncnn. Prints what nashost's hardware plugin `command`
wants: the median of the runs after a warm-up as `latency_ms`, and beside it, as `spread`, how far the
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


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--threads", type=int, default=1, help="(1)")
    p.add_argument("--cpu", type=int, help="the first CPU to run on (none: wherever there is room)")
    p.add_argument("--seconds", type=float, default=0.5, help="of runs that count (0.5)")
    return p.parse_args()


# Each opens a model and gives a function that runs it once.

def open_tflite(path, threads):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    return interpreter.invoke


def open_onnx(path, threads):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry, = session.get_inputs()
    image = np.zeros([n if isinstance(n, int) else 1 for n in entry.shape], np.float32)
    return lambda: session.run(None, {entry.name: image})


def open_ncnn(path, threads):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = threads
    assert net.load_param(str(path)) == 0 and net.load_model(str(path.with_suffix(".bin"))) == 0
    line = next(line for line in path.read_text().splitlines() if line.startswith("Input "))
    w, h, c = (int(word.split("=")[1]) for word in line.split()[-3:])
    image = ncnn.Mat(np.zeros((c, h, w), np.float32)).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input("image", image)
        return extractor.extract("logits")
    return run


OPENERS = {".tflite": open_tflite, ".onnx": open_onnx, ".param": open_ncnn}


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
    opener = OPENERS.get(args.model.suffix)
    if not opener:
        sys.exit(f"tools/measure-engine.py: {args.model}: expected a file that ends in "
                 f"{', '.join(OPENERS)}")
    if args.cpu is not None: # before the engine starts threads, which inherit it
        os.sched_setaffinity(0, range(args.cpu, args.cpu + args.threads))
    try:
        run = opener(args.model, args.threads)
    except ImportError as error:
        sys.exit(f"tools/measure-engine.py: {args.model}: this Python has no {error.name}")
    times = measure(run, args.seconds)
    tenth, half, most = np.quantile(times, [0.1, 0.5, 0.9])
    print(json.dumps({"latency_ms": half, "spread": (most - tenth) / half, "runs": len(times)}))


if __name__ == "__main__":
    main()
