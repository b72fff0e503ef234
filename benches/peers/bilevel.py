"""Hyper-parameter learning under poisoning in plain PyTorch: models, losses and the hypergradient
by reverse mode, as a PyTorch user would write them.

Weights are a flat list [W, b, W, b, ...], W as [in, out]. One output is a binary classifier
(label 1 is its sigmoid), more are a softmax. `lambdas` is a vector of no entry (no
regularisation), one for the model, or one for each layer. Rows come in parts, [(rows, labels),
...], and their mean loss is over all of them: products of rows that need no gradient then cost
nothing.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Learner:
    """What is trained; `widths` are features, hidden units, outputs."""

    widths: tuple
    leak: float = 0.01
    penalty: str = "l2"
    bias: bool = False
    lr: float = 0.1
    steps: int = 140

    def start(self, rng, bias=0.01, dtype=torch.float32):
        """Zeros for logistic regression; Xavier uniform and constant biases for networks."""
        weights = []
        for fan_in, fan_out in zip(self.widths, self.widths[1:]):
            bound = (6.0 / (fan_in + fan_out)) ** 0.5 if len(self.widths) > 2 else 0.0
            weight = torch.rand(fan_in, fan_out, generator=rng, dtype=dtype)
            weights.append((2.0 * weight - 1.0) * bound)
            weights.append(torch.full((fan_out,), bias if bound else 0.0, dtype=dtype))
        return weights

    def scores(self, weights, x):
        last = len(weights) - 2
        for i in range(0, len(weights), 2):
            x = torch.addmm(weights[i + 1], x, weights[i])
            if i < last:
                x = F.leaky_relu(x, self.leak)
        return x

    def cross_entropy(self, weights, parts):
        """Mean over the rows of all parts."""
        total, count = 0.0, 0
        for x, y in parts:
            z = self.scores(weights, x)
            if z.shape[1] == 1:
                z = z.squeeze(1)
                y = y.to(z.dtype)
                loss = F.binary_cross_entropy_with_logits(z, y, reduction="sum")
            else:
                loss = F.cross_entropy(z, y, reduction="sum")
            total, count = total + loss, count + len(y)
        return total / count

    def penalty_term(self, weights, lambdas):
        total = 0.0
        for i in range(0, len(weights) if len(lambdas) else 0, 2):
            factor = lambdas[i // 2 if len(lambdas) > 1 else 0].exp()
            for w in weights[i : i + 2] if self.bias else weights[i : i + 1]:
                if self.penalty == "l2":
                    total = total + factor / 2 * w.square().sum()
                else:
                    total = total + factor * w.abs().sum()
        return total

    def train_loss(self, weights, parts, lambdas):
        return self.cross_entropy(weights, parts) + self.penalty_term(weights, lambdas)


def train(learner, start, parts, lambdas, keep=False):
    """Full-batch gradient descent; the last weights, or with `keep` those of every step."""
    weights = [w.detach() for w in start]
    states = [weights]
    for _ in range(learner.steps):
        weights = [w.requires_grad_() for w in weights]
        loss = learner.train_loss(weights, parts, lambdas)
        gradient = torch.autograd.grad(loss, weights)
        weights = [w.detach() - learner.lr * g for w, g in zip(weights, gradient)]
        if keep:
            states.append(weights)
    return states if keep else weights


def by_graph(learner, start, parts, valid, outer):
    """Differentiates through the whole training: memory grows with its steps.

    `outer` are the tensors to differentiate by; returns the last weights, the validation loss and
    the hypergradients.
    """
    weights = [w.detach().requires_grad_() for w in start]
    *_, lambdas = outer
    for _ in range(learner.steps):
        loss = learner.train_loss(weights, parts, lambdas)
        gradient = torch.autograd.grad(loss, weights, create_graph=True)
        weights = [w - learner.lr * g for w, g in zip(weights, gradient)]
    loss = learner.cross_entropy(weights, [valid])
    return weights, loss, torch.autograd.grad(loss, outer, allow_unused=True)


def by_steps(learner, start, parts, valid, outer):
    """Algorithm 1: keeps the weights of every step, and in the reverse loop makes one step's
    gradient again and takes its vector-Jacobian product. Returns what `by_graph` does."""
    *_, lambdas = outer
    fixed = [(x.detach(), y) for x, y in parts]
    states = train(learner, start, fixed, lambdas.detach(), keep=True)
    weights = [w.detach().requires_grad_() for w in states[-1]]
    loss = learner.cross_entropy(weights, [valid])
    adjoint = torch.autograd.grad(loss, weights)
    totals = [torch.zeros_like(x) for x in outer]
    for state in reversed(states[:-1]):
        state = [w.detach().requires_grad_() for w in state]
        step_loss = learner.train_loss(state, parts, lambdas)
        gradient = torch.autograd.grad(step_loss, state, create_graph=True)
        products = torch.autograd.grad(
            gradient, [*state, *outer], grad_outputs=adjoint, allow_unused=True
        )
        adjoint = [
            a if p is None else a - learner.lr * p for a, p in zip(adjoint, products)
        ]
        for total, product in zip(totals, products[len(state) :]):
            if product is not None:
                total.sub_(product, alpha=learner.lr)
    return weights, loss, totals
