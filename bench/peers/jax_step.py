#!/usr/bin/env python3
"""Times in JAX the step that `nashost bench train` times, and prints JSON.

    PYTHON bench/peers/jax_step.py [--check]

It knows the space quickstart alone: PyTorch was always faster by far. The step is that of
torch_step.py, with the same four subnets in every step: XLA compiles a program
for each, which takes many steps' time, and a real run's subnets are nearly always new. In JAX's
favour: that time is not counted; data and views are made beforehand; gradients and weights
are updated in place; 1x1 convolutions are products, and depthwise ones sums over their taps, which
XLA fuses (--depthwise conv: its own).
The machine must be idle otherwise.
"""
import functools
import itertools
import json
import os
import pathlib
import random
import sys

import peer

GOLDEN = pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))
import quickstart as golden

THRESHOLD, WEIGHT_DECAY, EMA, RATE, MOMENTUM = 0.95, 5e-4, 0.999, 0.03, 0.9


def parse():
    parser = peer.parser(__doc__, steps=20, warmup=3)
    parser.add_argument(
        "--check", action="store_true", help="compute what the golden file holds; exit 1 if it differs"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--mu", type=int, default=2)
    parser.add_argument("--depthwise", choices=["taps", "conv"], default="taps")
    return parser.parse_args()


options = parse()
# XLA has as many threads as it sees processors.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
peer.keep_freed_memory()

import jax
import jax.numpy as jnp

ACTIVATION = {"relu": jax.nn.relu, "hswish": jax.nn.hard_swish, None: lambda x: x}


def convolve(x, w, stride, groups=1):
    pad = (w.shape[0] // 2, w.shape[0] // 2)
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), (pad, pad),
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
    )


