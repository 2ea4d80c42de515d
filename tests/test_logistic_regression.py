"""Logistic regression: the references against SciPy, PyTorch and scikit-learn, and what must always hold."""

from __future__ import annotations

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split

from mlcourse import linear_regression as lr
from mlcourse import logistic_regression as lo
from mlcourse.data import breast_cancer, digits
from mlcourse.exercises import find
from mlcourse.grading import evaluate

torch = pytest.importorskip(
    "torch", reason="the torch half of these tests needs PyTorch: pip install 'mlcourse[torch]'"
)

pytestmark = pytest.mark.parallel

finite = st.floats(-1e4, 1e4, allow_nan=False, width=64)
SIZES = [(30, 3), (40, 5), (25, 1)]
BACKENDS = {"numpy": np.asarray, "torch": torch.as_tensor}


@pytest.fixture
def unchecked():
    """Switch the annotations' own check off, so that the message under test is ours."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(params=list(BACKENDS))
def make(request):
    """Turn a NumPy array into an array of one of the two libraries."""
    return BACKENDS[request.param]


def as_numpy(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def problem(n, p, classes=2, seed=0):
    """Features of different scale and center, and labels that overlap."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * rng.uniform(0.5, 3, p) + rng.uniform(-2, 2, p)
    scores = (X - X.mean(0)) / X.std(0) @ rng.standard_normal((p, classes)) + rng.gumbel(size=(n, classes)) * 1.5
    labels = scores.argmax(axis=1)
    labels[:classes] = np.arange(classes)  # none is missing
    return X, labels


def standardized():
    data = breast_cancer()
    return (data.X - data.X.mean(0)) / data.X.std(0), data.y


# --- the functions against peers ------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(0, 9), elements=finite))
@settings(max_examples=60, deadline=None)
def test_sigmoid_equals_scipy(z):
    with np.errstate(all="raise", under="ignore"):
        ours = lo.sigmoid(z)
    np.testing.assert_allclose(ours, scipy.special.expit(z), rtol=1e-13, atol=1e-300)  # SciPy gives 0 below -709
    np.testing.assert_allclose(as_numpy(lo.sigmoid(torch.as_tensor(z))), ours, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(ours + lo.sigmoid(-z), 1, rtol=1e-15)


def test_log_odds_undo_the_sigmoid(make):
    z = np.linspace(-30, 12, 43).reshape(1, 43)
    np.testing.assert_allclose(as_numpy(lo.log_odds(lo.sigmoid(make(z)))), z, rtol=1e-9, atol=1e-12)
    p = np.array([1e-300, 0.3, 1 - 1e-15])
    np.testing.assert_allclose(as_numpy(lo.log_odds(make(p))), scipy.special.logit(p), rtol=1e-13)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=finite), st.sampled_from([0, 1, -1])
)
@settings(max_examples=60, deadline=None)
def test_softmax_and_logsumexp_equal_scipy(z, axis):
    with np.errstate(all="raise", under="ignore"):
        shares, total = lo.softmax(z, axis), lo.logsumexp(z, axis)
    np.testing.assert_allclose(shares, scipy.special.softmax(z, axis=axis), rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(total, scipy.special.logsumexp(z, axis=axis), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=axis), 1, rtol=1e-14)
    on_torch = torch.as_tensor(z)
    np.testing.assert_allclose(as_numpy(lo.softmax(on_torch, axis)), shares, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(as_numpy(lo.logsumexp(on_torch, axis)), total, rtol=1e-13, atol=1e-12)


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=finite), finite)
@settings(max_examples=40, deadline=None)
def test_a_common_shift_changes_no_share(z, shift):
    np.testing.assert_allclose(lo.softmax(z + shift), lo.softmax(z), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(lo.logsumexp(z + shift), lo.logsumexp(z) + shift, rtol=1e-9, atol=1e-9)


def test_softmax_of_three_axes(make):
    z = np.random.default_rng(0).standard_normal((2, 3, 4))
    for axis in range(-3, 3):
        np.testing.assert_allclose(as_numpy(lo.softmax(make(z), axis)), scipy.special.softmax(z, axis=axis), rtol=1e-12)
        expected = scipy.special.logsumexp(z, axis=axis)
        np.testing.assert_allclose(as_numpy(lo.logsumexp(make(z), axis)), expected, rtol=1e-12)


def test_two_classes_are_the_sigmoid(make):
    z = np.linspace(-40, 40, 9)
    pair = lo.softmax(make(np.stack([z, np.zeros(9)], axis=1)))
    np.testing.assert_allclose(as_numpy(pair)[:, 0], lo.sigmoid(z), rtol=1e-13)


def test_minus_infinity_rules_a_class_out(make):
    z = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, -np.inf]])
    np.testing.assert_allclose(as_numpy(lo.softmax(make(z[:1])))[0], [1 / (1 + np.e), 0, np.e / (1 + np.e)])
    np.testing.assert_allclose(as_numpy(lo.logsumexp(make(z))), [np.log(1 + np.e), -np.inf])
    assert float(lo.cross_entropy_from_logits(make(z[:1]), make(np.array([1])))) == np.inf


@pytest.mark.parametrize("m", [1, 2, 5])
def test_jacobian_equals_autograd(m, make):
    z = np.random.default_rng(0).standard_normal((3, m))
    ours = as_numpy(lo.softmax_jacobian(lo.softmax(make(z))))
    assert ours.shape == (3, m, m)
    for row, matrix in zip(z, ours, strict=True):
        expected = torch.func.jacrev(lambda t: torch.softmax(t, 0))(torch.as_tensor(row))
        np.testing.assert_allclose(matrix, expected, atol=1e-14)
    np.testing.assert_allclose(ours.sum(axis=-1), 0, atol=1e-15)
    np.testing.assert_allclose(ours, ours.swapaxes(1, 2), atol=1e-16)


