"""The six training-free metrics of RoBoT: grad_norm, snip, grasp, fisher, synflow, jacov.

    python benches/peers/nas/zero_cost.py --threads 1

times them for one genotype (16 channels, 5 cells, batch 64, random 32x32 images).

With W_l the weight of layer l, over all conv and linear layers (no biases, no BN), g_l its
gradient of the mean cross-entropy L of the batch, BN in training mode:

    grad_norm   sum over l of ||g_l||_2
    snip        sum |W * g|
    grasp       -sum W * (H g), H the Hessian of L by all W together, g held constant
    fisher      a_nc, the output of the layer (before BN), d_nc its gradient:
                sum over channels c of (1/2) mean_n (sum over pixels a_nc d_nc)^2, each counted as
                often as the channel has weights (W[c].numel())
    synflow     with every parameter replaced by its absolute value, one image of ones and R the
                sum of its logits: sum |W * dR/dW|. BN stays, and stays in training mode
    jacov       J_n the gradient of the sum of all logits of the batch by image n, v the
                eigenvalues of the correlation matrix of the rows J_n, k = 1e-5:
                -sum (log(v + k) + 1 / (v + k))

A layer that the loss does not reach counts 0. Values are in the precision of the network, except
synflow, in float64.
"""

import argparse
import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import timing
from darts_net import DARTS_V2, Network, read_genotype

NAMES = ["grad_norm", "snip", "grasp", "fisher", "synflow", "jacov"]


def logits_of(network, images):
    output = network(images)
    return output[0] if isinstance(output, tuple) else output


def layers(network):
    return [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def gradients(network, loss, **options):
    """(W, gradient) of the layers that the loss reaches."""
    weights = [layer.weight for layer in layers(network)]
    found = torch.autograd.grad(loss, weights, allow_unused=True, **options)
    return [(w, g) for w, g in zip(weights, found) if g is not None]


def grad_norm(network, images, labels):
    loss = F.cross_entropy(logits_of(network, images), labels)
    return sum(g.norm() for _, g in gradients(network, loss)).item()


def snip(network, images, labels):
    loss = F.cross_entropy(logits_of(network, images), labels)
    return sum((w * g).abs().sum() for w, g in gradients(network, loss)).item()


def grasp(network, images, labels):
    loss = F.cross_entropy(logits_of(network, images), labels)
    pairs = gradients(network, loss, create_graph=True)
    z = sum((g.detach() * g).sum() for _, g in pairs)
    return -sum((w * hg).sum() for w, hg in gradients(network, z)).item()


def fisher(network, images, labels):
    outputs = {}
    hooks = [
        layer.register_forward_hook(lambda layer, _, out: outputs.update({layer: out}))
        for layer in layers(network)
    ]
    loss = F.cross_entropy(logits_of(network, images), labels)
    found = torch.autograd.grad(loss, list(outputs.values()), allow_unused=True)
    for hook in hooks:
        hook.remove()
    total = 0.0
    for (layer, out), grad in zip(outputs.items(), found):
        if grad is None:
            continue
        per_image = (out * grad).flatten(2).sum(2) if out.dim() > 2 else out * grad
        channels = 0.5 * per_image.pow(2).mean(0)
        total += channels.sum().item() * layer.weight[0].numel()
    return total


def synflow(network, images, labels):
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones(1, *images.shape[1:], dtype=torch.float64)
    total = logits_of(network, ones).sum()
    return sum((w * g).abs().sum() for w, g in gradients(network, total)).item()


def jacov(network, images, labels):
    images = images.detach().clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(logits_of(network, images).sum(), images)
    correlation = np.corrcoef(jacobian.flatten(1).numpy())
    v, k = np.linalg.eigvalsh(correlation), 1e-5
    return float(-np.sum(np.log(v + k) + 1.0 / (v + k)))


def all_metrics(network, images, labels):
    """One fresh forward for each metric, as in the published code."""
    network.train()
    return {name: globals()[name](network, images, labels) for name in NAMES}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    timing.add_arguments(parser, repeats=3)
    parser.add_argument("--genotype", default=DARTS_V2)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--each", action="store_true", help="time every metric on its own too")
    args = parser.parse_args()
    timing.set_up(args)
    network = Network(args.channels, 10, args.cells, read_genotype(args.genotype))
    network = timing.laid_out(args, network)
    images = timing.images(args, args.batch, 3, 32, 32)
    labels = torch.randint(0, 10, (args.batch,))
    what = f"six metrics, {args.cells} cells, C {args.channels}, batch {args.batch}"
    timing.measure(args, what, lambda: all_metrics(network, images, labels))
    for name in NAMES if args.each else []:
        timing.measure(args, name, lambda: globals()[name](network, images, labels))


if __name__ == "__main__":
    main()
