"""Logistic and softmax regression: chances of classes that are linear in their log-odds.

One implementation serves NumPy arrays and PyTorch tensors on any device: the arrays that come in decide. Every function
is safe for logits of any size that the dtype can hold.

Shapes: n examples, p features, m classes, d = p + 1 parameters for each class. As in the chapter on linear regression,
functions that take ``X`` take care of the intercept themselves, and functions that take ``A`` use the matrix as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from array_api_compat import array_namespace, device, is_torch_array
from jaxtyping import Float, Int, Num, Shaped

from mlcourse.linear_regression import affine_map, design_matrix
from mlcourse.linear_regression import predict as affine_prediction
from mlcourse.validation import require_finite, require_floating, require_shapes

__all__ = [
    "cross_entropy_from_logits",
    "cross_entropy_gradient",
    "fit_logistic",
    "fit_softmax",
    "gradient_descent",
    "log_odds",
    "logistic_gradient",
    "logistic_hessian",
    "logistic_loss",
    "logsumexp",
    "newton_step",
    "one_hot",
    "predict",
    "predict_class",
    "reliability_table",
    "sigmoid",
    "softmax",
    "softmax_jacobian",
]


def sigmoid(z: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    r"""Turn log-odds into a probability, entry by entry.

    .. math:: \sigma(z) = \frac{1}{1 + e^{-z}}

    Parameters
    ----------
    z : array of any shape
        Log-odds, any real numbers.

    Returns
    -------
    array of the same shape
        Between 0 and 1. In exact arithmetic never equal to either; far out it rounds to 0 or 1.

    Raises
    ------
    TypeError
        If z is not floating-point.

    Notes
    -----
    With e = exp(-abs(z)), which is at most 1, the value is 1 / (1 + e) for z >= 0 and e / (1 + e) for z < 0. Nothing
    overflows, and small probabilities keep all their digits.

    Source: Berkson (1944) for the use; Cox (1958) for the regression.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, np.log(3.0), 1000.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    require_floating(z=z)
    xp = array_namespace(z)
    small = xp.exp(xp.where(z >= 0, -z, z))  # between 0 and 1; unlike -abs(z), autograd knows its slope at 0
    return xp.where(z >= 0, xp.ones_like(small), small) / (1 + small)


def log_odds(probability: Float[Any, "*shape"]) -> Float[Any, "*shape"]:
    r"""Turn a probability into log-odds: the inverse of `sigmoid`, also called logit.

    .. math:: \operatorname{logit}(t) = \log \frac{t}{1 - t}

    Parameters
    ----------
    probability : array of any shape
        Strictly between 0 and 1.

    Returns
    -------
    array of the same shape
        In nats: 0 for even odds, about 2.2 for nine to one.

    Raises
    ------
    TypeError
        If probability is not floating-point.
    ValueError
        If a value is not strictly between 0 and 1.

    Notes
    -----
    Near 1 most digits of 1 - t are lost before this function sees them: keep log-odds, not probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> log_odds(np.array([0.1, 0.5, 0.9])).round(4)
    array([-2.1972,  0.    ,  2.1972])
    """
    require_floating(probability=probability)
    xp = array_namespace(probability)
    if _has_values(probability) and not bool(xp.all((probability > 0) & (probability < 1))):
        raise ValueError("probability must lie strictly between 0 and 1: at 0 and 1 the log-odds are infinite.")
    return xp.log(probability) - xp.log1p(-probability)


def logsumexp(z: Float[Any, "..."], axis: int = -1) -> Float[Any, "..."]:
    r"""Logarithm of a sum of exponentials along an axis, without overflow.

    .. math:: \log \sum_j e^{z_j} = c + \log \sum_j e^{z_j - c}, \qquad c = \max_j z_j

    Parameters
    ----------
    z : array
        Finite numbers, or minus infinity for a term that is exactly 0.
    axis : int
        The axis to sum over.

    Returns
    -------
    array without that axis
        At least the largest entry, and at most log(length) above it. Minus infinity if all entries are.

    Raises
    ------
    TypeError
        If z is not floating-point.
    ValueError
        If there is no such axis, or it is empty.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([[1.0, 1.0], [1000.0, 0.0]])).round(4)
    array([   1.6931, 1000.    ])
    """
    xp = _check_axis(z, axis)
    largest = xp.max(z, axis=axis, keepdims=True)
    shift = xp.where(xp.isfinite(largest), largest, xp.zeros_like(largest))  # -inf - -inf would be nan
    total = xp.sum(xp.exp(z - shift), axis=axis, keepdims=True)  # at least 1, or 0 if all are -inf
    empty = total == 0
    value = xp.where(empty, largest, shift + xp.log(xp.where(empty, xp.ones_like(total), total)))
    return xp.squeeze(value, axis=axis)


