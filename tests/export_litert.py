#!/usr/bin/env python3
"""Runs exported .tflite files on LiteRT and LiteRT Micro and compares them with `nashost infer`.

    build/venv/bin/python tests/export_litert.py [--subnets 8] [--images 500]

Trains a little on made images in several small spaces (grey and colour, odd and even sizes, every
activation, with and without squeeze-excite), exports random subnets of each in float32, float16 and
int8, and runs test images through LiteRT, with and without XNNPACK, and through LiteRT Micro. Logits
in 8 bits are compared in steps of the output, which has 256. Each engine is one "ok" or "not ok" line,
and so is each operator in 8 bits: its results must be within one step of what they stand for, given
what the operator read. Where Arm's compiler Vela is in PATH, each space's files in 8 bits go through it:
all operators must run on the NPU.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile

from export_engines import ROOT, call, draw, missing_modules, np


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--nashost", default=os.environ.get("NASHOST", ROOT / "nashost"))
    p.add_argument("--subnets", type=int, default=8, help="random ones of each space (8)")
    p.add_argument("--images", type=int, default=500, help="(500)")
    p.add_argument("--steps", type=int, default=200, help="of training (200)")
    p.add_argument("--keep", type=pathlib.Path, help="a new folder for the runs and files")
    return p.parse_args()


# ---- Spaces ----

def space(name, resolution, stem_stride, activation, squeeze_excite, head, hidden, **more):
    def stage(width, stride, inner):
        return {"width": width, "stride": stride, "depth": [1, 2], "kernel": [3, 5], "expand": [1, 3],
                "squeeze_excite": squeeze_excite, "activation": inner}
    return {"name": name, "resolution": resolution, **more,
            "stem": {"kernel": 3, "stride": stem_stride, "width": 8, "activation": activation},
            "stages": [stage([8, 12], 1, activation), stage([16], 2, activation),
                       stage([24, 32], 2, activation)],
            "head": {"width": 48, "activation": head, "hidden": hidden,
                     **({"hidden_activation": head} if hidden else {})}}


# Channels, side of the images, and the space.
SPACES = [
    (1, 28, space("grey", [28], 1, "h-swish", True, "h-swish", [32])),
    (3, 32, space("relu", [24, 32], 2, "relu", False, "relu", [])),
    (3, 27, space("odd", [19, 27], 2, "h-swish", False, "relu", [24])),
    (3, 24, space("h-sigmoid", [24], 2, "relu", True, "h-sigmoid", [24])),
    (3, 32, space("relu6-same", [32], 2, "relu6", False, "relu6", [], padding="same")),
    (1, 27, space("swish-same", [27], 2, "swish", True, "swish", [24], padding="same")),
    (3, 20, space("sigmoid", [20], 1, "relu", False, "sigmoid", [])),
]


def make_images(n, side, channels, rng):
    """Images of 6 classes: a coarse pattern each, moved and under noise."""
    patterns = np.random.default_rng(7).integers(30, 226, (6, 4, 4, channels))
    big = patterns.repeat(side // 4 + 1, axis=1).repeat(side // 4 + 1, axis=2)
    labels = rng.integers(0, 6, n)
    images = np.empty((n, side, side, channels), np.uint8)
    for i, label in enumerate(labels):
        y, x = rng.integers(0, 5, 2)
        moved = np.roll(big[label], (y, x), (0, 1))[:side, :side]
        noisy = moved * rng.uniform(0.6, 1) + rng.normal(0, 35, moved.shape)
        images[i] = np.clip(noisy, 0, 255)
    return images, labels.astype(np.int64)


def make_run(args, channels, side, space, folder):
    """A short training; returns the run directory and test images."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for part, n in (("train", 600), ("test", args.images)):
        images, labels = make_images(n, side, channels, rng)
        np.save(folder / f"{part}_images.npy", images)
        np.save(folder / f"{part}_labels.npy", labels)
    names = {f"{part}_{what}": str(folder / f"{part}_{what}.npy")
             for part in ("train", "test") for what in ("images", "labels")}
    pipeline = {
        "dataset": {"plugin": "npy", "options": names},
        "split": {"labelled": 60, "validation": 20, "heldout": 20},
        "space": space,
        "train": {"steps": args.steps, "batch": 8, "mu": 2, "subnets": 2,
                  "ssl": {"plugin": "fixmatch"}},
        "search": {"plugin": "random", "evaluations": 2, "calibration_images": 256,
                   "score": {"plugin": "agreement"}},
        "platforms": [{"name": "any", "hardware": {"plugin": "roofline", "options": {
            "profile": str(ROOT / "plugins/hardware/profiles/mcu.json")}}}],
        "export": []}
    path = folder / "pipeline.json"
    path.write_text(json.dumps(pipeline))
    call(args.nashost, "run", path, "--out", folder / "run", "--quiet")
    return folder / "run", images


