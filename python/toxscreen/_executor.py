"""A study's trials as tasks of an executor: of processes here, of Dask, Ray, submitit or MPI elsewhere.

A task is the command that `toxscreen plan --commands` prints for a trial, started on whatever machine the executor has. The
study's folder must be the same one there. What a trial did lies in that folder, so a task that is lost costs no more than the
time since the trial's last checkpoint.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _program

# What `toxscreen trial` ends with after a checkpoint, or while another process has the trial.
STOPPED = 75
# How often a trial is submitted again that was stopped.
RESTARTS = 20
# And one whose worker died, beyond what the executor itself tries: it may be the trial that kills it.
LOSSES = 3
# Seconds that a trial waits on a worker for a step that another one makes; twice as long each time.
PATIENCE = 10.0
# Waiting of a trial in a row, over which it is given up: seconds.
LONGEST_WAIT = 24 * 3600.0
# What the program says meanwhile.
WAITING = "another trial makes it"
# Tasks that are handed over at once, where an executor makes one job of them, as submitit does of a batch.
BATCH = 1000
# Seconds between two looks at all futures: some kinds of them call nobody.
PACE = 0.1


@dataclass
class Trial:
    """One trial of the plan, and what became of it so far."""

    id: str
    name: str
    command: list[str]
    attempts: int = 0
    restarts: int = 0
    losses: int = 0
    patience: float = field(default_factory=lambda: PATIENCE)


def work(command: Sequence[str], stop: str, patience: float, attempt: int) -> dict[str, Any]:
    """The task: runs a trial's command on a worker, and says how it ended.

    The trial is asked to write its checkpoint and end once the file `stop` is there, or once it has waited for `patience`
    seconds for what another trial makes: a worker is not kept for waiting. `attempt` tells a scheduler that keeps results that
    this is no task that it had before.
    """
    program = command[0] if Path(command[0]).is_file() else os.fspath(_program.find())
    process = subprocess.Popen(
        # If this worker is killed, the end of stdin ends the trial too.
        [program, *command[1:], "--stop-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    said: deque[str] = deque(maxlen=20)
    since: list[float | None] = [None]

    def hear(lines: Any) -> None:
        for line in lines:
            if '"progress"' in line:
                waits = WAITING in line
                since[0] = (since[0] or time.monotonic()) if waits else None

    listeners = [
        threading.Thread(target=hear, args=(process.stdout,), daemon=True),
        threading.Thread(target=said.extend, args=(process.stderr,), daemon=True),
    ]
    for listener in listeners:
        listener.start()
    waited = False
    try:
        while process.poll() is None:
            start = since[0]
            waited = start is not None and time.monotonic() - start > patience
            if waited or os.path.exists(stop):
                process.stdin.close()
                process.wait()
                break
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                pass
    finally:
        if not process.stdin.closed:
            process.stdin.close()
        code = process.wait()
        for listener in listeners:
            listener.join(timeout=5)
    return {"code": code, "said": "".join(said), "waited": waited and code == STOPPED, "attempt": attempt}


def run(
    executor: Any,
    asked: Sequence[object],
    *,
    out: str | os.PathLike[str] | None,
    settings: dict[str, Any],
    allow_commands: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Runs what is missing of the study that `asked`, words of `toxscreen plan`, means. The answer is that of `run --json`."""
    planned = _program.ask(["plan", *asked, *_program.options({"data_dir": settings.get("data_dir")})], quiet=True)[1]
    folder = Path(out) if out is not None else Path("runs") / planned["study"]
    trials, left = _plan(asked, folder, planned, settings, allow_commands, quiet)
    with _alone(folder):
        _clear(folder)
        stopped = _Drive(executor, folder, left, len(trials), quiet).go()
    done = [id for id in trials if (folder / "trials" / id / "record.json").is_file()]
    failed = [failure for id in trials if (failure := _failure(folder, id))]
    if done:
        _program.call(["report", folder], ok=(0, 1, 4, 5), quiet=quiet)
    for failure in failed[:1]:
        _say(f"{len(failed)} of {len(trials)} trials failed, trial {failure['trial']} first: {failure['message']}", quiet)
    if stopped:
        _say(f"{len(stopped)} trials have a checkpoint and no end; the same call goes on: {', '.join(stopped[:8])}", quiet)
    return {"dir": os.fspath(folder), "done": len(done), "failed": failed, "stopped": stopped}


def _plan(
    asked: Sequence[object],
    folder: Path,
    planned: dict[str, Any],
    settings: dict[str, Any],
    allow_commands: bool,
    quiet: bool,
) -> tuple[list[str], list[Trial]]:
    """Makes the study's folder; ids of all trials, and those that are to be run."""
    given = {name: settings.get(name) for name in ("threads", "data_dir")}
    arguments = ["plan", *asked, "--out", folder, "--commands", *_program.options(given)]
    if allow_commands:
        arguments.append("--allow-commands")
    _, lines, _ = _program.call(arguments, quiet=quiet)
    device = settings.get("device")
    more = [] if device is None else ["--device", str(device)]
    specs = {trial["trial"]: trial["spec"] for trial in planned["trials"]}
    left = []
    for line in lines.splitlines():
        command = shlex.split(line)
        id = command[command.index("--id") + 1]
        # A plan that cannot read its data has other ids than the folder.
        spec = specs.get(id, {})
        cell, variant = spec.get("cell", id), spec.get("variant")
        name = f"{cell} ({variant})" if variant else str(cell)
        left.append(Trial(id, f"{name} seed {spec['seed']}" if "seed" in spec else name, [*command, *more]))
    ids = [json.loads(line)["trial"] for line in (folder / "plan.jsonl").read_text("utf-8").splitlines()]
    return ids, left


