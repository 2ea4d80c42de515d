"""Shapes: the references against NumPy, SciPy, PyTorch and scikit-learn, and what must always hold."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics.pairwise
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlcourse import shapes
from mlcourse.exercises import chapter_exercises, find
from mlcourse.grading import evaluate

torch = pytest.importorskip(
    "torch", reason="the torch half of these tests needs PyTorch: pip install 'mlcourse[torch]'"
)

pytestmark = pytest.mark.parallel

finite = st.floats(-1e3, 1e3, allow_nan=False, width=64)


@pytest.fixture
def unchecked():
    """Switch the annotations' own check off, so that the message under test is ours."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def complex_normal(*shape, seed=0):
    return normal(*shape, seed=seed) + 1j * normal(*shape, seed=seed + 1)


def as_numpy(value):
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


BACKENDS = {"numpy": np.asarray, "torch": torch.as_tensor}


@pytest.fixture(params=list(BACKENDS))
def make(request):
    """Turn a NumPy array into an array of one of the two libraries."""
    return BACKENDS[request.param]


def stack(*widths, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((widths[r], widths[r + 1])) for r in range(len(widths) - 1)]
    return weights, [rng.standard_normal(width) for width in widths[1:]]


# --- dot products and cosines ---------------------------------------------------------------------------------------


