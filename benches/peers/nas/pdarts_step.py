"""One search step of P-DARTS: the alphas on a batch of the search-validation half, then the
weights on a batch of the search-training half.

    python benches/peers/nas/pdarts_step.py --threads 1 --layout nhwc --stage 1

times it (16 channels, batch 96, random 32x32 images, nothing dropped by the skip dropout's rate 0;
--stage 2 and 3 keep the 5 or 3 ops of STAGES on every edge). `Searcher` is also what writes the
fixtures.

First order only: the alpha step takes the gradient at the present weights. Both gradients are
clipped, each at its own total norm 5. A train-mode forward of the alpha step also moves the
running statistics of BN.
"""

import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

import timing
from darts_net import EDGES, PRIMITIVES, SearchNetwork

# (cells, ops on every edge): a mix that a search may keep.
STAGES = {
    1: (5, PRIMITIVES),
    2: (11, ["max_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3"]),
    3: (17, ["skip_connect", "sep_conv_3x3", "dil_conv_5x5"]),
}


class Searcher:
    """SGD (momentum 0.9, decay 3e-4) for weights, Adam for alphas, with P-DARTS' values."""

    def __init__(self, network, lr=0.025, alpha_lr=6e-4, clip=5.0):
        self.network = network
        self.clip = clip
        self.weights = list(network.parameters())
        self.sgd = torch.optim.SGD(self.weights, lr, momentum=0.9, weight_decay=3e-4)
        self.adam = torch.optim.Adam(
            network.arch_parameters(), alpha_lr, betas=(0.5, 0.999), weight_decay=1e-3
        )

    def step(self, train, valid=None):
        """Losses before, and gradient norms before the clip. Batches: (images, labels).

        `valid` is None in the first epochs of a stage, when alphas are frozen.
        """
        self.network.train()
        report = {}
        if valid is not None:
            alphas = self.network.arch_parameters()
            self.adam.zero_grad()
            loss = F.cross_entropy(self.network(valid[0]), valid[1])
            loss.backward()
            norm = nn.utils.clip_grad_norm_(alphas, self.clip)
            self.adam.step()
            report |= {"alpha_loss": loss.item(), "alpha_grad_norm": norm.item()}
        self.sgd.zero_grad()
        loss = F.cross_entropy(self.network(train[0]), train[1])
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.weights, self.clip)
        self.sgd.step()
        return report | {"loss": loss.item(), "grad_norm": norm.item()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    timing.add_arguments(parser, repeats=3)
    parser.add_argument("--stage", type=int, choices=[1, 2, 3], default=1)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells", type=int, help="instead of the stage's 5, 11 or 17")
    parser.add_argument("--batch", type=int, default=96)
    args = parser.parse_args()
    timing.set_up(args)
    cells, ops = STAGES[args.stage]
    cells = args.cells or cells
    switches = [[name in ops for name in PRIMITIVES]] * EDGES
    network = SearchNetwork(args.channels, 10, cells, switches, switches)
    searcher = Searcher(timing.laid_out(args, network))
    batches = [
        (timing.images(args, args.batch, 3, 32, 32), torch.randint(0, 10, (args.batch,)))
        for _ in range(2)
    ]
    what = f"P-DARTS step, stage {args.stage}, {cells} cells, C {args.channels}, batch {args.batch}"
    median = timing.measure(args, what, lambda: searcher.step(*batches))
    print(f"images/s {2 * args.batch / median:.1f} (both batches counted)")


if __name__ == "__main__":
    main()
