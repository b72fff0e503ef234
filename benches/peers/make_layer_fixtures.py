"""Writes the fixtures of the tests of layers, ResNet-18, SGD and weight files.

    python benches/peers/make_layer_fixtures.py            # needs torch and safetensors
    python benches/peers/make_layer_fixtures.py --check FILE --width 16 --channels 1 --classes 10

The second form loads a weight file that toxscreen wrote, strictly, and prints the logits of an
image of 0.5s.

`resnet.safetensors` is a state dict as PyTorch users save it: a ResNet-18 of width 2 for three
channels and five classes, in which gamma, beta and running statistics matter. All else, in
`resnet_expected.safetensors`, is computed from it in float64 and stored as float32:

    images.I, labels.I    two batches of six images, I = 0, 1
    MODE.logits, MODE.loss, MODE.images.grad, MODE.grad.WEIGHT
                          of batch 0 with mean cross-entropy, MODE = train, eval; of eval without
                          the convolutions behind the first
    nesterov.NAME         the state dict after a step on each batch: SGD, lr 0.05, momentum 0.9,
                          weight decay 0.01
    plain.NAME            the same without Nesterov and with the gradient clipped at norm 0.5; its
                          running statistics too
"""

import argparse
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

FOLDER = Path(__file__).resolve().parents[2] / "crates/tox-nn/tests/fixtures"


class Block(nn.Module):
    def __init__(self, c_in, c, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.downsample = None
        if stride > 1 or c_in != c:
            conv = nn.Conv2d(c_in, c, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(c))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """torchvision's names; a 3x3 stem of stride 1, no max pooling."""

    def __init__(self, channels, classes, width):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        c_in = width
        for stage in range(4):
            c = width << stage
            first = Block(c_in, c, 1 if stage == 0 else 2)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, Block(c, c, 1)))
            c_in = c
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(x.mean((2, 3)))


def start(rng):
    """A state in which gamma, beta and running statistics matter."""
    model = ResNet18(3, 5, 2)
    state = model.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(7)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(torch.rand(tensor.shape, generator=rng) * 0.6 - 0.3)
        elif tensor.dim() == 1:
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
        else:
            bound = 1 / tensor[0].numel() ** 0.5
            tensor.copy_((torch.rand(tensor.shape, generator=rng) * 2 - 1) * bound)
    return state


def model_of(state):
    model = ResNet18(3, 5, 2)
    model.load_state_dict(state)
    return model.double()


def fixtures():
    rng = torch.Generator().manual_seed(18)
    state = start(rng)
    save_file(state, FOLDER / "resnet.safetensors")
    out = {}
    images, labels = [], []
    for i in range(2):
        images.append(torch.randn((6, 3, 16, 16), generator=rng))
        labels.append(torch.randint(0, 5, (6,), generator=rng))
        out[f"images.{i}"], out[f"labels.{i}"] = images[i], labels[i]
    images = [x.double() for x in images]

    for mode in ("eval", "train"):
        model = model_of(state).train(mode == "train")
        x = images[0].clone().requires_grad_()
        logits = model(x)
        loss = F.cross_entropy(logits, labels[0])
        loss.backward()
        out[f"{mode}.logits"], out[f"{mode}.loss"] = logits.detach(), loss.detach().reshape(1)
        out[f"{mode}.images.grad"] = x.grad
        for name, p in model.named_parameters():
            if mode == "train" or p.dim() < 4 or name == "conv1.weight":
                out[f"{mode}.grad.{name}"] = p.grad

    for kind in ("nesterov", "plain"):
        model = model_of(state).train()
        options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}
        sgd = torch.optim.SGD(model.parameters(), nesterov=kind == "nesterov", **options)
        for i in range(2):
            sgd.zero_grad()
            F.cross_entropy(model(images[i]), labels[i]).backward()
            if kind == "plain":
                norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                assert norm > 0.5, "the clip must act"
            sgd.step()
        for name, tensor in model.state_dict().items():
            if "running" not in name or kind == "plain":
                out[f"{kind}.{name}"] = tensor
    out = {k: v.float() if v.is_floating_point() else v for k, v in out.items()}
    save_file({k: v.contiguous() for k, v in out.items()}, FOLDER / "resnet_expected.safetensors")


def check(args):
    model = ResNet18(args.channels, args.classes, args.width)
    model.load_state_dict(load_file(args.check))
    x = torch.full((1, args.channels, 32, 32), 0.5)
    print(model.eval()(x).tolist()[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", help="a weight file that toxscreen wrote")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--classes", type=int, default=10)
    args = parser.parse_args()
    check(args) if args.check else fixtures()