class _Drive:
    """Submits trials until each has ended, or been given up."""

    def __init__(self, executor: Any, folder: Path, left: list[Trial], planned: int, quiet: bool) -> None:
        self.executor, self.folder, self.quiet = executor, folder, quiet
        self.planned, self.ended = planned, planned - len(left)
        self.left = deque(left)
        self.stop = folder.resolve() / f".stop-{uuid.uuid4().hex[:12]}"
        self.stopped: list[str] = []
        self.running: dict[Any, Trial] = {}

    def go(self) -> list[str]:
        """Returns the ids of those that have a checkpoint and no end."""
        try:
            while self.left or self.running:
                self._submit()
                ended = [future for future in self.running if future.done()]
                for future in ended:
                    self._take(future, self.running.pop(future))
                if not ended:
                    time.sleep(PACE)
        except BaseException:
            self._halt()
            raise
        return self.stopped

    def _submit(self) -> None:
        while self.left:
            # submitit makes one array of what is submitted within its `batch()`.
            batch = getattr(self.executor, "batch", None) if len(self.left) > 1 else None
            futures = []
            with batch() if callable(batch) else nullcontext():
                for _ in range(min(BATCH, len(self.left))):
                    trial = self.left.popleft()
                    trial.attempts += 1
                    try:
                        future = self.executor.submit(work, trial.command, str(self.stop), trial.patience, trial.attempts)
                    except BrokenExecutor as error:
                        raise self._broken(error) from error
                    futures.append((future, trial))
            self.running.update(futures)

    def _take(self, future: Any, trial: Trial) -> None:
        lost, ended = "", {}
        try:
            ended = future.result()
        except BrokenExecutor as error:
            raise self._broken(error) from error
        except FileNotFoundError:
            # The only thing that the task itself raises: there is no program.
            raise
        except (Exception, CancelledError) as error:
            lost = (str(error).strip() or type(error).__name__).splitlines()[-1]
        if (self.folder / "trials" / trial.id / "record.json").is_file():
            self._end(trial, "done")
        elif lost:
            self._lost(trial, f"its worker was lost ({lost})")
        elif ended["waited"]:
            self._waited(trial)
        elif ended["code"] == STOPPED:
            self._stopped(trial)
        else:
            if _failure(self.folder, trial.id) is None:
                self._failed(trial, _reason(ended), ended["code"])
            failure = _failure(self.folder, trial.id) or {"message": _reason(ended)}
            self._end(trial, f"failed: {failure['message']}")

    def _lost(self, trial: Trial, why: str) -> None:
        trial.losses += 1
        if trial.losses <= LOSSES:
            _say(f"{trial.name}: {why}; it goes on", self.quiet)
            self.left.append(trial)
        else:
            self._failed(trial, f"{why}, {trial.losses} times", None)
            self._end(trial, f"failed: {why}, {trial.losses} times")

    def _waited(self, trial: Trial) -> None:
        if trial.patience > LONGEST_WAIT:
            self.stopped.append(trial.id)
            self._end(trial, "given up: what another trial makes is not there in a day")
        else:
            # Behind those that have something to do.
            trial.patience *= 2
            self.left.append(trial)

    def _stopped(self, trial: Trial) -> None:
        trial.restarts += 1
        if trial.restarts <= RESTARTS:
            _say(f"{trial.name}: it was stopped; it goes on", self.quiet)
            self.left.append(trial)
        else:
            self.stopped.append(trial.id)
            self._end(trial, f"given up: it was stopped {trial.restarts} times")

    def _failed(self, trial: Trial, message: str, code: int | None) -> None:
        """Has the program write failure.json, in its own form."""
        at = ["--study", self.folder, "--id", trial.id]
        more = ["--exit-code", code] if code is not None and code >= 0 else []
        _program.call(["trial", *at, f"--failed={message}", *more], quiet=self.quiet)

    def _end(self, trial: Trial, how: str) -> None:
        self.ended += 1
        _say(f"{trial.name}: {how} ({self.ended} of {self.planned})", self.quiet)

    def _broken(self, error: BaseException) -> RuntimeError:
        return RuntimeError(
            f"the executor is broken ({error}). Trials keep their checkpoints: the same call with a new executor goes on"
        )

    def _halt(self) -> None:
        """Has running trials write checkpoints, and takes back those that wait."""
        # Left where it is: a worker may look for it later than this process lives. The next run removes it.
        self.stop.touch()
        for future in self.running:
            future.cancel()


def _reason(ended: dict[str, Any]) -> str:
    """Why the process of a trial that wrote nothing itself ended."""
    lines = [line for line in str(ended["said"]).splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith("error:")), None)
    if first is not None:
        return first[len("error:") :].strip()
    code = int(ended["code"])
    if code < 0:
        try:
            how = signal.Signals(-code).name
        except ValueError:
            how = f"signal {-code}"
        more = ", which is what the system does when memory runs out" if how == "SIGKILL" else ""
        return f"the trial's process was killed ({how}){more}"
    return f"the trial's process ended with exit code {code}" + (f": {lines[-1]}" if lines else " and said nothing")


def _failure(folder: Path, id: str) -> dict[str, Any] | None:
    path = folder / "trials" / id / "failure.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None


def _clear(folder: Path) -> None:
    """Removes what stopped an earlier run."""
    for path in folder.glob(".stop-*"):
        path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second run out of a study's folder, by the lock that the program takes."""
    try:
        import fcntl
    except ImportError:  # Windows: trials still exclude each other.
        yield
        return
    with open(folder / ".lock", "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another process runs the study in {folder}: wait for it, or stop it") from None
        yield


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
