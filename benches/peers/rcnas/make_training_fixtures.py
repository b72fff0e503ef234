"""Writes the fixture of the tests of adversarial training: SAT, TRADES and MART on PyTorch.

    python benches/peers/rcnas/make_training_fixtures.py            # needs torch and safetensors

The network is the ResNet-18 of width 2 of `make_layer_fixtures.py` from the weights that it wrote
(`crates/tox-nn/tests/fixtures/resnet.safetensors`), with a normalisation of its own; losses and inner
attacks are written down from the papers and from what yaodongyu/TRADES, YisenWang/MART and
zhichao-lu/robust-residual-network compute. All in float64, stored as float32 in
`crates/tox-robust/tests/fixtures/training.safetensors`:

    images.I, noise.I, labels.I    two batches of six images in 0..1, I = 0, 1
    METHOD.adversarial.I           what three steps of 2/255 in a ball of 8/255 make of them
    METHOD.loss.I                  the loss there
    METHOD.grad.WEIGHT             its gradient at batch 0; of TRADES and MART
    METHOD.NAME                    the state dict after a step on each batch: SGD, lr 0.05, momentum
                                   0.9, weight decay 2e-4, gradient clipped at norm 5

METHOD = sat, trades (beta 6), mart (beta 5), smooth (TRADES with labels smoothed by 0.1), train (SAT
with the batch's statistics under attack). Batches are drawn until no gradient of the attacks is so
close to zero that float32 may see another sign.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "benches/peers"))
from make_layer_fixtures import ResNet18  # noqa: E402

MEAN = torch.tensor([0.5, 0.45, 0.4]).double().reshape(1, 3, 1, 1)
STD = torch.tensor([0.25, 0.3, 0.2]).double().reshape(1, 3, 1, 1)
EPSILON, STEPS, SIZE = 8 / 255, 3, 2 / 255
METHODS = ["sat", "trades", "mart", "smooth", "train"]
GRADIENTS = ["trades", "mart"]


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = ResNet18(3, 5, 2)
        self.inner.load_state_dict(load_file(ROOT / "crates/tox-nn/tests/fixtures/resnet.safetensors"))

    def forward(self, x):
        return self.inner((x - MEAN) / STD)


def attack(model, method, x, noise, y):
    """The adversarial batch, and how close the closest gradient came to zero, in shares of the median."""
    model.eval()
    if method == "train":
        # The batch's statistics, which the running ones do not notice.
        for m in model.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.training, m.momentum = True, 0.0
    with torch.no_grad():
        clean = F.softmax(model(x), dim=1)
    adversarial, closest = x + noise, 1.0
    for _ in range(STEPS):
        adversarial = adversarial.detach().requires_grad_()
        logits = model(adversarial)
        if method in ("trades", "smooth"):
            loss = F.kl_div(F.log_softmax(logits, dim=1), clean, reduction="sum")
        else:
            loss = F.cross_entropy(logits, y, reduction="sum")
        (g,) = torch.autograd.grad(loss, adversarial)
        for image in g.abs().flatten(1):
            closest = min(closest, (image.min() / image.median()).item())
        adversarial = adversarial + SIZE * g.sign()
        adversarial = torch.clamp(adversarial, x - EPSILON, x + EPSILON).clamp(0, 1)
    if method == "train":
        for m in model.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.momentum = 0.1
                m.num_batches_tracked -= STEPS + 1
    model.train()
    return adversarial.detach(), closest


def objective(model, method, x, adversarial, y):
    n = len(x)
    if method in ("sat", "train"):
        return F.cross_entropy(model(adversarial), y)
    clean, moved = model(x), model(adversarial)
    if method in ("trades", "smooth"):
        natural = F.cross_entropy(clean, y, label_smoothing=0.1 if method == "smooth" else 0.0)
        kl = F.kl_div(F.log_softmax(moved, dim=1), F.softmax(clean, dim=1), reduction="sum")
        return natural + 6.0 * kl / n
    p, q = F.softmax(clean, dim=1), F.softmax(moved, dim=1)
    first, second = torch.topk(q, 2, dim=1).indices.T
    other = torch.where(first == y, second, first)
    margin = F.nll_loss(torch.log(1.0001 - q + 1e-12), other)
    kl = F.kl_div(torch.log(q + 1e-12), p, reduction="none").sum(1)
    weight = 1.0000001 - p.gather(1, y[:, None]).squeeze(1)
    return F.cross_entropy(moved, y) + margin + 5.0 * (kl * weight).sum() / n


def run(method, batches):
    """Everything of one method, and how close its closest gradient came to zero."""
    model, out, closest = Network().double().train(), {}, 1.0
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=2e-4)
    for i, (x, noise, y) in enumerate(batches):
        adversarial, close = attack(model, method, x, noise, y)
        closest = min(closest, close)
        sgd.zero_grad()
        loss = objective(model, method, x, adversarial, y)
        loss.backward()
        out[f"{method}.adversarial.{i}"] = adversarial
        out[f"{method}.loss.{i}"] = loss.detach().reshape(1)
        if i == 0 and method in GRADIENTS:
            for name, p in model.inner.named_parameters():
                out[f"{method}.grad.{name}"] = p.grad.clone()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        sgd.step()
    for name, tensor in model.inner.state_dict().items():
        out[f"{method}.{name}"] = tensor
    return out, closest


def drawn(seed):
    rng = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(2):
        x = torch.rand((6, 3, 8, 8), generator=rng)
        noise = 0.001 * torch.randn((6, 3, 8, 8), generator=rng)
        batches.append((x.double(), noise.double(), torch.randint(0, 5, (6,), generator=rng)))
    return batches


def main():
    best = None
    for seed in range(40):
        batches = drawn(seed)
        out, closest = {}, 1.0
        for method in METHODS:
            found, close = run(method, batches)
            out.update(found)
            closest = min(closest, close)
        if best is None or closest > best[0]:
            best = (closest, seed, batches, out)
    closest, seed, batches, out = best
    print(f"seed {seed}: the closest gradient is {closest:.1e} of its image's median")
    for i, (x, noise, y) in enumerate(batches):
        out[f"images.{i}"], out[f"noise.{i}"], out[f"labels.{i}"] = x, noise, y
    out = {k: v.float() if v.is_floating_point() else v for k, v in out.items()}
    folder = ROOT / "crates/tox-robust/tests/fixtures"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "training.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