# ---- Engines: each takes a file and images at the subnet's resolution, and gives numbers ----

def to_input(details, images):
    if details["dtype"] == np.float32:
        return images.astype(np.float32) / 255
    return (images.astype(np.int16) - 128).astype(np.int8)  # whatever the normalisation


def open_litert(path, xnnpack, **more):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    if not xnnpack:
        more["experimental_op_resolver_type"] = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(path), num_threads=1, **more)
    interpreter.allocate_tensors()
    return interpreter


def run_litert(path, images, xnnpack=True):
    signature = open_litert(path, xnnpack).get_signature_runner("serving_default")
    details = signature.get_input_details()["image"]
    assert list(details["shape"][1:]) == list(images.shape[1:])
    return np.concatenate([signature(image=image[None])["logits"]
                           for image in to_input(details, images)])


def run_plain(path, images):
    return run_litert(path, images, False)


def run_micro(path, images):
    from tflite_micro import runtime
    interpreter = runtime.Interpreter.from_file(str(path))
    details = interpreter.get_input_details(0)
    logits = []
    for image in to_input(details, images):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        logits.append(interpreter.get_output(0)[0].copy())
    return np.array(logits)


LITERT = missing_modules("ai_edge_litert")
MICRO = missing_modules("tflite_micro")
PER_TENSOR = {"dtype": "int8", "fully_connected": "per_tensor"}
# Options, what runs it, what is missing for that, a limit. In floats: of the difference of a logit, as a
# share of the largest logit. In 8 bits: of how far logits are in the mean from those in floats, as a
# multiple of how far the host's own are. Where a result lies between two numbers engines round to
# either, and later layers carry that on, so that two that are equally right differ by some steps.
ENGINES = {
    "LiteRT": ({"dtype": "float32"}, run_litert, LITERT, 1e-4),
    "LiteRT without XNNPACK": ({"dtype": "float32"}, run_plain, LITERT, 1e-4),
    "LiteRT Micro": ({"dtype": "float32"}, run_micro, MICRO, 1e-4),
    "LiteRT, weights in float16": ({"dtype": "float16"}, run_litert, LITERT, 5e-3),
    "LiteRT, weights in float16, without XNNPACK": ({"dtype": "float16"}, run_plain, LITERT, 5e-3),
    "LiteRT in int8": ({"dtype": "int8"}, run_litert, LITERT, 1.15),
    "LiteRT in int8 without XNNPACK": ({"dtype": "int8"}, run_plain, LITERT, 1.15),
    "LiteRT Micro in int8": ({"dtype": "int8"}, run_micro, MICRO, 1.15),
    "LiteRT in int8, linear per tensor": (PER_TENSOR, run_litert, LITERT, 1.3),
}


# ---- Comparing ----

def output_format(path):
    """Scale and zero of an int8 file's logits."""
    return open_litert(path, False).get_output_details()[0]["quantization"]


def infer(args, run, genome, folder, images, *more):
    np.save(folder / "x.npy", images)
    call(args.nashost, "infer", run, "--genome", genome, "--input", folder / "x.npy", "--logits",
         folder / "y.npy", *more)
    logits = np.load(folder / "y.npy")
    assert np.isfinite(logits).all() and logits.std() > 0.01, "the logits say nothing"
    return logits


def export(args, run, genome, folder, options):
    path = folder / f"{genome.stem}.{'-'.join(options.values())}.tflite"
    call(args.nashost, "export", run, "--genome", genome, "--format", "tflite", "--out", path,
         "--options", json.dumps(options))
    return path


def shrink(images, side):
    """As many rows and columns of the middle, so that nobody has to resize."""
    first = (images.shape[1] - side) // 2
    return np.ascontiguousarray(images[:, first:first + side, first:first + side])


