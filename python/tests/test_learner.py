"""The file that serves the protocol, started as the program starts it."""

import json
import signal
import subprocess
import time

import numpy as np
import pytest

NEAREST_MEAN = """
import numpy as np
def automl(task):
    means = np.stack([task.train.flat[task.train.y == c].mean(0) for c in range(task.classes)])
    return ((task.test.flat[:, None] - means) ** 2).sum(-1).argmin(1)
"""


def test_predictions_are_written_as_the_protocol_has_them(work):
    code, errors = work.run(NEAREST_MEAN)
    assert code == 0, errors
    assert work.result() == {"predictions": "test.pred.npy"}
    assert (work.array("test.pred.npy") == work.y_test).mean() > 0.8


def test_a_result_with_everything_becomes_json(work):
    code, errors = work.run("""
import numpy as np
from toxscreen import Result, learner
@learner
def automl(task):
    n = len(task.test)
    scores = np.asfortranarray(np.full((n, 2), 0.5))
    task.progress(0.5, "half")
    (task.model / "weights.txt").write_text("1")
    return Result(scores, claim=np.float32(0.75), choice={"c": np.float64(0.5), "sizes": (1, np.int64(2))},
                  found="a line", evaluations=np.int64(3), probabilities=True,
                  candidates=[{"choice": {"c": 1}, "claim": 0.5, "predictions": np.ones(n)}])
""")
    assert code == 0, errors
    assert work.result() == {
        "predictions": "test.pred.npy",
        "probabilities": True,
        "claim": 0.75,
        "choice": {"c": 0.5, "sizes": [1, 2]},
        "found": "a line",
        "evaluations": 3,
        "candidates": [{"predictions": "c0.npy", "choice": {"c": 1}, "claim": 0.5}],
        "model": "model",
    }
    with open(work.folder / "out" / "test.pred.npy", "rb") as file:
        np.lib.format.read_magic(file)
        assert np.lib.format.read_array_header_1_0(file) == ((20, 2), False, np.dtype(np.float64))
    assert work.array("c0.npy").dtype == np.int64
    assert json.loads((work.folder / "events.jsonl").read_text()) == {"done": 0.5, "message": "half"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "returned None: expected predictions"),
        ("return [0] * 3", "have the shape (3,): expected (20,) classes from 0 to 1, or (20, 2) scores"),
        ("return np.full((20, 2), np.nan)", "not finite, first in row 0"),
        ("return np.full(20, 0.5)", "are no whole numbers"),
        ("return np.full(20, 2)", "go from 2 to 2: expected (20,) classes from 0 to 1"),
        ("return np.full(20, 2**80)", "(object): expected (20,) classes"),
        ("return ['ham'] * 20", "of type list (<U3)"),
        ("return {'prediction': [0] * 20}", "has the keys ['prediction']"),
        ("return Result([0] * 20, claim=93)", "claim is 93: expected an accuracy from 0 to 1"),
        ("return Result([0] * 20, claim=float('nan'))", "claim is nan"),
        ("return Result([0] * 20, choice={'a': [object]})", "choice.a[0] is a type, which is no JSON"),
        ("return Result([0] * 20, choice={'a': float('inf')})", "choice.a is inf"),
        ("return Result([0] * 20, choice='x' * 70000)", "expected at most 65536"),
        ("return Result(np.ones((20, 2)), probabilities=True)", "no rows of probabilities"),
        ("return Result([0] * 20, model='..')", "expected a folder in task.out"),
        ("return Result([0] * 20, candidates=[1])", "candidates[0] is a int"),
        ("return Result([0] * 20, candidates=[{'predictions': [5] * 20}])", "candidates[0].predictions go from 5 to 5"),
    ],
)
def test_misuse_is_one_clear_line(work, body, said):
    code, errors = work.run(f"import numpy as np\nfrom toxscreen import Result\ndef automl(task):\n    {body}\n")
    assert code == 2
    assert said in errors and errors.startswith("learn:automl: ") and errors.count("\n") == 1, errors
    assert not (work.folder / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("learn", "expected MODULE:FUNCTION, such as learn:automl"),
        ("learnt:automl", "there is no module 'learnt': expected learnt.py in "),
        ("learn:auto", "learn has no 'auto', but automl"),
        ("learn:np.pi", "is a float: expected a function of a task"),
    ],
)
def test_a_wrong_name_says_what_is_there(work, name, said):
    code, errors = work.run(NEAREST_MEAN, name)
    assert code == 2
    assert said in errors


def test_a_missing_library_of_the_learner_is_not_a_missing_learner(work):
    code, errors = work.run("import no_such_library\n")
    assert code == 1
    assert "No module named 'no_such_library'" in errors


def test_an_exception_keeps_its_traceback_and_unfit_data_their_code(work):
    code, errors = work.run("def automl(task):\n    raise ValueError('of the learner')\n")
    assert (code, errors.splitlines()[-1]) == (1, "ValueError: of the learner")
    code, errors = work.run("from toxscreen import Unfit\ndef automl(task):\n    raise Unfit('one class alone')\n")
    assert (code, errors) == (3, "learn:automl: one class alone\n")


def test_a_request_of_another_protocol_is_refused(work):
    work.request["protocol"] = "toxscreen-learner/2"
    code, errors = work.run(NEAREST_MEAN)
    assert code == 2
    assert "'toxscreen-learner/2', but this file speaks 'toxscreen-learner/1'" in errors


