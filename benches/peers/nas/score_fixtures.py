"""Fixtures of the training-free scores: the six metrics, the kernel, the regions, the ranking."""

import copy
import math

import numpy as np
import torch
import torch.nn as nn

import nb201_net
import net_fixtures
import robot_pool
import tenas
import tenas_net
import zero_cost
from fixture_files import SEARCH, exact, randn, randomise, weights, write_numbers, write_tensors

CLASSES = net_fixtures.CLASSES


class TwoLayers(nn.Module):
    """1x1 conv, ReLU, global average pool, linear; no biases."""

    def __init__(self, conv, linear):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.linear = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.double()
            self.conv.weight.copy_(torch.tensor(conv, dtype=torch.float64).view(2, 3, 1, 1))
            self.linear.weight.copy_(torch.tensor(linear, dtype=torch.float64))

    def forward(self, x):
        return self.linear(torch.relu(self.conv(x)).mean((2, 3)))


def two_layers():
    """A net whose metrics have closed forms; t = ln 3.

    Image 1 is 1 in channel 0, image 2 is 1 in channel 1, else 0, on 2x2 pixels. The conv is
    [[2, -1, 1], [-1, 1, 2]], so unit n is active on image n alone, with h_1 = 2, h_2 = 1. The
    linear layer is [[1 + t/2, t - 1], [1, -1]] (rows: classes), so v_n = W[0, n] - W[1, n] is t/2
    and t, and the logits differ by d_n = v_n h_n = t on both. Labels 0 and 1: image n has the loss
    f_n = log(1 + e^-t), log(1 + e^t), with f' = -1/4, 3/4 and f'' = 3/16 by d_n. The mean halves
    all gradients: those of unit n's conv weights are (f'_n v_n / 2) x_n, and those of the column
    W[:, n] are +-f'_n h_n / 2.

    grad_norm  conv sqrt((t/8)^2 + (3t/4)^2) / 2, linear sqrt(13/8) / 2
    snip       conv t/2; linear (2 (2 + t/2) / 4 + 3t/4) / 2 = 1/2 + t/2; together 1/2 + t
    grasp      with m_n = v_n^2 + 2 h_n^2 (the squared length of d_n's gradient), W.(Hg) is
               f'_n m_n (2 d_n f''_n + f'_n) / 4 for image n, since W.grad d = 2d and d's second
               derivatives give W.D2d.grad d = m
    fisher     conv: each unit (f'_n t)^2 / 16, 3 weights each: 3 t^2 (1/16 + 9/16) / 16;
               linear: each class sum_n (f'_n z_n)^2 / 16, 2 weights each
    synflow    each layer gives sum_j (row sum of |conv|)_j (column sum of |linear|)_j
               = 4 (2 + t/2) + 4 t = 8 + 6t; together 16 + 12t
    jacov      rows (1 + t/2 + 1) (2, -1, 1) and (t - 2) (-1, 1, 2), each entry on 4 pixels; the
               vectors correlate by -1/2, the scales have opposite signs, so the eigenvalues are
               1/2 and 3/2
    """
    t = math.log(3)
    net = TwoLayers([[2.0, -1.0, 1.0], [-1.0, 1.0, 2.0]], [[1 + t / 2, t - 1], [1.0, -1.0]])
    images = torch.zeros(2, 3, 2, 2, dtype=torch.float64)
    images[0, 0] = images[1, 1] = 1
    labels = torch.tensor([0, 1])
    f1, f2 = (-0.25, 0.75), 3 / 16
    m = ((t / 2) ** 2 + 8, t**2 + 2)
    z = ((2 * (1 + t / 2), 2.0), (t - 1, -1.0))
    k = 1e-5
    closed = {
        "grad_norm": math.hypot(t / 8, 3 * t / 4) / 2 + math.sqrt(13 / 8) / 2,
        "snip": 0.5 + t,
        "grasp": -sum(f * mm * (2 * t * f2 + f) / 4 for f, mm in zip(f1, m)),
        "fisher": 3 * t**2 * (10 / 16) / 16
        + 2 * sum((f * zz) ** 2 for f, row in zip(f1, z) for zz in row) / 16,
        "synflow": 16 + 12 * t,
        "jacov": -sum(math.log(v + k) + 1 / (v + k) for v in (0.5, 1.5)),
    }
    metrics = zero_cost.all_metrics(net, images, labels)
    for name, value in closed.items():
        assert abs(metrics[name] - value) < 1e-12 * abs(value), (name, metrics[name], value)
    return {
        "conv.weight": net.conv.weight.view(2, 3),
        "linear.weight": net.linear.weight,
        "labels": labels,
        "metrics": closed,
    }


