"""TE-NAS: the condition number of the neural tangent kernel, the number of linear regions, and the
ranking that prunes by them.

    python benches/peers/nas/tenas.py --threads 1

times both scores of one DARTS-space supernet state, each `--draws` times with fresh weights as one
pruning candidate needs (the published code scores the unpruned state beside every candidate, which
doubles this).

Kernel: a batch goes through the network once, BN in training mode. Row n is the gradient of the
sum of image n's logits by every parameter whose name has `weight` in it and which it reaches
(convs, BN scales, classifier; no biases). The score is the largest eigenvalue of rows @ rows.T over
the smallest, without regularisation; NaN counts as 1e5, an infinity as the largest float. When the
smallest eigenvalue is about 0, its rounding errors decide on the size and the sign of the score.

Regions: the pattern of an image is, over the outputs of all ReLUs on maps (4 dimensions), which
are above 0. The score is the number of distinct patterns. Batches run one by one (BN in training
mode); patterns of all of them are counted together.
"""

import argparse
import math

import numpy as np
import torch
import torch.nn as nn

import timing
from tenas_net import SearchNetwork


def kernel(network, images):
    """The NTK Gram matrix, [n, n]."""
    network.train()
    weights = [w for name, w in network.named_parameters() if "weight" in name]
    logits = network(images)
    rows = []
    for n in range(len(images)):
        found = torch.autograd.grad(logits[n].sum(), weights, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([g.flatten() for g in found if g is not None]))
    rows = torch.stack(rows)
    return rows @ rows.T


def condition_number(matrix):
    values = torch.linalg.eigvalsh(matrix)
    return float(np.nan_to_num((values[-1] / values[0]).item(), nan=1e5))


def patterns(network, images):
    """0/1 matrix [n, ReLU outputs], in the order in which the ReLUs run."""
    found = []

    def note(_, inputs, output):
        if inputs[0].dim() == 4:
            found.append((output > 0).flatten(1))

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.ReLU)]
    network.train()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return torch.cat(found, 1)


def regions(network, batches):
    """The number of distinct patterns, by the pairwise products of the published code."""
    on = torch.cat([patterns(network, images) for images in batches]).to(torch.float32)
    differ = on @ (1 - on).T
    same = (differ + differ.T == 0).sum(1)
    return (1.0 / same.double()).sum().item()


def initialise(network, mode):
    """Kaiming normal with ReLU gain for convs and linear; fan_out (kernel) or fan_in (regions)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def relative_drop(before, after, precision=3):
    """How much of `before` is lost when an op goes, rounded to `precision` digits."""
    return round((before - after) / before, precision)


def significant(x, digits=3):
    """x to that many significant digits."""
    if x == 0:
        return x
    size = abs(x) + 1e-8
    power = math.floor(math.log(size, 10)) + 1
    return math.copysign(round(size * 10**-power, digits) * 10**power, x)


def dense_ranks(scores, keys, descending):
    """Ranks from 0 of the keys; the next value's rank is one more.

    Sorted by three significant digits, ties in the order of `keys`; but only neighbours that are
    exactly alike share a rank.
    """
    order = sorted(keys, key=lambda k: significant(scores[k]), reverse=descending)
    ranks = {}
    for i, key in enumerate(order):
        if i == 0:
            ranks[key] = 0
        else:
            last = order[i - 1]
            ranks[key] = ranks[last] + (scores[key] != scores[last])
    return order, ranks


def prune(ntk_drop, region_drop, number):
    """The (cell, edge, op)s that go, `number` of each edge, from the mean drops of every candidate.

    A candidate ranks high to go if the kernel's condition number falls most without it (rank by
    ntk_drop, descending) and if the regions fall least (by region_drop, ascending). Candidates go
    by the sum of ranks; ties keep the order of ntk_drop, and in that the order of the dictionary.
    """
    order, by_ntk = dense_ranks(ntk_drop, list(ntk_drop), descending=True)
    _, by_regions = dense_ranks(region_drop, list(ntk_drop), descending=False)
    chosen = {}
    for cell, edge, op in sorted(order, key=lambda k: by_ntk[k] + by_regions[k]):
        edge_list = chosen.setdefault((cell, edge), [])
        if len(edge_list) < number:
            edge_list.append((cell, edge, op))
    return [key for edge_list in chosen.values() for key in edge_list]


def keep_edges(ntk_drop, region_drop, number=2):
    """The candidates of one node's edge group that go, so that `number` stay (last step)."""
    order, by_ntk = dense_ranks(ntk_drop, list(ntk_drop), descending=True)
    _, by_regions = dense_ranks(region_drop, list(ntk_drop), descending=False)
    return sorted(order, key=lambda k: by_ntk[k] + by_regions[k])[:-number]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    timing.add_arguments(parser, repeats=3)
    parser.add_argument("--batch", type=int, default=14)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--region-batches", type=int, default=3)
    args = parser.parse_args()
    timing.set_up(args)
    network = timing.laid_out(args, SearchNetwork(1, 1, 10, depth=2))
    thin = timing.laid_out(args, SearchNetwork(1, 1, 10, depth=2, use_stem=False))
    images = timing.images(args, args.batch, 3, 32, 32)
    batches = [timing.images(args, 1000, 1, 3, 3) for _ in range(args.region_batches)]

    def score_kernel():
        for _ in range(args.draws):
            initialise(network, "fan_out")
            condition_number(kernel(network, images))

    def score_regions():
        for _ in range(args.draws):
            initialise(thin, "fan_in")
            regions(thin, batches)

    ntk = timing.measure(args, f"NTK, batch {args.batch}, {args.draws} draws", score_kernel)
    what = f"regions, {args.region_batches} x 1000, {args.draws} draws"
    print(f"seconds for one state: {ntk + timing.measure(args, what, score_regions):.3f}")


if __name__ == "__main__":
    main()
