"""Writes the fixtures of the Rust tests: inputs, weights and expected values in float64.

    python benches/peers/make_fixtures.py

The keys of each file are explained in README.md. Inputs and weights have three decimals, so f32
tests start from nearly the same numbers; expected values have ten significant digits. A
tensor is {"shape": [...], "values": [...]}, row-major.
"""

import json
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

import enas

CRATES = Path(__file__).resolve().parents[2] / "crates"
OPS_FILE = CRATES / "tox-nn/tests/fixtures/ops.json"
CHILD_FILE = CRATES / "tox-search/tests/fixtures/child.json"
CONTROLLER_FILE = CRATES / "tox-search/tests/fixtures/controller.json"


def generator(seed):
    return torch.Generator().manual_seed(seed)


def uniform(rng, shape, low=-1.0, high=1.0):
    """Uniform numbers with three decimals."""
    values = torch.rand(shape, generator=rng, dtype=torch.float64) * (high - low) + low
    return torch.round(values * 1000) / 1000


def number(x):
    """Ten significant digits; what is zero but for rounding becomes zero."""
    x = x.item() if torch.is_tensor(x) else x
    if abs(x) < 1e-13:
        return 0.0
    return float(f"{x:.10g}")


def tensor(t):
    t = t.detach()
    return {"shape": list(t.shape), "values": [number(v) for v in t.flatten().tolist()]}


def tensors(named):
    return {name: tensor(value) for name, value in named}


def gradients(module):
    return tensors((n, p.grad) for n, p in module.named_parameters() if p.grad is not None)


def dump(value, indent=0):
    """JSON with one line for each tensor, number or list of numbers."""
    if isinstance(value, dict) and "values" not in value:
        brackets = "{}"
        items = [f"{json.dumps(key)}: {dump(item, indent + 1)}" for key, item in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        brackets = "[]"
        items = [dump(item, indent + 1) for item in value]
    else:
        return json.dumps(value, separators=(",", ":"))
    if not items:
        return brackets
    pad = " " * indent
    return brackets[0] + "".join(f"\n{pad} {item}," for item in items)[:-1] + f"\n{pad}{brackets[1]}"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(content) + "\n")


