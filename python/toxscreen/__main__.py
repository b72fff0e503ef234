"""`python -m toxscreen` is the program."""

import os
import subprocess
import sys

from ._program import find


def main() -> None:
    try:
        program = os.fspath(find())
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    command = [program, *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(program, command)


if __name__ == "__main__":
    main()
