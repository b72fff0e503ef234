"""Live models: closed forms, what is told of models that are not in order, and that the pure package says what is missing."""

import os
import re
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import toxscreen

IN_BALL = 1e-6


def test_without_the_compiled_part_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "toxscreen_native", None)
    with pytest.raises(ImportError, match=r"toxscreen\[native\]") as error:
        toxscreen.evaluate(lambda x: x, np.zeros((1, 1, 1, 1)), [0])
    assert "maturin build" in str(error.value)
    monkeypatch.setitem(sys.modules, "toxscreen_native", type("Old", (), {"INTERFACE": 0, "__version__": "0.0.1"}))
    with pytest.raises(ImportError, match=r"0\.0\.1 is of another version"):
        toxscreen.FGSM(lambda x: x)(np.zeros((1, 1, 1, 1)), [0])


def test_both_wheels_have_one_version():
    root = Path(__file__).parents[2]
    versions = [
        re.search(r'^version = "(.+)"', (root / path / "Cargo.toml").read_text("utf-8"), re.MULTILINE)
        for path in (".", "python/native")
    ]
    assert versions[0].group(1) == versions[1].group(1)


pytestmark = pytest.mark.filterwarnings("error::toxscreen.ModelWarning")


def needs(name):
    return pytest.importorskip(name, reason=f"{name} is not installed, and live models need it")


@pytest.fixture
def native():
    return needs("toxscreen_native")


@pytest.fixture
def torch():
    needs("toxscreen_native")
    return needs("torch")


RNG = np.random.default_rng(0)
SHAPE = (2, 3, 4)
WEIGHTS = RNG.normal(size=(24, 3)).astype(np.float32)
# Far enough from 0 and 1 that no ball below is cut.
IMAGES = RNG.uniform(0.4, 0.6, size=(60, *SHAPE)).astype(np.float32)
BIAS = -0.5 * WEIGHTS.sum(0)
SCORES = IMAGES.reshape(60, -1) @ WEIGHTS + BIAS
LABELS = SCORES.argmax(1)


def linear(x):
    """Three classes by a matrix, of numpy."""
    return x.reshape(len(x), -1) @ WEIGHTS + BIAS


def module(torch):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 3))
    with torch.no_grad():
        network[1].weight.copy_(torch.from_numpy(WEIGHTS.T))
        network[1].bias.copy_(torch.from_numpy(BIAS))
    return network


def distances(norm):
    """How far each image is from the nearest error: the gap of two logits over the dual norm of their weights."""
    found = np.full(60, np.inf)
    for target in range(3):
        w = (WEIGHTS[:, target, None] - WEIGHTS[:, LABELS]).T.astype(np.float64)
        size = np.abs(w).sum(1) if norm == "Linf" else np.sqrt((w**2).sum(1))
        gap = SCORES[np.arange(60), LABELS] - SCORES[:, target]
        found = np.where(LABELS == target, found, np.minimum(found, gap / np.maximum(size, 1e-9)))
    return found


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_a_linear_model_falls_where_its_closed_form_says(torch, norm):
    distance = np.sort(distances(norm))
    # Between the two of the middle ones that lie farthest apart: FAB finds errors up to a hundredth behind the nearest.
    cut = 20 + (distance[21:40] / distance[20:39]).argmax()
    eps = (distance[cut] + distance[cut + 1]) / 2
    assert distance[cut + 1] < 0.35 and distance[cut + 1] / distance[cut] > 1.02
    expected = 100 * (distances(norm) > eps).mean()
    attacks = [{"kind": "pgd", "steps": 200, "step": eps / 20}, {"kind": "cw", "steps": 200, "step": eps / 20}, "apgd-ce", "fab"]
    found = toxscreen.evaluate(module(torch), IMAGES, LABELS, attacks, eps=eps, norm=norm)
    assert found.clean == 100
    # The steps of the cross-entropy go between two other classes where both are near: an image or two.
    assert found.accuracies["fab"] == pytest.approx(expected)
    assert found.accuracies["cw200"] == pytest.approx(expected, abs=100 / 60 + 1e-9)
    assert found.accuracies["pgd200"] == pytest.approx(expected, abs=200 / 60 + 1e-9)
    assert found.robust_accuracy == pytest.approx(expected)
    change = (found.adversarial - IMAGES).reshape(60, -1).astype(np.float64)
    moved = np.abs(change).max(1) if norm == "Linf" else np.sqrt((change**2).sum(1))
    assert moved.max() <= eps + IN_BALL
    fooled = linear(found.adversarial).argmax(1) != LABELS
    assert 100 * (~fooled).mean() == pytest.approx(expected)
    assert [outcome == "robust" for outcome in found.outcomes] == list(~fooled)
    assert set(found.outcomes) <= {"robust", *found.accuracies}


