"""The quickstart space, the golden weights and images, and the golden file's format."""
import gzip
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
# "gold", and a number found by trial: with it no input of an activation is so close to a kink (0 of
# relu, -3 and 3 of h-swish and h-sigmoid) that float32 rounding puts it on the other side. One such
# flip changes a gradient by some percent, and no tight tolerance could be kept.
KEY = (0x676F6C64, 95)
BN_EPSILON = 1e-5
CALIBRATION = (5, 3)  # images: unequal batches, to see how they are weighted


class Stage(NamedTuple):
    width: int
    stride: int
    depth: tuple
    kernel: tuple
    expand: tuple
    squeeze: bool
    activation: str


RESOLUTION = 28
STEM = 16
STAGES = (
    Stage(16, 1, (1,), (3,), (1,), False, "relu"),
    Stage(24, 2, (1, 2, 3), (3, 5), (2, 3, 4), False, "relu"),
    Stage(40, 2, (1, 2, 3), (3, 5), (2, 3, 4), True, "hswish"),
    Stage(64, 1, (1, 2, 3), (3, 5), (2, 3, 4), True, "hswish"),
)
HEAD, HIDDEN, CLASSES = 192, 256, 10

# A subnet: for each stage its blocks as (kernel, expand).
SUBNETS = {
    "largest": [[(s.kernel[-1], s.expand[-1])] * s.depth[-1] for s in STAGES],
    "smallest": [[(s.kernel[0], s.expand[0])] * s.depth[0] for s in STAGES],
    "mixed": [
        [(3, 1)],
        [(5, 2), (3, 4)],
        [(3, 3), (5, 4), (5, 2)],
        [(5, 3), (3, 2)],
    ],
}


def squeeze_width(mid):
    return max(8, mid // 4)


class Tensor(NamedTuple):
    name: str
    shape: tuple
    kind: str  # "weight", "gamma" or "shift" (beta and biases)
    fan_in: int  # of a weight, else 0


def batch_norm(name, width):
    return [
        Tensor(name + ".gamma", (width,), "gamma", 0),
        Tensor(name + ".beta", (width,), "shift", 0),
    ]


def linear(name, inputs, outputs):
    return [
        Tensor(name + ".weight", (inputs, outputs), "weight", inputs),
        Tensor(name + ".bias", (outputs,), "shift", 0),
    ]


def block_tensors(name, stage, inputs):
    mid, k = inputs * stage.expand[-1], stage.kernel[-1]
    if stage.expand != (1,):
        yield Tensor(name + ".expand.conv", (inputs, mid), "weight", inputs)
        yield from batch_norm(name + ".expand.bn", mid)
    yield Tensor(name + ".depthwise.conv", (k, k, mid), "weight", k * k)
    yield from batch_norm(name + ".depthwise.bn", mid)
    if stage.squeeze:
        yield from linear(name + ".se.reduce", mid, squeeze_width(mid))
        yield from linear(name + ".se.excite", squeeze_width(mid), mid)
    yield Tensor(name + ".project.conv", (mid, stage.width), "weight", mid)
    yield from batch_norm(name + ".project.bn", stage.width)


def tensors():
    """Every tensor at its largest size. The place in this list is an input of the formula."""
    yield Tensor("stem.conv", (3, 3, 1, STEM), "weight", 9)
    yield from batch_norm("stem.bn", STEM)
    width = STEM
    for s, stage in enumerate(STAGES):
        for b in range(stage.depth[-1]):
            yield from block_tensors(f"stage{s}.block{b}", stage, width)
            width = stage.width
    yield Tensor("head.conv", (width, HEAD), "weight", width)
    yield from batch_norm("head.bn", HEAD)
    yield from linear("hidden0", HEAD, HIDDEN)
    yield from linear("classifier", HIDDEN, CLASSES)


def philox(count, stream):
    """First output of Philox4x32-10 for counters (0 .. count - 1, stream, 0, 0), key KEY."""
    low = np.uint64(0xFFFFFFFF)
    c = [np.arange(count, dtype=np.uint64)] + [np.full(count, v, np.uint64) for v in (stream, 0, 0)]
    for turn in range(10):
        key = [(k + turn * w) & 0xFFFFFFFF for k, w in zip(KEY, (0x9E3779B9, 0xBB67AE85))]
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]),
            p0 & low,
        ]
    return c[0]


def values(tensor, index):
    """The float32 values of the tensor at that place in tensors()."""
    u = philox(math.prod(tensor.shape), index).astype(np.float64) * 2.0**-32
    if tensor.kind == "weight":  # variance 1 / fan_in
        v = (2 * u - 1) * math.sqrt(3 / tensor.fan_in)
    elif tensor.kind == "gamma":
        v = 0.5 + u
    else:
        v = 0.2 * (2 * u - 1)
    return v.astype(np.float32).reshape(tensor.shape)


def weights():
    return {t.name: values(t, i) for i, t in enumerate(tensors())}


def checksum(array):
    """Sum of (i + 1) * bits of value i, modulo 2^64."""
    bits = array.astype("<f4").ravel().view("<u4").astype(np.uint64)
    return int((bits * np.arange(1, bits.size + 1, dtype=np.uint64)).sum(dtype=np.uint64))


def images(count):
    """The first training images of Fashion-MNIST: float32 [count][28][28][1] in -1 .. 1, labels."""
    with gzip.open(FASHION_MNIST / "train-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + count * 784)[16:], np.uint8).reshape(count, 28, 28, 1)
    with gzip.open(FASHION_MNIST / "train-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + count)[8:], np.uint8)
    return ((x / 255 - 0.5) / 0.5).astype(np.float32), y.astype(np.float32)


def write_safetensors(path, arrays, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, array in arrays.items():
        span = [offset, offset + 4 * array.size]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": span}
        offset = span[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            f.write(np.ascontiguousarray(array, "<f4").tobytes())


def read_safetensors(path):
    """(arrays by name, metadata); for F32 files only."""
    raw = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, t in header.items():
        begin, end = (start + o for o in t["data_offsets"])
        arrays[name] = np.frombuffer(raw[begin:end], "<f4").reshape(t["shape"])
    return arrays, metadata
