"""`audit`: a learner of yours, your data, and what poison does to both."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _data, _source
from .study import Study, run, toml

# The file of the learner, which the recipe names.
MODULE = "toxscreen_audit"
# Asked once a trial. What is installed is read without importing it, which takes seconds; the rest says it itself.
VERSIONS = """
import sys
from importlib import metadata

def version(module):
    try:
        return metadata.version({"sklearn": "scikit-learn"}.get(module, module))
    except metadata.PackageNotFoundError:
        return __import__(module).__version__

print(sys.version.split()[0], *(f"{module} {version(module)}" for module in sys.argv[1:]), sep=", ")
"""


def audit(
    learn: Any,
    data: Any,
    threats: Mapping[str, Any],
    *,
    defences: Iterable[Any] = (),
    seeds: int | Iterable[int] = 5,
    cells: Iterable[str] = (),
    out: str | os.PathLike[str] | None = None,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    valid: int | None = None,
    label: str | None = None,
    data_settings: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    executor: Any = None,
) -> Study:
    """Runs a learner on clean and on poisoned copies of the training rows, and reports what the poison did.

    learn: a function of a task, `module:function`, `file.py:function`, or an estimator of scikit-learn or its class.
    data: `(X, y, X_test, y_test)`, or `(X, y)`, of which a fifth is held out class by class; or a path, or the name of a set.
    threats: budgets by kind, such as `{"rlf": [0.01, 0.1]}`; in place of a budget a table of keys, as in a recipe.
    defences: such as `["knn", {"kind": "loss-filter", "drop": 0.1}]`, each tried alone beside none; a list in it is a chain.
    seeds: how many, or a list.
    cells: patterns of the cells to run, such as `["* (none)", "rlf-30*"]` (default all).
    out: the folder of recipe, data and study (default `runs/NAME`). The same call goes on where it was stopped.
    params: handed to the learner as `task.params`.
    settings: further keys of `[learner]`, such as `{"timeout": "1h", "deterministic": False, "retrain": True}`; `files` are added.
    data_settings: further keys of `[data]`, such as `{"train": 1000, "split": "random"}`.
    valid: rows set aside as validation rows (default none: the learner divides its training rows itself).
    label: the column of labels of a table in a file.
    executor: what runs the trials, as of `run`.
    """
    kind = _estimator(learn)
    name = name or _name(learn)
    folder = Path(out) if out is not None else Path("runs") / name
    folder.mkdir(parents=True, exist_ok=True)
    learner = _of_estimator(learn) if kind else _source.of(learn)
    given: dict[str, Any] = {"kind": "external", "python": f"{MODULE}:automl", "interpreter": sys.executable}
    given["files"] = [f"{MODULE}.py", *map(os.fspath, learner.files)]
    given["version"] = [sys.executable, "-c", VERSIONS, *sorted({"numpy", *learner.libraries})]
    all_params = dict(params or {})
    if kind:
        from .sklearn import describe

        all_params["estimator"] = describe(learn() if inspect.isclass(learn) else learn)
        if kind == "search":
            # What a search chose can be trained again, and so can its estimator as it is.
            given |= {"retrain": True, "default": {}}
    if "evasion" in threats and kind:
        all_params["model"] = True
    if all_params:
        given["params"] = all_params
    further = dict(settings or {})
    given["files"] += [os.fspath(Path(file).resolve()) for file in further.pop("files", [])]
    given |= further
    (folder / f"{MODULE}.py").write_text(learner.text, "utf-8")
    recipe = folder / "recipe.toml"
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    tables = {"data": _dataset(folder, data, valid, label) | dict(data_settings or {}), "learner": given}
    recipe.write_text(_recipe(name, numbers, tables, threats, defences), "utf-8")
    return run(
        recipe,
        out=folder / "study",
        cells=cells,
        jobs=jobs,
        threads=threads,
        data_dir=data_dir,
        # The commands are this very call's.
        allow_commands=True,
        quiet=quiet,
        executor=executor,
    )


def _estimator(learn: Any) -> str | None:
    """Whether `learn` is an estimator, and one that searches."""
    if inspect.isfunction(learn) or isinstance(learn, str) or not (hasattr(learn, "fit") and hasattr(learn, "predict")):
        return None
    from .sklearn import search_of

    return "plain" if search_of(learn) is None else "search"


def _of_estimator(learn: Any) -> _source.Learner:
    text = _source._search_path([]) + 'from toxscreen.sklearn import automl\n\n__all__ = ["automl"]\n'
    return _source.Learner(text, [], ["sklearn"])


def _name(learn: Any) -> str:
    if isinstance(learn, str):
        words = learn.rpartition(":")[2]
    elif inspect.isfunction(learn) or inspect.isclass(learn):
        words = learn.__name__
    else:
        last = learn.steps[-1][1] if hasattr(learn, "steps") else learn
        words = type(last).__name__
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "audit"


def _dataset(folder: Path, data: Any, valid: int | None, label: str | None) -> dict[str, Any]:
    name = _data.named(data)
    table: dict[str, Any] = {"dataset": name, "valid": valid or 0}
    if name is None:
        if label is not None:
            raise TypeError("label is for a table in a file; here y has the labels")
        arrays = tuple(data)
        if len(arrays) not in (2, 4):
            raise TypeError(f"data has {len(arrays)} parts: expected (X, y, X_test, y_test) or (X, y)")
        _data.write(folder / "data.npz", *(_split(*arrays) if len(arrays) == 2 else (arrays[:2], arrays[2:])))
        table["dataset"] = "data.npz"
    elif Path(name).exists():
        table["dataset"] = os.fspath(Path(name).resolve())
    if label is not None:
        table["label"] = label
    return table


def _split(X: Any, y: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """A fifth of each class for the test, drawn once and for all."""
    x = _data.rows(X)
    labels = _data.labels(y, len(x))
    order = np.random.default_rng(0).permutation(len(x))
    test = np.zeros(len(x), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: len(members) // 5]] = True
    if not test.any():
        raise ValueError("no class has five rows, so none can be held out: give X_test and y_test")
    return (x[~test], labels[~test]), (x[test], labels[test])


def _recipe(
    name: str, seeds: Sequence[int], tables: Mapping[str, Any], threats: Mapping[str, Any], defences: Iterable[Any]
) -> str:
    rows = [{"label": "clean"}, *_rows(threats)]
    columns = [{"variant": "none"}, *({"variant": _word(defence), "defence": _chain(defence)} for defence in defences)]
    lines = [f"name = {toml(name)}", f"title = {toml('Audit of ' + name)}", f"seeds = {toml(list(seeds))}"]
    for title, table in tables.items():
        lines += ["", f"[{title}]", *(f"{key} = {toml(value)}" for key, value in table.items())]
    if len(columns) == 1:
        for row in rows:
            lines += ["", "[[cell]]", *(f"{key} = {toml(value)}" for key, value in row.items())]
    else:
        lines += ["", "[[grid]]", "rows = [", *(f"  {toml(row)}," for row in rows), "]"]
        lines += ["columns = [", *(f"  {toml(column)}," for column in columns), "]"]
    return "\n".join(lines) + "\n"


def _rows(threats: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for kind, budgets in threats.items():
        listed = [budgets] if isinstance(budgets, (int, float, Mapping)) else list(budgets)
        for i, budget in enumerate(listed):
            if isinstance(budget, Mapping):
                share = budget.get("budget", budget.get("epsilon"))
                label = f"{kind}-{_percent(share)}" if isinstance(share, (int, float)) else f"{kind}-{share or i + 1}"
                rows.append({"label": label.replace("/", "-"), "threat": {"kind": kind, **budget}})
            elif not 0 <= budget <= 1:
                raise ValueError(f"the budget of {kind} is {budget}: expected a share of the rows, 0 to 1")
            elif budget > 0:
                # A budget of 0 is the clean cell.
                rows.append({"label": f"{kind}-{_percent(budget)}", "threat": {"kind": kind, "budget": float(budget)}})
    labels = [row["label"] for row in rows]
    for row in rows:
        if labels.count(row["label"]) > 1:
            row["label"] = f"{row['label']}-{rows.index(row) + 1}"
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.6g}" if math.isfinite(share) else str(share)


def _chain(defence: Any) -> Any:
    """A defence as a recipe has it."""
    if isinstance(defence, (list, tuple)):
        return [_chain(part) if isinstance(part, Mapping) else {"kind": part} for part in defence]
    return dict(defence) if isinstance(defence, Mapping) else defence


def _word(defence: Any) -> str:
    if isinstance(defence, (list, tuple)):
        return "+".join(map(_word, defence))
    return str(defence["kind"]) if isinstance(defence, Mapping) else str(defence)
