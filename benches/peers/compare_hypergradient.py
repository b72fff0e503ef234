"""Runs toxscreen's and PyTorch's hypergradient in turn and prints how many times as fast ours is.

    python benches/peers/compare_hypergradient.py
    python benches/peers/compare_hypergradient.py --steps 700 --hidden 32,8 --threads 2

From the repository's root. Each round runs one after the other, so that both see the same machine;
the ratio is that of the medians of all rounds. PyTorch's two ways to hold the rows are both run:
`split` is the faster and what the ratio should be quoted against, `cat` what one would write first.
Rows are appended to benches/results/hypergradient.csv.
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
WAYS = ["split", "cat"]
FIELDS = ["program", "hidden", "n", "d", "poison", "steps", "threads", "median_s", "load"]


def last_json(command):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name, default in [("n", 10000), ("d", 784), ("poison", 350), ("steps", 140)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--hidden", default="", help="hidden widths such as 32,8; none = LR")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3, help="of PyTorch's, in a round")
    args = parser.parse_args()

    threads, hidden = str(args.threads), args.hidden
    sizes = [str(size) for size in (args.n, args.d, args.poison, args.steps)]
    ours = OURS + sizes + ["--threads", threads, "--repeats", str(5 * args.runs), "--json"]
    ours += (["--hidden", hidden] if hidden else [])
    peer = PEER + [f"--threads={threads}", f"--hidden={hidden}", f"--runs={args.runs}"]
    peer += [f"--{n}={s}" for n, s in zip(("n", "d", "poison", "steps"), sizes)]

    programs = [("toxscreen", ours, "median_s")]
    programs += [(f"pytorch {way}", peer + [f"--rows={way}"], "median") for way in WAYS]
    rows, medians = [], {program: [] for program, *_ in programs}
    for _ in range(args.rounds):
        for program, command, key in programs:
            load = os.getloadavg()[0]
            seconds = last_json(command)[key]
            medians[program].append(seconds)
            rows.append([program, hidden or "none", *sizes, threads, seconds, round(load, 2)])
            print(f"{program}: {seconds:.4f} s, load before {load:.2f}", flush=True)
    mine, *theirs = (statistics.median(medians[program]) for program, *_ in programs)
    for way, seconds in zip(WAYS, theirs):
        print(f"toxscreen is {seconds / mine:.1f} times as fast as PyTorch, {way}")

    path = pathlib.Path("benches/results/hypergradient.csv")
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(FIELDS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
