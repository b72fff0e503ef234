"""What the timing modes share: threads, random CIFAR-like images, the loop and its JSON line."""

import json
import statistics
import time

import torch


def add_arguments(parser, repeats):
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nchw")


def set_up(args):
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)


def images(args, *shape):
    x = torch.randn(*shape)
    return x.contiguous(memory_format=torch.channels_last) if args.layout == "nhwc" else x


def laid_out(args, network):
    return network.to(memory_format=torch.channels_last) if args.layout == "nhwc" else network


def measure(args, what, run):
    """Calls `run` once to warm up, then `repeats` times; prints and returns the median seconds."""
    seconds = []
    for _ in range(args.repeats + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    report = {"what": what, "torch": torch.__version__, "threads": args.threads}
    report |= {"layout": args.layout, "seconds": [round(s, 4) for s in seconds[1:]]}
    print(json.dumps(report | {"warm_up": round(seconds[0], 4), "median": round(median, 4)}))
    return median