NAMES = ["FGSM", "PGD", "CW", "APGD", "APGDT", "FAB", "Square", "AutoAttack"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_with_epsilon_0_nothing_moves(torch, name, norm):
    few = {"n_queries": 50} if name == "Square" else {}
    # The targeted DLR loss needs four classes: one more, which is never the largest.
    network = torch.nn.Sequential(module(torch), torch.nn.Linear(3, 4))
    with torch.no_grad():
        network[1].weight.copy_(torch.cat([torch.eye(3), torch.full((1, 3), 0.1)]))
        network[1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, -100.0]))
    attack = getattr(toxscreen, name)(network, eps=0.0, norm=norm, **few)
    found = attack(IMAGES[:10], LABELS[:10])
    assert np.array_equal(found, IMAGES[:10])
    assert not attack.fooled.any() and attack.forward.min() > 0


def test_what_comes_back_is_of_the_kind_of_the_images(torch):
    network, eps = module(torch), 0.2
    found = toxscreen.PGD(network, eps=eps)(IMAGES, LABELS)
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    tensor = toxscreen.PGD(network, eps=eps)(torch.from_numpy(IMAGES).double(), torch.from_numpy(LABELS))
    assert tensor.dtype == torch.float64 and np.array_equal(tensor.float().numpy(), found)
    # A function of tensors has gradients too.
    by_function = toxscreen.PGD(lambda x: network(x), eps="1/5")(torch.from_numpy(IMAGES), torch.from_numpy(LABELS))
    assert np.array_equal(by_function.numpy(), found)
    evaluated = toxscreen.evaluate(network, torch.from_numpy(IMAGES), torch.from_numpy(LABELS), "pgd20", eps=eps)
    assert isinstance(evaluated.adversarial, torch.Tensor)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_batch_changes_no_outcome(torch):
    runs = [toxscreen.evaluate(module(torch), IMAGES, LABELS, ["pgd20", "square200"], eps=0.05, batch=b) for b in (7, 128)]
    assert runs[0].outcomes == runs[1].outcomes and runs[0].report == runs[1].report
    attacks = [toxscreen.Square(linear, eps=0.05, n_queries=200, batch=b) for b in (7, 128)]
    for attack in attacks:
        attack(IMAGES, LABELS)
    assert np.array_equal(attacks[0].fooled, attacks[1].fooled) and attacks[0].fooled.any()
    assert np.array_equal(attacks[0].forward, attacks[1].forward)
    assert toxscreen.evaluate(linear, IMAGES, LABELS, "square200", eps=0.05, seed=1).report != runs[0].report


def test_black_boxes_alone_judge_a_plain_callable(native):
    found = toxscreen.evaluate(linear, IMAGES, LABELS, "square1000", eps=0.05)
    assert found.robust_accuracy < 100 and found.reliable == "not-tested"
    assert any("logits alone" in reason for reason in found.untested), found.untested
    for asked in ("autoattack", "pgd20"):
        with pytest.raises(toxscreen.NoGradientError, match="square"):
            toxscreen.evaluate(linear, IMAGES, LABELS, asked)
    with pytest.raises(toxscreen.NoGradientError, match="pgd10 follows"):
        toxscreen.PGD(linear)(IMAGES, LABELS)


