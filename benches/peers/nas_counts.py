"""Counts parameters and multiply-adds of networks of the cell spaces and the elastic space.

    python benches/peers/nas_counts.py

writes crates/tox-search/tests/fixtures/counts.json, which the Rust counts must reproduce exactly.
The networks are built as the published code builds them: DARTS (Liu et al. 2019, model.py),
NAS-Bench-201 (Dong and Yang 2020, TinyNetwork), the MobileNetV3-like networks of Once-for-All (Cai
et al. 2020) that NSGANetV2 searches. A parameter is an element of `model.parameters()`. A
multiply-add is one of a convolution's or a fully connected layer's weights times one input, in one
evaluation of one image: hooks on `Conv2d` and `Linear`, `model.eval()`; biases, batch norm, pooling
and element-wise products are not counted. An auxiliary head is not evaluated.
"""

import json
import random
from collections import namedtuple
from pathlib import Path

import torch
import torch.nn as nn

FILE = Path(__file__).resolve().parents[2] / "crates/tox-search/tests/fixtures/counts.json"

Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")

DARTS_OPS = [
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
NB201_OPS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def counts(model, shape):
    """Parameters, and multiply-adds of one evaluation of one image of this shape (C, H, W)."""
    macs = 0

    def conv(module, _, output):
        nonlocal macs
        weights = module.weight.numel() // module.out_channels
        macs += weights * output.numel()

    def linear(module, _, output):
        nonlocal macs
        macs += module.in_features * output.numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(conv)
        if isinstance(module, nn.Linear):
            module.register_forward_hook(linear)
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    return {"params": sum(p.numel() for p in model.parameters()), "macs": macs}


def conv_bn(c_in, c_out, k, stride=1, groups=1):
    return [
        nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False),
        nn.BatchNorm2d(c_out),
    ]


def relu_conv_bn(c_in, c_out, k=1, stride=1):
    return nn.Sequential(nn.ReLU(), *conv_bn(c_in, c_out, k, stride))


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride] * 0


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        x = torch.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], 1))


