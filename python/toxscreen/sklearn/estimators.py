"""Defences with the verbs of scikit-learn and imbalanced-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from .._data import labels
from .._suspects import clean
from ..commands import harden


class LabelSanitizer(BaseEstimator):  # type: ignore[misc]
    """Drops or relabels the rows that are most likely mislabelled or poisoned, with imbalanced-learn's `fit_resample`.

    share: of the rows, that are taken for bad.
    method: `combined`, `knn`, `loss`, `confident`, `hypergradient`, or a list; `loss` and `hypergradient` need trusted rows.
    relabel: whether suspects get the label that they may have, in place of being dropped.
    k, folds: of the methods; None is the program's.
    random_state: a seed; None is 0.

    Afterwards `sample_indices_` are the rows that are left, and `relabelled_` those with another label.
    """

    # What tells imbalanced-learn's pipelines what this is.
    _estimator_type = "sampler"

    def __init__(
        self,
        share: float = 0.1,
        *,
        method: Any = "combined",
        relabel: bool = False,
        k: int | None = None,
        folds: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.share = share
        self.method = method
        self.relabel = relabel
        self.k = k
        self.folds = folds
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any, X_trusted: Any = None, y_trusted: Any = None) -> tuple[Any, np.ndarray]:
        """The rows that are left, in their order, and their labels."""
        cleaned = clean(
            X,
            y,
            X_trusted,
            y_trusted,
            share=self.share,
            relabel=self.relabel,
            method=self.method,
            seed=self.random_state or 0,
            k=self.k,
            folds=self.folds,
            quiet=True,
        )
        self.sample_indices_, self.relabelled_ = cleaned.kept, cleaned.relabelled
        return cleaned.X, cleaned.y


class HardenedLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression with the regularisation that `toxscreen harden` recommends against poisoned training rows.

    budget: share of the rows that an adversary may replace.
    C: what you would take; it stays where no other surely withstands poison better.
    valid: share of the rows that are held out where no trusted rows are given; they must be clean.
    max_iter: of scikit-learn's LogisticRegression, which is then fitted.
    options: further ones of `toxscreen harden`, such as `{"scale": "standard", "splits": 2}`.
    random_state: a seed; None is 0.

    Afterwards `C_` is what was taken, `hardened_` all that was found, `model_` the fitted LogisticRegression.
    """

    def __init__(
        self,
        budget: float = 0.1,
        *,
        C: float = 1.0,
        valid: float = 0.2,
        max_iter: int = 1000,
        options: dict[str, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.budget = budget
        self.C = C
        self.valid = valid
        self.max_iter = max_iter
        self.options = options
        self.random_state = random_state

    def fit(self, X: Any, y: Any, X_trusted: Any = None, y_trusted: Any = None) -> HardenedLogisticRegression:
        """Looks for the regularisation, and trains with it."""
        settings = dict(self.options or {})
        if X_trusted is None:
            settings.setdefault("valid", int(self.valid * len(labels(y, len(y)))))
        seed = self.random_state or 0
        self.hardened_ = harden(X, y, X_trusted, y_trusted, budget=self.budget, current=self.C, seed=seed, quiet=True, **settings)
        self.C_ = self.hardened_.C_
        self.model_ = LogisticRegression(C=self.C_, max_iter=self.max_iter).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.model_.predict(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(self.model_.predict_proba(X))

    def decision_function(self, X: Any) -> np.ndarray:
        return np.asarray(self.model_.decision_function(X))
