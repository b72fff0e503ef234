"""Fixtures of GradPC and gradient cancelling: a linear softmax model and a small conv net with and
without BN, all weights as targets; and alphas as targets on a NAS-Bench-201 supernet."""

import torch

import nb201_net
from fixture_files import POISON, exact, randn, randomise, weights, write_numbers, write_tensors
from gradient_cancelling import (
    Linear,
    SmallConv,
    cancel,
    clean_gradient,
    gradpc,
    joined,
)

CLASSES = 4
MEAN = exact(torch.tensor([0.49139968, 0.48215827, 0.44653124]))
STD = exact(torch.tensor([0.24703233, 0.24348505, 0.26158768]))
SETTINGS = {"eps": 16.0, "lr": 0.1, "iterations": 10, "batch": 4, "snapshot": 10}


def pixels(*shape):
    """8-bit images and the same normalised."""
    bytes_ = torch.randint(0, 256, shape, dtype=torch.uint8)
    return bytes_, (bytes_.double() / 255 - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1)


def run(name, network, targets, size, eps, p, tensors):
    """One case; `weights` are those before GradPC."""
    tensors |= {f"{name}.{k}": w for k, w in weights(network).items()}
    for target, key in targets:
        tensors.setdefault(f"{name}.weights.{key}", target.detach().float())
    clean_bytes, clean = pixels(24, 3, size, size)
    labels = torch.randint(0, CLASSES, (24,))
    batches = [(clean[i : i + 8], labels[i : i + 8]) for i in range(0, 24, 8)]
    parameters = [target for target, _ in targets]
    norms = gradpc(network, parameters, batches, eps)
    g_c = clean_gradient(network, parameters, batches)
    # The poison: the first images of the clean set, as the attack perturbs training images.
    count = 8
    delta, report = cancel(
        network, parameters, g_c, clean[:count], labels[:count], p, MEAN, STD, **SETTINGS
    )
    deltas = report.pop("deltas")
    tensors |= {
        f"{name}.first_gradient": report.pop("first_gradient"),
        f"{name}.clean": clean_bytes,
        f"{name}.labels": labels,
        f"{name}.moved": joined(parameters),
        f"{name}.clean_gradient": g_c,
        f"{name}.delta_after_1": deltas[0],
        f"{name}.delta_after_10": deltas[9],
        f"{name}.best_delta": delta,
    }
    return {
        "targets": [key for _, key in targets],
        "image_size": size,
        "classes": CLASSES,
        "gradpc": {"batch": 8, "eps": eps, "lr": 1.0, "norms": norms},
        "poison": list(range(count)),
        "p": p,
    } | report


def named(network):
    return [(w, key) for key, w in network.named_parameters()]


def main():
    torch.manual_seed(30)
    tensors = {"mean": MEAN, "std": STD}
    cases = {"settings": SETTINGS}
    linear = randomise(Linear(3 * 4 * 4, CLASSES))
    with torch.no_grad():
        for w in linear.parameters():
            w.mul_(0.25)
    cases["linear"] = run("linear", linear, named(linear), 4, 1.0, 0.3, tensors)
    conv = randomise(SmallConv(4, CLASSES, bn=False))
    cases["conv"] = run("conv", conv, named(conv), 6, 0.5, 0.3, tensors)
    conv = randomise(SmallConv(4, CLASSES, bn=True))
    cases["conv_bn"] = run("conv_bn", conv, named(conv), 6, 0.5, 0.5, tensors)
    network = randomise(nb201_net.SearchNetwork(2, 1, CLASSES))
    network.alphas.data = randn(6, 5, scale=0.5)
    targets = [(network.alphas, "alphas")]
    cases["alphas"] = run("alphas", network, targets, 8, 1.0, 0.5, tensors)
    write_tensors(POISON / "gradient_cancelling.safetensors", tensors)
    write_numbers(POISON / "gradient_cancelling.json", cases)