@pytest.mark.parametrize(("n", "m"), [(4, 3), (7, 5), (1, 2)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cross_entropy_and_gradient_equal_torch(n, m, scale, make):
    rng = np.random.default_rng(n)
    logits, labels = scale * rng.standard_normal((n, m)), rng.integers(0, m, n)
    variable = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(variable, torch.as_tensor(labels))
    loss.backward()
    np.testing.assert_allclose(
        as_numpy(lo.cross_entropy_from_logits(make(logits), make(labels))), loss.item(), rtol=1e-12
    )
    gradient = as_numpy(lo.cross_entropy_gradient(make(logits), make(labels)))
    np.testing.assert_allclose(gradient, variable.grad, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-15)


@pytest.mark.parametrize("scale", [0.5, 1e4])
def test_logistic_loss_and_gradient_equal_torch(scale, make):
    X, y = problem(9, 2)
    theta = torch.tensor([scale, -scale / 2, 0.3], dtype=torch.float64, requires_grad=True)
    A = lr.design_matrix(X)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.as_tensor(A) @ theta, torch.as_tensor(y).double())
    loss.backward()
    inputs = make(A), make(y), make(theta.detach().numpy())
    np.testing.assert_allclose(as_numpy(lo.logistic_loss(*inputs)), loss.item(), rtol=1e-12)
    np.testing.assert_allclose(as_numpy(lo.logistic_gradient(*inputs)), theta.grad, rtol=1e-10, atol=1e-14)


def test_a_small_loss_keeps_its_digits():
    loss = lo.logistic_loss(np.array([[1.0]]), np.array([1]), np.array([50.0]))
    np.testing.assert_allclose(loss, np.exp(-50.0), rtol=1e-12)
    np.testing.assert_allclose(lo.logistic_hessian(np.array([[1.0]]), np.array([50.0])), [[np.exp(-50.0)]], rtol=1e-12)


def test_hessian_equals_autograd(make):
    X, y = problem(9, 2)
    A, theta = lr.design_matrix(X), np.array([0.4, -0.7, 0.2])

    def loss(t):
        return torch.nn.functional.binary_cross_entropy_with_logits(torch.as_tensor(A) @ t, torch.as_tensor(y).double())

    expected = torch.func.hessian(loss)(torch.as_tensor(theta))
    np.testing.assert_allclose(as_numpy(lo.logistic_hessian(make(A), make(theta))), expected, rtol=1e-10)
    largest = np.linalg.eigvalsh(expected)[-1]
    assert largest <= np.linalg.eigvalsh(A.T @ A / 9)[-1] / 4


def test_newton_step_solves_the_weighted_least_squares_problem(make):
    X, y = problem(20, 3)
    A, theta = lr.design_matrix(X), np.array([0.4, -0.7, 0.2, 0.1])
    p = scipy.special.expit(A @ theta)
    root = np.sqrt(p * (1 - p))
    expected = theta + np.linalg.lstsq(root[:, None] * A, (y - p) / root, rcond=None)[0]
    np.testing.assert_allclose(as_numpy(lo.newton_step(make(A), make(y), make(theta))), expected, rtol=1e-8)


def test_newton_step_is_the_shortest_when_columns_depend_on_one_another(make):
    X, y = problem(20, 2)
    A = np.column_stack([X, X[:, 0]])
    step = as_numpy(lo.newton_step(make(A), make(y), make(np.zeros(3))))
    np.testing.assert_allclose(step[0], step[2], rtol=1e-9)
    once = as_numpy(lo.newton_step(make(X), make(y), make(np.zeros(2))))
    np.testing.assert_allclose([step[0] + step[2], step[1]], once, rtol=1e-9)


def test_gradient_descent_equals_torch_sgd(make):
    X, y = problem(9, 2)
    A = lr.design_matrix(X)
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.3)
    for _ in range(7):
        optimizer.zero_grad()
        z = torch.as_tensor(A) @ theta
        torch.nn.functional.binary_cross_entropy_with_logits(z, torch.as_tensor(y).double()).backward()
        optimizer.step()
    path = lo.gradient_descent(lambda t: lo.logistic_gradient(make(A), make(y), t), make(np.zeros(3)), 0.3, 7)
    assert tuple(path.shape) == (8, 3)
    np.testing.assert_allclose(as_numpy(path)[0], 0)
    np.testing.assert_allclose(as_numpy(path)[-1], theta.detach(), rtol=1e-10)


def test_descent_falls_at_eight_times_the_bound_of_least_squares():
    X, y = problem(30, 3)
    A = lr.design_matrix(X)
    step = 0.99 * 8 * float(lr.step_size_bound(A))
    path = lo.gradient_descent(lambda t: lo.logistic_gradient(A, y, t), np.ones(4), step, 200)
    losses = [lo.logistic_loss(A, y, theta) for theta in path]
    assert np.all(np.diff(losses) <= 1e-15)


# --- fits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1e-3, 0.5, 30.0])
@pytest.mark.parametrize(("n", "p"), SIZES)
def test_fit_equals_scikit_learn(n, p, penalty, make):
    X, y = problem(n, p)
    w, b = lo.fit_logistic(make(X), make(y), penalty)
    peer = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(as_numpy(w), peer.coef_[0], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_[0], rtol=1e-7, atol=1e-8)


def test_breast_cancer_equals_scikit_learn_to_1e_8(make):
    X, y = standardized()
    for penalty in [0.1, 1.0, 100.0]:
        w, b = lo.fit_logistic(make(X), make(y), penalty)
        peer = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(as_numpy(w), peer.coef_[0], atol=1e-8)
        np.testing.assert_allclose(as_numpy(b), peer.intercept_[0], atol=1e-8)