@given(st.integers(0, 9), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_dot_equals_numpy_and_obeys_cauchy_and_schwarz(p, seed):
    x, z, u = np.random.default_rng(seed).standard_normal((3, p))
    ours = float(shapes.dot(x, z))
    np.testing.assert_allclose(ours, np.dot(x, z), rtol=1e-12, atol=1e-12)
    assert abs(ours) <= np.linalg.norm(x) * np.linalg.norm(z) * (1 + 1e-12)
    np.testing.assert_allclose(shapes.dot(2 * x + u, z), 2 * ours + shapes.dot(u, z), atol=1e-9)


@pytest.mark.parametrize(("n", "m", "p"), [(3, 5, 4), (1, 2, 7), (6, 1, 3), (4, 4, 1)])
def test_cosines_equal_scikit_learn_scipy_and_torch(n, m, p, make):
    X, Z = normal(n, p) * 3, normal(m, p, seed=1) + 1
    Z[0] = 0  # scikit-learn gives 0 for a row of zeros too
    ours = as_numpy(shapes.cosine_similarity(make(X), make(Z)))
    np.testing.assert_allclose(ours, sklearn.metrics.pairwise.cosine_similarity(X, Z), atol=1e-12)
    distance = scipy.spatial.distance.cdist(X, Z[1:], "cosine")
    np.testing.assert_allclose(ours[:, 1:], 1 - distance, atol=1e-12)
    peer = torch.nn.functional.cosine_similarity(torch.as_tensor(X)[:, None], torch.as_tensor(Z)[None], dim=-1)
    np.testing.assert_allclose(ours, peer, atol=1e-7)


def test_cosines_of_the_same_the_opposite_and_an_orthogonal_direction(make):
    X, Z = np.array([[3.0, 4.0]]), np.array([[6.0, 8.0], [-0.3, -0.4], [-8.0, 6.0], [0.0, 0.0]])
    np.testing.assert_allclose(as_numpy(shapes.cosine_similarity(make(X), make(Z))), [[1, -1, 0, 0]], atol=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_cosines_of_huge_and_tiny_rows(scale, make):
    X, Z = normal(3, 4), normal(5, 4, seed=1)
    ours = shapes.cosine_similarity(make(scale * X), make(Z / scale * 1e-5))
    np.testing.assert_allclose(as_numpy(ours), shapes.cosine_similarity(X, Z), rtol=1e-9)


@given(arrays(np.float64, (3, 4), elements=finite), arrays(np.float64, (2, 4), elements=finite))
@settings(max_examples=80, deadline=None)
def test_cosines_stay_between_minus_one_and_one(X, Z):
    S = shapes.cosine_similarity(X, Z)
    assert S.shape == (3, 2)
    assert np.all(np.abs(S) <= 1)
    own = np.diag(shapes.cosine_similarity(X, X))
    np.testing.assert_allclose(own, np.any(X != 0, axis=1).astype(float), atol=1e-12)
    np.testing.assert_allclose(S, shapes.cosine_similarity(Z, X).T, atol=1e-12)


def test_no_cosine_exceeds_one_by_rounding():
    X = normal(2000, 7)
    assert np.abs(shapes.cosine_similarity(X, X)).max() == 1.0


def test_empty_tables_of_cosines(make):
    assert tuple(shapes.cosine_similarity(make(np.zeros((0, 3))), make(np.ones((2, 3)))).shape) == (0, 2)
    np.testing.assert_array_equal(
        as_numpy(shapes.cosine_similarity(make(np.zeros((2, 0))), make(np.zeros((3, 0))))), np.zeros((2, 3))
    )


# --- random directions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 3, 10, 200])
def test_random_cosines_have_mean_0_and_variance_1_over_p(p):
    cosines = shapes.cosines_of_random_pairs(p, 20_000, np.random.default_rng(p))
    assert cosines.shape == (20_000,)
    assert abs(cosines.mean()) < 5 / np.sqrt(20_000 * p)
    assert abs(cosines.var() * p - 1) < 0.06


@pytest.mark.parametrize("p", [2, 3, 4, 50])
def test_random_cosines_follow_the_beta_law(p):
    cosines = shapes.cosines_of_random_pairs(p, 4000, np.random.default_rng(p))
    law = scipy.stats.beta((p - 1) / 2, (p - 1) / 2, loc=-1, scale=2)  # density ~ (1 - s^2)^((p - 3)/2)
    assert scipy.stats.kstest(cosines, law.cdf).pvalue > 1e-3


def test_random_cosines_are_those_of_normal_vectors_from_the_generator():
    x, z = np.random.default_rng(3).standard_normal((2, 6, 4))
    expected = [1 - scipy.spatial.distance.cosine(a, b) for a, b in zip(x, z, strict=True)]
    np.testing.assert_allclose(shapes.cosines_of_random_pairs(4, 6, np.random.default_rng(3)), expected, atol=1e-12)


def test_no_pairs_have_no_cosines():
    assert shapes.cosines_of_random_pairs(5, 0, np.random.default_rng(0)).shape == (0,)


def test_random_cosines_depend_on_the_generator_alone():
    draws = [shapes.cosines_of_random_pairs(5, 8, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


# --- matrix products ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "p", "m"), [(2, 3, 4), (5, 1, 2), (1, 6, 1), (3, 0, 2), (0, 3, 2), (2, 3, 0)])
def test_the_table_of_dots_is_the_matrix_product(n, p, m, make):
    X, W = normal(n, p), normal(p, m, seed=1)
    ours = shapes.matmul_as_dots(make(X), make(W))
    assert tuple(ours.shape) == (n, m)
    np.testing.assert_allclose(as_numpy(ours), X @ W, rtol=1e-12, atol=1e-12)
    single = shapes.matmul_as_dots(make(X.astype(np.float32)), make(W.astype(np.float32)))
    assert as_numpy(single).dtype == np.float32


def test_another_similarity_can_stand_in_for_the_dot_product():
    seen = []

    def largest_product(x, w):
        seen.append((x.copy(), w.copy()))
        return np.max(x * w)

    X, W = normal(2, 3), normal(3, 4, seed=1)
    table = shapes.matmul_as_dots(X, W, largest_product)
    expected = [[np.max(X[i] * W[:, j]) for j in range(4)] for i in range(2)]
    np.testing.assert_array_equal(table, expected)
    assert len(seen) == 8


# --- axes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 3, 2), (2, 5, 4, 3), (2, 3, 6, 5, 4), (0, 5, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_channels_first_equals_torch_permute(shape, dtype, make):
    images = (normal(*shape) * 50).astype(np.int64).astype(dtype)
    ours = shapes.to_channels_first(make(images))
    axes = (*range(len(shape) - 3), -1, -3, -2)
    peer = torch.as_tensor(images).permute(*(axis % len(shape) for axis in axes)).numpy()
    assert as_numpy(ours).dtype == dtype
    np.testing.assert_array_equal(as_numpy(ours), peer)


def test_channels_first_is_undone_by_moving_the_axis_back_and_copies_nothing():
    images = normal(2, 5, 4, 3)
    ours = shapes.to_channels_first(images)
    np.testing.assert_array_equal(np.moveaxis(ours, -3, -1), images)
    assert np.shares_memory(ours, images)


# --- linearity ------------------------------------------------------------------------------------------------------

W5 = complex_normal(5, 3, seed=7)
FUNCTIONS = {
    "matrix": (lambda x: x @ W5, True),
    "reversed": (lambda x: x[::-1], True),
    "centered": (lambda x: x - x.mean(), True),
    "zero": (lambda x: np.zeros(2), True),
    "huge matrix": (lambda x: 1e12 * (x @ W5), True),
    "tiny matrix": (lambda x: 1e-12 * (x @ W5), True),
    "nothing": (lambda x: x[:0], True),
    "affine": (lambda x: x @ W5 + 1, False),
    "tiny affine": (lambda x: 1e-12 * (x @ W5 + 1), False),
    "square": (lambda x: x**2, False),
    "conjugate": (np.conj, False),
    "absolute": (np.abs, False),
    "ratio": (lambda x: x * x[0] / x[1], False),
    "one output of several": (lambda x: np.append(x @ W5, x[0] ** 2), False),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_linear_functions_are_told_from_others(name, seed):
    f, expected = FUNCTIONS[name]
    x, z = complex_normal(2, 5, seed=3 * seed)
    assert bool(shapes.is_linear(f, x, z, 1.3 - 0.8j)) is expected


def test_real_factors_and_vectors_let_the_conjugate_pass():
    x, z = complex_normal(2, 5)
    assert shapes.is_linear(np.conj, x, z, 1.7)
    assert not shapes.is_linear(np.conj, x, z, 1.7j)
    assert shapes.is_linear(np.conj, x.real, z.real, 1.7)


def test_each_rule_is_needed():
    x, z = complex_normal(2, 5)
    keeps_multiples_only = lambda x: x * x[0] / x[1]  # noqa: E731
    np.testing.assert_allclose(keeps_multiples_only(2j * x), 2j * keeps_multiples_only(x))
    assert not shapes.is_linear(keeps_multiples_only, x, z, 2j)
    np.testing.assert_allclose(np.conj(x + z), np.conj(x) + np.conj(z))
    assert not shapes.is_linear(np.conj, x, z, 2j)


def test_linearity_on_tensors():
    x, z = torch.as_tensor(normal(2, 5))
    layer = torch.nn.Linear(5, 3, dtype=torch.float64)
    without = torch.nn.Linear(5, 3, bias=False, dtype=torch.float64)
    assert bool(shapes.is_linear(without, x, z, 1.7))
    assert not bool(shapes.is_linear(layer, x, z, 1.7))
    assert not bool(shapes.is_linear(torch.relu, x, z, -1.7))


def test_rounding_of_large_terms_that_cancel_is_no_proof():
    W, x, rest = normal(5, 3), 1e12 * normal(5, seed=1), normal(5, seed=2)
    z = rest - x  # x + z is about 1, and its terms about 1e12
    assert shapes.is_linear(lambda x: x @ W, x, z, 1.7)


def test_the_tolerance_counts():
    x, z = normal(2, 5)
    almost = lambda x: x + 1e-4 * x**2  # noqa: E731
    assert not shapes.is_linear(almost, x, z, 1.7)
    assert shapes.is_linear(almost, x, z, 1.7, rtol=1e-2)


# --- embeddings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 1, 4)])
def test_embed_equals_torch_and_the_one_hot_product(shape, make):
    ids, table = np.random.default_rng(0).integers(0, 7, shape), normal(7, 3)
    ours = shapes.embed(make(ids), make(table))
    assert tuple(ours.shape) == (*shape, 3)
    np.testing.assert_array_equal(
        as_numpy(ours), torch.nn.functional.embedding(torch.as_tensor(ids), torch.as_tensor(table))
    )
    rows = shapes.one_hot(make(ids), 7)
    np.testing.assert_array_equal(as_numpy(rows), torch.nn.functional.one_hot(torch.as_tensor(ids), 7))
    np.testing.assert_allclose(as_numpy(rows @ make(table)), as_numpy(ours), rtol=1e-15)


def test_one_hot_dtypes(make):
    ids = make(np.array([0, 2]))
    assert as_numpy(shapes.one_hot(ids, 3)).dtype == np.float64
    float32 = torch.float32 if isinstance(ids, torch.Tensor) else np.float32
    assert as_numpy(shapes.one_hot(ids, 3, dtype=float32)).dtype == np.float32


# --- layers that collapse -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_one_layer_does_the_work_of_the_stack(widths, seed):
    weights, biases = stack(*widths, seed=seed)
    X = normal(6, widths[0], seed=seed)
    W, b = shapes.collapse_linear_layers(weights, biases)
    assert W.shape == (widths[0], widths[-1])
    assert b.shape == (widths[-1],)
    np.testing.assert_allclose(X @ W + b, shapes.apply_linear_layers(X, weights, biases), atol=1e-9)
    assert np.linalg.matrix_rank(W) <= min(widths)


def test_a_stack_equals_torch_sequential(make):
    net = torch.nn.Sequential(*(torch.nn.Linear(*sizes, dtype=torch.float64) for sizes in [(3, 5), (5, 2), (2, 4)]))
    weights = [make(layer.weight.detach().numpy().T.copy()) for layer in net]
    biases = [make(layer.bias.detach().numpy().copy()) for layer in net]
    X = normal(6, 3)
    expected = net(torch.as_tensor(X)).detach()
    np.testing.assert_allclose(as_numpy(shapes.apply_linear_layers(make(X), weights, biases)), expected, rtol=1e-9)
    W, b = shapes.collapse_linear_layers(weights, biases)
    np.testing.assert_allclose(as_numpy(make(X) @ W + b), expected, rtol=1e-9, atol=1e-12)


def test_a_single_layer_is_copied():
    weights, biases = stack(3, 2)
    W, b = shapes.collapse_linear_layers(weights, biases)
    np.testing.assert_array_equal(W, weights[0])
    np.testing.assert_array_equal(b, biases[0])
    assert not np.shares_memory(W, weights[0])
    assert not np.shares_memory(b, biases[0])


# --- what users meet ------------------------------------------------------------------------------------------------


def everything(X, Z, ids, images):
    """Call every function once."""
    weights, biases = [Z.T, Z], [Z[:, 0], Z[0, :]]
    rows = shapes.one_hot(ids, Z.shape[0], dtype=Z.dtype)
    return [
        shapes.dot(X[0, :], Z[0, :]),
        shapes.cosine_similarity(X, Z),
        shapes.matmul_as_dots(X, Z.T),
        shapes.to_channels_first(images),
        shapes.is_linear(lambda x: 2 * x, X[0, :], Z[0, :], 1.5),
        rows,
        shapes.embed(ids, Z),
        shapes.apply_linear_layers(X, weights, biases),
        *shapes.collapse_linear_layers(weights, biases),
    ]


INPUTS = normal(3, 4), normal(5, 4, seed=1), np.array([[4, 0], [2, 2], [1, 3]]), normal(2, 5, 4, 3)


def test_inputs_are_never_changed(make):
    inputs = [make(array.copy()) for array in INPUTS]
    everything(*inputs)
    for given_array, original in zip(inputs, INPUTS, strict=True):
        np.testing.assert_array_equal(as_numpy(given_array), original)


def test_both_libraries_agree_in_float64():
    for a, b in zip(everything(*INPUTS), everything(*(torch.as_tensor(array) for array in INPUTS)), strict=True):
        assert isinstance(b, torch.Tensor)
        assert str(b.dtype).removeprefix("torch.") == str(np.asarray(a).dtype)
        np.testing.assert_allclose(as_numpy(b), a, rtol=1e-12, atol=1e-12)


def test_float32_stays_float32():
    inputs = (torch.as_tensor(array) for array in INPUTS)
    for value in everything(*(array.float() if array.is_floating_point() else array for array in inputs)):
        assert value.dtype in (torch.float32, torch.bool)


def test_meta_device_finds_no_hidden_cpu_tensor():
    for value in everything(*(torch.as_tensor(array).to("meta") for array in INPUTS)):
        assert value.device.type == "meta"


def test_meta_device_backward_and_one_step():
    table = torch.zeros(5, 4, dtype=torch.float64, device="meta", requires_grad=True)
    weights = torch.zeros(4, 3, dtype=torch.float64, device="meta", requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, device="meta")
    optimizer = torch.optim.SGD([table, weights], lr=0.1)
    rows = shapes.embed(torch.empty(6, dtype=torch.int64, device="meta"), table)
    shapes.cosine_similarity(shapes.apply_linear_layers(rows, [weights], [bias]), weights).sum().backward()
    optimizer.step()
    assert table.grad.device.type == weights.grad.device.type == "meta"


def test_gradients_flow_to_the_rows_that_were_looked_up():
    table = torch.as_tensor(normal(5, 2)).requires_grad_()
    shapes.embed(torch.tensor([3, 3, 0]), table).sum().backward()
    np.testing.assert_array_equal(table.grad, [[1, 1], [0, 0], [0, 0], [2, 2], [0, 0]])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and a CUDA build of PyTorch")
def test_cuda_tensors_stay_on_their_device():
    on_gpu = everything(*(torch.as_tensor(array, device="cuda") for array in INPUTS))
    for a, b in zip(everything(*INPUTS), on_gpu, strict=True):
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
        "from mlcourse import shapes\n"
        "print(shapes.cosine_similarity(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


ONE, TWO = np.ones((5, 2)), np.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: shapes.dot(np.ones(2), np.ones(3)), ValueError, "x has p = 2 but z has p = 3"),
        (lambda: shapes.dot(np.ones((1, 2)), np.ones(2)), ValueError, r"x must have 1 axes \(p\)"),
        (lambda: shapes.dot(np.ones(2, int), np.ones(2)), TypeError, "x must hold floating-point numbers"),
        (lambda: shapes.cosine_similarity(ONE, TWO), ValueError, "X has p = 2 but Z has p = 3"),
        (lambda: shapes.cosine_similarity(ONE, np.ones(2)), ValueError, r"Z must have 2 axes \(m, p\)"),
        (lambda: shapes.cosine_similarity(ONE, ONE * np.nan), ValueError, "Z holds 10 values that are not finite"),
        (lambda: shapes.cosine_similarity(ONE.astype(int), ONE), TypeError, "X must hold .* its dtype is int64"),
        (lambda: shapes.cosine_similarity([[1.0]], ONE), TypeError, "X must be an array"),
        (lambda: shapes.matmul_as_dots(ONE, TWO), ValueError, "X has p = 2 but W has p = 4"),
        (lambda: shapes.matmul_as_dots(ONE, np.ones((2, 2), int)), TypeError, "W must hold floating-point numbers"),
        (lambda: shapes.to_channels_first(ONE), ValueError, "images must have at least 3 axes"),
        (lambda: shapes.is_linear(np.abs, np.ones(2), np.ones(3), 2.0), ValueError, "x has p = 2 but z has p = 3"),
        (
            lambda: shapes.is_linear(lambda x: np.ones(int(x[0])), np.ones(2), np.ones(2), 2.0),
            ValueError,
            r"same shape for every vector .* returned \(2,\), \(1,\), \(1,\)",
        ),
        (lambda: shapes.one_hot(np.array([0.0]), 3), TypeError, "ids must hold integers, but their dtype is float64"),
        (lambda: shapes.one_hot(np.array([0, 3]), 3), ValueError, "between 0 and 2, for 3 tokens, .* of them is 3"),
        (lambda: shapes.embed(np.array([-1, 0]), ONE), ValueError, "between 0 and 4, .* but one of them is -1"),
        (lambda: shapes.embed(np.array([1.0]), ONE), TypeError, "ids must hold integers"),
        (lambda: shapes.embed(np.array([1]), np.ones((3, 2), int)), TypeError, "table must hold floating"),
        (lambda: shapes.embed(np.array([1]), np.ones(3)), ValueError, r"table must have 2 axes \(V, C\)"),
        (lambda: shapes.collapse_linear_layers([], []), ValueError, "a layer, but 0 and 0 came"),
        (lambda: shapes.collapse_linear_layers([ONE], []), ValueError, "but 1 and 0 came"),
        (lambda: shapes.collapse_linear_layers([ONE, TWO], [ONE[0], TWO[0]]), ValueError, "W_1 has d_1 = 2 but W_2"),
        (lambda: shapes.collapse_linear_layers([ONE], [np.ones(3)]), ValueError, "W_1 has d_1 = 2 but b_1 has d_1 = 3"),
        (lambda: shapes.collapse_linear_layers([ONE.astype(int)], [np.ones(2)]), TypeError, "W_1 must hold floating"),
        (lambda: shapes.apply_linear_layers(TWO, [ONE], [np.ones(2)]), ValueError, "X has d_0 = 3 but W_1 has d_0 = 5"),
        (lambda: shapes.apply_linear_layers(np.ones((3, 5), int), [ONE], [np.ones(2)]), TypeError, "X must hold"),
        (
            lambda: shapes.cosines_of_random_pairs(0, 5, np.random.default_rng(0)),
            ValueError,
            "p must be 1 or more and pairs 0 or more, but p = 0 and pairs = 5",
        ),
        (lambda: shapes.cosines_of_random_pairs(2, -1, np.random.default_rng(0)), ValueError, "pairs = -1"),
    ],
)  # fmt: skip
def test_errors_name_both_sides(call, error, message, unchecked):
    with pytest.raises(error, match=message):
        call()


# --- right answers in another style get full points -----------------------------------------------------------------


def unit_rows_and_einsum(X, Z):
    def unit(A):
        A = A / np.where(np.abs(A).max(1) > 0, np.abs(A).max(1), 1)[:, None]
        length = np.sqrt(np.einsum("ij,ij->i", A, A))
        return A / np.where(length > 0, length, 1)[:, None]

    return np.einsum("ip,jp->ij", unit(X), unit(Z))


def nan_to_num_of_the_quotient(X, Z):
    with np.errstate(all="ignore"):
        X, Z = (np.nan_to_num(A / np.abs(A).max(axis=1, keepdims=True)) for A in (X, Z))
        return np.nan_to_num(X @ Z.T / np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)))


