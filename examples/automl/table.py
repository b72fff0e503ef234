"""The tables of docs/results/automl.md from the results of study.py:

    python table.py runs/automl > tables.md

Accuracies are in percent. Every number is a mean over seeds with a 95 % t-interval, of differences paired by seed where it is a
difference. The last table of a data set compares each two AutoMLs by how much a poison takes from them.
"""

import argparse
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas
from scipy import stats
from toxscreen import Study

THREATS = {"rlf": "random flips", "clf": "confident flips", "noise": "noise", "bilevel-transfer": "bilevel, transferred"}
CELL = ["AutoML", "poison", "share"]
CLAIM = ["claimed", "true", "claimed less true"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --out of study.py, or a folder of automl_DATA_LEARNER.csv")
    args = parser.parse_args()
    tables = {}
    for path in sorted(args.folder.glob("*/*/study/results.csv")):
        data, learner = path.parts[-4:-2]
        tables.setdefault(data, {})[learner] = numbers(Study(path.parent).tidy("pandas"))
    for path in sorted(args.folder.glob("automl_*_*.csv")):
        # Results that were kept: automl_DATA_LEARNER.csv.
        _, data, learner = path.stem.split("_", 2)
        tables.setdefault(data, {})[learner] = numbers(pandas.read_csv(path, keep_default_na=False, na_values=[""]))
    if not tables:
        sys.exit(f"error: {args.folder} has no DATA/LEARNER/study/results.csv: run study.py first")
    for data, learners in tables.items():
        print(f"### {data}\n")
        truths = (row for learner, wide in learners.items() for row in truth(learner, wide))
        table([*CELL, *CLAIM, "drop of true", "searched again gains", "default's drop", "seeds"], truths)
        backs = (row for learner, wide in learners.items() for row in back(learner, wide))
        table([*CELL, "defence", *CLAIM, "gives back", "seeds"], backs)
        table(["poison", "share", "loses more", "than", "by", "p (Holm)"], pairs(learners))


def table(head, rows):
    rows = list(rows)
    if rows:
        print("\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]), end="\n\n")


def numbers(tidy):
    """A row a trial, a column a metric; accuracies in the place of errors, as people say them."""
    keys = ["trial", "seed", "threat_data", "budget_data", "defence"]
    alone = tidy[tidy["level"].isna()]
    found = alone.pivot(index="trial", columns="metric", values="value").reset_index()
    names = {"claimed": "claimed_error", "true": "clean_error"}
    names |= {"kept": "error of the clean choice", "default": "error of the default"}
    for accuracy, error in names.items():
        found[accuracy] = 100 - found[error] if error in found else np.nan
    return tidy[keys].drop_duplicates("trial").merge(found, on="trial")


def cells(wide):
    """Each poison at each share behind each defence: its words, its trials by seed, those of the undefended clean rows."""
    wide = wide.set_index("seed")
    clean = wide[(wide["threat_data"] == "none") & (wide["defence"] == "none")]
    for (threat, share, defence), cell in wide.groupby(["threat_data", "budget_data", "defence"], sort=False):
        words = ["none" if threat == "none" else THREATS.get(threat, threat), f"{100 * share:g} %"]
        yield words, defence, cell, clean


def truth(learner, wide):
    """Without a defence: the claim, the truth and what the poison took."""
    for words, defence, cell, clean in cells(wide):
        if defence == "none":
            poisoned = cell is not clean and words[0] != "none"
            yield [
                learner,
                *words,
                interval(cell["claimed"]),
                interval(cell["true"]),
                interval(cell["claimed"] - cell["true"], sign=True),
                interval(clean["true"] - cell["true"], sign=True) if poisoned else "",
                interval(cell["true"] - cell["kept"], sign=True),
                interval(clean["default"] - cell["default"], sign=True) if poisoned else "",
                str(len(cell)),
            ]


def back(learner, wide):
    """Behind a defence: what it gives back of the accuracy on the same rows without it."""
    without = {tuple(words): cell for words, defence, cell, _ in cells(wide) if defence == "none"}
    for words, defence, cell, _ in cells(wide):
        if defence != "none":
            yield [
                learner,
                *words,
                defence,
                interval(cell["claimed"]),
                interval(cell["true"]),
                interval(cell["claimed"] - cell["true"], sign=True),
                interval(cell["true"] - without[tuple(words)]["true"], sign=True),
                str(len(cell)),
            ]


def pairs(learners):
    """Who loses more under a poison, by seed; p values of all pairs together (Holm)."""
    drops = {}
    for learner, wide in learners.items():
        for words, defence, cell, clean in cells(wide):
            if defence == "none" and words[0] != "none":
                drops.setdefault(tuple(words), {})[learner] = clean["true"] - cell["true"]
    for words, lost in drops.items():
        found = []
        for a, b in combinations(sorted(lost, key=lambda learner: -lost[learner].mean()), 2):
            by = (lost[a] - lost[b]).dropna()
            if len(by) > 1:
                found.append((stats.ttest_1samp(by, 0).pvalue, a, b, by))
        least = 0.0
        for i, (p, a, b, by) in enumerate(sorted(found, key=lambda pair: pair[0])):
            least = max(least, min(1.0, p * (len(found) - i)))
            yield [*words, a, b, interval(by, sign=True), f"{least:.4f}"]


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