def test_without_a_penalty_the_gradient_is_zero(make):
    X, y = problem(40, 3)
    w, b = lo.fit_logistic(make(X), make(y))
    theta = np.append(as_numpy(w), as_numpy(b))
    np.testing.assert_allclose(lo.logistic_gradient(lr.design_matrix(X), y, theta), 0, atol=1e-9)
    found = scipy.optimize.minimize(lambda t: lo.logistic_loss(lr.design_matrix(X), y, t), np.zeros(4), tol=1e-12)
    np.testing.assert_allclose(theta, found.x, atol=1e-4)


@given(st.integers(4, 30), st.integers(1, 4), st.integers(0, 2**31), st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_fit_properties(n, p, seed, penalty):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, p)), rng.integers(0, 2, n)
    y[:2] = 0, 1
    w, b = lo.fit_logistic(X, y, penalty)
    residual = lo.sigmoid(X @ w + b) - y
    np.testing.assert_allclose(residual.sum(), 0, atol=1e-6)  # the intercept is free: promises sum to what happened
    np.testing.assert_allclose(X.T @ residual, -penalty * w, atol=1e-6)
    shifted, b_shifted = lo.fit_logistic(X + 3, y, penalty)
    np.testing.assert_allclose(shifted, w, atol=1e-6)
    np.testing.assert_allclose(b_shifted, b - 3 * w.sum(), atol=1e-5)
    mirrored, b_mirrored = lo.fit_logistic(X, 1 - y, penalty)
    np.testing.assert_allclose([*mirrored, b_mirrored], [*-w, -b], atol=1e-6)
    longer, _ = lo.fit_logistic(X, y, penalty / 2)
    assert np.linalg.norm(w) <= np.linalg.norm(longer) * (1 + 1e-6)


def test_the_shortest_weights_when_columns_repeat(make):
    X, y = problem(40, 2)
    w, b = lo.fit_logistic(make(np.column_stack([X, X[:, 0]])), make(y))
    once, b_once = lo.fit_logistic(X, y)
    np.testing.assert_allclose(as_numpy(w), [once[0] / 2, once[1], once[0] / 2], rtol=1e-6)
    np.testing.assert_allclose(as_numpy(b), b_once, rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e8, -3.3])
def test_a_constant_feature_gets_weight_zero(value, make):
    X, y = problem(40, 2)
    w, b = lo.fit_logistic(make(np.column_stack([X, np.full(40, value)])), make(y))
    once, _ = lo.fit_logistic(X, y)
    np.testing.assert_allclose(as_numpy(w)[:2], once, rtol=1e-6)
    np.testing.assert_allclose(as_numpy(w)[2] * value, 0, atol=1e-6)
    assert np.isfinite(float(b))


def test_features_of_very_different_scale(make):
    X, y = problem(40, 3)
    scale = np.array([1e-4, 1.0, 1e5])
    w, b = lo.fit_logistic(make(X * scale), make(y))
    once, b_once = lo.fit_logistic(X, y)
    np.testing.assert_allclose(as_numpy(w) * scale, once, rtol=1e-5)
    np.testing.assert_allclose(as_numpy(b), b_once, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", [np.float64, np.float32, np.int8])
def test_answers_may_have_any_real_dtype(target):
    X, y = problem(30, 2)
    np.testing.assert_array_equal(lo.fit_logistic(X, y.astype(target), 1.0)[0], lo.fit_logistic(X, y, 1.0)[0])


def test_separable_classes_have_no_minimizer(make):
    X = np.array([[-2.0], [-1.0], [1.0], [3.0]])
    for y in (np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]), np.array([1, 1, 1, 1])):
        with pytest.raises(ValueError, match="separable"):
            lo.fit_logistic(make(X), make(y))
    with pytest.raises(ValueError, match="separable"):
        lo.fit_softmax(make(X), make(np.array([0, 0, 1, 2])), 3)
    w, _ = lo.fit_logistic(make(X), make(np.array([0, 0, 1, 1])), 0.01)
    assert float(w[0]) > 0


def test_half_separable_classes_are_not_called_converged():
    X = np.array([[-1.0], [0.0], [0.0], [2.0]])  # the boundary at 0 separates all but the two that lie on it
    with pytest.raises(ValueError, match="No minimizer was found in 30"):
        lo.fit_logistic(X, np.array([0, 0, 1, 1]), max_iterations=30)


def test_a_far_point_on_the_wrong_side(make):
    X = np.append(np.linspace(-1, 1, 60), [400.0])[:, None]
    y = np.append((np.linspace(-1, 1, 60) > 0.2).astype(int), [0])
    w, b = lo.fit_logistic(make(X), make(y), 1e-4)
    theta = np.append(as_numpy(w), as_numpy(b))
    gradient = 61 * lo.logistic_gradient(lr.design_matrix(X), y, theta) + 1e-4 * np.append(as_numpy(w), 0)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_a_step_that_rises_is_halved(make):
    theta = make(np.array([1.0, -2.0]))
    step = 2.5 * theta  # past the minimum of the parabola, to -1.5 theta: higher than before
    arrived, z = lo._downhill(lambda t, z: (t**2).sum(), theta, 10 * theta, step, 10 * step)
    np.testing.assert_allclose(as_numpy(arrived), [-0.25, 0.5])
    np.testing.assert_allclose(as_numpy(z), [-2.5, 5.0])


