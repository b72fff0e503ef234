"""Robust accuracies of the cells that the searches of a study found:

    python robust_of_found.py ../../results/nas_laptop.csv robust.csv > ../../results/nas_robust.csv

The first file is the `wide.csv` of a study, the second the table that `robust_table.py` makes. `convolutions` counts those of the cell's six ops. `toxscreen run` writes the same
numbers where the recipe has `robustness = [...]`.
"""

import argparse
import csv
import sys

COLUMNS = (
    "robbench_cifar10_val_acc",
    "robbench_cifar10_val_pgd_8_acc",
    "robbench_cifar10_autoattack",
    "jung_cifar10_clean",
    "jung_cifar10_pgd",
    "jung_cifar10_aa_apgd_ce",
    "jung_cifar10_corr",
)
KEYS = ("search", "cell", "threat", "budget", "dataset", "defence", "seed", "genotype", "accuracy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows")
    parser.add_argument("table")
    args = parser.parse_args()
    with open(args.table, newline="") as file:
        table = {row["arch"]: row for row in csv.DictReader(file)}
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([*KEYS, "convolutions", *COLUMNS])
    with open(args.rows, newline="") as file:
        for row in csv.DictReader(file):
            found = table[row["genotype"]]
            convolutions = row["genotype"].count("nor_conv")
            out.writerow([*(row[key] for key in KEYS), convolutions, *(found[column] for column in COLUMNS)])


if __name__ == "__main__":
    main()
