#!/usr/bin/env python3
"""Times PyTorch on the step that `nashost bench train` times, and prints JSON.

    /usr/bin/python3 bench/torch_step.py [--check]

A MatchNAS step on the quickstart space: the largest subnet labels the weak views; the largest, the
smallest and two random subnets each learn from labelled images and strong views, each with batch
statistics of its own or, with --statistics joint, in one batch; their gradients are summed; SGD
with Nesterov momentum, then EMA. In PyTorch's favour: data and views are made beforehand, channels
are last, big blocks stay in the allocator. Tried without gain: 1x1 convolutions as linear layers,
contiguous copies of sliced weights, the optimiser's foreach.
The machine must be idle otherwise: on cores that others use, OpenMP's waiting threads take ten
times as long.
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import resource
import statistics
import sys
import time

# By default malloc returns freed activations to the system and faults them in again: 10 % slower.
MALLOC = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=4294967296"
if __name__ == "__main__" and "GLIBC_TUNABLES" not in os.environ:
    os.environ["GLIBC_TUNABLES"] = MALLOC
    os.execv(sys.executable, [sys.executable] + sys.argv)

import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "golden"))
import supernet as golden  # the space, the golden weights and file

THRESHOLD, WEIGHT_DECAY, EMA, RATE = 0.95, 5e-4, 0.999, 0.03


def relu(x):
    return F.relu(x, inplace=True)  # saves a copy: batch norm does not keep its output


ACTIVATION = {"relu": relu, "hswish": F.hardswish}


def to_torch(name, array):
    """A weight in PyTorch's layout, from nashost's."""
    w = torch.tensor(array)
    if name.endswith(".weight"):
        return w.t().contiguous()
    if not name.endswith("conv"):
        return w
    if name == "stem.conv":
        w = w.permute(3, 2, 0, 1)
    elif w.ndim == 3:
        w = w.permute(2, 0, 1)[:, None]
    else:
        w = w.t()[:, :, None, None]
    return w.contiguous(memory_format=torch.channels_last)


class Supernet:
    """The quickstart supernet; a subnet's weights are views of the largest's."""

    def __init__(self):
        weights = golden.weights().items()
        self.weight = {name: to_torch(name, w).requires_grad_() for name, w in weights}

    def norm(self, x, name, activation=None):
        c = x.shape[1]
        gamma, beta = self.weight[name + ".gamma"][:c], self.weight[name + ".beta"][:c]
        x = F.batch_norm(x, None, None, gamma, beta, training=True, eps=golden.BN_EPSILON)
        return ACTIVATION[activation](x) if activation else x

    def pointwise(self, x, name, outputs):
        return F.conv2d(x, self.weight[name][:outputs, : x.shape[1]])

    def depthwise(self, x, name, k, stride):
        full, c = self.weight[name], x.shape[1]
        crop = slice((full.shape[2] - k) // 2, (full.shape[2] + k) // 2)
        return F.conv2d(x, full[:c, :, crop, crop], stride=stride, padding=k // 2, groups=c)

    def linear(self, x, name, outputs):
        w, b = self.weight[name + ".weight"], self.weight[name + ".bias"]
        return F.linear(x, w[:outputs, : x.shape[1]], b[:outputs])

    def squeeze_excite(self, x, name):
        c = x.shape[1]
        s = relu(self.linear(x.mean((2, 3)), name + ".reduce", golden.squeeze_width(c)))
        return x * F.hardsigmoid(self.linear(s, name + ".excite", c))[:, :, None, None]

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
        return y.add_(x) if stride == 1 and x.shape == y.shape else y

    def forward(self, x, subnet):
        """Logits [n][10] of images x [n][1][28][28]."""
        x = self.norm(F.conv2d(x, self.weight["stem.conv"], padding=1), "stem.bn", "hswish")
        for s, (stage, blocks) in enumerate(zip(golden.STAGES, subnet)):
            for b, (kernel, expand) in enumerate(blocks):
                stride = stage.stride if b == 0 else 1
                x = self.block(x, f"stage{s}.block{b}", stage, stride, kernel, expand)
        x = self.norm(self.pointwise(x, "head.conv", golden.HEAD), "head.bn", "hswish")
        x = F.hardswish(self.linear(x.mean((2, 3)), "hidden0", golden.HIDDEN))
        return self.linear(x, "classifier", golden.CLASSES)


class Trainer:
    def __init__(self, net, statistics):
        self.statistics = statistics
        self.net = net
        self.parameters = list(net.weight.values())
        self.average = [p.detach().clone() for p in self.parameters]
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in self.parameters if p.ndim == 1]},
        ]
        self.sgd = torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True)

    def logits(self, images, subnet, labelled):
        """Of the labelled images, and of the strong views."""
        parts = [labelled, len(images) - labelled]
        if self.statistics == "joint":
            return self.net.forward(images, subnet).split(parts)
        return [self.net.forward(part, subnet) for part in images.split(parts)]

    def step(self, subnets, weak, images, labels):
        """images: the labelled ones, then the strong views of the weak ones."""
        self.sgd.zero_grad(set_to_none=True)
        with torch.no_grad():
            q, target = self.net.forward(weak, golden.SUBNETS["largest"]).softmax(1).max(1)
            mask = (q >= THRESHOLD).float()
        for subnet in subnets:
            labelled, strong = self.logits(images, subnet, len(labels))
            unlabelled = F.cross_entropy(strong, target, reduction="none") * mask
            (F.cross_entropy(labelled, labels) + unlabelled.mean()).backward()
        self.sgd.step()
        torch._foreach_mul_(self.average, EMA)
        torch._foreach_add_(self.average, [p.detach() for p in self.parameters], alpha=1 - EMA)


def sandwich(rng):
    def one():
        depths = [rng.choice(s.depth) for s in golden.STAGES]
        return [
            [(rng.choice(s.kernel), rng.choice(s.expand)) for _ in range(d)]
            for s, d in zip(golden.STAGES, depths)
        ]

    return [golden.SUBNETS["largest"], golden.SUBNETS["smallest"], one(), one()]


def batches(options, count):
    """count tuples (weak, images, labels). The weak and strong views are the plain images: what they
    show does not change the time of a step."""
    n = options.batch * (1 + options.mu)
    if options.data == "fashion":
        x, y = (torch.tensor(v) for v in golden.images(count * n))
        x, y = x.permute(0, 3, 1, 2), y.long()
    else:
        x = torch.rand(count * n, 1, golden.RESOLUTION, golden.RESOLUTION) * 2 - 1
        y = torch.randint(golden.CLASSES, (count * n,))
    x = x.contiguous(memory_format=torch.channels_last)
    return [
        (x[i + options.batch : i + n], x[i : i + n], y[i : i + options.batch])
        for i in range(0, count * n, n)
    ]


def resident_bytes():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def bench(options):
    at_start = resident_bytes()
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    data = itertools.cycle(batches(options, 4))
    trainer = Trainer(Supernet(), options.statistics)
    times, used = [], 0
    for i in range(options.warmup + options.steps):
        if i == options.warmup:
            used = time.process_time()
        subnets, batch = sandwich(rng), next(data)
        start = time.perf_counter()
        trainer.step(subnets, *batch)
        times.append((time.perf_counter() - start) * 1e3)
    used = time.process_time() - used
    times = times[options.warmup :]
    assert all(bool(p.isfinite().all()) for p in trainer.parameters)
    return {
        "ms_per_step": statistics.median(times),
        "ms_min": min(times),
        "ms_max": max(times),
        "cpu_ms_per_step": used * 1e3 / options.steps,
        "steps": options.steps,
        "threads": torch.get_num_threads(),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "rss_after_import_bytes": at_start,
        "torch": torch.__version__,
    }


def check(path):
    """Losses of the golden subnets by this model and by the golden file; true if they agree."""
    arrays, _ = golden.read_safetensors(path)
    x = torch.tensor(arrays["images"]).permute(0, 3, 1, 2)
    y = torch.tensor(arrays["labels"]).long()
    net = Supernet()
    result = {"loss": {}, "reference": {}}
    with torch.no_grad():
        for name, subnet in golden.SUBNETS.items():
            result["loss"][name] = F.cross_entropy(net.forward(x, subnet), y).item()
            result["reference"][name] = float(arrays[name + "/loss"][0])
    pairs = zip(result["loss"].values(), result["reference"].values())
    return result, all(abs(a - b) < 1e-5 for a, b in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--mu", type=int, default=2)
    parser.add_argument("--statistics", choices=["separate", "joint"], default="separate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", choices=["random", "fashion"], default="random")
    parser.add_argument(
        "--check",
        nargs="?",
        metavar="FILE",
        const=ROOT / "tests" / "golden" / "supernet.safetensors",
        help="compare losses with the golden file instead; exit 1 if they differ",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.check:
        print(json.dumps(bench(options)))
        return 0
    result, agree = check(options.check)
    print(json.dumps(result))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
