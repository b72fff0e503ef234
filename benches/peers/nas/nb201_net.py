"""The supernet of NAS-Bench-201 with mixed edges. The network of one cell, and the ops that TE-NAS shares with it, are
those of `toxscreen.torch.nasbench201`.

Module names are those of the published code:

    cells.I.edges.T<-S.J.op.1.weight                 edge from node S to T (nodes 0..3),
                                                     J the op in NAS_BENCH_201 order

Residual blocks, stem and last BN are always affine; the ops of a single cell too; those of the
supernet are not by default (TE-NAS makes them so).
"""

import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[3] / "python"))

from toxscreen.torch.nasbench201 import (  # noqa: E402, F401
    EDGES,
    NAS_BENCH_201,
    Macro,
    Network,
    Pool,
    ReLUConvBN,
    Zero,
    make_op,
    read_cell,
)


class SearchCell(nn.Module):
    """`gate`: an op whose weight is not above it is left out (TE-NAS prunes so, with 0.01)."""

    def __init__(self, c, affine, gate):
        super().__init__()
        self.gate = gate
        self.edges = nn.ModuleDict(
            {
                f"{target}<-{source}": nn.ModuleList(make_op(o, c, affine) for o in NAS_BENCH_201)
                for target, source in EDGES
            }
        )

    def forward(self, x, weights):
        nodes = [x]
        for target in range(1, 4):
            node = 0
            for source in range(target):
                row = weights[EDGES.index((target, source))]
                for op, w in zip(self.edges[f"{target}<-{source}"], row):
                    if self.gate is None or w > self.gate:
                        node = node + w * op(nodes[source])
            nodes.append(node)
        return nodes[-1]


class SearchNetwork(Macro):
    """The supernet; alphas [6, 5] with a softmax over the ops, no module parameter."""

    def __init__(self, c, n, classes, affine=False, gate=None, depth=None, use_stem=True):
        super().__init__(
            c, n, classes, lambda c: SearchCell(c, affine, gate), depth=depth, use_stem=use_stem
        )
        self.alphas = (1e-3 * torch.randn(len(EDGES), len(NAS_BENCH_201))).requires_grad_()

    def arch_parameters(self):
        return [self.alphas]

    def run(self, cell, x):
        if isinstance(cell, SearchCell):
            return cell(x, F.softmax(self.alphas, -1))
        return cell(x)
