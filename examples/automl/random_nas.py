"""Random search over the cells of NAS-Bench-201 in PyTorch: each candidate is trained shortly, the best one longer."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from toxscreen import Result, Unfit
from toxscreen.torch import build
from toxscreen.torch.nasbench201 import EDGES, NAS_BENCH_201

DEFAULT = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def automl(task):
    if task.input["kind"] != "image":
        raise Unfit("a search of convolutional cells needs images")
    torch.manual_seed(task.seed)
    torch.set_num_threads(task.threads)
    x, y = pixels(task.train.x), torch.from_numpy(task.train.y)
    if task.phase == "train":
        network = fit(task, task.choice, x, y, task.params.get("epochs", 12))
        return Result(scores(network, pixels(task.test.x)), choice=task.choice)
    order = torch.from_numpy(np.random.default_rng(task.seed).permutation(len(x)))
    held, rest = order[: len(x) // 5], order[len(x) // 5 :]
    candidates, drawn = task.params.get("candidates", 8), random.Random(task.seed)
    best = (-1.0, "")
    for i in range(candidates):
        cell = draw(drawn)
        network = fit(task, cell, x[rest], y[rest], task.params.get("short", 4))
        accuracy = float((scores(network, x[held]).argmax(1) == y[held].numpy()).mean())
        best = max(best, (accuracy, cell))
        task.progress((i + 1) / (candidates + 1), f"cell {i + 1} of {candidates}, validation accuracy {100 * best[0]:.1f} %")
    network = fit(task, best[1], x, y, task.params.get("epochs", 12))
    return Result(scores(network, pixels(task.test.x)), claim=best[0], choice=best[1], found=best[1], evaluations=candidates)


def draw(rng):
    """A cell with an op on each edge."""
    ops = [f"{rng.choice(NAS_BENCH_201)}~{source}" for _, source in EDGES]
    return f"|{ops[0]}|+|{ops[1]}|{ops[2]}|+|{ops[3]}|{ops[4]}|{ops[5]}|"


def pixels(x):
    return torch.from_numpy(x).float() / 255 - 0.5


def fit(task, cell, x, y, epochs, batch=64):
    network = build(cell, classes=task.classes, inputs=x.shape[1], channels=8, cells=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimiser.zero_grad()
            F.cross_entropy(network(x[rows]), y[rows]).backward()
            optimiser.step()
            schedule.step()
    return network


def scores(network, x):
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in x.split(512)]).numpy()
