"""A model of whatever library as what the compiled part asks: logits, and gradients where there are any."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

# Images on which a model is tried before it is attacked.
TRIED = 8
# Relative difference of logits that other sizes of a batch, and so other orders of a sum, may make.
ROUNDING = 1e-3


class ModelError(ValueError):
    """A model that answers with something else than logits, or changes its input."""


class NoGradientError(TypeError):
    """An attack along gradients on a model that answers with logits alone."""


class ModelWarning(UserWarning):
    """A model whose answers are not what attacks expect: in training mode, random, NaN."""


def torch_of(*things: Any) -> Any:
    """PyTorch, if one of these is a module or a tensor of it; else None."""
    torch = sys.modules.get("torch")
    if torch is not None and any(isinstance(thing, (torch.nn.Module, torch.Tensor)) for thing in things):
        return torch
    return None


def images(x: Any) -> np.ndarray:
    """Images as float32, (n, channels, height, width), in 0..=1."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if x.is_floating_point() else x
    array = np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"images are of {array.dtype}: expected floats in 0..=1, such as images / 255")
    if array.ndim != 4:
        raise ValueError(
            f"images have the shape {array.shape}: expected (n, channels, height, width); "
            "grey ones of (n, height, width) are x[:, None], a table of (n, d) is x.reshape(n, 1, 1, d)"
        )
    if not array.size:
        raise ValueError("there is no image: expected at least one")
    # A copy, so that nobody can change it while it is attacked.
    array = np.array(array, dtype=np.float32, order="C")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"pixels lie in {low:.4g}..{high:.4g}: expected 0..=1; make the normalisation a part of the model, such as "
            "torch.nn.Sequential(torchvision.transforms.Normalize(mean, std), model)"
        )
    return array


def labels(y: Any, n: int, classes: int) -> np.ndarray:
    """Labels as uint16."""
    if hasattr(y, "detach"):
        y = y.detach().cpu()
    array = np.asarray(y)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"labels are of {array.dtype} and shape {array.shape}: expected {n} whole numbers, the class of each image"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        raise ValueError(f"labels lie in {low}..{high}: expected 0..{classes - 1}, for the model has {classes} classes")
    return array.astype(np.uint16)


