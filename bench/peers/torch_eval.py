#!/usr/bin/env python3
"""Times in PyTorch the work of `nashost bench eval`, and prints JSON.

    nashost bench eval [PIPELINE] --out FILE
    /usr/bin/python3 bench/peers/torch_eval.py --work FILE [--check]

The largest subnet of the pipeline's space: batch norm's statistics are gathered over the
calibration images, then 10,000 images (or all, if there are fewer) are classified. In PyTorch's favour: all images are made
beforehand, in its own layout, and those that are classified are the calibration images again and
again, so that they take no memory; channels are last, in inference mode; batch norm is folded into
the convolutions; batches are as big as it likes best; big blocks stay in the allocator.
The machine must be idle otherwise.
"""
import itertools
import json
import statistics
import sys
import time

import peer

if __name__ == "__main__":
    peer.keep_freed_memory()

import torch
import torch.nn.functional as F
from torch_net import ACTIVATION, Supernet, images

TOLERANCE = 2e-3  # of logits, as a share of the largest


class Evaluator(Supernet):
    """One subnet with batch norm's statistics of its own."""

    def __init__(self, work, fold=True):
        super().__init__(work)
        for weight in self.weight.values():
            weight.requires_grad_(False)
        self.fold = fold

    def calibrate(self, batches, genome):
        """The mean of the batches' means and variances, weighted by their sizes."""
        self.running, self.folded, self.kernels, self.gathers, done = {}, {}, {}, True, 0
        for x in batches:
            done += len(x)
            self.share = len(x) / done
            self.features(x, genome)
        self.gathers = False

    def kernel(self, name, k, c):
        if name not in self.kernels:
            self.kernels[name] = super().kernel(name, k, c)
        return self.kernels[name]

    def unit(self, x, name, weight, activation, stride=1, groups=1):
        if self.fold and not self.gathers:
            if name not in self.folded:
                self.folded[name] = self.fold_unit(name, weight)
            return ACTIVATION[activation](self.convolve(x, *self.folded[name], stride, groups))
        x = self.convolve(x, weight, None, stride, groups)
        gamma, beta = self.scale_and_shift(name, x.shape[1])
        mean, var = self.running.setdefault(name, torch.zeros(2, x.shape[1]))
        x = F.batch_norm(x, mean, var, gamma, beta, self.gathers, self.share, self.epsilon)
        return ACTIVATION[activation](x)

    def fold_unit(self, name, weight):
        gamma, beta = self.scale_and_shift(name, len(weight))
        mean, var = self.running[name]
        scale = gamma / (var + self.epsilon).sqrt()
        weight = weight * scale[:, None, None, None]
        return weight.contiguous(memory_format=torch.channels_last), beta - mean * scale


@torch.inference_mode()
def evaluate(evaluator, genome, pool, labels, calibrate_ms):
    """Top-1 of a subnet; appends the time of its calibration."""
    start = time.perf_counter()
    evaluator.calibrate(pool, genome)
    calibrate_ms.append((time.perf_counter() - start) * 1e3)
    right = done = 0
    for x in itertools.cycle(pool):
        x = x[: len(labels) - done]
        right += (evaluator.forward(x, genome).argmax(1) == labels[done : done + len(x)]).sum()
        done += len(x)
        if done == len(labels):
            return float(right) / done


def bench(work, options):
    torch.manual_seed(1)
    pool = images(work.array("images.calibration")).split(options.batch)
    n = work.value("images")
    labels = torch.randint(work.classes, (n,))
    evaluator, calibrate_ms = Evaluator(work, options.fold), []
    inputs = (evaluator, work.genomes[0][0], pool, labels, calibrate_ms)
    result = peer.measure(evaluate, lambda: inputs, options.warmup, options.steps)
    calibrate = statistics.median(calibrate_ms[options.warmup :])
    return {
        **result,
        "images_per_s": n / result["ms_per_step"] * 1e3,
        "ms_calibrate": calibrate,
        "ms_evaluate": result["ms_per_step"] - calibrate,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


@torch.inference_mode()
def check(work, options):
    """The logits of the file's subnets: (what was found, whether they are the same)."""
    evaluator, off = Evaluator(work, options.fold), []
    pool = images(work.array("images.calibration")).split(work.value("calibration_batch"))
    judged = images(work.array("images.judged"))
    for genome, logits in zip(work.genomes[0], work.array("logits")):
        expected = torch.tensor(logits)
        evaluator.calibrate(pool, genome)
        found = torch.cat([evaluator.forward(x, genome) for x in judged.split(options.batch)])
        off.append(float((found - expected).abs().max() / expected.abs().max()))
    return {"logits_off": off}, all(d < TOLERANCE for d in off)


def main():
    parser = peer.work_parser(__doc__, "eval", steps=5, warmup=1)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument(
        "--no-fold", dest="fold", action="store_false", help="batch norm apart from convolutions"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = peer.Work(options.work)
    found, agree = check(work, options) if options.check else (bench(work, options), True)
    print(json.dumps(found))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
