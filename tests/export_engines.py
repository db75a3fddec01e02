#!/usr/bin/env python3
"""Runs exported subnets on real engines and compares them with `nashost infer`.

    build/venv/bin/python tests/export_engines.py [--subnets 20] [--images 1000] [--spaces mobile] [--run DIR]

Runs the quickstart pipeline for a few steps, with its space and with one of what mobile networks have
besides (or takes the run directory DIR), exports the subnets of its family and random ones of its space
in every format, runs Fashion-MNIST test images through onnxruntime, ncnn, docs/run_safetensors.py and
the compiled C, in 8 bits too where the format has them, and tells for each engine the share of images
with the same answer and the largest difference of a logit. Each engine is one "ok" or "not ok" line; the last lines tell what 8 bits cost on these images.
"""
import argparse
import gzip
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = pathlib.Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
WARNINGS = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
LABELS = IMAGES.with_name("t10k-labels-idx1-ubyte.gz")
LIMIT = 1e-4  # of the difference of a logit in single precision

# TensorFlow's padding at even sides, other activations, squeeze-excites and expansions.
MOBILE = {
    "name": "mobile", "resolution": 28, "padding": "same", "batch_norm_epsilon": 0.001,
    "kernel_transform": True,
    "stem": {"kernel": 3, "stride": 2, "width": 8, "activation": "relu6"},
    "stages": [
        {"width": 12, "stride": 2, "depth": [1, 2], "kernel": [3, 5], "expand": [2, 2.3],
         "activation": "swish",
         "squeeze_excite": {"of": "input", "minimum": 1, "activation": "swish", "gate": "sigmoid"}},
        {"width": 16, "stride": 2, "depth": [1, 2], "kernel": [[3, 5, 7], [3]], "expand": [3, 4],
         "activation": "relu6", "squeeze_excite": {"round_to": 8}},
        {"width": 24, "stride": 1, "depth": 1, "kernel": 3, "expand": 2, "activation": "h-swish"}],
    "head": {"width": 32, "activation": "relu6", "hidden": [48], "hidden_activation": "swish",
             "hidden_bias": False}}

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
    p.add_argument("--spaces", nargs="+", default=["quickstart", "mobile"],
                   choices=["quickstart", "mobile"], help="without --run (both)")
    p.add_argument("--seed", type=int, default=1, help="of the subnets (1)")
    p.add_argument("--answer", nargs=3, metavar=("NET.onnx", "X.npy", "Y.npy"),
                   help="only run this file by onnxruntime")
    p.add_argument("--plain", action="store_true", help="with --answer: without session options")
    return p.parse_args()


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def make_run(args, folder, space):
    settings = ["space=" + json.dumps(MOBILE if space == "mobile" else space), "train.steps=4", "train.batch=8", "train.subnets=2", "split.heldout=50",
                "search.evaluations=2", "search.calibration_images=256"]
    call(args.nashost, "run", ROOT / "pipeline.json", "--out", folder, "--quiet", "--set",
         *settings)
    return folder


def draw(space, rng):
    """A random subnet of a space as the run directory's pipeline.json has it."""
    def pick(choices, block=0):
        if isinstance(choices, list) and isinstance(choices[0], list):
            choices = choices[block]
        return rng.choice(choices) if isinstance(choices, list) else choices
    stages = [{"width": pick(stage["width"]),
               "blocks": [{"kernel": pick(stage["kernel"], b), "expand": pick(stage["expand"], b)}
                          for b in range(pick(stage["depth"]))]}
              for stage in space["stages"]]
    return {"resolution": pick(space["resolution"]), "stages": stages}


def choose(args, run, folder):
    """How the command line names each subnet."""
    pipeline = json.loads((run / "pipeline.json").read_text())
    family = run / "family.json"
    platforms = json.loads(family.read_text())["platforms"] if family.exists() else []
    chosen = [["--platform", found["name"]] for found in platforms]
    rng = random.Random(args.seed)
    for number in range(args.subnets):
        path = folder / f"subnet{number}.json"
        path.write_text(json.dumps(draw(pipeline["space"], rng)))
        chosen.append(["--genome", path])
    return chosen


# ---- Engines: each takes an export and uint8 images [n][h][w][c], and gives logits ----

