"""Logistic and softmax regression against scikit-learn: ``python -m benchmarks.logistic_regression``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from benchmarks.timing import compare
from mlcourse.data import breast_cancer, digits
from mlcourse.logistic_regression import fit_logistic, fit_softmax, sigmoid, softmax

Row = tuple[str, str, Callable[[], Any], Callable[[], Any], float]


def peer(X: np.ndarray, y: np.ndarray, **settings: Any) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return a fit by scikit-learn with C = 1, which is lambda = 1 here."""

    def fit() -> tuple[np.ndarray, np.ndarray]:
        model = LogisticRegression(C=1.0, max_iter=10_000, **settings).fit(X, y)
        return model.coef_.T, model.intercept_

    return fit


def two_classes() -> Iterator[Row]:
    """Yield workload, peer, our side, the peer's side, and how far the weights may differ."""
    data = breast_cancer()
    tumors = (data.X - data.X.mean(0)) / data.X.std(0)  # (569, 30)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50_000, 50))
    chance = sigmoid(0.3 * X @ rng.standard_normal(50) + 0.5)  # (n, p) (p,) -> (n,)
    drawn = (rng.uniform(size=50_000) < chance).astype(np.int64)
    for problem, table, y in [("breast cancer, 569 x 30", tumors, data.y), ("Gaussian, 50,000 x 50", X, drawn)]:

        def ours(table: np.ndarray = table, y: np.ndarray = y) -> tuple[Any, Any]:
            w, b = fit_logistic(table, y, 1.0)
            return w[:, None], b

        yield f"fit_logistic, {problem}", "lbfgs, tol 1e-4 (default)", ours, peer(table, y), 0.05
        yield f"fit_logistic, {problem}", "lbfgs, tol 1e-8", ours, peer(table, y, tol=1e-8), 1e-4
        newton = peer(table, y, solver="newton-cholesky", tol=1e-8)
        yield f"fit_logistic, {problem}", "newton-cholesky, tol 1e-8", ours, newton, 1e-6


def ten_classes() -> Iterator[Row]:
    """Yield the same for softmax regression on digits; both sides stop at the same size of the mean gradient."""
    data = digits()
    X = data.X / 16  # (1797, 64)
    for tolerance, apart in [(1e-4, 0.5), (1e-6, 5e-3), (1e-8, 1e-3)]:

        def ours(tolerance: float = tolerance) -> tuple[Any, Any]:
            return fit_softmax(X, data.y, 10, 1.0, tolerance=tolerance)

        both = f"tol {tolerance:.0e} on both sides"
        yield "fit_softmax, digits, 1,797 x 64", f"lbfgs, {both}", ours, peer(X, data.y, tol=tolerance), apart


def functions() -> Iterator[tuple[str, str, Callable[[], Any], Callable[[], Any], float]]:
    """Yield softmax against SciPy's."""
    from scipy.special import softmax as scipy_softmax

    z = np.random.default_rng(0).standard_normal((5_000, 200))

    yield (
        "softmax, 5,000 x 200",
        "scipy.special.softmax",
        lambda: (softmax(z),),
        lambda: (scipy_softmax(z, axis=1),),
        1e-12,
    )


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    rows = []
    with threadpool_limits(limits=1):
        for workload, peer_name, ours, theirs, apart in [*two_classes(), *ten_classes(), *functions()]:
            differences = [np.abs(np.asarray(a) - b).max() for a, b in zip(ours(), theirs(), strict=True)]
            if max(differences) > apart:
                raise AssertionError(f"{workload}: {peer_name} differs by {max(differences)}, more than {apart}.")
            rows.append((workload, peer_name, f"{max(differences):.0e}", *compare(ours, theirs, repeats=9)))
    names = ["workload", "peer", "largest difference", "ours, ms", "peer, ms", "ratio"]
    print(tabulate(rows, names, floatfmt=("", "", "", ".2f", ".2f", ".2f"), disable_numparse=[2]))


if __name__ == "__main__":
    main()
