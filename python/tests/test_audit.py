"""What `audit` writes for the program; and, with a program that runs external learners, what comes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toxscreen as tx
from toxscreen import _program
from toxscreen.study import toml

try:
    import tomllib
except ImportError:
    tomllib = None

needs_toml = pytest.mark.skipif(tomllib is None, reason="tomllib is of Python 3.11")


@pytest.fixture
def asked(monkeypatch):
    """What the program is asked, by a program that only listens."""
    calls = []

    def ask(arguments, **_):
        calls.append([str(argument) for argument in arguments])
        out = Path(calls[-1][calls[-1].index("--out") + 1]) if "--out" in calls[-1] else None
        out = out or Path(next(a for a in calls[-1] if a.startswith("--out=")).partition("=")[2])
        out.mkdir(parents=True, exist_ok=True)
        (out / "study.toml").write_text('name = "x"\n')
        return 0, {"done": 1, "failed": [], "dir": str(out)}

    monkeypatch.setattr(_program, "ask", ask)
    return calls


def recipe(folder):
    return tomllib.loads((folder / "recipe.toml").read_text())


def blobs(n, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return (rng.normal(size=(n, 3)) + 2 * y[:, None]).astype(np.float32), y


def learn(task):
    means = np.stack([task.train.flat[task.train.y == c].mean(0) for c in range(task.classes)])
    distances = ((task.test.flat[:, None] - means) ** 2).sum(-1)
    return tx.Result(distances.argmin(1), claim=0.5, choice={"means": task.params["n"]})


@needs_toml
def test_the_recipe_says_all_that_was_asked_for(asked, tmp_path):
    x, y = blobs(40)
    study = tx.audit(
        learn,
        (x, y, *blobs(10, 1)),
        {"rlf": [0, 0.01, 0.1], "file": {"path": "p.npz"}, "evasion": [{"attack": "square", "epsilon": "8/255"}]},
        defences=["knn", ["knn", {"kind": "denoise", "method": "median"}]],
        seeds=[3, 5],
        cells=["clean*", "rlf-1 (knn)"],
        out=tmp_path / "a",
        params={"n": 2, "deep": {"a b": [1.5, "x"]}},
        settings={"timeout": "1h", "deterministic": False},
        jobs=2,
    )
    found = recipe(tmp_path / "a")
    assert found["name"] == "learn" and found["seeds"] == [3, 5]
    assert found["data"] == {"dataset": "data.npz", "valid": 0}
    learner = found["learner"]
    assert learner["kind"] == "external" and learner["python"] == "toxscreen_audit:automl"
    assert learner["interpreter"] == sys.executable and learner["params"] == {"n": 2, "deep": {"a b": [1.5, "x"]}}
    assert (learner["timeout"], learner["deterministic"]) == ("1h", False)
    assert os.path.realpath(__file__) in map(os.path.realpath, learner["files"])
    grid = found["grid"][0]
    assert [row["label"] for row in grid["rows"]] == ["clean", "rlf-1", "rlf-10", "file-1", "evasion-8-255"]
    assert grid["rows"][2]["threat"] == {"kind": "rlf", "budget": 0.1}
    assert [column["variant"] for column in grid["columns"]] == ["none", "knn", "knn+denoise"]
    assert grid["columns"][2]["defence"] == [{"kind": "knn"}, {"kind": "denoise", "method": "median"}]
    assert "--allow-commands" in asked[0] and "--jobs=2" in asked[0]
    assert [asked[0][i + 1] for i, word in enumerate(asked[0]) if word == "--cells"] == ["clean*", "rlf-1 (knn)"]
    assert study.folder == tmp_path / "a" / "study"
    with np.load(tmp_path / "a" / "data.npz") as data:
        assert data["x_train"].shape == (40, 3) and data["x_test"].shape == (10, 3)
    (tmp_path / "never_installed.py").write_text('__version__ = "7"')
    asks = [*learner["version"], "never_installed"]
    said = subprocess.run(asks, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert f"numpy {np.__version__}, " in said and said.strip().endswith(", never_installed 7")


@needs_toml
def test_a_fifth_is_held_out_class_by_class(asked, tmp_path):
    x, y = blobs(50)
    tx.audit(learn, (x, np.array(["a", "b"])[y]), {"rlf": 0.1}, out=tmp_path)
    assert [cell["label"] for cell in recipe(tmp_path)["cell"]] == ["clean", "rlf-10"]
    assert recipe(tmp_path)["seeds"] == [0, 1, 2, 3, 4]
    with np.load(tmp_path / "data.npz") as data:
        assert sorted(data["y_test"]) == ["a"] * 5 + ["b"] * 5
        both = np.concatenate([data["x_train"], data["x_test"]])
    assert sorted(map(tuple, both)) == sorted(map(tuple, x))


def test_what_is_wrong_is_said_before_the_program_is_asked(asked, tmp_path):
    x, y = blobs(50)
    with pytest.raises(ValueError, match="budget of rlf is 10"):
        tx.audit(learn, (x, y), {"rlf": [10]}, out=tmp_path)
    with pytest.raises(TypeError, match="3 parts"):
        tx.audit(learn, (x, y, x), {"rlf": 0.1}, out=tmp_path)
    with pytest.raises(TypeError, match="expected a function"):
        tx.audit(3, (x, y), {"rlf": 0.1}, out=tmp_path)
    with pytest.raises(ValueError, match="expected 50 labels"):
        tx.audit(learn, (x, y[:4]), {"rlf": 0.1}, out=tmp_path)
    assert not asked


@needs_toml
def test_an_estimator_is_handed_over_as_a_description(asked, tmp_path):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC
    from toxscreen.sklearn import build

    tx.audit(
        GridSearchCV(SVC(), {"C": [1, 2.5], "class_weight": [None, {"a": 1}]}),
        "digits",
        {"rlf": 0.1},
        out=tmp_path / "a",
    )
    learner = recipe(tmp_path / "a")["learner"]
    assert learner["retrain"] and learner["default"] == {}
    # TOML and JSON lie between both.
    built = build(json.loads(json.dumps(learner["params"]["estimator"])))
    assert built.param_grid == {"C": [1, 2.5], "class_weight": [None, {"a": 1}]}
    assert recipe(tmp_path / "a")["data"]["dataset"] == "digits" and recipe(tmp_path / "a")["name"] == "gridsearchcv"
    tx.audit(LogisticRegression, "digits", {"rlf": 0.1}, out=tmp_path / "b")
    learner = recipe(tmp_path / "b")["learner"]
    assert learner["params"]["estimator"] == {"estimator": "sklearn.linear_model:LogisticRegression"} and "retrain" not in learner


@needs_toml
def test_the_command_line_makes_a_grid_search(asked, tmp_path):
    pytest.importorskip("sklearn")
    from toxscreen.sklearn import __main__ as command_line
    from toxscreen.sklearn import build

    (tmp_path / "my.csv").write_text("a,b,y\n1,2,x\n")
    words = "sklearn.svm:SVC --param kernel=rbf --grid C=0.1,1 --grid gamma=scale,0.5 --cv 3 --candidates --label y --seeds 2"
    words += f" --threat rlf=0.01,0.1 --threat clf=0.1 --defence knn --data {tmp_path / 'my.csv'} --out {tmp_path / 'a'}"
    (tmp_path / "a" / "study").mkdir(parents=True)
    (tmp_path / "a" / "study" / "results.csv").write_text("cell,variant,seed,metric,level,value\nclean,,0,clean_error,,2\n")
    command_line.main(words.split())
    found = recipe(tmp_path / "a")
    assert found["data"] == {"dataset": str(tmp_path / "my.csv"), "valid": 0, "label": "y"}
    assert found["learner"]["params"]["candidates"] is True
    search = build(found["learner"]["params"]["estimator"])
    assert search.param_grid == {"C": [0.1, 1], "gamma": ["scale", 0.5]} and search.cv == 3
    assert search.estimator.kernel == "rbf"
    assert [row["label"] for row in found["grid"][0]["rows"]] == ["clean", "rlf-1", "rlf-10", "clf-10"]


@needs_toml
@pytest.mark.parametrize(
    "value", [True, -3, 1e-300, 'q"\\\n\x00\x7fé', {"a": {"b c": []}}, [1, [2.0, "x"]], {}, np.float32(0.5), 10**15]
)
def test_toml_is_toml(value):
    expected = value.item() if hasattr(value, "item") else value
    assert tomllib.loads(f"x = {toml(value)}")["x"] == expected


def test_none_has_no_form_in_a_recipe():
    with pytest.raises(TypeError, match="NoneType, which a recipe has no form for"):
        toml({"a": None})


def runs_external_learners():
    try:
        said = subprocess.run([_program.find(), "run", "--help"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return False
    return "--allow-commands" in said


external = pytest.mark.skipif(not runs_external_learners(), reason="no program that runs external learners")


@external
def test_a_function_is_audited_from_arrays_to_tables(tmp_path):
    x, y = blobs(200)
    study = tx.audit(
        learn,
        (x, y, *blobs(50, 1)),
        {"rlf": [0.1, 0.4]},
        defences=["knn"],
        seeds=2,
        params={"n": 7},
        out=tmp_path,
        quiet=True,
    )
    assert study.failures() == {}
    assert len(study.records()) == 12 and study.report.is_file()
    pandas = pytest.importorskip("pandas")
    errors = study.tidy().query("metric == 'clean_error'")
    assert isinstance(errors, pandas.DataFrame) and len(errors) == 12
    clean = errors[(errors["cell"] == "clean") & (errors["variant"] == "none")]["value"]
    means = np.stack([x[y == c].mean(0) for c in (0, 1)])
    x_test, y_test = blobs(50, 1)
    mine = 100 * np.mean(((x_test[:, None] - means) ** 2).sum(-1).argmin(1) != y_test)
    assert np.allclose(clean, mine), "the program scores what the learner answered"


@external
def test_a_grid_search_is_audited_with_its_choice(tmp_path):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, cv=3)
    study = tx.audit(search, blobs(200), {"rlf": 0.3}, seeds=1, out=tmp_path, quiet=True)
    assert study.failures() == {} and len(study.records()) == 2
    assert any("0.01" in json.dumps(r["outcome"]) or "1.0" in json.dumps(r["outcome"]) for r in study.records())


@external
def test_a_learner_that_breaks_the_protocol_says_so_through_the_program(tmp_path):
    (tmp_path / "bad.py").write_text("def automl(task):\n    return [0, 1, 2]\n")
    with pytest.raises(RuntimeError, match=r"have the shape \(3,\): expected"):
        tx.audit(f"{tmp_path / 'bad.py'}:automl", blobs(50), {"rlf": 0.1}, seeds=1, out=tmp_path / "a", quiet=True)
