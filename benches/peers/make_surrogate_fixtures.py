"""Writes the fixture of tox-search's surrogate tests: samples, and what other libraries make of them.

    pip install numpy scipy scikit-learn pydacefit==1.0.1
    python benches/peers/make_surrogate_fixtures.py

Every part but `kendall` has the samples' `rows` and `targets`, and `queries`, rows to predict.

- `matern`: scikit-learn's Gaussian process as bayes_opt 1.2.0 sets it up. `length` is the fitted
  length scale and `likelihood` its log marginal likelihood, of the normalised targets; `means` and
  `deviations` are the posterior at the queries; `at_0.7` has the likelihood and its `slope` (derivative
  by the logarithm of the length) at length 0.7.
- `kriging`: pydacefit's DACE with linear trend and Gaussian correlation, `means` and `variances` at a
  fixed `theta`; `best_theta` minimises its objective.
- `rbf`: scipy's cubic interpolator of degree 1 with smoothing `eta`: `predictions`.
- `tree`: scikit-learn's regression tree: number of `leaves`, `predictions`.
- `kendall`: cases of `left`, `right` and scipy's tau-b, `tau`.
"""

import json
from pathlib import Path

import numpy as np
from pydacefit.corr import corr_gauss
from pydacefit.dace import DACE
from pydacefit.fit import fit
from pydacefit.regr import regr_linear
from scipy.interpolate import RBFInterpolator
from scipy.optimize import minimize_scalar
from scipy.stats import kendalltau
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from sklearn.tree import DecisionTreeRegressor

FIXTURE = Path(__file__).resolve().parents[2] / "crates/tox-search/tests/fixtures/surrogates.json"


def numbers(values):
    """Thirteen significant digits, nested as the array is."""
    values = np.asarray(values, dtype=float)
    if values.ndim == 0:
        return float(f"{values:.13g}")
    return [numbers(v) for v in values]


def reals(rng, n, d):
    """Points of [-1, 1]^d with three decimals, and a smooth function of them."""
    rows = rng.uniform(-1, 1, (n, d)).round(3)
    targets = (np.sin(3 * rows[:, 0]) + rows[:, 1] ** 2 - 0.5 * rows.sum(axis=1)).round(3)
    return rows, targets


def genes(rng, n, d):
    """Genomes of three options a gene, and an error in percent that depends on them."""
    rows = np.unique(rng.integers(0, 3, (4 * n, d)), axis=0)
    rows = rng.permutation(rows)[:n].astype(float)
    targets = 30 - rows @ np.linspace(1, 3, d) + 4 * np.sin(rows[:, 0] + 0.7 * rows[:, 1])
    return rows, targets.round(3)


def matern(rng):
    rows, targets = reals(rng, 12, 3)
    queries, _ = reals(rng, 5, 3)
    model = GaussianProcessRegressor(
        Matern(nu=2.5), alpha=1e-6, normalize_y=True, n_restarts_optimizer=20, random_state=0
    ).fit(rows, targets)
    mean, deviation = model.predict(queries, return_std=True)
    fixed = [np.log(0.7)]
    value, slope = model.log_marginal_likelihood(fixed, eval_gradient=True)
    return {
        "rows": numbers(rows),
        "targets": numbers(targets),
        "queries": numbers(queries),
        "length": numbers(model.kernel_.length_scale),
        "likelihood": numbers(model.log_marginal_likelihood_value_),
        "means": numbers(mean),
        "deviations": numbers(deviation),
        "at_0.7": {"likelihood": numbers(value), "slope": numbers(slope[0])},
    }


def kriging(rng):
    rows, targets = genes(rng, 20, 4)
    queries = rng.integers(0, 3, (5, 4)).astype(float)
    theta = 0.3
    model = DACE(regr=regr_linear, corr=corr_gauss, theta=theta, thetaL=None, thetaU=None)
    model.fit(rows, targets)
    means, errors = model.predict(queries, return_mse=True)
    # DACE's own search of theta can stop beside the minimum, so its objective is minimised here.
    standard = model.model["nX"], model.model["nY"]
    objective = lambda log: fit(*standard, regr_linear, corr_gauss, np.exp(log))["f"]
    grid = np.linspace(np.log(1e-5), np.log(100), 500)
    at = int(np.argmin([objective(log) for log in grid]))
    assert 0 < at < len(grid) - 1, "the likeliest theta is at an end"
    around = grid[at - 1], grid[at + 1]
    best = minimize_scalar(objective, bounds=around, method="bounded", options={"xatol": 1e-9})
    return {
        "rows": numbers(rows),
        "targets": numbers(targets),
        "queries": numbers(queries),
        "theta": theta,
        "means": numbers(means[:, 0]),
        "variances": numbers(errors[:, 0]),
        "best_theta": numbers(np.exp(best.x)),
    }


def rbf(rng):
    rows, targets = genes(rng, 16, 4)
    queries = rng.integers(0, 3, (5, 4)).astype(float)
    eta = 1e-6
    model = RBFInterpolator(rows, targets, kernel="cubic", degree=1, smoothing=eta)
    return {
        "rows": numbers(rows),
        "targets": numbers(targets),
        "queries": numbers(queries),
        "eta": eta,
        "predictions": numbers(model(queries)),
    }


def tree(rng):
    # one column: with more, scikit-learn takes one of equally good splits at random
    rows = rng.uniform(-1, 1, (40, 1)).round(1)
    targets = (np.sin(3 * rows[:, 0]) + rng.normal(0, 0.3, 40)).round(3)
    queries = rng.uniform(-1, 1, (8, 1)).round(3)
    model = DecisionTreeRegressor(random_state=0).fit(rows, targets)
    return {
        "rows": numbers(rows),
        "targets": numbers(targets),
        "queries": numbers(queries),
        "leaves": int(model.get_n_leaves()),
        "predictions": numbers(model.predict(queries)),
    }


def kendall(rng):
    cases = []
    for n, values in [(5, 100), (12, 4), (30, 6), (50, 2)]:
        left, right = rng.integers(0, values, (2, n))
        tau = kendalltau(left, right, variant="b").statistic
        cases.append({"left": numbers(left), "right": numbers(right), "tau": numbers(tau)})
    return cases


def main():
    rng = np.random.default_rng(20)
    parts = [matern, kriging, rbf, tree, kendall]
    fixture = {part.__name__: part(rng) for part in parts}
    FIXTURE.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(f"{FIXTURE}: {FIXTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
