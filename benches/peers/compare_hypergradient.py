"""Runs toxscreen's and PyTorch's hypergradient in turn and prints how many times as fast ours is.

    python benches/peers/compare_hypergradient.py
    python benches/peers/compare_hypergradient.py --steps 700 --hidden 32,8 --threads 2

From the repository's root. Each round runs one after the other, so that both see the same machine;
the ratio is that of the medians of all rounds. Rows are appended to
benches/results/hypergradient.csv.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys

PEER = [sys.executable, "benches/peers/hypergradient.py"]
OURS = ["cargo", "bench", "-q", "-p", "tox-bilevel", "--bench", "hypergradient", "--"]
FIELDS = ["program", "hidden", "n", "d", "poison", "steps", "threads", "median_s", "load"]


def last_json(command):
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, default in [("n", 10000), ("d", 784), ("poison", 350), ("steps", 140)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hidden", default="", help="hidden widths such as 32,8; none = LR")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    threads, hidden = str(args.threads), args.hidden
    sizes = [str(size) for size in (args.n, args.d, args.poison, args.steps)]
    ours = OURS + sizes + ["--threads", threads, "--json"] + (["--hidden", hidden] if hidden else [])
    peer = PEER + [f"--threads={threads}", f"--hidden={hidden}", "--runs=3"]
    peer += [f"--{n}={s}" for n, s in zip(("n", "d", "poison", "steps"), sizes)]

    rows, medians = [], {"toxscreen": [], "pytorch": []}
    for _ in range(args.rounds):
        for program, command, key in [("toxscreen", ours, "median_s"), ("pytorch", peer, "median")]:
            load = os.getloadavg()[0]
            seconds = last_json(command)[key]
            medians[program].append(seconds)
            rows.append([program, hidden or "none", *sizes, threads, seconds, round(load, 2)])
            print(f"{program}: {seconds:.4f} s, load before {load:.2f}", flush=True)
    ratio = statistics.median(medians["pytorch"]) / statistics.median(medians["toxscreen"])
    print(f"toxscreen is {ratio:.1f} times as fast")

    path = pathlib.Path("benches/results/hypergradient.csv")
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