def test_without_a_penalty_two_softmax_columns_differ_by_the_logistic_weights(make):
    X, y = problem(60, 3)
    W, b = lo.fit_softmax(make(X), make(y), 2, tolerance=1e-11)
    w, c = lo.fit_logistic(X, y)
    np.testing.assert_allclose(as_numpy(W)[:, 1] - as_numpy(W)[:, 0], w, rtol=1e-6)
    np.testing.assert_allclose(as_numpy(b)[1] - as_numpy(b)[0], c, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("penalty", [0.05, 2.0])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_softmax_fit_equals_scikit_learn(classes, penalty, make):
    X, labels = problem(60, 3, classes)
    W, b = lo.fit_softmax(make(X), make(labels), classes, penalty, tolerance=1e-11)
    W, b = as_numpy(W), as_numpy(b)
    if classes == 2:  # two columns share the work, so lambda counts half as much
        w_two, b_two = lo.fit_logistic(X, labels, penalty / 2)
        np.testing.assert_allclose(W[:, 1] - W[:, 0], w_two, atol=1e-7)
        np.testing.assert_allclose(b[1] - b[0], b_two, atol=1e-7)
    else:
        peer = LogisticRegression(C=1 / penalty, solver="newton-cg", tol=1e-10, max_iter=1000).fit(X, labels)
        np.testing.assert_allclose(W.T, peer.coef_, atol=1e-6)
        np.testing.assert_allclose(b - b.mean(), peer.intercept_ - peer.intercept_.mean(), atol=1e-6)
    np.testing.assert_allclose(W.sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(b.sum(), 0, atol=1e-9)
    gradient = X.T @ (lo.softmax(X @ W + b) - np.eye(classes)[labels]) + penalty * W
    np.testing.assert_allclose(gradient, 0, atol=1e-8)


def test_digits_equal_scikit_learn():
    data = digits()
    W, b = lo.fit_softmax(data.X / 16, data.y, 10, 1.0, tolerance=1e-10)
    peer = LogisticRegression(solver="newton-cg", tol=1e-9, max_iter=1000).fit(data.X / 16, data.y)
    np.testing.assert_allclose(W.T, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(b, peer.intercept_ - peer.intercept_.mean(), atol=1e-5)


def test_softmax_tolerance_is_the_gradient_of_the_mean():
    data = digits()
    X, Y = data.X[:300] / 16, np.eye(10)[data.y[:300]]
    for tolerance in (1e-2, 1e-5):
        W, b = lo.fit_softmax(X, data.y[:300], 10, 1.0, tolerance=tolerance)
        P = lo.softmax(X @ W + b)
        largest = max(np.abs(X.T @ (P - Y) + W).max(), np.abs((P - Y).sum(axis=0)).max()) / 300
        assert largest <= 2 * tolerance
    with pytest.raises(ValueError, match="No minimizer was found in 2 Newton steps"):
        lo.fit_softmax(X, data.y[:300], 10, 1.0, max_iterations=2)


def test_headline_breast_cancer():
    data = breast_cancer()
    scores = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(data.X, data.y):
        center, spread = data.X[train].mean(0), data.X[train].std(0)
        w, b = lo.fit_logistic((data.X[train] - center) / spread, data.y[train], 1.0)
        scores.append(np.mean(lo.predict((data.X[test] - center) / spread, w, b) == data.y[test]))
    assert (round(100 * np.mean(scores), 1), round(100 * np.std(scores), 1)) == (97.9, 1.4)


def test_headline_digits():
    data = digits()
    X, X_test, y, y_test = train_test_split(data.X / 16, data.y, test_size=0.25, random_state=0, stratify=data.y)
    W, b = lo.fit_softmax(X, y, 10, 1.0)
    assert round(100 * np.mean(lo.predict_class(X_test, W, b) == y_test), 1) == 96.9


# --- decisions and promises -----------------------------------------------------------------------------------------


def test_predict_compares_log_odds(make):
    X = np.array([[-1.0], [0.0], [1.0], [100.0]])
    for threshold, expected in [
        (0.5, [0, 1, 1, 1]),
        (0.9, [0, 0, 0, 1]),
        (0.3, [0, 1, 1, 1]),
        (1 - 1e-16, [0, 0, 0, 1]),
    ]:
        got = lo.predict(make(X), make(np.array([1.0])), 0.0, threshold)
        np.testing.assert_array_equal(as_numpy(got), expected)
        assert as_numpy(got).dtype == np.int64
    got = lo.predict(make(X), make(np.array([1.0])), -1.0, 0.5)
    np.testing.assert_array_equal(as_numpy(got), [0, 0, 1, 1])


def test_predict_equals_the_threshold_on_probabilities(make):
    X, y = problem(50, 3)
    w, b = lo.fit_logistic(X, y, 1.0)
    for threshold in (0.01, 0.3, 0.77):
        got = lo.predict(make(X), make(w), float(b), threshold)
        np.testing.assert_array_equal(as_numpy(got), lo.sigmoid(X @ w + b) >= threshold)


def test_predict_class_is_the_most_probable(make):
    X, labels = problem(50, 3, 4)
    W, b = lo.fit_softmax(X, labels, 4, 1.0)
    got = as_numpy(lo.predict_class(make(X), make(W), make(b)))
    np.testing.assert_array_equal(got, lo.softmax(X @ W + b).argmax(axis=1))
    assert got.dtype == np.int64
    tie = lo.predict_class(make(np.array([[1.0]])), make(np.array([[0.0, 2.0, 2.0]])), make(np.zeros(3)))
    assert int(tie[0]) == 1


def test_reliability_equals_scikit_learn(make):
    rng = np.random.default_rng(0)
    p = rng.uniform(size=400)
    y = (rng.uniform(size=400) < p**2).astype(int)
    promised, happened, share = (as_numpy(a) for a in lo.reliability_table(make(p), make(y), 8))
    expected_happened, expected_promised = calibration_curve(y, p, n_bins=8)
    np.testing.assert_allclose(promised, expected_promised, rtol=1e-12)
    np.testing.assert_allclose(happened, expected_happened, rtol=1e-12)
    np.testing.assert_allclose(share, np.histogram(p, 8, (0, 1))[0] / 400)


def test_reliability_bins_at_their_borders(make):
    p, y = np.array([0.0, 0.25, 0.5, 1.0]), np.array([0, 1, 0, 1])
    promised, happened, share = (as_numpy(a) for a in lo.reliability_table(make(p), make(y), 4))
    np.testing.assert_allclose(promised, [0, 0.25, 0.5, 1])
    np.testing.assert_allclose(happened, [0, 1, 0, 1])
    np.testing.assert_allclose(share, 0.25)
    promised, happened, share = (as_numpy(a) for a in lo.reliability_table(make(p[:2]), make(y[:2]), 4))
    assert np.isnan(promised[2:]).all()
    assert np.isnan(happened[2:]).all()
    np.testing.assert_allclose(share, [0.5, 0.5, 0, 0])


# --- what users meet ------------------------------------------------------------------------------------------------


def everything(X, y, labels):
    """Call every function once."""
    A = lr.design_matrix(X)
    theta = A[0, :] * 0
    logits = X @ X[:3, :].T
    w, b = lo.fit_logistic(X, y, 0.5)
    W, c = lo.fit_softmax(X, labels, 3, 0.5)
    probability = lo.sigmoid(A @ theta)
    return [
        w, b, W, c, probability,
        lo.log_odds(probability),
        lo.softmax(logits, 0),
        lo.logsumexp(logits, 1),
        lo.softmax_jacobian(lo.softmax(logits)),
        lo.one_hot(labels, 4, X.dtype),
        lo.cross_entropy_from_logits(logits, labels),
        lo.cross_entropy_gradient(logits, labels),
        lo.logistic_loss(A, y, theta),
        lo.logistic_gradient(A, y, theta),
        lo.logistic_hessian(A, theta),
        lo.newton_step(A, y, theta),
        lo.gradient_descent(lambda t: lo.logistic_gradient(A, y, t), theta, 0.1, 3),
        lo.predict(X, w, b, 0.3),
        lo.predict_class(X, W, c),
        *lo.reliability_table(probability, y, 4),
    ]  # fmt: skip


def given_problem():
    X, labels = problem(9, 3, 3)
    return X, (labels == 1).astype(np.int64), labels


def test_inputs_are_never_changed(make):
    inputs = [make(a.copy()) for a in given_problem()]
    everything(*inputs)
    for given_array, original in zip(inputs, given_problem(), strict=True):
        np.testing.assert_array_equal(as_numpy(given_array), original)


def test_both_libraries_agree_in_float64():
    on_numpy = everything(*given_problem())
    on_torch = everything(*(torch.as_tensor(a) for a in given_problem()))
    for a, b in zip(on_numpy, on_torch, strict=True):
        assert isinstance(b, torch.Tensor)
        assert np.asarray(a).dtype in (np.float64, np.int64)
        assert as_numpy(b).dtype == np.asarray(a).dtype
        np.testing.assert_allclose(as_numpy(b), a, rtol=1e-6, atol=1e-8)


def test_float32_stays_float32():
    X, y, labels = (torch.as_tensor(a) for a in given_problem())
    in_double = everything(X, y, labels)
    for value, reference in zip(everything(X.float(), y, labels), in_double, strict=True):
        assert value.dtype in (torch.float32, torch.int64)
        np.testing.assert_allclose(as_numpy(value), as_numpy(reference), rtol=2e-3, atol=2e-3)


def test_meta_device_finds_no_hidden_cpu_tensor():
    X = torch.empty(9, 3, dtype=torch.float64, device="meta")
    y, labels = (torch.empty(9, dtype=torch.int64, device="meta") for _ in range(2))
    for value, real in zip(everything(X, y, labels), everything(*given_problem()), strict=True):
        assert value.device.type == "meta"
        assert tuple(value.shape) == np.shape(real)


def test_meta_device_backward_and_one_step():
    A = torch.empty(7, 3, dtype=torch.float64, device="meta")
    y = torch.empty(7, dtype=torch.float64, device="meta")
    theta = torch.zeros(3, dtype=torch.float64, device="meta", requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    lo.logistic_loss(A, y, theta).backward()
    optimizer.step()
    assert theta.grad.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and a CUDA build of PyTorch")
def test_cuda_tensors_stay_on_their_device():
    on_cpu = everything(*given_problem())
    on_gpu = everything(*(torch.as_tensor(a, device="cuda") for a in given_problem()))
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert b.device.type == "cuda"
        np.testing.assert_allclose(as_numpy(b), a, rtol=1e-6, atol=1e-8)


def test_autograd_flows_through_the_losses():
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = torch.tensor([2, 0, 1, 1])
    assert torch.autograd.gradcheck(lambda z: lo.cross_entropy_from_logits(z, labels), logits)
    assert torch.autograd.gradcheck(lambda z: lo.sigmoid(z), logits)
    y = torch.tensor([0, 1, 1])
    at_zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    assert float(torch.autograd.grad(lo.sigmoid(at_zero).sum(), at_zero)[0][0]) == 0.25
    theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)  # z = 0, where the branches meet
    lo.logistic_loss(logits.detach().T, y, theta).backward()
    expected = lo.logistic_gradient(logits.detach().T, y, theta.detach())
    np.testing.assert_allclose(theta.grad, expected, rtol=1e-12)


def test_module_needs_no_torch():
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError('torch is absent')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import numpy as np\n"
        "from mlcourse import logistic_regression as lo\n"
        "print(lo.fit_logistic(np.array([[0.0], [1.0]]), np.array([0, 1]), 1.0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lo.sigmoid(np.array([1])), TypeError, "its dtype is int64"),
        (lambda: lo.log_odds(np.array([0.5, 1.0])), ValueError, "strictly between 0 and 1"),
        (lambda: lo.log_odds(np.array([0.0])), ValueError, "strictly between 0 and 1"),
        (lambda: lo.softmax(np.ones((2, 3)), 2), ValueError, "so axis must lie from -2 to 1, but it is 2"),
        (lambda: lo.logsumexp(np.ones((2, 3)), -3), ValueError, "but it is -3"),
        (lambda: lo.logsumexp(np.ones((2, 0)), 1), ValueError, r"along axis 1, but its shape is \(2, 0\)"),
        (lambda: lo.one_hot(np.array([0.0]), 2, np.float64), TypeError, "labels must be integers, but .* float64"),
        (lambda: lo.one_hot(np.array([0, 3]), 3, np.float64), ValueError, "from 0 to 2, for 3 classes, .* from 0 to 3"),
        (lambda: lo.one_hot(np.array([-1, 1]), 3, np.float64), ValueError, "go from -1 to 1"),
        (lambda: lo.cross_entropy_from_logits(np.ones((3, 2)), np.array([0])), ValueError, "logits has n = 3 but"),
        (lambda: lo.cross_entropy_from_logits(np.ones((0, 2)), np.array([], int)), ValueError, "one of n .examples."),
        (lambda: lo.cross_entropy_gradient(np.ones((3, 0)), np.zeros(3, int)), ValueError, "one of m .classes."),
        (lambda: lo.logistic_loss(np.ones((3, 2)), np.ones(4), np.ones(2)), ValueError, "A has n = 3 but y has n = 4"),
        (lambda: lo.logistic_loss(np.ones((3, 2)), np.ones(3), np.ones(3)), ValueError, "A has d = 2 but theta has"),
        (lambda: lo.logistic_gradient(np.ones((2, 1)), np.array([-1, 1]), np.ones(1)), ValueError, "must hold 0 or 1"),
        (lambda: lo.logistic_hessian(np.ones((2, 1)), np.ones(3)), ValueError, "A has d = 1 but theta has d = 3"),
        (lambda: lo.newton_step(np.ones((0, 1)), np.ones(0), np.ones(1)), ValueError, "at least one of n"),
        (lambda: lo.gradient_descent(lambda t: t, np.ones(2), 0.1, -1), ValueError, "it is -1"),
        (lambda: lo.gradient_descent(lambda t: np.ones(3), np.ones(2), 0.1, 1), ValueError, r"\(2,\) but its gradient"),
        (lambda: lo.fit_logistic(np.ones((3, 2)), np.ones(2)), ValueError, "X has n = 3 but y has n = 2"),
        (lambda: lo.fit_logistic(np.full((2, 1), np.nan), np.array([0, 1])), ValueError, "X holds 2 values"),
        (lambda: lo.fit_logistic(np.ones((2, 1)), np.array([0, 1]), -1.0), ValueError, "penalty must be .* it is -1.0"),
        (lambda: lo.fit_logistic(np.ones((2, 1)), np.array([0, 1]), np.inf), ValueError, "penalty .* it is inf"),
        (lambda: lo.fit_logistic(np.ones((2, 1)), np.array([1, 2])), ValueError, "y must hold 0 or 1"),
        (lambda: lo.fit_softmax(np.ones((2, 1)), np.array([0, 1]), 1), ValueError, "classes must be 2 or more"),
        (lambda: lo.fit_softmax(np.ones((2, 1)), np.array([0, 1]), 2, np.nan), ValueError, "penalty must be .* is nan"),
        (lambda: lo.fit_softmax(np.ones((2, 1)), np.array([0, 2]), 2, 1.0), ValueError, "go from 0 to 2"),
        (lambda: lo.predict(np.ones((2, 1)), np.ones(1), 0.0, 1.0), ValueError, "threshold must .* but it is 1.0"),
        (lambda: lo.predict(np.ones((2, 1)), np.ones(1), 0.0, 0.0), ValueError, "threshold must .* but it is 0.0"),
        (lambda: lo.predict(np.ones((2, 1)), np.ones(2), 0.0), ValueError, "X has p = 1 but weights has p = 2"),
        (lambda: lo.predict_class(np.ones((2, 1)), np.ones((2, 3)), np.ones(3)), ValueError, "X has p = 1 but W has"),
        (lambda: lo.reliability_table(np.array([1.5]), np.array([1])), ValueError, "must lie between 0 and 1"),
        (lambda: lo.reliability_table(np.array([0.5]), np.array([1]), 0), ValueError, "bins must be 1 or more"),
        (lambda: lo.reliability_table(np.ones(2), np.array([1])), ValueError, "has n = 2 but y has n = 1"),
    ],
)  # fmt: skip
def test_errors_name_both_sides(call, error, message, unchecked):
    with pytest.raises(error, match=message):
        call()


def test_zero_steps_returns_the_start(make):
    path = lo.gradient_descent(lambda t: t, make(np.array([1.0, 2.0])), 0.1, 0)
    np.testing.assert_array_equal(as_numpy(path), [[1.0, 2.0]])


# --- right and wrong answers in the styles of different students -----------------------------------------------------


def stable_by_tanh(z):
    return 0.5 * (1 + np.tanh(z / 2))


def shares_by_logaddexp(z, axis):
    return np.exp(z - np.logaddexp.reduce(z, axis=axis, keepdims=True))


def folded_in_pairs(z, axis):
    total, *others = np.moveaxis(z, axis, 0)
    for part in others:
        total = np.maximum(total, part) + np.log1p(np.exp(-np.abs(total - part)))
    return total


def loss_of_margins(logits, labels):
    behind = logits - np.take_along_axis(logits, labels[:, None], axis=1)
    top = behind.max(axis=1)
    return float(np.mean(top + np.log(np.exp(behind - top[:, None]).sum(axis=1))))


def gradient_by_loops(logits, labels):
    gradient = np.empty_like(logits)
    for i, (row, label) in enumerate(zip(logits, labels, strict=True)):
        powers = np.exp(row - max(row))
        gradient[i] = powers / sum(powers)
        gradient[i, label] -= 1
    return gradient / len(labels)


def step_by_least_squares(A, y, theta):
    p = 1 / (1 + np.exp(-A @ theta))
    root = np.sqrt(p * (1 - p))
    return theta + np.linalg.lstsq(root[:, None] * A, (y - p) / root, rcond=None)[0]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("sigmoid", stable_by_tanh),
        ("softmax", shares_by_logaddexp),
        ("logsumexp", folded_in_pairs),
        ("cross_entropy_from_logits", loss_of_margins),
        ("cross_entropy_gradient", gradient_by_loops),
        ("newton_step", step_by_least_squares),
    ],
)
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_right_answer_in_another_style_gets_full_points(name, answer, seed):
    report = evaluate(f"logistic_regression.{name}", answer, seed)
    assert report.score == 6, report.feedback


