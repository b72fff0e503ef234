"""`python -m toxscreen.sklearn`: an estimator audited from the command line."""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from typing import Any

from .._audit import audit
from .._program import ToxscreenError
from . import Undescribable, _import

EXAMPLES = """examples:
  python -m toxscreen.sklearn sklearn.ensemble:RandomForestClassifier --data my.csv --label y --threat rlf=0.01,0.1
  python -m toxscreen.sklearn sklearn.svm:SVC --grid C=0.1,1,10 --grid gamma=0.01,0.1 --data digits --threat rlf=0.1 --defence knn
  python -m toxscreen.sklearn sklearn.linear_model:LogisticRegression --param max_iter=1000 --data my.npz --threat rlf=0.1
  python -m toxscreen.sklearn mypackage.models:pipeline --data my.npz --threat rlf=0.05

An estimator is MODULE:NAME of a class, of an estimator, or of a function without arguments that makes one. With --grid it is
put into a GridSearchCV, whose choice and claim are then audited.
"""


def main(arguments: list[str] | None = None) -> None:
    args = _parser().parse_args(arguments)
    sys.path.insert(0, "")
    try:
        study = audit(
            _built(args),
            args.data,
            dict(map(_threat, args.threat)),
            defences=[_defence(text) for text in args.defence],
            seeds=args.seeds,
            out=args.out,
            name=args.name,
            params={"candidates": True} if args.candidates else None,
            settings={"timeout": args.timeout} if args.timeout else None,
            valid=args.valid,
            label=args.label,
            jobs=args.jobs,
            data_dir=args.data_dir,
        )
    except (
        ToxscreenError,
        Undescribable,
        ImportError,
        AttributeError,
        ValueError,
        RuntimeError,
        FileNotFoundError,
    ) as error:
        sys.exit(f"error: {error}")
    print(study)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m toxscreen.sklearn",
        description="Audits an estimator of scikit-learn: what poison in its training rows does to it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("estimator", help="MODULE:NAME")
    add("--data", required=True, help="an .npz file, a .csv file, a folder, or digits, mnist, ...")
    add("--label", help="column of labels of a table")
    add(
        "--threat",
        action="append",
        required=True,
        metavar="KIND=BUDGETS",
        help="such as rlf=0.01,0.1; may be given again",
    )
    add("--defence", action="append", default=[], metavar="KIND", help="such as knn, or knn+denoise; may be given again")
    add("--param", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the estimator")
    add("--grid", action="append", default=[], metavar="KEY=VALUES", help="values for a GridSearchCV over a parameter")
    add("--cv", type=int, default=5, help="folds of the GridSearchCV (5)")
    add("--candidates", action="store_true", help="score the whole grid: a training more for each candidate")
    add("--seeds", type=int, default=5, help="number of seeds (5)")
    add("--valid", type=int, help="rows set aside as validation rows (none)")
    add("--timeout", help="of one training, such as 30m")
    add("--jobs", type=int, help="trials at a time")
    add("--out", help="folder (runs/NAME)")
    add("--name", help="name of the study (the estimator's)")
    add("--data-dir", help="folder of the known data sets")
    return parser


def _built(args: argparse.Namespace) -> Any:
    found = _import(args.estimator)
    params = dict(_pair(text) for text in args.param)
    if inspect.isclass(found) or inspect.isfunction(found):
        found = found(**params)
    elif params:
        found = found.set_params(**params)
    if not args.grid:
        return found
    from sklearn.model_selection import GridSearchCV

    grid = {key: list(value) if isinstance(value, (tuple, list)) else [value] for key, value in map(_pair, args.grid)}
    return GridSearchCV(found, grid, cv=args.cv)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} sets nothing: expected KEY=VALUE")
    return key, _value(value)


def _value(text: str) -> Any:
    """A literal of Python; a list of several with commas; else text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [_value(part) for part in text.split(",")] if "," in text else text


def _threat(text: str) -> tuple[str, list[float]]:
    kind, equals, budgets = text.partition("=")
    try:
        return kind, [float(budget) for budget in budgets.split(",")]
    except ValueError:
        raise ValueError(f"{text!r} is no threat: expected KIND=BUDGETS, such as rlf=0.01,0.1") from None


def _defence(text: str) -> Any:
    return text.split("+") if "+" in text else text


if __name__ == "__main__":
    main()
