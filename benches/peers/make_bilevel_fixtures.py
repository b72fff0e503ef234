"""Writes the fixtures of tox-bilevel's tests: inputs and expected values in float64.

    python benches/peers/make_bilevel_fixtures.py

The keys of each file are explained in README.md. Derivatives are made by differentiating through
the whole training, and before they are written compared with Algorithm 1 and with central
differences.
"""

import gzip
from pathlib import Path

import torch

from bilevel import Learner, by_graph, by_steps, train
from make_fixtures import generator, uniform, write

CRATES = Path(__file__).resolve().parents[2] / "crates"
FIXTURES = CRATES / "tox-bilevel/tests/fixtures"
DIGITS = CRATES / "tox-data/data/digits.csv.gz"


def number(x):
    """Fifteen significant digits."""
    return float(f"{x.item() if torch.is_tensor(x) else x:.15g}")


def numbers(t):
    """A tensor as nested lists."""
    if t.dim() == 0:
        return number(t)
    return [numbers(row) for row in t.detach()]


def flat(weights):
    """Each layer's W as [in][out], then its biases."""
    return torch.cat([w.detach().reshape(-1) for w in weights])


def unflat(vector, like):
    parts = vector.split([w.numel() for w in like])
    return [part.view_as(w) for part, w in zip(parts, like)]


def scaled(pixels, symmetric=False):
    unit = pixels.double() / 255
    return 2 * unit - 1 if symmetric else unit


def pixels(rng, *shape):
    return torch.randint(256, shape, generator=rng)


# Hypergradients

TRAIN, POISON, VALID = 12, 3, 6


def assert_close(name, what, found, expected, tolerance):
    if expected.numel() == 0:
        return
    worst = ((found - expected).abs().max() / expected.abs().max()).item()
    assert worst < tolerance, f"{name}: {what} is off by {worst:.1e} of the largest"


def differences(value, at, step=1e-5):
    """Central differences of a function of one tensor."""
    result = torch.zeros_like(at)
    for i in range(at.numel()):
        offset = torch.zeros_like(at)
        offset.view(-1)[i] = step
        result.view(-1)[i] = (value(at + offset) - value(at - offset)) / (2 * step)
    return result


def check(name, learner, start, parts_of, valid, poison, lambdas, by_poison, by_lambda):
    """Compares the hypergradients with Algorithm 1's and with central differences."""
    outer = [poison.clone().requires_grad_(), lambdas.clone().requires_grad_()]
    _, _, (poison_steps, lambda_steps) = by_steps(learner, start, parts_of(outer[0]), valid, outer)
    assert_close(name, "grad_poison by steps", poison_steps, by_poison, 1e-11)
    assert_close(name, "grad_lambda by steps", lambda_steps, by_lambda, 1e-11)

    def loss(rows, at_lambda):
        weights = train(learner, start, parts_of(rows), at_lambda)
        with torch.no_grad():
            return learner.cross_entropy(weights, [valid]).item()

    found = differences(lambda rows: loss(rows, lambdas), poison)
    assert_close(name, "grad_poison by differences", found, by_poison, 1e-6)
    found = differences(lambda at_lambda: loss(poison, at_lambda), lambdas)
    assert_close(name, "grad_lambda by differences", found, by_lambda, 1e-6)


def at_start(learner, start, parts_of, poison, lambdas, direction):
    """Derivatives of the training loss at the start: what one step of Algorithm 1 needs."""
    weights = [w.clone().requires_grad_() for w in start]
    outer = [poison.clone().requires_grad_(), lambdas.clone().requires_grad_()]
    loss = learner.train_loss(weights, parts_of(outer[0]), outer[1])
    gradient = torch.autograd.grad(loss, weights, create_graph=True)
    # A weight that enters linearly has no second derivative: zeros.
    products = torch.autograd.grad(
        gradient,
        [*weights, *outer],
        grad_outputs=unflat(direction, start),
        materialize_grads=True,
    )
    return {
        "direction": numbers(direction),
        "loss": number(loss),
        "gradient": numbers(flat(gradient)),
        "hessian_direction": numbers(flat(products[: len(weights)])),
        "mixed_poison": numbers(products[-2]),
        "mixed_lambda": numbers(products[-1]),
    }