def softmax(z: Float[Any, "..."], axis: int = -1) -> Float[Any, "..."]:
    r"""Turn logits into probabilities that sum to 1 along an axis.

    .. math:: \operatorname{softmax}(z)_j = \frac{e^{z_j}}{\sum_l e^{z_l}} = \frac{e^{z_j - c}}{\sum_l e^{z_l - c}},
              \qquad c = \max_l z_l

    Parameters
    ----------
    z : array
        Logits: finite numbers, or minus infinity for a class that is ruled out.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of the same shape
        Between 0 and 1; sums to 1 along the axis. Adding one number to all logits changes nothing.

    Raises
    ------
    TypeError
        If z is not floating-point.
    ValueError
        If there is no such axis, or it is empty.

    Notes
    -----
    The largest exponent is 0, so nothing overflows. A logit that is more than about 745 below the largest (float64)
    gives 0. Softmax of z / tau has temperature tau.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 1000.0]])).round(3)
    array([[0.09 , 0.245, 0.665],
           [0.5  , 0.   , 0.5  ]])
    """
    xp = _check_axis(z, axis)
    power = xp.exp(z - xp.max(z, axis=axis, keepdims=True))  # between 0 and 1, and 1 at the largest
    return power / xp.sum(power, axis=axis, keepdims=True)


def softmax_jacobian(probabilities: Float[Any, "*batch m"]) -> Float[Any, "*batch m m"]:
    r"""Return the derivatives of softmax with respect to its logits, given its result.

    .. math:: \frac{\partial \hat p_j}{\partial z_l} = \hat p_j \, ([j = l] - \hat p_l)

    Parameters
    ----------
    probabilities : array of shape (*batch, m)
        A result of softmax along the last axis.

    Returns
    -------
    array of shape (*batch, m, m)
        Row j, column l: how probability j answers to logit l. Symmetric; every row sums to 0. The diagonal alone would
        be the derivative of a function that works entry by entry: softmax does not.

    Raises
    ------
    TypeError
        If probabilities are not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_jacobian(softmax(np.array([1.0, 2.0, 3.0]))).round(3)
    array([[ 0.082, -0.022, -0.06 ],
           [-0.022,  0.185, -0.163],
           [-0.06 , -0.163,  0.223]])
    """
    m = require_shapes(probabilities=(probabilities, "... m"))["m"]
    require_floating(probabilities=probabilities)
    xp = array_namespace(probabilities)
    identity = xp.eye(m, dtype=probabilities.dtype, device=device(probabilities))
    column, row = probabilities[..., :, None], probabilities[..., None, :]  # (*batch, m, 1), (*batch, 1, m)
    return column * (identity - row)  # -> (*batch, m, m)