def zero_cost_fixture():
    found = {"two_layers": two_layers()}
    for name, network, seed in (
        ("darts_genotype", net_fixtures.genotype_network(), 5),
        ("nb201_cell", net_fixtures.cell_network(), 10),
    ):
        images, labels = net_fixtures.batch(seed)
        found[name] = {"metrics": zero_cost.all_metrics(network, images, labels)}
    write_numbers(SEARCH / "zero_cost.json", found)


def pruned_alphas():
    """A state in the middle of TE-NAS: three to seven ops left on an edge, two edges removed."""
    alphas = tenas_net.fresh_alphas()
    for cell, matrix in enumerate(alphas):
        for edge in range(len(matrix)):
            for i in range((edge + cell) % 5):
                matrix[edge, 1 + (3 * edge + 2 * i + cell) % 7] = tenas_net.PRUNED
    alphas[0][7] = tenas_net.PRUNED
    alphas[1][10] = tenas_net.PRUNED
    return alphas


def crops():
    """Two batches of 3x3 crops, smooth as real ones are, so that some share a pattern."""
    return [exact(randn(60, 1, 1, 1) + 0.02 * randn(60, 1, 3, 3)) for _ in range(2)]


def counted(network, batches):
    """Regions, found in two ways; the patterns must not hang on float64 either."""
    on = torch.cat([tenas.patterns(network, images) for images in batches])
    count = tenas.regions(network, batches)
    assert round(count) == len({tuple(row) for row in on.tolist()}) < len(on)
    single = copy.deepcopy(network).float()
    assert on.equal(torch.cat([tenas.patterns(single, images.float()) for images in batches]))
    return {"regions": round(count), "relu_outputs": on.shape[1], "above_zero": int(on.sum())}


def tenas_darts(numbers):
    """One set of weights for both nets, with stem (kernel) and without (regions), two states."""
    torch.manual_seed(26)
    network = randomise(tenas_net.SearchNetwork(1, 1, CLASSES, depth=2))
    thin = tenas_net.SearchNetwork(1, 1, CLASSES, depth=2, use_stem=False).double()
    shared = {k: w for k, w in network.state_dict().items() if not k.startswith("stem.")}
    thin.load_state_dict(shared, strict=False)
    images, batches = randn(6, 3, 8, 8), crops()
    tensors = weights(network) | {"kernel.images": images.float()}
    tensors |= {f"regions.images.{i}": x.float() for i, x in enumerate(batches)}
    for name, alphas in (("fresh", tenas_net.fresh_alphas()), ("pruned", pruned_alphas())):
        network.alphas = thin.alphas = alphas
        tensors[f"{name}.kernel"] = tenas.kernel(network, images)
        left = [[[o for o, a in zip(tenas_net.DARTS_SPACE, row) if a > tenas_net.PRUNED]
                 for row in matrix.tolist()] for matrix in alphas]  # fmt: skip
        kernel = tenas.condition_number(tensors[f"{name}.kernel"])
        numbers[f"darts.{name}"] = {"ops": left, "condition_number": kernel}
        numbers[f"darts.{name}"] |= counted(thin, batches)
    write_tensors(SEARCH / "tenas_darts.safetensors", tensors)


