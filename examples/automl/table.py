"""The table of docs/results/automl.md from the results of study.py:

    python table.py runs/automl > table.md

Every number is a mean over seeds with a 95 % t-interval, of differences paired by seed where it is a difference.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas
from scipy import stats
from toxscreen import Study

THREATS = {"rlf": "random flips", "clf": "confident flips", "noise": "noise", "bilevel-transfer": "bilevel, transferred"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --out of study.py, or a folder of automl_DATA_LEARNER.csv")
    parser.add_argument("--defence", default="none", help="rows behind this defence (none)")
    args = parser.parse_args()
    tables = {}
    for path in sorted(args.folder.glob("*/*/study/results.csv")):
        data, learner = path.parts[-4:-2]
        tables.setdefault(data, []).append((learner, numbers(Study(path.parent).tidy("pandas"))))
    for path in sorted(args.folder.glob("automl_*_*.csv")):
        # Results that were kept: automl_DATA_LEARNER.csv.
        _, data, learner = path.stem.split("_", 2)
        tables.setdefault(data, []).append((learner, numbers(pandas.read_csv(path))))
    if not tables:
        sys.exit(f"error: {args.folder} has no DATA/LEARNER/study/results.csv: run study.py first")
    for data, learners in tables.items():
        print(f"### {data}\n")
        print(
            "| AutoML | poison | share | claimed | true | claimed less true | drop of true | searched again gains | default's drop | seeds |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for learner, wide in learners:
            for line in lines(wide, args.defence):
                print(f"| {learner} | " + " | ".join(line) + " |")
        print()


def numbers(tidy):
    """A row a trial, a column a metric."""
    keys = ["trial", "variant", "seed", "threat_data", "budget_data", "defence"]
    alone = tidy[tidy["level"].isna()]
    found = alone.pivot(index="trial", columns="metric", values="value")
    return tidy[keys].drop_duplicates("trial").merge(found.reset_index(), on="trial")


def lines(wide, defence):
    """Lines of the table: the clean rows first, then each poison by its share."""
    wide = wide[wide["defence"] == defence]
    clean = wide[wide["threat_data"] == "none"].set_index("seed")
    # Accuracies in percent, as people say them; the results have errors.
    for (threat, share), cell in wide.groupby(["threat_data", "budget_data"], sort=False):
        cell = cell.set_index("seed")
        true, claimed = 100 - cell["clean_error"], 100 - cell["claimed_error"]
        kept, default = column(cell, "error of the clean choice"), column(cell, "error of the default")
        yield [
            "none" if threat == "none" else THREATS.get(threat, threat),
            "0 %" if threat == "none" else f"{100 * share:g} %",
            interval(claimed),
            interval(true),
            interval(claimed - true, sign=True),
            "" if threat == "none" else interval((100 - clean["clean_error"]) - true, sign=True),
            "" if kept is None else interval(kept - cell["clean_error"], sign=True),
            "" if default is None or threat == "none" else interval(default - clean["error of the default"], sign=True),
            str(len(cell)),
        ]


def column(cell, name):
    return cell[name] if name in cell and cell[name].notna().any() else None


def interval(values, sign=False):
    """Mean and half width of its 95 % t-interval."""
    values = np.asarray(values.dropna(), dtype=float)
    if len(values) == 0:
        return ""
    mean = f"{values.mean():+.1f}" if sign else f"{values.mean():.1f}"
    if len(values) == 1:
        return mean
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean} ± {half:.1f}"


if __name__ == "__main__":
    main()
