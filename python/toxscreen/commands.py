"""Poison, regularise, screen and attack, through the program's own commands."""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import _data, _program
from .study import toml


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="toxscreen-") as folder:
        yield Path(folder)


def _source(folder: Path, X: Any, y: Any, test: tuple[Any, Any] | None) -> str:
    """What `--data` is: a path or a name as it is, arrays as an .npz in `folder`."""
    name = _data.named(X)
    if name is not None:
        if y is not None or test is not None:
            raise TypeError(f"X is {name!r}, which has labels of its own: leave y and test out, or give arrays")
        return name
    if y is None:
        raise TypeError("y is missing: expected a label for each row of X")
    _data.write(folder / "data.npz", (X, y), test)
    return str(folder / "data.npz")


def _trusted(folder: Path, trusted: tuple[Any, Any] | None) -> Path | None:
    if trusted is None:
        return None
    x = _data.rows(trusted[0], "X_trusted")
    np.savez(folder / "trusted.npz", x=x, y=_data.labels(trusted[1], len(x), "y_trusted"))
    return folder / "trusted.npz"


@dataclass
class Patch:
    """Poison alone: which rows it replaces, with which labels and, where it moves them, which values."""

    indices: np.ndarray
    labels: np.ndarray
    values: np.ndarray | None = None
    manifest: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Patch:
        """Reads `path` and, where it is, the manifest beside it."""
        with np.load(path, allow_pickle=False) as arrays:
            values = arrays["values"] if "values" in arrays else None
            manifest = Path(os.fspath(path) + ".json")
            settings = json.loads(manifest.read_text("utf-8")) if manifest.is_file() else {}
            return cls(arrays["indices"], arrays["labels"], values, settings)

    def apply(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """A poisoned copy of the rows that the patch was made for, in the order that they had. Images are in C, H, W order."""
        x, labels = _data.rows(X).copy(), np.array(y)
        rows = self.manifest.get("train_rows", len(x))
        if len(x) != rows or len(labels) != rows:
            raise ValueError(f"the patch is of {rows} rows, but X has {len(x)} and y {len(labels)}")
        classes = np.unique(labels)
        # Labels that begin at 0 are the classes; others, and text, are numbered in their order.
        from_zero = labels.dtype.kind != "U" and classes[0] == 0
        labels[self.indices] = self.labels if from_zero else classes[self.labels]
        if self.values is not None:
            values = self.values.reshape(-1, *x.shape[1:])
            if self.manifest.get("units") != "own":
                # 8-bit data: bytes, or pixel / 255.
                values = values / np.float32(255) if values.dtype == np.uint8 else values
                if x.dtype == np.uint8:
                    values = np.rint(values * 255)
                elif x.size and x.max() > 1:
                    raise ValueError("the patch is of 8-bit data: expected X as uint8, or as pixel / 255")
            x[self.indices] = values.astype(x.dtype)
        return x, labels

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the patch and its manifest, as `threat = { kind = "file", path = ... }` of a recipe reads them."""
        arrays = {"indices": self.indices, "labels": self.labels}
        if self.values is not None:
            arrays["values"] = self.values
        np.savez(path, **arrays)  # type: ignore[arg-type]
        Path(os.fspath(path) + ".json").write_text(json.dumps(self.manifest, indent=2), "utf-8")


@dataclass(repr=False)
class Poisoned:
    """A poisoned copy of a data set. The program's own answer is `report`."""

    X: np.ndarray
    y: np.ndarray
    patch: Patch
    report: dict[str, Any]

    @property
    def indices(self) -> np.ndarray:
        """The rows that are poison."""
        return self.patch.indices

    @property
    def held_out(self) -> np.ndarray:
        """Rows that were held out as trusted or test rows, and are never poisoned."""
        settings = self.patch.manifest.get("settings", {})
        return np.array(settings.get("trusted_rows", []) + settings.get("test_rows", []), dtype=np.int64)

    @property
    def unreliable(self) -> str | None:
        """Why the attack is not to be believed, or None."""
        if self.report.get("attacked") is False:
            return "the loss on the trusted rows is not above that of the clean data and of flipped labels alone"
        check = self.report.get("check") or {}
        return check.get("unreliable") or self.report.get("unreliable")

    def __repr__(self) -> str:
        return f"Poisoned({len(self.indices)} of {len(self.y)} rows by {self.report['attack']}, unreliable={self.unreliable!r})"


def poison(
    X: Any,
    y: Any = None,
    *,
    attack: str = "bilevel",
    budget: float = 0.1,
    trusted: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    seed: int = 0,
    quiet: bool = False,
    **settings: Any,
) -> Poisoned:
    """Poisons a copy of the training rows: `rlf`, `clf`, `noise`, `gc` or `bilevel`.

    `X` is rows with labels `y`, or what `toxscreen poison --data` takes: a path or the name of a set. `budget` is the share
    of rows that poison replaces. Further keywords are the command's options: `hyperiterations=20`, `scale="minmax"`,
    `lambda_=-2`. An attack that did not attack is a warning, and `unreliable` says so.
    """
    with _folder() as folder:
        out = folder / "poisoned.npz"
        given = {"attack": attack, "budget": budget, "trusted": _trusted(folder, trusted), "seed": seed, "out": out}
        arguments = ["poison", "--data", _source(folder, X, y, test), *_program.options(given | settings)]
        _, report = _program.ask(arguments, ok=(0, 1), quiet=quiet)
        with np.load(out, allow_pickle=False) as arrays:
            x_name, y_name = _training(list(arrays))
            poisoned = Poisoned(arrays[x_name], arrays[y_name], Patch.load(folder / "poisoned.patch.npz"), report)
    report.pop("files", None)
    if poisoned.unreliable:
        warnings.warn(f"the attack did not attack: {poisoned.unreliable}", stacklevel=2)
    return poisoned


# Names of rows and labels in files of others, which `poison` keeps.
PAIRS = [
    "x_train y_train",
    "train_images train_labels",
    "images labels",
    "x y",
    "data target",
    "data labels",
    "arr_0 arr_1",
]


def _training(names: list[str]) -> tuple[str, str]:
    """The names of the training rows and labels among `names`."""
    lower = {name.lower(): name for name in names}
    for x, y in map(str.split, PAIRS):
        if x in lower and y in lower:
            return lower[x], lower[y]
    raise KeyError(f"none of the arrays {', '.join(names)} is known as training rows: load the data, and give X and y")


@dataclass(repr=False)
class Hardened:
    """How strongly to regularise. The names that end with `_` are those of what was recommended, else of what you have."""

    report: dict[str, Any]

    @property
    def recommended(self) -> bool:
        """Whether another regularisation surely withstands poison better than yours."""
        return bool(self.report["recommended"])

    @property
    def reason(self) -> str:
        return str(self.report["reason"])

    @property
    def _weights(self) -> dict[str, Any]:
        return dict(self.report["advice"] if self.recommended else self.report["keep"])

    @property
    def lambda_(self) -> Any:
        """The logarithm of the penalty's strength: a number, or one for each layer; None for no penalty."""
        return _single(self._weights["lambda"])

    @property
    def C_(self) -> float:
        """`C` of scikit-learn's LogisticRegression, infinite for no penalty."""
        c = self._weights["sklearn_c"]
        if c is None and self._weights["lambda"]:
            raise AttributeError("C_ is of logistic regression with one penalty; a network has weight_decay_ and lambda_")
        return math.inf if c is None else float(c)

    @property
    def weight_decay_(self) -> Any:
        """`weight_decay` of an optimiser of PyTorch: a number, or one for each layer."""
        decay = self._weights["weight_decay"]
        if decay is None:
            raise AttributeError("an L1 penalty is no weight decay: add exp(lambda_) * |w| to the loss")
        return _single(decay) if decay else 0.0

    def table(self) -> Any:
        """What was tried, as a pandas data frame."""
        import pandas

        keys = ["name", "lambda", "sklearn_c", "test_error", "worst_test_error", "poison_against_it", "diverged"]
        rows = [{key: treatment.get(key) for key in keys} for treatment in self.report["treatments"]]
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return f"Hardened(recommended={self.recommended}, lambda_={self.lambda_}, reason={self.reason!r})"


def _single(values: list[float]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def harden(
    X: Any,
    y: Any = None,
    X_trusted: Any = None,
    y_trusted: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    budget: float = 0.1,
    current: float | None = None,
    seed: int = 0,
    quiet: bool = False,
    **settings: Any,
) -> Hardened:
    """Looks for the regularisation of logistic regression, or of a network (`hidden=[32, 8]`), that withstands poison.

    `current` is the `C` that you have (default 1). Without trusted rows `valid=N` holds out N rows, which must be clean.
    Further keywords are the options of `toxscreen harden`.
    """
    if X_trusted is None and "valid" not in settings:
        raise TypeError("harden needs rows that are surely clean: X_trusted and y_trusted, or valid=N to hold out N of X")
    with _folder() as folder:
        trusted = None if X_trusted is None else _trusted(folder, (X_trusted, y_trusted))
        current_text = "inf" if current is not None and math.isinf(current) else current
        given = {"trusted": trusted, "budget": budget, "current": current_text, "seed": seed}
        arguments = ["harden", "--data", _source(folder, X, y, test), *_program.options(given | settings)]
        return Hardened(_program.ask(arguments, ok=(0, 4), quiet=quiet)[1])


@dataclass(repr=False)
class Screened:
    """What the screen says of each op of a search space."""

    ops: list[dict[str, Any]]

    @property
    def flagged(self) -> dict[str, list[Any]]:
        """Ops that are poisonous, or whose copies shift the odds, with what speaks against them."""
        return {op["op"]: op["findings"] for op in self.ops if op["findings"]}

    def __repr__(self) -> str:
        return f"Screened({len(self.ops)} ops, flagged: {', '.join(self.flagged) or 'none'})"


def screen(
    space: str | os.PathLike[str] | Iterable[Mapping[str, Any]],
    *,
    data: str = "digits",
    seed: int = 0,
    quiet: bool = False,
) -> Screened:
    """Looks for bad ops: of a file, or of tables such as `[{"op": "conv", "k": 3}, {"op": "dropout", "p": 1.0, "count": 6}]`."""
    with _folder() as folder:
        path = _data.named(space)
        if path is None:
            tables = ["[[op]]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in op.items()) for op in space]  # type: ignore[union-attr]
            path = str(folder / "space.toml")
            Path(path).write_text("\n\n".join(tables) + "\n", "utf-8")
        _, ops = _program.ask(["screen", path, *_program.options({"data": data, "seed": seed})], ok=(0, 1), quiet=quiet)
        return Screened(ops)


@dataclass(repr=False)
class Robustness:
    """How robust a network is, and whether to believe it."""

    report: dict[str, Any]

    @property
    def evaluation(self) -> dict[str, Any]:
        """All that was measured."""
        return dict(self.report["evaluation"])

    @property
    def clean_accuracy(self) -> float:
        """In percent."""
        return float(self.evaluation["clean"])

    @property
    def robust_accuracy(self) -> float:
        """The share of images, in percent, that no attack fooled."""
        return float(self.evaluation["worst_case"])

    @property
    def accuracies(self) -> dict[str, float]:
        """In percent, under each attack."""
        return {str(attacked["attack"]): float(attacked["accuracy"]) for attacked in self.evaluation["attacks"]}

    @property
    def reliable(self) -> str:
        """`yes`, `no` or `not-tested`."""
        return str(self.evaluation["reliable"])

    @property
    def warnings(self) -> list[Any]:
        """What speaks against these numbers."""
        return list(self.evaluation["warnings"])

    def __repr__(self) -> str:
        return f"Robustness(robust_accuracy={self.robust_accuracy:.2f}, reliable={self.reliable!r})"


@dataclass(repr=False)
class AttackedNetwork(Robustness):
    """How robust a network is, and what was found of each image. `adversarial` is of each image (n, channels, height, width; float32 in
    0..=1) the one with which the first attack fools that does, else the clean one. `outcomes` names that attack, or says `robust`, or
    `misclassified` of an image that is wrong as it is. `fooled` and `distance` are (n, attacks), in the order of `attacks`."""

    adversarial: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    outcomes: list[str]
    attacks: list[str]
    fooled: np.ndarray
    distance: np.ndarray
    clean: np.ndarray
    prediction: np.ndarray

    @classmethod
    def _read(cls, report: dict[str, Any], path: Path) -> AttackedNetwork:
        with np.load(path) as found:
            whole = ("labels", "indices", "fooled", "distance", "clean", "prediction")
            arrays = {name: found[name] for name in whole}
            return cls(
                report, adversarial=found["images"], outcomes=found["attack"].tolist(), attacks=found["attacks"].tolist(), **arrays
            )


def attack(
    weights: Any,
    X: Any,
    y: Any = None,
    *,
    test: tuple[Any, Any] | None = None,
    attacks: str | Iterable[str] | None = None,
    epsilon: float | str | None = None,
    norm: str = "linf",
    seed: int = 0,
    out: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    quiet: bool = False,
    **settings: Any,
) -> AttackedNetwork:
    """Attacks a trained network of an architecture that the program knows: wide residual networks, ResNet-18 for small images, and what
    its own trials found (`found.safetensors`). `evaluate` attacks any other.

    `weights` is a .safetensors file, a state dict of PyTorch or a module. `X` is images with labels, of which `test`, else all of
    them, are attacked; or a path or the name of a set. `out` is a folder for the study, with which a stopped attack goes on, a file
    `.npz` for the adversarial examples, or both. Further keywords are the options of `toxscreen attack`, such as `arch="wrn-28-10"`.
    """
    with _folder() as folder:
        if test is None and _data.named(X) is None:
            test, settings = (X, y), {"split": "test", **settings}
        kept = [Path(path) for path in ([out] if isinstance(out, (str, os.PathLike)) else out)]
        files = [path for path in kept if path.suffix == ".npz"]
        examples = files[0] if files else folder / "adversarial.npz"
        given = {
            "out": kept if files else [*kept, examples],
            "weights": _weights_file(folder, weights),
            "attack": attacks if isinstance(attacks, str) or attacks is None else list(attacks),
            "epsilon": epsilon,
            "norm": norm,
            "seed": seed,
        }
        arguments = ["attack", "--data", _source(folder, X, y, test), *_program.options(given | settings)]
        return AttackedNetwork._read(_program.ask(arguments, quiet=quiet)[1], examples)


def _weights_file(folder: Path, weights: Any) -> Path:
    if isinstance(weights, (str, os.PathLike)):
        return Path(weights)
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise ImportError("weights of PyTorch go to the program as safetensors: pip install safetensors") from None
    state = weights.state_dict() if hasattr(weights, "state_dict") else weights
    # Copies: safetensors refuses tensors that share memory.
    save_file(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()},
        folder / "weights.safetensors",
    )
    return folder / "weights.safetensors"
