"""Linear regression: the references against NumPy, SciPy, PyTorch and scikit-learn, and what must always hold."""

from __future__ import annotations

import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import scipy.linalg
import sklearn.linear_model
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import train_test_split

from mlcourse import linear_regression as lr
from mlcourse.data import diabetes
from mlcourse.grading import evaluate

torch = pytest.importorskip(
    "torch", reason="the torch half of these tests needs PyTorch: pip install 'mlcourse[torch]'"
)

pytestmark = pytest.mark.parallel

SIZES = [(7, 3), (12, 5), (5, 4), (40, 1)]
finite = st.floats(-1e3, 1e3, allow_nan=False, width=64)


@pytest.fixture
def unchecked():
    """Switch the annotations' own check off, so that the message under test is ours."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def problem(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * rng.uniform(0.5, 3, p) + rng.uniform(-5, 5, p)
    return X, X @ rng.standard_normal(p) + 7 + rng.standard_normal(n)


def as_numpy(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


BACKENDS = {"numpy": np.asarray, "torch": torch.as_tensor}


@pytest.fixture(params=list(BACKENDS))
def make(request):
    """Turn a NumPy array into an array of one of the two libraries."""
    return BACKENDS[request.param]


# --- fits against peers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_least_squares_equals_scikit_learn(n, p, make):
    X, y = problem(n, p)
    w, b = lr.fit_least_squares(make(X), make(y))
    peer = sklearn.linear_model.LinearRegression().fit(X, y)
    np.testing.assert_allclose(as_numpy(w), peer.coef_, rtol=1e-9)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_, rtol=1e-9)


def test_diabetes_equals_scikit_learn_to_1e_8(make):
    data = diabetes()
    w, b = lr.fit_least_squares(make(data.X), make(data.y))
    peer = sklearn.linear_model.LinearRegression().fit(data.X, data.y)
    np.testing.assert_allclose(as_numpy(w), peer.coef_, rtol=1e-8)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_, rtol=1e-8)
    for penalty in [0.01, 1.0, 30.0]:
        w, b = lr.fit_ridge(make(data.X), make(data.y), penalty)
        ridge = sklearn.linear_model.Ridge(alpha=penalty).fit(data.X, data.y)
        np.testing.assert_allclose(as_numpy(w), ridge.coef_, rtol=1e-8)
        np.testing.assert_allclose(as_numpy(b), ridge.intercept_, rtol=1e-8)


def test_diabetes_headline_numbers():
    data = diabetes()
    everything = lr.r2_score(data.y, lr.predict(data.X, *lr.fit_least_squares(data.X, data.y)))
    assert round(float(everything), 4) == 0.5177
    X, X_test, y, y_test = train_test_split(data.X, data.y, test_size=0.2, random_state=0)
    w, b = lr.fit_least_squares(X, y)
    assert round(float(lr.r2_score(y, lr.predict(X, w, b))), 4) == 0.5539
    assert round(float(lr.r2_score(y_test, lr.predict(X_test, w, b))), 4) == 0.3322


@pytest.mark.parametrize("penalty", [0.0, 1e-6, 0.7, 50.0, 1e9])
@pytest.mark.parametrize(("n", "p"), SIZES)
def test_ridge_equals_scikit_learn(n, p, penalty, make):
    X, y = problem(n, p)
    w, b = lr.fit_ridge(make(X), make(y), penalty)
    peer = sklearn.linear_model.Ridge(alpha=penalty, solver="svd").fit(X, y)
    np.testing.assert_allclose(as_numpy(w), peer.coef_, rtol=1e-8)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_, rtol=1e-8)


def test_weighted_fit_equals_scikit_learn(make):
    X, y = problem(12, 5)
    weights = np.random.default_rng(1).uniform(0, 3, 12)
    weights[2] = 0
    w, b = lr.fit_weighted_least_squares(make(X), make(y), make(weights))
    peer = sklearn.linear_model.LinearRegression().fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(as_numpy(w), peer.coef_, rtol=1e-9)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_, rtol=1e-9)


@pytest.mark.parametrize("solve", [lr.solve_normal_equations, lr.solve_qr, lr.solve_svd])
@pytest.mark.parametrize(("n", "p"), SIZES)
def test_solvers_equal_scipy(solve, n, p, make):
    X, y = problem(n, p)
    A = lr.design_matrix(X)
    np.testing.assert_allclose(as_numpy(solve(make(A), make(y))), scipy.linalg.lstsq(A, y)[0], rtol=1e-7)


@pytest.mark.parametrize(("n", "p"), [(9, 4), (3, 6)])
def test_minimum_norm_when_columns_depend_on_one_another(n, p, make):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((n, 2)) @ rng.standard_normal((2, p))
    y = rng.standard_normal(n)
    np.testing.assert_allclose(as_numpy(lr.solve_svd(make(A), make(y))), np.linalg.pinv(A, rcond=1e-12) @ y, rtol=1e-9)
    w, b = lr.fit_least_squares(make(A), make(y))
    peer = sklearn.linear_model.LinearRegression().fit(A, y)
    np.testing.assert_allclose(as_numpy(w), peer.coef_, rtol=1e-8)
    np.testing.assert_allclose(as_numpy(b), peer.intercept_, rtol=1e-8)


def test_ridge_without_penalty_is_least_squares_even_without_full_rank(make):
    X, y = problem(6, 3)
    X = np.column_stack([X, X[:, 0]])
    for ours, theirs in zip(lr.fit_ridge(make(X), make(y), 0.0), lr.fit_least_squares(make(X), make(y)), strict=True):
        np.testing.assert_allclose(as_numpy(ours), as_numpy(theirs), rtol=1e-10)


def test_more_features_than_examples_interpolates(make):
    X, y = problem(4, 9)
    w, b = lr.fit_least_squares(make(X), make(y))
    np.testing.assert_allclose(as_numpy(lr.predict(make(X), w, b)), y, rtol=1e-9)


# --- gradient and descent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p"), SIZES)
def test_loss_and_gradient_equal_autograd(n, p):
    X, y = problem(n, p)
    A = torch.as_tensor(X)
    theta = torch.linspace(-1, 2, p, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.mse_loss(A @ theta, torch.as_tensor(y))
    loss.backward()
    point = theta.detach().numpy()
    np.testing.assert_allclose(lr.mse_loss(X, y, point), loss.item(), rtol=1e-12)
    np.testing.assert_allclose(lr.mse_gradient(X, y, point), theta.grad, rtol=1e-10)
    np.testing.assert_allclose(lr.mse_gradient(A, torch.as_tensor(y), theta.detach()), theta.grad, rtol=1e-10)


def test_autograd_flows_through_fits():
    X, y = (torch.as_tensor(a) for a in problem(9, 3))
    y.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda t: lr.fit_ridge(X, t, 0.5), y)


def test_descent_equals_torch_sgd(make):
    X, y = problem(9, 2)
    A = lr.design_matrix(X)
    step = 0.5 * float(lr.step_size_bound(A))
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=step)
    for _ in range(7):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(torch.as_tensor(A) @ theta, torch.as_tensor(y)).backward()
        optimizer.step()
    path = lr.gradient_descent(make(A), make(y), make(np.zeros(3)), step, 7)
    assert tuple(path.shape) == (8, 3)
    np.testing.assert_allclose(as_numpy(path)[-1], theta.detach(), rtol=1e-10)


def test_descent_from_zero_finds_the_shortest_solution(make):
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((4, 7)), rng.standard_normal(4)
    path = lr.gradient_descent(make(A), make(y), make(np.zeros(7)), 0.5 * float(lr.step_size_bound(A)), 3000)
    np.testing.assert_allclose(as_numpy(path)[-1], lr.solve_svd(A, y), rtol=1e-6)


@pytest.mark.parametrize(("factor", "converges"), [(0.99, True), (1.01, False)])
def test_step_size_bound_is_sharp(factor, converges, make):
    X, y = problem(9, 2)
    A = lr.design_matrix((X - X.mean(0)) / X.std(0))
    path = lr.gradient_descent(make(A), make(y), make(np.zeros(3)), factor * float(lr.step_size_bound(make(A))), 2000)
    distance = np.linalg.norm(as_numpy(path) - lr.solve_svd(A, y), axis=1)
    assert (distance[-1] < 1e-6) == converges
    assert (distance[-1] > distance[0]) == (not converges)


def test_step_size_bound_of_zero_is_infinite(make):
    assert float(lr.step_size_bound(make(np.zeros((3, 2))))) == np.inf


def test_a_step_of_descent_lowers_the_loss(make):
    X, y = problem(9, 2)
    theta = np.array([1.0, -2.0])
    gradient = lr.mse_gradient(make(X), make(y), make(theta))
    assert bool(lr.is_descent_direction(gradient, -gradient))
    assert not bool(lr.is_descent_direction(gradient, gradient))
    step = 0.5 * lr.step_size_bound(X)
    new = lr.take_step(make(theta), float(step), -gradient)
    assert lr.mse_loss(X, y, as_numpy(new)) < lr.mse_loss(X, y, theta)


# --- scores and losses ----------------------------------------------------------------------------------------------


@given(arrays(np.float64, st.integers(2, 9), elements=finite), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_r2_equals_scikit_learn(y, seed):
    predictions = y + np.random.default_rng(seed).standard_normal(y.size)
    assume(np.ptp(y) > 1e-3)  # constant targets have a test of their own
    np.testing.assert_allclose(lr.r2_score(y, predictions), sklearn.metrics.r2_score(y, predictions), rtol=1e-7)
    on_torch = lr.r2_score(torch.as_tensor(y), torch.as_tensor(predictions))
    np.testing.assert_allclose(as_numpy(on_torch), lr.r2_score(y, predictions), rtol=1e-7)


@pytest.mark.parametrize("value", [3.0, 0.1, 0.0])
def test_r2_of_a_constant_target_follows_scikit_learn(value, make):
    y = np.full(5, value)
    assert float(lr.r2_score(make(y), make(y.copy()))) == 1.0
    assert float(lr.r2_score(make(y), make(y + 1))) == 0.0


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(0, 1e6)), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_reductions(losses, seed):
    weights = np.random.default_rng(seed).uniform(0.01, 5, losses.size)
    mean, worst, weighted = lr.reduce_loss(losses, weights)
    np.testing.assert_allclose([mean, worst], [np.mean(losses), np.max(losses)], rtol=1e-12)
    np.testing.assert_allclose(weighted, np.average(losses, weights=weights), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(lr.reduce_loss(losses, 1e3 * weights)[2], weighted, rtol=1e-9, atol=1e-300)
    assert losses.min() * (1 - 1e-9) <= weighted <= worst * (1 + 1e-9)


@pytest.mark.parametrize("loss", [5e-324, 1e-310, 0.0, 1.0, 1e308])
def test_the_weighted_mean_of_equal_losses_is_that_loss(loss):
    weights = np.array([3.0, 0.01, 1.7])
    assert float(lr.reduce_loss(np.full(3, loss), weights)[2]) == pytest.approx(loss, rel=1e-12, abs=0)


# --- what must hold whatever the numbers ----------------------------------------------------------------------------


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 2**31), st.floats(0, 100))
@settings(max_examples=40, deadline=None)
def test_ridge_properties(n, p, seed, penalty):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, p)), rng.standard_normal(n)
    w, b = lr.fit_ridge(X, y, penalty)
    residual = y - lr.predict(X, w, b)
    np.testing.assert_allclose(residual.sum(), 0, atol=1e-8)  # the intercept is free
    np.testing.assert_allclose((X - X.mean(0)).T @ residual, penalty * w, atol=1e-7 * (1 + np.abs(penalty * w).max()))
    shifted, b_shifted = lr.fit_ridge(X, y + 100, penalty)
    np.testing.assert_allclose(shifted, w, atol=1e-7 * (1 + np.abs(w).max()))
    np.testing.assert_allclose(b_shifted, b + 100, rtol=1e-7, atol=1e-7 * (1 + np.abs(w).max()))
    longer, _ = lr.fit_ridge(X, y, penalty / 2)
    assert np.linalg.norm(w) <= np.linalg.norm(longer) * (1 + 1e-9)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_composition_of_affine_maps_is_affine(n, p, m, seed):
    rng = np.random.default_rng(seed)
    X, W1, b1 = rng.standard_normal((n, p)), rng.standard_normal((p, 3)), rng.standard_normal(3)
    W2, b2 = rng.standard_normal((3, m)), rng.standard_normal(m)
    twice = lr.affine_map(lr.affine_map(X, W1, b1), W2, b2)
    np.testing.assert_allclose(twice, lr.affine_map(X, W1 @ W2, b1 @ W2 + b2), atol=1e-9)


def test_affine_map_equals_torch_linear(make):
    layer = torch.nn.Linear(3, 5, dtype=torch.float64)
    X = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = lr.affine_map(*(make(a.detach().numpy()) for a in (X, layer.weight.T, layer.bias)))
    np.testing.assert_allclose(as_numpy(ours), layer(X).detach(), rtol=1e-12, atol=1e-14)


def test_design_matrix_makes_the_intercept_a_weight(make):
    X, _ = problem(6, 2)
    theta = np.array([1.0, -2.0, 0.5])
    A = lr.design_matrix(make(X))
    np.testing.assert_allclose(
        as_numpy(A @ make(theta)), as_numpy(lr.predict(make(X), make(theta[:2]), 0.5)), rtol=1e-12
    )


# --- what users meet ------------------------------------------------------------------------------------------------


def everything(X, y, weights):
    """Call every function once."""
    A, losses = lr.design_matrix(X), y**2
    theta = A[0, :] * 0
    w, b = lr.fit_least_squares(X, y)
    gradient = lr.mse_gradient(A, y, theta)
    return [
        A, w, b, gradient,
        lr.predict(X, w, b),
        lr.affine_map(X, X[:3, :2], y[:2]),
        lr.mse_loss(A, y, theta),
        lr.take_step(theta, 0.1, -gradient),
        lr.is_descent_direction(gradient, -gradient),
        lr.gradient_descent(A, y, theta, 0.01, 3),
        lr.step_size_bound(A),
        lr.solve_normal_equations(A, y), lr.solve_qr(A, y), lr.solve_svd(A, y),
        *lr.fit_ridge(X, y, 0.5),
        *lr.fit_weighted_least_squares(X, y, weights),
        lr.r2_score(y, lr.predict(X, w, b)),
        *lr.reduce_loss(losses, weights),
    ]  # fmt: skip


def test_inputs_are_never_changed(make):
    X, y = problem(7, 3)
    inputs = [make(X.copy()), make(y.copy()), make(np.arange(7.0))]
    everything(*inputs)
    for given_array, original in zip(inputs, (X, y, np.arange(7.0)), strict=True):
        np.testing.assert_array_equal(as_numpy(given_array), original)


def test_both_libraries_agree_in_float64():
    X, y = problem(7, 3)
    on_numpy = everything(X, y, np.arange(7.0))
    on_torch = everything(torch.as_tensor(X), torch.as_tensor(y), torch.arange(7.0, dtype=torch.float64))
    for a, b in zip(on_numpy, on_torch, strict=True):
        assert isinstance(b, torch.Tensor)
        assert a.dtype in (np.float64, np.bool_)
        assert b.dtype in (torch.float64, torch.bool)
        np.testing.assert_allclose(as_numpy(b), a, rtol=1e-7, atol=1e-9)


def test_float32_stays_float32():
    X, y = problem(7, 3)
    for value in everything(
        torch.as_tensor(X).float(), torch.as_tensor(y).float(), torch.arange(7, dtype=torch.float32)
    ):
        assert value.dtype in (torch.float32, torch.bool)


def test_meta_device_finds_no_hidden_cpu_tensor():
    X = torch.empty(7, 3, dtype=torch.float64, device="meta")
    y = torch.empty(7, dtype=torch.float64, device="meta")
    for value in everything(X, y, y):
        assert value.device.type == "meta"


def test_meta_device_backward_and_one_step():
    A = torch.empty(7, 3, dtype=torch.float64, device="meta")
    y = torch.empty(7, dtype=torch.float64, device="meta")
    theta = torch.zeros(3, dtype=torch.float64, device="meta", requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.1)
    lr.mse_loss(A, y, theta).backward()
    optimizer.step()
    assert theta.grad.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and a CUDA build of PyTorch")
def test_cuda_tensors_stay_on_their_device():
    X, y = problem(7, 3)
    on_cpu = everything(X, y, np.arange(7.0))
    on_gpu = everything(*(torch.as_tensor(a, device="cuda") for a in (X, y, np.arange(7.0))))
    for a, b in zip(on_cpu, on_gpu, strict=True):
        assert b.device.type == "cuda"
        np.testing.assert_allclose(as_numpy(b), a, rtol=1e-7, atol=1e-9)


def test_module_needs_no_torch():
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError('torch is absent')\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import numpy as np\n"
        "from mlcourse import linear_regression as lr\n"
        "print(lr.fit_least_squares(np.array([[0.0], [1.0]]), np.array([1.0, 3.0])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_example_gives_its_target(make):
    w, b = lr.fit_least_squares(make(np.array([[2.0, 3.0]])), make(np.array([5.0])))
    np.testing.assert_allclose(as_numpy(w), [0, 0])
    assert float(b) == 5.0


@pytest.mark.parametrize("value", [0.1, 1e8, -3.3])
def test_constant_feature_gets_weight_zero(value, make):
    X, y = problem(9, 2)
    w, b = lr.fit_least_squares(make(np.full((9, 1), value)), make(y))
    np.testing.assert_allclose(as_numpy(w), [0.0])
    np.testing.assert_allclose(as_numpy(b), y.mean())
    w, _ = lr.fit_least_squares(make(np.column_stack([X, np.full(9, value)])), make(y))
    np.testing.assert_allclose(as_numpy(w)[:2], lr.fit_least_squares(X, y)[0], rtol=1e-9)
    assert as_numpy(w)[2] == 0


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_huge_and_tiny_values(scale, make):
    X, y = problem(9, 2)
    w, b = lr.fit_least_squares(make(X * scale), make(y))
    expected, intercept = lr.fit_least_squares(X, y)
    np.testing.assert_allclose(as_numpy(w) * scale, expected, rtol=1e-9)
    np.testing.assert_allclose(as_numpy(b), intercept, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lr.fit_least_squares(np.ones((5, 2)), np.ones(4)), ValueError, "X has n = 5 but y has n = 4"),
        (lambda: lr.fit_ridge(np.ones((5, 2)), np.ones(4), 1.0), ValueError, "X has n = 5 but y has n = 4"),
        (lambda: lr.fit_least_squares(np.ones(5), np.ones(5)), ValueError, r"X must have 2 axes \(n, p\)"),
        (lambda: lr.predict(np.ones((5, 2)), np.ones(3), 0.0), ValueError, "X has p = 2 but weights has p = 3"),
        (lambda: lr.affine_map(np.ones((5, 2)), np.ones((3, 4)), np.ones(4)), ValueError, "X has p = 2 but W has"),
        (lambda: lr.mse_gradient(np.ones((5, 2)), np.ones(5), np.ones(3)), ValueError, "A has d = 2 but theta has"),
        (lambda: lr.take_step(np.ones(2), 0.1, np.ones(3)), ValueError, "theta has d = 2 but direction has d = 3"),
        (lambda: lr.r2_score(np.ones(5), np.ones(4)), ValueError, "y has n = 5 but predictions has n = 4"),
        (lambda: lr.r2_score(np.ones(5), np.ones((5, 1))), ValueError, "predictions must have 1 axes"),
        (lambda: lr.fit_least_squares(np.ones((5, 2), int), np.ones(5)), TypeError, "its dtype is int64"),
        (lambda: lr.fit_least_squares([[1.0]], np.ones(1)), TypeError, "X must be an array"),
        (lambda: lr.fit_least_squares(np.full((5, 2), np.nan), np.ones(5)), ValueError, "X holds 10 values"),
        (lambda: lr.mse_loss(np.ones((3, 1)), np.array([1, 2, np.inf]), np.ones(1)), ValueError, "y holds 1 value"),
        (lambda: lr.fit_ridge(np.ones((5, 2)), np.ones(5), -1.0), ValueError, "penalty must be .* but it is -1.0"),
        (lambda: lr.fit_ridge(np.ones((5, 2)), np.ones(5), np.nan), ValueError, "penalty must be .* but it is nan"),
        (lambda: lr.fit_least_squares(np.ones((0, 2)), np.ones(0)), ValueError, "X and y must have at least one of n"),
        (lambda: lr.fit_least_squares(np.ones((3, 0)), np.ones(3)), ValueError, "X must have at least one of p"),
        (lambda: lr.solve_qr(np.ones((2, 3)), np.ones(2)), ValueError, "n = 2 rows but d = 3 columns"),
        (lambda: lr.solve_qr(np.ones((4, 2)), np.ones(4)), ValueError, "linearly dependent"),
        (lambda: lr.reduce_loss(np.ones(3), np.zeros(3)), ValueError, "weights must not all be 0"),
        (lambda: lr.reduce_loss(np.ones(3), np.array([1.0, -2, 1])), ValueError, "the smallest is -2.0"),
        (lambda: lr.gradient_descent(np.ones((3, 1)), np.ones(3), np.ones(1), 0.1, -1), ValueError, "it is -1"),
    ],
)  # fmt: skip
def test_errors_name_both_sides(call, error, message, unchecked):
    with pytest.raises(error, match=message):
        call()


def test_normal_equations_refuse_a_singular_matrix():
    with pytest.raises(np.linalg.LinAlgError):
        lr.solve_normal_equations(np.array([[1.0, 1.0], [2.0, 2.0]]), np.ones(2))


def test_zero_steps_returns_the_start(make):
    start = make(np.array([1.0, 2.0]))
    path = lr.gradient_descent(make(np.ones((3, 2))), make(np.ones(3)), start, 0.1, 0)
    np.testing.assert_array_equal(as_numpy(path), [[1.0, 2.0]])


# --- exercises ------------------------------------------------------------------------------------------------------


def through_the_means(weights):
    """Fit that finds weights for centered data, and the intercept from the means."""

    def fit(X, y):
        w = weights(X - X.mean(axis=0), y - y.mean())
        return w, y.mean() - X.mean(axis=0) @ w

    return fit


def score_unless(are_equal):
    """R2 with some test for equal targets."""

    def score(y, p):
        if are_equal(y):
            return float(np.all(y == p))
        return 1 - np.sum((y - p) ** 2) / np.sum((y - y.mean()) ** 2)

    return score


def reduced_by(total):
    return lambda losses, weights: (losses.mean(), losses.max(), losses @ weights / total(weights))


@pytest.mark.parametrize(
    ("exercise", "submission"),
    [
        ("fit_least_squares", through_the_means(lambda X, y: np.linalg.pinv(X) @ y)),
        ("fit_least_squares", through_the_means(lambda X, y: np.linalg.pinv(X.T @ X) @ X.T @ y)),
        ("fit_least_squares", through_the_means(lambda X, y: scipy.linalg.lstsq(X, y, lapack_driver="gelsy")[0])),
        ("r2_score", score_unless(lambda y: y.min() == y.max())),
        ("r2_score", score_unless(lambda y: len(set(y.tolist())) == 1)),
        ("reduce_loss", reduced_by(np.sum)),
    ],
)
def test_right_answers_in_other_ways_pass(exercise, submission):
    report = evaluate(f"linear_regression.{exercise}", submission)
    assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize(
    ("exercise", "submission", "mistake"),
    [
        *(
            (
                "fit_least_squares",
                through_the_means(lambda X, y, rcond=rcond: np.linalg.pinv(X, rcond=rcond) @ y),
                "coarse_cutoff",
            )
            for rcond in (0.2, 0.05, 1e-3)
        ),
        ("r2_score", score_unless(lambda y: np.allclose(y, y[0])), "nearly_equal_taken_for_equal"),
        ("r2_score", score_unless(lambda y: np.sum((y - y.mean()) ** 2) < 1e-6), "small_spread_taken_for_none"),
        ("r2_score", score_unless(lambda y: np.std(y) < 1e-8), "small_spread_taken_for_none"),
        ("r2_score", score_unless(lambda y: y[0] == y[-1]), "first_compared_with_last"),
        ("reduce_loss", reduced_by(lambda weights: weights.sum() + 1e-8), "sum_of_the_weights_plus_1e_8"),
        ("reduce_loss", reduced_by(np.count_nonzero), "weighted_sum_over_n"),
        ("mse_gradient", lambda A, y, theta: 2 * np.mean((A @ theta - y)[:, None] ** 2 * A, axis=0), "errors_squared"),
    ],
)
def test_a_mistake_is_recognized_in_another_spelling(exercise, submission, mistake):
    report = evaluate(f"linear_regression.{exercise}", submission)
    assert (report.score, report.misconception) == (0, mistake), report.feedback
