"""Live models under attack: attacks by the names that torchattacks gave them, and robust accuracy that says whether to believe it.

The attacks are those of the program. They run in the package `toxscreen-native`, which calls the model for each pass.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ._model import Model, ModelError, ModelWarning, NoGradientError, torch_of
from ._model import images as _images
from ._model import labels as _labels
from .commands import Robustness

# That of the compiled part.
INTERFACE = 1
# Images a pass, at most; an evaluation never makes more.
BATCH = 128

__all__ = [
    "APGD",
    "APGDT",
    "CW",
    "FAB",
    "FGSM",
    "PGD",
    "Attacked",
    "AutoAttack",
    "Evaluation",
    "ModelError",
    "ModelWarning",
    "NoGradientError",
    "Square",
    "evaluate",
]


def _native() -> Any:
    try:
        import toxscreen_native
    except ImportError as error:
        raise ImportError(
            "attacks on live models need the compiled part: pip install 'toxscreen[native]'; or from a clone: "
            "pip install maturin && maturin build --release -m python/native/Cargo.toml --out dist && "
            f"pip install dist/toxscreen_native-*.whl ({error})"
        ) from error
    if toxscreen_native.INTERFACE != INTERFACE:
        raise ImportError(
            f"toxscreen_native {toxscreen_native.__version__} is of another version than this toxscreen: "
            "pip install --upgrade toxscreen toxscreen-native"
        )
    return toxscreen_native


def _norm(norm: Any) -> str:
    name = str(norm).lower()
    if name not in ("linf", "l2", "inf", "2"):
        raise ValueError(f"norm is {norm!r}: expected 'Linf' or 'L2'")
    return "l2" if name.endswith("2") else "linf"


def _radius(eps: float | str | None, norm: str) -> float:
    if eps is None:
        if norm == "l2":
            raise ValueError("norm 'L2' needs eps, a length where pixels lie in 0..=1; 0.5 is usual for CIFAR-10")
        return 8 / 255
    return float(Fraction(eps.replace(" ", ""))) if isinstance(eps, str) else float(eps)


def _like(x: Any, array: np.ndarray) -> Any:
    """An array as what `x` is: a tensor of PyTorch on its device, or numpy's."""
    torch = torch_of(x)
    if torch is None:
        return array.astype(getattr(x, "dtype", np.float32), copy=False)
    return torch.from_numpy(array).to(x.device, x.dtype)


def _looked_over(model: Any, x: Any, batch: int) -> tuple[Model, np.ndarray]:
    asked, pixels = Model(model, x, batch), _images(x)
    asked.look_over(pixels)
    return asked, pixels


class Attack:
    """An attack on a model, called with images and labels. After a call `fooled` says of which images it found an error, and `forward`
    and `backward` how many passes each took.

    `model` is a module of PyTorch, or any callable from a float array (n, channels, height, width) in 0..=1 to logits (n, classes):
    of tensors if the images are tensors, else of numpy arrays. What comes back is of the kind of the images. Images that nothing
    fooled come back as the worst that was tried.
    """

    def __init__(self, model: Any, settings: dict[str, Any], eps: Any, norm: Any, seed: int | None, batch: int) -> None:
        self.model, self.settings, self.seed, self.batch = model, settings, seed or 0, batch
        self.norm = _norm(norm)
        self.eps = _radius(eps, self.norm)
        self.fooled = np.zeros(0, bool)
        self.forward = self.backward = np.zeros(0, np.uint32)

    def __call__(self, images: Any, labels: Any) -> Any:
        native = _native()
        model, x = _looked_over(self.model, images, self.batch)
        y = _labels(labels, len(x), model.classes)
        found = []
        for first in range(0, len(x), self.batch):
            at = slice(first, first + self.batch)
            found.append(
                native.attack(
                    model,
                    x[at],
                    y[at],
                    attack=json.dumps(self.settings),
                    norm=self.norm,
                    epsilon=self.eps,
                    seed=self.seed,
                    first=first,
                )
            )
        pixels, self.fooled, self.forward, self.backward = (np.concatenate(parts) for parts in zip(*found))
        model.told()
        return _like(images, pixels)

    def __repr__(self) -> str:
        keys = ", ".join(f"{key}={value}" for key, value in self.settings.items() if key != "kind")
        return f"{type(self).__name__}({keys}{', ' if keys else ''}norm={self.norm!r}, eps={self.eps:.5g})"


class FGSM(Attack):
    """One step of length eps along the gradient (Goodfellow et al. 2015)."""

    def __init__(self, model: Any, eps: Any = None, *, norm: Any = "Linf", seed: int = 0, batch: int = BATCH) -> None:
        super().__init__(model, {"kind": "fgsm"}, eps, norm, seed, batch)


