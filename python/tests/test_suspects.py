"""Suspect rows, data without them, and the names of other libraries for both. Needs a program."""

import numpy as np
import pytest
import toxscreen as tx
from toxscreen import _program

try:
    _program.find()
except FileNotFoundError as missing:
    pytest.skip(str(missing), allow_module_level=True)

FLIPPED = 12


@pytest.fixture(scope="module")
def rows():
    """Two classes of 60 rows far apart, of which a tenth has the other's label; and 40 trusted ones."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    x = (rng.normal(size=(160, 4)) + 3 * y[:, None]).astype(np.float32)
    flipped = rng.permutation(120)[:FLIPPED]
    given = y[:120].copy()
    given[flipped] = 1 - given[flipped]
    return x[:120], given, y[:120], set(flipped.tolist()), (x[120:], y[120:])


def test_flipped_rows_come_first_with_the_label_that_they_had(rows):
    x, given, truth, flipped, trusted = rows
    found = tx.suspects(x, given, *trusted, quiet=True)
    assert set(found.indices(0.1)) == flipped and sorted(found.ranked) == list(range(120))
    first = found.ranked[:FLIPPED]
    assert (found.suggested[first] == truth[first]).all() and (found.labels == given).all()
    assert found.labels.dtype == given.dtype
    assert {"knn", "loss", "self-confidence", "hypergradient"} <= set(found.scores)
    assert found.probabilities is not None and np.allclose(found.probabilities.sum(1), 1)
    assert len(found.reasons) == 120 and found.reasons[first[0]]
    pandas = pytest.importorskip("pandas")
    table = found.table()
    assert isinstance(table, pandas.DataFrame) and list(table.index) == list(found.ranked)
    assert table["knn"].iloc[0] == found.scores["knn"][found.ranked[0]]


def test_labels_keep_their_type(rows):
    x, given, *_ = rows
    for labels in (np.array(["=ham", "spam"])[given], 2 * given - 1, given.astype(bool), given.astype(float)):
        found = tx.suspects(x, labels, method="knn", quiet=True)
        assert (found.labels == labels).all() and found.labels.dtype == labels.dtype
    assert tx.suspects("digits", method="knn", quiet=True).probabilities is None
    with pytest.raises(TypeError, match="X_trusted and y_trusted"):
        tx.suspects(x, given, X_trusted=x)


def test_cleaning_drops_or_relabels_what_was_suspected(rows):
    x, given, truth, flipped, trusted = rows
    dropped = tx.clean(x, given, share=0.1, quiet=True)
    assert set(range(120)) - set(dropped.kept) == flipped
    assert (dropped.X == x[dropped.kept]).all() and (dropped.y == truth[dropped.kept]).all()
    words = np.array(["ham", "spam"])
    relabelled = tx.clean(x, words[given], *trusted, share=0.1, relabel=True, method="hypergradient", quiet=True)
    assert set(relabelled.relabelled) == flipped and (relabelled.y == words[truth]).all()
    with pytest.raises(TypeError, match="files are cleaned by the command"):
        tx.clean("digits", None)


def test_a_frame_stays_a_frame(rows):
    pandas = pytest.importorskip("pandas")
    x, given, *_ = rows
    frame = pandas.DataFrame(x, columns=list("abcd"), index=np.arange(120) + 7)
    cleaned = tx.clean(frame, pandas.Series(given, index=frame.index), share=0.1, quiet=True)
    assert list(cleaned.X.index) == [row + 7 for row in cleaned.kept] and list(cleaned.X) == list("abcd")


def test_a_sampler_of_imbalanced_learns_kind(rows):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from toxscreen.sklearn import LabelSanitizer

    x, given, truth, *_ = rows
    sanitizer = clone(LabelSanitizer(0.1, method=["knn", "confident"]))
    kept_x, kept_y = sanitizer.fit_resample(x, given)
    assert len(kept_y) == 120 - FLIPPED and (kept_y == truth[sanitizer.sample_indices_]).all()
    assert (kept_x == x[sanitizer.sample_indices_]).all()
    pipeline = pytest.importorskip("imblearn.pipeline")
    model = pipeline.make_pipeline(LabelSanitizer(0.1, relabel=True), LogisticRegression()).fit(x, given)
    assert model.score(x, truth) > 0.97


def test_a_hardened_regression_is_an_estimator(rows):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from toxscreen.sklearn import HardenedLogisticRegression

    x, given, truth, _, trusted = rows
    options = {"splits": 2, "hyperiterations": 2}
    model = clone(HardenedLogisticRegression(0.1, C=10.0, options=options)).fit(x, given, *trusted)
    assert model.C_ == model.hardened_.C_ == model.model_.C and model.score(x, truth) > 0.9
    assert model.predict_proba(x).shape == (120, 2) and list(model.classes_) == [0, 1]


def test_cleanlabs_names_find_the_same_rows(rows):
    from toxscreen.cleanlab import find_label_issues, get_label_quality_scores

    x, given, _, flipped, _ = rows
    mask = find_label_issues(given, x)
    issues = set(np.flatnonzero(mask))
    assert mask.dtype == bool and len(issues & flipped) >= FLIPPED - 2 and len(issues - flipped) <= 2
    ranked = find_label_issues(given, x, return_indices_ranked_by="normalized_margin")
    assert set(ranked) == issues
    scores = get_label_quality_scores(given, x)
    assert set(np.argsort(scores)[:FLIPPED]) == flipped
    with pytest.raises(ValueError, match="expected one of self_confidence, normalized_margin"):
        get_label_quality_scores(given, x, method="margin")
    filters, rank = pytest.importorskip("cleanlab.filter"), pytest.importorskip("cleanlab.rank")
    probabilities = tx.suspects(x, given, method="confident", quiet=True).probabilities
    for method in ("self_confidence", "normalized_margin"):
        theirs = rank.get_label_quality_scores(given, probabilities, method=method)
        assert np.allclose(theirs, get_label_quality_scores(given, x, method=method), atol=1e-6)
    # Beyond that, cleanlab leaves out rows whose likeliest class is their label.
    theirs = filters.find_label_issues(given, probabilities, filter_by="prune_by_class")
    assert set(np.flatnonzero(theirs)) == {row for row in issues if probabilities[row].argmax() != given[row]}
