#!/usr/bin/env python3
"""Times PyTorch on the step that `nashost bench train` times, and prints JSON.

    nashost bench train [PIPELINE] --out FILE
    /usr/bin/python3 bench/peers/torch_step.py --work FILE [--check]

A MatchNAS step on the pipeline's space, with its batch, mu and subnets: the largest subnet labels the
weak views; the step's subnets, the same as nashost's, each learn from labelled images and strong
views, each with batch statistics of its own or, as train.batch_statistics says, in one batch; their
gradients are summed; SGD with Nesterov momentum, then EMA. In PyTorch's favour: views are made
beforehand, channels are last, big blocks stay in the allocator. Tried without gain on the quickstart:
1x1 convolutions as linear layers, contiguous copies of sliced weights, the optimiser's foreach.
The machine must be idle otherwise: on cores that others use, OpenMP's waiting threads take ten
times as long.

--compile: the network by torch.compile, forward and backward, a program for each subnet and batch
size. Compiling takes many steps' time and a real run's subnets are nearly always new, so all steps
have the subnets of the first, and the compiler's time is not counted. What it cannot compile
whole is an error (fullgraph), never run eagerly.
"""
import contextlib
import itertools
import json
import sys

import peer

if __name__ == "__main__":
    peer.keep_freed_memory()

import torch
import torch.nn.functional as F
from torch_net import Supernet, from_torch, images

# Largest differences of loss and gradient, as shares of their size, where PyTorch computes in float32
# and in float64. Rounding puts some inputs of an activation on the other side of its kink, which moves
# a gradient by much more than its last digits, and PyTorch's float32 more than nashost's.
MOST = {"loss_off32": 2e-4, "gradient_off32": 0.3, "loss_off64": 2e-6, "gradient_off64": 0.05}


class CompiledSupernet(Supernet):
    """Compiles the network for each subnet when it first sees it."""

    def __init__(self, work):
        super().__init__(work)
        self.programs = {}
        torch._dynamo.config.cache_size_limit = 64  # programs: for each subnet, size, with gradient

    def forward(self, x, genome):
        key = repr(genome)
        if key not in self.programs:
            eager = super().forward
            self.programs[key] = torch.compile(
                lambda images: eager(images, genome), fullgraph=True, dynamic=False
            )
        return self.programs[key](x)


def network(work, options):
    return CompiledSupernet(work) if options.compile else Supernet(work)


class DoubleSupernet(Supernet):
    def __init__(self, work):
        super().__init__(work)
        self.weight = {
            n: w.detach().double().requires_grad_() for n, w in self.weight.items()
        }

    def forward(self, x, genome):
        return super().forward(x.double(), genome)


def compiled(options):
    """What the compiler has made: graphs of Python's bytecode, and those with a backward program."""
    if not options.compile:
        return {}
    counters = torch._dynamo.utils.counters
    graphs, whole = counters["stats"]["unique_graphs"], counters["aot_autograd"]["ok"]
    assert graphs and graphs == whole and not counters["graph_break"], counters
    return {"compiled_graphs": graphs}


