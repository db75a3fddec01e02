#!/usr/bin/env python3
"""Runs images through an exported network in its engine and compares the logits with nashost's.

    nashost infer DIR --platform mcu --input x.npy --logits y.npy [--int8]
    tools/check-engine.py net.tflite x.npy y.npy

FILE.tflite runs in LiteRT, .onnx in onnxruntime, .param (with .bin) in ncnn in single precision, .c is
compiled and called, and docs/run_safetensors.py reads .safetensors. x.npy holds images at the subnet's
resolution, uint8 [n][height][width][channels]; y.npy the logits [n][classes]. Prints a line of JSON: the
"engine", "images", those with the "same_answers", the "largest_difference" of a logit and the
"largest_logit"; or, where the engine is not installed, what is "missing". The export key "verify" of a
pipeline runs this.
"""
import argparse
import json
import pathlib
import sys

try:
    import numpy as np
except ImportError:
    print(json.dumps({"missing": "this Python has no numpy"}))
    sys.exit()
sys.dont_write_bytecode = True # beside an installed program
from engines import Missing, open_engine


def arguments():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("file", "images", "logits"):
        p.add_argument(name, type=pathlib.Path)
    return p.parse_args()


def compare(engine, images, wanted):
    found = engine.logits(images)
    if found.shape != wanted.shape:
        sys.exit(f"tools/check-engine.py: expected logits {list(wanted.shape)}, {engine.about} gives "
                 f"{list(found.shape)}")
    if engine.clip: # an output in 8 bits ends where its range does
        wanted = wanted.clip(*engine.clip)
    return {"engine": engine.about, "images": len(images),
            "same_answers": int((found.argmax(1) == wanted.argmax(1)).sum()),
            "largest_difference": float(np.abs(found - wanted).max()),
            "largest_logit": float(np.abs(wanted).max())}


def main():
    args = arguments()
    images, wanted = np.load(args.images), np.load(args.logits)
    try:
        engine = open_engine(args.file)
    except Missing as missing:
        print(json.dumps({"missing": str(missing)}))
        return
    images = images.reshape(len(images), *engine.shape)
    print(json.dumps(compare(engine, images, wanted)))


if __name__ == "__main__":
    main()