@pytest.mark.parametrize("number", [1e-6, 1e-8, 1e-10, 1e-12, 1e-16, 1e-300])
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_small_number_in_the_logarithm_is_recognized_added_or_as_a_bound(number, seed):
    def shares_of_the_truth(logits, labels):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True))[np.arange(len(labels)), labels]

    def added(logits, labels):
        return -np.mean(np.log(shares_of_the_truth(logits, labels) + number))

    def as_a_bound(logits, labels):
        return -np.mean(np.log(np.clip(shares_of_the_truth(logits, labels), number, 1)))

    for wrong in (added, as_a_bound):
        report = evaluate("logistic_regression.cross_entropy_from_logits", wrong, seed)
        assert report.score == 0
        assert "a number that you invented" in " ".join(report.feedback.split()), report.feedback


def test_squeezing_every_axis_is_no_way_to_remove_one():
    def squeezed(z, axis):
        top = z.max(axis=axis, keepdims=True)
        return np.squeeze(top + np.log(np.exp(z - top).sum(axis=axis, keepdims=True)))

    report = evaluate("logistic_regression.logsumexp", squeezed)
    assert (report.score, report.misconception) == (0, "all_short_axes_removed")


def test_an_overflow_that_is_caught_and_harms_no_value_is_right():
    def hidden(z):
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-z))

    report = evaluate("logistic_regression.sigmoid", hidden)
    assert (report.score, report.status) == (6, "passed")


