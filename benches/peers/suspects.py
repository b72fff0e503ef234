"""Compares `toxscreen suspects` with cleanlab, on poisons that are known.

    python benches/peers/suspects.py --toxscreen target/release/toxscreen --data UNPACKED --work DIR \
        --csv benches/results/suspects.csv

Needs `numpy`, `scikit-learn` and `cleanlab`. UNPACKED holds `mnist` and `fashion-mnist` as IDX files, `digits`
and `tabular/spam.csv`. Of each set and seed, rows are drawn by class: some trusted rows, which are never poisoned,
and the rows that are. The poisons are those of `toxscreen poison`; the bilevel poison is aimed at the very trusted rows
that the defender has. cleanlab gets the cross-validated probabilities that toxscreen made (`probabilities.csv`),
so that a difference is one of scores alone. A line of the CSV is one score on one poisoned set.
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import cleanlab
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.stats import rankdata, t
from sklearn.metrics import average_precision_score

# Name: rows that are judged (0: all that are left), trusted rows.
SETS = {"digits": (0, 100), "mnist-08": (2000, 100), "fashion-mnist": (2000, 200), "spambase": (0, 100)}
POISONS = ("rlf", "clf", "bilevel")
BUDGETS = (0.05, 0.2)
FIELDS = "set,seed,rows,trusted,poison,budget,poisoned,tool,score,average_precision,precision".split(",")


def idx(path, offset, shape):
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=offset).reshape(shape)


def mnist(folder):
    x = idx(folder / "train-images-idx3-ubyte.gz", 16, (-1, 28, 28))
    return x, idx(folder / "train-labels-idx1-ubyte.gz", 8, -1).astype(np.int64)


def load(name, data):
    if name == "digits":
        table = np.loadtxt(gzip.open(data / "digits/digits.csv.gz"), delimiter=",")
        x = np.round(table[:, :64] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)
        return x, table[:, 64].astype(np.int64)
    if name == "mnist-08":
        x, y = mnist(data / "mnist")
        kept = (y == 0) | (y == 8)
        return x[kept], (y[kept] == 8).astype(np.int64)
    if name == "fashion-mnist":
        return mnist(data / "fashion-mnist")
    lines = (data / "tabular/spam.csv").read_text().replace('"', "").splitlines()[1:]
    rows = [line.split(",")[-58:] for line in lines]
    x = np.array([row[:-1] for row in rows], np.float32)
    return x, np.array([row[-1] == "spam" for row in rows]).astype(np.int64)


def draw(x, y, count, trusted, seed):
    """Trusted rows by class, and of the others the first in a random order."""
    rng = np.random.default_rng(seed)
    classes = np.unique(y)
    held, rest = [], []
    for i, label in enumerate(classes):
        of_class = rng.permutation(np.flatnonzero(y == label))
        n = trusted // len(classes) + (i < trusted % len(classes))
        held += list(of_class[:n])
        rest += list(of_class[n:])
    rest = rng.permutation(rest)
    return held, rest[:count] if count else rest


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    # 1: the attack did not attack; its rows are poisoned all the same.
    if done.returncode not in (0, 1):
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def poison(args, name, kind, budget, seed, base):
    out = args.work / f"{name}-{seed}-{kind}-{budget}.npz"
    if not out.with_suffix(".patch.npz.json").exists():
        command = [args.toxscreen, "poison", "--attack", kind, "--budget", budget, "--seed", seed]
        command += ["--data", f"{base}.npz", "--out", out, "--threads", args.threads]
        if kind == "bilevel":
            command += ["--trusted", f"{base}-trusted.npz", "--hyperiterations", 20]
            command += ["--scale", "standard"] if name == "spambase" else []
        elif kind == "clf" and name != "spambase":
            command += ["--epochs", 10, "--width", 8]
        run(command)
    return out


def quality(score, poisoned):
    """Average precision, and precision at the budget; larger scores are more suspicious."""
    budget = int(poisoned.sum())
    first = np.argsort(-score, kind="stable")[:budget]
    return average_precision_score(poisoned, score), poisoned[first].mean()


def cleanlabs(folder, labels):
    """cleanlab's scores of the probabilities in `folder`, and what it prunes by class."""
    rows = list(csv.reader(open(folder / "probabilities.csv")))[1:]
    p = np.array([[float(v) for v in row[2:]] for row in rows])
    p /= p.sum(1, keepdims=True)
    scores = {
        method.replace("_", "-"): -get_label_quality_scores(labels, p, method=method)
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    }
    pruned = find_label_issues(labels, p, filter_by="prune_by_class", min_examples_per_class=0)
    return {**scores, "pruned": pruned.astype(float)}


