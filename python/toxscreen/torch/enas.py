"""The child network of ENAS' macro search, with every clean and poison op.

Weight names and shapes (PyTorch layout: conv [out, in / groups, kh, kw], transposed conv
[in, out, kh, kw], linear [out, in]); C = channels, k = kernel size:

    stem.conv.weight [C, in, 3, 3]            stem.bn.weight, stem.bn.bias [C]
    layers.I.ops.OP.<weights of the op, below>
    layers.I.bn.weight, layers.I.bn.bias [C]
    reductions.R.J.path1.weight, .path2.weight [C/2, C, 1, 1], .bn.weight, .bn.bias [C]
                                              (R = 0, 1; J = the earlier layer it halves)
    classify.weight [classes, C], classify.bias [classes]

    convK, sepK, pools, stretched   first.conv.weight [C, C, 1, 1], first.bn.weight, first.bn.bias
    convK, stretched                second.conv.weight [C, C, k, k], second.bn.weight, .bias
    sepK                            second.depthwise.weight [C, 1, k, k],
                                    second.pointwise.weight [C, C, 1, 1] ([C, 1, 1, 1] for
                                    pointwise="reference"), second.bn.weight, .bias
    mixed                           as convK
    transposedK, rectifiedK         weight [C, C, k, k]
    identity, gaussian, dropout     none
"""

from __future__ import annotations

import math
import re

import torch
import torch.nn as nn
import torch.nn.functional as F


class BatchNorm(nn.Module):
    """Batch statistics in training and evaluation alike; biased variance, eps 1e-5. With `fix`, given statistics in evaluation."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def fix(self):
        """Makes room for the statistics that a trial's file has, which an answer then depends on and not on the batch."""
        self.register_buffer("running_mean", torch.zeros_like(self.weight.detach()))
        self.register_buffer("running_var", torch.ones_like(self.weight.detach()))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x):
        if not self.training and "running_mean" in self._buffers:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=1e-5)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=1e-5)


def conv(inputs, outputs, k, groups=1, padding=None, dilation=1):
    """A conv without bias, same size by default, Kaiming uniform (fan-in, ReLU gain)."""
    padding = k // 2 if padding is None else padding
    module = nn.Conv2d(inputs, outputs, k, padding=padding, dilation=dilation, groups=groups, bias=False)
    nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
    return module


class ConvBnRelu(nn.Module):
    def __init__(self, channels, k, padding=None, dilation=1):
        super().__init__()
        self.conv = conv(channels, channels, k, padding=padding, dilation=dilation)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class SepBnRelu(nn.Module):
    """Depthwise k x k, then 1x1; `reference` gives the 1x1 one group a channel (no mixing)."""

    def __init__(self, channels, k, pointwise):
        super().__init__()
        groups = channels if pointwise == "reference" else 1
        self.depthwise = conv(channels, channels, k, groups=channels)
        self.pointwise = conv(channels, channels, 1, groups=groups)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        return F.relu(self.bn(self.pointwise(self.depthwise(x))))


class TwoStep(nn.Module):
    """1x1 conv, BN, ReLU, then a second part: conv, separable conv or pool."""

    def __init__(self, channels, second):
        super().__init__()
        self.first = ConvBnRelu(channels, 1)
        self.second = second

    def forward(self, x):
        return self.second(self.first(x))


class Identity(nn.Module):
    def forward(self, x):
        return x


class Gaussian(nn.Module):
    """x + sigma * detach(x) * N(0, 1) in training. `noise`, if set, replaces the draw."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma
        self.noise = None

    def forward(self, x):
        if not self.training:
            return x
        noise = torch.randn_like(x) if self.noise is None else self.noise
        return x + self.sigma * x.detach() * noise


class Dropout(nn.Module):
    """PyTorch's dropout: for p = 1 exact zeros and a zero gradient."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, training=self.training)


class Transposed(nn.Module):
    """A bare transposed conv, stride 1, padding k/2: no bias, no BN, no ReLU.

    Initialised as the other convs, with fan-in = input channels * k * k. (The reference code
    leaves transposed convs at PyTorch's default, which is smaller by a factor sqrt(6).)
    """

    def __init__(self, channels, k, relu=False):
        super().__init__()
        self.relu = relu
        self.weight = nn.Parameter(torch.empty(channels, channels, k, k))
        bound = math.sqrt(6.0 / (channels * k * k))
        nn.init.uniform_(self.weight, -bound, bound)
        self.padding = k // 2

    def forward(self, x):
        y = F.conv_transpose2d(x, self.weight, padding=self.padding)
        return F.relu(y) if self.relu else y


class Mixed(TwoStep):
    """keep * x + scale * conv(x), with noise as of `Gaussian`."""

    def __init__(self, channels, k, keep, scale, sigma):
        super().__init__(channels, ConvBnRelu(channels, k))
        self.keep, self.scale = keep, scale
        self.gaussian = Gaussian(sigma)

    def forward(self, x):
        return self.gaussian(self.keep * x + self.scale * super().forward(x))