def halves_filled_on_the_wrong_sides(z):
    out, negative = np.zeros_like(z), z < 0
    out[negative] = 1 / (1 + np.exp(-z[negative]))
    power = np.exp(z[~negative])
    out[~negative] = power / (1 + power)
    return out


def halves_swapped_in_a_loop(z):
    return np.array([np.exp(v) / (1 + np.exp(v)) if v >= 0 else 1 / (1 + np.exp(-v)) for v in z.ravel()]).reshape(
        z.shape
    )


def halves_swapped_in_pieces(z):
    return np.piecewise(z, [z <= 0], [lambda v: 1 / (1 + np.exp(-v)), lambda v: np.exp(v) / (1 + np.exp(v))])


def halves_swapped_in_where(z):
    return np.where(z < 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z)))


def one_half_safe_in_where(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(z) / (1 + np.exp(z)))


def other_half_safe_in_where(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))


def both_halves_selected(z):
    return np.select([z >= 0, z < 0], [1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z))])


def overflow_ignored_where_it_harms(z):
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(z) / (1 + np.exp(z))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("submission", "mistake"),
    [
        (halves_filled_on_the_wrong_sides, "sides_swapped"),
        (halves_swapped_in_a_loop, "sides_swapped"),
        (halves_swapped_in_pieces, "sides_swapped"),
        (halves_swapped_in_where, "sides_swapped"),
        (one_half_safe_in_where, "overflow_for_positive_thrown_away"),
        (other_half_safe_in_where, "overflows_for_negative"),
        (both_halves_selected, "both_branches_everywhere"),
        (overflow_ignored_where_it_harms, "overflows_for_positive"),
    ],
)
def test_where_a_sigmoid_overflows_tells_how_its_halves_are_put_together(submission, mistake):
    report = evaluate("logistic_regression.sigmoid", submission)
    assert (report.score, report.misconception) == (0, mistake)


