"""The attacks on live models against those of torchattacks, on a small CNN and a ResNet-18 trained on digits."""

import numpy as np
import pytest

for _name in ("toxscreen_native", "torch", "sklearn", "torchattacks"):
    pytest.importorskip(_name, reason=f"{_name} is not installed, and the comparison with torchattacks needs it")

import nets
import torch
import torchattacks
import toxscreen

# Points of accuracy, of 200 images and 100: two images and one.
NEAR = 1.0 + 1e-4
# Where an attack ends depends on its draws: what is compared is the mean of these seeds.
SEEDS = range(3)


class Case:
    def __init__(self, network, images, eps):
        self.network, self.eps = network, eps
        with torch.no_grad():
            right = network(images[0]).argmax(1) == images[1]
        self.clean = 100 * right.float().mean().item()
        self.x, self.y = images

    def accuracy(self, adversarial):
        with torch.no_grad():
            return 100 * (self.network(adversarial).argmax(1) == self.y).float().mean().item()

    def moved(self, adversarial, norm):
        change = (adversarial - self.x).flatten(1).double()
        return float(change.abs().max() if norm == "Linf" else change.norm(dim=1).max())

    def pairs(self, make, norm):
        """Accuracy under ours and under theirs, which `make` makes of a seed, mean of some."""
        return np.mean([self.pair(*make(seed), norm, seed) for seed in SEEDS], axis=0)

    def pair(self, ours, theirs, norm="Linf", seed=0):
        """Accuracy under ours and under theirs, both in the ball."""
        torch.manual_seed(seed)
        adversarial = [attack(self.x, self.y) for attack in (ours, theirs)]
        assert self.moved(adversarial[0], norm) <= self.eps[norm] + 1e-7
        found = [self.accuracy(images) for images in adversarial]
        assert 100 - found[0] == pytest.approx(100 * ours.fooled.mean())
        print(f"{type(ours).__name__} {norm}: ours {found[0]:.2f} %, theirs {found[1]:.2f} %, clean {self.clean:.2f} %")
        return found


@pytest.fixture(scope="module")
def digits():
    return nets.digits()


@pytest.fixture(scope="module")
def cnn(digits):
    x, y, x_test, y_test = digits
    return Case(nets.trained(nets.cnn, x, y, 12), (x_test[:200], y_test[:200]), {"Linf": 0.1, "L2": 0.5})


@pytest.fixture(scope="module")
def resnet(digits):
    x, y, x_test, y_test = digits
    return Case(nets.trained(nets.resnet18, x, y, 6), (x_test[:100], y_test[:100]), {"Linf": 0.08, "L2": 0.4})


@pytest.fixture(params=["cnn", "resnet"])
def case(request):
    return request.getfixturevalue(request.param)


# Attacks of many passes: on the ResNet in one norm alone.
COSTLY = pytest.mark.parametrize(("case", "norm"), [("cnn", "Linf"), ("cnn", "L2"), ("resnet", "Linf")], indirect=["case"])


def test_networks_leave_something_to_attack(case):
    assert case.clean > 90
    assert 10 < case.accuracy(toxscreen.FGSM(case.network, eps=case.eps["Linf"])(case.x, case.y)) < 85


def test_fgsm_makes_the_same_images(case):
    eps = case.eps["Linf"]
    ours, theirs = toxscreen.FGSM(case.network, eps=eps), torchattacks.FGSM(case.network, eps=eps)
    found, expected = case.pair(ours, theirs)
    assert found == expected
    with torch.no_grad():
        logits = case.network(case.x)
    # Of what is classified correctly, and not so surely that float32 leaves theirs no gradient.
    loss = torch.nn.functional.cross_entropy(logits, case.y, reduction="none")
    same = (logits.argmax(1) == case.y) & (loss > 1e-3)
    apart = (ours(case.x, case.y) - theirs(case.x, case.y)).abs()[same]
    print(f"    {int(same.sum())} images, {(apart > 1e-6).float().mean():.2e} of the pixels differ")
    # A gradient that is next to 0 has another sign in another order of sums.
    assert same.sum() > 20 and (apart > 1e-6).float().mean() < 1e-3


