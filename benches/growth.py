"""How the cost of a trial grows with its size, measured with the program itself.

    python benches/growth.py --program target/release/toxscreen --data-dir DIR --csv benches/results/growth.csv

Each line of a series is one trial that differs from its neighbours in one number. Its cost is the processor time of
the whole command, all threads, less that of a trial with next to nothing to compute (`fixed`: reading the data,
starting): other programs on the machine change it little. Least of `--rounds`. Wall time is beside it.
"""

import argparse
import csv
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

BILEVEL = """
name = "growth"
seeds = [0]
data = { dataset = "mnist", classes = [0, 8], split = "random", train = 8000, valid = 500, test = 500 }
learner = { kind = "bilevel", victim = "none", hyperiterations = 12, inner = { steps = 140, lr = 0.1 } }
threat = { kind = "bilevel", batch = 100, batches = 1, lr = 1.0 }
cell = [{ label = "one" }]
"""

ENAS = """
name = "growth"
seeds = [0]
data = { dataset = "cifar10", train = 5120, valid = 128, test = 64, resize = 16 }
[learner]
kind = "enas"
child = { layers = 6, channels = 16, batch = 64, epochs = 1 }
controller = { steps = 1, aggregate = 1, batch = 16 }
evaluation = { density_samples = 2, test_every_epoch = false, candidates = 1, final_candidates = 1 }
retrain = { epochs = 0 }
[[cell]]
label = "one"
"""

PDARTS = """
name = "growth"
seeds = [0]
data = { dataset = "cifar10", train = 1024, valid = 1024, test = 64, resize = 16 }
[learner]
kind = "nas"
search = "p-darts"
space = "nasbench201"
evaluate = "nasbench201"
[learner.p-darts]
stages = [{ cells = 1, ops = 5, skip_dropout = 0.1 }]
channels = 16
batch = 64
epochs = 1
frozen_epochs = 0
[[cell]]
label = "one"
"""

LITTLE = ["learner.hyperiterations=1", "learner.inner.steps=1", "learner.retrain.epochs=1"]
FEW = ["data.train=64", "data.valid=64"]

# Series: recipe, what is varied, sizes, the settings of a size, those that leave next to nothing to compute.
SERIES = [
    ("logistic regression", BILEVEL, "rows", [1000, 2000, 4000, 8000], lambda n: [f"data.train={n}"], LITTLE),
    ("logistic regression", BILEVEL, "features", [196, 784, 3136], lambda d: [f"data.resize={round(d ** 0.5)}"], LITTLE),
    ("logistic regression", BILEVEL, "T", [70, 140, 280, 560], lambda t: [f"learner.inner.steps={t}"], LITTLE),
    ("logistic regression", BILEVEL, "poison points", [100, 200, 400, 800], lambda p: [f"threat.batch={p}"], LITTLE),
    ("ENAS", ENAS, "channels", [16, 32, 64], lambda c: [f"learner.child.channels={c}"], FEW),
    ("ENAS", ENAS, "layers", [6, 12, 24], lambda n: [f"learner.child.layers={n}"], FEW),
    ("ENAS", ENAS, "image side", [8, 16, 32], lambda s: [f"data.resize={s}"], FEW),
    ("ENAS", ENAS, "epochs", [1, 2, 4], lambda e: [f"learner.child.epochs={e}"], FEW),
    ("ENAS", ENAS, "threads", [1, 2], lambda t: [f"--threads={t}"], FEW),
    ("P-DARTS", PDARTS, "channels", [16, 32, 64], lambda c: [f"learner.p-darts.channels={c}"], FEW),
    ("P-DARTS", PDARTS, "image side", [8, 16, 32], lambda s: [f"data.resize={s}"], FEW),
    ("P-DARTS", PDARTS, "rows", [1024, 2048, 4096], lambda n: [f"data.train={n}", f"data.valid={n}"], FEW),
]


def trial(args, recipe, settings):
    """Processor seconds of a recipe's run, and wall seconds of its one trial."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "recipe.toml").write_text(recipe)
        words = [w for s in settings for w in ([s] if s.startswith("--") else ["--set", s])]
        run = [args.program, "run", "recipe.toml", "--out", "out", "--data-dir", args.data_dir, "--jobs", "1"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(run + words, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(run + words)} failed:\n{done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = json.loads(next((path / "out/trials").glob("*/record.json")).read_text())
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return spent, record["timing"]["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", help="series whose learner or number has this in its name")
    args = parser.parse_args()
    args.program, args.data_dir = (os.path.abspath(p) for p in (args.program, args.data_dir))
    with open(args.csv, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["learner", "varied", "size", "processor_s", "fixed_s", "trial_wall_s"])
        for learner, recipe, varied, sizes, settings, least in SERIES:
            if args.only and args.only not in f"{learner} {varied}":
                continue
            for size in sizes:
                wanted = settings(size)
                least_of = lambda more: min(trial(args, recipe, wanted + more) for _ in range(args.rounds))
                spent, wall = least_of([])
                fixed = least_of(least)[0]
                rows.writerow([learner, varied, size, f"{spent:.3f}", f"{fixed:.3f}", f"{wall:.3f}"])
                file.flush()
                print(f"{learner}, {varied} {size}: {spent:.2f} s of processor, {fixed:.2f} of them fixed", flush=True)


if __name__ == "__main__":
    main()
