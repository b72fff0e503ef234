"""What `toxscreen harden` advises on twelve data sets, beside scikit-learn's LogisticRegressionCV.

    python benches/peers/harden_sets.py target/release/toxscreen DATA [--sets NAME,...] [--csv FILE]

DATA is the folder of the data sets (`toxscreen data fetch` fills it), and may have tabular/spam.csv
(Spambase, the label in the last column); sets that are not there are left out with a note. Of every set
a quarter of the rows is put aside first, and nothing that toxscreen does sees it. `harden` gets the
rest, once as a user who has C = 1 and once as one who has C = 10000. Then `poison` crafts 10 % poison with other seeds against each C that is compared, scikit-learn is
trained on the clean rows and on every one of these poisons, and is measured on the rows put aside.
Needs numpy and scikit-learn.
"""

import os

# Threads that wait for each other cost more than they bring on rows as few as these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import csv
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

warnings.filterwarnings("ignore")
SEEDS = (11, 12)
BUDGET = 0.1
# What a user has: scikit-learn's default, and next to no penalty.
CURRENT = (1, 10000)


def idx(path):
    with gzip.open(path) as file:
        data = file.read()
    dims = data[3]
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(dims)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)


def images(folder, classes, rows, seed=0):
    x, y = idx(folder / "train-images-idx3-ubyte.gz"), idx(folder / "train-labels-idx1-ubyte.gz")
    return pick(x, y, classes, rows, seed)


