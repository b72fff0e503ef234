"""Suspects under cleanlab's names, of rows in place of probabilities: the program makes those by cross-validation.

`toxscreen.suspects` has more: other methods, reasons, and trusted rows, which help against poison that was crafted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._suspects import Suspects, suspects

# cleanlab's words, and the columns that are meant.
SCORES = {"self_confidence": "self-confidence", "normalized_margin": "normalized-margin"}


def find_label_issues(
    labels: Any,
    X: Any,
    *,
    return_indices_ranked_by: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> np.ndarray:
    """Rows with label issues: a mask, or indices, the worst first (`self_confidence`, `normalized_margin`).

    Which rows have one is said by confident learning, pruned by class (cleanlab's `filter_by="prune_by_class"`).
    """
    by = None if return_indices_ranked_by is None else _score(return_indices_ranked_by)
    found = _confident(labels, X, seed, settings)
    issues = found.scores["pruned"] > 0
    if by is None:
        return issues
    rows = np.flatnonzero(issues)
    return rows[np.argsort(found.scores[by][rows], kind="stable")]


def get_label_quality_scores(
    labels: Any, X: Any, *, method: str = "self_confidence", seed: int = 0, **settings: Any
) -> np.ndarray:
    """A score for each row; a low one is suspicious."""
    by = _score(method)
    return _confident(labels, X, seed, settings).scores[by]


def _score(name: str) -> str:
    if name not in SCORES:
        raise ValueError(f"{name!r} is no score: expected one of {', '.join(SCORES)}")
    return SCORES[name]


def _confident(labels: Any, X: Any, seed: int, settings: dict[str, Any]) -> Suspects:
    return suspects(X, labels, method="confident", seed=seed, **{"quiet": True, **settings})
