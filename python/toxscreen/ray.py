"""Ray as an executor: `toxscreen.run(recipe, executor=RayExecutor())`. Ray itself has none."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import ray


@ray.remote
def _call(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return fn(*args, **kwargs)


class RayExecutor(Executor):
    """Tasks of the cluster that `ray.init` connected to. `options` are those of a remote function, such as `num_cpus=2`."""

    def __init__(self, **options: Any) -> None:
        # A task whose worker dies is told of, and not run again behind our back.
        self.options = {"num_cpus": 1, "max_retries": 0, **options}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Starts `fn(*args, **kwargs)` where there is room."""
        future: Future[Any] = _call.options(**self.options).remote(fn, args, kwargs).future()
        return future
