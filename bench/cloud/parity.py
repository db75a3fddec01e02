#!/usr/bin/env python3
"""Imported networks against their authors' own code: the largest difference of a logit as a share of
the largest logit, on 64 images (or, of supernets, several images and random subnets).

    bench/cloud/parity.py [--nashost ./nashost] [--lite0 build/cloud/efficientnet-lite0.pth]
                          [--subnets 50] [--only NAME]

Needs torch, torchvision, safetensors, ofa and efficientnet-lite-pytorch from the Python registry.
Networks without published weights at hand have random ones, batch norm's statistics and kernel
matrices too. Writes a table in Markdown; exits with 1 if a difference is 1e-4 or more, or if MACs or
parameters differ from those that the authors' modules have."""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
IMAGENET = (numpy.array([0.485, 0.456, 0.406], "f"), numpy.array([0.229, 0.224, 0.225], "f"))
LITE = (numpy.full(3, 127 / 255, "f"), numpy.full(3, 128 / 255, "f"))


def randomise(model, seed):
    """Statistics as a training leaves them, and matrices that are not the identity."""
    draw = torch.Generator().manual_seed(seed)
    for name, p in list(model.named_parameters()) + list(model.named_buffers()):
        noise = torch.rand(p.shape, generator=draw) if p.is_floating_point() else None
        if name.endswith("running_mean"):
            p.data.copy_(0.4 * noise - 0.2)
        elif name.endswith("running_var"):
            p.data.copy_(0.5 + noise)
        elif name.endswith("_matrix"):
            p.data.add_(0.2 * (noise - 0.5))
        elif "bn" in name and name.endswith("weight"):
            p.data.copy_(0.5 + noise)


def images(n, side, seed):
    """Smooth pictures, as photographs are."""
    draw = numpy.random.default_rng(seed)
    noise = torch.tensor(draw.random((n, 3, side, side), "f"))
    smooth = torch.nn.functional.avg_pool2d(noise, 7, 1, 3)
    pixels = ((smooth - 0.5) * 1000 + 127).clamp(0, 255).round().byte()
    return pixels.permute(0, 2, 3, 1).contiguous().numpy()


def macs_of(model, side):
    """Multiply-accumulates of convolutions and linear layers, by what each gives out."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            total += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.numel()

    hooks = [m.register_forward_hook(count) for m in model.modules()]
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return total


def params_of(model):
    return sum(p.numel() for name, p in model.named_parameters() if not name.endswith("_matrix"))


class Bench:
    def __init__(self, nashost, folder):
        self.nashost, self.folder, self.bad = nashost, folder, 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, *words):
        done = subprocess.run([self.nashost, *words, "--json"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        return json.loads(done.stdout)

    def load(self, weights):
        self.call("import", weights, "--out", self.path("cloud"), "--space-out", self.path("space"))
        return json.load(open(self.path("space")))

    def save(self, model):
        state = {k: v.contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}
        save_file(state, self.path("weights"))
        return self.path("weights")

    def logits(self, genome, pixels):
        json.dump(genome, open(self.path("genome"), "w"))
        numpy.save(self.path("x.npy"), pixels)
        self.call("infer", "--weights", self.path("cloud"), "--genome", self.path("genome"), "--input",
                  self.path("x.npy"), "--logits", self.path("y.npy"))
        return numpy.load(self.path("y.npy"))

    def costs(self, genome):
        json.dump(genome, open(self.path("genome"), "w"))
        profile = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "../../plugins/hardware/profiles/phone-big.json")
        found = self.call("cost", "--weights", self.path("cloud"), "--genome", self.path("genome"),
                          "--hardware", "roofline", "--options", json.dumps({"profile": profile}))
        return found["subnets"][0]["macs"], found["subnets"][0]["params"]

    def compare(self, model, genome, pixels, normal):
        mean, std = normal
        x = torch.tensor((pixels.astype("f") / 255 - mean) / std).permute(0, 3, 1, 2)
        with torch.no_grad():
            expected = model(x).numpy()
        found = self.logits(genome, pixels)
        off = float(numpy.abs(found - expected).max() / numpy.abs(expected).max())
        self.bad += not off < 1e-4
        return off

    def counts_equal(self, model, genome):
        equal = self.costs(genome) == (macs_of(model, genome["resolution"]), params_of(model))
        self.bad += not equal
        return "equal" if equal else "DIFFERENT: %s, expected %s" % (
            self.costs(genome), (macs_of(model, genome["resolution"]), params_of(model)))


def choice(choices, block, pick):
    """One of a key's choices; a list of lists has one list for each block."""
    own = choices[block] if isinstance(choices[0], list) else choices
    return pick(own)


