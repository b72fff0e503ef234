"""Rows of Fig. 1 of the bilevel paper: a draw each, of the records of `toxscreen run recipes/bilevel/fig1.toml`:

    python fig1.py runs/bilevel-fig1 > ../results/bilevel_fig1.csv

A cell stands here when all of its draws are done. `turn` is the angle in degrees by which the boundary's normal turned, `sd` the standard
deviation of the error over the positions, `rank` Spearman's correlation of the maps of error and of the best lambda, `lead` the mean best lambda
in the tenth of the positions with most error less that of the others. Needs SciPy.
"""

import csv
import json
import math
import statistics
import sys
from pathlib import Path

from scipy.stats import spearmanr

COLUMNS = ["cell", "seed", "clean_none", "error_none", "clean_fixed", "error_fixed"]
COLUMNS += ["turn_none", "turn_fixed", "sd_none", "sd_fixed", "rank", "lead"]


def turn(clean, poisoned):
    """Degrees between two normals; a third number is the bias."""
    dot = clean[0] * poisoned[0] + clean[1] * poisoned[1]
    cosine = dot / (math.hypot(*clean[:2]) * math.hypot(*poisoned[:2]))
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def lead(error, best):
    """Positions of equal error stand in their order."""
    order = sorted(range(len(error)), key=lambda i: -error[i])
    worst = -(-len(error) // 10)
    of = [best[i] for i in order]
    return statistics.fmean(of[:worst]) - statistics.fmean(of[worst:])


def row(record):
    spec, found = record["spec"], record["outcome"]
    none, fixed = found["attack_none"], found["attack_fixed"]
    maps = found["error_none"], found["error_fixed"], found["best_lambda"]
    values = [none["clean_error"], none["error"], fixed["clean_error"], fixed["error"]]
    values += [turn(found["clean_none"], none["weights"]), turn(found["clean_fixed"], fixed["weights"])]
    values += [statistics.pstdev(maps[0]), statistics.pstdev(maps[1]), spearmanr(maps[0], maps[2])[0], lead(maps[0], maps[2])]
    return [spec["cell"], spec["seed"], *(f"{value:.4f}" for value in values)]


def main():
    study = Path(sys.argv[1])
    plan = [json.loads(line) for line in (study / "plan.jsonl").read_text().splitlines()]
    files = {trial["trial"]: study / "trials" / trial["trial"] / "record.json" for trial in plan}
    open_cells = {trial["spec"]["cell"] for trial in plan if not files[trial["trial"]].is_file()}
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for trial in plan:
        if trial["spec"]["cell"] not in open_cells:
            out.writerow(row(json.loads(files[trial["trial"]].read_text())))
    if open_cells:
        print(f"left out, not done: {', '.join(sorted(open_cells))}", file=sys.stderr)


if __name__ == "__main__":
    main()