def cifar(folder, classes, rows, seed=0):
    raw = np.frombuffer((folder / "data_batch_1.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    x = raw[:, 1:].reshape(-1, 3, 8, 4, 8, 4).mean((3, 5)).round().astype(np.uint8)
    return pick(x, raw[:, 0], classes, rows, seed)


def pick(x, y, classes, rows, seed):
    keep = np.flatnonzero(np.isin(y, classes))
    keep = np.random.default_rng(seed).permutation(keep)[:rows]
    return x[keep], np.searchsorted(classes, y[keep])


def table(loaded, classes):
    keep = np.isin(loaded.target, classes)
    return loaded.data[keep].astype(np.float32), np.searchsorted(classes, loaded.target[keep])


def digits(classes):
    x, y = datasets.load_digits(return_X_y=True)
    keep = np.isin(y, classes)
    return (x[keep] * 15).astype(np.uint8).reshape(-1, 8, 8), np.searchsorted(classes, y[keep])


def spam(folder):
    # The label is the last column: 0, 1 or a word.
    with open(folder / "tabular/spam.csv") as file:
        rows = [row for row in csv.reader(file) if row]
    rows = rows[1:] if not rows[0][0].replace(".", "").isdigit() else rows
    names = sorted({row[-1] for row in rows})
    x = np.array([[float(v) for v in row[-58:-1]] for row in rows], np.float32)
    y = np.array([names.index(row[-1]) for row in rows])
    order = np.random.default_rng(0).permutation(len(y))[:1600]
    return x[order], y[order]


def synthetic():
    x, y = datasets.make_classification(800, 20, n_informative=6, flip_y=0.02, random_state=0)
    return x.astype(np.float32), y


# name: rows and labels, scaling, trusted rows
def sets(data):
    return {
        "spambase": (lambda: spam(data), "minmax", 150),
        "breast-cancer": (lambda: table(datasets.load_breast_cancer(), [0, 1]), "standard", 60),
        "wine-0v1": (lambda: table(datasets.load_wine(), [0, 1]), "standard", 20),
        "iris-1v2": (lambda: table(datasets.load_iris(), [1, 2]), "standard", 15),
        "synthetic": (synthetic, "standard", 80),
        "digits-3v8": (lambda: digits([3, 8]), None, 50),
        "digits-1v7": (lambda: digits([1, 7]), None, 50),
        "mnist-0v8": (lambda: images(data / "mnist", [0, 8], 700), None, 100),
        "mnist-4v9": (lambda: images(data / "mnist", [4, 9], 700), None, 100),
        "fashion-0v6": (lambda: images(data / "fashion-mnist", [0, 6], 700), None, 100),
        "fashion-7v9": (lambda: images(data / "fashion-mnist", [7, 9], 700), None, 100),
        "cifar-3v5-8x8": (lambda: cifar(data / "cifar-10-batches-bin", [3, 5], 700), None, 100),
    }


def run(program, words, cwd, codes):
    done = subprocess.run([program, *words], cwd=cwd, capture_output=True, text=True)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
    return done


def unit(x, scale):
    """Rows as toxscreen sees them: value / 255 of bytes, then the scaling of the manifest."""
    x = x.reshape(len(x), -1)
    x = x / 255 if x.dtype == np.uint8 else x
    return x if scale is None else (x - scale["offset"]) * scale["factor"]


def models(kept, advised):
    fixed = {"what you have": kept, "advised": advised}
    each = {name: lambda c=c: LogisticRegression(C=c, max_iter=5000) for name, c in fixed.items()}
    each["LogisticRegressionCV"] = lambda: LogisticRegressionCV(
        Cs=10, cv=5, max_iter=5000, scoring="neg_log_loss"
    )
    return each


def compare(program, name, make, scaling, trusted, current, folder):
    x, y = make()
    order = np.random.default_rng(1).permutation(len(y))
    aside, rest = order[: len(y) // 4], order[len(y) // 4:]
    np.savez(folder / "my.npz", x=x[rest], y=y[rest])
    scale = ["--scale", scaling] if scaling else []
    common = ["--data", "my.npz", "--valid", str(trusted), "--budget", str(BUDGET), "--json", *scale]
    begun = time.time()
    words = ["harden", *common, "--current", str(current)]
    found = json.loads(run(program, words, folder, (0, 4)).stdout)
    seconds = time.time() - begun
    kept, n = float(current), found["rows"]["train"]
    advised = found["advice"]["sklearn_c"] if found["recommended"] else kept
    validated = [t for t in found["treatments"] if t["name"] == "cross-validated"][0]
    errors = {key: [] for key in models(kept, advised)}
    clean = {key: [] for key in errors}
    for seed in SEEDS:
        per = {key: [] for key in errors}
        aims = {kept, advised, float(np.median(validated["sklearn_c"]))}
        for aim in sorted({round(aim, 9) for aim in aims}):
            words = ["poison", *common, "--seed", str(seed), "--out", "p.npz",
                     "--hyperiterations", "25", "--victim", "large", "--lambda", str(-np.log(n * aim))]
            run(program, words, folder, (0, 1))
            settings = json.loads((folder / "p.patch.npz.json").read_text())["settings"]
            held = settings["trusted_rows"] + settings["test_rows"]
            keep = np.setdiff1d(np.arange(len(rest)), held)
            bad = np.load(folder / "p.npz")
            sizes = settings["scale"]
            for key, model in models(kept, advised).items():
                def error(x_train, y_train):
                    fitted = model().fit(unit(x_train[keep], sizes), y_train[keep])
                    return 100 * np.mean(fitted.predict(unit(x[aside], sizes)) != y[aside])
                if not per[key]:
                    clean[key].append(error(x[rest], y[rest]))
                per[key].append(error(bad["x_train"], bad["y_train"]))
        for key in errors:
            errors[key].append(max(per[key] + [clean[key][-1]]))
    row = {"set": name, "rows": n, "features": x[0].size, "points": found["points"],
           "recommended": found["recommended"], "verdict": found["verdict"],
           "kept_c": kept, "advised_c": round(advised, 6)}
    for key in errors:
        short = {"what you have": "kept", "advised": "advised", "LogisticRegressionCV": "cv"}[key]
        row[f"{short}_clean"] = round(float(np.mean(clean[key])), 2)
        row[f"{short}_worst"] = round(float(np.mean(errors[key])), 2)
    here = {t["name"]: t for t in found["treatments"]}
    row["harden_kept_worst"] = round(here["what you have"]["worst_test_error"], 2)
    chosen = found["treatments"][found["choice"]["treatment"]]
    row["harden_chosen_c"] = round(chosen["sklearn_c"][0], 6)
    row["harden_chosen_worst"] = round(chosen["worst_test_error"], 2)
    row["harden_gain_half_width"] = round(found["gain"]["over_what_you_have"]["half_width"], 2)
    row["majority"] = round(found["majority_error"], 2)
    row["seconds"] = round(seconds)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--sets")
    parser.add_argument("--csv", type=pathlib.Path)
    args = parser.parse_args()
    program, rows, harmed = args.program.resolve(), [], []
    for name, (make, scaling, trusted) in sets(args.data).items():
        if args.sets and name not in args.sets.split(","):
            continue
        for current in CURRENT:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                try:
                    row = compare(program, name, make, scaling, trusted, current, folder)
                except FileNotFoundError as missing:
                    print(f"{name}: left out, {missing.filename} is not there", file=sys.stderr)
                    break
            rows.append(row)
            print(json.dumps(row), flush=True)
            if args.csv:
                with open(args.csv, "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
            if row["advised_worst"] > row["kept_worst"]:
                harmed.append(f"{name}, C = {current}")
    print(f"scikit-learn {sklearn.__version__}; {len(rows)} rows, advice harms in: {harmed or 'none'}")
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
