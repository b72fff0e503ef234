"""Writes the fixture of hypergradients by the weight of each row, in float64.

    python benches/peers/make_row_weight_fixtures.py

The validation loss is differentiated through the whole training, of which row i's loss counts for weight i.
Before it is written, the derivative is compared with central differences.
"""

import torch
import torch.nn.functional as F

from make_bilevel_fixtures import FIXTURES, assert_close, differences, flat, number, numbers
from make_fixtures import generator, uniform, write

ROWS, VALID, FEATURES, STEPS, LR = 12, 6, 5, 9, 0.4


def losses(weights, x, y, leak):
    """The cross-entropy of each row."""
    for i in range(0, len(weights), 2):
        x = torch.addmm(weights[i + 1], x, weights[i])
        if i < len(weights) - 2:
            x = F.leaky_relu(x, leak)
    if x.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(x[:, 0], y.double(), reduction="none")
    return F.cross_entropy(x, y, reduction="none")


def trained_loss(start, rows, valid, row_weights, leak, graph):
    weights = [w.clone().requires_grad_() for w in start]
    for _ in range(STEPS):
        loss = (row_weights * losses(weights, *rows, leak)).mean()
        gradient = torch.autograd.grad(loss, weights, create_graph=graph)
        weights = [w - LR * g for w, g in zip(weights, gradient)]
        if not graph:
            weights = [w.detach().requires_grad_() for w in weights]
    return losses(weights, *valid, leak).mean(), weights


def case(name, seed, hidden, classes):
    rng, leak = generator(seed), 0.01
    widths = (FEATURES, *hidden, 1 if classes == 2 else classes)
    start = []
    for fan_in, fan_out in zip(widths, widths[1:]):
        start += [uniform(rng, (fan_in, fan_out)), uniform(rng, (fan_out,), -0.3, 0.3)]
    rows = (uniform(rng, (ROWS, FEATURES)), torch.arange(ROWS) % classes)
    valid = (uniform(rng, (VALID, FEATURES)), torch.arange(VALID) % classes)
    row_weights = uniform(rng, (ROWS,), 0.0, 1.0)
    row_weights[3] = 0.0

    by_graph = row_weights.clone().requires_grad_()
    loss, weights = trained_loss(start, rows, valid, by_graph, leak, True)
    (gradient,) = torch.autograd.grad(loss, by_graph)
    found = differences(
        lambda at: trained_loss(start, rows, valid, at, leak, False)[0].item(), row_weights
    )
    assert_close(name, "by row weight, by differences", found, gradient, 1e-6)
    return {
        "name": name,
        "hidden": list(hidden),
        "classes": classes,
        "leak": leak,
        "lr": LR,
        "steps": STEPS,
        "start": numbers(flat(start)),
        "rows": numbers(rows[0]),
        "labels": rows[1].tolist(),
        "valid": numbers(valid[0]),
        "valid_labels": valid[1].tolist(),
        "row_weights": numbers(row_weights),
        "final": numbers(flat(weights)),
        "valid_loss": number(loss),
        "gradient": numbers(gradient),
    }


if __name__ == "__main__":
    cases = [
        case("logistic", 1, (), 2),
        case("softmax", 2, (), 4),
        case("net", 3, (5, 3), 2),
        case("net of three classes", 4, (7,), 3),
    ]
    write(FIXTURES / "row_weights.json", {"cases": cases})
