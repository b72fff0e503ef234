"""Studies: a recipe that is run, and what it left in its folder."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import webbrowser
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from . import _executor, _program


class Figure:
    """A figure of a report, which a notebook shows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def svg(self) -> str:
        """The drawing, without the declaration of XML before it."""
        text = self.path.read_text("utf-8")
        return text[text.index("<svg") :]

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Figure({str(self.path)!r})"


class Study:
    """The folder of a study."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not (self.folder / "study.toml").is_file() and (self.folder / "study" / "study.toml").is_file():
            # What `audit` makes: a recipe, data, and the study below them.
            self.folder = self.folder / "study"
        if not (self.folder / "study.toml").is_file():
            raise FileNotFoundError(f"{folder} holds no study: expected a study.toml, which `toxscreen run` writes")

    @property
    def name(self) -> str:
        found = re.search(r'^name = "(.*)"$', (self.folder / "study.toml").read_text("utf-8"), re.MULTILINE)
        return found[1] if found else self.folder.name

    @property
    def report(self) -> Path:
        """The report, a page of HTML that needs no network."""
        return self.folder / "report.html"

    def open(self) -> None:
        """Shows the report in a browser."""
        webbrowser.open(self.report.resolve().as_uri())

    def tidy(self, engine: str | None = None) -> Any:
        """`results.csv`: one measured number a row, in the same columns for every learner."""
        return _frame(self.folder / "results.csv", engine)

    def results(self, engine: str | None = None) -> Any:
        """`wide.csv`, a row a trial; of a learner that has none, the numbers of `results.csv` as columns."""
        if (self.folder / "wide.csv").is_file():
            return _frame(self.folder / "wide.csv", engine)
        return _wide(self.tidy(engine))

    def records(self) -> list[dict[str, Any]]:
        """What each trial measured, and how it was asked to."""
        paths = sorted(self.folder.glob("trials/*/record.json"))
        return [json.loads(path.read_text("utf-8")) for path in paths]

    def failures(self) -> dict[str, dict[str, Any]]:
        """Trials that failed, and why."""
        paths = sorted(self.folder.glob("trials/*/failure.json"))
        return {path.parent.name: json.loads(path.read_text("utf-8")) for path in paths}

    def events(self, trial: str) -> list[dict[str, Any]]:
        """What happened in a trial, given by its id or the beginning of it."""
        folders = [folder for folder in self.folder.glob("trials/*") if folder.name.startswith(trial)]
        if len(folders) != 1:
            raise KeyError(f"{len(folders)} trials of {self.folder} begin with {trial!r}")
        lines = (folders[0] / "events.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    @property
    def figures(self) -> dict[str, Figure]:
        """The report's figures by name."""
        return {path.stem: Figure(path) for path in sorted(self.folder.glob("figures/*.svg"))}

    def status(self) -> dict[str, Any]:
        """How far the study is."""
        return dict(_program.ask(["status", self.folder], quiet=True)[1])

    def verify(self, *, rerun: bool = True) -> dict[str, Any]:
        """Whether records are as they were written and, unless told otherwise, trials end the same again."""
        arguments = ["verify", self.folder, *([] if rerun else ["--no-rerun"])]
        return dict(_program.ask(arguments, ok=(0, 1, 4))[1])

    def _cells(self) -> list[tuple[str, dict[str, float], int]]:
        """Cells in the order of the plan: name, means of what all learners share, seeds."""
        cells: dict[str, dict[str, list[float]]] = {}
        seeds: dict[str, set[str]] = {}
        with open(self.folder / "results.csv", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name = f"{row['cell']} ({row['variant']})" if row["variant"] else row["cell"]
                seeds.setdefault(name, set()).add(row["seed"])
                numbers = cells.setdefault(name, {})
                if row["level"] == "" and row["value"]:
                    numbers.setdefault(row["metric"], []).append(float(row["value"]))
        return [
            (name, {metric: fmean(values) for metric, values in numbers.items()}, len(seeds[name]))
            for name, numbers in cells.items()
        ]

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r})"

    def _rows(self) -> list[list[str]]:
        """What is shown of a study, a line a cell, the first one the head."""
        cells = self._cells() if (self.folder / "results.csv").is_file() else []
        titles = {"clean_error": "test error, %", "claimed_error": "claimed error, %", "robust_accuracy": "robust accuracy, %"}
        metrics = [metric for metric in titles if any(metric in numbers for _, numbers, _ in cells)]
        rows = [["cell", "seeds", *(titles[metric] for metric in metrics)]]
        for name, numbers, seeds in cells:
            rows.append([name, str(seeds), *(f"{numbers[m]:.2f}" if m in numbers else "" for m in metrics)])
        return rows

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([f"{self.name}: means over seeds", *lines, f"report: {self.report}"])

    def _repr_html_(self) -> str:
        head, *cells = ["".join(f"<td>{html.escape(word)}</td>" for word in row) for row in self._rows()]
        body = "".join(f"<tr>{cell}</tr>" for cell in cells)
        report = html.escape(self.report.resolve().as_uri())
        pictures = "".join(figure.svg for figure in list(self.figures.values())[:1])
        return (
            f"<p><b>{html.escape(self.name)}</b> (means over seeds; <a href='{report}'>report</a>)</p>"
            f"<table><thead><tr>{head.replace('td>', 'th>')}</tr></thead><tbody>{body}</tbody></table>{pictures}"
        )


