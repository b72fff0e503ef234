"""Writes the fixture of tox-robust's Auto-PGD: the loss after every step of torchattacks' APGD.

    pip install torchattacks==3.5.1 --no-deps
    python benches/peers/rcnas/make_apgd_fixture.py

Model, images and starts are closed formulas, the same as in the test, so that only losses are
stored: {norm: [a row of losses an image]}, at the start and after each of 100 steps.
"""

import json
import sys
import types
from pathlib import Path

import torch

# torchattacks imports requests, which APGD does not need, at the top.
sys.modules.setdefault("requests", types.ModuleType("requests"))
from torchattacks.attacks.apgd import APGD  # noqa: E402

FIXTURE = Path(__file__).resolve().parents[3] / "crates/tox-robust/tests/fixtures/apgd.json"
IMAGES, SIZE, CLASSES = 4, 12, 4


class Waves(torch.nn.Module):
    """Logit c: the sum over pixels j of cos(c j) sin(1 + 3 c + 7 j + 9 x_j), and 8 for class 0."""

    def __init__(self):
        super().__init__()
        self.dummy = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        c = torch.arange(CLASSES, dtype=torch.float64)[:, None]
        j = torch.arange(SIZE, dtype=torch.float64)[None]
        waves = torch.sin(1 + 3 * c + 7 * j + 9 * x.reshape(len(x), 1, SIZE))
        return (torch.cos(c * j) * waves).sum(2) + 8 * (c.T == 0)


def main():
    torch.set_default_dtype(torch.float64)
    i = torch.arange(IMAGES)[:, None].double()
    j = torch.arange(SIZE)[None].double()
    images = (0.5 + 0.4 * torch.sin(2 + j + 11 * i)).float().double().reshape(IMAGES, 1, 3, 4)
    draw = torch.sin(13 + 17 * j + 5 * i).reshape(images.shape)
    torch.rand = lambda *_: (draw + 1) / 2
    torch.randn = lambda *_: draw
    model = Waves().eval()
    labels = model(images).argmax(1)
    result = {}
    for norm, eps in [("Linf", 0.03), ("L2", 0.08)]:
        attack = APGD(model, norm=norm, eps=eps, steps=100)
        losses = []

        def logits(x, model=model, losses=losses):
            z = model(x)
            losses.append(torch.nn.functional.cross_entropy(z, labels, reduction="none"))
            assert (z.argmax(1) == labels).all(), "an image is fooled and would leave"
            return z

        attack.get_logits = logits
        attack.attack_single_run(images, labels)
        rows = torch.stack(losses, 1).detach().tolist()
        result[norm.lower()] = [[float(f"{v:.9g}") for v in row] for row in rows]
    FIXTURE.parent.mkdir(exist_ok=True)
    FIXTURE.write_text(json.dumps(result) + "\n")


main()