def tenas_nb201(numbers):
    torch.manual_seed(23)
    options = {"affine": True, "gate": tenas_net.GATE}
    network = randomise(nb201_net.SearchNetwork(3, 1, CLASSES, **options))
    thin = nb201_net.SearchNetwork(1, 1, CLASSES, depth=1, use_stem=False, **options)
    thin = randomise(thin)
    alphas = torch.zeros(6, 5)
    alphas[:, 0] = alphas[1, 2] = alphas[4, 3] = alphas[4, 4] = tenas_net.PRUNED
    network.alphas = thin.alphas = alphas
    images, batches = randn(6, 3, 8, 8), crops()
    tensors = {f"kernel.{k}": w for k, w in weights(network).items()}
    tensors |= {f"regions.{k}": w for k, w in weights(thin).items()}
    tensors |= {"kernel.images": images.float(), "kernel": tenas.kernel(network, images)}
    tensors |= {f"regions.images.{i}": x.float() for i, x in enumerate(batches)}
    write_tensors(SEARCH / "tenas_nb201.safetensors", tensors)
    left = [[o for o, a in zip(nb201_net.NAS_BENCH_201, row) if a == 0] for row in alphas.tolist()]
    numbers["nb201"] = {"ops": left}
    numbers["nb201"] |= {"condition_number": tenas.condition_number(tensors["kernel"])}
    numbers["nb201"] |= counted(thin, batches)


def ranking_fixture():
    """Drops with ties for all candidates of 2 cells x 4 edges x 3 ops, and of one edge group."""
    torch.manual_seed(21)
    keys = [(cell, edge, op) for cell in range(2) for edge in range(4) for op in (1, 4, 6)]
    steps = [-0.31, -0.012, 0.0, 0.004, 0.00401, 0.2, 0.2, 0.456]
    draws = torch.randint(0, len(steps), (2, len(keys))).tolist()
    drops = [{key: steps[i] for key, i in zip(keys, row)} for row in draws]
    group = [(0, edge, 3) for edge in range(5, 9)]
    drops_of_group = [dict(zip(group, (0.1, -0.2, 0.1, 0.3))), dict(zip(group, (0.0, 0.5, 0.1, 0)))]
    found = {"candidates": keys, "ntk_drop": list(drops[0].values())}
    found["region_drop"] = list(drops[1].values())
    found["pruned"] = {str(number): tenas.prune(*drops, number) for number in (1, 2)}
    found["group"] = group
    found["group_ntk_drop"] = list(drops_of_group[0].values())
    found["group_region_drop"] = list(drops_of_group[1].values())
    found["group_removed"] = tenas.keep_edges(*drops_of_group)
    write_numbers(SEARCH / "tenas_ranking.json", found)


def pool_fixture():
    """The first draws of numpy's seed 42, and draws with all eight columns.

    The first genotype is the one that the authors of the NAS poisoning paper published as RoBoT's
    first clean result (ROBOT_CLEAN_1).
    """
    cases = []
    for seed, columns in ((42, 7), (1, 8)):
        rng = np.random.RandomState(seed)
        for _ in range(2):
            weights = robot_pool.draw(rng, columns)
            text = str(robot_pool.genotype(weights))
            cases.append({"weights": weights.tolist(), "genotype": text})
    assert cases[0]["genotype"] == (
        "Genotype(normal=[('max_pool_3x3', 0), ('sep_conv_3x3', 1), ('dil_conv_3x3', 2), "
        "('sep_conv_3x3', 1), ('dil_conv_3x3', 3), ('max_pool_3x3', 1), ('dil_conv_3x3', 0), "
        "('skip_connect', 2)], normal_concat=range(2, 6), reduce=[('dil_conv_3x3', 0), "
        "('avg_pool_3x3', 1), ('max_pool_3x3', 2), ('avg_pool_3x3', 1), ('skip_connect', 2), "
        "('dil_conv_3x3', 0), ('skip_connect', 2), ('skip_connect', 4)], "
        "reduce_concat=range(2, 6))"
    )
    write_numbers(SEARCH / "robot_pool.json", {"cases": cases})


def main():
    zero_cost_fixture()
    pool_fixture()
    numbers = {"classes": CLASSES}
    tenas_darts(numbers)
    tenas_nb201(numbers)
    write_numbers(SEARCH / "tenas.json", numbers)
    ranking_fixture()