def compare_one(args, run, genome, folder, images, results):
    expected = {kind: infer(args, run, genome, folder, images, *more)
                for kind, more in (("float", []), ("int8", ["--int8"]))}
    for name, (options, engine, missing, _) in ENGINES.items():
        if missing:
            continue
        path = export(args, run, genome, folder, options)
        found, wanted = engine(path, images), dict(expected)
        kind, unit, nearest = "float", np.abs(expected["float"]).max(), None
        if options["dtype"] == "int8":
            kind, (unit, zero) = "int8", output_format(path)
            found = (found.astype(int) - zero) * unit
            low, high = ((end - zero) * unit for end in (-128, 127))
            wanted = {k: np.clip(v, low, high) for k, v in expected.items()}
            nearest = np.rint(wanted["int8"] / unit) * unit
        results[name].append({
            "host": np.abs(found - (wanted[kind] if nearest is None else nearest)).ravel() / unit,
            "float": np.abs(found - wanted["float"]).ravel() / unit,
            "host-float": np.abs(wanted["int8"] - wanted["float"]).ravel() / unit,
            "same": found.argmax(1) == expected[kind].argmax(1)})


def tell(name, results):
    options, _, missing, limit = ENGINES[name]
    if missing:
        print(f"ok - {name} # SKIP {missing}")
        return True
    every = {key: np.concatenate([one[key] for one in results]) for key in results[0]}
    about = f"{len(results)} subnets, {every['same'].sum()} of {len(every['same'])} answers the same"
    if options["dtype"] == "int8":
        near, host = every["float"].mean(), every["host-float"].mean()
        passed = near <= limit * host
        about += (f", {100 * (every['host'] < 1.5).mean():.2f} % of logits within one step, largest "
                  f"difference {every['host'].max():.0f} steps; {near:.3f} steps from floats in the "
                  f"mean, the host {host:.3f}")
    else:
        passed = every["host"].max() <= limit
        about += f", largest difference {every['host'].max():.2g} of the largest logit"
    print(f"{'ok' if passed else 'not ok'} - {name}: {about}", flush=True)
    return passed


# ---- What each operator computes ----

def windows(x, kernel, stride, same):
    """Patches [h][w][k][k][c]; SAME puts the odd zero behind."""
    if same:
        pads = []
        for n in x.shape[:2]:
            total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, [*pads, (0, 0)])
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (0, 1))
    return view[::stride, ::stride].transpose(0, 1, 3, 4, 2)


