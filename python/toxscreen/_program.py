"""The program that does the work: where it is, and how it is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "toxscreen.exe" if os.name == "nt" else "toxscreen"


class ToxscreenError(RuntimeError):
    """The program refused or failed. `code` is its exit code, `said` what it wrote to stderr."""

    def __init__(self, command: Sequence[str], code: int, said: str) -> None:
        lines = said.strip().splitlines()
        super().__init__("\n".join(lines[-20:]) or f"`{' '.join(command)}` ended with exit code {code}")
        self.command, self.code, self.said = list(command), code, said


def find() -> Path:
    """The program: that of the environment variable TOXSCREEN_PROGRAM, of this package's wheel, or of PATH."""
    asked = os.environ.get("TOXSCREEN_PROGRAM")
    if asked:
        if not Path(asked).is_file():
            raise FileNotFoundError(f"TOXSCREEN_PROGRAM is {asked}, which is no file")
        return Path(asked)
    schemes = ["", f"{os.name}_user"]
    for scheme in schemes:
        scripts = sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        if (Path(scripts) / NAME).is_file():
            return Path(scripts) / NAME
    # `pip install --target FOLDER` puts scripts beside the package.
    beside = Path(__file__).parents[1] / "bin" / NAME
    if beside.is_file():
        return beside
    on_path = shutil.which("toxscreen")
    if on_path is None:
        raise FileNotFoundError(
            f"the program {NAME} is not in {sysconfig.get_path('scripts')} and not on PATH: install the wheel "
            "(pip install toxscreen), or name a program that you built in TOXSCREEN_PROGRAM"
        )
    return Path(on_path)


def call(arguments: Sequence[object], *, ok: Sequence[int] = (0,), quiet: bool = False) -> tuple[int, str, str]:
    """Runs the program; returns exit code, stdout and stderr. The latter is passed on line by line, unless `quiet`."""
    command = [os.fspath(find()), *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    said: list[str] = []

    def listen() -> None:
        assert process.stderr is not None
        failed = False
        for line in process.stderr:
            said.append(line)
            # An error comes back as an exception, and is not said twice.
            failed = failed or line.startswith("error:")
            if not quiet and not failed:
                # sys.stderr and not its file: a notebook shows the former.
                sys.stderr.write(line)
                sys.stderr.flush()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert process.stdout is not None
        answer = process.stdout.read()
        code = process.wait()
    except KeyboardInterrupt:
        # Ctrl-C reached the program too, which writes its checkpoints and ends.
        process.wait()
        raise
    finally:
        listener.join(timeout=5)
    if code not in ok:
        raise ToxscreenError(["toxscreen", *command[1:]], code, "".join(said))
    return code, answer, "".join(said)


def ask(arguments: Sequence[object], *, ok: Sequence[int] = (0,), quiet: bool = False) -> tuple[int, Any]:
    """Runs the program with `--json`; returns exit code and its answer."""
    code, answer, said = call([*arguments, "--json"], ok=ok, quiet=quiet)
    if not answer.strip():
        # A failure that has the exit code of an answer, such as a folder that cannot be written.
        raise ToxscreenError(["toxscreen", *map(str, arguments)], code, said)
    return code, json.loads(answer)


def options(settings: dict[str, Any]) -> list[str]:
    """Keywords as options: `poison_lr=0.1` is `--poison-lr 0.1`, True a bare option, None none, a list joined by commas, of paths the option
    once for each.

    A keyword of Python has a line behind it: `lambda_`.
    """
    words: list[str] = []
    for key, value in settings.items():
        option = "--" + key.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            words.append(option)
        elif isinstance(value, (list, tuple)) and any(isinstance(one, os.PathLike) for one in value):
            words += [f"{option}={os.fspath(one)}" for one in value]
        elif isinstance(value, (list, tuple)):
            words += [f"{option}={','.join(map(str, value))}"]
        else:
            words += [f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}"]
    return words