def depthwise_separable(c, k, stride, dilation=1):
    padding = dilation * (k // 2)
    return [
        nn.ReLU(),
        nn.Conv2d(c, c, k, stride, padding, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
    ]


def darts_op(name, c, stride):
    if name == "none":
        return Zero(stride)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    kind, _, k = name.split("_")
    k = int(k[0])
    if kind == "sep":
        return nn.Sequential(
            *depthwise_separable(c, k, stride), *depthwise_separable(c, k, 1)
        )
    return nn.Sequential(*depthwise_separable(c, k, stride, 2))


class DartsCell(nn.Module):
    def __init__(self, genotype, c_prev_prev, c_prev, c, reduction, reduction_prev):
        super().__init__()
        reduce = FactorizedReduce if reduction_prev else relu_conv_bn
        self.preprocess0 = reduce(c_prev_prev, c)
        self.preprocess1 = relu_conv_bn(c_prev, c)
        self.edges = genotype.reduce if reduction else genotype.normal
        self.ops = nn.ModuleList(
            darts_op(name, c, 2 if reduction and index < 2 else 1)
            for name, index in self.edges
        )

    def forward(self, s0, s1):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for i in range(0, 8, 2):
            states.append(
                sum(self.ops[j](states[self.edges[j][1]]) for j in (i, i + 1))
            )
        return torch.cat(states[2:], 1)


class DartsNetwork(nn.Module):
    def __init__(self, c, classes, layers, auxiliary, genotype, c_in=3):
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(c_in, 3 * c, 3))
        c_prev_prev, c_prev, c_curr = 3 * c, 3 * c, c
        self.cells = nn.ModuleList()
        reduction_prev = False
        for i in range(layers):
            reduction = i in [layers // 3, 2 * layers // 3]
            if reduction:
                c_curr *= 2
            self.cells.append(
                DartsCell(genotype, c_prev_prev, c_prev, c_curr, reduction, reduction_prev)
            )
            reduction_prev = reduction
            c_prev_prev, c_prev = c_prev, 4 * c_curr
            if i == 2 * layers // 3:
                c_auxiliary = c_prev
        self.auxiliary = None
        if auxiliary:
            self.auxiliary = nn.Sequential(
                nn.ReLU(),
                nn.AvgPool2d(5, 3, count_include_pad=False),
                nn.Conv2d(c_auxiliary, 128, 1, bias=False),
                nn.BatchNorm2d(128),
                nn.ReLU(),
                nn.Conv2d(128, 768, 2, bias=False),
                nn.BatchNorm2d(768),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(768, classes),
            )
        self.auxiliary_cell = 2 * layers // 3
        self.classifier = nn.Linear(c_prev, classes)

    def forward(self, x):
        s0 = s1 = self.stem(x)
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1)
            if self.training and self.auxiliary is not None and i == self.auxiliary_cell:
                self.auxiliary(s1)
        return self.classifier(s1.mean((2, 3)))


def nb201_op(name, c):
    if name == "none":
        return Zero(1)
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return relu_conv_bn(c, c, int(name[-1]))


class NB201Cell(nn.Module):
    def __init__(self, ops, c):
        super().__init__()
        self.ops = nn.ModuleList(nb201_op(name, c) for name in ops)

    def forward(self, x):
        nodes = [x]
        first = 0
        for node in range(1, 4):
            nodes.append(sum(self.ops[first + j](nodes[j]) for j in range(node)))
            first += node
        return nodes[-1]


class ResidualBlock(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv_a = relu_conv_bn(c_in, c_out, 3, 2)
        self.conv_b = relu_conv_bn(c_out, c_out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x):
        return self.downsample(x) + self.conv_b(self.conv_a(x))


def nb201_network(ops, c, cells, classes, c_in=3):
    layers = conv_bn(c_in, c, 3)
    for stage in range(3):
        if stage > 0:
            layers.append(ResidualBlock(c, 2 * c))
            c *= 2
        layers += [NB201Cell(ops, c) for _ in range(cells)]
    layers += [nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(c, classes))


def make_divisible(v, divisor=8):
    new = max(divisor, int(v + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * v else new


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        mid = make_divisible(c // 4)
        self.fc = nn.Sequential(
            nn.Conv2d(c, mid, 1), nn.ReLU(), nn.Conv2d(mid, c, 1), nn.Hardsigmoid()
        )

    def forward(self, x):
        return x * self.fc(x.mean((2, 3), keepdim=True))


class MBConv(nn.Module):
    def __init__(self, c_in, c_out, k, stride, expand, se):
        super().__init__()
        mid = make_divisible(round(c_in * expand))
        layers = []
        if expand != 1:
            layers += conv_bn(c_in, mid, 1) + [nn.ReLU()]
        layers += conv_bn(mid, mid, k, stride, groups=mid) + [nn.ReLU()]
        if se:
            layers.append(SqueezeExcite(mid))
        self.layers = nn.Sequential(*layers, *conv_bn(mid, c_out, 1))
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x):
        return x + self.layers(x) if self.shortcut else self.layers(x)


def elastic_network(config, width, classes, small, c_in=3):
    """Once-for-All's MobileNetV3; `small` is our variant for 32x32 (strides of stem and block 1)."""
    widths = [make_divisible(c * width) for c in [16, 24, 40, 80, 112, 160, 960, 1280]]
    strides = [1, 2, 2, 1, 2] if small else [2, 2, 2, 1, 2]
    c = widths[0]
    layers = conv_bn(c_in, c, 3, 1 if small else 2) + [nn.Hardswish(), MBConv(c, c, 3, 1, 1, False)]
    ks, es = iter(config["ks"]), iter(config["e"])
    stages = zip(config["d"], widths[1:6], strides, [False, True, False, True, True])
    for depth, out, stride, se in stages:
        for i in range(depth):
            layers.append(MBConv(c, out, next(ks), stride if i == 0 else 1, next(es), se))
            c = out
    layers += conv_bn(c, widths[6], 1) + [nn.Hardswish(), nn.AdaptiveAvgPool2d(1)]
    layers += [nn.Conv2d(widths[6], widths[7], 1, bias=False), nn.Hardswish(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[7], classes))


DARTS_V1 = Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])
DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])
PDARTS = Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0),('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3',0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=range(2, 6))


