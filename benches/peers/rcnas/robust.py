"""Times PyTorch eager at what `cargo bench -p tox-robust --bench robust` times: the passes of attacks
and of adversarial training on a WRN-16-2.

    python benches/peers/rcnas/robust.py --threads 2 --layout both --csv FILE --label "2026-11-22, quiet"

`pgd`: 20 steps of PGD with all of the batch, cross-entropy, the network in `eval()`. `trades`: 10
steps on the KL divergence in `eval()`, then the step of training in `train()` on the clean and on the
adversarial batch (two forward passes, one backward), SGD with Nesterov momentum and decay. Random
images of 3x32x32.

`--weights fixed` sets `requires_grad_(False)` for the attack, so that no graph leads to a weight;
`tracked` leaves them as they are, as published code does: `autograd.grad` by the images alone makes no
gradient of a weight either, but keeps what it would need. One line of a result each, in seconds: the
median of the repeats after one warm-up.
"""

import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    """Pre-activation: BN, ReLU, 3x3, BN, ReLU, 3x3, and the way around them."""

    def __init__(self, c_in, c, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.around = None if c_in == c else nn.Conv2d(c_in, c, 1, stride=stride, bias=False)

    def forward(self, x):
        y = F.relu(self.bn1(x), inplace=True)
        around = x if self.around is None else self.around(y)
        y = F.relu(self.bn2(self.conv1(y)), inplace=True)
        return self.conv2(y) + around


class WideResNet(nn.Module):
    """WRN-16-2 for 10 classes."""

    def __init__(self, depth=16, width=2):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        blocks, c_in = [], 16
        for stage in range(3):
            c = 16 * width << stage
            for i in range((depth - 4) // 6):
                blocks.append(Block(c_in, c, 2 if stage > 0 and i == 0 else 1))
                c_in = c
        self.blocks = nn.Sequential(*blocks)
        self.bn = nn.BatchNorm2d(c_in)
        self.fc = nn.Linear(c_in, 10)

    def forward(self, x):
        x = F.relu(self.bn(self.blocks(self.conv(x))), inplace=True)
        return self.fc(x.mean((2, 3)))


class Normalised(nn.Module):
    """The network behind the normalisation of its images."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def pgd(model, x, loss, steps, eps=8 / 255, step=2 / 255):
    """L-inf, from a random start."""
    adversarial = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1)
    for _ in range(steps):
        adversarial = adversarial.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(model(adversarial)), adversarial)
        adversarial = adversarial.detach() + step * gradient.sign()
        adversarial = torch.min(torch.max(adversarial, x - eps), x + eps).clamp(0, 1)
    return adversarial


def attack(model, args, x, loss, steps):
    for weight in model.parameters():
        weight.requires_grad_(args.weights == "tracked")
    found = pgd(model, x, loss, steps).detach()
    for weight in model.parameters():
        weight.requires_grad_(True)
    return found


def evaluation(model, args, x, labels):
    model.eval()
    attack(model, args, x, lambda logits: F.cross_entropy(logits, labels, reduction="sum"), 20)


def trades(model, sgd, args, x, labels, beta=6.0):
    model.eval()
    with torch.no_grad():
        clean = F.softmax(model(x), 1)
    divergence = lambda logits: F.kl_div(F.log_softmax(logits, 1), clean, reduction="sum")
    adversarial = attack(model, args, x, divergence, 10)
    model.train()
    logits, others = model(x), model(adversarial)
    apart = F.kl_div(F.log_softmax(others, 1), F.softmax(logits, 1), reduction="batchmean")
    sgd.zero_grad()
    (F.cross_entropy(logits, labels) + beta * apart).backward()
    sgd.step()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layout", choices=["nchw", "nhwc", "both"], default="both")
    parser.add_argument("--weights", choices=["fixed", "tracked"], default="fixed")
    parser.add_argument("--only", choices=["pgd", "trades"])
    parser.add_argument("--csv", help="append the results to this file")
    parser.add_argument("--label", default="", help="first column of the rows")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    layouts = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
    for layout, form in layouts.items():
        if args.layout not in (layout, "both"):
            continue
        model = Normalised(WideResNet()).to(memory_format=form)
        sgd = torch.optim.SGD(
            model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, nesterov=True
        )
        x = torch.rand(args.batch, 3, 32, 32).contiguous(memory_format=form)
        labels = torch.randint(10, (args.batch,))
        runs = {
            "pgd": lambda: evaluation(model, args, x, labels),
            "trades": lambda: trades(model, sgd, args, x, labels),
        }
        for what, run in runs.items():
            if args.only not in (what, None):
                continue
            seconds = []
            for _ in range(args.repeats + 1):
                begin = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - begin)
            median = statistics.median(seconds[1:])
            shown = " ".join(f"{s:.3f}" for s in seconds[1:])
            print(f"{what:<7} pytorch {layout} {args.weights} {median:.3f} ({shown})", flush=True)
            if args.csv:
                with open(args.csv, "a", encoding="utf-8") as file:
                    sizes = f"{args.threads},{args.batch}"
                    way = f"{layout} {args.weights}"
                    file.write(f'"{args.label}",pytorch,{way},{sizes},{what},{median:.4f}\n')


if __name__ == "__main__":
    main()
