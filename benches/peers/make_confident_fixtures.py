"""Writes what cleanlab says of some probabilities: the fixture of confident learning.

    python benches/peers/make_confident_fixtures.py

Needs `cleanlab` and `numpy`. Probabilities are those of noisy labels of four classes of different size.
"""

import json
from pathlib import Path

import cleanlab
import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import (
    get_normalized_margin_for_each_label,
    get_self_confidence_for_each_label,
)

CLASSES, ROWS = 4, 240
FIXTURE = Path(__file__).resolve().parents[2] / "crates/tox-poison/tests/fixtures/confident.json"

if __name__ == "__main__":
    rng = np.random.default_rng(0)
    true = rng.choice(CLASSES, ROWS, p=[0.4, 0.3, 0.2, 0.1])
    labels = np.where(rng.random(ROWS) < 0.15, rng.integers(CLASSES, size=ROWS), true)
    logits = rng.normal(size=(ROWS, CLASSES)) + 2.5 * np.eye(CLASSES)[true]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = np.array([[float(f"{x:.12g}") for x in row] for row in p])
    p /= p.sum(1, keepdims=True)
    joint = compute_confident_joint(labels, p, calibrate=False)
    pruned = find_label_issues(labels, p, filter_by="prune_by_class", min_examples_per_class=0)
    fixture = {
        "cleanlab": cleanlab.__version__,
        "classes": CLASSES,
        "labels": labels.tolist(),
        "probabilities": p.ravel().tolist(),
        "self_confidence": get_self_confidence_for_each_label(labels, p).tolist(),
        "normalized_margin": get_normalized_margin_for_each_label(labels, p).tolist(),
        "confident_joint": joint.ravel().tolist(),
        "pruned": np.flatnonzero(pruned).tolist(),
    }
    FIXTURE.parent.mkdir(parents=True, exist_ok=True)
    FIXTURE.write_text(json.dumps(fixture) + "\n")
