"""ENAS macro search in plain PyTorch: the child network with every clean and poison op, its SGD
step, and the LSTM controller with its REINFORCE update.

Written from the description of the method, not from the Rust code, so that the two can be held
against each other: `make_fixtures.py` writes the values that the Rust tests must reproduce and
`enas_step.py` times the same training step.

Weight names and shapes (PyTorch layout: conv [out, in / groups, kh, kw], transposed conv
[in, out, kh, kw], linear [out, in]); C = channels, k = kernel size:

    stem.conv.weight [C, in, 3, 3]            stem.bn.weight, stem.bn.bias [C]
    layers.I.ops.OP.<weights of the op, below>
    layers.I.bn.weight, layers.I.bn.bias [C]
    reductions.R.J.path1.weight, .path2.weight [C/2, C, 1, 1], .bn.weight, .bn.bias [C]
                                              (R = 0, 1; J = the earlier layer it halves)
    classify.weight [classes, C], classify.bias [classes]

    convK, sepK, pools, stretched   first.conv.weight [C, C, 1, 1], first.bn.weight, first.bn.bias
    convK, stretched                second.conv.weight [C, C, k, k], second.bn.weight, .bias
    sepK                            second.depthwise.weight [C, 1, k, k],
                                    second.pointwise.weight [C, C, 1, 1] ([C, 1, 1, 1] for
                                    pointwise="reference"), second.bn.weight, .bias
    transposedK                     weight [C, C, k, k]
    identity, gaussian, dropout     none

    controller: g_emb [1, H], w_emb [branches, H], w_soft [branches, H], w_attn_1 [H, H],
    w_attn_2 [H, H], v_attn [1, H], lstm.weight_ih [4H, H], lstm.weight_hh [4H, H],
    lstm.bias_ih [4H], lstm.bias_hh [4H] (gates stacked in the order i, f, g, o)
"""

import math
import re

import torch
import torch.nn as nn
import torch.nn.functional as F


class BatchNorm(nn.Module):
    """Batch statistics in training and evaluation alike; biased variance, eps 1e-5."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=1e-5)


def conv(inputs, outputs, k, groups=1, padding=None, dilation=1):
    """A conv without bias, same size by default, Kaiming uniform (fan-in, ReLU gain)."""
    padding = k // 2 if padding is None else padding
    module = nn.Conv2d(
        inputs, outputs, k, padding=padding, dilation=dilation, groups=groups, bias=False
    )
    nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
    return module


class ConvBnRelu(nn.Module):
    def __init__(self, channels, k, padding=None, dilation=1):
        super().__init__()
        self.conv = conv(channels, channels, k, padding=padding, dilation=dilation)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class SepBnRelu(nn.Module):
    """Depthwise k x k, then 1x1; `reference` gives the 1x1 one group a channel (no mixing)."""

    def __init__(self, channels, k, pointwise):
        super().__init__()
        groups = channels if pointwise == "reference" else 1
        self.depthwise = conv(channels, channels, k, groups=channels)
        self.pointwise = conv(channels, channels, 1, groups=groups)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        return F.relu(self.bn(self.pointwise(self.depthwise(x))))


class TwoStep(nn.Module):
    """1x1 conv, BN, ReLU, then a second part: conv, separable conv or pool."""

    def __init__(self, channels, second):
        super().__init__()
        self.first = ConvBnRelu(channels, 1)
        self.second = second

    def forward(self, x):
        return self.second(self.first(x))


class Identity(nn.Module):
    def forward(self, x):
        return x


class Gaussian(nn.Module):
    """x + sigma * detach(x) * N(0, 1) in training. `noise`, if set, replaces the draw."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma
        self.noise = None

    def forward(self, x):
        if not self.training:
            return x
        noise = torch.randn_like(x) if self.noise is None else self.noise
        return x + self.sigma * x.detach() * noise