def one_hot(labels: Int[Any, " n"], classes: int, dtype: Any) -> Shaped[Any, "n m"]:
    r"""Write each label as a row with a single 1.

    Parameters
    ----------
    labels : integer array of shape (n,)
        From 0 to classes - 1.
    classes : int
        m.
    dtype : dtype of the same library
        Of the result.

    Returns
    -------
    array of shape (n, m)
        Y: row i is 1 at the label of example i and 0 elsewhere.

    Raises
    ------
    TypeError
        If labels are no integers.
    ValueError
        If a label is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> one_hot(np.array([2, 0]), 3, np.float64)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    xp = _check_labels(labels, classes)
    every = xp.arange(classes, dtype=labels.dtype, device=device(labels))  # (m,)
    return xp.astype(labels[:, None] == every, dtype)  # (n, 1) (m,) -> (n, m)


def cross_entropy_from_logits(logits: Float[Any, "n m"], labels: Int[Any, " n"]) -> Float[Any, ""]:
    r"""Mean surprise, in nats, at the true classes.

    .. math:: L = \frac1n \sum_{i=1}^n \Bigl( \log \sum_{l} e^{z_{il}} - z_{i y_i} \Bigr)

    Parameters
    ----------
    logits : array of shape (n, m)
        One row per example, one column per class, before softmax. Minus infinity rules a class out.
    labels : integer array of shape (n,)
        The true classes, from 0 to m - 1.

    Returns
    -------
    array of shape ()
        At least 0; log(m) for a model without an opinion; infinite if a true class was ruled out.

    Raises
    ------
    TypeError
        If logits are not floating-point or labels are no integers.
    ValueError
        If logits and labels disagree about n, there is no example, or a label is outside its range.

    Notes
    -----
    Equals minus the logarithm of softmax at the true class. Computed in that order the probability may round to 0 and
    its logarithm to minus infinity. The difference of two numbers of moderate size is always right.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(cross_entropy_from_logits(np.array([[0.0, 0.0], [0.0, 1000.0]]), np.array([0, 0]))), 4)
    500.3466
    """
    xp = _check_logits(logits, labels)
    is_true = one_hot(labels, logits.shape[1], xp.bool)  # (n, m)
    at_truth = xp.sum(xp.where(is_true, logits, xp.zeros_like(logits)), axis=1)  # (n, m) -> (n,)
    return xp.mean(logsumexp(logits, axis=1) - at_truth)  # (n,) -> ()


def cross_entropy_gradient(logits: Float[Any, "n m"], labels: Int[Any, " n"]) -> Float[Any, "n m"]:
    r"""Gradient of the mean cross-entropy with respect to the logits: probability minus truth.

    .. math:: \frac{\partial L}{\partial z_{ij}} = \frac1n \bigl( \hat p_{ij} - [j = y_i] \bigr)

    Parameters
    ----------
    logits : array of shape (n, m)
        One row per example, before softmax.
    labels : integer array of shape (n,)
        The true classes, from 0 to m - 1.

    Returns
    -------
    array of shape (n, m)
        Every row sums to 0. Negative at the true class and positive at all others.

    Raises
    ------
    TypeError
        If logits are not floating-point or labels are no integers.
    ValueError
        If logits and labels disagree about n, there is no example, or a label is outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> cross_entropy_gradient(np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), np.array([0, 1])).round(6)
    array([[-0.25 ,  0.25 ],
           [ 0.125, -0.125]])
    """
    _check_logits(logits, labels)
    n, m = logits.shape
    return (softmax(logits, axis=1) - one_hot(labels, m, logits.dtype)) / n  # (n, m)


def logistic_loss(A: Float[Any, "n d"], y: Num[Any, " n"], theta: Float[Any, " d"]) -> Float[Any, ""]:
    r"""Mean surprise, in nats, of a logistic model at answers that are 0 or 1.

    .. math:: L(\theta) = \frac1n \sum_{i=1}^n \bigl( \log(1 + e^{z_i}) - y_i z_i \bigr), \qquad z = A\theta

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        0 or 1, of any real dtype.
    theta : array of shape (d,)
        Parameters.

    Returns
    -------
    array of shape ()
        Above 0; log(2) at theta = 0.

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, or an answer is neither 0 nor 1.
    TypeError
        If A or theta is not floating-point.

    Notes
    -----
    2nd operations. log(1 + e^z) is computed as max(z, 0) + log1p(e^-abs(z)): no overflow, and no digits lost near 0.

    Source: minus the log-likelihood of Cox (1958), divided by n.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[-1.0, 1.0], [0.0, 1.0], [2.0, 1.0]])
    >>> round(float(logistic_loss(A, np.array([0, 0, 1]), np.array([0.0, 0.0]))), 4)
    0.6931
    """
    xp, target = _check_binary(A=A, y=y, theta=theta)
    z = A @ theta  # (n, d) (d,) -> (n,)
    # minus the margin: how far an example lies on the wrong side of the boundary, in log-odds
    wrong_way = z * (1 - 2 * target)  # (n,)
    return xp.mean(_softplus(wrong_way))  # log(1 + e^z) - yz, without the difference of two large numbers


def logistic_gradient(A: Float[Any, "n d"], y: Num[Any, " n"], theta: Float[Any, " d"]) -> Float[Any, " d"]:
    r"""Gradient of `logistic_loss` with respect to the parameters.

    .. math:: \nabla L(\theta) = \frac1n A^\top (\hat p - y), \qquad \hat p = \sigma(A\theta)

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        0 or 1, of any real dtype.
    theta : array of shape (d,)
        The parameters at which the slope is taken.

    Returns
    -------
    array of shape (d,)

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, or an answer is neither 0 nor 1.
    TypeError
        If A or theta is not floating-point.

    Notes
    -----
    4nd operations.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[-1.0, 1.0], [0.0, 1.0], [2.0, 1.0]])
    >>> logistic_gradient(A, np.array([0, 0, 1]), np.array([0.0, 0.0])).round(6)
    array([-0.5     ,  0.166667])
    """
    _, target = _check_binary(A=A, y=y, theta=theta)
    return A.T @ (sigmoid(A @ theta) - target) / A.shape[0]  # (d, n) (n,) -> (d,)


def logistic_hessian(A: Float[Any, "n d"], theta: Float[Any, " d"]) -> Float[Any, "d d"]:
    r"""Curvature of `logistic_loss`. It does not depend on the answers.

    .. math:: H(\theta) = \frac1n A^\top \operatorname{diag}(v)\, A, \qquad v_i = \hat p_i (1 - \hat p_i)

    Parameters
    ----------
    A : array of shape (n, d)
    theta : array of shape (d,)

    Returns
    -------
    array of shape (d, d)
        Symmetric, no eigenvalue below 0, and none above a quarter of the largest one of A^T A / n.

    Raises
    ------
    ValueError
        If A and theta disagree about d, or there is no example.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    2 n d^2 operations. v is computed from e^-abs(z), which keeps its digits where 1 - p would round to 0.

    Examples
    --------
    >>> import numpy as np
    >>> logistic_hessian(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([0.0, 0.0]))
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    _check_problem(A=A, theta=theta)
    v = _variance(A @ theta)  # (n, d) (d,) -> (n,)
    return A.T @ (v[:, None] * A) / A.shape[0]  # (d, n) (n, d) -> (d, d)