class Trainer:
    def __init__(self, work, net, autocast=False):
        self.net = net
        self.joint = work.train["batch_statistics"] == "joint"
        self.autocast = autocast
        self.largest = work.genomes[0][0]
        self.threshold = work.train["ssl"]["options"]["threshold"]
        self.unlabelled_weight = work.train["ssl"]["options"]["weight"]
        self.ema = work.train["ema"]
        self.parameters = list(self.net.weight.values())
        self.average = [p.detach().clone() for p in self.parameters]
        decay = work.train["weight_decay"]
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in self.parameters if p.ndim == 1]},
        ]
        self.sgd = torch.optim.SGD(
            groups, lr=work.train["lr"], momentum=work.train["momentum"], nesterov=True
        )

    def forward(self, images, genome):
        with torch.autocast("cpu", torch.bfloat16) if self.autocast else contextlib.nullcontext():
            logits = self.net.forward(images, genome)
            return logits.float() if self.autocast else logits

    def logits(self, images, genome, labelled):
        """Of the labelled images, and of the strong views."""
        parts = [labelled, len(images) - labelled]
        if self.joint:
            return self.forward(images, genome).split(parts)
        return [self.forward(part, genome) for part in images.split(parts)]

    def gradient(self, genomes, weak, images, labels):
        """images: the labelled ones, then the strong views of the weak ones. Returns losses."""
        self.sgd.zero_grad(set_to_none=True)
        with torch.no_grad():
            q, target = self.forward(weak, self.largest).softmax(1).max(1)
            mask = (q >= self.threshold).to(q.dtype)
        losses = []
        for genome in genomes:
            labelled, strong = self.logits(images, genome, len(labels))
            unlabelled = F.cross_entropy(strong, target, reduction="none") * mask
            loss = F.cross_entropy(labelled, labels) + self.unlabelled_weight * unlabelled.mean()
            loss.backward()
            losses.append(loss.detach())
        return losses, mask

    def step(self, genomes, *batch):
        self.gradient(genomes, *batch)
        self.sgd.step()
        torch._foreach_mul_(self.average, self.ema)
        torch._foreach_add_(self.average, [p.detach() for p in self.parameters], alpha=1 - self.ema)


def batch_of(work):
    """(weak, images, labels)"""
    weak, strong = images(work.array("images.view0")), images(work.array("images.view1"))
    both = torch.cat([images(work.array("images.labelled")), strong])
    labels = torch.tensor(work.array("labels")).long()
    return weak, both.contiguous(memory_format=torch.channels_last), labels


def bench(work, options):
    at_start = peer.resident_bytes()
    batch = batch_of(work)
    steps = work.genomes[:1] if options.fixed or options.compile else work.genomes
    genomes = itertools.cycle(steps)
    trainer = Trainer(work, network(work, options), options.autocast)
    result = peer.measure(
        trainer.step, lambda: (next(genomes), *batch), options.warmup, options.steps
    )
    assert all(bool(p.isfinite().all()) for p in trainer.parameters)
    return {
        **result,
        **compiled(options),
        "threads": torch.get_num_threads(),
        "rss_after_import_bytes": at_start,
        "torch": torch.__version__,
    }


def gradient_off(net, expected):
    """The length of the gradient's difference, as a share of its own."""
    off = size = 0
    for name, weight in net.weight.items():
        ours = torch.tensor(expected[name]).double()
        theirs = 0 if weight.grad is None else from_torch(name, weight.grad).double()
        off += float((theirs - ours).square().sum())
        size += float(ours.square().sum())
    return (off / size) ** 0.5


def check(work, options):
    """The loss and the gradient of the file's step: (what was found, whether they are the same)."""
    batch, expected = batch_of(work), dict(work.named("gradient"))
    found, mean = {"mask_rate": work.value("mask_rate")}, work.value("loss")
    for kind, net in ("32", network(work, options)), ("64", DoubleSupernet(work)):
        losses, mask = Trainer(work, net).gradient(work.genomes[0], *batch)
        found["loss_off" + kind] = abs(float(torch.stack(losses).mean()) - mean) / abs(mean)
        found["mask_off" + kind] = abs(float(mask.mean()) - found["mask_rate"])
        found["gradient_off" + kind] = gradient_off(net, expected)
    return found, all(found[name] < MOST.get(name, 1e-6) for name in found if "_off" in name)


def main():
    parser = peer.work_parser(__doc__, "train", steps=20, warmup=4)
    parser.add_argument("--fixed", action="store_true", help="the same subnets in every step")
    parser.add_argument("--compile", action="store_true", help="by torch.compile; implies --fixed")
    parser.add_argument(
        "--autocast", action="store_true", help="by PyTorch's autocast to bfloat16; fails --check"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.compile and not hasattr(torch, "compile"):
        sys.exit(f"PyTorch {torch.__version__} has no torch.compile; it came with 2.0")
    work = peer.Work(options.work)
    work.refuse_other_training()
    if not options.check:
        print(json.dumps(bench(work, options)))
        return 0
    found, agree = check(work, options)
    print(json.dumps(found))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
