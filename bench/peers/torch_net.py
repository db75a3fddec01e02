"""The quickstart supernet in PyTorch, tuned for it: channels last, activations in place."""
import torch
import torch.nn.functional as F

import peer  # tests/golden is importable from here on
import quickstart as golden  # the space, the golden weights and file


def relu(x):
    return F.relu(x, inplace=True)  # saves a copy: batch norm does not keep its output


ACTIVATION = {"relu": relu, "hswish": F.hardswish, None: lambda x: x}


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


def images(array):
    """[n][height][width][1] as PyTorch wants them."""
    x = torch.tensor(array).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def random_images(n):
    x = torch.rand(n, 1, golden.RESOLUTION, golden.RESOLUTION) * 2 - 1
    return x.contiguous(memory_format=torch.channels_last)


class Supernet:
    """A subnet's weights are views of the largest's."""

    def __init__(self):
        weights = golden.weights().items()
        self.weight = {name: to_torch(name, w).requires_grad_() for name, w in weights}

    def scale_and_shift(self, name, c):
        return self.weight[name + ".bn.gamma"][:c], self.weight[name + ".bn.beta"][:c]

    def unit(self, x, name, weight, activation, **how):
        """Convolution, batch norm with the batch's statistics, activation."""
        x = F.conv2d(x, weight, **how)
        gamma, beta = self.scale_and_shift(name, x.shape[1])
        x = F.batch_norm(x, None, None, gamma, beta, training=True, eps=golden.BN_EPSILON)
        return ACTIVATION[activation](x)

    def pointwise(self, x, name, outputs, activation):
        weight = self.weight[name + ".conv"][:outputs, : x.shape[1]]
        return self.unit(x, name, weight, activation)

    def depthwise(self, x, name, k, stride, activation):
        full, c = self.weight[name + ".conv"], x.shape[1]
        crop = slice((full.shape[2] - k) // 2, (full.shape[2] + k) // 2)
        how = {"stride": stride, "padding": k // 2, "groups": c}
        return self.unit(x, name, full[:c, :, crop, crop], activation, **how)

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
            y = self.pointwise(y, name + ".expand", expand * x.shape[1], stage.activation)
        y = self.depthwise(y, name + ".depthwise", kernel, stride, stage.activation)
        if stage.squeeze:
            y = self.squeeze_excite(y, name + ".se")
        y = self.pointwise(y, name + ".project", stage.width, None)
        return y.add_(x) if stride == 1 and x.shape == y.shape else y

    def features(self, x, subnet):
        """All that has batch norm."""
        x = self.unit(x, "stem", self.weight["stem.conv"], "hswish", padding=1)
        for s, (stage, blocks) in enumerate(zip(golden.STAGES, subnet)):
            for b, (kernel, expand) in enumerate(blocks):
                stride = stage.stride if b == 0 else 1
                x = self.block(x, f"stage{s}.block{b}", stage, stride, kernel, expand)
        return self.pointwise(x, "head", golden.HEAD, "hswish")

    def forward(self, x, subnet):
        """Logits [n][10] of images x [n][1][28][28]."""
        x = self.features(x, subnet).mean((2, 3))
        x = F.hardswish(self.linear(x, "hidden0", golden.HIDDEN))
        return self.linear(x, "classifier", golden.CLASSES)