def open_onnx(path, precise=True, **more):
    """more: fields of the session's options."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # docs/export.md: without it sums with weights of 8 bits saturate on x86-64 without VNNI.
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    for name, value in more.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnx(path, images, limit=LIMIT):
    import onnx
    onnx.checker.check_model(str(path), full_check=True)
    session = open_onnx(path)
    image = images.transpose(0, 3, 1, 2).astype(np.float32) / 255
    names = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    whole, = session.run(["logits"], {"image": image})
    one, = session.run(["logits"], {"image": image[:1]})  # the batch is free
    assert len(names) == whole.shape[1] and np.abs(one - whole[:1]).max() < limit
    return whole


# What onnxruntime must not leave of a network in 8 bits: all but activations has whole numbers there.
IN_FLOAT = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Add", "GlobalAveragePool"}


def run_onnx_int8(path, images):
    import onnx
    from onnxruntime import GraphOptimizationLevel
    optimised = str(path.with_suffix(".optimised.onnx"))
    open_onnx(path, optimized_model_filepath=optimised,
              graph_optimization_level=GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    used = {node.op_type for node in onnx.load(optimised).graph.node}
    assert "QLinearConv" in used and not used & IN_FLOAT, f"layers are not in 8 bits: {used}"
    return run_onnx(path, images, 1.0)


def answer_onnx(path, images, answer, precise):
    """What a process under an emulator does: it has no use for more than onnxruntime."""
    image = np.load(images).transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.save(answer, open_onnx(path, precise).run(["logits"], {"image": image})[0])


def run_onnx_haswell(path, images, precise=True):
    """On a CPU with AVX2 and without VNNI, whatever this machine has."""
    answer, some = path.with_suffix(".npy"), path.with_suffix(".x.npy")
    np.save(some, images[:50])
    call(QEMU, "-cpu", "Haswell", sys.executable, __file__, *([] if precise else ["--plain"]),
         "--answer", path, some, answer)
    return np.load(answer)


def run_onnx_haswell_plain(path, images):
    return run_onnx_haswell(path, images, precise=False)


def run_ncnn(path, images, half=False):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = 1
    if not half:
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


def run_ncnn_half(path, images):
    """As ncnn's options are by default."""
    return run_ncnn(path, images, half=True)


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


def check_cpp(path, main, whole):
    """A program in C++ links with the file built as C, and the file itself is C++ too."""
    if not shutil.which("g++"):
        return
    warnings = ["-std=c++11", *WARNINGS[1:]]
    linked, compiled = path.with_suffix(".main.cpp"), path.with_suffix(".cpp")
    linked.write_text(main.read_text())
    compiled.write_text(MAIN % path.name)
    call("g++", *warnings, "-o", path.with_suffix(".linked"), linked, whole)
    call("g++", *warnings, "-o", path.with_suffix(".whole"), compiled)


def run_c(path, images, compiler=("gcc",), emulator=()):
    main, program, whole = (path.with_suffix(end) for end in (".main.c", ".out", ".o"))
    main.write_text("#define net_declarations" + MAIN % path.name)
    call(*compiler, *WARNINGS, "-c", "-o", whole, path)
    call(*compiler, *WARNINGS, "-o", program, main, whole)
    if not emulator:
        check_cpp(path, main, whole)
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


ONNX = missing_modules("onnx", "onnxruntime")
ARM = missing_programs("arm-linux-gnueabihf-gcc", "qemu-arm-static")
QEMU = "qemu-x86_64-static"
HASWELL = ONNX or missing_programs(QEMU)
if platform.machine() != "x86_64":
    HASWELL = "this Python is no program of x86-64"
# Format, dtype, what runs it, what is missing for that, the largest difference of a logit that passes,
# and the share of images that must have the same answer: two logits that are nearer than the
# difference may change places.
ENGINES = {
    "onnxruntime": ("onnx", "float32", run_onnx, ONNX, LIMIT, 0.999),
    "ncnn": ("ncnn", "float32", run_ncnn, missing_modules("ncnn"), LIMIT, 0.999),
    "ncnn in its default, half precision":
        ("ncnn", "float32", run_ncnn_half, missing_modules("ncnn"), 0.05, 0.99),
    # Of an arithmetic of its own: an input's bytes have no zero, and between layers there are floats.
    "ncnn in int8": ("ncnn", "int8", run_ncnn, missing_modules("ncnn"), 3.0, 0.95),
    "C": ("c", "float32", run_c, missing_programs("gcc"), LIMIT, 0.999),
    "C on ARM": ("c", "float32", run_arm, ARM, LIMIT, 0.999),
    "docs/run_safetensors.py": ("safetensors", "float32", run_safetensors, None, LIMIT, 0.999),
    # Activations and factors in single precision may round to the neighbour.
    "onnxruntime in int8": ("onnx", "int8", run_onnx_int8, ONNX, 1.0, 0.99),
    "onnxruntime in int8 without VNNI": ("onnx", "int8", run_onnx_haswell, HASWELL, 1.0, 0.99),
    "onnxruntime in int8w7": ("onnx", "int8w7", run_onnx_int8, ONNX, 1.0, 0.99),
    "onnxruntime in int8w7 without VNNI or options":
        ("onnx", "int8w7", run_onnx_haswell_plain, HASWELL, 1.0, 0.99),
    "C in int8": ("c", "int8", run_c, missing_programs("gcc"), 0.0, 1.0),
    "C in int8 on ARM": ("c", "int8", run_arm, ARM, 0.0, 1.0),
}
OPTIONS = {"float32": {}, "int8": {"dtype": "int8"},
           "int8w7": {"dtype": "int8", "weight_bits": 7}}  # 7 bits for weights