def make_op(name, channels, pointwise="dense"):
    """The op of a short name: conv3, sep5, avgpool3, gaussian(10), stretched(3,50,50), ..."""
    match = re.fullmatch(r"([a-z]+)(\d*)(?:\(([\d.,]+)\))?", name)
    if match is None:
        raise ValueError(f"{name!r} is not an op")
    kind, k = match[1], int(match[2] or 0)
    numbers = [float(n) for n in (match[3] or "").split(",") if n]
    if kind == "conv":
        return TwoStep(channels, ConvBnRelu(channels, k))
    if kind == "sep":
        return TwoStep(channels, SepBnRelu(channels, k, pointwise))
    if kind == "avgpool" and k == 3:
        return TwoStep(channels, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=True))
    if kind == "maxpool" and k == 3:
        return TwoStep(channels, nn.MaxPool2d(3, stride=1, padding=1))
    if kind == "identity":
        return Identity()
    if kind == "gaussian":
        return Gaussian(numbers[0])
    if kind == "dropout":
        return Dropout(numbers[0])
    if kind == "transposed":
        return Transposed(channels, k)
    if kind == "rectified":
        return Transposed(channels, k, relu=True)
    if kind == "mixed":
        return Mixed(channels, int(numbers[0]), *numbers[1:])
    if kind == "stretched":
        k, padding, dilation = (int(n) for n in numbers)
        return TwoStep(channels, ConvBnRelu(channels, k, padding, dilation))
    raise ValueError(f"{name!r} is not an op")


class FactorizedReduction(nn.Module):
    """Halves a map: every second pixel, and every second pixel of the map shifted by one."""

    def __init__(self, channels):
        super().__init__()
        self.path1 = conv(channels, channels // 2, 1)
        self.path2 = conv(channels, channels // 2, 1)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [self.path1(x[:, :, ::2, ::2]), self.path2(shifted[:, :, ::2, ::2])]
        return self.bn(torch.cat(halves, dim=1))


class Layer(nn.Module):
    def __init__(self, ops, channels, pointwise, skips):
        super().__init__()
        self.ops = nn.ModuleDict({name: make_op(name, channels, pointwise) for name in ops})
        self.bn = BatchNorm(channels)
        self.in_place = {"separate": False, "in-place": True}[skips]

    def forward(self, x, earlier, op, skips):
        out = self.ops[op](x)
        # An op that hands on its input itself: what is added in place is added to the output of the layer before.
        overwrites = self.in_place and bool(earlier) and out is x
        for i, skip in enumerate(skips):
            if skip:
                out = out + earlier[i]
                if overwrites:
                    earlier[-1] = out
        return self.bn(out)


class Child(nn.Module):
    """The supernet; `forward(images, architecture)` runs one of its children.

    An architecture is a list of {"op": short name, "skips": one 0/1 for each earlier layer}. `skips` is the
    key `child.skips` of a recipe.
    """

    def __init__(
        self, ops, layers=12, channels=36, inputs=3, classes=10, keep_prob=0.9, pointwise="dense", skips="separate"
    ):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv = conv(inputs, channels, 3)
        self.stem.bn = BatchNorm(channels)
        self.layers = nn.ModuleList(Layer(ops, channels, pointwise, skips) for _ in range(layers))
        self.halved_after = [layers // 3 - 1, 2 * (layers // 3) - 1]
        self.reductions = nn.ModuleList(
            nn.ModuleList(FactorizedReduction(channels) for _ in range(last + 1)) for last in self.halved_after
        )
        # PyTorch's default initialisation: uniform(-1/sqrt(C), 1/sqrt(C)), weight and bias.
        self.classify = nn.Linear(channels, classes)
        self.drop = 1.0 - keep_prob

    def forward(self, images, architecture):
        x = self.stem.bn(self.stem.conv(images))
        outputs = []
        for i, (layer, choice) in enumerate(zip(self.layers, architecture)):
            x = layer(x, outputs, choice["op"], choice["skips"])
            outputs.append(x)
            if i in self.halved_after:
                halve = self.reductions[self.halved_after.index(i)]
                outputs = [reduce(output) for reduce, output in zip(halve, outputs)]
                x = outputs[-1]
        pooled = x.mean(dim=(2, 3))
        return self.classify(F.dropout(pooled, self.drop, training=self.training))


class Network(Child):
    """One child alone: its architecture is chosen once and for all, and a layer has the weights of its op only."""

    def __init__(self, architecture, **settings):
        super().__init__([], layers=len(architecture), **settings)
        channels = self.classify.in_features
        pointwise = settings.get("pointwise", "dense")
        for layer, choice in zip(self.layers, architecture):
            layer.ops[choice["op"].replace(".", "_")] = make_op(choice["op"], channels, pointwise)
        self.architecture = [{"op": c["op"].replace(".", "_"), "skips": c["skips"]} for c in architecture]

    def forward(self, images):
        return super().forward(images, self.architecture)