def loops_over_the_longest_side(X, Z):
    table = np.zeros((len(X), len(Z)))
    for i, j in np.ndindex(*table.shape):
        sizes = math.hypot(*X[i]), math.hypot(*Z[j])  # no overflow, as its squares are scaled
        if all(sizes):
            table[i, j] = sum((X[i] / sizes[0]) * (Z[j] / sizes[1]))
    return table


def along_axes(X, W, dot):
    return np.apply_along_axis(lambda x: np.apply_along_axis(lambda w: dot(x, w), 0, W), 1, X)


def vectorized_indices(X, W, dot):
    entry = np.vectorize(lambda i, j: dot(X[i], W[:, j]))
    return entry(*np.indices((len(X), W.shape[1])))


def filled_table(X, W, dot):
    table = np.empty((X.shape[0], W.shape[1]))
    for (i, j), _ in np.ndenumerate(table):
        table[i, j] = dot(list(X[i]), list(W[:, j]))
    return table


def added_to_zeros(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    for j, i in np.ndindex(W.shape[1], X.shape[0]):
        table[i, j] += dot(X[i, :], W[:, j])
    return table


def transposed_by_number_of_axes(images):
    return images.transpose((2, 0, 1) if images.ndim == 3 else (0, 3, 1, 2))


def swapped_twice(images):
    return images.swapaxes(-1, -2).swapaxes(-2, -3)


def by_einsum(images):
    return np.einsum("...hwc->...chw", images)


def both_rules_at_once(f, x, z, c):
    return np.allclose(f(c * x + z), c * f(x) + f(z))


def difference_is_small(f, x, z, c):
    off = [f(x + z) - f(x) - f(z), f(c * z) - c * f(z), f(0 * x)]
    size = max(np.abs(value).max() for value in (f(x), f(z), f(x + z), f(c * z)))
    return max(np.abs(value).max() for value in off) <= 1e-8 * size


def plain_loop_over_ids(ids, table):
    rows = [table[i] for i in ids.flatten()]
    return np.array(rows, dtype=float).reshape(*ids.shape, table.shape[1])


def product_with_the_identity(ids, table):
    return np.eye(len(table))[ids] @ table


def taken(ids, table):
    return np.take(table, ids, axis=0)


def backwards(weights, biases):
    W, b = weights[-1], biases[-1]
    for W_before, b_before in zip(weights[-2::-1], biases[-2::-1], strict=True):
        b = b_before @ W + b
        W = W_before @ W
    return W, b


def with_a_column_of_ones(weights, biases):
    total = None
    for W, b in zip(weights, biases, strict=True):
        block = np.block([[W, np.zeros((len(W), 1))], [b[None], np.ones((1, 1))]])
        total = block if total is None else total @ block
    return [total[:-1, :-1], total[-1, :-1]]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("cosine_similarity", unit_rows_and_einsum),
        ("cosine_similarity", nan_to_num_of_the_quotient),
        ("cosine_similarity", loops_over_the_longest_side),
        ("matmul_as_dots", along_axes),
        ("matmul_as_dots", vectorized_indices),
        ("matmul_as_dots", filled_table),
        ("matmul_as_dots", added_to_zeros),
        ("to_channels_first", transposed_by_number_of_axes),
        ("to_channels_first", swapped_twice),
        ("to_channels_first", by_einsum),
        ("is_linear", both_rules_at_once),
        ("is_linear", difference_is_small),
        ("embed", plain_loop_over_ids),
        ("embed", product_with_the_identity),
        ("embed", taken),
        ("collapse_linear_layers", backwards),
        ("collapse_linear_layers", with_a_column_of_ones),
    ],
)
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3, 4])
def test_a_right_answer_in_another_style_gets_full_points(name, answer, seed):
    report = evaluate(f"shapes.{name}", answer, seed)
    assert report.score == 6, report.feedback