def test_an_overflow_that_harms_no_value_is_shown_with_its_line():
    def turned(z):
        z *= -1
        return 1 / (1 + np.exp(z))

    report = evaluate("logistic_regression.sigmoid", turned)
    assert report.score == 0
    assert report.misconception is None
    assert "FloatingPointError" in report.feedback
    assert "return 1 / (1 + np.exp(z))" in report.feedback


def test_predict_that_weights_the_features_in_place_is_told_which_input_changed():
    def predict(X, weights, intercept, threshold):
        X *= weights
        return (X.sum(axis=1) + intercept >= np.log(threshold / (1 - threshold))).astype(np.int64)

    def predict_class(X, W, b):
        return np.argmax(X @ W + b, axis=1)

    report = evaluate("logistic_regression.predict", (predict, predict_class))
    assert report.misconception == "features_weighted_in_place"
    assert "changes the caller's X" in " ".join(report.feedback.split())


def test_no_input_of_predict_is_shown_as_minus_zero():
    for case in find("logistic_regression.predict").cases(np.random.default_rng(0)):
        for value in case.inputs.values():
            assert not np.any((np.asarray(value) == 0) & np.signbit(value))


def test_return_inside_the_loop_is_recognized_on_the_way_through_the_probability():
    def loss(logits, labels):
        total = 0.0
        for row, label in zip(logits, labels, strict=True):
            powers = np.exp(row - row.max())
            with np.errstate(divide="ignore"):
                total -= np.log(powers[label] / powers.sum())
            return total / len(labels)

    report = evaluate("logistic_regression.cross_entropy_from_logits", loss)
    assert report.misconception == "first_example_over_n_rounded"


