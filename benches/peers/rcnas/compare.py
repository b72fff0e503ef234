"""Runs toxscreen's and PyTorch's PGD-20 and TRADES step in turn and prints how many times as fast ours is.

    python benches/peers/rcnas/compare.py --label "2026-11-22, quiet"

From the repository's root. Each round runs one after the other, so that all see the same machine; a
ratio is that of the medians of all rounds, against the faster of PyTorch's layouts. Rows are appended to
benches/results/robust.csv.
"""

import argparse
import collections
import csv
import os
import pathlib
import statistics
import subprocess
import sys

PATH = pathlib.Path("benches/results/robust.csv")
FIELDS = ["label", "program", "set_or_layout", "threads", "batch", "what", "seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=1, help="in a round, after one warm-up")
    parser.add_argument("--label", default="", help="first column of the rows")
    parser.add_argument("--ours", help="the built benchmark; by default cargo builds and runs it")
    args = parser.parse_args()

    path = str(PATH.resolve())
    sizes = [f"--{n}={getattr(args, n)}" for n in ("threads", "batch", "repeats")]
    spaced = [part for size in sizes for part in size.split("=")]
    cargo = ["cargo", "bench", "-q", "-p", "tox-robust", "--bench", "robust", "--"]
    ours = ([args.ours] if args.ours else cargo) + spaced
    peer = [sys.executable, "benches/peers/rcnas/robust.py", *sizes]
    programs = [ours] + [peer + [f"--weights={way}"] for way in ("fixed", "tracked")]
    if not PATH.exists():
        PATH.write_text(",".join(FIELDS) + "\n")
    before = sum(1 for _ in PATH.open()) - 1
    for number in range(args.rounds):
        print(f"round {number + 1}, load before {os.getloadavg()[0]:.2f}", flush=True)
        for program in programs:
            subprocess.run([*program, "--csv", path, "--label", args.label], check=True)

    seconds = collections.defaultdict(list)
    with PATH.open(newline="") as file:
        for row in list(csv.DictReader(file))[before:]:
            seconds[row["what"], row["program"], row["set_or_layout"]].append(float(row["seconds"]))
    for what in ("pgd", "trades"):
        medians = {key[1:]: statistics.median(s) for key, s in seconds.items() if key[0] == what}
        mine = next(s for (program, _), s in medians.items() if program == "toxscreen")
        print(f"{what}: toxscreen {mine:.3f} s")
        for (program, way), median in medians.items():
            if program != "toxscreen":
                print(f"  {program} {way}: {median:.3f} s, {median / mine:.2f} times as long")


if __name__ == "__main__":
    main()
