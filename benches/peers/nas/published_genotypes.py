"""The genotypes of a CSV as assignments, `NAME = Genotype(...)`, which `learner.fixed` reads as `FILE#NAME`.

Columns: search, condition, budget_percent (may be empty), run, genotype; other spellings of the concat as a list are
kept. A name is `SEARCH_CONDITION[_BUDGET]_RUN`, without SEARCH where it is the condition.

    python benches/peers/nas/published_genotypes.py GENOTYPES.csv [SEARCH_CONDITION[_BUDGET] ...] > FILE.txt
"""

import csv
import sys


def group(row):
    parts = [row["search"], row["condition"], row["budget_percent"]]
    parts = parts[1:] if row["search"].startswith("random") else parts
    return "_".join(part for part in parts if part).replace("-", "_")


def main(path, *wanted):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    known = {group(row) for row in rows}
    if missing := [name for name in wanted if name not in known]:
        sys.exit(f"{path} has no {', '.join(missing)}; it has {', '.join(sorted(known))}")
    for row in rows:
        if not wanted or group(row) in wanted:
            genotype = row["genotype"].replace("[2, 3, 4, 5]", "range(2, 6)")
            print(f"{group(row)}_{row['run']} = {genotype}")


if __name__ == "__main__":
    main(*sys.argv[1:])
