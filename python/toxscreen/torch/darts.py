"""The network of a genotype of the DARTS space, with auxiliary head and drop path.

Module names are those of the published code, so that weights can be exchanged with it:

    stem.0.weight, stem.1.{weight,bias}                  conv 3x3 to 3C channels, affine BN
    cells.I.preprocess{0,1}.op.1.weight                  ReLU, 1x1 conv, BN ...
    cells.I.preprocess0.conv_{1,2}.weight                ... or, after a reduction cell, a factorised reduction
    cells.I._ops.K.<op>                                  entry K in 0..8 of the genotype
    sep_conv     op.{1,5}.weight depthwise, op.{2,6}.weight 1x1, op.{3,7} BN
    dil_conv     op.1.weight depthwise, op.2.weight 1x1, op.3 BN
    skip, stride 2   conv_1.weight, conv_2.weight, bn
    classifier.{weight,bias}, auxiliary_head.features.{2,3,5,6}, auxiliary_head.classifier
"""

from __future__ import annotations

import ast
from collections import namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F

PRIMITIVES = [
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect",
    "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
]  # fmt: skip
Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")


def read_genotype(text):
    """The Genotype of its Python text, which is read and not run."""
    refused = ValueError(
        f"{text!r} is no genotype: expected Genotype(normal=[...], normal_concat=..., reduce=..., reduce_concat=...)"
    )
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.func.id != "Genotype" or call.args:
            raise refused
        return Genotype(**{keyword.arg: _literal(keyword.value) for keyword in call.keywords})
    except (SyntaxError, AttributeError, TypeError, ValueError):
        raise refused from None


def _literal(node):
    if isinstance(node, ast.Call) and node.func.id == "range":
        return list(range(*map(ast.literal_eval, node.args)))
    return ast.literal_eval(node)


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        n, c, h, w = x.shape
        return x.new_zeros(n, c, h // self.stride, w // self.stride)


class Identity(nn.Module):
    def forward(self, x):
        return x


class Chain(nn.Module):
    """Modules in a row under the name `op`."""

    def __init__(self, *modules):
        super().__init__()
        self.op = nn.Sequential(*modules)

    def forward(self, x):
        return self.op(x)


def conv(c_in, c_out, k, stride=1, padding=0, dilation=1, groups=1):
    return nn.Conv2d(c_in, c_out, k, stride, padding, dilation, groups, bias=False)


def relu_conv_bn(c_in, c_out, affine):
    return Chain(nn.ReLU(), conv(c_in, c_out, 1), nn.BatchNorm2d(c_out, affine=affine))


def separable(c, k, stride, padding, dilation, affine):
    """ReLU, depthwise k x k, 1x1, BN."""
    return [
        nn.ReLU(),
        conv(c, c, k, stride, padding, dilation, groups=c),
        conv(c, c, 1),
        nn.BatchNorm2d(c, affine=affine),
    ]


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convs of stride 2, the second one pixel down and right, joined, BN."""

    def __init__(self, c_in, c_out, affine):
        super().__init__()
        self.conv_1 = conv(c_in, c_out // 2, 1, stride=2)
        self.conv_2 = conv(c_in, c_out // 2, 1, stride=2)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], 1))


def make_op(name, c, stride, affine):
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return Identity() if stride == 1 else FactorizedReduce(c, c, affine)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    k = int(name[-1])
    if name.startswith("sep_conv"):
        first = separable(c, k, stride, k // 2, 1, affine)
        return Chain(*first, *separable(c, k, 1, k // 2, 1, affine))
    if name.startswith("dil_conv"):
        return Chain(*separable(c, k, stride, k - 1, 2, affine))
    raise ValueError(f"{name!r} is not an op of the DARTS space")


def reductions(layers):
    return {layers // 3, 2 * layers // 3}


class Cell(nn.Module):
    def __init__(self, genotype, c_prev_prev, c_prev, c, reduction, reduction_prev):
        super().__init__()
        if reduction_prev:
            self.preprocess0 = FactorizedReduce(c_prev_prev, c, affine=True)
        else:
            self.preprocess0 = relu_conv_bn(c_prev_prev, c, affine=True)
        self.preprocess1 = relu_conv_bn(c_prev, c, affine=True)
        entries = genotype.reduce if reduction else genotype.normal
        self.concat = list(genotype.reduce_concat if reduction else genotype.normal_concat)
        self.sources = [source for _, source in entries]
        self._ops = nn.ModuleList(make_op(name, c, 2 if reduction and source < 2 else 1, affine=True) for name, source in entries)

    def forward(self, s0, s1, drop_prob, masks):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for node in range(len(self._ops) // 2):
            terms = []
            for k in (2 * node, 2 * node + 1):
                h = self._ops[k](states[self.sources[k]])
                if self.training and drop_prob > 0 and not isinstance(self._ops[k], Identity):
                    keep = torch.rand(len(h)) >= drop_prob if masks is None else masks[k]
                    h = h / (1 - drop_prob) * keep.to(h).view(-1, 1, 1, 1)
                terms.append(h)
            states.append(terms[0] + terms[1])
        return torch.cat([states[i] for i in self.concat], 1)


class AuxiliaryHead(nn.Module):
    """For 8x8 maps, the size after the second reduction of 32x32 images."""

    def __init__(self, c, classes):
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3, padding=0, count_include_pad=False),
            conv(c, 128, 1),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            conv(128, 768, 2),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Network(nn.Module):
    """The network of a genotype; forward gives (logits, auxiliary logits or None).

    `masks` (cells x 8 x batch, 0 and 1), if given, replace the draws of drop path.
    """

    def __init__(self, c, classes, layers, genotype, auxiliary=False, inputs=3):
        super().__init__()
        self.stem = nn.Sequential(conv(inputs, 3 * c, 3, padding=1), nn.BatchNorm2d(3 * c))
        c_prev_prev, c_prev, reduction_prev = 3 * c, 3 * c, False
        self.cells = nn.ModuleList()
        self.auxiliary_cell = 2 * layers // 3
        for i in range(layers):
            reduction = i in reductions(layers)
            c = 2 * c if reduction else c
            cell = Cell(genotype, c_prev_prev, c_prev, c, reduction, reduction_prev)
            self.cells.append(cell)
            c_prev_prev, c_prev, reduction_prev = c_prev, len(cell.concat) * c, reduction
            if i == self.auxiliary_cell and auxiliary:
                self.auxiliary_head = AuxiliaryHead(c_prev, classes)
        self.classifier = nn.Linear(c_prev, classes)

    def forward(self, x, drop_prob=0.0, masks=None):
        auxiliary = None
        s0 = s1 = self.stem(x)
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, drop_prob, None if masks is None else masks[i])
            if i == self.auxiliary_cell and self.training and hasattr(self, "auxiliary_head"):
                auxiliary = self.auxiliary_head(s1)
        return self.classifier(s1.mean((2, 3))), auxiliary
