#!/usr/bin/env python3
"""Runs exported subnets on real engines and compares them with `nashost infer`.

    build/venv/bin/python tests/export_engines.py [--subnets 20] [--images 1000] [--run DIR]

Runs the quickstart pipeline for a few steps (or takes the run directory DIR), exports the subnets of
its family and random ones of its space in every format, runs Fashion-MNIST test images through
onnxruntime, ncnn, docs/run_safetensors.py and the compiled C, and tells for each engine the share of
images with the same answer and the largest difference of a logit. Each engine is one "ok" or "not ok"
line.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
WARNINGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
LIMIT = 1e-4  # of the difference of a logit in single precision

try:
    import numpy as np
except ImportError:
    print("skipped: this Python has no numpy; run scripts/python-env")
    sys.exit(77)


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default=os.environ.get("NASHOST", ROOT / "nashost"))
    p.add_argument("--subnets", type=int, default=20, help="random ones (20)")
    p.add_argument("--images", type=int, default=1000, help="(1000)")
    p.add_argument("--run", type=pathlib.Path, help="a run directory; none: a tiny training")
    p.add_argument("--seed", type=int, default=1, help="of the subnets (1)")
    return p.parse_args()


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def make_run(args, folder):
    settings = ["train.steps=4", "train.batch=8", "train.subnets=2", "split.heldout=50",
                "search.evaluations=2", "search.calibration_images=256"]
    call(args.nashost, "run", ROOT / "pipeline.json", "--out", folder, "--quiet", "--set",
         *settings)
    return folder


def draw(space, rng):
    """A random subnet of a space as the run directory's pipeline.json has it."""
    def pick(choices):
        return rng.choice(choices) if isinstance(choices, list) else choices
    stages = [{"width": pick(stage["width"]),
               "blocks": [{"kernel": pick(stage["kernel"]), "expand": pick(stage["expand"])}
                          for _ in range(pick(stage["depth"]))]}
              for stage in space["stages"]]
    return {"resolution": pick(space["resolution"]), "stages": stages}


def choose(args, run, folder):
    """How the command line names each subnet."""
    pipeline = json.loads((run / "pipeline.json").read_text())
    family = run / "family.json"
    platforms = json.loads(family.read_text())["platforms"] if family.exists() else []
    chosen = [["--platform", platform["name"]] for platform in platforms]
    rng = random.Random(args.seed)
    for number in range(args.subnets):
        path = folder / f"subnet{number}.json"
        path.write_text(json.dumps(draw(pipeline["space"], rng)))
        chosen.append(["--genome", path])
    return chosen


# ---- Engines: each takes an export and uint8 images [n][h][w][c], and gives logits ----

def run_onnx(path, images):
    import onnx
    import onnxruntime
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    names = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    whole, = session.run(["logits"], {"image": image})
    one, = session.run(["logits"], {"image": image[:1]})  # the batch is free
    assert len(names) == whole.shape[1] and np.abs(one - whole[:1]).max() < LIMIT
    return whole


def run_ncnn(path, images):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    assert net.load_param(str(path)) == 0 and net.load_model(str(path.with_suffix(".bin"))) == 0
    logits = []
    for image in images:
        extractor = net.create_extractor()
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        extractor.input("image", ncnn.Mat(planes).clone())
        logits.append(np.array(extractor.extract("logits")[1]))
    return np.array(logits)


MAIN = """
#include <stdio.h>
#include "%s"
int main(void) {
    static unsigned char image[net_height * net_width * net_channels];
    float logits[net_classes];
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        net_run(image, logits);
        if (fwrite(logits, sizeof *logits, net_classes, stdout) != net_classes) return 1;
    }
    return 0;
}
"""


