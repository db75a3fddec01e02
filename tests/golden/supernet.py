#!/usr/bin/env python3
"""Makes supernet.safetensors: the quickstart supernet computed by PyTorch, in double precision.

An implementation apart from nashost's own, so that the two can be compared. The file holds images,
labels and, for three subnets, the genome, logits, loss, every gradient, and the logits by calibrated
batch norm. The weights are not stored: a formula (weights()) gives the same bits in C.

Needs Debian's python3-torch, python3-numpy and dataset-fashion-mnist:
    /usr/bin/python3 tests/golden/supernet.py
"""
import argparse
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from quickstart import (
    BN_EPSILON,
    CALIBRATION,
    CLASSES,
    HEAD,
    HIDDEN,
    RESOLUTION,
    STAGES,
    STEM,
    SUBNETS,
    checksum,
    images,
    squeeze_width,
    tensors,
    weights,
    write_safetensors,
)

HERE = pathlib.Path(__file__).resolve().parent
ACTIVATION = {"relu": F.relu, "hswish": F.hardswish, "hsigmoid": F.hardsigmoid}
KINKS = {"relu": (0,), "hswish": (-3, 3), "hsigmoid": (-3, 3)}


class Subnet:
    """One forward pass with weights sliced from the largest; notes the slices it used, and the
    smallest distance of an activation's input from a kink."""

    def __init__(self, weight):
        self.weight = weight
        self.used = {}
        self.nearest = math.inf
        self.running = {}  # batch norm's mean and variance: the batches' so far, weighted by size
        self.share = None  # of this batch in them; 0: they are used; None: they play no part

    def activate(self, x, kind):
        for kink in KINKS[kind]:
            self.nearest = min(self.nearest, float((x.detach() - kink).abs().min()))
        return ACTIVATION[kind](x)

    def take(self, name, *sizes, crop=0):
        """The first sizes[d] of each dimension d; of the first `crop` dimensions the centre."""
        full = self.weight[name]
        assert full.ndim == len(sizes), name
        index = []
        for d, size in enumerate(sizes):
            start = (full.shape[d] - size) // 2 if d < crop else 0
            index.append(slice(start, start + size))
        self.used[name] = tuple(index)
        return full[self.used[name]]

    def norm(self, x, name, activation=None):
        """Batch norm in double also in a float32 network: PyTorch's float32 statistics lose two
        more digits than they need to."""
        gamma, beta = (self.take(f"{name}.{p}", x.shape[1]).double() for p in ("gamma", "beta"))
        mean, var = None, None
        if self.share is not None:
            mean, var = self.running.setdefault(name, torch.zeros(2, x.shape[1]).double())
        y = F.batch_norm(
            x.double(), mean, var, gamma, beta, self.share != 0, self.share or 0, BN_EPSILON
        ).to(x.dtype)
        return self.activate(y, activation) if activation else y

    def pointwise(self, x, name, outputs):
        w = self.take(name, x.shape[1], outputs)
        return F.conv2d(x, w.t()[:, :, None, None])

    def depthwise(self, x, name, k, stride):
        w = self.take(name, k, k, x.shape[1], crop=2).permute(2, 0, 1)[:, None]
        return F.conv2d(x, w, stride=stride, padding=k // 2, groups=x.shape[1])

    def linear(self, x, name, outputs):
        w = self.take(name + ".weight", x.shape[1], outputs)
        return x @ w + self.take(name + ".bias", outputs)

    def squeeze_excite(self, x, name):
        mid = x.shape[1]
        s = self.linear(x.mean((2, 3)), name + ".reduce", squeeze_width(mid))
        s = self.linear(self.activate(s, "relu"), name + ".excite", mid)
        return x * self.activate(s, "hsigmoid")[:, :, None, None]

    def block(self, x, name, stage, stride, kernel, expand):
        y = x
        if stage.expand != (1,):
            y = self.pointwise(y, name + ".expand.conv", expand * x.shape[1])
            y = self.norm(y, name + ".expand.bn", stage.activation)
        y = self.depthwise(y, name + ".depthwise.conv", kernel, stride)
        y = self.norm(y, name + ".depthwise.bn", stage.activation)
        if stage.squeeze:
            y = self.squeeze_excite(y, name + ".se")
        y = self.norm(self.pointwise(y, name + ".project.conv", stage.width), name + ".project.bn")
        return x + y if stride == 1 and x.shape == y.shape else y

    def forward(self, x, subnet):
        """Logits [n][10] of images x [n][28][28][1]."""
        w = self.take("stem.conv", 3, 3, 1, STEM, crop=2).permute(3, 2, 0, 1)
        x = F.conv2d(x.permute(0, 3, 1, 2), w, padding=1)
        x = self.norm(x, "stem.bn", "hswish")
        for s, (stage, blocks) in enumerate(zip(STAGES, subnet)):
            for b, (kernel, expand) in enumerate(blocks):
                stride = stage.stride if b == 0 else 1
                x = self.block(x, f"stage{s}.block{b}", stage, stride, kernel, expand)
        x = self.norm(self.pointwise(x, "head.conv", HEAD), "head.bn", "hswish")
        x = self.activate(self.linear(x.mean((2, 3)), "hidden0", HIDDEN), "hswish")
        return self.linear(x, "classifier", CLASSES)


def compute(subnet, weight, x, y, dtype):
    """{logits, loss, grad/NAME} of a subnet, each gradient being the active slice, and the distance
    from the nearest kink."""
    leaf = {k: torch.tensor(v, dtype=dtype).requires_grad_() for k, v in weight.items()}
    net = Subnet(leaf)
    logits = net.forward(torch.tensor(x, dtype=dtype), subnet)
    loss = F.cross_entropy(logits, torch.tensor(y, dtype=torch.int64))
    loss.backward()
    out = {"logits": logits.detach().numpy(), "loss": loss.detach().numpy().reshape(1)}
    for name, tensor in leaf.items():
        if name in net.used:
            out["grad/" + name] = tensor.grad[net.used[name]].numpy()
    return out, net.nearest


@torch.no_grad()
def calibrated(subnet, weight, x, dtype):
    """Logits with the mean of batch norm's statistics over batches of CALIBRATION images."""
    net = Subnet({k: torch.tensor(v, dtype=dtype) for k, v in weight.items()})
    x, done = torch.tensor(x, dtype=dtype), 0
    for part in x.split(CALIBRATION):
        done += len(part)
        net.share = len(part) / done
        net.forward(part, subnet)
    net.share = 0
    return net.forward(x, subnet).numpy()


def genome(subnet):
    stages = [
        {"width": stage.width, "blocks": [{"kernel": k, "expand": e} for k, e in blocks]}
        for stage, blocks in zip(STAGES, subnet)
    ]
    return {"resolution": RESOLUTION, "stages": stages}


def report(name, exact, nearest, single):
    """Prints how far this network in float32 is from double: what a tolerance must allow for."""
    top = {k: abs(v).max() for k, v in exact.items()}
    floor = 1e-3 * max(v for k, v in top.items() if k.startswith("grad/"))
    error = {k: abs(exact[k] - single[k]).max() for k in exact}
    share = {k: e / max(top[k], floor) for k, e in error.items() if k.startswith("grad/")}
    worst = max(share, key=share.get)
    print(
        f"{name}: loss {exact['loss'][0]:.9f}, nearest kink {nearest:.1e}; in float32 the loss is "
        f"{error['loss']:.1e} off, logits {error['logits']:.1e}, calibrated ones "
        f"{error['calibrated']:.1e}, gradients {share[worst]:.1e} of their largest value, or of {floor:.1e} if that is less ({worst[5:]})"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=HERE / "supernet.safetensors")
    out = parser.parse_args().out
    torch.set_num_threads(1)  # one order of summation

    weight = weights()
    x, y = images(8)
    arrays = {"images": x, "labels": y}
    listing = [dict(t._asdict(), check=f"{checksum(weight[t.name]):016x}") for t in tensors()]
    metadata = {"tensors": json.dumps(listing, separators=(",", ":"))}
    for name, subnet in SUBNETS.items():
        exact, nearest = compute(subnet, weight, x, y, torch.float64)
        single = compute(subnet, weight, x, y, torch.float32)[0]
        for result, dtype in ((exact, torch.float64), (single, torch.float32)):
            result["calibrated"] = calibrated(subnet, weight, x, dtype)
        report(name, exact, nearest, single)
        arrays.update({f"{name}/{k}": v.astype(np.float32) for k, v in exact.items()})
        metadata[f"{name}/genome"] = json.dumps(genome(subnet), separators=(",", ":"))
    write_safetensors(out, arrays, metadata)
    print(
        f"{sum(w.size for w in weight.values())} parameters; wrote {out}: "
        f"{pathlib.Path(out).stat().st_size} bytes, {len(arrays)} tensors"
    )


if __name__ == "__main__":
    main()
