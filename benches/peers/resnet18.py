"""Holds `toxscreen attack --arch resnet-18` against PyTorch, on the full-size network under the names of pytorch-cifar.

    python benches/peers/resnet18.py target/release/toxscreen

Weights and batch norms' statistics are random, images too, and their labels are what PyTorch answers. Compared are parameters and
multiply-accumulates (hooks on layers), the classes of all images, and of each image that FGSM fools the sign of the gradient by every
pixel, which the step shows: with an epsilon of 8/255 no pixel of an image in 0.1..0.9 is cut off.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

IMAGES, CLASSES = 16, 10


class Block(nn.Module):
    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)
        self.shortcut = nn.Sequential()
        if stride != 1 or c_in != c:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c, 1, stride, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        for stage in range(4):
            c = 64 << stage
            first = Block(max(64, c // 2) if stage else 64, c, 2 if stage else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, Block(c, c, 1)))
        self.linear = nn.Linear(512, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(x.mean((2, 3)))


def network() -> ResNet18:
    torch.manual_seed(0)
    made = ResNet18()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return made.eval()


def macs(net: nn.Module, x: torch.Tensor) -> int:
    counted = []

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        pixels = out[0, 0].numel() if out.dim() == 4 else 1
        counted.append(module.weight.numel() * pixels)

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    net(x[:1])
    for hook in hooks:
        hook.remove()
    return sum(counted)


def main(program: str) -> None:
    net = network()
    # As bytes over 255, which is what the program reads.
    pixels = torch.randint(26, 230, (IMAGES, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    x = (pixels.float() / 255).requires_grad_()
    logits = net(x)
    labels = logits.argmax(1)
    F.cross_entropy(logits, labels, reduction="sum").backward()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, at / "w.safetensors")
        # A class for each: labels that no image has would be no classes.
        filler = np.arange(CLASSES).repeat(2)
        np.savez(
            at / "d.npz",
            x_train=np.zeros((len(filler), 3, 32, 32), np.uint8),
            y_train=filler,
            x_test=pixels.numpy(),
            y_test=labels.numpy(),
        )
        command = f"{program} attack --weights w.safetensors --data d.npz --valid 2 --normalise none --attack fgsm --json"
        options = ["--epsilon", "8/255", "--out", "adv.npz"]
        ran = subprocess.run([*command.split(), *options], cwd=at, capture_output=True, text=True, check=False)
        if ran.returncode:
            sys.exit(ran.stderr)
        report, found = json.loads(ran.stdout), np.load(at / "adv.npz")
        parameters = sum(p.numel() for p in net.parameters())
        assert report["arch"] == "resnet-18", report["arch"]
        assert report["parameters"] == parameters, (report["parameters"], parameters)
        assert report["macs"] == macs(net, x.detach()), (report["macs"], macs(net, x.detach()))
        assert (found["clean"] == labels.numpy()).all()
        fooled = found["fooled"][:, 0]
        step = np.sign(found["images"] - x.detach().numpy())[fooled]
        signs = x.grad.sign().numpy()[fooled]
        differ = int((step != signs).sum())
        print(f"{parameters} parameters, {report['macs']} multiply-accumulates, {IMAGES} classes: equal")
        print(f"{differ} of {signs.size} signs of {int(fooled.sum())} images differ")
        assert fooled.any(), "FGSM fooled no image"
        # Where they differ the gradient is rounding.
        sizes = np.abs(x.grad.numpy()[fooled])
        assert (sizes[step != signs] < 1e-4 * sizes.mean()).all(), sizes[step != signs]


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
