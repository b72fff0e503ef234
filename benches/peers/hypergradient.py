"""Times one hypergradient (validation loss by poison rows and lambda) of PyTorch eager.

    python benches/peers/hypergradient.py --threads 2
    python benches/peers/hypergradient.py --threads 2 --hidden 32,8 --steps 700

Prints one JSON line. `--rows cat` trains on torch.cat([clean, poison]); `--rows split`, the
default because it is faster, adds the losses of the two parts, so that nothing is ever
differentiated by a clean row. The data are made from a seed: 8-bit pixels, of which each class
uses about a quarter, scaled to [0, 1].
"""

import argparse
import json
import resource
import statistics
import sys
import time

import torch

from bilevel import Learner, by_graph, by_steps

MODES = {"graph": by_graph, "steps": by_steps}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--n", type=int, default=10000, help="training rows, poison included")
    parser.add_argument("--d", type=int, default=784, help="features")
    parser.add_argument("--poison", type=int, default=350, help="rows that are poison")
    parser.add_argument("--steps", type=int, default=140, help="T, steps of the training")
    parser.add_argument("--hidden", default="", help="hidden widths such as 32,8; none = LR")
    parser.add_argument("--lr", type=float, default=0.05, help="eta")
    parser.add_argument("--log-lambda", type=float, default=-6.0, help="lambda; one, L2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="timed runs, after one of 5 steps")
    parser.add_argument(
        "--mode",
        choices=sorted(MODES),
        default="graph",
        help="through the graph of the whole training, or step by step (Algorithm 1)",
    )
    parser.add_argument("--rows", choices=["split", "cat"], default="split")
    return parser.parse_args()


def make_rows(rng, n, d):
    """Rows in [0, 1] of two classes, and labels 0 and 1."""
    labels = torch.randint(2, (n,), generator=rng)
    used = torch.rand(2, d, generator=rng) < 0.25
    pixels = torch.randint(256, (n, d), generator=rng, dtype=torch.uint8)
    for label in range(2):
        pixels.mul_(used[label] | (labels != label).unsqueeze(1))
    return pixels.float().div_(255.0), labels


def peak_rss():
    """Bytes. Linux counts in KiB, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main():
    args = arguments()
    hidden = [int(width) for width in args.hidden.split(",") if width]
    torch.set_num_threads(args.threads)
    rng = torch.Generator().manual_seed(0)

    rows, labels = make_rows(rng, args.n + args.n // 10, args.d)
    valid = (rows[args.n :], labels[args.n :])
    clean_count = args.n - args.poison
    clean, poison = rows[:clean_count], rows[clean_count : args.n].clone()
    # Flipped labels, as the attack has them.
    train_labels = torch.cat([labels[:clean_count], 1 - labels[clean_count : args.n]])
    lambdas = torch.tensor([args.log_lambda])
    start = Learner((args.d, *hidden, 1)).start(rng)

    def once(steps):
        learner = Learner((args.d, *hidden, 1), lr=args.lr, steps=steps)
        outer = [poison.requires_grad_(), lambdas.requires_grad_()]
        begin = time.perf_counter()
        if args.rows == "cat":
            parts = [(torch.cat([clean, poison]), train_labels)]
        else:
            parts = [(clean, train_labels[:clean_count]), (poison, train_labels[clean_count:])]
        _, loss, gradients = MODES[args.mode](learner, start, parts, valid, outer)
        return time.perf_counter() - begin, loss.item(), [g.norm().item() for g in gradients]

    before = peak_rss()
    once(5)
    results = [once(args.steps) for _ in range(args.runs)]
    seconds = [result[0] for result in results]
    _, loss, (poison_norm, lambda_norm) = results[-1]
    report = {
        "torch": torch.__version__,
        "n": args.n,
        "d": args.d,
        "poison": args.poison,
        "steps": args.steps,
        "hidden": hidden,
        "threads": args.threads,
        "mode": args.mode,
        "rows": args.rows,
        "seconds": [round(s, 4) for s in seconds],
        "median": round(statistics.median(seconds), 4),
        # Beyond the data, which are there before the first run.
        "peak_mib": round((peak_rss() - before) / 2**20, 1),
        "loss": loss,
        "norm_poison": poison_norm,
        "norm_lambda": lambda_norm,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