def test_a_falling_sigmoid_is_recognized_where_it_overflows():
    report = evaluate("logistic_regression.sigmoid", lambda z: 1 / (1 + np.exp(z)))
    assert report.misconception == "falling_with_overflow"


@pytest.mark.parametrize("number", [1e-8, 1e-10])
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_number_on_the_diagonal_is_found_for_every_seed(number, seed):
    def safe_to_invert(A, y, theta):
        p = 1 / (1 + np.exp(-A @ theta))
        H = A.T @ ((p * (1 - p))[:, None] * A) + number * np.eye(len(theta))
        return theta - np.linalg.inv(H) @ (A.T @ (p - y))

    report = evaluate("logistic_regression.newton_step", safe_to_invert, seed)
    assert report.score == 0
    assert "small number to the diagonal" in " ".join(report.feedback.split())


def sum_of_exponentials(z, axis):
    c = z.max(axis=axis, keepdims=True)
    return (c + np.exp(z - c).sum(axis=axis, keepdims=True)).reshape(np.delete(z.shape, axis))


def binary_logarithm(z, axis):
    with np.errstate(over="ignore", divide="ignore"):
        return np.log2(np.sum(np.exp(z), axis))


def common_logarithm(z, axis):
    c = np.expand_dims(z.max(axis), axis)
    return np.squeeze(c, axis) + np.log10(np.exp(z - c).sum(axis))


def logarithm_of_one_more(z, axis):
    c = np.expand_dims(z.max(axis), axis)
    return np.squeeze(c, axis) + np.log1p(np.exp(z - c).sum(axis))


def clipped(z):
    return np.clip(0.5 + 0.5 * np.tanh(z / 2), 1e-7, 1 - 1e-7)


def shares_above_the_smallest(z, axis):
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(z - np.min(z, axis=axis, keepdims=True))
        return powers / np.sum(powers, axis=axis, keepdims=True)


def shares_below_one_maximum(logits):
    with np.errstate(invalid="ignore"):
        powers = np.exp(logits - np.max(logits))
        return powers / np.sum(powers, axis=1, keepdims=True)


def loss_below_one_maximum(logits, labels):
    with np.errstate(divide="ignore"):
        return float(-np.log(shares_below_one_maximum(logits)[np.arange(len(labels)), labels]).mean())


def gradient_below_one_maximum(logits, labels):
    slopes = shares_below_one_maximum(logits)
    slopes[np.arange(len(labels)), labels] -= 1
    return slopes / len(labels)


def newton_steps(number):
    def steps(A, y, theta):
        for _ in range(number):
            p = 1 / (1 + np.exp(-A @ theta))
            theta = theta - np.linalg.inv(A.T * (p * (1 - p)) @ A) @ A.T @ (p - y)
        return theta

    return steps


def decisions_with_minus(X, weights, intercept, threshold):
    return (1 / (1 + np.exp(-(X @ weights - intercept))) >= threshold).astype(np.int64)


def classes_with_minus(X, W, b):
    return (X @ W - b).argmax(axis=1)


def sigmoid_of_each(z):
    return np.array([1 / (1 + np.exp(-np.maximum(part, -600))) for part in z])


def falling_at_a_single_number(z):
    return float(1 / (1 + np.exp(z))) if z.ndim == 0 else stable_by_tanh(z)


def test_a_single_number_has_a_sigmoid_too():
    report = evaluate("logistic_regression.sigmoid", falling_at_a_single_number)
    assert report.score < 6
    assert "for z = -1.5" in report.feedback


def sum_along_axis_zero(z, axis):
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=0, keepdims=True)


def sum_by_python(z, axis):
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / sum(powers)


def test_the_hint_on_a_sum_along_the_first_axis_fits_both_ways_to_take_it():
    feedback = {
        evaluate("logistic_regression.softmax", wrong).feedback for wrong in (sum_along_axis_zero, sum_by_python)
    }
    assert len(feedback) == 1
    assert ".sum(axis=0) does that, and so does Python's own sum" in " ".join(feedback.pop().split())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "answer", "known"),
    [
        ("sigmoid", clipped, "clipped_at_1e_7"),
        ("sigmoid", sigmoid_of_each, "loop_over_the_first_axis"),
        ("softmax", sum_along_axis_zero, "sum_along_the_first_axis"),
        ("softmax", shares_above_the_smallest, "smallest_subtracted"),
        ("logsumexp", binary_logarithm, "logarithm_to_base_two_and_nothing_taken_out"),
        ("logsumexp", common_logarithm, "logarithm_to_base_ten"),
        ("logsumexp", logarithm_of_one_more, "one_added_to_the_sum"),
        ("logsumexp", sum_of_exponentials, "no_logarithm"),
        ("cross_entropy_from_logits", loss_below_one_maximum, "one_maximum_for_all"),
        ("cross_entropy_gradient", gradient_below_one_maximum, "one_maximum_for_all"),
        ("predict", (decisions_with_minus, classes_with_minus), "both_intercepts_subtracted"),
        ("newton_step", newton_steps(2), "two_steps"),
        ("newton_step", newton_steps(12), "steps_until_nothing_changes"),
        ("newton_step", newton_steps(30), "steps_until_nothing_changes"),
    ],
)
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_wrong_answer_in_another_style_is_recognized(name, answer, known, seed):
    report = evaluate(f"logistic_regression.{name}", answer, seed)
    assert (report.score, report.misconception) == (0, known), report.feedback
