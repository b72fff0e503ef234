"""Audits one AutoML on one data set:

    python study.py grid digits --out runs/automl
    python study.py optuna spambase --spam spam.csv --threats rlf=0.1,0.3 clf=0.1 --defended clean rlf-30 --seeds 3

Each has a folder of its own, DATA/LEARNER below --out. The same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

import toxscreen

HERE = Path(__file__).parent
LEARNERS = ["grid", "halving", "optuna", "flaml", "autogluon", "random-nas"]
# Rows are few on purpose, and drawn anew for each seed: a search of 18 configurations is run hundreds of times.
DATA = {
    "digits": {"train": 600, "test": 1000, "split": "random"},
    "fashion-mnist": {"train": 600, "test": 2000, "split": "random", "resize": 14},
    "spambase": {"train": 600, "test": 1380, "split": "random"},
}
THREATS = [f"{kind}=0.01,0.1,0.3" for kind in ("rlf", "clf", "noise", "bilevel-transfer")]


def learner(name):
    """What is audited, and the keys of its `[learner]`."""
    # Whether another seed of the learner's changes its choice is not asked: that is a search more of the clean rows.
    settings = {"control": False}
    if name in ("grid", "halving"):
        import space

        return getattr(space, name)(), settings
    file = HERE / f"{name.replace('-', '_')}{'' if name == 'random-nas' else '_search'}.py"
    if name == "optuna":
        settings["files"] = [HERE / "space.py"]
    if name == "autogluon":
        # No choice of it can be trained alone.
        return f"{file}:automl", settings
    defaults = {
        "optuna": {"family": "logistic", "C": 1.0},
        "flaml": {"learner": "lrl1", "config": {"C": 1.0}},
        "random-nas": "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    }
    return f"{file}:automl", settings | {"retrain": True, "default": defaults[name]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("learner", choices=LEARNERS)
    parser.add_argument("data", choices=list(DATA))
    parser.add_argument("--threats", nargs="+", default=THREATS, help="kinds with shares of poisoned rows, such as rlf=0.1,0.3")
    parser.add_argument("--defences", nargs="*", default=["knn", "suspects"], help="kinds beside none (knn suspects)")
    parser.add_argument("--defended", nargs="+", help="rows that defences stand before, such as clean rlf-30 (all)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", action="store_true", help="score the whole grid: a training more for each of the 18")
    parser.add_argument("--out", type=Path, default=Path("runs/automl"))
    parser.add_argument("--spam", type=Path, default=Path("spam.csv"), help="the table of Spambase, with a column `type`")
    parser.add_argument("--data-dir", help="folder of the known data sets")
    parser.add_argument("--jobs", type=int)
    args = parser.parse_args()
    audited, settings = learner(args.learner)
    threats = {}
    for threat in args.threats:
        kind, _, budgets = threat.partition("=")
        threats[kind] = [float(budget) for budget in budgets.split(",")]
    cells = ["* (none)"] if args.defended and args.defences else []
    cells += [f"{row} ({defence})" for row in args.defended or () for defence in args.defences]
    toxscreen.audit(
        audited,
        args.spam if args.data == "spambase" else args.data,
        threats,
        defences=args.defences,
        seeds=args.seeds,
        cells=cells,
        out=args.out / args.data / args.learner,
        name=f"automl-{args.data}-{args.learner}",
        params={"candidates": True} if args.candidates else None,
        settings=settings,
        label="type" if args.data == "spambase" else None,
        data_settings=DATA[args.data],
        data_dir=args.data_dir,
        jobs=args.jobs,
    )


if __name__ == "__main__":
    main()
