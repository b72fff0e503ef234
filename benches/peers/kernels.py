"""Times single ops of PyTorch eager, forward and backward, as `cargo bench -p tox-nn --bench kernels`.

    python benches/peers/kernels.py --threads 2

Milliseconds, the median of the repeats after one warm-up, in both memory layouts.
"""

import argparse
import statistics
import time

import torch
from torch.nn import functional as F


def ops(c):
    """Name, shapes of the weights, op."""
    return [
        ("conv 1x1", [(c, c, 1, 1)], lambda x, w: F.conv2d(x, w)),
        ("conv 3x3", [(c, c, 3, 3)], lambda x, w: F.conv2d(x, w, padding=1)),
        ("conv 5x5", [(c, c, 5, 5)], lambda x, w: F.conv2d(x, w, padding=2)),
        (
            "depthwise 5x5 + 1x1",
            [(c, 1, 5, 5), (c, c, 1, 1)],
            lambda x, d, p: F.conv2d(F.conv2d(x, d, padding=2, groups=c), p),
        ),
        (
            "batch norm + ReLU",
            [(c,), (c,)],
            lambda x, g, b: F.relu(F.batch_norm(x, None, None, g, b, training=True)),
        ),
        ("max pool 3x3", [], lambda x: F.max_pool2d(x, 3, stride=1, padding=1)),
        ("average pool 3x3", [], lambda x: F.avg_pool2d(x, 3, stride=1, padding=1)),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--channels", type=int, default=36)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    shape = (args.batch, args.channels, args.side, args.side)
    print(f"PyTorch {torch.__version__} eager, {args.threads} threads, {shape}: ms NCHW, ms channels-last")
    for name, weights, op in ops(args.channels):
        medians = []
        for layout in (torch.contiguous_format, torch.channels_last):
            x = (torch.rand(shape) - 0.5).contiguous(memory_format=layout).requires_grad_()
            cotangent = (torch.rand(shape) - 0.5).contiguous(memory_format=layout)
            leaves = [(torch.rand(w) - 0.5).requires_grad_() for w in weights]
            times = []
            for _ in range(args.repeats + 1):
                begin = time.perf_counter()
                torch.autograd.grad(op(x, *leaves), [x, *leaves], cotangent)
                times.append(time.perf_counter() - begin)
            medians.append(1e3 * statistics.median(times[1:]))
        print(f"{name:<20} {medians[0]:7.1f} {medians[1]:7.1f}", flush=True)


if __name__ == "__main__":
    main()
