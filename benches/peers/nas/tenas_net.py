"""The DARTS-space supernet that TE-NAS scores: ops of the NAS-Bench-201 code base, affine BN, no BN
after pools, a gate that leaves pruned ops out, BN and ReLU before the classifier.

Module names are those of the published code:

    stem.0.weight, stem.1.{weight,bias}, lastact.0.{weight,bias}, classifier.{weight,bias}
    cells.I.preprocess{0,1}.op.{1,2}            ReLU, 1x1 conv, BN
    cells.I.preprocess0.convs.{0,1}, .bn        ... or, after a reduction cell, factorised
    cells.I.edges.T<-S._ops.J.<op>              nodes: S from 0, T counts the inner nodes from 0, so
                                                2<-1 goes from node 1 to node 4; J in DARTS_SPACE
    sep_conv     op_a.op.{1,2,3}, op_b.op.{1,2,3}
    dil_conv     op.{1,2,3}
    skip, stride 2   convs.{0,1}, bn

An op is on while its softmax weight is above 0.01; a pruned one has the logit -1000. An edge whose
logits are all -1000 (a removed edge) adds nothing, although its softmax is uniform.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from nb201_net import Pool, ReLUConvBN, Zero

DARTS_SPACE = [
    "none", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
    "dil_conv_3x3", "dil_conv_5x5", "avg_pool_3x3", "max_pool_3x3",
]  # fmt: skip
EDGES = [(node, source) for node in range(4) for source in range(2 + node)]
PRUNED = -1000.0
GATE = 0.01


class Separable(nn.Module):
    """ReLU, depthwise k x k, 1x1, affine BN."""

    def __init__(self, c, k, stride, padding, dilation):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(c, c, k, stride, padding, dilation, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x):
        return self.op(x)


class Twice(nn.Module):
    def __init__(self, c, k, stride):
        super().__init__()
        self.op_a = Separable(c, k, stride, k // 2, 1)
        self.op_b = Separable(c, k, 1, k // 2, 1)

    def forward(self, x):
        return self.op_b(self.op_a(x))


class FactorizedReduce(nn.Module):
    """As in DARTS, but the shifted half is padded by zeros, so odd sizes round up."""

    def __init__(self, c_in, c_out):
        super().__init__()
        halves = [c_out // 2, c_out - c_out // 2]
        self.relu = nn.ReLU()
        self.convs = nn.ModuleList(nn.Conv2d(c_in, c, 1, stride=2, bias=False) for c in halves)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        x = self.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.convs[0](x), self.convs[1](shifted)], 1))


def make_op(name, c, stride):
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if "pool" in name:
        return Pool(name, stride)
    k = int(name[-1])
    return Twice(c, k, stride) if name[0] == "s" else Separable(c, k, stride, k - 1, 2)


class MixedOp(nn.Module):
    def __init__(self, c, stride):
        super().__init__()
        self._ops = nn.ModuleList(make_op(name, c, stride) for name in DARTS_SPACE)

    def forward(self, x, weights):
        return sum(w * op(x) for w, op in zip(weights, self._ops) if w > GATE)


class SearchCell(nn.Module):
    def __init__(self, c_prev_prev, c_prev, c, reduction, reduction_prev):
        super().__init__()
        self.reduction = reduction
        if reduction_prev:
            self.preprocess0 = FactorizedReduce(c_prev_prev, c)
        else:
            self.preprocess0 = ReLUConvBN(c_prev_prev, c, 1)
        self.preprocess1 = ReLUConvBN(c_prev, c, 1)
        self.edges = nn.ModuleDict(
            {
                f"{node}<-{source}": MixedOp(c, 2 if reduction and source < 2 else 1)
                for node, source in EDGES
            }
        )

    def forward(self, s0, s1, alphas):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        weights = F.softmax(alphas, 1)
        for node in range(4):
            terms = []
            for source, h in enumerate(states):
                edge = EDGES.index((node, source))
                if (alphas[edge] > PRUNED).any():
                    terms.append(self.edges[f"{node}<-{source}"](h, weights[edge]))
            states.append(sum(terms))
        return torch.cat(states[2:], 1)


class SearchNetwork(nn.Module):
    """3 N cells, the first of stages 2 and 3 reducing; `depth` keeps the first of them.

    TE-NAS takes C 1, N 1, depth 2 (a normal and a reduction cell); for linear regions without
    stem. `alphas`: [normal, reduction], each [14, 8], no module parameters.
    """

    def __init__(self, c, n, classes, depth=None, use_stem=True):
        super().__init__()
        self.use_stem = use_stem
        self.stem = nn.Sequential(
            nn.Conv2d(3 if use_stem else min(3, c), c, 3, padding=1, bias=False),
            nn.BatchNorm2d(c),
        )
        plan = [(c * 2**stage, stage > 0 and i == 0) for stage in range(3) for i in range(n)]
        c_prev_prev, c_prev, reduction_prev = c, c, False
        self.cells = nn.ModuleList()
        for c_cell, reduction in plan[:depth]:
            self.cells.append(SearchCell(c_prev_prev, c_prev, c_cell, reduction, reduction_prev))
            c_prev_prev, c_prev, reduction_prev = c_prev, 4 * c_cell, reduction
        self.lastact = nn.Sequential(nn.BatchNorm2d(c_prev), nn.ReLU())
        self.classifier = nn.Linear(c_prev, classes)
        self.alphas = fresh_alphas()

    def forward(self, x):
        s0 = s1 = self.stem(x) if self.use_stem else x
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, self.alphas[cell.reduction])
        return self.classifier(self.lastact(s1).mean((2, 3)))


def fresh_alphas():
    """The start of TE-NAS: `none` pruned on every edge, the seven other ops alike."""
    alphas = [torch.zeros(len(EDGES), len(DARTS_SPACE)) for _ in range(2)]
    for matrix in alphas:
        matrix[:, 0] = PRUNED
    return alphas
