#!/usr/bin/env python3
"""Times in PyTorch the work of `nashost bench eval`, and prints JSON.

    /usr/bin/python3 bench/peers/torch_eval.py [--check]

The largest subnet of the quickstart space: batch norm's statistics are gathered over 1024 images,
then 10,000 others are classified. In PyTorch's favour: all images are made beforehand, in its own
layout; channels are last, in inference mode; batch norm is folded into the convolutions; batches
are as big as it likes best; big blocks stay in the allocator.
The machine must be idle otherwise.
"""
import json
import statistics
import sys
import time

import peer

if __name__ == "__main__":
    peer.keep_freed_memory()

import torch
import torch.nn.functional as F
from torch_net import ACTIVATION, Supernet, golden, images, random_images


class Evaluator(Supernet):
    """One subnet with batch norm's statistics of its own."""

    def __init__(self, fold=True):
        super().__init__()
        for weight in self.weight.values():
            weight.requires_grad_(False)
        self.fold = fold

    def calibrate(self, batches, subnet):
        """The mean of the batches' means and variances, weighted by their sizes."""
        self.running, self.folded, self.gathers, done = {}, {}, True, 0
        for x in batches:
            done += len(x)
            self.share = len(x) / done
            self.features(x, subnet)
        self.gathers = False

    def unit(self, x, name, weight, activation, **how):
        if self.fold and not self.gathers:
            if name not in self.folded:
                self.folded[name] = self.fold_unit(name, weight)
            return ACTIVATION[activation](F.conv2d(x, *self.folded[name], **how))
        x = F.conv2d(x, weight, **how)
        gamma, beta = self.scale_and_shift(name, x.shape[1])
        mean, var = self.running.setdefault(name, torch.zeros(2, x.shape[1]))
        x = F.batch_norm(
            x, mean, var, gamma, beta, self.gathers, self.share, golden.BN_EPSILON
        )
        return ACTIVATION[activation](x)

    def fold_unit(self, name, weight):
        gamma, beta = self.scale_and_shift(name, len(weight))
        mean, var = self.running[name]
        scale = gamma / (var + golden.BN_EPSILON).sqrt()
        weight = weight * scale[:, None, None, None]
        return weight.contiguous(memory_format=torch.channels_last), beta - mean * scale


@torch.inference_mode()
def evaluate(evaluator, calibration, batches, labels, calibrate_ms):
    """Top-1 of the largest subnet; appends the time of its calibration."""
    start = time.perf_counter()
    evaluator.calibrate(calibration, golden.SUBNETS["largest"])
    calibrate_ms.append((time.perf_counter() - start) * 1e3)
    right = 0
    for x, y in zip(batches, labels):
        logits = evaluator.forward(x, golden.SUBNETS["largest"])
        right += (logits.argmax(1) == y).sum()
    return float(right) / sum(map(len, labels))


def bench(options):
    torch.manual_seed(options.seed)
    calibration = random_images(options.calibration).split(options.calibration_batch)
    batches = random_images(options.images).split(options.batch)
    labels = torch.randint(golden.CLASSES, (options.images,)).split(options.batch)
    evaluator, calibrate_ms = Evaluator(options.fold), []
    work = (evaluator, calibration, batches, labels, calibrate_ms)
    result = peer.measure(evaluate, lambda: work, options.warmup, options.steps)
    calibrate = statistics.median(calibrate_ms[options.warmup :])
    return {
        **result,
        "images_per_s": options.images / result["ms_per_step"] * 1e3,
        "ms_calibrate": calibrate,
        "ms_evaluate": result["ms_per_step"] - calibrate,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


@torch.inference_mode()
def calibrated(x, labels, subnet, fold):
    evaluator, x = Evaluator(fold), images(x)
    evaluator.calibrate(x.split(golden.CALIBRATION), subnet)
    return {"calibrated": evaluator.forward(x, subnet).numpy()}


def main():
    parser = peer.parser(__doc__, steps=5, warmup=1)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--calibration", type=int, default=1024)
    parser.add_argument("--calibration-batch", type=int, default=50)
    parser.add_argument(
        "--no-fold", dest="fold", action="store_false", help="batch norm apart from convolutions"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.check:
        print(json.dumps(bench(options)))
        return 0
    result, agree = peer.check(
        golden, options.check, lambda x, y, subnet: calibrated(x, y, subnet, options.fold)
    )
    print(json.dumps(result))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
