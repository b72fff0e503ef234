"""Gradient cancelling (GC) and the target parameters that it needs (GradPC), with exact second
derivatives.

Images are in the normalised space (x / 255 - mean) / std; so is delta. `targets` are the
parameters whose gradient the poison has to cancel: alphas or weights.

GradPC, one epoch of ascent from a clean victim: g = gradient of the mean cross-entropy of a batch
by the targets, over its joint L2 norm; a += lr g; if ||a|| > eps, a *= eps / ||a||; the targets
move by the change of a.

GC, on the moved victim, with g_c the mean gradient of the clean data and p the share of poison:
for each batch of poison the loss || (1 - p) g_c + p g_p(x + delta, y) ||^2, g_p the gradient of the
batch's mean cross-entropy; Adam (lr 0.1) on delta, one step for all batches of an iteration; then
delta is clamped to +-eps/255/std and x + delta to the range of images.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Linear(nn.Module):
    """Softmax regression on flattened images: `fc`."""

    def __init__(self, features, classes):
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


class SmallConv(nn.Module):
    """conv 3x3 (no bias), optional BN, ReLU, global average pool, linear."""

    def __init__(self, channels, classes, bn):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels) if bn else nn.Identity()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3)))


def joined(tensors):
    return torch.cat([t.flatten() for t in tensors])


def gradient(network, targets, images, labels, reduction="mean", **options):
    loss = F.cross_entropy(network(images), labels, reduction=reduction)
    found = torch.autograd.grad(loss, targets, allow_unused=True, **options)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(targets, found)]


def gradpc(network, targets, batches, eps, lr=1.0):
    """Moves the targets; returns ||a|| after every batch. BN in training mode."""
    network.train()
    attack = torch.zeros_like(joined(targets))
    norms = []
    for images, labels in batches:
        g = joined(gradient(network, targets, images, labels))
        old = attack
        attack = old + lr * g / g.norm()
        if attack.norm() > eps:
            attack = attack * (eps / attack.norm())
        with torch.no_grad():
            pieces = (attack - old).split([t.numel() for t in targets])
            for target, piece in zip(targets, pieces):
                target += piece.view_as(target)
        norms.append(attack.norm().item())
    return norms


def clean_gradient(network, targets, batches):
    """Mean gradient over all images: sums over batches, divided by the number of images."""
    network.train()
    total, count = 0.0, 0
    for images, labels in batches:
        total = total + joined(gradient(network, targets, images, labels, reduction="sum"))
        count += len(images)
    return total / count


def cancel(network, targets, g_c, images, labels, p, mean, std, **options):
    """Runs GC; returns (best delta, report).

    Losses and cosines are means over batches, before the iteration's step; `deltas` are after it.
    The best delta is the one after the step of that iteration, among every tenth (from 0) and the
    last, whose loss was the lowest. `batch` images share one loss; eps is in 8-bit steps.
    """
    settings = {"eps": 16.0, "lr": 0.1, "iterations": 100, "batch": 32, "snapshot": 10} | options
    mean, std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)
    low, high = -mean / std, (1 - mean) / std
    box = settings["eps"] / 255 / std
    delta = torch.zeros_like(images, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=settings["lr"])
    network.train()
    report = {"losses": [], "cosines": [], "deltas": [], "first_gradient": None}
    best = (float("inf"), delta.detach().clone())
    for iteration in range(settings["iterations"]):
        delta.grad = torch.zeros_like(delta)
        losses, cosines = [], []
        for start in range(0, len(images), settings["batch"]):
            rows = slice(start, start + settings["batch"])
            part = delta[rows].detach().requires_grad_()
            g_p = joined(
                gradient(network, targets, images[rows] + part, labels[rows], create_graph=True)
            )
            loss = ((1 - p) * g_c + p * g_p).square().sum()
            (delta.grad[rows],) = torch.autograd.grad(loss, part)
            losses.append(loss.item())
            cosines.append(F.cosine_similarity(g_c, g_p.detach(), dim=0).item())
        if iteration == 0:
            report["first_gradient"] = delta.grad.clone()
        adam.step()
        with torch.no_grad():
            delta.copy_(torch.max(torch.min(delta, box), -box))
            delta.copy_(torch.max(torch.min(images + delta, high), low) - images)
        mean_loss = sum(losses) / len(losses)
        report["losses"].append(mean_loss)
        report["cosines"].append(sum(cosines) / len(cosines))
        report["deltas"].append(delta.detach().clone())
        last = iteration == settings["iterations"] - 1
        if (iteration % settings["snapshot"] == 0 or last) and mean_loss < best[0]:
            best = (mean_loss, delta.detach().clone())
    return best[1], report
