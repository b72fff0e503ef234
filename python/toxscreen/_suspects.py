"""Rows that are likely mislabelled or poisoned, and data without them."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import _data, _program
from .commands import _folder, _source, _trusted


@dataclass(repr=False)
class Suspects:
    """What `toxscreen suspects` says of each row. All arrays but `ranked` are in the order of the rows."""

    # Rows, the most suspicious first.
    ranked: np.ndarray
    # Their labels, and those that they may have.
    labels: np.ndarray
    suggested: np.ndarray
    scores: dict[str, np.ndarray]
    reasons: list[str]
    # Of all classes, by models that did not see the row; None where the method `confident` was not asked.
    probabilities: np.ndarray | None
    report: dict[str, Any]

    def indices(self, share: float) -> np.ndarray:
        """The first rows: `share` of all, rounded down."""
        return self.ranked[: int(share * len(self.ranked) + 1e-9)]

    def table(self) -> Any:
        """All rows as a pandas data frame, the most suspicious first, with the row as its index."""
        import pandas

        columns = {"label": self.labels, "suggested": self.suggested, **self.scores, "reason": self.reasons}
        return pandas.DataFrame(columns).rename_axis("row").iloc[self.ranked]

    def __repr__(self) -> str:
        return f"Suspects({len(self.ranked)} rows by {', '.join(self.report['methods'])}; first {self.ranked[:5].tolist()})"


def suspects(
    X: Any,
    y: Any = None,
    X_trusted: Any = None,
    y_trusted: Any = None,
    *,
    method: str | list[str] = "combined",
    seed: int = 0,
    quiet: bool = False,
    **settings: Any,
) -> Suspects:
    """Ranks the rows that are likely mislabelled or poisoned, and says why.

    `X` is rows with labels `y`, or a path or the name of a set. Where poison may have been crafted, bring rows that somebody has
    looked at as `X_trusted`, `y_trusted`, and ask `method="hypergradient"`. Further keywords are the options of `toxscreen suspects`.
    """
    with _folder() as folder:
        given = {"method": method, "seed": seed, "out": folder / "found", "trusted": _vouched(folder, X_trusted, y_trusted)}
        arguments = ["suspects", "--data", _source(folder, X, y, None), *_program.options(given | settings)]
        _, report = _program.ask(arguments, quiet=quiet)
        return _read(folder / "found", report, _Names(y))


def _vouched(folder: Path, X_trusted: Any, y_trusted: Any) -> Path | None:
    if (X_trusted is None) != (y_trusted is None):
        raise TypeError("trusted rows need both: X_trusted and y_trusted")
    return None if X_trusted is None else _trusted(folder, (X_trusted, y_trusted))


class _Names:
    """The caller's own labels by the names that the program has for them."""

    def __init__(self, y: Any) -> None:
        known: Any = [] if y is None else np.unique(_data.labels(y, len(y)))
        self.values = {_word(label): label for label in known}

    def of(self, name: str) -> Any:
        if not self.values:
            return name
        # A name that a spreadsheet would take for a formula has an apostrophe before it.
        return self.values[name] if name in self.values else self.values[name.removeprefix("'")]


def _word(label: Any) -> str:
    """A label as the program calls it: whole numbers without a point, True 1."""
    return str(label) if isinstance(label, str) or not float(label).is_integer() else str(int(label))


def _read(folder: Path, report: dict[str, Any], names: _Names) -> Suspects:
    with open(folder / "suspects.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    ranked = np.array([int(line["row"]) for line in lines])
    lines.sort(key=lambda line: int(line["row"]))
    words = {"rank", "row", "label", "suggested", "reason"}
    return Suspects(
        ranked,
        np.array([names.of(line["label"]) for line in lines]),
        np.array([names.of(line["suggested"]) for line in lines]),
        {name: np.array([float(line[name]) for line in lines]) for name in lines[0] if name not in words},
        [line["reason"] for line in lines],
        _probabilities(folder / "probabilities.csv"),
        report,
    )


def _probabilities(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))[1:]
    return np.array([[float(number) for number in line[2:]] for line in lines])


@dataclass(repr=False)
class Cleaned:
    """Data without their suspects, in the form that they had."""

    X: Any
    y: np.ndarray
    # The rows that are left, of those that were given.
    kept: np.ndarray
    # Rows that got another label.
    relabelled: np.ndarray
    report: dict[str, Any] = field(repr=False)

    def __repr__(self) -> str:
        rows = self.report["rows"]
        return f"Cleaned({len(self.kept)} of {rows} rows left, {len(self.relabelled)} of them relabelled)"


def clean(
    X: Any,
    y: Any,
    X_trusted: Any = None,
    y_trusted: Any = None,
    *,
    share: float = 0.1,
    relabel: bool = False,
    method: str | list[str] = "combined",
    seed: int = 0,
    quiet: bool = False,
    **settings: Any,
) -> Cleaned:
    """The rows without the most suspicious `share` of them, or with the labels that these may have (`relabel=True`).

    Rows and labels are as in `suspects`; a data frame stays one.
    """
    with _folder() as folder:
        given = {
            "share": share,
            "relabel": relabel,
            "method": method,
            "seed": seed,
            "out": folder / "cleaned.npz",
            "trusted": _vouched(folder, X_trusted, y_trusted),
        }
        if _data.named(X) is not None:
            raise TypeError(f"X is {X!r}: files are cleaned by the command, toxscreen clean --data {X} --out FILE")
        arguments = ["clean", "--data", _source(folder, X, y, None), *_program.options(given | settings)]
        _, report = _program.ask(arguments, quiet=quiet)
    own = _data.labels(y, len(y)).copy()
    names = _Names(y)
    kept = np.ones(len(own), dtype=bool)
    relabelled = []
    for row in report["cleaned"]:
        if not relabel:
            kept[row["row"]] = False
        elif row["becomes"] is not None:
            own[row["row"]] = names.of(row["becomes"])
            relabelled.append(row["row"])
    rows = np.flatnonzero(kept)
    return Cleaned(_taken(X, rows), own[rows], rows, np.array(sorted(relabelled), dtype=np.int64), report)


def _taken(X: Any, rows: np.ndarray) -> Any:
    """Some rows of data frames, arrays, tensors, lists."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows] if hasattr(X, "shape") else np.asarray(X)[rows]