def random_genotype(rng):
    def cell():
        return [(rng.choice(DARTS_OPS), rng.randrange(2 + i // 2)) for i in range(8)]

    return Genotype(cell(), range(2, 6), cell(), range(2, 6))


def darts_cases(rng):
    def case(genotype, channels, layers, classes=10, shape=(3, 32, 32), auxiliary=False):
        model = DartsNetwork(channels, classes, layers, auxiliary, genotype, shape[0])
        return {
            "genotype": str(genotype),
            "channels": channels,
            "layers": layers,
            "classes": classes,
            "input": list(shape),
            "auxiliary": auxiliary,
            **counts(model, shape),
        }

    published = [DARTS_V1, DARTS_V2, PDARTS]
    yield from (case(g, 36, 20) for g in published)
    yield from (case(g, 36, 20, auxiliary=True) for g in published)
    yield case(DARTS_V2, 16, 8, classes=100)
    yield case(PDARTS, 16, 5, auxiliary=True, shape=(3, 40, 36), classes=7)
    yield case(PDARTS, 12, 4, shape=(1, 28, 28))
    yield from (case(random_genotype(rng), 16, layers) for layers in (1, 2, 3, 5, 8, 11))
    yield from (case(random_genotype(rng), 36, 20, auxiliary=True) for _ in range(4))


def nb201_cases(rng):
    def case(ops, channels=16, cells=5, classes=10, shape=(3, 32, 32)):
        model = nb201_network(ops, channels, cells, classes, shape[0])
        text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)
        return {
            "arch": text,
            "channels": channels,
            "cells": cells,
            "classes": classes,
            "input": list(shape),
            **counts(model, shape),
        }

    yield from (case([op] * 6) for op in NB201_OPS)
    for classes, size in ((100, 32), (120, 16)):
        yield case(["nor_conv_3x3"] * 6, classes=classes, shape=(3, size, size))
    for _ in range(12):
        yield case([rng.choice(NB201_OPS) for _ in range(6)])
    yield case(rng.sample(NB201_OPS, 5) + ["nor_conv_1x1"], channels=8, cells=2, shape=(1, 28, 24))


def elastic_cases(rng):
    def case(config, width, classes=1000, small=False):
        shape = (3, config["r"], config["r"])
        model = elastic_network(config, width, classes, small)
        return {**config, "width": width, "classes": classes, "small": small, **counts(model, shape)}

    def config(ks, e, d, r):
        depths = [rng.choice(d) for _ in range(5)]
        return {
            "ks": [rng.choice(ks) for _ in range(sum(depths))],
            "e": [rng.choice(e) for _ in range(sum(depths))],
            "d": depths,
            "r": rng.choice(r),
        }

    published = range(192, 257, 4)
    yield case(config([3], [3], [2], [192]), 1.0)
    yield case(config([7], [6], [4], [256]), 1.2)
    for width in (1.0, 1.2, 1.0, 1.2):
        yield case(config([3, 5, 7], [3, 4, 6], [2, 3, 4], published), width, classes=10)
    for width, r in ((0.25, 24), (0.5, 28), (0.75, 32), (1.0, 32)):
        yield case(config([3, 5, 7], [3, 4, 6], [2, 3, 4], [r]), width, classes=10, small=True)


def main():
    rng = random.Random(5)
    cases = {
        "darts": list(darts_cases(rng)),
        "nasbench201": list(nb201_cases(rng)),
        "elastic": list(elastic_cases(rng)),
    }
    lists = []
    for name, found in cases.items():
        rows = ",\n".join("  " + json.dumps(case) for case in found)
        lists.append(f' "{name}": [\n{rows}\n ]')
    FILE.write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