def newton_step(A: Float[Any, "n d"], y: Num[Any, " n"], theta: Float[Any, " d"]) -> Float[Any, " d"]:
    r"""Take one step of Newton's method on `logistic_loss`, also called iteratively reweighted least squares.

    .. math:: \theta' = \theta - H(\theta)^{-1} \nabla L(\theta)
              = \theta + (A^\top \operatorname{diag}(v) A)^{-1} A^\top (y - \hat p)

    Parameters
    ----------
    A : array of shape (n, d)
        Design matrix, one example per row.
    y : array of shape (n,)
        0 or 1, of any real dtype.
    theta : array of shape (d,)
        Where we are.

    Returns
    -------
    array of shape (d,)
        A new array. If the columns of A depend on one another, many steps are equally good. This one is the shortest
        when each parameter is measured in units of one over the root of its curvature.

    Raises
    ------
    ValueError
        If two shapes disagree, there is no example, or an answer is neither 0 nor 1.
    TypeError
        If A or theta is not floating-point.

    Notes
    -----
    The step solves a weighted least-squares problem: fit the working residual (y - p) / v with weights v. A full step
    may overshoot when the start is far from the minimizer; `fit_logistic` then halves it. The curvature is scaled to
    ones on its diagonal, and eigenvalues up to eps d times the largest then count as 0.

    Examples
    --------
    >>> import numpy as np
    >>> A, y = np.array([[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([0, 1, 0, 1])
    >>> newton_step(A, y, np.zeros(2)).round(6)
    array([ 0.8, -0.4])
    """
    _check_binary(A=A, y=y, theta=theta)
    return theta - _pseudo_inverse(logistic_hessian(A, theta), 0 * theta) @ logistic_gradient(
        A, y, theta
    )  # (d, d) (d,) -> (d,)


def gradient_descent(
    gradient: Callable[[Any], Any], start: Float[Any, "..."], step_size: float, steps: int
) -> Float[Any, "visited ..."]:
    r"""Walk against a gradient with a constant step size and keep every point of the path.

    .. math:: \theta^{k+1} = \theta^k - \alpha \nabla L(\theta^k)

    Parameters
    ----------
    gradient : callable
        Takes the parameters and returns the gradient there, in the same shape.
    start : array of any shape
        The first point of the path.
    step_size : float
        Alpha. The logistic loss falls in every step if alpha is below 8 n / s^2, with s the largest singular value of
        A: eight times what least squares allows.
    steps : int
        How many steps to take, 0 or more.

    Returns
    -------
    array of shape (steps + 1, *shape)
        Row k is the point after k steps; row 0 is the start.

    Raises
    ------
    ValueError
        If steps is negative, or a gradient has another shape than the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> gradient_descent(lambda theta: 2 * theta, np.array([3.0]), step_size=0.25, steps=2)
    array([[3.  ],
           [1.5 ],
           [0.75]])
    """
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, but it is {steps}.")
    path = [start]
    for _ in range(steps):
        slope = gradient(path[-1])
        if slope.shape != path[-1].shape:
            raise ValueError(f"theta has shape {tuple(start.shape)} but its gradient has {tuple(slope.shape)}.")
        path.append(path[-1] - step_size * slope)
    return array_namespace(start).stack(path)  # steps + 1 arrays -> one more axis in front


def fit_logistic(
    X: Float[Any, "n p"], y: Num[Any, " n"], penalty: float = 0.0, max_iterations: int = 100
) -> tuple[Float[Any, " p"], Float[Any, ""]]:
    r"""Fit weights and an intercept to answers that are 0 or 1, by Newton's method. The intercept is free of charge.

    .. math:: \min_{w, b} \; \sum_{i=1}^n \bigl( \log(1 + e^{z_i}) - y_i z_i \bigr)
              + \frac{\lambda}{2} \lVert w \rVert^2, \qquad z_i = w \cdot x_i + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row, without a column of ones.
    y : array of shape (n,)
        0 or 1, of any real dtype.
    penalty : float
        Lambda, 0 or more, beside the SUM of the losses and with the factor one half. It is one over the C of
        scikit-learn's LogisticRegression.
    max_iterations : int
        Newton steps to try before giving up. Five to ten are usual.

    Returns
    -------
    weights : array of shape (p,)
        What one unit of each feature adds to the log-odds. Without a penalty several may be equally good, because a
        feature is a mixture of others. Then the shortest is returned, with features in units of their standard
        deviation.
    intercept : array of shape ()
        The log-odds where every feature is 0.

    Raises
    ------
    ValueError
        If shapes disagree, X is empty, a value is not finite, an answer is neither 0 nor 1, the penalty is negative, or
        there is no minimizer: without a penalty the loss of separable classes falls forever.
    TypeError
        If X is not floating-point.

    Notes
    -----
    The curvature at theta = 0 is formed and inverted, n p^2 + p^3 operations. Where theta has moved on, conjugate
    gradients correct that inverse, 4np operations for each product with the curvature; when they have cost as much as
    forming the curvature again, it is formed again. A step is halved until the loss does not rise. The method ends when
    no log-odds move by more than the square root of the machine precision, times the largest log-odds if that is above
    1. Tensors on the meta device have no values: one step is taken.

    Source: Cox (1958) for the model.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([0, 1, 0, 1])
    >>> w, b = fit_logistic(X, y)
    >>> w.round(4), round(float(b), 4)
    (array([0.9082]), -0.4541)
    """
    xp, target = _check_binary(X=X, y=y)
    _check_penalty(penalty)
    center = xp.mean(X, axis=0)  # (n, p) -> (p,)
    A = design_matrix(X - center)  # (n, p) -> (n, d)
    noise = _rounding_noise(A, center)  # (d,)
    price = penalty * _all_but_the_last(A)  # (d,), 0 for the intercept
    rough_inverse = _pseudo_inverse(A.T @ A / 4 + _diagonal(price), noise)  # (d, d), of the curvature at theta = 0
    sign = 1 - 2 * target  # (n,), 1 where the answer is 0 and -1 where it is 1
    enough = xp.finfo(A.dtype).eps ** 0.5

    def objective(theta: Any, z: Any) -> Any:
        return xp.sum(_softplus(sign * z)) + xp.sum(price * theta**2) / 2  # (n,), (d,) -> ()

    theta, z = xp.zeros_like(price), xp.zeros_like(target)  # (d,), (n,) with z = A @ theta throughout
    for _ in range(max_iterations):
        gradient = A.T @ (sigmoid(z) - target) + price * theta  # (d, n) (n,) -> (d,)
        v = _variance(z)  # (n,)
        step, products = _conjugate_gradients(partial(_logistic_curvature, A, v, price), gradient, rough_inverse)
        move = A @ step  # (n, d) (d,) -> (n,)
        if not _has_values(A) or _largest(move) <= enough * max(1.0, _largest(z)):
            weights = (theta - step)[:-1]  # (d,) -> (p,)
            return weights, (theta - step)[-1] - xp.vecdot(center, weights)  # the intercept of X before centering
        theta, z = _downhill(objective, theta, z, step, move)
        if 4 * products > A.shape[1]:  # they have cost as much as forming the curvature anew
            rough_inverse = _pseudo_inverse(A.T @ (v[:, None] * A) + _diagonal(price), noise)  # (d, n) (n, d) -> (d, d)
        if penalty == 0 and bool(xp.all(sign * z < 0)):
            raise ValueError(SEPARABLE)
    raise ValueError(NOT_CONVERGED.format(max_iterations))