def test_an_evaluation_is_told_as_text_and_html(torch):
    shares = []
    found = toxscreen.evaluate(
        module(torch),
        IMAGES,
        LABELS,
        ["fgsm", "pgd20"],
        eps=0.05,
        progress=lambda share, message: shares.append((share, message)),
    )
    assert shares[-1][0] == pytest.approx(1) and all(isinstance(message, str) for _, message in shares)
    assert found.reliable == "not-tested" and "add autoattack" in found.untested[0]
    text = repr(found)
    assert "60 images, Linf, eps 0.05; reliable: not-tested" in text and "all attacks" in text
    page = found._repr_html_()
    assert page.count("<tr>") == 5 and f"{found.accuracies['pgd20']:.2f}" in page and "not tested" in page
    assert [attacked.name for attacked in found.attacks] == ["fgsm", "pgd20"]
    assert found.attacks[1].queries["mean_backward"] > 1 and found.attacks[1].robust.shape == (60,)
    assert found.robust_accuracy == pytest.approx(100 * np.mean([outcome == "robust" for outcome in found.outcomes]))


class Odd(Exception):
    """A model's own."""


def test_an_exception_of_the_model_comes_back_as_it_is(native):
    calls = []

    def breaks(x):
        calls.append(len(x))
        if len(calls) == 20:
            raise Odd("out of cheese")
        return linear(x)

    with pytest.raises(Odd, match="out of cheese") as error:
        toxscreen.Square(breaks, eps=0.001)(IMAGES, LABELS)
    assert len(calls) == 20 and error.traceback[-1].name == "breaks"

    def progress(share, message):
        raise Odd("enough")

    with pytest.raises(Odd, match="enough"):
        toxscreen.evaluate(linear, IMAGES, LABELS, "square", eps=0.001, progress=progress)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent by the rules of Unix")
def test_ctrl_c_stops(native):
    for attack in (
        lambda: toxscreen.Square(linear, eps=1e-4, n_queries=10_000_000)(IMAGES, LABELS),
        lambda: toxscreen.evaluate(linear, IMAGES, LABELS, "square10000000", eps=1e-4),
    ):
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        begun = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            attack()
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: linear(x)[:, :1], r"shape \(8, 1\) for 8 images: expected logits, \(8, classes"),
        (lambda x: linear(x)[0], r"shape \(3,\)"),
        (lambda x: linear(x)[:3], r"shape \(3, 3\) for 8 images"),
        (lambda x: (linear(x), None), r"returns a tuple: expected an array of logits"),
        (lambda x: linear(x).argmax(1), r"expected logits"),
    ],
)
def test_answers_that_are_no_logits_are_refused(native, answer, said):
    with pytest.raises(toxscreen.ModelError, match=said):
        toxscreen.Square(answer)(IMAGES, LABELS)