def test_overflow_of_squares_costs_a_part_of_the_points_and_is_named():
    def plain(X, Z):
        lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
        return np.divide(X @ Z.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    report = evaluate("shapes.cosine_similarity", plain)
    assert 3 < report.score < 6
    assert "squares overflow" in " ".join(report.feedback.split())


def test_one_scale_for_a_whole_table_costs_a_part_of_the_points():
    def scaled_by_the_largest_of_all(X, Z):
        X, Z = (A / max(np.abs(A).max(), 1e-300) for A in (X, Z))
        lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
        return np.divide(X @ Z.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    report = evaluate("shapes.cosine_similarity", scaled_by_the_largest_of_all)
    assert 3 < report.score < 6


@pytest.mark.parametrize("constant", [1e-16, 1e-12, 1e-8])
@pytest.mark.parametrize("seed", [1805, 0, 1])
def test_any_small_constant_in_the_lengths_is_recognized(constant, seed):
    def added_to_the_product(X, Z):
        return X @ Z.T / (np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)) + constant)

    def added_to_each(X, Z):
        X, Z = (A / (np.linalg.norm(A, axis=1, keepdims=True) + constant) for A in (X, Z))
        return X @ Z.T

    def raised_to_it(X, Z):
        X, Z = (A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), constant) for A in (X, Z))
        return X @ Z.T

    def added_after_scaling_too(X, Z):
        X, Z = (A / (np.abs(A).max(axis=1, keepdims=True) + constant) for A in (X, Z))
        return X @ Z.T / (np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1)) + constant)

    def added_to_each_after_scaling_too(X, Z):
        X, Z = (A / (np.abs(A).max(axis=1, keepdims=True) + constant) for A in (X, Z))
        X, Z = (A / (np.linalg.norm(A, axis=1, keepdims=True) + constant) for A in (X, Z))
        return X @ Z.T

    scaled = (added_after_scaling_too, added_to_each_after_scaling_too)
    for wrong in (added_to_the_product, added_to_each, raised_to_it, *scaled):
        report = evaluate("shapes.cosine_similarity", wrong, seed)
        assert (report.score, report.misconception) == (0, "constant_in_the_denominator"), report.feedback


