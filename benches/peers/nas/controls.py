"""What a random cell of NAS-Bench-201 has, for the pages of docs/results:

    python controls.py nasbench201_accuracies.csv > ../../results/nasbench201_controls.csv

The table is that of `toxscreen data ls`, plain or as .xz. A cell is connected if a path of edges that are not `none` leads
from its input to its output.
"""

import argparse
import csv
import lzma
import statistics
import sys

NODES = 3


def edges(genotype):
    """Op by (from, to)."""
    found = {}
    for to, node in enumerate(genotype.split("+"), 1):
        for edge in node.strip("|").split("|"):
            op, source = edge.split("~")
            found[int(source), to] = op
    return found


def connected(genotype):
    found, reached = edges(genotype), {0}
    for to in range(1, NODES + 1):
        if any(source in reached and found[source, to] != "none" for source in range(to)):
            reached.add(to)
    return NODES in reached


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--column", default="cifar10_test_200ep")
    args = parser.parse_args()
    opened = lzma.open(args.table, "rt") if args.table.endswith(".xz") else open(args.table, newline="")
    with opened as file:
        rows = [(row["arch"], float(row[args.column])) for row in csv.DictReader(file)]
    kinds = {
        "all": lambda genotype: True,
        "connected": connected,
        "disconnected": lambda genotype: not connected(genotype),
        "without none": lambda genotype: "none" not in edges(genotype).values(),
    }
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["column", "cells", "number", "mean", "median", "best"])
    for name, holds in kinds.items():
        found = [accuracy for genotype, accuracy in rows if holds(genotype)]
        numbers = [statistics.mean(found), statistics.median(found), max(found)]
        out.writerow([args.column, name, len(found), *(f"{number:.4f}" for number in numbers)])


if __name__ == "__main__":
    main()
