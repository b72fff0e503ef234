"""toxscreen from Python: audits of your own learners, and the program's commands on your arrays.

The work is done by the program `toxscreen`, which a wheel has in itself. Arrays go to it through temporary files.
"""

from ._audit import audit
from ._program import ToxscreenError
from ._suspects import Cleaned, Suspects, clean, suspects
from .commands import Hardened, Patch, Poisoned, Robustness, Screened, attack, harden, poison, screen
from .learner import Result, Rows, Stopped, Task, Unfit, learner, serve
from .study import Figure, Study, run

__all__ = [
    "Cleaned",
    "Figure",
    "Hardened",
    "Patch",
    "Poisoned",
    "Result",
    "Robustness",
    "Rows",
    "Screened",
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