def test_a_constant_in_the_scale_alone_is_named():
    def added_to_the_largest_value(X, Z):
        X, Z = (A / (np.abs(A).max(axis=1, keepdims=True) + 1e-12) for A in (X, Z))
        lengths = np.outer(np.linalg.norm(X, axis=1), np.linalg.norm(Z, axis=1))
        return np.divide(X @ Z.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    report = evaluate("shapes.cosine_similarity", added_to_the_largest_value)
    assert report.score < 6
    assert "Nothing may be added to that value" in " ".join(report.feedback.split())


@pytest.mark.parametrize("tolerance", [1e-12, 1e-9, 1e-6])
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_any_fixed_tolerance_is_recognized(tolerance, seed):
    def close_by_a_fixed_number(f, x, z, c):
        return bool(max(np.abs(f(x + z) - f(x) - f(z)).max(), np.abs(f(c * x) - c * f(x)).max()) < tolerance)

    report = evaluate("shapes.is_linear", close_by_a_fixed_number, seed)
    assert (report.score, report.misconception) == (0, "fixed_tolerance"), report.feedback


@pytest.mark.parametrize(
    ("loose", "known"),
    [
        ({"atol": 1}, "large_absolute_tolerance"),
        ({"atol": 0.1}, "large_absolute_tolerance"),
        ({"atol": 0.001}, "large_absolute_tolerance"),
        ({"rtol": 0.01, "atol": 0.01}, "large_absolute_tolerance"),
        ({"rtol": 0.3}, "large_relative_tolerance"),
        ({"rtol": 0.1}, "large_relative_tolerance"),
    ],
)
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_loose_tolerance_earns_nothing_and_is_recognized(loose, known, seed):
    def two_rules(f, x, z, c):
        return np.allclose(f(x + z), f(x) + f(z), **loose) and np.allclose(f(c * x), c * f(x), **loose)

    def both_at_once(f, x, z, c):
        return np.allclose(f(c * x + z), c * f(x) + f(z), **loose)

    reports = [evaluate("shapes.is_linear", wrong, seed) for wrong in (two_rules, both_at_once)]
    assert [report.score for report in reports] == [0, 0]
    assert {report.misconception for report in reports} <= {known, None}  # two large numbers may agree by chance
    assert loose.keys() == {"rtol"} or None not in {report.misconception for report in reports}


@pytest.mark.parametrize("atol", [0, 1e-8, 1e-6])
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_a_tolerance_like_that_of_allclose_is_right(atol, seed):
    def both_at_once(f, x, z, c):
        return np.allclose(f(c * x + z), c * f(x) + f(z), atol=atol)

    assert evaluate("shapes.is_linear", both_at_once, seed).score == 6


def multiplied_and_divided_again(f, x, z, c):
    x *= c
    multiple = f(x)
    x /= c
    return np.allclose(f(x + z), f(x) + f(z)) and np.allclose(multiple, c * f(x))


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (lambda f, x, z, c: np.allclose(f(c * x + z), c * (f(x) + f(z))), "factor_of_both_on_one_side"),
        (lambda f, x, z, c: np.allclose(f(x + c * z), c * f(x) + f(z)), "factor_lost"),
        (lambda f, x, z, c: np.isclose(np.linalg.norm(f(x + c * z)), np.linalg.norm(f(x) + c * f(z))),
         "lengths_compared_at_once"),
        (multiplied_and_divided_again, "changed_and_changed_back"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3])
