#!/usr/bin/env python3
"""Turns a .tflite file into C++ for LiteRT Micro (TensorFlow Lite for Microcontrollers).

    tools/litert-micro.py net.tflite [--out NET] [--prefix net]

writes NET.cc, the model as an aligned array, and NET.h, which declares it and has the operators that it
needs and the size of the arena in which it runs. That size is the least with which LiteRT Micro's own
interpreter starts; on this machine pointers have 64 bits, so a microcontroller needs somewhat less.
Labels, which stand behind the model in the file, stay out of the array. Needs the Python package
`tflite-micro`.
"""
import argparse
import contextlib
import os
import pathlib
import re
import sys
import zipfile

try:
    import numpy as np
    from tflite_micro import runtime
except ImportError:
    sys.exit("tools/litert-micro.py: this Python has no tflite_micro; pip install tflite-micro")

schema = runtime.schema_fb

# How LiteRT Micro's resolver calls what the schema calls otherwise than CONV_2D -> Conv2D.
NAMES = {"FULLY_CONNECTED": "FullyConnected", "DEPTHWISE_CONV_2D": "DepthwiseConv2D",
         "CONV_2D": "Conv2D"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=pathlib.Path)
    p.add_argument("--out", type=pathlib.Path, help="the files' name without .cc and .h (the model's)")
    p.add_argument("--prefix", help="of the names in them, a C identifier (the name of --out)")
    return p.parse_args()


def read_model(path):
    """The model's bytes, without the archive of labels behind it."""
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        sys.exit(f"tools/litert-micro.py: {path}: expected a .tflite file (TFL3 at byte 4)")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            data = data[:min(member.header_offset for member in archive.infolist())]
    return data


def operators(data):
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()
             if isinstance(value, int)}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    codes = {max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes}
    return sorted(NAMES.get(names[code], "".join(word.capitalize() for word in names[code].split("_")))
                  for code in codes)


@contextlib.contextmanager
def quiet():
    """LiteRT Micro prints what it could not allocate."""
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1), os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            for number, old in zip((1, 2), kept):
                os.dup2(old, number)
                os.close(old)


def runs(data, arena):
    try:
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena)
        details = interpreter.get_input_details(0)
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
        interpreter.invoke()
        return True
    except (RuntimeError, ValueError):
        return False


def starts(data, arena):
    """In a child, since LiteRT Micro crashes in some arenas that are too small."""
    child = os.fork()
    if child == 0:
        os._exit(0 if runs(data, arena) else 1)
    return os.waitpid(child, 0)[1] == 0


def least_arena(data):
    """Found by halving; a multiple of 16, to which LiteRT Micro aligns."""
    with quiet():
        high = 1024
        while not starts(data, 16 * high):
            high *= 2
            if high > 1 << 26:
                return None
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if starts(data, 16 * middle) else (middle, high)
    return 16 * high


HEADER = """/* A model of nashost for LiteRT Micro, made from {file} by tools/litert-micro.py. */
#ifndef {guard}
#define {guard}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

extern const unsigned char {p}_model[];
constexpr unsigned {p}_model_bytes = {bytes};

/* The least with which the interpreter starts where pointers have 64 bits; needs alignas(16). */
constexpr unsigned {p}_arena_bytes = {arena};

using {p}_resolver = tflite::MicroMutableOpResolver<{n}>;

inline TfLiteStatus {p}_register({p}_resolver &resolver) {{
{calls}
    return kTfLiteOk;
}}

#endif
"""


def write(args, data, names, arena):
    out = args.out or args.model.with_suffix("")
    prefix = args.prefix or re.sub(r"\W", "_", out.name)
    calls = "\n".join(f"    TF_LITE_ENSURE_STATUS(resolver.Add{name}());" for name in names)
    header = out.with_name(out.name + ".h")
    header.write_text(HEADER.format(file=args.model.name, guard=f"{prefix.upper()}_H", p=prefix,
                                    bytes=len(data), arena=arena, n=len(names), calls=calls))
    rows = [", ".join(f"{byte}" for byte in data[i:i + 20]) for i in range(0, len(data), 20)]
    out.with_name(out.name + ".cc").write_text(
        f'#include "{header.name}"\n\nalignas(16) const unsigned char {prefix}_model[] = {{\n    '
        + ",\n    ".join(rows) + "};\n")
    print(f"{out}.cc, {out}.h: {len(data)} bytes of model, {arena} of arena, {', '.join(names)}")


def main():
    args = arguments()
    data = read_model(args.model)
    arena = least_arena(data)
    if arena is None:
        sys.exit(f"tools/litert-micro.py: {args.model}: LiteRT Micro does not take it; with int8 it "
                 "must be int8 throughout")
    write(args, data, operators(data), arena)


if __name__ == "__main__":
    main()