EXTENSIONS = {"ncnn": "param"}

# Emulation and plain Python are slow: these many subnets at most.
SUBNETS = {"C on ARM": 3, "C in int8 on ARM": 3, "docs/run_safetensors.py": 5,
           "onnxruntime in int8 without VNNI": 1,
           "onnxruntime in int8w7 without VNNI or options": 1}


# ---- Comparing ----

def infer(args, run, subnet, folder, *more):
    call(args.nashost, "infer", run, *subnet, "--input", folder / "x.npy", "--logits",
         folder / "y.npy", *more)
    logits = np.load(folder / "y.npy")
    assert np.isfinite(logits).all() and logits.std() > 0.01, "the logits say nothing"
    return logits


def export(args, run, subnet, folder, form, dtype):
    path = folder / f"net.{EXTENSIONS.get(form, form)}"
    call(args.nashost, "export", run, *subnet, "--format", form, "--out", path, "--options",
         json.dumps(OPTIONS[dtype]))
    return path


def compare(args, run, folder, images, labels):
    """For each engine: subnets, images, images with the same answer, largest difference; and for each
    subnet how many answers are right in single precision and in 8 bits, and the same in both."""
    np.save(folder / "x.npy", images)
    results = {name: [0, 0, 0, 0.0] for name in ENGINES}
    costs = []
    for number, subnet in enumerate(choose(args, run, folder)):
        expected = {"float32": infer(args, run, subnet, folder),
                    "int8": infer(args, run, subnet, folder, "--int8"),
                    "int8w7": infer(args, run, subnet, folder, "--int8", "--weight-bits", "7")}
        one, other = (expected[dtype].argmax(1) for dtype in ("float32", "int8"))
        costs.append(((one == labels).sum(), (other == labels).sum(), (one == other).sum()))
        for name, (form, dtype, engine, missing, _, _) in ENGINES.items():
            if missing or number >= SUBNETS.get(name, number + 1):
                continue
            found = engine(export(args, run, subnet, folder, form, dtype), images)
            same = expected[dtype][:len(found)]
            result = results[name]
            result[0] += 1
            result[1] += len(found)
            result[2] += int((found.argmax(1) == same.argmax(1)).sum())
            result[3] = max(result[3], float(np.abs(found - same).max()))
    return results, np.array(costs)


def tell(results, what):
    good = True
    for name, (subnets, n, same, difference) in results.items():
        _, _, _, missing, limit, share = ENGINES[name]
        if missing:
            print(f"ok - {name}{what} # SKIP {missing}")
            continue
        passed = difference <= limit and same >= share * n
        good = good and passed
        print(f"{'ok' if passed else 'not ok'} - {name}{what}: {subnets} subnets, {same} of {n} answers "
              f"the same, largest difference {difference:.2g}")
    return good


def tell_costs(costs, images):
    one, other, both = costs.T / images
    print(f"# top-1 on these {images} images, mean of {len(costs)} subnets: {100 * one.mean():.2f} % in "
          f"float32, {100 * other.mean():.2f} % in int8")
    print(f"# loss of a subnet: {100 * (one - other).min():.2f} to {100 * (one - other).max():.2f} "
          f"points; the same answer in both: {100 * both.mean():.2f} %")


def read(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def main():
    args = arguments()
    if args.answer:
        answer_onnx(*args.answer, not args.plain)
        return
    if not IMAGES.exists():
        print(f"skipped: there is no {IMAGES} (scripts/install-deps run)")
        sys.exit(77)
    images = read(IMAGES, 16).reshape(-1, 28, 28, 1)[:args.images]
    labels = read(LABELS, 8)[:args.images]
    good = True
    for space in args.spaces if not args.run else ["its own"]:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            run = args.run or make_run(args, folder / "run", space)
            results, costs = compare(args, run, folder, images, labels)
        good = tell(results, " of mobile networks" if space == "mobile" else "") and good
        tell_costs(costs, args.images)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
