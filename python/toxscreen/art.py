"""Poison under the names of the Adversarial Robustness Toolbox and of imbalanced-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from .commands import Poisoned
from .commands import poison as _poison


class _Poison:
    """An attack with ART's `poison(x, y)`, which returns `(x, y)`. Afterwards `poisoned` has all that is known of it."""

    kind = ""

    def __init__(self, budget: float = 0.1, *, seed: int = 0, **settings: Any) -> None:
        self.budget, self.seed, self.settings = budget, seed, settings
        self.poisoned: Poisoned | None = None

    def poison(self, x: Any, y: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        """A poisoned copy of `x` and `y`."""
        settings = self.settings | kwargs
        self.poisoned = _poison(x, y, attack=self.kind, budget=self.budget, seed=self.seed, quiet=True, **settings)
        return self.poisoned.X, self.poisoned.y


class RandomLabelFlip(_Poison):
    """Labels of random rows become another class."""

    kind = "rlf"


class ConfidentLabelFlip(_Poison):
    """Images that a network is surest of get a label that it finds unlikely."""

    kind = "clf"


class GaussianNoise(_Poison):
    """Bounded noise on random images, labels kept."""

    kind = "noise"


class GradientCancelling(_Poison):
    """Images move within a bound, so that their gradient cancels that of the clean ones."""

    kind = "gc"


class BilevelPoison(_Poison):
    """Points that climb the trusted loss by the gradient through the whole training."""

    kind = "bilevel"