def _steps(kind: str, steps: int, alpha: float | None, norm: Any, random_start: bool, restarts: int) -> dict[str, Any]:
    if alpha is None and _norm(norm) == "linf":
        alpha = 2 / 255
    step = {} if alpha is None else {"step": float(alpha)}
    return {"kind": kind, "steps": steps, **step, "restarts": restarts, "random_start": random_start}


class PGD(Attack):
    """Projected gradient ascent on the cross-entropy (Madry et al. 2018). Without alpha a step is 2/255, in L2 eps / min(steps, 10)."""

    def __init__(
        self,
        model: Any,
        eps: Any = None,
        alpha: float | None = None,
        steps: int = 10,
        random_start: bool = True,
        *,
        n_restarts: int = 1,
        norm: Any = "Linf",
        seed: int = 0,
        batch: int = BATCH,
    ) -> None:
        super().__init__(model, _steps("pgd", steps, alpha, norm, random_start, n_restarts), eps, norm, seed, batch)


class CW(Attack):
    """PGD on the margin loss of Carlini and Wagner (2017), in the ball, as tables of robust accuracy have it. torchattacks' CW looks for
    the nearest error in L2 instead, without a radius."""

    def __init__(
        self,
        model: Any,
        eps: Any = None,
        alpha: float | None = None,
        steps: int = 40,
        random_start: bool = True,
        *,
        n_restarts: int = 1,
        norm: Any = "Linf",
        seed: int = 0,
        batch: int = BATCH,
    ) -> None:
        super().__init__(model, _steps("cw", steps, alpha, norm, random_start, n_restarts), eps, norm, seed, batch)


class APGD(Attack):
    """Auto-PGD (Croce and Hein 2020) on the cross-entropy, or on the untargeted DLR loss."""

    def __init__(
        self,
        model: Any,
        norm: Any = "Linf",
        eps: Any = None,
        steps: int = 100,
        n_restarts: int = 1,
        seed: int = 0,
        loss: str = "ce",
        rho: float = 0.75,
        *,
        batch: int = BATCH,
    ) -> None:
        if loss not in ("ce", "dlr"):
            raise ValueError(f"loss is {loss!r}: expected 'ce' or 'dlr'")
        kind = {"kind": "apgd-ce"} if loss == "ce" else {"kind": "apgd-dlr", "targets": 0}
        super().__init__(model, {**kind, "steps": steps, "restarts": n_restarts, "rho": rho}, eps, norm, seed, batch)


class APGDT(Attack):
    """Auto-PGD on the targeted DLR loss, towards `n_classes - 1` classes."""

    def __init__(
        self,
        model: Any,
        norm: Any = "Linf",
        eps: Any = None,
        steps: int = 100,
        n_restarts: int = 1,
        seed: int = 0,
        rho: float = 0.75,
        n_classes: int = 10,
        *,
        batch: int = BATCH,
    ) -> None:
        settings = {"kind": "apgd-dlr", "steps": steps, "restarts": n_restarts, "rho": rho, "targets": n_classes - 1}
        super().__init__(model, settings, eps, norm, seed, batch)


class FAB(Attack):
    """The fast adaptive boundary attack (Croce and Hein 2020), towards each of `n_classes - 1` classes, as AutoAttack has it."""

    def __init__(
        self,
        model: Any,
        norm: Any = "Linf",
        eps: Any = None,
        steps: int = 100,
        n_restarts: int = 1,
        alpha_max: float = 0.1,
        eta: float = 1.05,
        beta: float = 0.9,
        seed: int = 0,
        n_classes: int = 10,
        *,
        batch: int = BATCH,
    ) -> None:
        settings = {"kind": "fab", "steps": steps, "restarts": n_restarts, "targets": n_classes - 1}
        super().__init__(model, settings | {"alpha_max": alpha_max, "eta": eta, "beta": beta}, eps, norm, seed, batch)


class Square(Attack):
    """Random search with squares (Andriushchenko et al. 2020), by the logits alone: any callable will do."""

    def __init__(
        self,
        model: Any,
        norm: Any = "Linf",
        eps: Any = None,
        n_queries: int = 5000,
        n_restarts: int = 1,
        p_init: float = 0.8,
        resc_schedule: bool = True,
        seed: int = 0,
        *,
        batch: int = BATCH,
    ) -> None:
        settings = {"kind": "square", "queries": n_queries, "restarts": n_restarts, "p_init": p_init, "rescale": resc_schedule}
        super().__init__(model, settings, eps, norm, seed, batch)


class AutoAttack(Attack):
    """APGD-CE, targeted APGD-DLR, targeted FAB, Square, each on what the ones before it left (Croce and Hein 2020, standard version)."""

    def __init__(self, model: Any, norm: Any = "Linf", eps: Any = None, *, seed: int | None = 0, batch: int = BATCH) -> None:
        super().__init__(model, {"kind": "autoattack"}, eps, norm, seed, batch)


@dataclass
class Attacked:
    """What one attack did. Accuracy is in percent of all images; `robust` says which of them stand."""

    name: str
    accuracy: float
    robust: np.ndarray = field(repr=False)
    queries: dict[str, float] = field(repr=False)
    parts: dict[str, float] = field(repr=False)