def test_mistakes_of_one_kind_get_one_hint(answer, known, seed):
    report = evaluate("shapes.is_linear", answer, seed)
    assert (report.score, report.misconception) == (0, known), report.feedback


def test_a_vector_that_is_changed_for_good_is_named():
    def added_in_place(f, x, z, c):
        total = f(x) + f(z)
        multiple = c * f(z)
        x += z
        return np.allclose(f(x), total) and np.allclose(f(c * z), multiple)

    report = evaluate("shapes.is_linear", added_in_place)
    assert report.score < 6
    assert "changes its input x" in report.feedback


def dot_called_idly(X, W, dot):
    for _ in range(X.shape[0] * W.shape[1]):
        dot(X[0], W[:, 0])
    return X @ W


def dot_called_for_each_entry_and_dropped(X, W, dot):
    for i, j in np.ndindex(X.shape[0], W.shape[1]):
        dot(X[i], W[:, j])
    return X @ W


def offset_of_one_call_added_to_all(X, W, dot):
    return X @ W + (dot(X[0], W[:, 0]) - X[0] @ W[:, 0])


def first_row_by_dot(X, W, dot):
    table = X @ W
    table[0] = [dot(X[0], w) for w in W.T]
    return table


@pytest.mark.parametrize(("answer", "found"), [(first_row_by_dot, 2), (offset_of_one_call_added_to_all, 1)])
def test_a_table_that_dot_made_only_in_part_says_what_was_seen_and_expected(answer, found):
    report = evaluate("shapes.matmul_as_dots", answer)
    assert (report.score, report.misconception) == (0, None)
    said = " ".join(report.feedback.split())
    assert f"you return '{found} of 4 entries are numbers that dot returned', expected '4 of 4" in said


