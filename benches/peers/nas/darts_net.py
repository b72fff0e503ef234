"""The P-DARTS search network in plain PyTorch: mixed ops, alphas, dropout on skips. The network of a genotype, and the
ops of both, are those of `toxscreen.torch.darts`.

Written from the description of the method; module names are those of the published code, so that
weights can be exchanged with it:

    cells.I.cell_ops.E.m_ops.J.<op>                      edge E in 0..14, J counts the ops that are
                                                         still switched on, from 0

BN in the search network's cells has no weights; the stem's BN and every BN of a genotype's network
have. Edge E goes over nodes 2..5, for each over its earlier nodes. Alphas are no module
parameters.
"""

import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[3] / "python"))

from toxscreen.torch.darts import (  # noqa: E402, F401
    PRIMITIVES,
    AuxiliaryHead,
    FactorizedReduce,
    Genotype,
    Identity,
    Network,
    conv,
    make_op,
    read_genotype,
    reductions,
    relu_conv_bn,
)

EDGES = 14

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


class SkipDropout(nn.Module):
    """Element-wise dropout, scaled by 1 / (1 - p). `mask` (0 and 1), if set, replaces the draw."""

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.mask = None

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        keep = torch.rand_like(x) >= self.p if self.mask is None else self.mask
        return x * keep / (1 - self.p)


class MixedOp(nn.Module):
    def __init__(self, c, stride, switch, p):
        super().__init__()
        self.m_ops = nn.ModuleList()
        for name, on in zip(PRIMITIVES, switch):
            if not on:
                continue
            op = make_op(name, c, stride, affine=False)
            if "pool" in name:
                op = nn.Sequential(op, nn.BatchNorm2d(c, affine=False))
            if isinstance(op, Identity) and p > 0:
                op = nn.Sequential(op, SkipDropout(p))
            self.m_ops.append(op)

    def forward(self, x, weights):
        return sum(w * op(x) for w, op in zip(weights, self.m_ops))


class SearchCell(nn.Module):
    def __init__(self, c_prev_prev, c_prev, c, reduction, reduction_prev, switches, p):
        super().__init__()
        self.reduction = reduction
        if reduction_prev:
            self.preprocess0 = FactorizedReduce(c_prev_prev, c, affine=False)
        else:
            self.preprocess0 = relu_conv_bn(c_prev_prev, c, affine=False)
        self.preprocess1 = relu_conv_bn(c_prev, c, affine=False)
        self.cell_ops = nn.ModuleList()
        for node in range(4):
            for source in range(2 + node):
                stride = 2 if reduction and source < 2 else 1
                self.cell_ops.append(MixedOp(c, stride, switches[len(self.cell_ops)], p))

    def forward(self, s0, s1, weights):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        edge = 0
        for _ in range(4):
            terms = [self.cell_ops[edge + j](h, weights[edge + j]) for j, h in enumerate(states)]
            edge += len(states)
            states.append(sum(terms))
        return torch.cat(states[2:], 1)


class SearchNetwork(nn.Module):
    """A P-DARTS stage. `switches_*`: 14 rows of 8 booleans; DARTS itself has all switched on.

    `p` is the dropout rate of stride-1 skips; 0 builds none (so does the published code).
    """

    def __init__(self, c, classes, layers, switches_normal=None, switches_reduce=None, p=0.0):
        super().__init__()
        everything = [[True] * len(PRIMITIVES)] * EDGES
        normal = switches_normal or everything
        reduce = switches_reduce or everything
        self.stem = nn.Sequential(conv(3, 3 * c, 3, padding=1), nn.BatchNorm2d(3 * c))
        c_prev_prev, c_prev, reduction_prev = 3 * c, 3 * c, False
        self.cells = nn.ModuleList()
        for i in range(layers):
            reduction = i in reductions(layers)
            c = 2 * c if reduction else c
            switches = reduce if reduction else normal
            self.cells.append(
                SearchCell(c_prev_prev, c_prev, c, reduction, reduction_prev, switches, p)
            )
            c_prev_prev, c_prev, reduction_prev = c_prev, 4 * c, reduction
        self.classifier = nn.Linear(c_prev, classes)
        self.alphas_normal = (1e-3 * torch.randn(EDGES, sum(normal[0]))).requires_grad_()
        self.alphas_reduce = (1e-3 * torch.randn(EDGES, sum(reduce[0]))).requires_grad_()

    def arch_parameters(self):
        return [self.alphas_normal, self.alphas_reduce]

    def skip_dropouts(self):
        return [m for m in self.modules() if isinstance(m, SkipDropout)]

    def set_p(self, p):
        for module in self.skip_dropouts():
            module.p = p

    def forward(self, x):
        normal, reduce = (F.softmax(a, -1) for a in self.arch_parameters())
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, reduce if cell.reduction else normal)
        return self.classifier(s1.mean((2, 3)))