def run_c(path, images, compiler=("gcc",), emulator=()):
    main, program, whole = (path.with_suffix(end) for end in (".main.c", ".out", ".o"))
    main.write_text("#define net_declarations" + MAIN % path.name)
    call(*compiler, *WARNINGS, "-c", "-o", whole, path)
    call(*compiler, *WARNINGS, "-o", program, main, whole)
    used = {line.split()[-1] for line in call("nm", whole).splitlines() if " U " in line}
    # Compilers make calls of these from loops, in freestanding programs too.
    assert used <= {"memcpy", "memmove", "memset"}, f"the C needs {used}"
    done = subprocess.run([*emulator, program], input=images.tobytes(), capture_output=True,
                          check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(len(images), -1)


def run_arm(path, images):
    if shutil.which("arm-none-eabi-gcc"):
        call("arm-none-eabi-gcc", "-mcpu=cortex-m7", *WARNINGS, "-c", "-o",
             path.with_suffix(".m7"), path)
    return run_c(path, images[:25], ("arm-linux-gnueabihf-gcc", "-static"), ("qemu-arm-static",))


def run_safetensors(path, images):
    answer = path.with_suffix(".npy")
    np.save(path.with_suffix(".x.npy"), images[:50])  # it is written to be read, not to be fast
    call(sys.executable, ROOT / "docs/run_safetensors.py", path, path.with_suffix(".x.npy"), answer)
    return np.load(answer)


def missing_modules(*names):
    for name in names:
        try:
            __import__(name)
        except ImportError:
            return f"this Python has no {name}; run scripts/python-env"
    return None


def missing_programs(*names):
    absent = [name for name in names if not shutil.which(name)]
    return f"no {', '.join(absent)} here" if absent else None


ENGINES = {
    "onnxruntime": ("onnx", run_onnx, missing_modules("onnx", "onnxruntime")),
    "ncnn": ("param", run_ncnn, missing_modules("ncnn")),
    "C": ("c", run_c, missing_programs("gcc")),
    "C on ARM": ("c", run_arm, missing_programs("arm-linux-gnueabihf-gcc", "qemu-arm-static")),
    "docs/run_safetensors.py": ("safetensors", run_safetensors, None),
}


# Emulation and plain Python are slow: these many subnets at most.
SUBNETS = {"C on ARM": 3, "docs/run_safetensors.py": 5}


# ---- Comparing ----

def compare(args, run, folder, images):
    """For each engine: subnets, images, images with the same answer, largest difference."""
    np.save(folder / "x.npy", images)
    results = {name: [0, 0, 0, 0.0] for name in ENGINES}
    for number, subnet in enumerate(choose(args, run, folder)):
        call(args.nashost, "infer", run, *subnet, "--input", folder / "x.npy", "--logits",
             folder / "y.npy")
        expected = np.load(folder / "y.npy")
        assert np.isfinite(expected).all() and expected.std() > 0.01, "the logits say nothing"
        for name, (form, engine, missing) in ENGINES.items():
            if missing or number >= SUBNETS.get(name, number + 1):
                continue
            path = folder / f"net.{form}"
            call(args.nashost, "export", run, *subnet, "--format",
                 "ncnn" if form == "param" else form, "--out", path)
            found = engine(path, images)
            same = expected[:len(found)]
            result = results[name]
            result[0] += 1
            result[1] += len(found)
            result[2] += int((found.argmax(1) == same.argmax(1)).sum())
            result[3] = max(result[3], float(np.abs(found - same).max()))
    return results


def tell(results):
    good = True
    for name, (subnets, n, same, difference) in results.items():
        missing = ENGINES[name][2]
        if missing:
            print(f"ok - {name} # SKIP {missing}")
            continue
        # Two logits that are nearer than the limit may change places.
        passed = difference < LIMIT and same >= 0.999 * n
        good = good and passed
        print(f"{'ok' if passed else 'not ok'} - {name}: {subnets} subnets, {same} of {n} answers "
              f"the same, largest difference {difference:.2g}")
    return good


def main():
    args = arguments()
    if not IMAGES.exists():
        print(f"skipped: there is no {IMAGES} (scripts/install-deps run)")
        sys.exit(77)
    with gzip.open(IMAGES) as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run = args.run or make_run(args, folder / "run")
        results = compare(args, run, folder, images[:args.images])
    sys.exit(0 if tell(results) else 1)


if __name__ == "__main__":
    main()