class Dropout(nn.Module):
    """PyTorch's dropout: for p = 1 exact zeros and a zero gradient."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p, training=self.training)


class Transposed(nn.Module):
    """A bare transposed conv, stride 1, padding k/2: no bias, no BN, no ReLU.

    Initialised as the other convs, with fan-in = input channels * k * k. (The reference code
    leaves transposed convs at PyTorch's default, which is smaller by a factor sqrt(6).)
    """

    def __init__(self, channels, k):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, k, k))
        bound = math.sqrt(6.0 / (channels * k * k))
        nn.init.uniform_(self.weight, -bound, bound)
        self.padding = k // 2

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, padding=self.padding)


def make_op(name, channels, pointwise="dense"):
    """The op of a short name: conv3, sep5, avgpool3, gaussian(10), stretched(3,50,50), ..."""
    match = re.fullmatch(r"([a-z]+)(\d*)(?:\(([\d.,]+)\))?", name)
    if match is None:
        raise ValueError(f"{name!r} is not an op")
    kind, k = match[1], int(match[2] or 0)
    numbers = [float(n) for n in (match[3] or "").split(",") if n]
    if kind == "conv":
        return TwoStep(channels, ConvBnRelu(channels, k))
    if kind == "sep":
        return TwoStep(channels, SepBnRelu(channels, k, pointwise))
    if kind == "avgpool" and k == 3:
        return TwoStep(channels, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=True))
    if kind == "maxpool" and k == 3:
        return TwoStep(channels, nn.MaxPool2d(3, stride=1, padding=1))
    if kind == "identity":
        return Identity()
    if kind == "gaussian":
        return Gaussian(numbers[0])
    if kind == "dropout":
        return Dropout(numbers[0])
    if kind == "transposed":
        return Transposed(channels, k)
    if kind == "stretched":
        k, padding, dilation = (int(n) for n in numbers)
        return TwoStep(channels, ConvBnRelu(channels, k, padding, dilation))
    raise ValueError(f"{name!r} is not an op")


class FactorizedReduction(nn.Module):
    """Halves a map: every second pixel, and every second pixel of the map shifted by one."""

    def __init__(self, channels):
        super().__init__()
        self.path1 = conv(channels, channels // 2, 1)
        self.path2 = conv(channels, channels // 2, 1)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [self.path1(x[:, :, ::2, ::2]), self.path2(shifted[:, :, ::2, ::2])]
        return self.bn(torch.cat(halves, dim=1))


class Layer(nn.Module):
    def __init__(self, ops, channels, pointwise):
        super().__init__()
        self.ops = nn.ModuleDict({name: make_op(name, channels, pointwise) for name in ops})
        self.bn = BatchNorm(channels)

    def forward(self, x, earlier, op, skips):
        # Not in place: for identity-like ops `out` is `x` itself, which later layers still need.
        out = self.ops[op](x)
        for output, skip in zip(earlier, skips, strict=True):
            if skip:
                out = out + output
        return self.bn(out)


class Child(nn.Module):
    """The supernet; `forward(images, architecture)` runs one of its children.

    An architecture is a list of {"op": short name, "skips": one 0/1 for each earlier layer}.
    """

    def __init__(
        self, ops, layers=12, channels=36, inputs=3, classes=10, keep_prob=0.9, pointwise="dense"
    ):
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv = conv(inputs, channels, 3)
        self.stem.bn = BatchNorm(channels)
        self.layers = nn.ModuleList(Layer(ops, channels, pointwise) for _ in range(layers))
        self.halved_after = [layers // 3 - 1, 2 * (layers // 3) - 1]
        self.reductions = nn.ModuleList(
            nn.ModuleList(FactorizedReduction(channels) for _ in range(last + 1))
            for last in self.halved_after
        )
        # PyTorch's default initialisation: uniform(-1/sqrt(C), 1/sqrt(C)), weight and bias.
        self.classify = nn.Linear(channels, classes)
        self.drop = 1.0 - keep_prob

    def forward(self, images, architecture):
        x = self.stem.bn(self.stem.conv(images))
        outputs = []
        for i, (layer, choice) in enumerate(zip(self.layers, architecture, strict=True)):
            x = layer(x, outputs, choice["op"], choice["skips"])
            outputs.append(x)
            if i in self.halved_after:
                halve = self.reductions[self.halved_after.index(i)]
                outputs = [reduce(output) for reduce, output in zip(halve, outputs, strict=True)]
                x = outputs[-1]
        pooled = x.mean(dim=(2, 3))
        return self.classify(F.dropout(pooled, self.drop, training=self.training))


def child_optimizer(child, lr=0.05):
    return torch.optim.SGD(
        child.parameters(), lr=lr, momentum=0.9, nesterov=True, weight_decay=2.5e-4
    )


def child_step(child, optimizer, images, labels, architecture, grad_clip=5.0):
    """One training step of one architecture; returns (loss, gradient norm before the clip).

    Weights that the architecture does not use have no gradient and stay as they are.
    """
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(child(images, architecture), labels)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(child.parameters(), grad_clip)
    optimizer.step()
    return loss.detach(), norm


class Controller(nn.Module):
    """LSTM that draws a branch and skips for each layer.

    `carry_second` says whether the LSTM state after the second step of a layer (the one that
    reads the branch's embedding) goes on to the next layer, as in the ENAS paper's code. In the
    reference code of the poisoning paper it is dropped: the next layer's first step starts from
    the state after this layer's first step.
    """

    def __init__(self, branches, layers=12, hidden=64, carry_second=True):
        super().__init__()
        self.layers = layers
        self.hidden = hidden
        self.carry_second = carry_second
        self.tanh_constant = 1.5
        self.skip_target = 0.4

        def uniform(*shape, bound=0.1):
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.g_emb = uniform(1, hidden)
        self.w_emb = uniform(branches, hidden)
        self.w_soft = uniform(branches, hidden)
        self.w_attn_1 = uniform(hidden, hidden)
        self.w_attn_2 = uniform(hidden, hidden)
        self.v_attn = uniform(1, hidden)
        self.lstm = nn.Module()
        self.lstm.weight_ih = uniform(4 * hidden, hidden)
        self.lstm.weight_hh = uniform(4 * hidden, hidden)
        self.lstm.bias_ih = uniform(4 * hidden, bound=1 / math.sqrt(hidden))
        self.lstm.bias_hh = uniform(4 * hidden, bound=1 / math.sqrt(hidden))

    def step(self, x, state):
        h, c = state
        lstm = self.lstm
        gates = x @ lstm.weight_ih.T + lstm.bias_ih + h @ lstm.weight_hh.T + lstm.bias_hh
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c

    def forward(self, decisions=None):
        """Draws an architecture, or follows `decisions`: a list of {"branch", "skips"}.

        Returns (decisions, log-probability, entropy, skip penalty). The first two sums run over
        all decisions; the entropy of a decision is that of its whole distribution, -sum p log p.
        The skip penalty is the mean over the layers that have skips, all but the first.
        """
        zero = self.g_emb.new_zeros(1, self.hidden)
        state = (zero, zero)
        x = self.g_emb
        anchors, keys = [], []
        drawn, log_probs, entropies, penalties = [], [], [], []
        targets = self.g_emb.new_tensor([1 - self.skip_target, self.skip_target])

        def decide(logits, forced):
            """One decision a row."""
            log_p = torch.log_softmax(logits, dim=1)
            p = log_p.exp()
            if forced is None:
                choice = torch.multinomial(p, 1)[:, 0]
            else:
                choice = torch.tensor(forced, dtype=torch.long)
            log_probs.append(log_p.gather(1, choice[:, None]).sum())
            entropies.append(-(p * log_p).sum())
            return choice

        for layer in range(self.layers):
            forced = decisions[layer] if decisions is not None else None
            state = self.step(x, state)
            logits = self.tanh_constant * torch.tanh(state[0] @ self.w_soft.T)
            branch = decide(logits, [forced["branch"]] if forced else None)

            second = self.step(self.w_emb[branch], state)
            if self.carry_second:
                state = second
            h2 = second[0]

            skips = torch.empty(0, dtype=torch.long)
            if layer == 0:
                x = self.g_emb
            else:
                query = torch.tanh(torch.cat(keys) + h2 @ self.w_attn_2.T) @ self.v_attn.T
                logits = self.tanh_constant * torch.tanh(torch.cat([-query, query], dim=1))
                skips = decide(logits, forced["skips"] if forced else None)
                s = torch.sigmoid(logits)
                penalties.append((s * torch.log(s / targets)).sum())
                mask = skips.to(h2.dtype)[None]
                x = mask @ torch.cat(anchors) / (1 + mask.sum())
            anchors.append(h2)
            keys.append(h2 @ self.w_attn_1.T)
            drawn.append({"branch": int(branch), "skips": skips.tolist()})

        return (
            drawn,
            torch.stack(log_probs).sum(),
            torch.stack(entropies).sum(),
            torch.stack(penalties).mean(),
        )


def controller_optimizer(controller, lr=1e-3):
    return torch.optim.Adam(controller.parameters(), lr=lr, betas=(0.0, 0.999), eps=1e-3)


def controller_loss(
    log_prob,
    entropy,
    penalty,
    accuracy,
    baseline,
    entropy_weight=1e-4,
    skip_weight=0.8,
    baseline_decay=0.99,
    differentiate_reward=False,
):
    """Loss of one sample and the new baseline (None before the first sample).

    `differentiate_reward` lets the gradient flow through the entropy term of the reward, as the
    reference code does by accident; REINFORCE holds the reward constant.
    """
    reward = accuracy + entropy_weight * (entropy if differentiate_reward else entropy.detach())
    if baseline is None:
        baseline = torch.as_tensor(accuracy, dtype=log_prob.dtype)
    else:
        baseline = baseline - (1 - baseline_decay) * (baseline - reward.detach())
    return -log_prob * (reward - baseline) + skip_weight * penalty, baseline
