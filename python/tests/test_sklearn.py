"""The learner that fits scikit-learn's estimators, served as the program serves it."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from toxscreen.sklearn import Undescribable, build, describe

AUTOML = "from toxscreen.sklearn import automl\n"


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        LogisticRegression(C=np.inf, class_weight={"a": 2.0}, max_iter=7),
        make_pipeline(StandardScaler(with_std=False), SVC(gamma=0.5)),
        GridSearchCV(SVC(), {"C": [0.1, 1], "gamma": ["scale", None]}, cv=StratifiedKFold(3, shuffle=True, random_state=1)),
        GridSearchCV(make_pipeline(SVC()), [{"svc": [SVC(), LogisticRegression()]}]),
        MLPClassifier(hidden_layer_sizes=(3, 4)),
        RandomForestClassifier(random_state=None, max_features=None),
    ],
    ids=repr,
)
def test_a_description_builds_an_equal_estimator(estimator):
    built = build(describe(estimator))
    assert type(built) is type(estimator)
    assert repr(built) == repr(estimator)
    assert describe(built) == describe(estimator)


def test_numbers_of_numpy_are_numbers():
    assert describe(SVC(C=np.float64(2.5), degree=np.int64(4)))["params"] == {"C": 2.5, "degree": 4}


def test_distributions_are_described():
    stats = pytest.importorskip("scipy.stats")
    search = build(describe(RandomizedSearchCV(SVC(), {"C": stats.loguniform(0.01, 100)}, n_iter=3)))
    assert search.param_distributions["C"].args == (0.01, 100)


def test_what_cannot_be_described_is_refused_with_its_place():
    class Own(LogisticRegression):
        pass

    with pytest.raises(Undescribable, match=r"estimator.estimator is .*Own of .*cannot import"):
        describe(GridSearchCV(Own(), {}))
    with pytest.raises(Undescribable, match=r"estimator.random_state is a RandomState"):
        describe(SVC(random_state=np.random.RandomState(0)))


def fitted(work, estimator, **params):
    work.request["params"] = {"estimator": describe(estimator), **params}
    code, errors = work.run(AUTOML)
    assert code == 0, errors
    return work.result()


def test_an_estimator_answers_with_probabilities_and_claims_its_cross_validation(packaged):
    result = fitted(packaged, RandomForestClassifier(n_estimators=5))
    assert result["probabilities"] and 0.8 < result["claim"] <= 1 and "choice" not in result
    first = packaged.array("test.pred.npy")
    assert first.shape == (20, 2)
    fitted(packaged, RandomForestClassifier(n_estimators=5), claim=False)
    assert (packaged.array("test.pred.npy") == first).all(), "the seed is the task's"
    assert "claim" not in packaged.result()


def test_a_class_without_rows_keeps_its_column(packaged):
    packaged.request["task"]["classes"] = 4
    fitted(packaged, LogisticRegression(), claim=False)
    scores = packaged.array("test.pred.npy")
    assert scores.shape == (20, 4) and (scores[:, 2:] == 0).all()


def test_a_search_answers_with_its_choice_claim_and_space(packaged):
    search = make_pipeline(StandardScaler(), GridSearchCV(SVC(), {"C": [1e-4, 1.0], "class_weight": [None, "balanced"]}, cv=3))
    result = fitted(packaged, search, candidates=True)
    assert result["choice"]["C"] == 1.0 and set(result["choice"]) == {"C", "class_weight"}
    assert result["claim"] > 0.8 and result["evaluations"] == 4
    assert "C = 1.0" in result["found"]
    assert len(result["candidates"]) == 4
    best = [c for c in result["candidates"] if c["choice"] == result["choice"]]
    assert len(best) == 1 and best[0]["claim"] == pytest.approx(result["claim"])
    assert (packaged.array(best[0]["predictions"]) == packaged.array("test.pred.npy")).all()


def test_a_choice_is_trained_without_a_search(packaged):
    search = GridSearchCV(MLPClassifier(max_iter=5), {"hidden_layer_sizes": [(3,), (4, 2)]}, cv=2)
    result = fitted(packaged, search)
    packaged.request |= {"phase": "train", "choice": {"hidden_layer_sizes": [4, 2]}}
    assert packaged.run(AUTOML)[0] == 0
    assert packaged.result()["choice"] == {"hidden_layer_sizes": [4, 2]}
    if result["choice"] == {"hidden_layer_sizes": [3]}:
        # The default choice of the search's own estimator is another.
        packaged.request["choice"] = {}
        assert packaged.run(AUTOML)[0] == 0


def test_a_search_by_another_score_still_claims_an_accuracy(packaged):
    result = fitted(packaged, GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring="neg_log_loss", cv=2))
    assert 0.5 < result["claim"] <= 1


def test_a_kept_model_answers_later_rows(packaged):
    import subprocess

    fitted(packaged, LogisticRegression(), model=True)
    assert packaged.result()["model"] == "model"
    packaged.request |= {"phase": "predict", "model": "out/model"}
    process = packaged.start(AUTOML, stdin=subprocess.PIPE)
    out, errors = process.communicate('{"x": "test.x.npy", "scores": "q.npy"}\n', timeout=60)
    assert out == '{"ok": true}\n', errors
    assert np.allclose(np.load(packaged.folder / "q.npy"), packaged.array("test.pred.npy"))
