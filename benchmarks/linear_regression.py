"""Linear regression against scikit-learn, NumPy and autograd: ``python -m benchmarks.linear_regression``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from benchmarks.timing import compare
from mlcourse.linear_regression import design_matrix, fit_least_squares, fit_ridge, mse_gradient

PENALTY = 1.0

Pair = tuple[str, str, Callable[[], Any], Callable[[], Any]]


def problems() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, the data X of shape (n, p) and the targets y of shape (n,) of each problem."""
    X, y = load_diabetes(return_X_y=True)
    yield f"diabetes, {X.shape[0]} x {X.shape[1]}", X, y
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 50))
    yield "Gaussian, 20,000 x 50", X, X @ rng.standard_normal(50) + 3 + rng.standard_normal(20_000)


def pairs(X: np.ndarray, y: np.ndarray) -> Iterator[Pair]:
    """Yield what we time, the name of the peer, our side and the peer's side; both return the same numbers."""

    def fitted(model: LinearRegression | Ridge) -> tuple[np.ndarray, float]:
        model.fit(X, y)
        return model.coef_, model.intercept_

    def numpy_lstsq() -> tuple[np.ndarray, float]:
        theta = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y)[0]  # (n, p + 1), (n,) -> (p + 1,)
        return theta[:-1], theta[-1]

    def least_squares() -> tuple[np.ndarray, np.ndarray]:
        return fit_least_squares(X, y)

    def ridge() -> tuple[np.ndarray, np.ndarray]:
        return fit_ridge(X, y, PENALTY)

    yield "fit_least_squares", "LinearRegression", least_squares, lambda: fitted(LinearRegression())
    yield "fit_least_squares", "numpy.linalg.lstsq", least_squares, numpy_lstsq
    yield "fit_ridge", "Ridge", ridge, lambda: fitted(Ridge(alpha=PENALTY))
    yield "fit_ridge", 'Ridge(solver="svd")', ridge, lambda: fitted(Ridge(alpha=PENALTY, solver="svd"))

    A, target = design_matrix(torch.from_numpy(X)), torch.from_numpy(y)  # (n, d), (n,)
    theta = torch.ones(A.shape[1], dtype=A.dtype)  # (d,)

    def autograd() -> tuple[torch.Tensor]:
        variable = theta.clone().requires_grad_()
        return torch.autograd.grad(((A @ variable - target) ** 2).mean(), variable)

    yield "mse_gradient", "torch.autograd.grad", lambda: (mse_gradient(A, target, theta),), autograd


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    rows = []
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        for problem, X, y in problems():
            for function, peer_name, ours, peer in pairs(X, y):
                for result, expected in zip(ours(), peer(), strict=True):
                    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)
                rows.append((f"{function}, {problem}", peer_name, *compare(ours, peer)))
    print(tabulate(rows, ["workload", "peer", "ours, ms", "peer, ms", "ratio"], floatfmt=("", "", ".3f", ".3f", ".2f")))


if __name__ == "__main__":
    main()
