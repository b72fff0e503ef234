"""How far cells of NAS-Bench-201 lie from the one that gradient cancelling aims at, in edges of six:

    python aim_of_gc.py wide.csv > ../../results/nas_gc_aim.csv

The file is the `wide.csv` of `recipes/nas/gc-aim.toml`. `aim_from_victim` counts the edges of the aim that are unlike the victim's cell,
`clean_from_aim` and `found_from_aim` those of the cells that the clean and the poisoned search of the seed found.
"""

import argparse
import csv
import sys

KEYS = ("search", "cell", "threat", "budget", "seed", "genotype", "accuracy", "rank", "connected_mean", "unreliable")
GC = (
    "gc_victim",
    "gc_victim_accuracy",
    "gc_aim",
    "gc_aim_accuracy",
    "gc_ascent",
    "gc_clean_loss",
    "gc_cosine_before",
    "gc_cosine_after",
    "gc_loss_before",
    "gc_loss_after",
    "alpha_cosine",
)


def unlike(a, b):
    edges = [cell.replace("+", "").strip("|").replace("||", "|").split("|") for cell in (a, b)]
    assert [len(cell) for cell in edges] == [6, 6], (a, b)
    return sum(one != other for one, other in zip(*edges))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    with open(parser.parse_args().rows, newline="") as file:
        rows = list(csv.DictReader(file))
    clean = {row["seed"]: row["genotype"] for row in rows if row["threat"] == "none"}
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([*KEYS, *GC, "aim_from_victim", "clean_from_aim", "found_from_aim"])
    for row in rows:
        aim = row["gc_aim"]
        cells = (row["gc_victim"], clean[row["seed"]], row["genotype"]) if aim else ()
        out.writerow([*(row[key] for key in KEYS + GC), *([unlike(aim, cell) for cell in cells] or [""] * 3)])


if __name__ == "__main__":
    main()