def weights_that_sum_to_one(f, x, z, c):
    return np.allclose(f(c * x + (1 - c) * z), c * f(x) + (1 - c) * f(z))


def test_the_function_that_fails_is_named():
    report = evaluate("shapes.is_linear", lambda f, x, z, c: True)
    assert "x @ W + b" in report.feedback


@pytest.mark.parametrize(
    ("name", "answer", "known"),
    [
        ("is_linear", weights_that_sum_to_one, "shift_subtracted"),
        ("is_linear", lambda f, x, z, c: np.allclose(f(x - z), f(x) - f(z)), "additivity_only"),
        ("is_linear", lambda f, x, z, c: np.isclose(np.mean(f(c * x + z)), np.mean(c * f(x) + f(z))),
         "one_number_compared"),
        ("is_linear", lambda f, x, z, c: np.isclose(f(c * x + z)[0], c * f(x)[0] + f(z)[0]), "one_number_compared"),
        ("is_linear", lambda f, x, z, c: np.allclose(f(x + z), f(x) + f(z)) and np.allclose(f(2 * x), 2 * f(x)),
         "additivity_only"),
        ("matmul_as_dots", lambda X, W, dot: np.einsum("ik,kj->ij", X, W), "the_operator"),
        ("matmul_as_dots", dot_called_idly, "the_operator"),
        ("matmul_as_dots", dot_called_for_each_entry_and_dropped, "the_operator"),
        ("embed", lambda ids, table: table[ids - 1], "counted_from_one"),
        ("to_channels_first", lambda images: images.reshape(*images.shape[:-3], images.shape[-1], *images.shape[-3:-1]),
         "reshaped"),
    ],
)  # fmt: skip
def test_a_wrong_answer_in_another_style_is_recognized(name, answer, known):
    report = evaluate(f"shapes.{name}", answer, 3)
    assert (report.score, report.misconception) == (0, known), report.feedback