def hypergradient_case(
    name, seed, hidden=(), classes=2, lambdas=(-2.0,), symmetric=False, features=6, **settings
):
    rng = generator(seed)
    learner = Learner(
        (features, *hidden, 1 if classes == 2 else classes), lr=0.4, steps=7, **settings
    )
    clean = pixels(rng, TRAIN - POISON, features)
    valid = pixels(rng, VALID, features)
    poison = uniform(rng, (POISON, features), -1.0 if symmetric else 0.0, 1.0)
    # Every class is present everywhere.
    labels = torch.arange(TRAIN) % classes
    valid_labels = torch.arange(VALID) % classes
    start = [
        uniform(rng, w.shape) if w.dim() > 1 else uniform(rng, w.shape, -0.3, 0.3)
        for w in learner.start(rng)
    ]
    direction = uniform(rng, flat(start).shape)
    lambdas = torch.tensor(lambdas, dtype=torch.float64)

    clean_rows = scaled(clean, symmetric)
    valid_part = (scaled(valid, symmetric), valid_labels)

    def parts_of(rows):
        return [(clean_rows, labels[:-POISON]), (rows, labels[-POISON:])]

    outer = [poison.clone().requires_grad_(), lambdas.clone().requires_grad_()]
    weights, loss, (by_poison, by_lambda) = by_graph(
        learner, start, parts_of(outer[0]), valid_part, outer
    )
    by_lambda = torch.zeros_like(lambdas) if by_lambda is None else by_lambda
    check(
        name, learner, start, parts_of, valid_part, poison, lambdas, by_poison, by_lambda
    )
    return {
        "name": name,
        "features": features,
        "hidden": list(hidden),
        "classes": classes,
        "leak": learner.leak,
        "penalty": learner.penalty,
        "bias": learner.bias,
        "range": "symmetric" if symmetric else "unit",
        "lr": learner.lr,
        "steps": learner.steps,
        "lambda": numbers(lambdas),
        "clean": clean.tolist(),
        "poison": numbers(poison),
        "labels": labels.tolist(),
        "valid": valid.tolist(),
        "valid_labels": valid_labels.tolist(),
        "start": numbers(flat(start)),
        "final": numbers(flat(weights)),
        "valid_loss": number(loss),
        "grad_poison": numbers(by_poison),
        "grad_lambda": numbers(by_lambda),
        "at_start": at_start(learner, start, parts_of, poison, lambdas, direction),
    }


def hypergradients():
    net = {"hidden": (5, 3)}
    layers = {"lambdas": (-2.5, -1.5, -2.0)}
    return {
        "cases": [
            hypergradient_case("lr, no penalty", 1, lambdas=()),
            hypergradient_case("lr, l2", 2),
            hypergradient_case("lr, l1", 3, penalty="l1", lambdas=(-3.0,)),
            hypergradient_case("lr, l2, bias", 4, bias=True),
            hypergradient_case("lr, l1, bias", 5, bias=True, penalty="l1", lambdas=(-3.0,)),
            hypergradient_case("lr, l2, symmetric", 6, symmetric=True),
            hypergradient_case("softmax lr, l2", 7, classes=3),
            hypergradient_case("net, l2", 8, **net),
            hypergradient_case("net, l2 per layer, leak 0.2", 9, leak=0.2, **net, **layers),
            hypergradient_case("net, l1 per layer", 10, penalty="l1", **net, **layers),
            hypergradient_case(
                "net, l2 per layer, bias, symmetric", 11, bias=True, symmetric=True, **net, **layers
            ),
            hypergradient_case("softmax net, l2", 12, hidden=(4,), classes=3),
        ]
    }


# Algorithm 2

