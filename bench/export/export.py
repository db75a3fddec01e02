#!/usr/bin/env python3
"""How large and how fast is one subnet in each engine and type, and does it still answer the same?

    bench/export/export.py --run DIR [--platform mcu] [--images 10000] [--rounds 5] [--out docs/export.md]

DIR is a run on Fashion-MNIST whose subnets see whole images. The subnet is exported in every type; each file
runs test images one by one, and its answers are compared with those of `nashost infer` in single precision and
with the labels; then tools/measure-engine.py times the files in turns, for several rounds, of which the lowest
median counts. Run it on an idle machine. With --out the table replaces the part `engines` of that file.
"""
import argparse
import gzip
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
PYTHON = ROOT / "build/venv/bin/python"
if PYTHON.exists() and sys.prefix == sys.base_prefix: # the engines are there
    os.execv(PYTHON, [PYTHON, *sys.argv])

import numpy as np

sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bench/lib")]
import section
from engines import Missing, open_engine

# Engine and type as the table shows them, export plugin, its options, and whether ncnn takes its default.
FILES = [
    ("onnxruntime", "float32", "onnx", {}, False),
    ("onnxruntime", "int8", "onnx", {"dtype": "int8"}, False),
    ("LiteRT", "float32", "tflite", {}, False),
    ("LiteRT", "weights in float16", "tflite", {"dtype": "float16"}, False),
    ("LiteRT", "int8", "tflite", {"dtype": "int8"}, False),
    ("ncnn", "float32", "ncnn", {}, False),
    ("ncnn", "the same file in ncnn's default, 16 bits where the processor can", "ncnn", {}, True),
    ("ncnn", "int8", "ncnn", {"dtype": "int8"}, True),
    ("C, `cc -O2`", "float32", "c", {}, False),
    ("C, `cc -O2`", "int8", "c", {"dtype": "int8"}, False),
]


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default=ROOT / "nashost")
    p.add_argument("--run", type=pathlib.Path, required=True, help="a run directory")
    p.add_argument("--platform", help="whose subnet; none: the largest")
    p.add_argument("--images", type=int, default=10000, help="test images (10000)")
    p.add_argument("--rounds", type=int, default=5, help="(5)")
    p.add_argument("--seconds", type=float, default=0.5, help="of a round, for each file (0.5)")
    p.add_argument("--cpu", type=int, default=0, help="to time on (0)")
    p.add_argument("--out", type=pathlib.Path, help="a Markdown file with the part; none: print it")
    return p.parse_args()


def call(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{words[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def read(name, header):
    with gzip.open(DATA / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def export(args, subnet, folder, form, options):
    path = folder / f"{form}-{options.get('dtype', 'float32')}.{'param' if form == 'ncnn' else form}"
    if not path.exists():
        call(args.nashost, "export", args.run, *subnet, "--format", form, "--out", path, "--options",
             json.dumps(options))
    return path


def size(path):
    """Of the files; of C, whose file is a source, of the constants in it."""
    described = json.loads(path.with_name(path.name + ".json").read_text())
    if path.suffix == ".c":
        return described["sizes"]["flash_bytes"]
    return sum(file["bytes"] for file in described["files"])


def measure(args, path, half):
    answer = call(sys.executable, ROOT / "tools/measure-engine.py", path, "--cpu", args.cpu,
                  "--seconds", args.seconds, *([] if half else ["--single"]))
    return json.loads(answer)["latency_ms"]


def compare(args, subnet, folder):
    """Rows of the table without times: how a file is timed, and what the engine answers."""
    images = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)[:args.images]
    labels = read("t10k-labels-idx1-ubyte.gz", 8)[:args.images]
    np.save(folder / "x.npy", images)
    call(args.nashost, "infer", args.run, *subnet, "--input", folder / "x.npy", "--logits",
         folder / "y.npy")
    wanted, rows = np.load(folder / "y.npy").argmax(1), []
    for engine, dtype, form, options, half in FILES:
        path = export(args, subnet, folder, form, options)
        try:
            opened = open_engine(path, half=half)
        except Missing as missing:
            print(f"{engine}, {dtype}: {missing}", file=sys.stderr)
            continue
        if opened.shape != images.shape[1:]:
            sys.exit(f"{args.run}: expected a subnet of {images.shape[1:]}, found {opened.shape}")
        found = opened.logits(images).argmax(1)
        rows.append({"engine": engine, "dtype": dtype, "about": opened.about, "path": path,
                     "half": half, "bytes": size(path), "ms": [],
                     "same": (found == wanted).mean(), "top1": (found == labels).mean()})
    return rows, (wanted == labels).mean()


def table(args, rows, top1, loads):
    abouts = dict.fromkeys(row["about"] for row in rows)
    lines = [f"| {row['engine']} | {row['dtype']} | {row['bytes']:,} | {min(row['ms']):.3f} ms | "
             f"{100 * row['same']:.2f} % | {100 * row['top1']:.2f} % |" for row in rows]
    command = shlex.join(["bench/export/export.py", *sys.argv[1:]])
    whose = f"of platform `{args.platform}`" if args.platform else "with the most weights"
    return f"""
The subnet {whose}, {args.images:,} Fashion-MNIST test images one by one, on one core; a time is the lowest
median of {args.rounds} rounds (load of the machine {min(loads):.1f} to {max(loads):.1f}). Bytes are those of the
files, and in C of the constants. The host in single precision has {100 * top1:.2f} % right. Engines: {"; ".join(abouts)}.

| engine | type | bytes | latency | same answer as the host | top-1 |
|---|---|--:|--:|--:|--:|
{chr(10).join(lines)}

```
{command}
```

"""


def main():
    args = arguments()
    subnet, loads = (["--platform", args.platform] if args.platform else []), []
    with tempfile.TemporaryDirectory() as name:
        rows, top1 = compare(args, subnet, pathlib.Path(name))
        for _ in range(args.rounds):
            loads.append(os.getloadavg()[0])
            for row in rows:
                row["ms"].append(measure(args, row["path"], row["half"]))
    text = table(args, rows, top1, loads)
    if args.out:
        section.replace(args.out, "engines", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
