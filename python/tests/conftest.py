"""Folders of requests as the program writes them, and a learner started on them as it starts one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toxscreen

# The installed package, or that of PYTHONPATH.
PACKAGES = Path(toxscreen.__file__).resolve().parents[1]
LEARNER = PACKAGES / "toxscreen" / "learner.py"


class Work:
    """A work folder with a small table of two classes, and a learner's file beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.modules = folder / "recipe"
        self.environment: "dict[str, str]" = {}
        for path in (self.folder / "out", self.folder / "checkpoint", self.modules):
            path.mkdir(parents=True)
        rng = np.random.default_rng(0)
        y = rng.integers(0, 2, 60)
        x = (rng.normal(size=(60, 3)) + 2 * y[:, None]).astype(np.float32)
        self.y_test = y[40:]
        np.save(self.folder / "train.x.npy", x[:40])
        np.save(self.folder / "train.y.npy", y[:40])
        np.save(self.folder / "test.x.npy", x[40:])
        self.request = {
            "protocol": "toxscreen-learner/1",
            "phase": "search",
            "seed": 3,
            "threads": 1,
            "seconds": None,
            "task": {
                "type": "classification",
                "classes": 2,
                "class_names": ["ham", "spam"],
                "input": {"kind": "table", "columns": 3, "names": None, "dtype": "float32"},
            },
            "data": {
                "train": {"x": "train.x.npy", "y": "train.y.npy"},
                "valid": None,
                "test": {"x": "test.x.npy"},
            },
            "params": {},
            "choice": None,
            "space": None,
            "model": None,
            "out": "out",
            "events": "events.jsonl",
            "checkpoint": "checkpoint",
            "resume": False,
        }

    def start(self, source: str, name: str = "learn:automl", **more: object) -> "subprocess.Popen[str]":
        (self.modules / "learn.py").write_text(source)
        copy = self.folder / "toxscreen_learner.py"
        copy.write_text(LEARNER.read_text())
        path = self.folder / "request.json"
        path.write_text(json.dumps(self.request))
        environment = {key: os.environ[key] for key in ("PATH", "HOME", "SYSTEMROOT") if key in os.environ}
        environment |= {"TOXSCREEN_MODULES": str(self.modules), **self.environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
        return subprocess.Popen([sys.executable, copy, name, path], cwd=self.folder, env=environment, text=True, **pipes)

    def run(self, source: str, name: str = "learn:automl") -> "tuple[int, str]":
        process = self.start(source, name)
        _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def result(self) -> dict:
        assert not (self.folder / "out" / "result.json.part").exists()
        return json.loads((self.folder / "out" / "result.json").read_text())

    def array(self, name: str) -> np.ndarray:
        return np.load(self.folder / "out" / name)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Whose learners have numpy alone."""
    return Work(tmp_path)


@pytest.fixture
def packaged(work: Work) -> Work:
    """Whose learners have the package too."""
    work.environment["PYTHONPATH"] = str(PACKAGES)
    return work
