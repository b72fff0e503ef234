"""Writes the fixtures of the comparison of attacks with torchattacks.

    python benches/peers/rcnas/make_attack_fixtures.py FASHION_MNIST_FOLDER

It needs torchattacks and safetensors.

FASHION_MNIST_FOLDER holds the four files `train-images-idx3-ubyte.gz`, ... or their unpacked forms.

`robust_cnn.safetensors` is the state dict of a small CNN, trained with PGD adversarial training on
Fashion-MNIST, padded to 32x32 and averaged to 16x16. `attack_images.safetensors` has the first 600
such test images (u8, rounded) and their labels. `attacks.json` has the robust accuracies, in percent of all
images, that torchattacks (Kim 2020, version 3.5.1) finds for them, one entry a ball:

    fgsm       FGSM
    pgd, cw    PGD with 20 steps of a tenth of epsilon on cross-entropy, with 40 on the margin of the
               logits (its cross-entropy exchanged): [an image counts as fooled if the last iterate
               fools, if any does], means of three seeds
    pgd_from_clean
               the same PGD without a random start, any iterate
    apgd_ce, apgd_dlr, fab, square, autoattack
               100 steps, one restart, 9 targets where targeted; 5000 queries of Square; AutoAttack is
               these four in a row
    square_few Square with `square_queries` queries, mean of four seeds, for here all images share a
               seed's squares
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchattacks
import torchattacks.attacks.pgd
import torchattacks.attacks.pgdl2
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[3] / "crates/tox-robust/tests/fixtures"
IMAGES, SQUARE_QUERIES = 600, 500
BALLS = [("linf", 0.06), ("l2", 0.6)]


class SmallCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, 2, 1)
        self.conv2 = nn.Conv2d(12, 24, 3, 2, 1)
        self.fc = nn.Linear(24 * 4 * 4, 10)

    def forward(self, x):
        x = (x - 0.5) / 0.25
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.fc(x.flatten(1))


class Watched(nn.Module):
    """A network that remembers which images it has answered wrongly at any time."""

    def __init__(self, network, labels):
        super().__init__()
        self.network, self.labels = network, labels
        self.robust = torch.ones(len(labels), dtype=torch.bool)

    def forward(self, x):
        logits = self.network(x)
        self.robust &= logits.detach().argmax(1) == self.labels
        return logits


class Margin(nn.Module):
    """Carlini and Wagner's loss on the logits: largest wrong less right, summed."""

    def forward(self, logits, labels):
        right = logits.gather(1, labels[:, None]).squeeze(1)
        others = logits.scatter(1, labels[:, None], -torch.inf)
        return (others.amax(1) - right).sum()


def idx(folder, name):
    path = folder / name
    raw = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    dims = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def images(folder, name, count):
    x = torch.from_numpy(idx(folder, name)[:count].copy()).float()
    x = F.avg_pool2d(F.pad(x[:, None], (2, 2, 2, 2)), 2)
    return x.round().to(torch.uint8)


def train(network, x, y, epsilon=0.06, epochs=5, batch=128):
    steps = epochs * (len(x) // batch)
    sgd = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, steps)
    for step in range(steps):
        rows = torch.randint(len(x), (batch,))
        clean, labels = x[rows], y[rows]
        noise = torch.empty_like(clean).uniform_(-epsilon, epsilon)
        for _ in range(4):
            moved = (clean + noise).clamp(0, 1).requires_grad_()
            loss = F.cross_entropy(network(moved), labels)
            (gradient,) = torch.autograd.grad(loss, moved)
            noise = (noise + 0.025 * gradient.sign()).clamp(-epsilon, epsilon)
        loss = F.cross_entropy(network((clean + noise).clamp(0, 1)), labels)
        sgd.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        sgd.step()
        schedule.step()
    return loss.item()


def percent(robust):
    return 100 * robust.float().mean().item()


def accuracies(network, x, y, norm, epsilon):
    def robust(attack):
        return percent(network(attack(x, y)).argmax(1) == y)

    def iterated(steps, loss, start=True):
        module = torchattacks.attacks.pgd if norm == "linf" else torchattacks.attacks.pgdl2
        make = torchattacks.PGD if norm == "linf" else torchattacks.PGDL2
        kept, module.nn = module.nn, type("nn", (), {"CrossEntropyLoss": loss})
        both = []
        for seed in range(3):
            torch.manual_seed(seed)
            watched = Watched(network, y)
            length = epsilon / 10
            attack = make(watched, epsilon, length, steps, random_start=start)
            last = percent(watched(attack(x, y)).argmax(1) == y)
            both.append([last, percent(watched.robust)])
        module.nn = kept
        return np.mean(both, 0).tolist()

    their = {"linf": "Linf", "l2": "L2"}[norm]
    common = {"norm": their, "eps": epsilon, "seed": 0, "n_restarts": 1}
    apgd = torchattacks.APGD(network, steps=100, loss="ce", **common)
    apgdt = torchattacks.APGDT(network, steps=100, n_classes=10, **common)
    fab = torchattacks.FAB(network, steps=100, multi_targeted=True, n_classes=10, **common)
    square = torchattacks.Square(network, n_queries=5000, **common)
    few = [
        robust(torchattacks.Square(network, n_queries=SQUARE_QUERIES, **common | {"seed": seed}))
        for seed in range(4)
    ]
    found = {"norm": norm, "epsilon": epsilon}
    if norm == "linf":
        found["fgsm"] = robust(torchattacks.FGSM(network, eps=epsilon))
    found["pgd_from_clean"] = iterated(20, nn.CrossEntropyLoss, start=False)[1]
    found["pgd"] = iterated(20, nn.CrossEntropyLoss)
    found["cw"] = iterated(40, Margin)
    found["apgd_ce"] = robust(apgd)
    found["apgd_dlr"] = robust(apgdt)
    found["fab"] = robust(fab)
    found["square_few"] = np.mean(few)
    found["square"] = robust(square)
    found["autoattack"] = robust(torchattacks.MultiAttack([apgd, apgdt, fab, square]))
    print(json.dumps(found), flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = images(folder, "train-images-idx3-ubyte", 20000).float() / 255
    y = torch.from_numpy(idx(folder, "train-labels-idx1-ubyte")[:20000].astype(np.int64))
    network = SmallCnn()
    print("loss", train(network, x, y), flush=True)
    network.eval()
    raw = images(folder, "t10k-images-idx3-ubyte", IMAGES)
    labels = torch.from_numpy(idx(folder, "t10k-labels-idx1-ubyte")[:IMAGES].astype(np.int64))
    x = raw.float() / 255
    result = {
        "clean": percent(network(x).argmax(1) == labels),
        "square_queries": SQUARE_QUERIES,
    }
    print(result, flush=True)
    result["balls"] = [accuracies(network, x, labels, *ball) for ball in BALLS]
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), FOLDER / "robust_cnn.safetensors")
    kept = {"images": raw, "labels": labels.to(torch.uint8)}
    save_file(kept, FOLDER / "attack_images.safetensors")
    (FOLDER / "attacks.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
