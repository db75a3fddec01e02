#!/usr/bin/env python3
"""int8 subnets beside MLPerf Tiny's reference for image classification, in the same engine.

    bench/export/tiny.py --test cifar/test --out docs/export.md NAME=FILE.tflite...

Each FILE is an int8 .tflite file that takes RGB pictures of CIFAR-10, whose classes are in alphabetical order:
what `nashost export` writes, and the reference itself, `pretrainedResnet_quant.tflite` of the repository
mlcommons/tiny, whose input is the pixel less 128 as well. All answer the same test pictures, class folders of
which --test names, resized as nashost does; multiply-accumulates are counted from the file's own operators; the arena
is the least with which LiteRT Micro starts; the latency is LiteRT's on one core of this machine, the lowest
median of some rounds. With --out the table replaces the part `tiny` of that file.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import multiprocessing
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / "build/venv/bin/python"
if PYTHON.exists() and sys.prefix == sys.base_prefix: # the engines are there
    os.execv(PYTHON, [PYTHON, *sys.argv])

import numpy as np
from PIL import Image

sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bench/lib")]
import section
from engines import open_engine

def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("files", nargs="+", metavar="NAME=FILE", help="how the table calls it, and where it is")
    p.add_argument("--test", type=pathlib.Path, required=True, help="class folders of test pictures")
    p.add_argument("--rounds", type=int, default=5, help="(5)")
    p.add_argument("--seconds", type=float, default=0.5, help="of a round, for each file (0.5)")
    p.add_argument("--cpu", type=int, default=0, help="to time on (0)")
    p.add_argument("--out", type=pathlib.Path, help="a Markdown file with the part; none: print it")
    return p.parse_args()


def litert_micro():
    spec = importlib.util.spec_from_file_location("litert_micro", ROOT / "tools/litert-micro.py")
    micro = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(micro)
    return micro


def macs(micro, data):
    """Of convolutions and linear layers, as their operators' shapes say."""
    kinds = micro.schema.BuiltinOperator
    model = micro.schema.ModelT.InitFromObj(micro.schema.Model.GetRootAs(data, 0))
    graph, total = model.subgraphs[0], 0
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind not in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.FULLY_CONNECTED):
            continue
        weights, made = (graph.tensors[t].shape for t in (operator.inputs[1], operator.outputs[0]))
        each = weights[1:3] if kind == kinds.DEPTHWISE_CONV_2D else weights[1:]
        total += int(np.prod(made)) * int(np.prod(each))
    return total


def pictures(folder, side):
    for label, name in enumerate(sorted(f.name for f in folder.iterdir() if f.is_dir())):
        for path in sorted((folder / name).iterdir()):
            picture = Image.open(path).convert("RGB")
            if picture.size != (side, side):
                picture = picture.resize((side, side), Image.BILINEAR)
            yield label, np.asarray(picture)


def top1(path, folder):
    engine = open_engine(path)
    right = [int(engine.logits([image])[0].argmax()) == label
             for label, image in pictures(folder, engine.shape[0])]
    return sum(right) / len(right), len(right), engine.about


def latency(args, path):
    words = [sys.executable, ROOT / "tools/measure-engine.py", path, "--cpu", args.cpu, "--seconds", args.seconds]
    return json.loads(subprocess.run([str(w) for w in words], check=True, capture_output=True).stdout)["latency_ms"]


def in_child(function, *arguments):
    """The packages of LiteRT and of LiteRT Micro crash in one process."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def sizes(path):
    micro = litert_micro()
    data = micro.read_model(path)
    return {"bytes": len(data), "macs": macs(micro, data), "arena": micro.least_arena(data)}


def measure(args, name, path):
    accuracy, images, about = in_child(top1, path, args.test)
    return {"name": name, "path": path, **in_child(sizes, path), "top1": accuracy, "images": images,
            "about": about, "ms": []}


def table(args, rows):
    lines = [f"| {row['name']} | {row['bytes']:,} | {row['arena']:,} | {row['macs'] / 1e6:.2f} M | {min(row['ms']):.3f} ms | "
             f"{100 * row['top1']:.2f} % |" for row in rows]
    return f"""
{rows[0]['images']:,} test pictures of CIFAR-10; {rows[0]['about']} on one core, the lowest median of {args.rounds} rounds; the arena is LiteRT Micro's.

| network | bytes | arena | MACs | latency | top-1 |
|---|--:|--:|--:|--:|--:|
{chr(10).join(lines)}

```
{shlex.join(["bench/export/tiny.py", *sys.argv[1:]])}
```

"""


def main():
    args = arguments()
    rows = [measure(args, name, pathlib.Path(path)) for name, path in (f.split("=", 1) for f in args.files)]
    for _ in range(args.rounds):
        for row in rows:
            row["ms"].append(latency(args, row["path"]))
    if args.out:
        section.replace(args.out, "tiny", table(args, rows))
    else:
        print(table(args, rows))


if __name__ == "__main__":
    main()
