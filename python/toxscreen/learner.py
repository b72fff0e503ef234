"""The Python end of `toxscreen-learner/1`, by which toxscreen runs a learner of somebody else.

A learner is a function of a task. It returns what it answers for the test rows, or a `Result` with more:

    def automl(task):
        model = LogisticRegression().fit(task.train.flat, task.train.y)
        return model.predict(task.test.flat)

A recipe names it with `python = "learn:automl"`; then toxscreen starts this file, which it carries in itself:

    python toxscreen_learner.py learn:automl REQUEST

A recipe with `command = ["python", "learn.py"]` starts the learner's own file, which ends with `serve(automl)`.
It needs numpy alone (and Pillow where the recipe says `layout = "folder"`), on Python 3.9 and newer.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, NoReturn, cast

import numpy as np

PROTOCOL = "toxscreen-learner/1"
Learn = Callable[["Task"], Any]

# Exit codes of the protocol; `MISUSE` is any other, of which stderr says more.
DONE, FAILED, MISUSE, UNFIT, STOPPED = 0, 1, 2, 3, 75

KEYS = {"predictions", "claim", "choice", "found", "evaluations", "candidates", "probabilities", "model"}
MOST_CANDIDATES = 10_000
MOST_CHOICE_BYTES = 64 * 1024
# A progress line is written at most this often.
SECONDS_BETWEEN_LINES = 0.2


class Unfit(Exception):
    """The data are such that this learner cannot learn from them: raise it with the reason."""

    code = UNFIT


class Stopped(BaseException):
    """The task was asked to stop. No `Exception`, so that a search which catches those lets it through."""


class Misuse(Exception):
    """The learner broke the protocol; the message says what was expected."""

    code = MISUSE


class Result(dict):  # type: ignore[type-arg]
    """What a learner answers; a plain dict of the same keys is as good.

    predictions: (n,) classes, or (n, classes) scores of which the highest is the answer.
    probabilities: whether the scores are probabilities, so that their log loss has a meaning.
    claim: the accuracy, 0 to 1, that the learner believes in, such as that of its cross-validation.
    choice: the configuration that it chose, as JSON (numpy's numbers and arrays become JSON).
    found: what it found, in words.
    evaluations: how many configurations it evaluated.
    candidates: the configurations of its space, each a dict of `predictions` and perhaps `choice` and `claim`.
    model: the folder that it wrote for phase `predict`; by itself where `task.model` was written to.
    """

    def __init__(
        self,
        predictions: Any,
        *,
        claim: float | None = None,
        choice: Any = None,
        found: str | None = None,
        evaluations: int | None = None,
        candidates: Any = None,
        probabilities: bool | None = None,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__({key: value for key, value in locals().items() if key in KEYS and value is not None})


class Rows:
    """Rows of the data, read when they are first asked for. `y` is None for the test rows."""

    def __init__(self, folder: Path, entry: dict[str, str]) -> None:
        self._folder = folder
        self._entry = entry

    @property
    def folder(self) -> Path | None:
        """The folder of images, where the recipe says `layout = "folder"`."""
        return self._folder / self._entry["folder"] if "folder" in self._entry else None

    @functools.cached_property
    def x(self) -> np.ndarray:
        """Images as uint8 (n, channels, height, width), or a table as (n, columns)."""
        if "folder" in self._entry:
            return _images([path for path, _ in self._files])
        return self._array("x")

    @functools.cached_property
    def y(self) -> np.ndarray | None:
        """The class of each row, int64 from 0."""
        if "folder" in self._entry:
            labels = [label for _, label in self._files]
            return None if None in labels else np.array(labels, dtype=np.int64)
        return self._array("y") if "y" in self._entry else None

    @functools.cached_property
    def flat(self) -> np.ndarray:
        """One float32 vector a row, as scikit-learn reads it: pixels / 255, or the columns as they are."""
        flat = self.x.reshape(len(self.x), -1).astype(np.float32)
        return flat / np.float32(255) if self.x.ndim == 4 else flat

    def __len__(self) -> int:
        return len(self._files) if "folder" in self._entry else len(self.x)

    def _array(self, key: str) -> np.ndarray:
        return cast(np.ndarray, np.load(self._folder / self._entry[key], allow_pickle=False))

    @functools.cached_property
    def _files(self) -> list[tuple[Path, int | None]]:
        """Images in the order of their rows, with their classes: CLASS/ROW.png, or ROW.png."""
        root = self._folder / self._entry["folder"]
        files: list[tuple[Path, int | None]] = [(path, int(path.parent.name)) for path in root.glob("*/*.png")]
        files = files or [(path, None) for path in root.glob("*.png")]
        return sorted(files, key=lambda file: int(file[0].stem))


def _images(paths: list[Path]) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise Misuse('`layout = "folder"` needs Pillow to read images: pip install pillow, or layout = "npy"') from None
    images = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image, dtype=np.uint8)
        images.append(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
    return np.ascontiguousarray(np.stack(images)) if images else np.zeros((0, 1, 1, 1), dtype=np.uint8)


class Task:
    """What a learner is asked to do."""

    def __init__(self, request: str | os.PathLike[str]) -> None:
        path = Path(request).resolve()
        asked = _read_request(path)
        self.folder = path.parent
        """The work folder."""
        self.phase: str = asked["phase"]
        """`search`, `train` (train exactly `choice`), or `predict`."""
        self.seed: int = asked["seed"]
        """For folds, starts and draws. The generators of `random` and `numpy.random` start from it already."""
        self.threads: int = asked["threads"]
        """How many threads there are to use."""
        self.seconds: float | None = asked.get("seconds")
        """The time limit of this call, or None."""
        self.classes: int = asked["task"]["classes"]
        self.class_names: list[str] = asked["task"].get("class_names") or [str(c) for c in range(self.classes)]
        self.input: dict[str, Any] = asked["task"]["input"]
        """What a row is: `kind` is `image` (with `shape`, `range`) or `table` (with `columns`, `names`)."""
        self.params: dict[str, Any] = asked.get("params") or {}
        """The recipe's own `params`."""
        self.choice: Any = asked.get("choice")
        """The configuration to train and nothing else, in phase `train`; None in a search."""
        space = asked.get("space")
        self.space: Any = json.loads((self.folder / space).read_text("utf-8")) if space else None
        """The search space that the learner is handed, or None."""
        self.checkpoint: Path = self.folder / asked["checkpoint"]
        """A folder that survives stops."""
        self.resume: bool = bool(asked.get("resume"))
        """Whether `checkpoint` holds what a stopped run of this very task left."""
        self.out: Path = self.folder / asked["out"]
        """The folder of the answer."""
        data = asked.get("data") or {}
        self.train = Rows(self.folder, data.get("train") or {})
        """The rows to learn from; some may be poison."""
        self.valid = Rows(self.folder, data["valid"]) if data.get("valid") else None
        """Rows set aside for the choice, or None: then the learner sets rows of `train` aside itself."""
        self.test = Rows(self.folder, data.get("test") or {})
        """The rows to answer for. Nobody tells their classes."""
        self._model: str | None = asked.get("model")
        self._events: Path = self.folder / asked["events"]
        self._last_line = -math.inf
        self._polled = False
        self._stopping = False

    @property
    def model(self) -> Path:
        """The folder for what phase `predict` needs: written in a search, read there."""
        if self._model is not None:
            return self.folder / self._model
        folder = self.out / "model"
        folder.mkdir(exist_ok=True)
        return folder

    def progress(self, done: float, message: str = "") -> None:
        """Moves the progress bar to `done`, 0 to 1."""
        now = time.monotonic()
        if now - self._last_line < SECONDS_BETWEEN_LINES and done < 1:
            return
        self._last_line = now
        with open(self._events, "a", encoding="utf-8") as events:
            events.write(json.dumps({"done": min(max(float(done), 0.0), 1.0), "message": str(message)}) + "\n")

    @property
    def stopping(self) -> bool:
        """Whether the task was asked to stop: write what is needed to `checkpoint`, then call `stopped`.

        The first look at it says that this learner can stop. Until then a stop ends it where it is.
        """
        if not self._polled:
            self._polled = True
            try:
                signal.signal(signal.SIGTERM, self._stop)
            except ValueError:
                # Not the main thread: a stop goes on ending the process.
                pass
        return self._stopping

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def stopped(self) -> NoReturn:
        """Ends the learner, which goes on later from its `checkpoint`."""
        raise Stopped


def _read_request(path: Path) -> dict[str, Any]:
    try:
        asked: dict[str, Any] = json.loads(path.read_text("utf-8"))
        protocol = asked["protocol"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misuse(f"{path} is no request of {PROTOCOL}: {error!r}") from None
    if protocol != PROTOCOL:
        raise Misuse(f"the request is of {protocol!r}, but this file speaks {PROTOCOL!r}: use the one of that toxscreen")
    return asked


def learner(
    function: Learn | None = None,
    *,
    predict: Callable[[Any, np.ndarray], Any] | None = None,
    load: Callable[[Path], Any] | None = None,
) -> Any:
    """Marks a function as a learner, with what scores rows that come later (phase `predict`).

    `predict(model, x)` returns the (n, classes) scores of float32 rows: images in 0 to 1, or a table. `model` is what
    `load(folder)` returned, or the folder itself, `task.model` of the search. The function gets `serve()`.
    """

    def mark(function: Learn) -> Learn:
        function.predict = predict  # type: ignore[attr-defined]
        function.load = load  # type: ignore[attr-defined]
        function.serve = functools.partial(serve, function)  # type: ignore[attr-defined]
        return function

    return mark if function is None else mark(function)


def plain(value: Any, where: str = "choice") -> Any:
    """`value` as JSON has it: numpy's numbers and arrays, tuples and paths become numbers, lists and text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist(), where)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Misuse(f"{where} is {value}, which JSON has no word for: give it as text")
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    raise Misuse(f"{where} is a {type(value).__name__}, which is no JSON: give its name or its numbers")


def _predictions(given: Any, rows: int, classes: int, what: str) -> np.ndarray:
    """Checked predictions as they are written."""
    if hasattr(given, "detach"):  # a tensor of PyTorch, perhaps on a GPU
        given = given.detach().cpu()
    try:
        array = np.asarray(given)
    except Exception as error:
        raise Misuse(f"{what} are no array: {error}") from None
    expected = f"expected ({rows},) classes from 0 to {classes - 1}, or ({rows}, {classes}) scores"
    if array.dtype.kind not in "biuf":
        raise Misuse(f"{what} are of type {type(given).__name__} ({array.dtype}): {expected}")
    if array.shape == (rows, 1):
        array = array[:, 0]
    if array.shape == (rows, classes):
        if not np.isfinite(array).all():
            bad = int(np.argwhere(~np.isfinite(array).all(axis=1))[0, 0])
            raise Misuse(f"{what} have a score that is not finite, first in row {bad}: {expected}")
        return np.ascontiguousarray(array, dtype=np.float64 if array.dtype == np.float64 else np.float32)
    if array.shape != (rows,):
        raise Misuse(f"{what} have the shape {array.shape}: {expected}")
    whole = array.astype(np.int64) if np.isfinite(array).all() else None
    if whole is None or (whole != array).any():
        raise Misuse(f"{what} are no whole numbers: {expected}")
    if rows and (whole.min() < 0 or whole.max() >= classes):
        raise Misuse(f"{what} go from {whole.min()} to {whole.max()}: {expected}")
    return whole


def _accuracy(given: Any, what: str) -> float:
    if not hasattr(given, "__float__") or not 0 <= float(given) <= 1:
        raise Misuse(f"{what} is {given!r}: expected an accuracy from 0 to 1")
    return float(given)


def _choice(given: Any, where: str) -> Any:
    value = plain(given, where)
    if len(json.dumps(value)) > MOST_CHOICE_BYTES:
        raise Misuse(f"{where} is long: expected at most {MOST_CHOICE_BYTES} bytes of JSON, what tells it from others")
    return value


def _answer(task: Task, given: Any) -> dict[str, Any]:
    """The answer as `result.json` has it. Arrays are written to `task.out`."""
    if given is None:
        raise Misuse("the learner returned None: expected predictions for task.test.x, or a Result")
    result: dict[str, Any] = given if isinstance(given, dict) else {"predictions": given}
    if "predictions" not in result or not set(result) <= KEYS:
        raise Misuse(
            f"the result has the keys {sorted(map(str, result))}: expected `predictions`, perhaps more of {sorted(KEYS)}"
        )
    rows, answer = len(task.test), {"predictions": "test.pred.npy"}  # type: tuple[int, dict[str, Any]]
    scores = _predictions(result["predictions"], rows, task.classes, "predictions")
    np.save(task.out / "test.pred.npy", scores, allow_pickle=False)
    if result.get("probabilities"):
        if scores.ndim != 2 or (scores < 0).any() or (np.abs(scores.sum(axis=1) - 1) > 1e-3).any():
            raise Misuse("`probabilities` is true, but the predictions are no rows of probabilities, which sum to 1")
        answer["probabilities"] = True
    choice = None if result.get("choice") is None else _choice(result["choice"], "choice")
    if task.phase == "train":
        # Equal choices are equal JSON, so the very one that was asked for goes back.
        if choice is not None and choice != task.choice:
            raise Misuse(f"phase `train` asked for the choice {task.choice!r}, but {choice!r} was trained")
        choice = task.choice
    if choice is not None:
        answer["choice"] = choice
    read: dict[str, Callable[[Any], Any]] = {"claim": lambda value: _accuracy(value, "claim"), "found": str, "evaluations": int}
    answer |= {key: of(result[key]) for key, of in read.items() if result.get(key) is not None}
    if result.get("candidates") is not None:
        answer["candidates"] = _candidates(task, list(result["candidates"]), rows)
    model = result.get("model") or ("model" if any(task.out.glob("model/*")) else None)
    if model is not None:
        answer["model"] = _inside(task.out, model)
    return answer


def _candidates(task: Task, given: list[Any], rows: int) -> list[dict[str, Any]]:
    if len(given) > MOST_CANDIDATES:
        raise Misuse(f"there are {len(given)} candidates: expected at most {MOST_CANDIDATES}")
    answers = []
    for i, candidate in enumerate(given):
        name, file = f"candidates[{i}]", f"c{i}.npy"
        if not isinstance(candidate, dict) or "predictions" not in candidate:
            raise Misuse(f"{name} is a {type(candidate).__name__}: expected a dict of `predictions`, `choice`, `claim`")
        array = _predictions(candidate["predictions"], rows, task.classes, f"{name}.predictions")
        np.save(task.out / file, array, allow_pickle=False)
        answer: dict[str, Any] = {"predictions": file, "choice": _choice(candidate.get("choice"), f"{name}.choice")}
        if candidate.get("claim") is not None:
            answer["claim"] = _accuracy(candidate["claim"], f"{name}.claim")
        answers.append(answer)
    return answers


def _inside(out: Path, model: str | os.PathLike[str]) -> str:
    folder = (out / model).resolve()
    if out.resolve() not in folder.parents or not folder.is_dir():
        raise Misuse(f"`model` is {model}: expected a folder in task.out, such as task.model")
    return folder.relative_to(out.resolve()).as_posix()


def _learn(function: Learn, task: Task) -> None:
    given = function(task)
    if given is None and task._stopping:
        raise Stopped
    text = json.dumps(_answer(task, given), allow_nan=False)
    part = task.out / "result.json.part"
    part.write_text(text, "utf-8")
    # Last, and at once: who sees the file sees all of it, and all that it names.
    os.replace(part, task.out / "result.json")


def _score(function: Learn, task: Task) -> None:
    """Phase `predict`: a query a line, until there are no more."""
    # What a learner prints goes to stderr: stdin and stdout are the protocol's.
    sys.stdout.flush()
    queries, answers = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    if (predict := getattr(function, "predict", None)) is None:
        raise Misuse("the learner has no `predict`: give it one with @learner(predict=f)")
    model = (getattr(function, "load", None) or Path)(task.model)
    for line in queries:
        try:
            query = json.loads(line)
            x = np.load(task.folder / query["x"], allow_pickle=False)
            scores = _predictions(predict(model, x), len(x), task.classes, "scores")
            if scores.ndim != 2:
                raise Misuse(f"`predict` returned classes: expected ({len(x)}, {task.classes}) scores")
            np.save(task.folder / query["scores"], scores.astype(np.float32), allow_pickle=False)
            answer: dict[str, Any] = {"ok": True}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _find(name: str) -> Learn:
    """The function that `MODULE:FUNCTION` names."""
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise Misuse(f"{name!r} names no learner: expected MODULE:FUNCTION, such as learn:automl")
    folders = [folder for folder in os.environ.get("TOXSCREEN_MODULES", "").split(os.pathsep) if folder]
    sys.path[:0] = folders
    try:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != "toxscreen":
                raise
            # Without the package this file stands for it: it has `learner`, `Result` and what else a learner needs.
            sys.modules["toxscreen"] = sys.modules[__name__]
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        file = module_name.replace(".", "/") + ".py in " + ", ".join(folders or sys.path)
        raise Misuse(f"there is no module {module_name!r}: expected {file}") from None
    try:
        found = functools.reduce(getattr, function_name.split("."), cast(Any, module))
    except AttributeError:
        functions = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise Misuse(f"{module_name} has no {function_name!r}, but {', '.join(functions) or 'no function'}") from None
    if not callable(found):
        raise Misuse(f"{name} is a {type(found).__name__}: expected a function of a task")
    return cast(Learn, found)


def _serve(name: str, find: Callable[[], Learn], arguments: list[str]) -> int:
    """Runs one request; returns the exit code."""
    try:
        if len(arguments) != 1:
            raise Misuse(f"toxscreen starts {name} with the path of a request: `toxscreen run RECIPE`, not by hand")
        task = Task(arguments[0])
        function = find()
        random.seed(task.seed)
        np.random.seed(task.seed % 2**32)
        if task.phase == "predict":
            _score(function, task)
        elif task.phase in ("search", "train"):
            _learn(function, task)
        else:
            raise Misuse(f"there is no phase {task.phase!r} in {PROTOCOL}")
    except (Misuse, Unfit) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.code
    except Stopped:
        return STOPPED
    except Exception:
        traceback.print_exc()
        return FAILED
    return DONE


def serve(function: Learn) -> NoReturn:
    """Runs `function` on the request that this process was started with, and ends the process."""
    sys.exit(_serve(getattr(function, "__name__", "the learner"), lambda: function, sys.argv[1:]))


def main() -> NoReturn:
    """`toxscreen_learner.py MODULE:FUNCTION REQUEST`."""
    # Whoever imports this file, by either name, gets this very one.
    sys.modules["toxscreen_learner"] = sys.modules["toxscreen.learner"] = sys.modules[__name__]
    name = sys.argv[1] if len(sys.argv) > 1 else "MODULE:FUNCTION"
    sys.exit(_serve(name, lambda: _find(name), sys.argv[2:]))


if __name__ == "__main__":
    main()
