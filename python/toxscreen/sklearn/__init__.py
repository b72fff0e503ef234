"""Audits any estimator of scikit-learn's kind, a grid search included, with no code:

    python -m toxscreen.sklearn sklearn.ensemble:RandomForestClassifier --data my.csv --label y --threat rlf=0.01,0.1

`automl` is the learner. An estimator reaches it as a description in JSON, never as a pickle.
"""

from __future__ import annotations

import importlib
import inspect
import math
from typing import Any

import numpy as np

from ..learner import MOST_CANDIDATES, Result, Task
from .estimators import HardenedLogisticRegression, LabelSanitizer

__all__ = ["HardenedLogisticRegression", "LabelSanitizer", "Undescribable", "automl", "build", "describe", "search_of"]

FOLDS = 5
# What scikit-learn shows to those alone who import this first.
EXPERIMENTAL = {
    "HalvingGridSearchCV": "enable_halving_search_cv",
    "HalvingRandomSearchCV": "enable_halving_search_cv",
    "IterativeImputer": "enable_iterative_imputer",
}


class Undescribable(TypeError):
    """A value that no description can stand for."""


def describe(value: Any, where: str = "estimator") -> Any:
    """A description of an estimator, or of a parameter of one, as JSON from which `build` makes an equal one.

    An estimator is `module:Class`, with the parameters that differ from its defaults. What JSON has no word for is a table of
    one key: `none`, `float`, `tuple`, `array`, `import`, `distribution`.
    """
    if value is None:
        return {"none": True}
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        return describe(value.item(), where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and np.isfinite(value).all():
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, (list, tuple)):
        items = [describe(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise Undescribable(f"{where} has keys that are no text")
        return {"dict": {key: describe(item, f"{where}.{key}") for key, item in value.items()}}
    if inspect.isclass(value) or inspect.isroutine(value):
        return {"import": _path(value, where)}
    if hasattr(value, "get_params"):
        return _estimator(value, where)
    if type(value).__module__.startswith("scipy.stats") and hasattr(value, "dist"):
        arguments = {"dict": {"args": describe([*value.args], where), "kwds": describe(dict(value.kwds), where)}}
        return {"distribution": value.dist.name, "arguments": arguments}
    if type(value).__module__.startswith("sklearn.model_selection"):
        # A splitter: its settings are its attributes.
        settings = {name: describe(getattr(value, name), f"{where}.{name}") for name in _names(value)}
        return {"object": _path(type(value), where), "params": settings}
    raise Undescribable(
        f"{where} is a {type(value).__name__}, which toxscreen cannot hand over: write the learner as a function, "
        "def automl(task), that makes the estimator"
    )


def _path(thing: Any, where: str) -> str:
    """`module:name` of a class or function that can be imported."""
    name, module = thing.__qualname__, thing.__module__
    for shorter in (module.rsplit("._", 1)[0], module):
        try:
            if getattr(importlib.import_module(shorter), name, None) is thing and shorter != "__main__":
                return f"{shorter}:{name}"
        except ImportError:
            pass
    raise Undescribable(
        f"{where} is {name} of {module}, which another process cannot import: put it into a file of its own, or write the "
        "learner as a function, def automl(task)"
    )


def _estimator(value: Any, where: str) -> Any:
    path = _path(type(value), where)
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(type(value).__init__).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    changed = {
        key: describe(given, f"{where}.{key}")
        for key, given in value.get_params(deep=False).items()
        if key not in defaults or not _same(given, defaults[key])
    }
    return {"estimator": path, "params": changed} if changed else {"estimator": path}


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except ValueError:  # arrays
        return False


def _names(value: Any) -> list[str]:
    """The parameters that `value` was made with and keeps as attributes."""
    return [name for name in inspect.signature(type(value).__init__).parameters if hasattr(value, name)]


def build(description: Any) -> Any:
    """What `describe` described."""
    if isinstance(description, list):
        return [build(item) for item in description]
    if not isinstance(description, dict):
        return description
    if "none" in description:
        return None
    if "float" in description:
        return float(description["float"])
    if "array" in description:
        return np.array(description["array"], dtype=description["dtype"])
    if "tuple" in description:
        return tuple(build(item) for item in description["tuple"])
    if "dict" in description:
        return {key: build(value) for key, value in description["dict"].items()}
    if "import" in description:
        return _import(description["import"])
    if "distribution" in description:
        import scipy.stats

        given = build(description["arguments"])
        return getattr(scipy.stats, description["distribution"])(*given["args"], **given["kwds"])
    params = {key: build(value) for key, value in description.get("params", {}).items()}
    return _import(description.get("estimator") or description["object"])(**params)


def _import(path: str) -> Any:
    module, _, name = path.partition(":")
    if not name:
        raise ValueError(f"{path!r} names nothing: expected MODULE:NAME, such as sklearn.svm:SVC")
    if name in EXPERIMENTAL:
        importlib.import_module("sklearn.experimental." + EXPERIMENTAL[name])
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def automl(task: Task) -> Result:
    """The learner: fits `task.params["estimator"]` and answers for the test rows.

    A search (`GridSearchCV` and what else has `best_params_`) answers with what it chose and the accuracy that it claims;
    in phase `train` its estimator is fitted with the choice that is asked for, without a search. Other estimators claim
    their accuracy on the validation rows or, without any, of a cross-validation of five folds (`params.claim = false`: none).
    With `params.candidates = true` a search has its whole space scored: each candidate is fitted on all rows, which costs
    as many trainings.
    """
    params = task.params
    estimator = _seeded(build(params["estimator"]), task)
    x, y = task.train.flat, task.train.y
    assert y is not None
    if task.phase == "train":
        fitted = _chosen(estimator, task.choice).fit(x, y)
        return _result(fitted, task, choice=task.choice)
    fitted = estimator.fit(x, y)
    if params.get("model"):
        import joblib

        joblib.dump((fitted, task.classes), task.model / "model.joblib")
    search = search_of(fitted)
    if search is None:
        return _result(fitted, task, claim=_claim(fitted, task) if params.get("claim", True) else None)
    tried = search.cv_results_["params"]
    return _result(
        fitted,
        task,
        claim=_searched(fitted, search, task),
        choice=_choice(search.best_params_),
        found=", ".join(f"{key} = {value}" for key, value in search.best_params_.items()),
        evaluations=len(tried),
        candidates=_candidates(estimator, search, task) if params.get("candidates") else None,
    )


def search_of(estimator: Any) -> Any:
    """The search that `estimator` is, or ends with as a pipeline; or None."""
    if hasattr(estimator, "steps"):
        return search_of(estimator.steps[-1][1])
    # Of scikit-learn's kind: an estimator, what to try, and whether to fit the best of it.
    return estimator if hasattr(estimator, "refit") and hasattr(estimator, "estimator") else None


def _result(fitted: Any, task: Task, **more: Any) -> Result:
    answers = _answers(fitted, task)
    return Result(answers, probabilities=answers.ndim == 2, **more)


def _probabilities(model: Any, x: np.ndarray, classes: int) -> np.ndarray | None:
    """One column a class, also for those of which the model has seen no row; None where it has no probabilities."""
    try:
        found = model.predict_proba(x)
    except (AttributeError, NotImplementedError):
        return None
    scores = np.zeros((len(x), classes))
    scores[:, np.asarray(model.classes_, dtype=int)] = found
    return scores


def _scores(loaded: tuple[Any, int], x: np.ndarray) -> np.ndarray:
    """For phase `predict`: probabilities, or 1 for the answer where there are none."""
    (model, classes), x = loaded, x.reshape(len(x), -1)
    scores = _probabilities(model, x, classes)
    return np.eye(classes)[np.asarray(model.predict(x), dtype=int)] if scores is None else scores


def _load(folder: Any) -> Any:
    import joblib

    return joblib.load(folder / "model.joblib")


automl.predict = _scores  # type: ignore[attr-defined]
automl.load = _load  # type: ignore[attr-defined]


def _seeded(estimator: Any, task: Task) -> Any:
    """Random states that were left open are the task's seed, and threads its threads."""
    settings = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    given: dict[str, Any] = {
        key: task.seed for key, value in settings.items() if key.rsplit("__", 1)[-1] == "random_state" and value is None
    }
    if "n_jobs" in settings and settings["n_jobs"] is None and task.threads > 1:
        given["n_jobs"] = task.threads
    return estimator.set_params(**given) if given else estimator


def _answers(fitted: Any, task: Task) -> np.ndarray:
    """Classes; or probabilities, where these say the same."""
    classes = np.asarray(fitted.predict(task.test.flat))
    scores = _probabilities(fitted, task.test.flat, task.classes)
    return classes if scores is None or (scores.argmax(axis=1) != classes).any() else scores


def _claim(estimator: Any, task: Task, cv: Any = None) -> float:
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score

    if task.valid is not None and cv is None:
        return float((estimator.predict(task.valid.flat) == task.valid.y).mean())
    x, y = task.train.flat, task.train.y
    return float(cross_val_score(clone(estimator), x, y, cv=FOLDS if cv is None else cv, scoring="accuracy").mean())


def _searched(fitted: Any, search: Any, task: Task) -> float:
    """What a search claims: its best score, where that is an accuracy; else that of what it chose, over its folds."""
    if search.scoring in (None, "accuracy"):
        return float(search.best_score_)
    return _claim(_chosen(fitted, _choice(search.best_params_)), task, cv=getattr(search, "cv", None) or FOLDS)


def _word(value: Any) -> Any:
    """A parameter's value as a choice has it: itself where JSON has a word for it, else what `describe` makes of it."""
    described = describe(value)
    if isinstance(value, tuple) and all(isinstance(item, (bool, int, float, str)) for item in value):
        return list(value)
    return None if value is None else described


def _choice(params: dict[str, Any]) -> dict[str, Any]:
    return {key: _word(params[key]) for key in sorted(params)}


def _chosen(estimator: Any, choice: Any) -> Any:
    """The estimator with the parameters of `choice` in the place of the search."""
    from sklearn.base import clone

    search = search_of(estimator)
    given = {}
    for key, word in (choice or {}).items():
        # The values that the search lists have their own types, such as tuples.
        listed = [value for value in _listed(search, key) if _word(value) == word]
        given[key] = listed[0] if listed else build({"none": True} if word is None else word)
    inner = clone(estimator if search is None else search.estimator).set_params(**given)
    return _in_place(estimator, inner)


def _in_place(estimator: Any, inner: Any) -> Any:
    """A copy of `estimator` whose search is `inner`."""
    from sklearn.base import clone

    if not hasattr(estimator, "steps"):
        return inner
    name, last = estimator.steps[-1]
    return clone(estimator).set_params(**{name: _in_place(last, inner)})


def _listed(search: Any, key: str) -> list[Any]:
    spaces = getattr(search, "param_grid", None) or getattr(search, "param_distributions", None) or {}
    values: list[Any] = []
    for space in spaces if isinstance(spaces, list) else [spaces]:
        listed = space.get(key, [])
        values += listed if isinstance(listed, (list, tuple, np.ndarray)) else []
    return values


def _candidates(estimator: Any, search: Any, task: Task) -> list[dict[str, Any]]:
    """Each configuration once, with the score of its last evaluation."""
    found: dict[str, tuple[dict[str, Any], float]] = {}
    for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"]):
        found[repr(_choice(params))] = (params, float(score))
    x, y = task.train.flat, task.train.y
    candidates = []
    for i, (params, score) in enumerate(list(found.values())[:MOST_CANDIDATES]):
        model = _chosen(estimator, _choice(params)).fit(x, y)
        candidate = {"choice": _choice(params), "predictions": model.predict(task.test.flat)}
        if 0 <= score <= 1:
            candidate["claim"] = score
        candidates.append(candidate)
        task.progress((i + 1) / len(found), f"candidate {i + 1} of {len(found)}")
    return candidates
