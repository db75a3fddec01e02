#!/usr/bin/env python3
"""Runs a subnet that nashost exported as safetensors, with PyTorch or, where it is missing, NumPy.

    docs/run_safetensors.py net.safetensors x.npy y.npy

x.npy: images, uint8 [n][height][width][channels] at the subnet's resolution; y.npy: the logits,
float32 [n][classes].
"""
import json
import struct
import sys

import numpy as np

try:
    import torch
except ImportError:
    torch = None


def load(path):
    """The tensors by name, and the metadata. The format is a header in JSON and raw numbers."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors, {key: json.loads(value) for key, value in metadata.items() if key != "format"}


def convolve(x, weight, bias, stride, groups, padding):
    """x [n][c][h][w]; padding: how many zeros are above and left of it, and below and right."""
    x = np.pad(x, ((0, 0), (0, 0), padding, padding))
    if torch:
        tensors = [torch.from_numpy(np.array(array)) for array in (x, weight, bias)]
        return torch.nn.functional.conv2d(*tensors, stride, groups=groups).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    if groups > 1:  # one filter a channel
        y = np.einsum("nchwij,cij->nchw", windows, weight[:, 0], optimize=True)
    else:
        y = np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True)
    return y + bias[:, None, None]


def activate(x, name):
    gate = np.clip(x + 3, 0, 6) / 6
    sigmoid = 1 / (1 + np.exp(-np.clip(x, -80, 80)))
    return {"none": x, "relu": np.maximum(x, 0), "h-swish": x * gate, "h-sigmoid": gate,
            "relu6": np.clip(x, 0, 6), "swish": x * sigmoid, "sigmoid": sigmoid}[name]


def run(tensors, metadata, images):
    x = images.astype(np.float32) / 255
    x = (x - np.float32(metadata["mean"])) / np.float32(metadata["std"])
    results = {-1: x.transpose(0, 3, 1, 2)}  # by layer; -1 is the image
    for i, layer in enumerate(metadata["layers"]):
        a, *more = (results[k] for k in layer["inputs"])
        weight = tensors.get(layer["name"] + ".weight")
        bias = tensors.get(layer["name"] + ".bias")
        if layer["op"] in ("conv", "depthwise"):
            padding = layer.get("padding", [weight.shape[2] // 2] * 2)
            y = convolve(a, weight, bias, layer["stride"], a.shape[1] // weight.shape[1], padding)
        elif layer["op"] == "linear":
            y = a.reshape(len(a), -1) @ weight.T + bias
        elif layer["op"] == "pool":
            y = a.mean(axis=(2, 3))
        elif layer["op"] == "scale":
            y = a * more[0][:, :, None, None]
        else:  # add
            y = a + more[0]
        results[i] = activate(y, layer["activation"])
    return y


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    tensors, metadata = load(sys.argv[1])
    images = np.load(sys.argv[2])
    assert list(images.shape[1:]) == metadata["image"], f"expected images of {metadata['image']}"
    np.save(sys.argv[3], run(tensors, metadata, images).astype(np.float32))


if __name__ == "__main__":
    main()