def fit_softmax(
    X: Float[Any, "n p"],
    labels: Int[Any, " n"],
    classes: int,
    penalty: float = 0.0,
    tolerance: float | None = None,
    max_iterations: int = 100,
) -> tuple[Float[Any, "p m"], Float[Any, " m"]]:
    r"""Fit one column of weights and one intercept per class, by Newton's method without a matrix of curvature.

    .. math:: \min_{W, b} \; \sum_{i=1}^n \Bigl( \log \sum_l e^{z_{il}} - z_{i y_i} \Bigr)
              + \frac{\lambda}{2} \lVert W \rVert_F^2, \qquad z_i = x_i W + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row, without a column of ones.
    labels : integer array of shape (n,)
        The true classes, from 0 to classes - 1.
    classes : int
        m, at least 2.
    penalty : float
        Lambda, 0 or more, beside the SUM of the losses and with the factor one half: one over scikit-learn's C.
    tolerance : float, optional
        The fit ends when no entry of the gradient of the MEAN objective is larger. Default: the square root of the
        machine precision. scikit-learn's lbfgs measures its tol in the same way.
    max_iterations : int
        Newton steps to try before giving up.

    Returns
    -------
    W : array of shape (p, m)
        Its rows sum to 0: what is added to all classes alike changes no probability, and costs.
    b : array of shape (m,)
        Sums to 0.

    Raises
    ------
    ValueError
        If shapes disagree, X is empty, a value is not finite, a label is outside its range, the penalty is negative, or
        there is no minimizer: without a penalty the loss of separable classes falls forever.
    TypeError
        If X is not floating-point or labels are no integers.

    Notes
    -----
    The curvature has (d m)^2 entries and is never formed. Conjugate gradients solve the Newton system with products of
    the curvature and a direction, each about 4 n d m operations. At the start the curvature acts on each class alike,
    as A^T A / m; its inverse is formed once and makes the later systems easy.

    Examples
    --------
    >>> import numpy as np
    >>> X, labels = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([0, 1, 0, 1])
    >>> W, b = fit_softmax(X, labels, classes=2)
    >>> (W[:, 1] - W[:, 0]).round(4), round(float(b[1] - b[0]), 4)
    (array([0.9082]), -0.4541)
    """
    xp = _check_problem(X=X)
    require_shapes(X=(X, "n p"), labels=(labels, "n"))
    _check_penalty(penalty)
    if classes < 2:
        raise ValueError(f"classes must be 2 or more, but it is {classes}.")
    Y = one_hot(labels, classes, X.dtype)  # (n, m)
    center = xp.mean(X, axis=0)  # (n, p) -> (p,)
    A = design_matrix(X - center)  # (n, p) -> (n, d)
    noise = _rounding_noise(A, center)  # (d,)
    price = (penalty * _all_but_the_last(A))[:, None]  # (d, 1)
    first_inverse = _pseudo_inverse(A.T @ A / classes + _diagonal(price[:, 0]), noise)  # (d, d)
    enough = A.shape[0] * (xp.finfo(A.dtype).eps ** 0.5 if tolerance is None else tolerance)

    def objective(Theta: Any, logits: Any) -> Any:
        at_truth = xp.sum(Y * logits, axis=1)  # (n, m) -> (n,)
        return xp.sum(logsumexp(logits, axis=1) - at_truth) + xp.sum(price * Theta**2) / 2

    Theta, logits = xp.zeros_like(A.T @ Y), xp.zeros_like(Y)  # (d, m), (n, m) with logits = A @ Theta throughout
    for _ in range(max_iterations):
        P = softmax(logits, axis=1)  # (n, m)
        gradient = A.T @ (P - Y) + price * Theta  # (d, n) (n, m) -> (d, m)
        if not _has_values(A) or _largest(gradient) <= enough:
            return Theta[:-1, :], Theta[-1, :] - center @ Theta[:-1, :]  # (p,) (p, m) -> (m,)
        step, _ = _conjugate_gradients(partial(_softmax_curvature, A, P, price), gradient, first_inverse)
        Theta, logits = _downhill(objective, Theta, logits, step, A @ step)  # (n, d) (d, m) -> (n, m)
        if penalty == 0 and _all_right(logits, Y):
            raise ValueError(SEPARABLE)
    raise ValueError(NOT_CONVERGED.format(max_iterations))


