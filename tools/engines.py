"""The engines that exported files run in, for the programs beside this file.

open_engine(path) gives an Engine for FILE.tflite (LiteRT), .onnx (onnxruntime), .param with .bin (ncnn),
.c (a C compiler) or .safetensors (docs/run_safetensors.py); Missing says what is not installed here.
"""
import ctypes
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np


class Missing(Exception):
    """The engine is not here; its text says what to install."""


class Engine:
    """about: name and version; prepare(image): uint8 [h][w][c] as the engine takes it; run(prepared):
    one image's logits; clip: the least and largest logit that the file can express, or None."""

    def __init__(self, about, prepare, run, shape, clip=None):
        self.about, self.prepare, self.run, self.shape, self.clip = about, prepare, run, shape, clip

    def logits(self, images):
        return np.array([np.asarray(self.run(self.prepare(image)), np.float32).reshape(-1)
                         for image in images])


def need(module, package):
    try:
        __import__(module)
    except ImportError:
        raise Missing(f"this Python has no {module}; pip install {package}")
    return importlib.metadata.version(package)


def open_tflite(path, threads, half):
    version = need("ai_edge_litert", "ai-edge-litert")
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    whole = entry["dtype"] == np.int8
    scale, zero = end["quantization"] if whole else (1, 0)

    def prepare(image):
        return ((image.astype(np.int16) - 128).astype(np.int8) if whole
                else image.astype(np.float32) / 255)[None]

    def run(image):
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        answer = interpreter.get_tensor(end["index"])[0]
        return (answer.astype(np.float32) - zero) * scale if whole else answer
    clip = ((-128 - zero) * scale, (127 - zero) * scale) if whole else None
    return Engine(f"LiteRT {version}", prepare, run, tuple(entry["shape"][1:]), clip)


def open_onnx(path, threads, half):
    version = need("onnxruntime", "onnxruntime")
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # docs/export.md: without it sums with weights of 8 bits saturate on x86-64 without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry, = session.get_inputs()
    _, c, h, w = entry.shape
    return Engine(f"onnxruntime {version}",
                  lambda image: image.transpose(2, 0, 1)[None].astype(np.float32) / 255,
                  lambda image: session.run(None, {entry.name: image})[0], (h, w, c))


def open_ncnn(path, threads, half):
    version = need("ncnn", "ncnn")
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = threads
    if not half:
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.use_bf16_storage = False
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        sys.exit(f"{path}: ncnn cannot load it")
    line = next(line for line in path.read_text().splitlines() if line.startswith("Input "))
    w, h, c = (int(word.split("=")[1]) for word in line.split()[-3:])

    def prepare(image):
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
        return ncnn.Mat(planes).clone() # a Mat does not keep the array that it was made of

    def run(image):
        extractor = net.create_extractor()
        extractor.input("image", image)
        return np.array(extractor.extract("logits")[1])
    return Engine(f"ncnn {version}", prepare, run, (h, w, c))


def described(path):
    """What stands beside an exported file of it."""
    beside = path.with_name(path.name + ".json")
    return json.loads(beside.read_text()) if beside.exists() else {}


def open_c(path, threads, half):
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        raise Missing(f"there is no C compiler {compiler} in PATH")
    prefix = described(path).get("options", {}).get("prefix", "net")
    with tempfile.TemporaryDirectory() as folder:
        library, sizes = pathlib.Path(folder, "net.so"), pathlib.Path(folder, "sizes.c")
        sizes.write_text(f'#define {prefix}_declarations\n#include "{path.resolve()}"\n'
                         f"const int sizes[] = {{{prefix}_height, {prefix}_width, {prefix}_channels, "
                         f"{prefix}_classes}};\n")
        subprocess.run([compiler, "-std=c99", "-O2", "-shared", "-fPIC", "-o", library, path, sizes],
                       check=True)
        loaded = ctypes.CDLL(str(library))
    *shape, classes = (ctypes.c_int * 4).in_dll(loaded, "sizes")
    function, logits = getattr(loaded, f"{prefix}_run"), np.zeros(classes, np.float32)

    def run(image):
        function(image.ctypes.data_as(ctypes.c_void_p), logits.ctypes.data_as(ctypes.c_void_p))
        return logits.copy()
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout.strip()
    return Engine(f"C, {compiler} {version}", lambda image: np.ascontiguousarray(image, np.uint8), run,
                  tuple(shape))


def open_safetensors(path, threads, half):
    program = pathlib.Path(__file__).resolve().parent.parent / "docs/run_safetensors.py"
    about = described(path).get("image")
    if not program.exists() or not about:
        raise Missing(f"{program if about else path.name + '.json'} is not there")
    shape = tuple(about[key] for key in ("height", "width", "channels"))

    def run(image):
        with tempfile.TemporaryDirectory() as folder:
            x, y = pathlib.Path(folder, "x.npy"), pathlib.Path(folder, "y.npy")
            np.save(x, image)
            subprocess.run([sys.executable, program, path, x, y], check=True,
                           stdout=subprocess.DEVNULL)
            return np.load(y)
    engine = Engine("docs/run_safetensors.py", lambda image: image[None], run, shape)
    engine.logits = run # all at once: each start takes a second
    return engine


OPENERS = {".tflite": open_tflite, ".onnx": open_onnx, ".param": open_ncnn, ".c": open_c,
           ".safetensors": open_safetensors}


def open_engine(path, threads=1, half=False):
    """half: ncnn computes as its options are by default, in 16 bits where the processor can."""
    opener = OPENERS.get(path.suffix)
    if not opener:
        raise Missing(f"no engine for '{path.suffix}' files is known, only for {', '.join(OPENERS)}")
    return opener(path, threads, half)