# Columns that are text, whatever they look like: an id may be all digits, or read as 4e56.
WORDS = ("study", "trial", "cell", "variant")


def _frame(path: Path, engine: str | None) -> Any:
    """A CSV file as a data frame of `engine`, `pandas` or `polars`; by default of the one that is installed."""
    if engine not in (None, "pandas", "polars"):
        raise ValueError(f"engine is {engine!r}: expected 'pandas' or 'polars'")
    with open(path, encoding="utf-8", newline="") as file:
        words = [name for name in next(csv.reader(file), []) if name in WORDS]
    if engine != "polars":
        try:
            import pandas

            # A cell or a defence may be called `none` or `NA`, which are words here.
            return pandas.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(words, str))
        except ImportError:
            if engine == "pandas":
                raise
    try:
        import polars
    except ImportError:
        raise ImportError("results as a data frame need pandas or polars: pip install pandas") from None
    return polars.read_csv(path, infer_schema_length=None, schema_overrides=dict.fromkeys(words, polars.String))


def _wide(tidy: Any) -> Any:
    """One row a trial, from one row a number."""
    keys = ["trial", "cell", "variant", "seed", "threat_data", "budget_data", "defence"]
    if type(tidy).__module__.startswith("polars"):
        alone = tidy.filter(tidy["level"].is_null())
        return alone.pivot("metric", index=keys, values="value")
    alone = tidy[tidy["level"].isna()]
    numbers = alone.pivot(index="trial", columns="metric", values="value")[alone["metric"].unique()]
    return tidy[keys].drop_duplicates("trial").merge(numbers.reset_index(), on="trial")


def run(
    recipe: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    set: Mapping[str, Any] | None = None,
    seeds: int | Iterable[int] | None = None,
    cells: Iterable[str] = (),
    jobs: int | None = None,
    threads: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    allow_commands: bool = False,
    quiet: bool = False,
    executor: Any = None,
) -> Study:
    """Runs a recipe, or what is missing of its study, and returns the study.

    `set` changes keys of the recipe, such as `{"learner.child.epochs": 5}`. `seeds` is their number, or a list.
    `executor` runs the trials, each as a task, where it has its workers: any of `concurrent.futures`, Dask's
    `client.get_executor()`, `toxscreen.ray.RayExecutor()`, submitit's, `mpi4py.futures.MPIPoolExecutor`. The study's folder must be
    the same one there. Results are those of a run without one.
    Some failed trials are a warning on stderr, and `failures()` of the study; none that is done is an error.
    """
    asked: list[object] = [recipe] if recipe is not None else []
    for key, value in (set or {}).items():
        asked += ["--set", f"{key}={toml(value)}"]
    for pattern in cells:
        asked += ["--cells", pattern]
    if seeds is not None:
        asked += ["--seeds", f"0..{seeds}" if isinstance(seeds, int) else ",".join(map(str, seeds))]
    settings = {"threads": threads, "data_dir": data_dir, "device": device}
    if executor is None:
        arguments = ["run", *asked, *_program.options({"out": out, "jobs": jobs, **settings})]
        if allow_commands:
            arguments.append("--allow-commands")
        _, answer = _program.ask(arguments, ok=(0, 1), quiet=quiet)
    elif jobs is not None:
        raise TypeError("jobs is how many trials this machine runs at a time; an executor has its workers")
    else:
        answer = _executor.run(executor, asked, out=out, settings=settings, allow_commands=allow_commands, quiet=quiet)
    if answer.get("done", 0) == 0 and answer.get("failed"):
        first = answer["failed"][0]
        why = first["message"] if isinstance(first, dict) else first
        raise RuntimeError(f"no trial of {answer['dir']} is done; the first one failed: {why}")
    if answer.get("done", 0) == 0 and executor is not None:
        raise RuntimeError(f"no trial of {answer['dir']} is done; the same call goes on")
    return Study(answer["dir"])


def toml(value: Any) -> str:
    """`value` as TOML has it: text, numbers, lists, tables in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (str, os.PathLike)):
        # A string of JSON is one of TOML, but for the character DEL.
        return json.dumps(os.fspath(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if hasattr(value, "item"):
        return toml(value.item())
    raise TypeError(f"{value!r} is a {type(value).__name__}, which a recipe has no form for")


def _key(key: object) -> str:
    text = str(key)
    bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if bare else toml(text)