def predict(
    X: Float[Any, "n p"], weights: Float[Any, " p"], intercept: Float[Any, ""] | float, threshold: float = 0.5
) -> Int[Any, " n"]:
    r"""Decide between two classes: 1 where the probability of class 1 reaches the threshold.

    .. math:: \hat y_i = [\sigma(z_i) \ge t] = \Bigl[ z_i \ge \log\frac{t}{1-t} \Bigr], \qquad z_i = w \cdot x_i + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row.
    weights : array of shape (p,)
    intercept : number
    threshold : float
        t, strictly between 0 and 1.

    Returns
    -------
    int64 array of shape (n,)
        0 or 1.

    Raises
    ------
    ValueError
        If X and weights disagree about p, or the threshold is not strictly between 0 and 1.
    TypeError
        If X or weights are not floating-point.

    Notes
    -----
    The log-odds are compared, so a threshold close to 1 works where the probabilities have long been rounded to 1.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[-1.0], [0.0], [1.0]])
    >>> predict(X, np.array([2.0]), 0.0), predict(X, np.array([2.0]), 0.0, threshold=0.9)
    (array([0, 1, 1]), array([0, 0, 0]))
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie strictly between 0 and 1, but it is {threshold}.")
    z = affine_prediction(X, weights, intercept)  # (n, p) (p,) -> (n,)
    xp = array_namespace(z)
    return xp.astype(z >= math.log(threshold) - math.log1p(-threshold), xp.int64)


def predict_class(X: Float[Any, "n p"], W: Float[Any, "p m"], b: Float[Any, " m"]) -> Int[Any, " n"]:
    r"""Decide between m classes: the one with the largest logit.

    .. math:: \hat y_i = \operatorname*{arg\,max}_j \operatorname{softmax}(z_i)_j = \operatorname*{arg\,max}_j z_{ij},
              \qquad z_i = x_i W + b

    Parameters
    ----------
    X : array of shape (n, p)
        One example per row.
    W : array of shape (p, m)
        One column of weights per class.
    b : array of shape (m,)

    Returns
    -------
    int64 array of shape (n,)
        From 0 to m - 1; of equal logits the first.

    Raises
    ------
    ValueError
        If X and W disagree about p, or W and b about m.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> predict_class(np.array([[1.0], [-3.0]]), np.array([[1.0, 0.0, -1.0]]), np.array([0.0, 0.5, 0.0]))
    array([0, 2])
    """
    logits = affine_map(X, W, b)  # (n, p) (p, m) -> (n, m)
    return array_namespace(logits).argmax(logits, axis=1)  # (n, m) -> (n,)


def reliability_table(
    probabilities: Float[Any, " n"], outcomes: Num[Any, " n"], bins: int = 10
) -> tuple[Float[Any, " bins"], Float[Any, " bins"], Float[Any, " bins"]]:
    r"""Compare what was promised with what happened, in bins of equal width.

    Parameters
    ----------
    probabilities : array of shape (n,)
        Promised chances, from 0 to 1.
    outcomes : array of shape (n,)
        0 or 1, of any real dtype.
    bins : int
        Bin k holds the probabilities from k / bins up to, but without, (k + 1) / bins; the last one includes 1.

    Returns
    -------
    promised, happened : arrays of shape (bins,)
        Mean probability and share of ones in each bin; nan where a bin is empty.
    share : array of shape (bins,)
        The part of all examples that is in the bin; sums to 1.

    Raises
    ------
    ValueError
        If shapes disagree, there is no example, a probability is outside 0 to 1, an outcome is neither 0 nor 1, or
        bins is below 1.
    TypeError
        If probabilities are not floating-point.

    Notes
    -----
    The mean of abs(promised - happened), weighted by share, is called the expected calibration error.

    Source: Guo, Pleiss, Sun and Weinberger (2017), section 2.

    Examples
    --------
    >>> import numpy as np
    >>> reliability_table(np.array([0.2, 0.3, 0.9, 1.0]), np.array([0, 1, 1, 1]), bins=2)
    (array([0.25, 0.95]), array([0.5, 1. ]), array([0.5, 0.5]))
    """
    if bins < 1:
        raise ValueError(f"bins must be 1 or more, but it is {bins}.")
    xp, target = _check_binary(probabilities=probabilities, y=outcomes)
    if _has_values(probabilities) and not bool(xp.all((probabilities >= 0) & (probabilities <= 1))):
        raise ValueError("probabilities must lie between 0 and 1.")
    every = xp.arange(bins, dtype=probabilities.dtype, device=device(probabilities))  # (bins,)
    index = xp.floor(xp.clip(probabilities * bins, 0, bins - 0.5))  # (n,), 1 belongs to the last bin
    inside = xp.astype(index[:, None] == every, probabilities.dtype)  # (n, 1) (bins,) -> (n, bins)
    count = xp.sum(inside, axis=0)  # (n, bins) -> (bins,)
    safe = xp.where(count > 0, count, xp.full_like(count, math.nan))
    return probabilities @ inside / safe, target @ inside / safe, count / target.shape[0]  # (n,) (n, bins) -> (bins,)


AXES = {"A": "n d", "X": "n p", "theta": "d"}
SEPARABLE = (
    "The classes are separable: a hyperplane has every example on its right side, so the loss falls forever as the "
    "weights grow, and there is no minimizer. Give a penalty above 0."
)
NOT_CONVERGED = (
    "No minimizer was found in {} Newton steps. Perhaps some direction separates a part of the classes: give a penalty "
    "above 0. Or raise max_iterations."
)


def _check_problem(**arrays: Any) -> Any:
    """Check shapes, dtypes and values of the named arrays and return their namespace."""
    sizes = require_shapes(**{name: (array, AXES.get(name, "n")) for name, array in arrays.items()})
    require_floating(**arrays)
    require_finite(**arrays)
    for axis, meaning in [("n", "examples"), ("d", "columns"), ("p", "features")]:
        if sizes.get(axis) == 0:
            raise ValueError(f"{' and '.join(arrays)} must have at least one of {axis} ({meaning}), but {axis} = 0.")
    return array_namespace(*arrays.values())


def _check_binary(*, y: Any, **arrays: Any) -> tuple[Any, Any]:
    """Check a problem with answers 0 or 1; return the namespace and the answers in the dtype of the other arrays."""
    require_shapes(**{name: (array, AXES.get(name, "n")) for name, array in arrays.items()}, y=(y, "n"))
    xp = _check_problem(**arrays)
    if _has_values(y) and not bool(xp.all((y == 0) | (y == 1))):
        raise ValueError("y must hold 0 or 1 for every example. Labels -1 and 1, for example, become (y + 1) / 2.")
    return xp, xp.astype(y, next(iter(arrays.values())).dtype)


def _check_labels(labels: Any, classes: int) -> Any:
    """Check that labels are integers from 0 to classes - 1 and return their namespace."""
    require_shapes(labels=(labels, "n"))
    xp = array_namespace(labels)
    if not xp.isdtype(labels.dtype, "integral"):
        raise TypeError(f"labels must be integers, but their dtype is {labels.dtype}.")
    if _has_values(labels) and not bool(xp.all((labels >= 0) & (labels < classes))):
        raise ValueError(
            f"labels must go from 0 to {classes - 1}, for {classes} classes, but they go from {int(xp.min(labels))} to "
            f"{int(xp.max(labels))}."
        )
    return xp


def _check_logits(logits: Any, labels: Any) -> Any:
    """Check logits of shape (n, m) and labels of shape (n,), and return the namespace."""
    sizes = require_shapes(logits=(logits, "n m"), labels=(labels, "n"))
    require_floating(logits=logits)
    for axis, meaning in [("n", "examples"), ("m", "classes")]:
        if sizes[axis] == 0:
            raise ValueError(f"logits must have at least one of {axis} ({meaning}), but {axis} = 0.")
    _check_labels(labels, sizes["m"])
    return array_namespace(logits)


def _check_axis(z: Any, axis: int) -> Any:
    """Check that z is floating-point and has something along the axis, and return its namespace."""
    require_floating(z=z)
    if not -z.ndim <= axis < z.ndim:
        raise ValueError(f"z has {z.ndim} axes, so axis must lie from {-z.ndim} to {z.ndim - 1}, but it is {axis}.")
    if z.shape[axis] == 0:
        raise ValueError(f"z must have something along axis {axis}, but its shape is {tuple(z.shape)}.")
    return array_namespace(z)


def _check_penalty(penalty: float) -> None:
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty must be a finite number, 0 or more, but it is {penalty}.")


def _has_values(array: Any) -> bool:
    """Tell whether an array holds numbers. Tensors on the meta device have only a shape."""
    return not (is_torch_array(array) and array.device.type == "meta")


def _softplus(z: Any) -> Any:
    """Return log(1 + e^z) without overflow."""
    xp = array_namespace(z)
    return (z / 2 + xp.abs(z) / 2) + xp.log1p(xp.exp(-xp.abs(z)))  # max(z, 0) as a sum: autograd's slope at 0 is 1/2


def _variance(z: Any) -> Any:
    """Return sigmoid(z) (1 - sigmoid(z)), which keeps its digits where sigmoid rounds to 1."""
    small = array_namespace(z).exp(-abs(z))  # one of the two is 1 / (1 + small), the other small / (1 + small)
    return small / (1 + small) ** 2


def _logistic_curvature(A: Any, v: Any, price: Any, s: Any) -> Any:
    """Return the curvature of the objective of `fit_logistic` applied to a direction s of shape (d,)."""
    return A.T @ (v * (A @ s)) + price * s  # (d, n) (n,) -> (d,)


def _softmax_curvature(A: Any, P: Any, price: Any, S: Any) -> Any:
    """Return the curvature of the objective of `fit_softmax` applied to a direction S of shape (d, m)."""
    xp = array_namespace(A)
    moved = A @ S  # (n, d) (d, m) -> (n, m), how the logits move along S
    weighted = P * moved
    turned = weighted - P * xp.sum(weighted, axis=1, keepdims=True)  # the Jacobian of softmax, row by row
    return A.T @ turned + price * S  # (d, n) (n, m) -> (d, m)


def _all_but_the_last(A: Any) -> Any:
    """Return ones for the weights and a 0 for the intercept, shape (d,)."""
    xp = array_namespace(A)
    return xp.concat([xp.ones_like(A[0, :-1]), xp.zeros_like(A[0, -1:])])  # (p,), (1,) -> (d,)


def _diagonal(entries: Any) -> Any:
    """Return the matrix with these entries on its diagonal: (d,) -> (d, d)."""
    return entries[:, None] * array_namespace(entries).eye(
        entries.shape[0], dtype=entries.dtype, device=device(entries)
    )


def _rounding_noise(A: Any, center: Any) -> Any:
    """Return the squared length that a centered column has if it was constant and only rounding is left: (d,)."""
    xp = array_namespace(A)
    n = A.shape[0]
    noise = n * (xp.finfo(A.dtype).eps * n * center) ** 2  # (p,)
    return xp.concat([noise, xp.zeros_like(A[0, -1:])])  # (p,), (1,) -> (d,)


def _pseudo_inverse(H: Any, noise: Any) -> Any:
    """Invert a symmetric matrix without negative eigenvalues, whatever the units.

    Singular directions, and parameters whose curvature is at most noise, map to 0.
    """
    xp = array_namespace(H)
    diagonal = xp.linalg.diagonal(H)  # (d, d) -> (d,)
    real = diagonal > noise
    unit = xp.where(real, 1 / xp.sqrt(xp.where(real, diagonal, xp.ones_like(diagonal))), xp.zeros_like(diagonal))
    values, vectors = xp.linalg.eigh(unit[:, None] * H * unit)  # (d, 1) (d, d) (d,) -> (d, d) -> (d,), (d, d)
    kept = values > xp.finfo(H.dtype).eps * H.shape[0] * xp.max(xp.abs(values))
    inverse = xp.where(kept, 1 / xp.where(kept, values, xp.ones_like(values)), xp.zeros_like(values))
    scaled = unit[:, None] * vectors  # (d, 1) (d, d) -> (d, d)
    return (scaled * inverse) @ scaled.T  # (d, d) (d,) -> (d, d), then (d, d) (d, d) -> (d, d)


def _conjugate_gradients(curvature: Callable[[Any], Any], g: Any, rough_inverse: Any) -> tuple[Any, int]:
    """Solve curvature(s) = g, guided by a rough inverse, and count the products with the curvature.

    The smaller g is, the more sharply: so Newton's method stays fast near the end and wastes little at the start.
    """
    xp = array_namespace(g)
    s, residual = xp.zeros_like(g), g
    guided = direction = rough_inverse @ g
    size = start = xp.sum(residual * guided)  # the squared length of the residual, in units of the objective
    products = 0
    while products < 10 * g.shape[0]:
        image, products = curvature(direction), products + 1
        bend = xp.sum(direction * image)
        if _has_values(g) and not bool(bend > 0):
            break
        s, residual = s + (size / bend) * direction, residual - (size / bend) * image
        guided = rough_inverse @ residual
        before, size = size, xp.sum(residual * guided)
        if not _has_values(g) or float(size) <= float(start) * min(0.01, float(start)):
            break
        direction = guided + (size / before) * direction
    return s, products


def _downhill(objective: Callable[[Any, Any], Any], theta: Any, z: Any, step: Any, move: Any) -> tuple[Any, Any]:
    """Take the step, halved until the objective does not rise, up to rounding; z = A theta moves with theta."""
    xp = array_namespace(theta)
    before = objective(theta, z)
    allowed = before + 100 * xp.finfo(theta.dtype).eps * xp.abs(before)
    scale = 1.0
    while scale > 1e-15 and not bool(objective(theta - scale * step, z - scale * move) <= allowed):
        scale /= 2
    return theta - scale * step, z - scale * move


def _largest(z: Any) -> float:
    """Return the largest absolute value."""
    xp = array_namespace(z)
    return float(xp.max(xp.abs(z)))


def _all_right(logits: Any, Y: Any) -> bool:
    """Tell whether in every row the true class has the largest logit, alone."""
    xp = array_namespace(logits)
    at_truth = xp.sum(Y * logits, axis=1)  # (n, m) -> (n,)
    others = xp.max(xp.where(Y > 0, xp.full_like(logits, -math.inf), logits), axis=1)  # (n, m) -> (n,)
    return bool(xp.all(at_truth > others))
