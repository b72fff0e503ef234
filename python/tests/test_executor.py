"""Studies whose trials an executor runs: they end as a local run does, whatever dies meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
import toxscreen as tx
from conftest import PACKAGES
from toxscreen import _executor, _program

try:
    program = _program.find()
except FileNotFoundError as missing:
    pytest.skip(str(missing), allow_module_level=True)

if "--failed" not in subprocess.run([program, "trial", "--help"], capture_output=True, text=True, check=False).stdout:
    pytest.skip("the program is older than executors", allow_module_level=True)

# Two cells share a classifier.
RECIPE = """
name = "executors"
seeds = [0, 1]
[data]
dataset = "digits"
classes = [3, 8]
train = 160
valid = 60
test = 100
split = "random"
[learner]
kind = "bilevel"
victim = "none"
hyperiterations = 20
inner = { steps = 300, lr = 0.2 }
[[cell]]
label = "clf-10"
threat.data = { kind = "clf", budget = 0.1, classifier = { width = 2, fit = { epochs = 20, lr_max = 0.05 } } }
[[cell]]
label = "clf-20"
threat.data = { kind = "clf", budget = 0.2, classifier = { width = 2, fit = { epochs = 20, lr_max = 0.05 } } }
[[cell]]
label = "optimal"
threat.data = { kind = "bilevel", batch = 16, batches = 2 }
[[cell]]
label = "clean"
"""
# Trials of seconds, which are there to be killed.
LONG = {"set": {"learner.hyperiterations": 300}, "cells": ["optimal", "clean"]}

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked for in /proc")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def local(recipe):
    """The table of a run without an executor."""
    return table(tx.run(recipe, out=recipe.parent / "local", quiet=True))


@pytest.fixture(scope="module")
def local_long(recipe):
    return table(tx.run(recipe, out=recipe.parent / "local-long", quiet=True, **LONG))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Trials write checkpoints as often as they can, and workers find the package."""
    monkeypatch.setenv("TOXSCREEN_CHECKPOINT_SECONDS", "0.1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGES), os.environ.get("PYTHONPATH", "")]))


def table(study):
    return (study.folder / "results.csv").read_bytes()


def processes():
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@contextmanager
def dask(tmp_path):
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": str(tmp_path)}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


@contextmanager
def ray(tmp_path):
    ray = pytest.importorskip("ray")
    from toxscreen.ray import RayExecutor

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


@contextmanager
def submitit(tmp_path):
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(folder=tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=5)
    yield executor


@contextmanager
def threads(tmp_path):
    with ThreadPoolExecutor(2) as executor:
        yield executor


@contextmanager
def pool(tmp_path):
    with processes() as executor:
        yield executor


@pytest.mark.parametrize("kind", [threads, pool, dask, ray, submitit], ids=lambda kind: kind.__name__)
def test_a_study_ends_as_a_local_one(kind, recipe, local, tmp_path, capsys):
    with kind(tmp_path / "own") as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor)
        assert table(study) == local
        assert study.report.is_file() and study.failures() == {}
        said = capsys.readouterr().err
        assert "clf-20 seed 1: done" in said and "(8 of 8)" in said
        # Once more: nothing is left to do.
        again = tx.run(recipe, out=tmp_path / "s", executor=executor)
    assert table(again) == local and "done" not in capsys.readouterr().err
    assert study.verify(rerun=False)