@dataclass(repr=False)
class Evaluation(Robustness):
    """Robust accuracy of a model, and whether to believe it. `adversarial` is of each image the one that fools, or the clean one where
    none was found; `outcomes` says which attack found it, `robust`, or `misclassified` of what the model gets wrong as it is."""

    adversarial: Any
    outcomes: list[str]
    attacks: list[Attacked]

    @property
    def clean(self) -> float:
        """Accuracy on the images as they are, in percent."""
        return self.clean_accuracy

    @property
    def accuracies(self) -> dict[str, float]:
        """In percent, under each attack."""
        return {attacked.name: attacked.accuracy for attacked in self.attacks}

    @property
    def warnings(self) -> list[str]:
        """What speaks against these numbers, a sentence each."""
        return [warning["reason"] for warning in self.evaluation["warnings"]]

    @property
    def untested(self) -> list[str]:
        """What was not tested, so that nothing can be said, a sentence each."""
        return [gap["reason"] for gap in self.evaluation["untested"]]

    @property
    def notes(self) -> list[str]:
        """What else to know of the attacks."""
        return list(self.evaluation["notes"])

    def _rows(self) -> list[tuple[str, str, str]]:
        rows = [("clean", f"{self.clean:.2f}", "")]
        for attacked in self.attacks:
            passes = f"{attacked.queries['mean_forward']:.0f} / {attacked.queries['mean_backward']:.0f}"
            rows.append((attacked.name, f"{attacked.accuracy:.2f}", passes))
        if len(self.attacks) > 1:
            rows.append(("all attacks", f"{self.robust_accuracy:.2f}", ""))
        return rows

    def _head(self) -> str:
        evaluation = self.evaluation
        norm = "Linf" if evaluation["ball"]["norm"] == "linf" else "L2"
        return f"{evaluation['images']} images, {norm}, eps {evaluation['ball']['epsilon']:.5g}; reliable: {self.reliable}"

    def __repr__(self) -> str:
        lines = [self._head()]
        lines += [f"  {name:<14} {accuracy:>7} %  {passes}".rstrip() for name, accuracy, passes in self._rows()]
        lines += [f"  warning: {reason}" for reason in self.warnings]
        lines += [f"  not tested: {reason}" for reason in self.untested]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{accuracy}</td><td>{passes}</td></tr>"
            for name, accuracy, passes in self._rows()
        )
        said = [("warning", self.warnings), ("not tested", self.untested), ("note", self.notes)]
        items = "".join(f"<li><b>{kind}</b>: {html.escape(text)}</li>" for kind, texts in said for text in texts)
        return (
            f"<p>{html.escape(self._head())}</p><table><tr><th>attack</th><th>accuracy, %</th><th>passes forward / back an image</th></tr>"
            f"{cells}</table>{f'<ul>{items}</ul>' if items else ''}"
        )


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    attacks: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]] = "autoattack",
    eps: float | str | None = None,
    norm: Any = "Linf",
    *,
    batch: int = BATCH,
    seed: int = 0,
    progress: Callable[[float, str], object] | None = None,
) -> Evaluation:
    """Robust accuracy of a live model under attacks, and the signs by which such numbers were found to be wrong.

    `model` is as of `Attack`. `attacks` are names as the program's `--attack` takes them (`"pgd20"`, `"autoattack"`), or tables
    such as `{"kind": "pgd", "steps": 50, "step": 0.01}`. `eps` is a number or a fraction, `"8/255"`, which is the default of Linf.
    A model without gradients takes `"square"` alone. `progress(share, message)` is called as the work goes on.
    """
    native = _native()
    asked = [attacks] if isinstance(attacks, (str, Mapping)) else list(attacks)
    if not asked:
        raise ValueError("attacks is empty: expected names such as 'autoattack', or tables with a 'kind'")
    words = [attack if isinstance(attack, str) else json.dumps(dict(attack)) for attack in asked]
    length = _norm(norm)
    live, pixels = _looked_over(model, x, batch)
    told, seen, by, found, stands = native.evaluate(
        live,
        pixels,
        _labels(y, len(pixels), live.classes),
        attacks=words,
        norm=length,
        epsilon=_radius(eps, length),
        seed=seed,
        progress=progress,
    )
    report = json.loads(told)
    names = [name for name, _ in stands]
    outcomes = [
        "misclassified" if not right else "robust" if attack < 0 else names[attack] for right, attack in zip(seen, by.tolist())
    ]
    done = []
    for (name, robust), attacked in zip(stands, report["attacks"]):
        parts = {part["attack"]: part["fooled"] for part in attacked["parts"]}
        done.append(Attacked(name, attacked["accuracy"], robust, attacked["queries"], parts))
    return Evaluation({"evaluation": report}, _like(x, found), outcomes, done)