class Watched(torch.nn.Module):
    """Notes which images were misclassified at any pass, for torchattacks' PGD keeps the last image, and ours one that fools."""

    def __init__(self, case):
        super().__init__()
        self.network, self.y, self.fooled = case.network, case.y, torch.zeros(len(case.y), dtype=torch.bool)
        # The mode in which torchattacks leaves it, and the network within.
        self.eval()

    def forward(self, x):
        logits = self.network(x)
        self.fooled |= logits.argmax(1) != self.y
        return logits


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_pgd(case, norm):
    eps = case.eps[norm]
    settings = {"eps": eps, "alpha": eps / 8, "steps": 30}
    theirs = torchattacks.PGD if norm == "Linf" else torchattacks.PGDL2
    found, expected = [], []
    for seed in SEEDS:
        watched = Watched(case)
        ours = toxscreen.PGD(case.network, norm=norm, seed=seed, **settings)
        accuracy, last = case.pair(ours, theirs(watched, **settings), norm, seed)
        found.append(accuracy)
        expected.append(min(last, 100 * (~watched.fooled).float().mean().item()))
    assert abs(np.mean(found) - np.mean(expected)) <= NEAR


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd(case, norm, loss):
    settings = {"eps": case.eps[norm], "norm": norm, "steps": 50, "loss": loss}
    found, expected = case.pairs(
        lambda seed: (
            toxscreen.APGD(case.network, seed=seed, **settings),
            torchattacks.APGD(case.network, seed=seed, **settings),
        ),
        norm,
    )
    assert abs(found - expected) <= NEAR


@COSTLY
def test_apgdt(case, norm):
    settings = {"eps": case.eps[norm], "norm": norm, "steps": 30}
    found, expected = case.pair(toxscreen.APGDT(case.network, **settings), torchattacks.APGDT(case.network, **settings), norm)
    assert abs(found - expected) <= NEAR


@COSTLY
def test_fab(case, norm):
    settings = {"eps": case.eps[norm], "norm": norm, "steps": 30}
    theirs = torchattacks.FAB(case.network, multi_targeted=True, n_classes=10, **settings)
    found, expected = case.pair(toxscreen.FAB(case.network, **settings), theirs, norm)
    assert abs(found - expected) <= NEAR


class Reaching(torchattacks.Square):
    """With squares that reach the last row and column, as in the paper: theirs, as AutoAttack's, end before them, which of images of
    8x8 is a quarter of the pixels."""

    def random_int(self, low=0, high=1, shape=(1,)):
        return super().random_int(low, high + 1, shape)


@COSTLY
def test_square(case, norm):
    settings = {"eps": case.eps[norm], "norm": norm, "n_queries": 500}
    found, expected = case.pairs(
        lambda seed: (toxscreen.Square(case.network, seed=seed, **settings), Reaching(case.network, seed=seed, **settings)), norm
    )
    assert abs(found - expected) <= NEAR
    theirs = torchattacks.Square(case.network, **settings)
    assert found <= case.accuracy(theirs(case.x, case.y)) + NEAR


@COSTLY
def test_autoattack_and_an_evaluation(case, norm):
    eps = case.eps[norm]
    theirs = torchattacks.AutoAttack(case.network, norm=norm, eps=eps, version="standard", n_classes=10, seed=0)
    found, expected = case.pair(toxscreen.AutoAttack(case.network, norm=norm, eps=eps), theirs, norm)
    assert abs(found - expected) <= NEAR
    evaluated = toxscreen.evaluate(case.network, case.x, case.y, "autoattack", eps=eps, norm=norm)
    assert evaluated.clean == pytest.approx(case.clean)
    assert evaluated.robust_accuracy == pytest.approx(found, abs=1e-9)
    assert case.accuracy(evaluated.adversarial) == pytest.approx(found)
    assert evaluated.reliable == "yes", evaluated


def margin_pgd(network, x, y, eps, alpha, steps):
    """CW in the ball by hand: steps on the margin, and whether any image on the way fools."""
    generator = torch.Generator().manual_seed(0)
    adversarial = (x + eps * (2 * torch.rand(x.shape, generator=generator) - 1)).clamp(0, 1)
    fooled = torch.zeros(len(x), dtype=torch.bool)
    for step in range(steps + 1):
        adversarial = adversarial.detach().requires_grad_()
        logits = network(adversarial)
        fooled |= logits.argmax(1) != y
        right = logits.gather(1, y[:, None])[:, 0]
        other = logits.scatter(1, y[:, None], -np.inf).max(1).values
        (gradient,) = torch.autograd.grad((other - right).sum(), adversarial)
        adversarial = (x + (adversarial + alpha * gradient.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return 100 * (~fooled).float().mean().item()


def test_cw_is_pgd_on_the_margin(case):
    # torchattacks' CW looks for the nearest error in L2 instead.
    eps = case.eps["Linf"]
    settings = {"eps": eps, "alpha": eps / 8, "steps": 40}
    expected = margin_pgd(case.network, case.x, case.y, **settings)
    found = case.accuracy(toxscreen.CW(case.network, **settings)(case.x, case.y))
    assert abs(found - expected) <= NEAR