def test_the_worked_case_alone_tells_nearly_every_mistake_apart():
    from mlcourse.grading.candidate import LocalCandidate
    from mlcourse.grading.diagnosis import same_outcome
    from mlcourse.grading.evaluate import stream

    for name in ("cosine_similarity", "matmul_as_dots", "to_channels_first", "is_linear", "embed"):
        exercise = find(f"shapes.{name}")
        cases = [case for case in exercise.cases(stream(0, name)) if case.group == "worked"]
        right = [LocalCandidate(exercise, exercise.reference).call(case.inputs) for case in cases]
        for mistake in exercise.misconceptions:
            if mistake.name in {"constant_in_the_denominator", "fixed_tolerance"}:
                continue  # only very small and very large numbers show them
            wrong = [LocalCandidate(exercise, mistake.implementation).call(case.inputs) for case in cases]
            same = [same_outcome(a, b, exercise.rtol, exercise.atol) for a, b in zip(wrong, right, strict=True)]
            assert not all(same), f"{name}: {mistake.name} is right on the worked cases"


def test_what_runs_a_submission_needs_numpy_alone():
    """The sandbox ships this function without the module that it stands in."""
    for exercise in chapter_exercises("shapes").values():
        assert set(inspect.getclosurevars(exercise.run).globals) <= {"np"}, exercise.name
