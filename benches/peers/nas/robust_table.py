"""Makes the table of robust accuracies that `robustness` of a recipe looks up:

    python robust_table.py NAS-RobBench-201_html.json acc.json nasbench201_accuracies.csv > robust.csv

The first file is that of the page of NAS-RobBench-201 (Wu et al., ICLR 2024), the second that of Jung et al. (ICLR 2023) on
the same page: an entry for each cell by its index in NAS-Bench-201, with shares in a fixed order. Both lie under `files/` in
the repository of the page, TT2408/nasrobbench201hp on GitHub. The table of accuracies gives the arch string of each index.
"""

import argparse
import csv
import json
import lzma
import sys

DATA = ("cifar10", "cifar100", "imagenet16")
ROBBENCH = ("val_acc", "val_fgsm_3_acc", "val_pgd_3_acc", "val_fgsm_8_acc", "val_pgd_8_acc", "autoattack")
JUNG = ("clean", "aa_apgd_ce", "aa_square", "fgsm", "pgd", "corr")


def entries(path):
    """The object that a script assigns, by index; the page names the columns under an empty index."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = json.loads(text[text.index("{"):].rstrip().rstrip(";"))
    found = {int(index): values for index, values in found.items() if index.isdigit()}
    # A cell that computes what another one does names that one.
    return {index: values if isinstance(values, list) else found[int(values)] for index, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("robbench")
    parser.add_argument("jung")
    parser.add_argument("table")
    args = parser.parse_args()
    opened = lzma.open(args.table, "rt") if args.table.endswith(".xz") else open(args.table, newline="")
    with opened as file:
        cells = [(int(row["index"]), row["arch"]) for row in csv.DictReader(file)]
    robbench, jung = entries(args.robbench), entries(args.jung)
    names = [f"robbench_{data}_{name}" for data in DATA for name in ROBBENCH]
    # Corruptions of ImageNet16-120 were not measured.
    names += [f"jung_{data}_{name}" for data in DATA for name in JUNG if (data, name) != ("imagenet16", "corr")]
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["index", "arch", *names])
    for index, arch in cells:
        shares = [*robbench.get(index, []), *jung.get(index, [])]
        if len(shares) != len(names):
            sys.exit(f"cell {index} has {len(shares)} numbers, expected {len(names)}: these are other files")
        out.writerow([index, arch, *(f"{100 * share:.4f}" for share in shares)])


if __name__ == "__main__":
    main()
