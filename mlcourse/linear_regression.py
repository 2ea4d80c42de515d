"""Linear regression: fit an affine function to data by least squares, by descent, and with a penalty.

One implementation serves NumPy arrays and PyTorch tensors on any device: the arrays that come in decide. Functions
that take ``X`` take care of the intercept themselves. Functions that take ``A`` use the matrix as it is, and
`design_matrix` makes an ``A`` with a column of ones out of an ``X``.

Shapes: n examples, p features, m outputs, d = p + 1 parameters (p weights and one intercept).
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace, device, is_torch_array
from jaxtyping import Bool, Float

from mlcourse.validation import require_finite, require_floating, require_shapes

__all__ = [
    "affine_map",
    "design_matrix",
    "fit_least_squares",
    "fit_ridge",
    "fit_weighted_least_squares",
    "gradient_descent",
    "is_descent_direction",
    "mse_gradient",
    "mse_loss",
    "predict",
    "r2_score",
    "reduce_loss",
    "solve_normal_equations",
    "solve_qr",
    "solve_svd",
    "step_size_bound",
    "take_step",
]


def predict(X: Float[Any, "n p"], weights: Float[Any, " p"], intercept: Float[Any, ""] | float) -> Float[Any, " n"]:
    r"""Predict one number per row of data.

    .. math:: \hat y_i = w \cdot x_i + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row.
    weights : array of shape (p,)
        What one unit of each feature adds to the prediction.
    intercept : number
        The prediction where every feature is 0, in the units of the target.

    Returns
    -------
    array of shape (n,)
        Predictions, any real numbers.

    Raises
    ------
    ValueError
        If X and weights disagree about p.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    2np operations. An affine function; linear only if the intercept is 0. A nan in X gives nan in its row.

    Examples
    --------
    >>> import numpy as np
    >>> predict(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0]), 1.5)
    array([1.5, 2.5, 3.5, 4.5])
    """
    require_shapes(X=(X, "n p"), weights=(weights, "p"))
    require_floating(X=X, weights=weights)
    return X @ weights + intercept  # (n, p) (p,) -> (n,)


def affine_map(X: Float[Any, "n p"], W: Float[Any, "p m"], b: Float[Any, " m"]) -> Float[Any, "n m"]:
    r"""Map every row of data to m numbers: one affine function per column of W.

    .. math:: z_i = x_i W + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row.
    W : array of shape (p, m)
        One column of weights per output. Many papers, and torch.nn.Linear, keep the transpose.
    b : array of shape (m,)
        One intercept per output.

    Returns
    -------
    array of shape (n, m)

    Raises
    ------
    ValueError
        If X and W disagree about p, or W and b about m.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    2nmp operations.

    Examples
    --------
    >>> import numpy as np
    >>> affine_map(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.array([0.0, 0.0, 10.0]))
    array([[ 1.,  2., 13.]])
    """
    require_shapes(X=(X, "n p"), W=(W, "p m"), b=(b, "m"))
    require_floating(X=X, W=W, b=b)
    return X @ W + b  # (n, p) (p, m) -> (n, m)


def design_matrix(X: Float[Any, "n p"]) -> Float[Any, "n d"]:
    r"""Append a column of ones, so that the intercept becomes one more weight.

    .. math:: A = [X \;\; 1], \qquad A \theta = X w + b \quad\text{for}\quad \theta = (w_1, \dots, w_p, b)

    Parameters
    ----------
    X : array of shape (n, p)

    Returns
    -------
    array of shape (n, d), d = p + 1
        The last column is 1 everywhere.

    Raises
    ------
    ValueError
        If X does not have two axes.
    TypeError
        If X is not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> design_matrix(np.array([[5.0], [7.0]]))
    array([[5., 1.],
           [7., 1.]])
    """
    n = require_shapes(X=(X, "n p"))["n"]
    require_floating(X=X)
    xp = array_namespace(X)
    return xp.concat([X, xp.ones((n, 1), dtype=X.dtype, device=device(X))], axis=1)  # (n, p), (n, 1) -> (n, p + 1)


def mse_loss(A: Float[Any, "n d"], y: Float[Any, " n"], theta: Float[Any, " d"]) -> Float[Any, ""]:
    r"""Mean of the squared residuals: the empirical risk of a linear model under the squared loss.

    .. math:: L(\theta) = \frac1n \sum_{i=1}^n (a_i \cdot \theta - y_i)^2 = \frac1n \lVert A\theta - y \rVert^2

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        Targets.
    theta : array of shape (d,)
        Parameters.

    Returns
    -------
    array of shape ()
        At least 0, in squared units of y.

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    2nd operations and n numbers of memory.

    Source: Legendre (1805), appendix: minimize the sum of the squares of the errors.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    >>> float(mse_loss(A, np.array([1.0, 3.0, 4.0, 4.0]), np.array([1.0, 1.5])))
    0.25
    """
    xp = _check_problem(A=A, y=y, theta=theta)
    return xp.mean((A @ theta - y) ** 2)  # (n, d) (d,) -> (n,) -> ()


def mse_gradient(A: Float[Any, "n d"], y: Float[Any, " n"], theta: Float[Any, " d"]) -> Float[Any, " d"]:
    r"""Gradient of the mean squared error with respect to the parameters. The data are constants.

    .. math:: \nabla_\theta L(\theta) = \frac2n A^\top (A\theta - y)

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        Targets.
    theta : array of shape (d,)
        The parameters at which the slope is taken.

    Returns
    -------
    array of shape (d,)
        Entry j: by how much the loss grows per unit of theta_j, to first order.

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    4nd operations: two products with A. The matrix A^T A is never formed.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    >>> mse_gradient(A, np.array([1.0, 3.0, 4.0, 4.0]), np.array([1.0, 1.0]))
    array([-1.5, -1. ])
    """
    _check_problem(A=A, y=y, theta=theta)
    residual = A @ theta - y  # (n, d) (d,) -> (n,)
    return (2 / A.shape[0]) * (A.T @ residual)  # (d, n) (n,) -> (d,)


def take_step(theta: Float[Any, " d"], step_size: float, direction: Float[Any, " d"]) -> Float[Any, " d"]:
    r"""Move the parameters along a direction: the update that every method of descent shares.

    .. math:: \theta^{k+1} = \theta^k + \alpha^k s^k

    Gradient descent is the choice :math:`s^k = -\nabla L(\theta^k)`.

    Parameters
    ----------
    theta : array of shape (d,)
        Where we are.
    step_size : float
        Alpha, positive.
    direction : array of shape (d,)
        s. The loss falls along it if its dot product with the gradient is negative: see `is_descent_direction`.

    Returns
    -------
    array of shape (d,)
        A new array; theta is left as it was.

    Raises
    ------
    ValueError
        If theta and direction disagree about d.

    Notes
    -----
    Source: Cauchy (1847) takes the direction opposite to the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> take_step(np.array([3.0]), 0.1, -np.array([6.0]))
    array([2.4])
    """
    require_shapes(theta=(theta, "d"), direction=(direction, "d"))
    return theta + step_size * direction


def is_descent_direction(gradient: Float[Any, " d"], direction: Float[Any, " d"]) -> Bool[Any, ""]:
    r"""Tell whether a small enough step along a direction lowers the loss.

    .. math:: \nabla L(\theta) \cdot s < 0

    Parameters
    ----------
    gradient : array of shape (d,)
    direction : array of shape (d,)

    Returns
    -------
    array of shape (), bool

    Raises
    ------
    ValueError
        If the two disagree about d.

    Examples
    --------
    >>> import numpy as np
    >>> g = np.array([6.0, 2.0])
    >>> bool(is_descent_direction(g, -g)), bool(is_descent_direction(g, g))
    (True, False)
    """
    require_shapes(gradient=(gradient, "d"), direction=(direction, "d"))
    xp = array_namespace(gradient, direction)
    return xp.vecdot(gradient, direction) < 0


def gradient_descent(
    A: Float[Any, "n d"], y: Float[Any, " n"], start: Float[Any, " d"], step_size: float, steps: int
) -> Float[Any, "visited d"]:
    r"""Walk down the mean squared error with a constant step size and keep every point of the path.

    .. math:: \theta^{k+1} = \theta^k - \alpha \, \frac2n A^\top (A\theta^k - y)

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        Targets.
    start : array of shape (d,)
        The first point of the path.
    step_size : float
        Alpha. The path converges if it lies between 0 and `step_size_bound`.
    steps : int
        How many steps to take, 0 or more.

    Returns
    -------
    array of shape (steps + 1, d)
        Row k is the point after k steps; row 0 is the start.

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, a value is not finite, or steps is negative.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    4nd operations per step; the path keeps (steps + 1) d numbers.

    Source: Cauchy (1847).

    Examples
    --------
    >>> import numpy as np
    >>> A, y = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]), np.array([1.0, 3.0, 4.0, 4.0])
    >>> gradient_descent(A, y, np.zeros(2), step_size=0.1, steps=2)
    array([[0.   , 0.   ],
           [1.15 , 0.6  ],
           [1.315, 0.735]])
    """
    xp = _check_problem(A=A, y=y, theta=start)
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, but it is {steps}.")
    path = [start]
    for _ in range(steps):
        gradient = (2 / A.shape[0]) * (A.T @ (A @ path[-1] - y))  # (d, n) (n,) -> (d,)
        path.append(path[-1] - step_size * gradient)
    return xp.stack(path)  # steps + 1 arrays of shape (d,) -> (steps + 1, d)


def step_size_bound(A: Float[Any, "n d"]) -> Float[Any, ""]:
    r"""Largest step size below which gradient descent on the mean squared error converges.

    .. math:: \alpha_{\max} = \frac{2}{h_1} = \frac{n}{\sigma_1^2}

    Here h_1 is the largest eigenvalue of the curvature H = (2/n) A^T A and sigma_1 the largest singular value of A.

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix.

    Returns
    -------
    array of shape ()
        Positive; infinite if A is zero.

    Raises
    ------
    ValueError
        If A is empty or has a value that is not finite.
    TypeError
        If A is not floating-point.

    Notes
    -----
    One singular value decomposition: about n d^2 operations for n >= d.

    Examples
    --------
    >>> import numpy as np
    >>> float(step_size_bound(np.array([[2.0, 0.0], [0.0, 1.0]])))
    0.5
    """
    xp = _check_problem(A=A)
    largest = xp.max(xp.linalg.svdvals(A))  # (n, d) -> (min(n, d),) -> ()
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    return xp.where(largest > 0, A.shape[0] / safe**2, xp.full_like(largest, math.inf))


def solve_normal_equations(A: Float[Any, "n d"], y: Float[Any, " n"]) -> Float[Any, " d"]:
    r"""Minimize the squared residuals by the d normal equations. Needs linearly independent columns.

    .. math:: A^\top A \, \theta = A^\top y

    Parameters
    ----------
    A : array of shape (n, d)
    y : array of shape (n,)

    Returns
    -------
    array of shape (d,)

    Raises
    ------
    ValueError
        If two shapes disagree, A is empty, or a value is not finite.
    LinAlgError
        If a pivot of A^T A is exactly 0. Nearly dependent columns are NOT noticed: prefer `solve_svd`.

    Notes
    -----
    n d^2 + d^3 / 3 operations, the cheapest way. The condition number of A is squared, so half of the digits may go.

    Source: Legendre (1805), appendix; Gauss (1809), section 3 of book 2.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    >>> solve_normal_equations(A, np.array([1.0, 3.0, 4.0, 4.0])).round(6)
    array([1. , 1.5])
    """
    xp = _check_problem(A=A, y=y)
    right = A.T @ y  # (d, n) (n,) -> (d,)
    return xp.linalg.solve(A.T @ A, right[:, None])[:, 0]  # (d, d) (d, 1) -> (d, 1) -> (d,)


def solve_qr(A: Float[Any, "n d"], y: Float[Any, " n"]) -> Float[Any, " d"]:
    r"""Minimize the squared residuals through orthonormal columns. Needs linearly independent columns.

    .. math:: A = QR, \quad Q^\top Q = I, \qquad R\,\theta = Q^\top y

    Parameters
    ----------
    A : array of shape (n, d), n >= d
    y : array of shape (n,)

    Returns
    -------
    array of shape (d,)

    Raises
    ------
    ValueError
        If two shapes disagree, A has fewer rows than columns, a value is not finite, or the columns are linearly
        dependent: a diagonal entry of R is at most eps * max(n, d) times the largest.

    Notes
    -----
    About 4 n d^2 additions and multiplications, since Q is formed. The condition number of A is not squared.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    >>> solve_qr(A, np.array([1.0, 3.0, 4.0, 4.0])).round(6)
    array([1. , 1.5])
    """
    xp = _check_problem(A=A, y=y)
    n, d = A.shape
    if n < d:
        raise ValueError(f"A has n = {n} rows but d = {d} columns: QR needs n >= d. Use solve_svd.")
    Q, R = xp.linalg.qr(A)  # (n, d) -> (n, d), (d, d)
    diagonal = xp.abs(xp.linalg.diagonal(R))  # (d, d) -> (d,)
    if _has_values(A) and bool(xp.min(diagonal) <= xp.finfo(A.dtype).eps * n * xp.max(diagonal)):
        raise ValueError("The columns of A are linearly dependent, so no single solution exists. Use solve_svd.")
    right = Q.T @ y  # (d, n) (n,) -> (d,)
    return xp.linalg.solve(R, right[:, None])[:, 0]  # (d, d) (d, 1) -> (d, 1) -> (d,)


def solve_svd(A: Float[Any, "n d"], y: Float[Any, " n"]) -> Float[Any, " d"]:
    r"""Minimize the squared residuals for any matrix; among several minimizers return the shortest.

    .. math:: A = U \Sigma V^\top, \qquad \theta = \sum_{\sigma_j > \tau} \frac{u_j \cdot y}{\sigma_j} v_j,
              \qquad \tau = \varepsilon \max(n, d)\, \sigma_1

    Parameters
    ----------
    A : array of shape (n, d)
        Of any rank.
    y : array of shape (n,)

    Returns
    -------
    array of shape (d,)
        The minimum-norm solution. Singular values up to the cutoff tau count as 0; epsilon is the machine precision of
        the dtype (2.2e-16 for float64).

    Raises
    ------
    ValueError
        If two shapes disagree, A is empty, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    About 4 n d^2 + 8 d^3 operations for n >= d: slower than QR, and right for every rank.

    Examples
    --------
    The two columns are equal. Every (1 + t, 1 - t) fits; t = 0 is the shortest.

    >>> import numpy as np
    >>> solve_svd(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), np.array([2.0, 4.0, 6.0])).round(6)
    array([1., 1.])
    """
    xp = _check_problem(A=A, y=y)
    U, s, Vt = xp.linalg.svd(A, full_matrices=False)  # (n, d) -> (n, q), (q,), (q, d) with q = min(n, d)
    return Vt.T @ (_filtered_inverse(s, 0.0, A) * (U.T @ y))  # (d, q) (q,) -> (d,)


def fit_least_squares(X: Float[Any, "n p"], y: Float[Any, " n"]) -> tuple[Float[Any, " p"], Float[Any, ""]]:
    r"""Fit weights and an intercept by least squares.

    .. math:: \min_{w, b} \; \sum_{i=1}^n (w \cdot x_i + b - y_i)^2

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row, without a column of ones.
    y : array of shape (n,)
        Targets.

    Returns
    -------
    weights : array of shape (p,)
        If the centered columns of X are linearly dependent, many weights are equally good. This is the shortest.
    intercept : array of shape ()

    Raises
    ------
    ValueError
        If two shapes disagree, X is empty, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    At the best intercept the residuals sum to zero, so b = mean(y) - w . mean(X), and w solves the least-squares
    problem of the centered data. `solve_svd` solves that one, with its cutoff for singular values. The numbers are
    those of scikit-learn's LinearRegression.

    Source: Legendre (1805), appendix.

    Examples
    --------
    >>> import numpy as np
    >>> w, b = fit_least_squares(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 4.0, 4.0]))
    >>> w.round(6), round(float(b), 6)
    (array([1.]), 1.5)
    """
    xp = _check_problem(X=X, y=y)
    x_mean, y_mean = xp.mean(X, axis=0), xp.mean(y)  # (n, p) -> (p,), (n,) -> ()
    weights = solve_svd(_without_rounding_noise(X - x_mean, x_mean), y - y_mean)  # (n, p), (n,) -> (p,)
    return weights, y_mean - xp.vecdot(x_mean, weights)


def fit_ridge(X: Float[Any, "n p"], y: Float[Any, " n"], penalty: float) -> tuple[Float[Any, " p"], Float[Any, ""]]:
    r"""Fit weights and an intercept by least squares with a price on long weights. The intercept is free of charge.

    .. math:: \min_{w, b} \; \sum_{i=1}^n (w \cdot x_i + b - y_i)^2 + \lambda \lVert w \rVert^2

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row, without a column of ones.
    y : array of shape (n,)
        Targets.
    penalty : float
        Lambda, 0 or more. It is measured against the SUM of the squared errors, as in scikit-learn's
        Ridge(alpha=lambda). A penalty mu beside the MEAN corresponds to lambda = n mu.

    Returns
    -------
    weights : array of shape (p,)
        Never longer than those of a smaller penalty.
    intercept : array of shape ()

    Raises
    ------
    ValueError
        If two shapes disagree, X is empty, a value is not finite, or the penalty is negative.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    With the singular value decomposition of the centered data, U S V^T, the weights are
    V diag(s / (s^2 + lambda)) U^T (y - mean(y)). Singular values up to eps * max(n, p) * s_max count as 0, so that
    lambda = 0 gives the shortest of the least-squares solutions. About 4 n p^2 + 8 p^3 operations for n >= p.

    Source: Hoerl and Kennard (1970).

    Examples
    --------
    >>> import numpy as np
    >>> w, b = fit_ridge(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 4.0, 4.0]), penalty=20.0)
    >>> w.round(6), round(float(b), 6)
    (array([0.2]), 2.7)
    """
    xp = _check_problem(X=X, y=y)
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty must be a finite number, 0 or more, but it is {penalty}.")
    x_mean, y_mean = xp.mean(X, axis=0), xp.mean(y)  # (n, p) -> (p,), (n,) -> ()
    centered = _without_rounding_noise(X - x_mean, x_mean)  # (n, p)
    U, s, Vt = xp.linalg.svd(centered, full_matrices=False)  # (n, p) -> (n, q), (q,), (q, p) with q = min(n, p)
    weights = Vt.T @ (_filtered_inverse(s, penalty, X) * (U.T @ (y - y_mean)))  # (p, q) (q,) -> (p,)
    return weights, y_mean - xp.vecdot(x_mean, weights)


def fit_weighted_least_squares(
    X: Float[Any, "n p"], y: Float[Any, " n"], sample_weights: Float[Any, " n"]
) -> tuple[Float[Any, " p"], Float[Any, ""]]:
    r"""Fit weights and an intercept by least squares, each example with its own importance.

    .. math:: \min_{w, b} \; \sum_{i=1}^n c_i (w \cdot x_i + b - y_i)^2

    Parameters
    ----------
    X : array of shape (n, p)
    y : array of shape (n,)
    sample_weights : array of shape (n,)
        Importances c_i, 0 or more, not all 0. Only their ratios matter.

    Returns
    -------
    weights : array of shape (p,)
    intercept : array of shape ()

    Raises
    ------
    ValueError
        If shapes disagree, X is empty, a value is not finite, or an importance is negative or all are 0.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    Scaling row i by sqrt(c_i) turns the problem into an ordinary one. Best if c_i is one over the variance of the error
    of example i.

    Source: Gauss (1809), observations of unequal precision.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 4.0, 4.0])
    >>> w, b = fit_weighted_least_squares(X, y, np.array([1.0, 0.0, 0.0, 1.0]))
    >>> w.round(6), round(float(b), 6)
    (array([1.]), 1.0)
    """
    xp = _check_problem(X=X, y=y, sample_weights=sample_weights)
    share = _shares(sample_weights, "sample_weights")  # (n,), sums to 1
    x_mean, y_mean = share @ X, share @ y  # (n,) (n, p) -> (p,), (n,) (n,) -> ()
    root = xp.sqrt(share)
    centered = _without_rounding_noise(X - x_mean, x_mean)
    weights = solve_svd(root[:, None] * centered, root * (y - y_mean))  # (n, 1) (n, p) -> (n, p), then -> (p,)
    return weights, y_mean - xp.vecdot(x_mean, weights)


def r2_score(y: Float[Any, " n"], predictions: Float[Any, " n"]) -> Float[Any, ""]:
    r"""Share of the variation of y that the predictions explain.

    .. math:: R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    Parameters
    ----------
    y : array of shape (n,)
        What was observed.
    predictions : array of shape (n,)
        What was predicted. The two are not interchangeable.

    Returns
    -------
    array of shape ()
        At most 1. It is 0 for predicting the mean of y everywhere, and negative for anything worse. If y is constant:
        1 for perfect predictions and 0 otherwise.

    Raises
    ------
    ValueError
        If the two disagree about n, there is no example, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([1.0, 3.0, 4.0, 4.0])
    >>> float(r2_score(y, np.array([1.0, 2.0, 3.0, 5.0]))), round(float(r2_score(y, y[::-1].copy())), 4)
    (0.5, -2.3333)
    """
    xp = _check_problem(y=y, predictions=predictions)
    unexplained = xp.sum((y - predictions) ** 2)
    total = xp.sum((y - xp.mean(y)) ** 2)
    constant = xp.all(y == y[0])
    one = xp.ones_like(total)
    ratio = unexplained / xp.where(constant, one, total)
    return xp.where(constant, xp.where(unexplained == 0, one, 0 * one), 1 - ratio)[()]


def reduce_loss(
    losses: Float[Any, " n"], weights: Float[Any, " n"]
) -> tuple[Float[Any, ""], Float[Any, ""], Float[Any, ""]]:
    r"""Turn n losses into one number in three ways: on average, at worst, and by importance.

    .. math:: \frac1n \sum_i \ell_i, \qquad \max_i \ell_i, \qquad \frac{\sum_i c_i \ell_i}{\sum_i c_i}

    Parameters
    ----------
    losses : array of shape (n,)
        One loss per example.
    weights : array of shape (n,)
        Importances c_i, 0 or more, not all 0. Only their ratios matter.

    Returns
    -------
    mean, worst, weighted : arrays of shape ()
        The mean and the weighted mean lie between the smallest and the largest loss.

    Raises
    ------
    ValueError
        If the two disagree about n, there is no loss, a value is not finite, or a weight is negative or all are 0.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> [float(value) for value in reduce_loss(np.array([1.0, 4.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0, 1.0]))]
    [2.0, 4.0, 2.4]
    """
    xp = _check_problem(losses=losses, weights=weights)
    largest = xp.max(xp.abs(losses))
    scale = xp.where(largest > 0, largest, xp.ones_like(largest))  # a share of a tiny number could vanish
    return xp.mean(losses), xp.max(losses), _shares(weights, "weights") @ (losses / scale) * scale


AXES = {"A": "n d", "X": "n p", "theta": "d"}


def _check_problem(**arrays: Any) -> Any:
    """Check shapes, dtypes and values of the named arrays and return their namespace."""
    sizes = require_shapes(**{name: (array, AXES.get(name, "n")) for name, array in arrays.items()})
    require_floating(**arrays)
    require_finite(**arrays)
    for axis, meaning in [("n", "examples"), ("d", "columns"), ("p", "features")]:
        if sizes.get(axis) == 0:
            names = " and ".join(name for name in arrays if axis in AXES.get(name, "n").split())
            raise ValueError(f"{names} must have at least one of {axis} ({meaning}), but {axis} = 0.")
    return array_namespace(*arrays.values())


def _has_values(array: Any) -> bool:
    """Tell whether an array holds numbers. Tensors on the meta device have only a shape."""
    return not (is_torch_array(array) and array.device.type == "meta")


def _filtered_inverse(s: Any, penalty: float, matrix: Any) -> Any:
    """Return s / (s^2 + penalty), and 0 for singular values that are 0 up to rounding."""
    xp = array_namespace(s)
    kept = s > xp.finfo(s.dtype).eps * max(matrix.shape) * xp.max(s)
    safe = xp.where(kept, s, xp.ones_like(s))
    return xp.where(kept, 1 / (safe + penalty / safe), xp.zeros_like(s))  # s / (s^2 + penalty), never squaring s


def _without_rounding_noise(centered: Any, mean: Any) -> Any:
    """Set a centered column to 0 if nothing but the rounding of its mean is left: the column was constant."""
    xp = array_namespace(centered)
    noise = xp.finfo(centered.dtype).eps * centered.shape[0] * xp.abs(mean)  # (p,)
    return xp.where(xp.max(xp.abs(centered), axis=0) <= noise, xp.zeros_like(centered), centered)


def _shares(weights: Any, name: str) -> Any:
    """Divide importances by their sum, after checking that they can be importances."""
    xp = array_namespace(weights)
    if _has_values(weights):
        if bool(xp.any(weights < 0)):
            raise ValueError(f"{name} must be 0 or more, but the smallest is {float(xp.min(weights))}.")
        if not bool(xp.any(weights > 0)):
            raise ValueError(f"{name} must not all be 0: nothing would count.")
    shares = weights / xp.max(weights)  # first to at most 1, so that the sum cannot overflow
    return shares / xp.sum(shares)
