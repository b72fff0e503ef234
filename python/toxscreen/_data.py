"""Arrays of all sorts as numpy's, and their way to the program: an .npz file in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


def rows(x: Any, name: str = "X") -> np.ndarray:
    """Rows as a numpy array: of numpy, pandas, polars, PyTorch, scipy's sparse ones, lists."""
    if hasattr(x, "toarray"):
        x = x.toarray()
    if hasattr(x, "detach"):
        x = x.detach().cpu()
    if hasattr(x, "columns") and hasattr(x, "dtypes"):
        _all_numbers(x, name)
    array = np.asarray(x)
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name} holds objects: expected numbers") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} is of {array.dtype}: expected numbers")
    if array.ndim < 2:
        raise ValueError(f"{name} has the shape {array.shape}: expected rows, (n, columns), or images, (n, height, width)")
    return array


def _all_numbers(frame: Any, name: str) -> None:
    types = list(zip(map(str, frame.columns), frame.dtypes))
    words = [column for column, kind in types if not _is_number(kind)]
    if words:
        raise TypeError(
            f"{name} has columns that are no numbers: {', '.join(words[:8])}{' ...' if len(words) > 8 else ''}. "
            f"Encode them first, such as with pandas.get_dummies, or leave them out"
        )


def _is_number(kind: Any) -> bool:
    if hasattr(kind, "is_numeric"):  # polars
        return bool(kind.is_numeric()) or str(kind) == "Boolean"
    return getattr(kind, "kind", "O") in "biuf"


def columns(x: Any) -> list[str] | None:
    """The names of the columns of a data frame."""
    return [str(column) for column in x.columns] if hasattr(x, "columns") else None


def labels(y: Any, n: int, name: str = "y") -> np.ndarray:
    """Labels as a numpy array: numbers, or text."""
    if hasattr(y, "detach"):
        y = y.detach().cpu()
    array = np.asarray(y)
    if array.dtype == object:
        array = np.array([str(label) for label in array.ravel()]) if array.ndim == 1 else array
    if array.dtype.kind == "O" or len(array) != n:
        raise ValueError(f"{name} has the shape {array.shape}: expected {n} labels, one a row")
    return array


def write(path: Path, train: tuple[Any, Any], test: tuple[Any, Any] | None = None) -> None:
    """Writes an .npz that every command reads."""
    x = rows(train[0])
    arrays = {"x_train": x, "y_train": labels(train[1], len(x))}
    if test is not None:
        x = rows(test[0], "X_test")
        arrays |= {"x_test": x, "y_test": labels(test[1], len(x), "y_test")}
        if arrays["x_test"].shape[1:] != arrays["x_train"].shape[1:]:
            raise ValueError(f"X has rows of {arrays['x_train'].shape[1:]}, X_test of {x.shape[1:]}")
    names = columns(train[0])
    if names is not None:
        arrays["feature_names"] = np.array(names)
    np.savez(path, **arrays)  # type: ignore[arg-type]


def named(source: Any) -> str | None:
    """The path or name that `source` is, or None if it holds arrays."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