def genome_of(space, side, pick=lambda c: c[-1]):
    stages = []
    for stage in space["stages"]:
        depth = pick(stage["depth"])
        stages.append({"width": stage["width"],
                       "blocks": [{"kernel": choice(stage["kernel"], b, pick),
                                   "expand": choice(stage["expand"], b, pick)} for b in range(depth)]})
    return {"resolution": side, "stages": stages}


def whole_network(bench, name, model, weights, normal, sides):
    space = bench.load(weights)
    for side in sides:
        genome = genome_of(space, side)
        off = bench.compare(model, genome, images(64, side, side), normal)
        print("| %s | %d | whole | %.1e | %s |" % (name, side, off, bench.counts_equal(model, genome)),
              flush=True)


def supernet(bench, name, model, side, subnets):
    """Random subnets of once-for-all's networks: its blocks after the first are elastic."""
    randomise(model, 1)
    model.eval()
    space = bench.load(bench.save(model))
    draw, worst, equal = random.Random(1), 0, 0
    for i in range(subnets):
        genome = genome_of(space, side, draw.choice)
        elastic = genome["stages"][1:]
        kernels, expands, depths = [], [], []
        for stage, made in zip(space["stages"][1:], elastic):
            most, depth = stage["depth"][-1], len(made["blocks"])
            padded = made["blocks"] + [made["blocks"][-1]] * (most - depth)
            kernels += [b["kernel"] for b in padded]
            expands += [b["expand"] for b in padded]
            depths.append(depth)
        model.set_active_subnet(ks=kernels, e=expands, d=depths)
        active = model.get_active_subnet(preserve_weight=True).eval()
        worst = max(worst, bench.compare(active, genome, images(8, side, i), IMAGENET))
        equal += bench.counts_equal(active, genome) == "equal"
    print("| %s | %d | %d random | %.1e | equal in %d |" % (name, side, subnets, worst, equal), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nashost", default="./nashost")
    parser.add_argument("--lite0", default="build/cloud/efficientnet-lite0.pth")
    parser.add_argument("--subnets", type=int, default=50)
    parser.add_argument("--only")
    given = parser.parse_args()
    print("| network | image side | subnets | largest difference | MACs and parameters |\n|---|--:|---|--:|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.nashost, folder)

        def wanted(name):
            return not given.only or given.only in name

        if wanted("efficientnet-lite0"):
            from efficientnet_lite_pytorch import EfficientNet
            model = EfficientNet.from_name("efficientnet-lite0")
            model.load_state_dict(torch.load(given.lite0))
            whole_network(bench, "EfficientNet-Lite0, pretrained", model.eval(), given.lite0, LITE, (96, 128, 224))
        import torchvision
        for name in ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"):
            if not wanted(name):
                continue
            torch.manual_seed(1)
            model = getattr(torchvision.models, name)(weights=None).eval()
            randomise(model, 1)
            whole_network(bench, "torchvision's " + name, model, bench.save(model), IMAGENET, (96, 224))
        from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3, OFAProxylessNASNets
        elastic = dict(n_classes=1000, dropout_rate=0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6],
                       depth_list=[2, 3, 4])
        for width in (1.0, 1.2):
            if wanted("ofa-mbv3"):
                supernet(bench, "once-for-all MobileNetV3, width %.1f" % width,
                         OFAMobileNetV3(width_mult=width, bn_param=(0.1, 1e-5), **elastic), 128, given.subnets)
        if wanted("ofa-proxyless"):
            supernet(bench, "once-for-all ProxylessNAS, width 1.3",
                     OFAProxylessNASNets(width_mult=1.3, bn_param=(0.1, 1e-3), **elastic), 128, given.subnets)
        return 1 if bench.bad else 0


if __name__ == "__main__":
    sys.exit(main())
