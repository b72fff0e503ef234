"""The commands of the program on arrays. Needs a program: a wheel's, TOXSCREEN_PROGRAM, or one on PATH."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import toxscreen as tx
from toxscreen import _program

try:
    _program.find()
except FileNotFoundError as missing:
    pytest.skip(str(missing), allow_module_level=True)


@pytest.fixture(scope="module")
def blobs():
    """Two classes of 150 rows, and the same of 40 for the test."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.permutation(np.arange(n) % 2)
        return (rng.normal(size=(n, 4)) + 1.5 * y[:, None]).astype(np.float32), y

    return draw(300), draw(80)


def test_the_module_is_the_program():
    said = subprocess.run([sys.executable, "-m", "toxscreen", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("toxscreen ")
    refused = subprocess.run([sys.executable, "-m", "toxscreen", "no-such-command"], capture_output=True, check=False)
    assert refused.returncode == 2


def test_the_variable_names_a_program_or_says_that_it_does_not(monkeypatch):
    monkeypatch.setenv("TOXSCREEN_PROGRAM", os.devnull + "-no")
    with pytest.raises(FileNotFoundError, match="TOXSCREEN_PROGRAM is .*no file"):
        _program.find()


def test_flipped_labels_are_where_the_patch_says(blobs):
    (x, y), _ = blobs
    poisoned = tx.poison(x, y, attack="rlf", budget=0.1, seed=3, quiet=True)
    assert poisoned.unreliable is None and len(poisoned.indices) == 30
    assert set(np.flatnonzero(poisoned.y != y)) == set(poisoned.indices)
    assert (poisoned.X == x).all() and poisoned.X.dtype == x.dtype
    again = poisoned.patch.apply(x, y)
    assert (again[1] == poisoned.y).all()


def test_labels_may_be_words(blobs):
    (x, y), _ = blobs
    words = np.array(["ham", "spam"])[y]
    poisoned = tx.poison(x, words, attack="rlf", budget=0.1, quiet=True)
    assert poisoned.y.dtype.kind == "U" and (poisoned.y != words).sum() == 30
    assert (poisoned.patch.apply(x, words)[1] == poisoned.y).all()


def test_labels_may_begin_anywhere(blobs):
    (x, y), _ = blobs
    poisoned = tx.poison(x, 2 * y - 1, attack="rlf", budget=0.1, quiet=True)
    assert set(np.unique(poisoned.y)) == {-1, 1}
    assert (poisoned.patch.apply(x, 2 * y - 1)[1] == poisoned.y).all()


def test_moved_rows_come_back_with_their_patch(blobs, tmp_path):
    (x, y), test = blobs
    poisoned = tx.poison(x, y, test=test, budget=0.05, hyperiterations=3, steps=30, quiet=True)
    moved = np.flatnonzero((poisoned.X != x).any(axis=1))
    assert 0 < len(moved) <= 13 and set(moved) <= set(poisoned.indices)
    assert not set(poisoned.held_out) & set(poisoned.indices) and len(poisoned.held_out) == 30
    poisoned.patch.save(tmp_path / "a.patch.npz")
    x_again, y_again = tx.Patch.load(tmp_path / "a.patch.npz").apply(x, y)
    assert (x_again == poisoned.X).all() and (y_again == poisoned.y).all()
    with pytest.raises(ValueError, match="patch is of 300 rows"):
        poisoned.patch.apply(x[:10], y[:10])


def test_a_known_set_is_poisoned_by_name():
    poisoned = tx.poison("digits", attack="noise", budget=0.1, quiet=True)
    clean = tx.poison("digits", attack="rlf", budget=0.001, quiet=True)
    changed = np.flatnonzero((poisoned.X != clean.X).any(axis=(1, 2)))
    assert poisoned.X.dtype == np.uint8 and set(changed) == set(poisoned.indices)
    assert (poisoned.patch.apply(clean.X, poisoned.y)[0] == poisoned.X).all()
    as_reals = poisoned.patch.apply(clean.X / np.float32(255), poisoned.y)[0]
    assert np.allclose(as_reals * 255, poisoned.X, atol=1e-3)


def test_data_frames_are_read_and_words_in_them_refused(blobs):
    pandas = pytest.importorskip("pandas")
    (x, y), _ = blobs
    frame = pandas.DataFrame(x, columns=list("abcd")).assign(e=True)
    poisoned = tx.poison(frame, pandas.Series(y), attack="rlf", budget=0.1, quiet=True)
    assert poisoned.X.shape == (300, 5)
    with pytest.raises(TypeError, match="columns that are no numbers: f"):
        tx.poison(frame.assign(f="x"), y, attack="rlf", quiet=True)


def test_hardening_names_a_regularisation(blobs):
    (x, y), test = blobs
    hardened = tx.harden(x, y, valid=60, test=test, splits=2, hyperiterations=2, current=10, quiet=True)
    if not hardened.recommended:
        assert hardened.C_ == pytest.approx(10)
    assert hardened.weight_decay_ == pytest.approx(math.exp(hardened.lambda_))
    assert hardened.reason
    with pytest.raises(TypeError, match="X_trusted and y_trusted, or valid=N"):
        tx.harden(x, y)


def test_a_screen_finds_the_op_that_zeroes_everything():
    screened = tx.screen([{"op": "conv", "k": 3}, {"op": "avgpool3"}, {"op": "dropout", "p": 1.0}], quiet=True)
    assert list(screened.flagged) == ["dropout(1)"]


def test_a_refusal_is_an_exception_with_what_the_program_said(blobs, capsys):
    (x, y), _ = blobs
    with pytest.raises(tx.ToxscreenError, match="invalid value 'rlff'.*similar value exists: 'rlf'|rlff") as caught:
        tx.poison(x, y, attack="rlff")
    assert caught.value.code == 2
    assert "error:" not in capsys.readouterr().err, "said once, by the exception"
    x = x.copy()
    x[3, 2] = np.nan
    with pytest.raises(tx.ToxscreenError) as caught:
        tx.poison(x, y, attack="rlf", quiet=True)
    assert caught.value.code == 3


def test_names_of_other_libraries(blobs):
    from toxscreen.art import RandomLabelFlip

    (x, y), _ = blobs
    attack = RandomLabelFlip(0.1)
    x_poisoned, y_poisoned = attack.poison(x, y)
    assert (x_poisoned == x).all() and (y_poisoned != y).sum() == 30
    assert attack.poisoned is not None and len(attack.poisoned.indices) == 30


RECIPE = """
name = "small"
seeds = [0, 1]
[data]
dataset = "digits"
classes = [3, 8]
train = 80
valid = 40
test = 100
split = "random"
[learner]
kind = "bilevel"
victim = "none"
hyperiterations = 2
inner = { steps = 20, lr = 0.2 }
[[cell]]
label = "clean"
threat.data = { kind = "none" }
[[cell]]
label = "rlf"
threat.data = { kind = "rlf", budget = 0.2 }
"""


def test_a_study_is_run_and_read(tmp_path, capsys):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    study = tx.run(tmp_path / "recipe.toml", out=tmp_path / "s", set={"learner.hyperiterations": 1}, seeds=[4, 5])
    assert "rlf seed 4: done" in capsys.readouterr().err
    assert study.name == "small" and study.report.is_file()
    records = study.records()
    assert len(records) == 4 and {record["spec"]["seed"] for record in records} == {4, 5}
    assert all(record["spec"]["learner"]["hyperiterations"] == 1 for record in records)
    assert study.events(records[0]["trial"])[0]["event"] == "started"
    with pytest.raises(KeyError, match="0 trials"):
        study.events("zz")
    assert {name for name in study.figures} and all(f._repr_svg_().startswith("<svg") for f in study.figures.values())
    page = study._repr_html_()
    assert "<table>" in page and "rlf" in page
    assert study.failures() == {} and study.status()["study"] == "small"
    assert tx.Study(tmp_path / "s").folder == study.folder
    pandas = pytest.importorskip("pandas")
    tidy, wide = study.tidy(), study.results()
    assert isinstance(tidy, pandas.DataFrame) and isinstance(wide, pandas.DataFrame)
    clean = tidy.query("metric == 'clean_error' and cell == 'clean'")
    assert len(clean) == 2 and (clean["defence"] == "none").all(), "the word none is no missing value"
    (study.folder / "wide.csv").unlink()
    made = study.results()
    assert len(made) == 4 and list(made["trial"]) == list(tidy["trial"].drop_duplicates()) and "clean_error" in made
    verified = study.verify(rerun=False)
    assert verified


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no study"):
        tx.Study(tmp_path)
    with pytest.raises(tx.ToxscreenError):
        tx.run(tmp_path / "none.toml", quiet=True)
