"""Networks of PyTorch, trained for seconds on scikit-learn's digits, which live models are tested on."""

import torch
from torch import nn


class Block(nn.Module):
    """The basic block of He et al. (2016)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.short(x))


def resnet18(width=16, inputs=1, classes=10):
    """ResNet-18 for small images: a 3x3 stem without pooling, four stages of two blocks."""
    layers = [nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(4):
        after = width << stage
        layers += [Block(before, after, 1 if stage == 0 else 2), Block(after, after, 1)]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def cnn(inputs=1, classes=10):
    """Two convolutions and a linear layer, for images of 8x8."""
    return nn.Sequential(
        nn.Conv2d(inputs, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, classes)
    )


def digits():
    """Training and test digits, (n, 1, 8, 8) in 0..=1."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(y)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order[:1397]], y[order[:1397]], x[order[1397:]], y[order[1397:]]


def trained(make, x, y, epochs, noise=0.1):
    """What `make` makes, after some epochs of Adam on noisy images, which make it a little robust, in evaluation mode."""
    torch.manual_seed(0)
    network = make()
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            noisy = (x[rows] + noise * torch.randn_like(x[rows])).clamp(0, 1)
            loss = nn.functional.cross_entropy(network(noisy), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()
