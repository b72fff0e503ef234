"""The network of a cell of NAS-Bench-201.

Module names are those of the published code:

    stem.0.weight, stem.1.{weight,bias}              conv 3x3 to C channels, affine BN
    cells.I.layers.K.op.1.weight                     K counts the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2
    cells.I.conv_{a,b}.op.{1,2}, cells.I.downsample.1.weight    residual blocks, stride 2
    lastact.0.{weight,bias}, classifier.{weight,bias}

Stages are N cells each, with a residual block that halves and doubles between them. A conv op is ReLU, conv, BN.
"""

from __future__ import annotations

import re

import torch.nn as nn

NAS_BENCH_201 = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
EDGES = [(target, source) for target in range(1, 4) for source in range(target)]


def read_cell(text):
    """The six ops of |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, in the order of EDGES."""
    found = re.findall(r"([a-z0-9_]+)~(\d)", text)
    if [int(source) for _, source in found] != [source for _, source in EDGES]:
        raise ValueError(f"{text!r} is not a NAS-Bench-201 cell")
    return [op for op, _ in found]


class ReLUConvBN(nn.Module):
    def __init__(self, c_in, c_out, k, stride=1, affine=True):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c_in, c_out, k, stride, k // 2, bias=False),
            nn.BatchNorm2d(c_out, affine=affine),
        )

    def forward(self, x):
        return self.op(x)


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class Pool(nn.Module):
    def __init__(self, name, stride):
        super().__init__()
        if name == "avg_pool_3x3":
            self.op = nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        else:
            self.op = nn.MaxPool2d(3, stride, 1)

    def forward(self, x):
        return self.op(x)


def make_op(name, c, affine):
    """An op of stride 1 that keeps the number of channels."""
    if name == "none":
        return Zero(1)
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return Pool(name, 1)
    return ReLUConvBN(c, c, int(name[-1]), affine=affine)


class ResidualBlock(nn.Module):
    """Two 3x3 convs, the first of stride 2, beside a 2x2 average pool and a bare 1x1 conv."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv_a = ReLUConvBN(c_in, c_out, 3, stride=2)
        self.conv_b = ReLUConvBN(c_out, c_out, 3)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, stride=2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x):
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Cell(nn.Module):
    def __init__(self, ops, c):
        super().__init__()
        self.layers = nn.ModuleList(make_op(name, c, affine=True) for name in ops)

    def forward(self, x):
        nodes = [x]
        for target in range(1, 4):
            inputs = [k for k, edge in enumerate(EDGES) if edge[0] == target]
            nodes.append(sum(self.layers[k](nodes[EDGES[k][1]]) for k in inputs))
        return nodes[-1]


class Macro(nn.Module):
    """Stem, three stages of cells with residual blocks between them, classifier.

    `depth` keeps that many of the 3 N + 2 blocks (all by default). Without `stem` the images go
    straight into the first cell (TE-NAS counts linear regions so); its weights exist all the same.
    """

    def __init__(self, c, n, classes, make_cell, depth=None, use_stem=True, inputs=3):
        super().__init__()
        self.use_stem = use_stem
        self.stem = nn.Sequential(
            nn.Conv2d(inputs if use_stem else min(inputs, c), c, 3, padding=1, bias=False),
            nn.BatchNorm2d(c),
        )
        blocks = [lambda c=c: make_cell(c)] * n
        for halving in (1, 2):
            blocks.append(lambda c=c * halving: ResidualBlock(c, 2 * c))
            blocks += [lambda c=c * 2 * halving: make_cell(c)] * n
        blocks = blocks[:depth]
        self.cells = nn.ModuleList(make() for make in blocks)
        halvings = sum(isinstance(cell, ResidualBlock) for cell in self.cells)
        c_last = c * 2**halvings
        self.lastact = nn.Sequential(nn.BatchNorm2d(c_last), nn.ReLU())
        self.classifier = nn.Linear(c_last, classes)

    def forward(self, x):
        x = self.stem(x) if self.use_stem else x
        for cell in self.cells:
            x = self.run(cell, x)
        return self.classifier(self.lastact(x).mean((2, 3)))

    def run(self, cell, x):
        return cell(x)


class Network(Macro):
    """The network of one cell: `ops` as read_cell gives them. The benchmark has C 16, N 5."""

    def __init__(self, c, n, classes, ops, inputs=3):
        super().__init__(c, n, classes, lambda c: Cell(ops, c), inputs=inputs)
