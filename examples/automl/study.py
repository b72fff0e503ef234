"""Audits one AutoML on one data set:

    python study.py grid digits --out runs/automl
    python study.py optuna spambase --budgets 0.1,0.3 --seeds 3

Each has a folder of its own, DATA/LEARNER below --out. The same command goes on where it was stopped.
"""

import argparse
from pathlib import Path

import toxscreen

HERE = Path(__file__).parent
LEARNERS = ["grid", "halving", "optuna", "flaml", "autogluon", "random-nas"]
# Rows are few on purpose: a search of 18 configurations is run hundreds of times.
DATA = {
    "digits": {"data": "digits", "settings": {"train": 800, "test": 360}},
    "fashion-mnist": {"data": "fashion-mnist", "settings": {"train": 1000, "test": 2000}},
    "spambase": {"data": "spam.csv", "settings": {"train": 600, "test": 1380, "split": "random"}},
}
# What a poison can be made of: clf needs images for its network, noise pixels of 8 bits.
THREATS = {"digits": ["rlf", "clf", "noise", "bilevel-transfer"], "spambase": ["rlf", "bilevel-transfer"]}
THREATS["fashion-mnist"] = THREATS["digits"]


def learner(name):
    """What is audited, and the keys of its `[learner]`."""
    if name in ("grid", "halving"):
        import space

        return getattr(space, name)(), {}
    file = HERE / f"{name.replace('-', '_')}{'' if name == 'random-nas' else '_search'}.py"
    settings = {"files": [HERE / "space.py"] if name == "optuna" else []}
    if name == "autogluon":
        # Bounded by time: the same request may give another answer, and no choice can be trained alone.
        return f"{file}:automl", settings | {"deterministic": False, "tolerance": 3.0}
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
    parser.add_argument("--budgets", default="0.01,0.1,0.3", help="shares of poisoned rows (0.01,0.1,0.3)")
    parser.add_argument("--threats", help="kinds, parted by commas (all that the data can have)")
    parser.add_argument("--defences", default="knn", help="kinds beside none (knn)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", action="store_true", help="score the whole grid: a training more for each of the 18")
    parser.add_argument("--out", type=Path, default=Path("runs/automl"))
    parser.add_argument("--spam", type=Path, default=Path("spam.csv"), help="the table of Spambase, with a column `type`")
    parser.add_argument("--data-dir", help="folder of the known data sets")
    parser.add_argument("--jobs", type=int)
    args = parser.parse_args()
    audited, settings = learner(args.learner)
    budgets = [float(budget) for budget in args.budgets.split(",")]
    kinds = args.threats.split(",") if args.threats else THREATS[args.data]
    source = DATA[args.data]
    toxscreen.audit(
        audited,
        args.spam if args.data == "spambase" else source["data"],
        {kind: budgets for kind in kinds},
        defences=[word for word in args.defences.split(",") if word and word != "none"],
        seeds=args.seeds,
        out=args.out / args.data / args.learner,
        name=f"automl-{args.data}-{args.learner}",
        params={"candidates": True} if args.candidates else None,
        settings=settings,
        label="type" if args.data == "spambase" else None,
        data_settings=source["settings"],
        data_dir=args.data_dir,
        jobs=args.jobs,
    )


if __name__ == "__main__":
    main()
