"""Any space's supernet in PyTorch, tuned for it: channels last, activations in place."""
import torch
import torch.nn.functional as F


def relu(x):
    return F.relu(x, inplace=True)  # saves a copy: batch norm does not keep its output


def relu6(x):
    return F.relu6(x, inplace=True)


ACTIVATION = {
    "none": lambda x: x,
    "relu": relu,
    "relu6": relu6,
    "h-swish": F.hardswish,
    "h-sigmoid": F.hardsigmoid,
    "swish": F.silu,
    "sigmoid": torch.sigmoid,
}
SQUEEZE = {
    "divisor": 4, "of": "inner", "minimum": 8, "round_to": 1, "activation": "relu", "gate": "h-sigmoid"
}


def to_torch(name, array):
    """A weight in PyTorch's layout, from nashost's."""
    w = torch.tensor(array)
    if name.endswith(".weight"):
        return w.t().contiguous()
    if not name.endswith("conv"):
        return w
    if w.ndim == 4:  # the stem's
        w = w.permute(3, 2, 0, 1)
    elif w.ndim == 3:  # depthwise
        w = w.permute(2, 0, 1)[:, None]
    else:
        w = w.t()[:, :, None, None]
    return w.contiguous(memory_format=torch.channels_last)


def from_torch(name, w):
    """The inverse, for comparing."""
    if name.endswith(".weight"):
        w = w.t()
    elif name == "stem.conv":
        w = w.permute(2, 3, 1, 0)
    elif name.endswith(".depthwise.conv"):
        w = w[:, 0].permute(1, 2, 0)
    elif name.endswith("conv"):
        w = w[:, :, 0, 0].t()
    return w


def images(array):
    """[n][height][width][channels] as PyTorch wants them."""
    x = torch.tensor(array).permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)


def round_width(rule, width):
    """The reduced width of squeeze-excite: MobileNet's make_divisible."""
    step = rule["round_to"]
    least = -(-rule["minimum"] // step) * step
    rounded = max((width + step // 2) // step * step, least)
    return rounded + step if 10 * rounded < 9 * width else rounded


class Supernet:
    """A subnet's weights are views of the largest's."""

    def __init__(self, work):
        space = work.space
        self.weight = {n: to_torch(n, w).requires_grad_() for n, w in work.named("weights")}
        self.stem, self.stages, self.head = space["stem"], space["stages"], space["head"]
        self.same = space.get("padding") == "same"
        self.epsilon = space.get("batch_norm_epsilon", 1e-5)
        self.classes = work.classes

    def convolve(self, x, weight, bias, stride, groups):
        k, side = weight.shape[-1], x.shape[-1]
        before = after = k // 2
        if self.same:
            missing = max((-(-side // stride) - 1) * stride + k - side, 0)
            before, after = missing // 2, missing - missing // 2
        if before != after:
            x, before = F.pad(x, (before, after, before, after)), 0
        return F.conv2d(x, weight, bias, stride, before, 1, groups)

    def scale_and_shift(self, name, c):
        return self.weight[name + ".bn.gamma"][:c], self.weight[name + ".bn.beta"][:c]

    def unit(self, x, name, weight, activation, stride=1, groups=1):
        """Convolution, batch norm with the batch's statistics, activation."""
        x = self.convolve(x, weight, None, stride, groups)
        gamma, beta = self.scale_and_shift(name, x.shape[1])
        x = F.batch_norm(x, None, None, gamma, beta, training=True, eps=self.epsilon)
        return ACTIVATION[activation](x)

    def pointwise(self, x, name, outputs, activation):
        weight = self.weight[name + ".conv"][:outputs, : x.shape[1]]
        return self.unit(x, name, weight, activation)

    def kernel(self, name, k, c):
        """The centre of the largest kernel, or what matrices make of it, one choice after another."""
        w = self.weight[name + ".conv"][:c]
        while w.shape[-1] > k:
            size = w.shape[-1]
            to = [n for n in range(size - 2, k - 1, -2) if f"{name}.matrix{size}to{n}" in self.weight]
            keep = to[0] if to else k
            crop = slice((size - keep) // 2, (size + keep) // 2)
            w = w[:, :, crop, crop]
            if to:
                matrix = self.weight[f"{name}.matrix{size}to{keep}"]
                w = F.linear(w.reshape(c, keep * keep), matrix).view(c, 1, keep, keep)
        return w

    def depthwise(self, x, name, k, stride, activation):
        c = x.shape[1]
        return self.unit(x, name, self.kernel(name, k, c), activation, stride, c)

    def linear(self, x, name, outputs):
        w, b = self.weight[name + ".weight"], self.weight.get(name + ".bias")
        return F.linear(x, w[:outputs, : x.shape[1]], None if b is None else b[:outputs])

    def squeeze_excite(self, x, name, stage, inputs):
        rule = dict(SQUEEZE)
        if isinstance(stage["squeeze_excite"], dict):
            rule.update(stage["squeeze_excite"])
        c = x.shape[1]
        width = round_width(rule, (inputs if rule["of"] == "input" else c) // rule["divisor"])
        s = self.linear(x.mean((2, 3)), name + ".reduce", width)
        s = self.linear(ACTIVATION[rule["activation"]](s), name + ".excite", c)
        return x * ACTIVATION[rule["gate"]](s)[:, :, None, None]

    def block(self, x, name, stage, stride, width, block):
        y, inputs = x, x.shape[1]
        inner = int(inputs * block["expand"] + 0.5)
        if inner != inputs:
            y = self.pointwise(y, name + ".expand", inner, stage["activation"])
        y = self.depthwise(y, name + ".depthwise", block["kernel"], stride, stage["activation"])
        if stage.get("squeeze_excite"):
            y = self.squeeze_excite(y, name + ".se", stage, inputs)
        y = self.pointwise(y, name + ".project", width, "none")
        return y.add_(x) if stride == 1 and x.shape == y.shape else y

    def features(self, x, genome):
        """All that has batch norm."""
        side = genome["resolution"]
        if x.shape[-1] != side:
            x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
        stem = self.stem
        x = self.unit(x, "stem", self.weight["stem.conv"], stem["activation"], stem["stride"])
        for s, (stage, chosen) in enumerate(zip(self.stages, genome["stages"])):
            for b, block in enumerate(chosen["blocks"]):
                stride = 1 if b else stage["stride"]
                x = self.block(x, f"stage{s}.block{b}", stage, stride, chosen["width"], block)
        return self.pointwise(x, "head", self.head["width"], self.head["activation"])

    def forward(self, x, genome):
        """Logits [n][classes] of images x [n][channels][height][width]."""
        x = self.features(x, genome).mean((2, 3))
        for i, width in enumerate(self.head.get("hidden", [])):
            x = ACTIVATION[self.head["hidden_activation"]](self.linear(x, f"hidden{i}", width))
        return self.linear(x, "classifier", self.classes)
