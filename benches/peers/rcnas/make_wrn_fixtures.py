"""Writes the fixtures of the tests of wide residual networks and robust blocks.

    python benches/peers/rcnas/make_wrn_fixtures.py            # needs torch and safetensors

`wrn.safetensors` is the state dict of d2,1,1-w1,3,2-r001-b2 for three channels and five classes as
TRADES' code saves it from DataParallel: every name with `module.` before it, `sub_block1` in it.
`rrn.safetensors` is that of rrn-d1,2,1-w1,1,1-r000-b2 (scales 4, base width 40, cardinality 2, SE 8)
under the names of robust-residual-network. In both, gamma, beta and running statistics matter. All else,
in `NET_expected.safetensors`, is computed in float64 and stored as float32:

    images, labels        four images of 9 x 7
    MODE.logits, MODE.loss, MODE.images.grad    MODE = train, eval; mean cross-entropy
    train.grad.WEIGHT     under the names of the state dict, where the weight is used
    train.NORM.running_mean, train.NORM.running_var    after the training pass

Its networks are written from the papers and from what the reference computes; nothing is copied.
"""

from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[3] / "crates/tox-nn/tests/fixtures"


def conv(c_in, c, k, stride=1, groups=1):
    return nn.Conv2d(c_in, c, k, stride, k // 2, groups=groups, bias=False)


class Basic(nn.Module):
    def __init__(self, c_in, c, stride, around, cells=None):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, c, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(c), conv(c, c, 3)
        self.around = None
        if stride > 1 or c_in != c:
            self.around = around
            setattr(self, around, shortcut(around, c_in, c, stride))

    def forward(self, x):
        y = F.relu(self.bn1(x))
        x = getattr(self, self.around)(y) if self.around else x
        return self.conv2(F.relu(self.bn2(self.conv1(y)))) + x


def shortcut(around, c_in, c, stride):
    one = conv(c_in, c, 1, stride)
    return nn.Sequential(one) if around == "shortcut" else one


class SqueezeExcite(nn.Module):
    def __init__(self, c, hidden):
        super().__init__()
        down, up = nn.Linear(c, hidden, bias=False), nn.Linear(hidden, c, bias=False)
        self.fc = nn.Sequential(down, nn.ReLU(), up, nn.Sigmoid())

    def forward(self, z):
        return z * self.fc(z.mean((2, 3)))[:, :, None, None]


class Robust(nn.Module):
    """`c` is what comes out: four times the reference's `planes`."""

    def __init__(self, c_in, c, stride, around, cells):
        super().__init__()
        scales, base_width, cardinality, se = cells
        width = max(1, int(c / 4 * base_width / 160)) * cardinality
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, width * scales, 1)
        self.bn2, self.stride = nn.BatchNorm2d(width * scales), stride
        convs = [conv(width, width, 3, stride, cardinality) for _ in range(scales - 1)]
        self.conv2 = nn.ModuleList(convs)
        self.bn3 = nn.ModuleList([nn.BatchNorm2d(width) for _ in convs])
        self.conv3, self.se_bn = conv(width * scales, c, 1), nn.BatchNorm2d(c)
        self.se = SqueezeExcite(c, max(1, c // se))
        self.around = None
        if stride > 1 or c_in != c:
            self.around = around
            setattr(self, around, shortcut(around, c_in, c, stride))

    def forward(self, x):
        y = F.relu(self.bn2(self.conv1(x)))
        if self.around:
            x = getattr(self, self.around)(F.relu(self.bn1(x)))
        out, parts = [], y.chunk(len(self.conv2) + 1, 1)
        for i, (c, n) in enumerate(zip(self.conv2, self.bn3)):
            part = parts[i] + out[-1] if i and self.stride == 1 else parts[i]
            out.append(F.relu(n(c(part))))
        last = parts[-1] if self.stride == 1 else F.avg_pool2d(parts[-1], 3, self.stride, 1)
        y = self.conv3(torch.cat(out + [last], 1))
        return y + x + self.se(self.se_bn(y))


class Stage(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


def stages(channels, depths, kind, around, cells, robust=(0, 0, 0)):
    c_in, all_stages = channels[0], []
    for i, (c, depth, extra) in enumerate(zip(channels[1:], depths, robust)):
        kinds, blocks = [kind] * depth + [Robust] * extra, []
        for j, block in enumerate(kinds):
            blocks.append(block(c_in, c, 2 if i and not j else 1, around, cells))
            c_in = c
        all_stages.append(Stage(blocks))
    return all_stages


class Trades(nn.Module):
    def __init__(self, channels, depths, robust, cells, classes):
        super().__init__()
        self.conv1 = conv(3, channels[0], 3)
        make = lambda: stages(channels, depths, Basic, "convShortcut", cells, robust)
        self.block1, self.block2, self.block3 = make()
        self.sub_block1 = make()[0]
        self.bn1, self.fc = nn.BatchNorm2d(channels[-1]), nn.Linear(channels[-1], classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(F.relu(self.bn1(x)).mean((2, 3)))


class Robustness(nn.Module):
    def __init__(self, channels, depths, cells, classes):
        super().__init__()
        self.stem_conv = conv(3, channels[0], 3)
        self.blocks = nn.ModuleList(stages(channels, depths, Robust, "shortcut", cells))
        self.norm1, self.fc = nn.BatchNorm2d(channels[-1]), nn.Linear(channels[-1], classes)

    def forward(self, x):
        x = self.stem_conv(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(F.relu(self.norm1(x)).mean((2, 3)))


def exact(tensor):
    return tensor.float().double()


def randomise(model):
    model.double()
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(3)
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(exact(0.2 * torch.randn(tensor.shape, dtype=torch.float64)))
        elif name.endswith("running_var"):
            tensor.copy_(exact(0.5 + torch.rand(tensor.shape, dtype=torch.float64)))
        elif tensor.dim() == 1:
            tensor.copy_(exact(1 + 0.2 * torch.randn(tensor.shape, dtype=torch.float64)))
        else:
            scale = (2 / tensor[0].numel()) ** 0.5
            tensor.copy_(exact(scale * torch.randn(tensor.shape, dtype=torch.float64)))


def single(tensors):
    floats = lambda t: t.float() if t.is_floating_point() else t
    return {name: floats(t.detach()).contiguous().clone() for name, t in tensors.items()}


def write(name, model, prefix):
    randomise(model)
    start = single(model.state_dict())
    save_file({prefix + k: v for k, v in start.items()}, FOLDER / f"{name}.safetensors")
    images = exact(torch.randn(4, 3, 9, 7, dtype=torch.float64))
    labels = torch.tensor([0, 3, 1, 4])
    found = {"images": images, "labels": labels}
    for mode in ("eval", "train"):
        getattr(model, mode)()
        model.zero_grad()
        x = images.clone().requires_grad_()
        logits = model(x)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        found |= {f"{mode}.logits": logits, f"{mode}.loss": loss, f"{mode}.images.grad": x.grad}
    for key, weight in model.named_parameters():
        if weight.grad is not None:
            found[f"train.grad.{key}"] = weight.grad
    for key, value in model.state_dict().items():
        if "running" in key and "sub_block1" not in key:
            found[f"train.{key}"] = value
    save_file(single(found), FOLDER / f"{name}_expected.safetensors")


torch.manual_seed(0)
write("wrn", Trades([2, 2, 12, 16], [2, 1, 1], (0, 0, 1), (8, 10, 4, 64), 5), "module.")
write("rrn", Robustness([2, 8, 16, 32], [1, 2, 1], (4, 40, 2, 8), 5), "")
