"""docs/results/automl.md against the rows that it is made of."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pandas")
pytest.importorskip("scipy")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("defence", ["none", "knn"])
def test_every_line_of_the_table_is_that_of_the_rows(defence):
    script = ROOT / "examples" / "automl" / "table.py"
    command = [sys.executable, str(script), str(ROOT / "benches" / "results"), "--defence", defence]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line for line in made.splitlines() if line.startswith("| grid")]
    page = (ROOT / "docs" / "results" / "automl.md").read_text("utf-8")
    assert len(lines) == 5
    for line in lines:
        assert line in page


def test_the_victims_errors_are_those_of_the_rows():
    import pandas

    rows = pandas.read_csv(ROOT / "benches" / "results" / "wide_automl_spambase_grid.csv")
    cell = rows[(rows["cell"] == "bilevel-transfer-10") & (rows["variant"] == "none")]
    page = (ROOT / "docs" / "results" / "automl.md").read_text("utf-8")
    assert f"from {cell['victim_clean_error'].mean():.1f} to {cell['victim_error'].mean():.1f} % error" in page