def compute(op, x, shape):
    """An operator's result from the numbers that its inputs stand for."""
    if op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        image, weight, bias = x
        n, kernel, results = image.shape[1], weight.shape[1], shape[1]
        stride, same = next((stride, same) for same in (True, False) for stride in (1, 2)
                            if results == (-(-n // stride) if same else (n - kernel) // stride + 1))
        patches = windows(image[0], kernel, stride, same)
        form = "hwklc,oklc->hwo" if op == "CONV_2D" else "hwklc,oklc->hwc"
        return np.einsum(form, patches, weight)[None] + bias
    if op == "FULLY_CONNECTED":
        return x[0].reshape(1, -1) @ x[1].T + x[2]
    if op == "MEAN":
        return x[0].mean((1, 2), keepdims=True)
    if op == "LOGISTIC":
        return 1 / (1 + np.exp(-x[0]))
    if op == "RELU":
        return np.maximum(x[0], 0)
    if op == "HARD_SWISH":
        return x[0] * np.clip(x[0] + 3, 0, 6) / 6
    return {"ADD": lambda: x[0] + x[1], "MUL": lambda: x[0] * x[1],
            "PAD": lambda: np.pad(x[0], x[1].astype(int))}[op]()


def watch_operators(path, images, errors):
    """Adds to each operator's list by how many steps its results differ from rounded numbers."""
    interpreter = open_litert(path, False, experimental_preserve_all_tensors=True)
    tensors = {t["index"]: t for t in interpreter.get_tensor_details()}
    entry = interpreter.get_input_details()[0]

    def value(index):
        t, raw = tensors[index], interpreter.get_tensor(index)
        scales = t["quantization_parameters"]["scales"]
        if not len(scales):
            return raw
        shape = [1] * raw.ndim
        shape[t["quantization_parameters"]["quantized_dimension"]] = len(scales)
        zeros = t["quantization_parameters"]["zero_points"]
        return (raw.astype(float) - zeros.reshape(shape)) * scales.astype(float).reshape(shape)

    for image in to_input(entry, images):
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        for op in interpreter._get_ops_details():
            out = op["outputs"][0]
            scale, zero = tensors[out]["quantization"]
            real = compute(op["op_name"], [value(i) for i in op["inputs"]], tensors[out]["shape"])
            wanted = np.clip(np.rint(real / scale) + zero, -128, 127)
            found = interpreter.get_tensor(out).astype(int)
            errors.setdefault(op["op_name"], []).append(np.abs(found - wanted).ravel())


def tell_operators(errors):
    good = True
    for name in sorted(errors):
        steps = np.concatenate(errors[name])
        good = good and steps.max() <= 1
        print(f"{'ok' if steps.max() <= 1 else 'not ok'} - {name} in int8: {len(steps)} results, "
              f"{100 * (steps > 0).mean():.2f} % of them not the nearest number, "
              f"by {steps.max():.0f} steps at most")
    return good


# ---- C++ for LiteRT Micro ----

def check_source(path):
    """tools/litert-micro.py: the array is the model, and the arena is the least."""
    if MICRO:
        print(f"ok - tools/litert-micro.py # SKIP {MICRO}")
        return True
    from tflite_micro import runtime
    call(sys.executable, ROOT / "tools/litert-micro.py", path, "--out", path.parent / "source",
         "--prefix", "net")
    header = (path.parent / "source.h").read_text()
    array = (path.parent / "source.cc").read_text().split("{")[1].split("}")[0]
    data = bytes(int(word) for word in array.split(","))
    arena = int(re.search(r"net_arena_bytes = (\d+);", header)[1])
    used = {word.replace("_", "").lower() for word in operators_of(path)}
    registered = {word.lower() for word in re.findall(r"resolver\.Add(\w+)\(", header)}
    good = path.read_bytes().startswith(data) and data[4:8] == b"TFL3" and used == registered
    good = good and f"net_model_bytes = {len(data)};" in header
    runtime.Interpreter.from_bytes(data, arena_size=arena)
    try:
        runtime.Interpreter.from_bytes(data, arena_size=arena - 16)
        good = False
    except RuntimeError:
        pass
    print(f"{'ok' if good else 'not ok'} - tools/litert-micro.py: {len(data)} bytes of model, {arena} of "
          "arena")
    return good


# ---- Vela ----

def vela_share(path):
    """The share of a file's operators that an Ethos-U55 runs."""
    return json.loads(call(sys.executable, ROOT / "tools/measure-vela.py", path))["npu_share"]


def tell_vela(shares):
    """shares: of each space's files."""
    if not shutil.which("vela"):
        print("ok - Vela # SKIP no vela in PATH (pip install ethos-u-vela)")
        return True
    for name, found in shares.items():
        print(f"{'ok' if min(found) == 1 else 'not ok'} - Vela, space {name}: {len(found)} subnets, "
              f"{100 * min(found):.1f} % of the operators on the NPU at least")
    return all(min(found) == 1 for found in shares.values())


def operators_of(path):
    return {op["op_name"] for op in open_litert(path, False)._get_ops_details()}


def main():
    args = arguments()
    if LITERT:
        print(f"skipped: {LITERT}")
        sys.exit(77)
    good, everything, errors, shares = True, {name: [] for name in ENGINES}, {}, {}
    with tempfile.TemporaryDirectory() as name:
        top = args.keep or pathlib.Path(name)
        top.mkdir(exist_ok=True)
        for channels, side, description in SPACES:
            folder = top / description["name"]
            run, images = make_run(args, channels, side, description, folder)
            rng = random.Random(1)
            for number in range(args.subnets):
                genome = folder / f"subnet{number}.json"
                drawn = draw(description, rng)
                genome.write_text(json.dumps(drawn))
                small = shrink(images, drawn["resolution"])
                compare_one(args, run, genome, folder, small, everything)
                path = export(args, run, genome, folder, {"dtype": "int8"})
                watch_operators(path, small[:3], errors)
                if shutil.which("vela"):
                    shares.setdefault(description["name"], []).append(vela_share(path))
        good = check_source(path)
    for name, results in everything.items():
        good = tell(name, results) and good
    good = tell_operators(errors) and good
    good = tell_vela(shares) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
