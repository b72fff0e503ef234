"""ENAS macro search in plain PyTorch: the child network with every clean and poison op, its SGD
step, and the LSTM controller with its REINFORCE update.

Written from the description of the method, not from the Rust code, so that the two can be held
against each other: `make_fixtures.py` writes the values that the Rust tests must reproduce and
`enas_step.py` times the same training step.

Weight names and shapes of the child are in `toxscreen.torch.enas`, which it is; H = hidden units:

    controller: g_emb [1, H], w_emb [branches, H], w_soft [branches, H], w_attn_1 [H, H],
    w_attn_2 [H, H], v_attn [1, H], lstm.weight_ih [4H, H], lstm.weight_hh [4H, H],
    lstm.bias_ih [4H], lstm.bias_hh [4H] (gates stacked in the order i, f, g, o)
"""

import math
import sys
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[2] / "python"))

from toxscreen.torch.enas import (  # noqa: E402, F401
    BatchNorm,
    Child,
    FactorizedReduction,
    Layer,
    make_op,
)


class InPlaceLayer(Layer):
    """A layer with the line that the reference had until December 2021.

    PyTorch sees which outputs it overwrites, and what that does to gradients: nothing of it is said here. A map
    that the op made itself is copied before, since today's ReLU keeps its output for the way back.
    """

    def forward(self, x, earlier, op, skips):
        out = self.ops[op](x)
        if out is not x:
            out = out.clone()
        for output, skip in zip(earlier, skips):
            if skip:
                out += output
        return self.bn(out)


class InPlaceChild(Child):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        for layer in self.layers:
            layer.__class__ = InPlaceLayer


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