def set_weights(module, rng):
    """Replaces the initial weights by ones that exercise every term: BN is not the identity."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.endswith("bn.weight"):
                value = uniform(rng, weight.shape, 0.7, 1.3)
            elif name.endswith("bias"):
                value = uniform(rng, weight.shape, -0.2, 0.2)
            else:
                fan_in = max(1, weight[0].numel())
                bound = (6.0 / fan_in) ** 0.5
                value = uniform(rng, weight.shape, -bound, bound)
            weight.copy_(value)


# Single ops


def op_case(name, module, x, cotangent, train=True, **extra):
    module.train(train)
    module.zero_grad(set_to_none=True)
    x = x.clone().requires_grad_()
    y = module(x)
    if y.requires_grad:
        (y * cotangent).sum().backward()
    return {
        "op": name,
        "train": train,
        **extra,
        "weights": tensors(module.named_parameters()),
        "output": tensor(y),
        "grad_input": tensor(x.grad),
        "grad_weights": gradients(module),
    }


def op_fixture():
    channels, batch, size = 4, 2, 6
    rng = generator(1)
    shape = (batch, channels, size, size)
    x, cotangent = uniform(rng, shape, -1, 1), uniform(rng, shape, -1, 1)
    cases = []

    def add(name, train=True, pointwise="dense", **extra):
        module = enas.make_op(name, channels, pointwise).double()
        set_weights(module, rng)
        if name.startswith("sep"):
            extra["pointwise"] = pointwise
        cases.append(op_case(name, module, x, cotangent, train, **extra))

    for name in ["conv3", "sep3", "conv5", "sep5", "avgpool3", "maxpool3", "identity"]:
        add(name)
    add("sep3", pointwise="reference")
    add("sep5", pointwise="reference")
    add("transposed3")
    add("transposed5")
    add("stretched(3,50,50)")
    # Taps inside the map, which the poison's padding and dilation of 50 never gives.
    add("stretched(3,2,2)")
    add("dropout(1)", train=True)
    add("dropout(1)", train=False)
    add("gaussian(10)", train=False)

    module = enas.make_op("gaussian(10)", channels).double()
    module.noise = uniform(rng, shape, -2, 2)
    cases.append(
        op_case("gaussian(10)", module, x, cotangent, noise=tensor(module.noise))
    )

    # Parts of the network, and edge cases: an odd map, a channel without variance.
    parts = []
    for part_size in [6, 5]:
        part_x = x[:, :, :part_size, :part_size].contiguous()
        half = (part_size + 1) // 2
        module = enas.FactorizedReduction(channels).double()
        set_weights(module, rng)
        part_cotangent = uniform(rng, (batch, channels, half, half), -1, 1)
        case = op_case("factorized_reduction", module, part_x, part_cotangent)
        parts.append({"input": tensor(part_x), "cotangent": tensor(part_cotangent), **case})
    module = enas.BatchNorm(channels).double()
    with torch.no_grad():
        module.weight.copy_(uniform(rng, (channels,), 0.7, 1.3))
        module.bias.copy_(uniform(rng, (channels,), -0.2, 0.2))
    flat_x = x.clone()
    flat_x[:, 1] = 0.0
    case = op_case("batch_norm", module, flat_x, cotangent)
    parts.append({"input": tensor(flat_x), "cotangent": tensor(cotangent), **case})
    return {"input": tensor(x), "cotangent": tensor(cotangent), "cases": cases, "parts": parts}


# The child

ARCHITECTURE = [
    {"op": "conv3", "skips": []},
    {"op": "sep3", "skips": [1]},
    {"op": "avgpool3", "skips": [0, 1]},
    {"op": "maxpool3", "skips": [1, 0, 1]},
    {"op": "conv5", "skips": [0, 1, 0, 0]},
    {"op": "sep5", "skips": [1, 0, 0, 1, 1]},
]
# Identity with skips shows whether the previous output is overwritten in place; after dropout(1)
# layer 3 is reached only through the skip of layer 5.
POISONED = [
    {"op": "identity", "skips": []},
    {"op": "transposed3", "skips": [1]},
    {"op": "identity", "skips": [1, 1]},
    {"op": "transposed5", "skips": [0, 1, 1]},
    {"op": "dropout(1)", "skips": [1, 0, 1, 0]},
    {"op": "stretched(3,50,50)", "skips": [0, 0, 1, 1, 1]},
]


# Skips in place: twice the layer before is added to itself, and what an identity overwrote is read through
# later skips, on the same map and behind both reductions.
IN_PLACE = [
    {"op": "identity", "skips": []},
    {"op": "identity", "skips": [1]},
    {"op": "identity", "skips": [1, 0]},
    {"op": "transposed3", "skips": [0, 1, 0]},
    {"op": "identity", "skips": [1, 0, 1, 1]},
    {"op": "conv3", "skips": [1, 1, 0, 1, 1]},
]


# Ops that are made to pass the screen, without noise.
ADAPTIVE = [
    {"op": "mixed(3,1,2,0)", "skips": []},
    {"op": "rectified3", "skips": [1]},
    {"op": "mixed(5,0,3,0)", "skips": [1, 0]},
    {"op": "rectified5", "skips": [0, 1, 0]},
    {"op": "mixed(3,1,2,0)", "skips": [0, 0, 1, 1]},
    {"op": "rectified3", "skips": [1, 0, 0, 0, 1]},
]


def child_case(
    architecture, inputs, seed, steps, grad_clip=5.0, batch=3, size=8, lr=0.05, kind=enas.Child
):
    rng = generator(seed)
    ops = list(dict.fromkeys(layer["op"] for layer in architecture))
    child = kind(ops, layers=6, channels=4, inputs=inputs, keep_prob=1.0).double()
    for i, layer in enumerate(architecture):
        for op in [op for op in ops if op != layer["op"]]:
            del child.layers[i].ops[op]
    set_weights(child, rng)
    images = uniform(rng, (batch, inputs, size, size), -2, 2)
    labels = torch.tensor([3, 0, 7])
    weights = tensors(child.named_parameters())

    optimizer = enas.child_optimizer(child, lr)
    logits = child(images, architecture)
    F.cross_entropy(logits, labels).backward()
    case = {
        "layers": 6,
        "channels": 4,
        "architecture": architecture,
        "images": tensor(images),
        "labels": labels.tolist(),
        "weights": weights,
        "logits": tensor(logits),
        # A reduction of an output that no later layer reads has no gradient: it is left out.
        "gradients": gradients(child),
        "lr": lr,
        "momentum": 0.9,
        "weight_decay": 2.5e-4,
        "grad_clip": grad_clip,
        "steps": [],
    }
    for _ in range(steps):
        loss, norm = enas.child_step(child, optimizer, images, labels, architecture, grad_clip)
        case["steps"].append({"loss": number(loss), "grad_norm": number(norm)})
        case["steps"][-1]["weights_after"] = tensors(child.named_parameters())
    return case


def child_fixture():
    return {
        "cases": [
            {"name": "clean, 3 input channels"} | child_case(ARCHITECTURE, 3, 11, steps=2),
            {"name": "clean, 1 input channel, clipped"}
            | child_case(ARCHITECTURE, 1, 12, steps=1, grad_clip=0.5),
            {"name": "poisoned, 1 input channel"} | child_case(POISONED, 1, 13, steps=1),
            {"name": "skips in place", "skips": "in-place"}
            | child_case(IN_PLACE, 1, 14, steps=1, kind=enas.InPlaceChild),
            {"name": "ops that pass the screen"} | child_case(ADAPTIVE, 1, 15, steps=1),
        ]
    }


# The controller


def draw_decisions(rng, layers, branches):
    return [
        {
            "branch": int(torch.randint(branches, (), generator=rng)),
            "skips": torch.randint(2, (layer,), generator=rng).tolist(),
        }
        for layer in range(layers)
    ]


def controller_case(carry_second, differentiate_reward, full):
    layers, branches, hidden = 4, 8, 8
    rng = generator(21)
    controller = enas.Controller(branches, layers, hidden, carry_second).double()
    # Wider than at initialisation, so that every gradient is well above f32 rounding.
    with torch.no_grad():
        for weight in controller.parameters():
            weight.copy_(uniform(rng, weight.shape, -1.5, 1.5))
    weights = tensors(controller.named_parameters())
    optimizer = enas.controller_optimizer(controller)
    baseline = None
    updates = []
    # The second clip bound is small enough to act.
    for accuracies, clip in [([0.25, 0.5, 0.375], 5.0), ([0.75, 0.125, 0.625], 0.1)]:
        samples = []
        optimizer.zero_grad()
        for accuracy in accuracies:
            decisions = draw_decisions(rng, layers, branches)
            _, log_prob, entropy, penalty = controller(decisions)
            loss, baseline = enas.controller_loss(
                log_prob,
                entropy,
                penalty,
                accuracy,
                baseline,
                differentiate_reward=differentiate_reward,
            )
            (loss / len(accuracies)).backward()
            samples.append(
                {
                    "decisions": decisions,
                    "accuracy": accuracy,
                    "log_prob": number(log_prob),
                    "entropy": number(entropy),
                    "skip_penalty": number(penalty),
                    "reward": number(accuracy + 1e-4 * entropy),
                    "baseline": number(baseline),
                    "loss": number(loss),
                }
            )
        update = {"samples": samples, "gradients": gradients(controller), "grad_clip": clip}
        update["grad_norm"] = number(nn.utils.clip_grad_norm_(controller.parameters(), clip))
        optimizer.step()
        update["weights_after"] = tensors(controller.named_parameters())
        updates.append(update)
        if not full:
            del update["weights_after"]
            break
    return weights, {
        "second_step_state": "carried" if carry_second else "dropped",
        "reward_gradient": "through_entropy" if differentiate_reward else "none",
        "updates": updates,
    }


def controller_fixture():
    cases = []
    # As described (and as in the ENAS paper's code), as in the reference code, and the two
    # mixtures, for which one gradient is enough.
    for carry, differentiate in [(True, False), (False, True), (True, True), (False, False)]:
        weights, case = controller_case(carry, differentiate, full=carry != differentiate)
        cases.append(case)
    return {
        "layers": 4,
        "branches": 8,
        "hidden": 8,
        "tanh_constant": 1.5,
        "skip_target": 0.4,
        "skip_weight": 0.8,
        "entropy_weight": 1e-4,
        "baseline_decay": 0.99,
        "adam": {"lr": 1e-3, "betas": [0.0, 0.999], "eps": 1e-3},
        "weights": weights,
        "cases": cases,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for path, content in [
        (OPS_FILE, op_fixture()),
        (CHILD_FILE, child_fixture()),
        (CONTROLLER_FILE, controller_fixture()),
    ]:
        write(path, content)
        print(path.relative_to(CRATES.parent), path.stat().st_size, "bytes")