def ours(folder):
    rows = list(csv.DictReader(open(folder / "suspects.csv")))
    names = list(rows[0])[4:-1]
    order = np.argsort([int(row["row"]) for row in rows])
    low = {"self-confidence", "normalized-margin", "weight", "combined"}
    sign = {name: -1.0 if name in low else 1.0 for name in names}
    found = {name: sign[name] * np.array([float(rows[i][name]) for i in order]) for name in names}
    # What `combined` is without trusted rows.
    found["knn+self-confidence"] = -rankdata(-found["knn"]) - rankdata(-found["self-confidence"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--toxscreen", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--summary", action="store_true", help="print the table of an existing CSV, and run nothing")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--poisons", nargs="+", default=list(POISONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.summary:
        return summary(list(csv.DictReader(open(args.csv))))
    args.work.mkdir(parents=True, exist_ok=True)
    print(f"cleanlab {cleanlab.__version__}")
    done = set()
    if args.csv.exists():
        done = {tuple(row[f] for f in ("set", "seed", "poison", "budget")) for row in csv.DictReader(open(args.csv))}
    for seed in args.seeds:
        for name in args.sets:
            count, trusted = SETS[name]
            x, y = load(name, args.data)
            held, rest = draw(x, y, count, trusted, seed)
            base = args.work / f"{name}-{seed}"
            np.savez(f"{base}.npz", x_train=x[rest], y_train=y[rest])
            np.savez(f"{base}-trusted.npz", x=x[held], y=y[held])
            for kind in args.poisons:
                for budget in BUDGETS:
                    if (name, str(seed), kind, str(budget)) not in done:
                        judge(args, name, seed, kind, budget, base, len(rest), trusted)


def judge(args, name, seed, kind, budget, base, rows, trusted):
    begun = time.time()
    out = poison(args, name, kind, budget, seed, base)
    crafted = time.time()
    patch = np.load(out.with_suffix(".patch.npz"))
    poisoned = np.zeros(rows, bool)
    poisoned[patch["indices"]] = True
    folder = args.work / out.stem
    command = [args.toxscreen, "suspects", "--data", out, "--trusted", f"{base}-trusted.npz", "--seed", seed]
    command += ["--known", out.with_suffix(".patch.npz"), "--out", folder, "--threads", args.threads, "--json"]
    report = json.loads(run(command))
    found = {"toxscreen": ours(folder), "cleanlab": cleanlabs(folder, np.load(out)["y_train"])}
    lines = []
    for tool, scores in found.items():
        for score, values in scores.items():
            average, precision = quality(values, poisoned)
            lines.append(
                [name, seed, rows, trusted, kind, budget, int(poisoned.sum()), tool, score]
                + [f"{average:.4f}", f"{precision:.4f}"]
            )
    # What toxscreen says of itself is what scikit-learn says of it.
    for known in report["known"]["scores"]:
        theirs, _ = quality(found["toxscreen"][known["score"]], poisoned)
        assert abs(known["average_precision"] - theirs) < 1e-9, (known, theirs)
    # The same scores of the same probabilities.
    for score in ("self-confidence", "normalized-margin"):
        assert np.abs(found["toxscreen"][score] - found["cleanlab"][score]).max() < 1e-6, score
    same = found["toxscreen"]["pruned"] == found["cleanlab"]["pruned"]
    new = not args.csv.exists()
    with open(args.csv, "a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows(([FIELDS] if new else []) + lines)
    shown = {f"{l[7][0]}:{l[8]}": l[9] for l in lines}
    print(
        name, seed, kind, budget, f"poison {crafted - begun:.0f} s, suspects {time.time() - crafted:.0f} s,",
        f"pruned alike {same.mean():.3f}", shown, flush=True,
    )


SHOWN = [("cleanlab", "self-confidence"), ("cleanlab", "normalized-margin")]
SHOWN += [
    ("toxscreen", s)
    for s in ("knn", "knn+self-confidence", "loss", "hypergradient", "influence", "combined")
]


def summary(lines):
    """Mean average precision over seeds, and the paired differences from cleanlab's better score."""
    found = {}
    for line in lines:
        key = (line["poison"], float(line["budget"]), line["set"])
        score = found.setdefault(key, {}).setdefault((line["tool"], line["score"]), {})
        score[line["seed"]] = float(line["average_precision"])
    differences = ("knn+self-confidence", "hypergradient", "combined")
    heads = ["poison", "budget", "set", "seeds", *(s for _, s in SHOWN)]
    heads += [f"{score} - cleanlab" for score in differences]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))

    def place(item):
        poison, budget, name = item[0]
        return POISONS.index(poison), budget, list(SETS).index(name)

    for (poison, budget, name), scores in sorted(found.items(), key=place):
        means = [np.mean(list(scores[s].values())) for s in SHOWN]
        best = max(SHOWN[:2], key=lambda s: np.mean(list(scores[s].values())))
        seeds = sorted(scores[best])

        def difference(score):
            d = np.array([scores["toxscreen", score][seed] - scores[best][seed] for seed in seeds])
            half = t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5 if len(d) > 1 else np.nan
            return f"{d.mean():+.3f} ± {half:.3f}"

        cells = [poison, f"{100 * budget:.0f} %", name, str(len(seeds)), *(f"{m:.3f}" for m in means)]
        print("| " + " | ".join(cells + [difference(score) for score in differences]) + " |")


if __name__ == "__main__":
    main()