def sum_of_taps(x, w, stride):
    k, side = w.shape[0], -(-x.shape[1] // stride)
    x = jnp.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
    last = stride * (side - 1) + 1
    taps = itertools.product(range(k), repeat=2)
    return sum(x[:, i : i + last : stride, j : j + last : stride] * w[i, j] for i, j in taps)


class Subnet:
    """The network of a genome; weights are slices of the largest's."""

    def __init__(self, weight):
        self.weight = weight

    def norm(self, x, name, activation):
        c = x.shape[-1]
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        scale = self.weight[name + ".bn.gamma"][:c] * jax.lax.rsqrt(var + golden.BN_EPSILON)
        return ACTIVATION[activation]((x - mean) * scale + self.weight[name + ".bn.beta"][:c])

    def pointwise(self, x, name, outputs, activation):
        y = x @ self.weight[name + ".conv"][: x.shape[-1], :outputs]
        return self.norm(y, name, activation)

    def depthwise(self, x, name, k, stride, activation):
        full, c = self.weight[name + ".conv"], x.shape[-1]
        crop = slice((full.shape[0] - k) // 2, (full.shape[0] + k) // 2)
        w = full[crop, crop, :c]
        if options.depthwise == "taps":
            y = sum_of_taps(x, w, stride)
        else:
            y = convolve(x, w[:, :, None], stride, c)
        return self.norm(y, name, activation)

    def linear(self, x, name, outputs):
        w, b = self.weight[name + ".weight"], self.weight[name + ".bias"]
        return x @ w[: x.shape[-1], :outputs] + b[:outputs]

    def squeeze_excite(self, x, name):
        c = x.shape[-1]
        s = jax.nn.relu(self.linear(x.mean((1, 2)), name + ".reduce", golden.squeeze_width(c)))
        return x * jax.nn.hard_sigmoid(self.linear(s, name + ".excite", c))[:, None, None]

    def block(self, x, name, stage, stride, kernel, expand):
        y = x
        if stage.expand != (1,):
            y = self.pointwise(y, name + ".expand", expand * x.shape[-1], stage.activation)
        y = self.depthwise(y, name + ".depthwise", kernel, stride, stage.activation)
        if stage.squeeze:
            y = self.squeeze_excite(y, name + ".se")
        y = self.pointwise(y, name + ".project", stage.width, None)
        return x + y if stride == 1 and x.shape == y.shape else y

    def forward(self, x, subnet):
        """Logits [n][10] of images x [n][28][28][1]."""
        x = self.norm(convolve(x, self.weight["stem.conv"], 1), "stem", "hswish")
        for s, (stage, blocks) in enumerate(zip(golden.STAGES, subnet)):
            for b, (kernel, expand) in enumerate(blocks):
                stride = stage.stride if b == 0 else 1
                x = self.block(x, f"stage{s}.block{b}", stage, stride, kernel, expand)
        x = self.pointwise(x, "head", golden.HEAD, "hswish").mean((1, 2))
        x = jax.nn.hard_swish(self.linear(x, "hidden0", golden.HIDDEN))
        return self.linear(x, "classifier", golden.CLASSES)


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)[:, 0]


@jax.jit
def teach(weight, weak):
    logits = Subnet(weight).forward(weak, golden.SUBNETS["largest"])
    return logits.argmax(1), (jax.nn.softmax(logits).max(1) >= THRESHOLD).astype(jnp.float32)


def loss(weight, subnet, images, labels, target, mask):
    net, n = Subnet(weight), len(labels)
    unlabelled = cross_entropy(net.forward(images[n:], subnet), target) * mask
    return cross_entropy(net.forward(images[:n], subnet), labels).mean() + unlabelled.mean()


def add_gradient(total, weight, subnet, *batch):
    return jax.tree.map(jnp.add, total, jax.grad(loss)(weight, subnet, *batch))


@functools.partial(jax.jit, donate_argnums=(0, 1, 2))
def update(weight, speed, average, gradient):
    for name, w in weight.items():
        g = gradient[name] + (WEIGHT_DECAY * w if w.ndim > 1 else 0)
        speed[name] = MOMENTUM * speed[name] + g
        weight[name] = w - RATE * (g + MOMENTUM * speed[name])
        average[name] = EMA * average[name] + (1 - EMA) * weight[name]
    return weight, speed, average


def golden_weights():
    return {name: jnp.array(w) for name, w in golden.weights().items()}


class Trainer:
    def __init__(self, subnets):
        self.weight, self.average = golden_weights(), golden_weights()
        self.speed = jax.tree.map(jnp.zeros_like, self.weight)
        self.gradients = [
            jax.jit(
                lambda total, weight, *batch, subnet=subnet: add_gradient(
                    total, weight, subnet, *batch
                ),
                donate_argnums=0,
            )
            for subnet in subnets
        ]

    def step(self, weak, images, labels):
        target, mask = teach(self.weight, weak)
        total = jax.tree.map(jnp.zeros_like, self.weight)
        for gradient in self.gradients:
            total = gradient(total, self.weight, images, labels, target, mask)
        state = update(self.weight, self.speed, self.average, total)
        self.weight, self.speed, self.average = jax.block_until_ready(state)


def batches(count):
    n, side = options.batch * (1 + options.mu), golden.RESOLUTION
    keys = jax.random.split(jax.random.key(options.seed), count)
    for key in keys:
        x = jax.random.uniform(key, (n, side, side, 1)) * 2 - 1
        y = jax.random.randint(key, (options.batch,), 0, golden.CLASSES)
        yield x[options.batch :], x, y


def random_subnet(rng):
    depths = [rng.choice(s.depth) for s in golden.STAGES]
    return [
        [(rng.choice(s.kernel), rng.choice(s.expand)) for _ in range(d)]
        for s, d in zip(golden.STAGES, depths)
    ]


def bench():
    rng = random.Random(options.seed)
    subnets = [golden.SUBNETS["largest"], golden.SUBNETS["smallest"]]
    subnets += [random_subnet(rng) for _ in range(2)]
    data = itertools.cycle(list(batches(4)))
    trainer = Trainer(subnets)
    result = peer.measure(trainer.step, lambda: next(data), options.warmup, options.steps)
    assert all(bool(jnp.isfinite(w).all()) for w in trainer.weight.values())
    return {**result, "threads": options.threads, "jax": jax.__version__}


def golden_loss(x, y, subnet):
    forward = jax.jit(lambda weight, x: Subnet(weight).forward(x, subnet))
    logits = forward(golden_weights(), jnp.array(x))
    return cross_entropy(logits, jnp.array(y).astype(int)).mean()


def check():
    """How far off the golden subnets' losses are; the tolerance is that of nashost's own test."""
    arrays, _ = golden.read_safetensors(GOLDEN / "supernet.safetensors")
    off = {
        name: float(
            abs(golden_loss(arrays["images"], arrays["labels"], subnet) - arrays[name + "/loss"]).max()
        )
        for name, subnet in golden.SUBNETS.items()
    }
    return off, all(o < 1e-5 for o in off.values())


def main():
    found, agree = check() if options.check else (bench(), True)
    print(json.dumps(found))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
