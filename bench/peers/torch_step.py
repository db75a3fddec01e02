#!/usr/bin/env python3
"""Times PyTorch on the step that `nashost bench train` times, and prints JSON.

    /usr/bin/python3 bench/peers/torch_step.py [--check]

A MatchNAS step on the quickstart space: the largest subnet labels the weak views; the largest, the
smallest and two random subnets each learn from labelled images and strong views, each with batch
statistics of its own or, with --statistics joint, in one batch; their gradients are summed; SGD
with Nesterov momentum, then EMA. In PyTorch's favour: data and views are made beforehand, channels
are last, big blocks stay in the allocator. Tried without gain: 1x1 convolutions as linear layers,
contiguous copies of sliced weights, the optimiser's foreach.
The machine must be idle otherwise: on cores that others use, OpenMP's waiting threads take ten
times as long.

--compile: the network by torch.compile, forward and backward, a program for each subnet and batch
size. Compiling takes many steps' time and a real run's subnets are nearly always new, so all steps
have the same four subnets, and the compiler's time is not counted. What it cannot compile
whole is an error (fullgraph), never run eagerly.
"""
import itertools
import json
import sys

import peer

if __name__ == "__main__":
    peer.keep_freed_memory()

import torch
import torch.nn.functional as F
from torch_net import Supernet, golden, images, random_images

THRESHOLD, WEIGHT_DECAY, EMA, RATE = 0.95, 5e-4, 0.999, 0.03


class CompiledSupernet(Supernet):
    """Compiles the network for each subnet when it first sees it."""

    def __init__(self):
        super().__init__()
        self.programs = {}
        torch._dynamo.config.cache_size_limit = 64  # programs: for each subnet, size, with gradient

    def forward(self, x, subnet):
        key = repr(subnet)
        if key not in self.programs:
            eager = super().forward
            self.programs[key] = torch.compile(
                lambda images: eager(images, subnet), fullgraph=True, dynamic=False
            )
        return self.programs[key](x)


def supernet(options):
    return CompiledSupernet() if options.compile else Supernet()


def compiled(options):
    """What the compiler has made: graphs of Python's bytecode, and those with a backward program."""
    if not options.compile:
        return {}
    counters = torch._dynamo.utils.counters
    graphs, whole = counters["stats"]["unique_graphs"], counters["aot_autograd"]["ok"]
    assert graphs and graphs == whole and not counters["graph_break"], counters
    return {"compiled_graphs": graphs}


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


def batches(options, count):
    """count tuples (weak, images, labels). The weak and strong views are the plain images: what they
    show does not change the time of a step."""
    n = options.batch * (1 + options.mu)
    if options.data == "fashion":
        x, y = golden.images(count * n)
        x, y = images(x), torch.tensor(y).long()
    else:
        x, y = random_images(count * n), torch.randint(golden.CLASSES, (count * n,))
    return [
        (x[i + options.batch : i + n], x[i : i + n], y[i : i + options.batch])
        for i in range(0, count * n, n)
    ]


def bench(options):
    at_start = peer.resident_bytes()
    torch.manual_seed(options.seed)
    subnets = peer.sandwiches(golden, options.seed, options.fixed or options.compile)
    data = itertools.cycle(batches(options, 4))
    trainer = Trainer(supernet(options), options.statistics)
    inputs = lambda: (next(subnets), *next(data))
    result = peer.measure(trainer.step, inputs, options.warmup, options.steps)
    assert all(bool(p.isfinite().all()) for p in trainer.parameters)
    return {
        **result,
        **compiled(options),
        "threads": torch.get_num_threads(),
        "rss_after_import_bytes": at_start,
        "torch": torch.__version__,
    }


def loss(x, y, subnet, options):
    logits = supernet(options).forward(images(x), subnet)
    return {"loss": F.cross_entropy(logits, torch.tensor(y).long()).detach().numpy()}


def main():
    parser = peer.parser(__doc__, steps=20, warmup=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--mu", type=int, default=2)
    parser.add_argument("--statistics", choices=["separate", "joint"], default="separate")
    parser.add_argument("--data", choices=["random", "fashion"], default="random")
    parser.add_argument("--fixed", action="store_true", help="the same subnets in every step")
    parser.add_argument("--compile", action="store_true", help="by torch.compile; implies --fixed")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.compile and not hasattr(torch, "compile"):
        sys.exit(f"PyTorch {torch.__version__} has no torch.compile; it came with 2.0")
    if not options.check:
        print(json.dumps(bench(options)))
        return 0
    result, agree = peer.check(
        golden, options.check, lambda x, y, subnet: loss(x, y, subnet, options)
    )
    print(json.dumps(result))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