class Model:
    """What the compiled part calls: `logits`, `forward`, `backward` on float32 arrays."""

    def __init__(self, model: Callable[..., Any], x: Any, batch: int) -> None:
        if not callable(model):
            raise TypeError(f"the model is a {type(model).__name__}: expected a callable from images to logits")
        if batch < 1:
            raise ValueError(f"batch is {batch}: expected at least 1")
        self.model, self.batch = model, batch
        self.classes, self.has_gradient, self.not_finite = 0, False, 0
        self._torch = torch_of(model, x)
        self._kept: tuple[Any, Any] | None = None
        self._device, self._type = getattr(x, "device", None), None
        if self._torch and isinstance(model, self._torch.nn.Module):
            first = next(iter([*model.parameters(), *model.buffers()]), None)
            if first is not None:
                self._device = first.device
            self._type = next((p.dtype for p in model.parameters() if p.is_floating_point()), None)

    def logits(self, x: np.ndarray) -> np.ndarray:
        if self._torch:
            with self._torch.no_grad():
                return self._numbers(self.model(self._tensor(x)), len(x))
        return self._numbers(self.model(x), len(x))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Logits of a pass that `backward` goes back through."""
        with self._torch.inference_mode(False), self._torch.enable_grad():
            start = self._tensor(x).requires_grad_()
            end = self.model(start)
            self._kept = (start, end)
            return self._numbers(end, len(x))

    def backward(self, cotangent: np.ndarray) -> np.ndarray:
        """The gradient, by the images of the last `forward`, of logits times cotangents."""
        if self._kept is None:
            raise RuntimeError("backward was asked before forward")
        (start, end), self._kept = self._kept, None
        if not end.requires_grad:
            return np.zeros(tuple(start.shape), np.float32)
        by = self._torch.from_numpy(cotangent).to(end.device, end.dtype)
        (gradient,) = self._torch.autograd.grad(end, start, by, allow_unused=True)
        if gradient is None:
            return np.zeros(tuple(start.shape), np.float32)
        return self._array(gradient)

    def _tensor(self, x: np.ndarray) -> Any:
        return self._torch.from_numpy(x).to(self._device, self._type or self._torch.float32)

    def _array(self, tensor: Any) -> np.ndarray:
        return np.ascontiguousarray(tensor.detach().to("cpu", self._torch.float32).numpy())

    def _numbers(self, answer: Any, n: int) -> np.ndarray:
        if self._torch and isinstance(answer, self._torch.Tensor):
            found = self._array(answer)
        elif self._torch or isinstance(answer, (tuple, list, dict, str)) or not hasattr(answer, "__array__"):
            hint = ", such as lambda x: model(x).logits" if hasattr(answer, "logits") else ", such as lambda x: model(x)[0]"
            raise ModelError(
                f"the model returns a {type(answer).__name__}: expected {'a tensor' if self._torch else 'an array'} of logits, "
                f"(n, classes); wrap it{hint}"
            )
        else:
            found = np.ascontiguousarray(answer, dtype=np.float32)
        if found.ndim != 2 or len(found) != n or found.shape[1] < 2 or self.classes not in (0, found.shape[1]):
            classes = self.classes or "classes, at least 2"
            raise ModelError(f"the model returns the shape {found.shape} for {n} images: expected logits, ({n}, {classes})")
        self.not_finite += int((~np.isfinite(found)).any(1).sum())
        return found

    def look_over(self, x: np.ndarray) -> None:
        """Asks about the first images: how many classes, whether there are gradients, and what speaks against attacking it."""
        some = x[:TRIED]
        self._training()
        first = self._unchanged(some)
        self.classes = first.shape[1]
        if self._torch:
            self.forward(some.copy())
            assert self._kept is not None
            self.has_gradient = bool(self._kept[1].requires_grad)
            self._kept = None
        self.not_finite = 0
        again = self.logits(some.copy())
        if _apart(first, again):
            _warn(
                "the model answers the same images differently when asked again: attacks see one draw each, and robustness is "
                f"overestimated. {self._eval()}"
            )
        elif len(some) > 1:
            half = len(some) // 2
            parts = np.concatenate([self.logits(some[:half].copy()), self.logits(some[half:].copy())])
            if _apart(first, parts):
                _warn(
                    "the model's answer to an image depends on what else is in the batch, as with batch normalisation in training "
                    f"mode: attacks take each image as if it were alone. {self._eval()}"
                )
        self.not_finite = 0

    def _unchanged(self, x: np.ndarray) -> np.ndarray:
        """The logits, by a pass that must leave its input as it is."""
        shown = x.copy()
        if self._torch:
            tensor = self._tensor(shown)
            with self._torch.no_grad():
                answer = self._numbers(self.model(tensor), len(x))
            same = bool((tensor == self._tensor(x.copy())).all())
        else:
            answer = self._numbers(self.model(shown), len(x))
            same = bool((shown == x).all())
        if not same:
            raise ModelError("the model modifies its input in place: begin it with x = x.clone() (of numpy: x.copy())")
        return answer

    def _training(self) -> None:
        """Warns of layers that behave otherwise in training."""
        if not (self._torch and isinstance(self.model, self._torch.nn.Module)):
            return
        nn = self._torch.nn
        batch, drop = nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd
        active = [
            f"{name or 'itself'} ({type(module).__name__})"
            for name, module in self.model.named_modules()
            if module.training and isinstance(module, (batch, drop)) and getattr(module, "track_running_stats", True)
        ]
        if active:
            _warn(
                f"the model is in training mode: {', '.join(active[:3])}{' ...' if len(active) > 3 else ''} answer by batch or at "
                "random, and each pass moves running statistics. Call model.eval() first; it is attacked as it is"
            )

    def _eval(self) -> str:
        module = self._torch and isinstance(self.model, self._torch.nn.Module)
        return "Call model.eval() first, if that is why" if module else "Make it answer by the image alone"

    def told(self) -> None:
        """Warns of logits that were no numbers."""
        if self.not_finite:
            _warn(
                f"the model's logits were NaN or infinite in {self.not_finite} answers, which count as errors of it: its numbers "
                "overflow there, or its training diverged"
            )


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether logits differ by more than rounding, of those that are finite."""
    finite = np.isfinite(a) & np.isfinite(b)
    size = float(np.abs(a[finite]).max(initial=1e-6))
    return bool((np.abs(a - b)[finite] > ROUNDING * size).any() or (np.isfinite(a) != np.isfinite(b)).any())


def _warn(what: str) -> None:
    # Behind look_over, its caller, and what the user called.
    warnings.warn(what, ModelWarning, stacklevel=5)
