"""The programs of python/README.md, as they stand there."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import PACKAGES
from test_audit import external

README = Path(__file__).parents[1] / "README.md"


@external
def test_every_program_of_the_readme_runs(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("pandas")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 5
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), os.environ.get("PYTHONPATH", "")])}
    said = []
    for block in blocks:
        if block.startswith("# learn.py"):
            (tmp_path / "learn.py").write_text(block)
            continue
        if "toxscreen.evaluate(" in block and not (find_spec("torch") and find_spec("toxscreen_native")):
            continue
        block = block.replace("study.open()", "assert study.report.is_file()")
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "rlf-10 (knn)" in said[0] and "claimed error" in said[0]
    # Of a wide frame pandas prints the first and the last columns.
    assert "rlf-30" in said[1] and "[12 rows x 18 columns]" in said[1]