BATCHES = [[0, 5, 18, 30], [3, 11, 24, 37]]
HYPERITERATIONS = 3
# Narrow, so that both ends of the box act: lambda falls in short trainings and rises in long ones.
LAMBDA = {"start": -4.0, "min": -4.5, "max": -3.5, "lr": 0.2}


def digits(classes, count):
    """The first `count` images of two classes as bytes, labels 0 and 1."""
    images, labels = [], []
    for line in gzip.decompress(DIGITS.read_bytes()).decode().splitlines():
        *values, label = map(int, line.split(","))
        if label in classes and len(images) < count:
            images.append([round(value * 255 / 16) for value in values])
            labels.append(classes.index(label))
    return torch.tensor(images), torch.tensor(labels)


def hypergradient(learner, start, rows, labels, chosen, valid, lambdas):
    """Validation loss after training, and its hypergradients by the chosen rows and lambda."""
    outer = [rows[chosen].clone().requires_grad_(), lambdas.clone().requires_grad_()]
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[chosen] = False
    parts = [(rows[rest], labels[rest]), (outer[0], labels[chosen])]
    _, loss, gradients = by_graph(learner, start, parts, valid, outer)
    return loss, gradients


def algorithm2_case(name, norm, alpha, clean, clean_labels, valid, steps, penalty="l2"):
    learner = Learner((clean.shape[1], 1), penalty=penalty, lr=0.5, steps=steps)
    start = learner.start(generator(0), dtype=torch.float64)
    rows, labels = clean.clone(), clean_labels.clone()
    batches = []
    for chosen in BATCHES:
        labels[chosen] = 1 - labels[chosen]
        lambdas = torch.tensor([LAMBDA["start"]], dtype=torch.float64)
        trace = []
        for _ in range(HYPERITERATIONS):
            loss, (by_poison, by_lambda) = hypergradient(
                learner, start, rows, labels, chosen, valid, lambdas
            )
            length = by_poison.norm(dim=1, keepdim=True) if norm == "point" else by_poison.norm()
            # Both steps use the gradient at the old point.
            step = {
                "loss": number(loss),
                "gradient": number(by_poison.norm()),
                "grad_lambda": numbers(by_lambda),
            }
            rows[chosen] = (rows[chosen] + alpha * by_poison / length).clamp(0.0, 1.0)
            lambdas = (lambdas - LAMBDA["lr"] * by_lambda.sign()).clamp(
                LAMBDA["min"], LAMBDA["max"]
            )
            after, _ = hypergradient(learner, start, rows, labels, chosen, valid, lambdas)
            step["lambda_after"] = numbers(lambdas)
            step["loss_after"] = number(after)
            step["poison_after"] = numbers(rows[chosen])
            trace.append(step)
        batches.append({"indices": chosen, "trace": trace})
    return {
        "name": name,
        "norm": norm,
        "alpha": alpha,
        "penalty": penalty,
        "lr": learner.lr,
        "steps": learner.steps,
        "batches": batches,
    }


def algorithm2():
    images, labels = digits((3, 8), 60)
    rows = scaled(images)
    train_rows, train_labels = rows[:40], labels[:40]
    valid = (rows[40:], labels[40:])
    data = (train_rows, train_labels, valid)
    return {
        "clean": images[:40].tolist(),
        "labels": train_labels.tolist(),
        "valid": images[40:].tolist(),
        "valid_labels": valid[1].tolist(),
        "lambda": LAMBDA,
        "cases": [
            algorithm2_case("per point, l2", "point", 0.5, *data, steps=20),
            algorithm2_case("per batch, l2", "batch", 1.5, *data, steps=150),
            algorithm2_case("per point, l1", "point", 0.5, *data, steps=20, penalty="l1"),
        ],
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for file, content in [("bilevel.json", hypergradients()), ("algorithm2.json", algorithm2())]:
        path = FIXTURES / file
        write(path, content)
        print(path.relative_to(CRATES.parent), path.stat().st_size, "bytes")