def test_training_a_choice_answers_with_that_choice(work):
    work.request |= {"phase": "train", "choice": {"c": 1, "sizes": [1, 2]}}
    assert work.run("def automl(task):\n    return [0] * 20\n")[0] == 0
    assert work.result()["choice"] == {"c": 1, "sizes": [1, 2]}
    code, errors = work.run("def automl(task):\n    return dict(predictions=[0] * 20, choice={'c': 2})\n")
    assert code == 2
    assert "but {'c': 2} was trained" in errors


def test_the_generators_start_from_the_seed(work):
    source = "import numpy as np, random\ndef automl(task):\n    return np.random.permutation(20) % 2\n"
    answers = []
    for seed in (3, 3, 4):
        work.request["seed"] = seed
        assert work.run(source)[0] == 0
        answers.append(work.array("test.pred.npy").tolist())
    assert answers[0] == answers[1] != answers[2]


def test_images_in_folders_come_in_the_order_of_their_rows(work):
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(12 * 4, dtype=np.uint8).reshape(12, 2, 2)
    for row, label in enumerate([1, 0] * 6):
        folder = work.folder / ("test" if row >= 10 else f"train/{label}")
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels[row]).save(folder / f"{row if row < 10 else row - 10:06}.png")
    work.request["data"] = {"train": {"folder": "train"}, "valid": None, "test": {"folder": "test"}}
    work.request["task"]["input"] = {"kind": "image", "shape": [1, 2, 2], "dtype": "uint8", "range": [0, 255]}
    code, errors = work.run("""
def automl(task):
    assert task.train.x.shape == (10, 1, 2, 2) and task.train.x[:, 0, 0, 0].tolist() == list(range(0, 40, 4))
    assert task.train.y.tolist() == [1, 0] * 5 and len(task.test) == 2 and task.test.y is None
    assert task.train.flat.max() <= 1 and task.train.folder.name == "train"
    return task.test.x[:, 0, 0, 0] // 44
""")
    assert code == 0, errors
    assert work.array("test.pred.npy").tolist() == [0, 1]


CAN_STOP = """
import time
def automl(task):
    done = task.checkpoint / "done"
    if task.resume:
        return [int(done.read_text())] * 20
    for epoch in range(1000):
        if task.stopping:
            done.write_text("1")
            task.stopped()
        (task.checkpoint / "started").touch()
        time.sleep(0.01)
"""


def started(work, process):
    for _ in range(3000):
        if (work.folder / "checkpoint" / "started").exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGTERM that can be caught")
def test_a_stop_leaves_a_checkpoint_from_which_it_goes_on(work):
    process = work.start(CAN_STOP)
    started(work, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 75
    assert not (work.folder / "out" / "result.json").exists()
    work.request["resume"] = True
    assert work.run(CAN_STOP)[0] == 0
    assert work.array("test.pred.npy").tolist() == [1] * 20


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGTERM that can be caught")
def test_a_learner_that_never_looks_ends_at_once(work):
    process = work.start("""
import time
def automl(task):
    (task.checkpoint / "started").touch()
    time.sleep(60)
""")
    started(work, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == -signal.SIGTERM


def test_predict_answers_a_query_a_line_and_keeps_stdout_to_itself(work):
    source = """
import numpy as np
from toxscreen import learner
def score(model, x):
    print("words of the learner")
    if len(x) == 3:
        raise ValueError("three")
    return np.stack([x[:, 0], float(model) - x[:, 0]], 1)
@learner(predict=score, load=lambda folder: (folder / "offset").read_text())
def automl(task):
    (task.model / "offset").write_text("5")
    return [0] * 20
"""
    assert work.run(source)[0] == 0
    (work.folder / "out" / "model").rename(work.folder / "model")
    work.request |= {"phase": "predict", "model": "model", "data": {}}
    process = work.start(source, stdin=subprocess.PIPE)
    answers = []
    for n in (2, 3, 4):
        np.save(work.folder / "q.npy", np.ones((n, 3), dtype=np.float32))
        process.stdin.write('{"x": "q.npy", "scores": "q.scores.npy"}\n')
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline()))
    rest, errors = process.communicate(timeout=20)
    assert answers == [{"ok": True}, {"error": "ValueError: three"}, {"ok": True}]
    assert (process.returncode, rest) == (0, "")
    assert errors.count("words of the learner") == 3
    scores = np.load(work.folder / "q.scores.npy")
    assert scores.dtype == np.float32 and scores.tolist() == [[1, 4]] * 4


def test_a_learner_of_its_own_file_serves_itself(work):
    source = NEAREST_MEAN + "\nif __name__ == '__main__':\n    import sys; sys.path.insert(0, sys.path[0])\n"
    source += "    from toxscreen_learner import serve\n    serve(automl)\n"
    process = work.start(source)
    process.communicate(timeout=60)
    (work.folder / "learn.py").write_text(source)
    (work.folder / "out" / "result.json").unlink()
    import sys

    done = subprocess.run([sys.executable, work.folder / "learn.py", work.folder / "request.json"], check=False)
    assert done.returncode == 0
    assert work.result() == {"predictions": "test.pred.npy"}
    by_hand = subprocess.run([sys.executable, work.folder / "learn.py"], check=False, capture_output=True, text=True)
    assert by_hand.returncode == 2
    assert "not by hand" in by_hand.stderr