def test_mpi_runs_a_study(recipe, local, tmp_path):
    pytest.importorskip("mpi4py")
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    if not mpiexec.is_file():
        pytest.skip("no mpiexec in this environment: pip install mpich")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, toxscreen\nfrom mpi4py.futures import MPIPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    with MPIPoolExecutor() as executor:\n"
        "        toxscreen.run(sys.argv[1], out=sys.argv[2], executor=executor)\n"
    )
    command = [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", script, recipe, tmp_path / "s"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert table(tx.Study(tmp_path / "s")) == local


def trials_of(folder):
    """Processes of trials of a study: their id, process and parent."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().split(b"\0")
            parent = int((proc / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"trial" in words and os.fsencode(str(folder.resolve())) in words:
            found.append((words[words.index(b"--id") + 1].decode(), int(proc.name), parent))
    return found


class Killer(threading.Thread):
    """Kills, once, the process of a trial with a checkpoint, or the worker that started it."""

    def __init__(self, folder, with_signal, worker):
        super().__init__(daemon=True)
        self.folder, self.with_signal, self.worker = folder, with_signal, worker
        self.killed = None
        self.start()

    def run(self):
        end = time.monotonic() + 120
        while time.monotonic() < end and self.killed is None:
            time.sleep(0.02)
            for id, process, parent in trials_of(self.folder):
                if any((self.folder / "trials" / id).glob("checkpoint*")):
                    # All that stands in /proc there was started by this test.
                    os.kill(parent if self.worker else process, self.with_signal)
                    self.killed = id
                    break

    def begun(self):
        """How often the trial was started that was hit."""
        assert self.killed is not None, "no trial was found to be killed"
        lines = (self.folder / "trials" / self.killed / "events.jsonl").read_text().splitlines()
        return sum('"started"' in line for line in lines)


@linux
@pytest.mark.parametrize("kind", [dask, ray], ids=lambda kind: kind.__name__)
def test_a_worker_that_is_killed_costs_nothing_but_time(kind, recipe, local_long, tmp_path):
    with kind(tmp_path / "own") as executor:
        killer = Killer(tmp_path / "s", signal.SIGKILL, worker=True)
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    assert killer.begun() >= 2
    assert study.failures() == {} and table(study) == local_long


@linux
def test_a_broken_pool_says_how_to_go_on(recipe, local_long, tmp_path):
    killer = Killer(tmp_path / "s", signal.SIGKILL, worker=True)
    with processes() as executor, pytest.raises(RuntimeError, match="executor is broken.*new executor goes on"):
        tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    with processes() as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    assert killer.begun() >= 2
    assert table(study) == local_long


@linux
def test_a_trial_that_is_stopped_goes_on(recipe, local_long, tmp_path, capsys):
    killer = Killer(tmp_path / "s", signal.SIGTERM, worker=False)
    with ThreadPoolExecutor(2) as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    assert killer.begun() == 2
    assert "it was stopped; it goes on" in capsys.readouterr().err
    assert table(study) == local_long


@linux
def test_a_trial_that_is_killed_is_a_failure_until_it_is_run_again(recipe, local_long, tmp_path):
    killer = Killer(tmp_path / "s", signal.SIGKILL, worker=False)
    with ThreadPoolExecutor(2) as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
        assert "killed (SIGKILL)" in study.failures()[killer.killed]["message"]
        assert study.status()["failures"], "the program believes what was written"
        assert study.report.is_file() and table(study) != local_long
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    assert study.failures() == {} and table(study) == local_long


@linux
def test_an_interrupt_has_trials_write_checkpoints(recipe, local_long, tmp_path, monkeypatch):
    sleep = time.sleep

    def interrupted(seconds):
        sleep(seconds)
        if any((tmp_path / "s").glob("trials/*/checkpoint*")):
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as executor:
        monkeypatch.setattr(_executor.time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
        monkeypatch.undo()
    # The executor is shut down, so its trials have ended.
    assert trials_of(tmp_path / "s") == [] and any((tmp_path / "s").glob("trials/*/checkpoint*"))
    assert not (tmp_path / "s" / "results.csv").exists()
    with ThreadPoolExecutor(2) as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, **LONG)
    assert table(study) == local_long
    assert not list((tmp_path / "s").glob(".stop-*"))


def test_a_worker_is_not_kept_for_waiting(recipe, local, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(_executor, "PATIENCE", 0.5)
    with ThreadPoolExecutor(1) as executor:
        tx.run(recipe, out=tmp_path / "s", executor=executor, cells=["clf-10"], quiet=True)
        # Somebody makes both classifiers anew, until all trials that need none are done.
        held = []
        for lock in (tmp_path / "s" / "shared").glob("classifier-*.lock"):
            lock.with_suffix(".json").unlink()
            held.append(os.open(lock, os.O_RDONLY))
            fcntl.flock(held[-1], fcntl.LOCK_EX)
        assert len(held) == 2

        def release():
            while len(list((tmp_path / "s").glob("trials/*/record.json"))) < 6:
                time.sleep(0.05)
            for file in held:
                os.close(file)

        releaser = threading.Thread(target=release, daemon=True)
        releaser.start()
        study = tx.run(recipe, out=tmp_path / "s", executor=executor)
    releaser.join(timeout=1)
    assert table(study) == local


def test_a_second_run_on_a_folder_is_refused(recipe, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with ThreadPoolExecutor(1) as executor:
        study = tx.run(recipe, out=tmp_path / "s", executor=executor, cells=["clean"], quiet=True)
        with open(study.folder / ".lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(tx.ToxscreenError, match="another toxscreen runs the study"):
                tx.run(recipe, out=tmp_path / "s", executor=executor, quiet=True)
            with pytest.raises(RuntimeError, match="another process runs the study"), _executor._alone(study.folder):
                pass


def test_what_every_trial_fails_by_is_an_exception(recipe, tmp_path):
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="no trial of .* is done; the first one failed: .*CPU"):
            tx.run(recipe, out=tmp_path / "s", executor=executor, cells=["clean"], device="vulkan:0", quiet=True)
        failures = [json.loads(path.read_text()) for path in (tmp_path / "s").glob("trials/*/failure.json")]
        assert len(failures) == 2 and all(failure["exit_code"] == 2 for failure in failures)
        with pytest.raises(TypeError, match="an executor has its workers"):
            tx.run(recipe, executor=executor, jobs=2)
        with pytest.raises(tx.ToxscreenError, match=r"none\.toml"):
            tx.run(tmp_path / "none.toml", executor=executor, quiet=True)


@pytest.mark.parametrize(
    "code, said, expected",
    [
        (-9, "", "killed (SIGKILL), which is what the system does when memory runs out"),
        (-99, "", "killed (signal 99)"),
        (1, "note\nerror: the cause\nerror: later\n", "the cause"),
        (101, "last words\n", "exit code 101: last words"),
        (101, "", "exit code 101 and said nothing"),
    ],
)
def test_a_reason_is_one_line(code, said, expected):
    assert _executor._reason({"code": code, "said": said}).endswith(expected)
