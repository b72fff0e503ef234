"""Times single ops of PyTorch eager, forward and backward, as `cargo bench -p tox-nn --bench kernels`.

    python benches/peers/kernels.py --threads 2

Milliseconds, the median of the repeats after one warm-up, in both memory layouts.
"""

import argparse
import statistics
import time

import torch
from torch.nn import functional as F


def block(c):
    """Shapes of the weights of 1x1, BN, ReLU, 3x3, BN, ReLU."""
    return [(c, c, 1, 1), (c,), (c,), (c, c, 3, 3), (c,), (c,)]


def norm(x, g, b):
    return F.batch_norm(x, None, None, g, b, training=True)


def layers(x, *weights):
    """As many of these blocks as there are weights for."""
    for i in range(0, len(weights), 3):
        w, g, b = weights[i : i + 3]
        x = F.relu(norm(F.conv2d(x, w, padding=w.shape[-1] // 2), g, b))
    return x


def separable(x, *weights):
    """ReLU, depthwise, 1x1, BN, as often as there are weights for."""
    for i in range(0, len(weights), 4):
        d, p, g, b = weights[i : i + 4]
        x = F.conv2d(F.relu(x), d, padding=d.shape[-1] // 2, groups=d.shape[0])
        x = norm(F.conv2d(x, p), g, b)
    return x


def ops(shape):
    """Name, shapes of the weights (and of further maps), op."""
    c = shape[1]
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
        ("1x1, BN, ReLU, 3x3, BN, ReLU", block(c), layers),
        ("12 of these", 12 * block(c), layers),
        ("sep conv 5x5, twice", 2 * [(c, 1, 5, 5), (c, c, 1, 1), (c,), (c,)], separable),
        (
            "sum of 3 + batch norm",
            [shape, shape, (c,), (c,)],
            lambda x, y, z, g, b: F.batch_norm(x + y + z, None, None, g, b, training=True),
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
    parser.add_argument("--csv", help="append the results to this file")
    parser.add_argument("--label", default="", help="first column of the rows")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    shape = (args.batch, args.channels, args.side, args.side)
    print(f"PyTorch {torch.__version__} eager, {args.threads} threads, {shape}: ms NCHW, ms channels-last")
    for name, weights, op in ops(shape):
        medians = []
        for layout in (torch.contiguous_format, torch.channels_last):
            x = (torch.rand(shape) - 0.5).contiguous(memory_format=layout).requires_grad_()
            cotangent = (torch.rand(shape) - 0.5).contiguous(memory_format=layout)
            leaves = [torch.rand(w) - 0.5 for w in weights]
            leaves = [w.contiguous(memory_format=layout) if w.shape == shape else w for w in leaves]
            leaves = [w.requires_grad_() for w in leaves]
            times = []
            for _ in range(args.repeats + 1):
                begin = time.perf_counter()
                torch.autograd.grad(op(x, *leaves), [x, *leaves], cotangent)
                times.append(time.perf_counter() - begin)
            medians.append(1e3 * statistics.median(times[1:]))
        print(f"{name:<28} {medians[0]:7.1f} {medians[1]:7.1f}", flush=True)
        if args.csv:
            with open(args.csv, "a", encoding="utf-8") as file:
                for layout, ms in zip(("nchw", "nhwc"), medians):
                    sizes = f"{args.threads},{args.batch},{args.channels},{args.side}"
                    file.write(f'{args.label},pytorch,{layout},{sizes},"{name}",{ms:.2f}\n')


if __name__ == "__main__":
    main()
