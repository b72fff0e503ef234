"""Times one full child training step of PyTorch eager: forward, cross-entropy, backward, clip 5,
SGD with Nesterov momentum, for each architecture of a JSON file.

    python benches/peers/enas_step.py --threads 2 --layout both --repeats 2

Each architecture runs one warm-up step and then R timed ones; its time is their median. In the
last line, `total` is all images over the sum of these times, `median` the median over
architectures of images/s. With --layout both, each layout runs in its own process, so that the
peak memory (VmHWM of the process) is its own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

DEFAULT = Path(__file__).resolve().parent.parent / "enas-architectures.json"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=["nchw", "nhwc", "both"], default="both")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--archs",
        default=DEFAULT,
        help="architecture file; the variable TOXSCREEN_BENCH_ARCHS overrides it",
    )
    parser.add_argument("--csv", help="append one line with the result to this file")
    return parser.parse_args()


def processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def measure(args, layout):
    import torch

    from enas import Child, child_optimizer, child_step

    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    space = json.loads(Path(os.environ.get("TOXSCREEN_BENCH_ARCHS", args.archs)).read_text())
    batch, channels = space["batch"], space["channels"]
    child = Child(space["ops"], layers=space["layers"], channels=channels)
    images = torch.randn(batch, 3, 32, 32)
    labels = torch.randint(0, 10, (batch,))
    if layout == "nhwc":
        child = child.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    optimizer = child_optimizer(child)

    print(
        f"PyTorch {torch.__version__} eager, {layout}, {args.threads} threads, batch {batch}, "
        f"{channels} channels, 32x32, median of {args.repeats} after one warm-up"
    )
    times = []
    for index, architecture in enumerate(space["architectures"]):
        seconds = []
        for _ in range(args.repeats + 1):
            start = time.perf_counter()
            loss, _ = child_step(child, optimizer, images, labels, architecture)
            loss.item()
            seconds.append(time.perf_counter() - start)
        times.append(statistics.median(seconds[1:]))
        print(f"architecture {index}: {times[-1]:.3f} s, {batch / times[-1]:.1f} images/s")
    total = batch * len(times) / sum(times)
    median = statistics.median(batch / t for t in times)
    # KiB on Linux, bytes on macOS
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"images/s total {total:.1f} median {median:.1f}")
    print(f"peak RSS {peak:.0f} MiB")
    if args.csv:
        row = [time.strftime("%Y-%m-%d"), processor(), torch.__version__, args.threads, layout]
        row += [f"{total:.1f}", f"{median:.1f}", f"{peak:.0f}"]
        with open(args.csv, "a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write("date,cpu,torch,threads,layout,total,median,peak_rss_mb\n")
            file.write(",".join(str(field) for field in row) + "\n")


def main():
    args = arguments()
    if args.layout != "both":
        measure(args, args.layout)
        return
    for layout in ["nchw", "nhwc"]:
        # A later --layout overrides an earlier one.
        command = [sys.executable, __file__, *sys.argv[1:], "--layout", layout]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
