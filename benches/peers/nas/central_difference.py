"""How well central differences of first gradients replace second derivatives, in float32.

    python benches/peers/nas/central_difference.py

Two places need a Hessian or mixed derivative times a vector. GC's gradient by delta is the
derivative of grad_x L along r = 2 p ((1 - p) g_c + p g_p) in the targets, about (grad_x L at
w + h r minus that at w - h r) / 2h. GraSP is -w.(H g) = -g.(H w), so the derivative of the weights'
gradient along w itself will do: (grad at (1 + t) w minus that at (1 - t) w) / 2t, times -g.

Exact double backward holds the choices of every ReLU and max pool fixed. A plain difference does
not: a ReLU that flips between the two points adds its whole jump, over 2h. `frozen` evaluates both
points with the choices made at w; then only curvature (h large) and rounding (h small) are left.
"""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

import nb201_net
import net_fixtures
import zero_cost
from darts_net import DARTS_V2, Network, read_genotype
from fixture_files import POISON
from gradient_cancelling import Linear, SmallConv, gradient, joined


class Choices(TorchFunctionMode):
    """Notes the choices of each ReLU and max pool or, given such notes, applies them in turn."""

    def __init__(self, notes=None):
        super().__init__()
        self.given = None if notes is None else iter(notes)
        self.notes = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.relu or func is torch.relu:
            on = args[0] > 0 if self.given is None else next(self.given)
            self.notes.append(on)
            return args[0] * on
        if func is F.max_pool2d:
            x = args[0]
            kwargs.pop("return_indices", None)
            if self.given is None:
                at = F.max_pool2d_with_indices(*args, **kwargs)[1]
            else:
                at = next(self.given)
            self.notes.append(at)
            return x.flatten(2).gather(2, at.flatten(2)).view_as(at)
        return func(*args, **kwargs)


def input_gradient(network, images, labels):
    images = images.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(network(images), labels), images)[0]


def difference(network, targets, g_c, images, labels, p, length, frozen):
    """The gradient by delta at 0; `length` is |h r|."""
    at = joined(targets).detach().clone()

    def move(to):
        with torch.no_grad():
            for target, piece in zip(targets, to.split([t.numel() for t in targets])):
                target.copy_(piece.view_as(target))

    with Choices() as choices:
        g_p = joined(gradient(network, targets, images, labels))
    r = 2 * p * ((1 - p) * g_c + p * g_p)
    h = length / r.norm()
    found = []
    for sign in (1, -1):
        move(at + sign * h * r)
        if frozen:
            with Choices(choices.notes):
                found.append(input_gradient(network, images, labels))
        else:
            found.append(input_gradient(network, images, labels))
    move(at)
    return (found[0] - found[1]) / (2 * h)


def grasp(network, images, labels, t, frozen):
    weights = [layer.weight for layer in zero_cost.layers(network)]
    at = [w.detach().clone() for w in weights]

    def found():
        loss = F.cross_entropy(zero_cost.logits_of(network, images), labels)
        return torch.autograd.grad(loss, weights)

    with Choices() as choices:
        g = found()
    ends = []
    for factor in (1 + t, 1 - t, 1):
        with torch.no_grad():
            for w, start in zip(weights, at):
                w.copy_(start * factor)
        if factor == 1:
            break
        if frozen:
            with Choices(choices.notes):
                ends.append(found())
        else:
            ends.append(found())
    products = [(c * (a - b)).double().sum() for c, a, b in zip(g, *ends)]
    return -(sum(products) / (2 * t)).item()


def grasp_table():
    print("relative error of GraSP, float32")
    torch.manual_seed(0)
    cifar = torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))
    cell = nb201_net.read_cell(net_fixtures.CELL)
    small = net_fixtures.cell_network(), net_fixtures.genotype_network()
    torch.manual_seed(1)
    cases = [
        ("nb201_cell", small[0], net_fixtures.batch(10)),
        ("darts_genotype", small[1], net_fixtures.batch(5)),
        ("NB-201, C 16, N 1", nb201_net.Network(16, 1, 10, cell), cifar),
        ("DARTS V2, 5 cells", Network(16, 10, 5, read_genotype(DARTS_V2)), cifar),
    ]
    for name, network, (images, labels) in cases:
        network.double().train()
        exact = zero_cost.grasp(network, images.double(), labels)
        network.float()
        images = images.float()
        error = abs(zero_cost.grasp(network, images, labels) / exact - 1)
        print(f"{name}: exact {exact:.4g}; double backward {error:.1e}")
        for frozen in (False, True):
            errors = []
            for t in (0.1, 0.03, 0.01, 0.003, 0.001):
                error = abs(grasp(network, images, labels, t, frozen) / exact - 1)
                errors.append(f"t {t}: {error:.1e}")
            print(f"    {'frozen' if frozen else 'plain':7}", "  ".join(errors))


def gc_table():
    tensors = load_file(POISON / "gradient_cancelling.safetensors")
    cases = json.loads((POISON / "gradient_cancelling.json").read_text())
    networks = {
        "linear": Linear(3 * 4 * 4, 4),
        "conv": SmallConv(4, 4, bn=False),
        "conv_bn": SmallConv(4, 4, bn=True),
        "alphas": nb201_net.SearchNetwork(2, 1, 4),
    }
    mean, std = tensors["mean"].view(1, 3, 1, 1), tensors["std"].view(1, 3, 1, 1)
    print("relative error of GC's gradient by delta (L2), float32")
    for name, network in networks.items():
        network.train()
        for key, w in network.named_parameters():
            w.data.copy_(tensors[f"{name}.weights.{key}"])
        targets = [network.alphas] if name == "alphas" else list(network.parameters())
        moved = tensors[f"{name}.moved"].float()
        for target, piece in zip(targets, moved.split([t.numel() for t in targets])):
            target.data = piece.view_as(target).clone()
        images = ((tensors[f"{name}.clean"].double() / 255 - mean) / std)[:8].float()
        labels = tensors[f"{name}.labels"][:8]
        exact = tensors[f"{name}.first_gradient"]
        g_c = tensors[f"{name}.clean_gradient"].float()
        for frozen in (False, True):
            errors = []
            for length in (0.1, 0.03, 0.01, 0.003, 0.001, 0.0001):
                rows = [
                    difference(network, targets, g_c, x, y, cases[name]["p"], length, frozen)
                    for x, y in zip(images.split(4), labels.split(4))
                ]
                error = (torch.cat(rows).double() - exact).norm() / exact.norm()
                errors.append(f"|hr| {length}: {error:.1e}")
            print(f"{name:8} {'frozen' if frozen else 'plain':7}", "  ".join(errors))


def main():
    torch.set_num_threads(1)
    gc_table()
    grasp_table()


if __name__ == "__main__":
    main()