def test_another_number_of_classes_later_is_refused(native):
    calls = []

    def changes(x):
        calls.append(0)
        return linear(x) if len(calls) < 10 else np.zeros((len(x), 5), np.float32)

    with pytest.raises(toxscreen.ModelError, match=r"shape \(\d+, 5\)"):
        toxscreen.Square(changes, eps=0.001)(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("x", "y", "error", "said"),
    [
        (IMAGES * 255, LABELS, ValueError, "normalisation a part of the model"),
        ((IMAGES * 255).astype(np.uint8), LABELS, TypeError, "images / 255"),
        (IMAGES[:, 0], LABELS, ValueError, r"x\[:, None\]"),
        (IMAGES * np.nan, LABELS, ValueError, r"nan\.\.nan"),
        (IMAGES[:0], LABELS[:0], ValueError, "no image"),
        (IMAGES, LABELS + 1, ValueError, r"1\.\.3: expected 0\.\.2"),
        (IMAGES, np.eye(3)[LABELS], ValueError, "expected 60 whole numbers"),
    ],
)
def test_images_and_labels_that_are_none_are_refused(native, x, y, error, said):
    with pytest.raises(error, match=said):
        toxscreen.Square(linear)(x, y)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"attacks": "square200", "eps": 8}, "allows every image"),
        ({"attacks": "square200", "eps": 0.5, "norm": "L1"}, "expected 'Linf' or 'L2'"),
        ({"attacks": "square200", "norm": "L2"}, "needs eps"),
        ({"attacks": "pdg"}, "names no attack"),
        ({"attacks": {"kind": "square", "querys": 3}}, "querys"),
        ({"attacks": {"kind": "square", "queries": 0}}, "at least 1"),
        ({"attacks": []}, "attacks is empty"),
        ({"attacks": "square200", "batch": 0}, "batch is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(native, settings, said):
    with pytest.raises(ValueError, match=said):
        toxscreen.evaluate(linear, IMAGES, LABELS, **settings)


def test_a_model_that_changes_its_input_is_refused(torch):
    def spoils(x):
        x -= 0.5
        return linear(x)

    with pytest.raises(toxscreen.ModelError, match="modifies its input"):
        toxscreen.Square(spoils)(IMAGES, LABELS)

    class Spoils(torch.nn.Module):
        def forward(self, x):
            return x.sub_(0.5).flatten(1)

    images = torch.from_numpy(IMAGES)
    with pytest.raises(toxscreen.ModelError, match=r"x\.clone"):
        toxscreen.PGD(Spoils())(images, torch.zeros(60, dtype=torch.long))
    assert np.array_equal(images.numpy(), IMAGES)


def test_a_model_in_training_mode_or_at_random_is_warned_of(torch):
    nn = torch.nn
    layers = [
        (nn.BatchNorm2d(2), "training mode: 0 (BatchNorm2d)", "what else is in the batch"),
        (nn.Dropout(0.5), "training mode: 0 (Dropout)", "when asked again"),
    ]
    for layer, mode, answers in layers:
        network = nn.Sequential(layer, module(torch))
        with pytest.warns(toxscreen.ModelWarning) as warned:
            toxscreen.FGSM(network)(IMAGES, LABELS)
        text = " ".join(str(warning.message) for warning in warned)
        assert mode in text and answers in text, text
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            toxscreen.FGSM(network.eval())(IMAGES, LABELS)
    # Training mode without such layers changes nothing.
    toxscreen.FGSM(module(torch).train())(IMAGES, LABELS)

    rng = np.random.default_rng(0)
    with pytest.warns(toxscreen.ModelWarning, match="when asked again"):
        found = toxscreen.evaluate(
            lambda x: linear(x) + 0.1 * rng.normal(size=(len(x), 3)), IMAGES, LABELS, "square200", eps=0.01
        )
    assert found.reliable == "no" and any("random" in reason for reason in found.warnings)
    with pytest.warns(toxscreen.ModelWarning, match="what else is in the batch"):
        toxscreen.Square(lambda x: linear(x - x.mean(0) + 0.5), n_queries=2)(IMAGES, LABELS)


def test_logits_that_are_no_numbers_are_told(native):
    def overflows(x):
        return np.where(x.reshape(len(x), -1)[:, :1] > 0.55, np.nan, linear(x))

    with pytest.warns(toxscreen.ModelWarning, match="NaN or infinite"):
        toxscreen.Square(overflows, n_queries=20)(IMAGES, LABELS)
    found = toxscreen.evaluate(overflows, IMAGES, LABELS, "square200", eps=0.01)
    assert found.reliable == "no" and any("NaN" in reason for reason in found.warnings)
