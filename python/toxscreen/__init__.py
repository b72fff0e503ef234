"""toxscreen from Python: audits of your own learners, and the program's commands on your arrays.

The work is done by the program `toxscreen`, which a wheel has in itself. Arrays go to it through temporary files. Live models are
attacked by the package `toxscreen-native`.
"""

from ._audit import audit
from ._program import ToxscreenError
from ._suspects import Cleaned, Suspects, clean, suspects
from .commands import AttackedNetwork, Hardened, Patch, Poisoned, Robustness, Screened, attack, harden, poison, screen
from .learner import Result, Rows, Stopped, Task, Unfit, learner, serve
from .live import (
    APGD,
    APGDT,
    CW,
    FAB,
    FGSM,
    PGD,
    AutoAttack,
    Evaluation,
    ModelError,
    ModelWarning,
    NoGradientError,
    Square,
    evaluate,
)
from .study import Figure, Study, run

__all__ = [
    "APGD",
    "APGDT",
    "CW",
    "FAB",
    "FGSM",
    "PGD",
    "AttackedNetwork",
    "AutoAttack",
    "Evaluation",
    "Cleaned",
    "Figure",
    "Hardened",
    "ModelError",
    "ModelWarning",
    "NoGradientError",
    "Patch",
    "Poisoned",
    "Result",
    "Robustness",
    "Rows",
    "Screened",
    "Square",
    "Stopped",
    "Study",
    "Suspects",
    "Task",
    "ToxscreenError",
    "Unfit",
    "__version__",
    "attack",
    "audit",
    "clean",
    "evaluate",
    "harden",
    "learner",
    "poison",
    "run",
    "screen",
    "serve",
    "suspects",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("toxscreen")
        except PackageNotFoundError:
            return "0+unknown"
    raise AttributeError(f"module 'toxscreen' has no attribute {name!r}")
