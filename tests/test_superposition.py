import math

import numpy as np
import pytest
import torch
from devices import DEVICES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.stats import beta, kstest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from mlcourse import superposition as sp
from mlcourse.grading import evaluate
from mlcourse.trainings import superposition as trainings

pytestmark = pytest.mark.parallel

F64 = torch.float64
QUICK = sp.Recipe(steps=300, batch=128, rate=0.03)


def normal(rng, *shape, grad=False):
    return torch.randn(*shape, generator=rng, dtype=F64).requires_grad_(grad)


def uniform(rng, *shape):
    return torch.rand(*shape, generator=rng, dtype=F64)


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def polygon(corners):
    angle = 2 * math.pi * torch.arange(corners, dtype=F64) / corners
    return torch.stack((angle.cos(), angle.sin()), dim=1)


def antiprism():
    height = math.sqrt(1 / 3)
    half = math.sqrt(1 / 2)
    turned = torch.tensor([[half, half], [-half, half]], dtype=F64)
    square = polygon(4)
    floor = torch.cat((math.sqrt(2 / 3) * square, torch.full((4, 1), -height, dtype=F64)), dim=1)
    roof = torch.cat((math.sqrt(2 / 3) * square @ turned, torch.full((4, 1), height, dtype=F64)), dim=1)
    return torch.cat((floor, roof))


# The model


def loop_forward(x, W, b, relu):
    rows = []
    for example in x.tolist():
        hidden = [sum(example[i] * W[i][k] for i in range(len(W))) for k in range(len(W[0]))]
        out = [sum(hidden[k] * W[i][k] for k in range(len(hidden))) + b[i] for i in range(len(W))]
        rows.append([max(value, 0.0) for value in out] if relu else out)
    return torch.tensor(rows, dtype=F64)


@pytest.mark.parametrize(("forward", "relu"), [(sp.toy_forward, True), (sp.linear_forward, False)])
def test_the_models_equal_loops_over_single_numbers(rng, forward, relu):
    x, W, b = normal(rng, 4, 5), normal(rng, 5, 3), normal(rng, 5)
    close(forward(x, W, b), loop_forward(x, W.tolist(), b.tolist(), relu))


@pytest.mark.parametrize("forward", [sp.toy_forward, sp.linear_forward])
@pytest.mark.parametrize("axes", [(2,), (2, 3)])
def test_instances_are_models_of_their_own(rng, forward, axes):
    x, W, b = normal(rng, *axes, 4, 5), normal(rng, *axes, 5, 3), normal(rng, *axes, 5)
    together = forward(x, W, b)
    for place in np.ndindex(*axes):
        close(together[place], forward(x[place], W[place], b[place]))


def test_the_toy_model_equals_linear_layers_of_pytorch(rng):
    x, W, b = normal(rng, 4, 5), normal(rng, 5, 3), normal(rng, 5)
    hidden = torch.nn.functional.linear(x, W.mT)
    close(sp.toy_forward(x, W, b), torch.nn.functional.linear(hidden, W, b).relu())


def test_an_antipodal_pair_is_read_without_loss_when_one_is_on():
    W = torch.tensor([[1.0], [-1.0]])
    x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert torch.equal(sp.toy_forward(x, W, torch.zeros(2)), x)


# Data


def test_feature_batch_follows_its_definition(rng):
    values, draws, S = uniform(rng, 3, 4, 5), uniform(rng, 3, 4, 5), torch.tensor([0.2, 0.5, 0.9], dtype=F64)
    x = sp.feature_batch(values, draws, S)
    for k, t, i in np.ndindex(3, 4, 5):
        assert x[k, t, i] == (values[k, t, i] if draws[k, t, i] >= S[k] else 0.0)


def test_feature_batch_at_the_ends_and_at_ties():
    values, S = torch.full((3, 1, 2), 7.0), torch.tensor([0.0, 1.0, 0.5])
    draws = torch.tensor([[[0.0, 0.9]], [[0.0, 0.9]], [[0.5, 0.4]]])
    assert sp.feature_batch(values, draws, S).tolist() == [[[7, 7]], [[0, 0]], [[7, 0]]]


def test_feature_batch_hides_values_that_are_no_numbers():
    values = torch.tensor([[[math.inf, math.nan, 1.0]]])
    x = sp.feature_batch(values, torch.tensor([[[0.1, 0.1, 0.9]]]), torch.tensor([0.5]))
    assert x.tolist() == [[[0, 0, 1]]]


def test_sampled_features_have_the_stated_distribution(rng):
    S = torch.tensor([0.0, 0.3, 0.95], dtype=F64)
    x = sp.sample_features(20_000, 4, S, generator=rng)
    assert x.shape == (3, 20_000, 4)
    assert x.dtype == F64
    assert bool(((x >= 0) & (x < 1)).all())
    for k, s in enumerate(S.tolist()):
        on = x[k][x[k] > 0]
        assert abs(len(on) / x[k].numel() - (1 - s)) < 0.01
        assert kstest(on.numpy(), "uniform").pvalue > 1e-4
    correlation = np.corrcoef((x[1] > 0).numpy().T) - np.eye(4)
    assert abs(correlation).max() < 0.04  # features are on independently of one another


def test_sampling_agrees_with_switching_uniform_values_off(rng):
    S = torch.tensor([0.6], dtype=F64)
    ours = sp.sample_features(40_000, 1, S, generator=rng).flatten()
    peer = sp.feature_batch(uniform(rng, 1, 40_000, 1), uniform(rng, 1, 40_000, 1), S).flatten()
    for power in (1, 2, 3):
        assert abs(float((ours**power).mean() - (peer**power).mean())) < 0.01


def test_the_same_generator_gives_the_same_features():
    S = torch.tensor([0.5])
    a, b = (sp.sample_features(5, 3, S, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)
    assert S.tolist() == [0.5]


# Loss and gradients


def test_the_loss_equals_mse_of_pytorch_up_to_weights(rng):
    x, x_hat, importance = normal(rng, 4, 5), normal(rng, 4, 5), uniform(rng, 5)
    by_torch = torch.nn.functional.mse_loss(x_hat * importance.sqrt(), x * importance.sqrt(), reduction="sum") / 4
    close(sp.importance_loss(x, x_hat, importance), by_torch)


def test_the_loss_of_instances_is_one_number_each(rng):
    x, x_hat, importance = normal(rng, 2, 3, 4, 5), normal(rng, 2, 3, 4, 5), uniform(rng, 2, 3, 5)
    loss = sp.importance_loss(x, x_hat, importance)
    assert loss.shape == (2, 3)
    close(loss[1, 2], sp.importance_loss(x[1, 2], x_hat[1, 2], importance[1, 2]))


@pytest.mark.parametrize(
    ("forward", "gradients"), [(sp.toy_forward, sp.toy_gradients), (sp.linear_forward, sp.linear_gradients)]
)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_closed_gradients_equal_autograd(forward, gradients, B, n, m, seed):
    rng = torch.Generator().manual_seed(seed)
    x, importance = uniform(rng, 3, B, n), uniform(rng, 3, n)
    W, b = normal(rng, 3, n, m, grad=True), normal(rng, 3, n, grad=True)
    sp.importance_loss(x, forward(x, W, b), importance).sum().backward()
    by_W, by_b = gradients(x, W.detach(), b.detach(), importance)
    close(by_W, W.grad)
    close(by_b, b.grad)


def test_the_slope_of_relu_at_zero_is_that_of_pytorch():
    x, W = torch.tensor([[0.0, 1.0]], dtype=F64), torch.zeros(2, 1, dtype=F64).requires_grad_()
    b = torch.zeros(2, dtype=F64).requires_grad_()
    sp.importance_loss(x, sp.toy_forward(x, W, b), torch.ones(2, dtype=F64)).backward()
    by_W, by_b = sp.toy_gradients(x, W.detach(), b.detach(), torch.ones(2, dtype=F64))
    assert torch.equal(by_W, W.grad)
    assert torch.equal(by_b, b.grad)


def test_gradients_are_contiguous_and_leave_their_inputs_alone(rng):
    """A fused Adam would silently misread other strides."""
    x, W, b, importance = uniform(rng, 2, 4, 5), normal(rng, 2, 5, 3), normal(rng, 2, 5), uniform(rng, 2, 5)
    before = [tensor.clone() for tensor in (x, W, b, importance)]
    for gradients in (sp.toy_gradients, sp.linear_gradients):
        assert all(gradient.is_contiguous() for gradient in gradients(x, W, b, importance))
    assert all(torch.equal(old, new) for old, new in zip(before, (x, W, b, importance), strict=True))


# Geometry


def loop_interference(W):
    result = []
    for i, row in enumerate(W):
        length = math.sqrt(sum(value**2 for value in row))
        dots = [sum(a * b for a, b in zip(row, other, strict=True)) for other in W]
        result.append(sum((dot / length) ** 2 for j, dot in enumerate(dots) if j != i) if length else 0.0)
    return torch.tensor(result, dtype=F64)


def test_interference_equals_a_loop_over_pairs(rng):
    W = normal(rng, 2, 5, 3)
    close(sp.interference(W), torch.stack([loop_interference(rows.tolist()) for rows in W]))


def test_dimensionality_follows_its_definition(rng):
    W = normal(rng, 5, 3)
    own = (W**2).sum(-1)
    close(sp.feature_dimensionality(W), own / (own + loop_interference(W.tolist())))


@pytest.mark.parametrize(
    ("W", "share"),
    [
        (torch.tensor([[1.0], [-1.0]], dtype=F64), 1 / 2),
        (polygon(3), 2 / 3),
        (torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=F64), 3 / 4),
        (polygon(5), 2 / 5),
        (antiprism(), 3 / 8),
        (torch.eye(4, dtype=F64), 1.0),
    ],
)
def test_regular_shapes_have_the_dimensionality_of_the_paper(W, share):
    close(sp.feature_dimensionality(W), torch.full((len(W),), share, dtype=F64))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_shares_are_bounded_by_leverage_and_sum_to_at_most_the_rank(n, m, seed):
    rng = torch.Generator().manual_seed(seed)
    W = normal(rng, n, m) * uniform(rng, n, 1)
    D = sp.feature_dimensionality(W)
    leverage = (W @ torch.linalg.pinv(W)).diagonal()
    assert bool(((D >= 0) & (leverage + 1e-6 >= D)).all())
    assert float(D.sum()) <= int(torch.linalg.matrix_rank(W)) + 1e-6


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_rotation_scale_and_order_do_not_matter(n, m, seed):
    rng = torch.Generator().manual_seed(seed)
    W, turn = normal(rng, n, m), torch.linalg.qr(normal(rng, m, m))[0]
    order = torch.randperm(n, generator=rng)
    close(sp.feature_dimensionality(3 * W @ turn), sp.feature_dimensionality(W))
    close(sp.interference(3 * W @ turn), 9 * sp.interference(W))
    close(sp.max_coherence(3 * W @ turn), sp.max_coherence(W))
    close(sp.feature_dimensionality(W[order]), sp.feature_dimensionality(W)[order])


def test_rows_of_zeros_and_very_short_rows(rng):
    W = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]], dtype=F64)
    assert sp.feature_dimensionality(W)[1] == 0
    assert sp.interference(W)[1] == 0
    close(sp.max_coherence(W), sp.max_coherence(W[[0, 2]]))
    zeros = torch.zeros(3, 2, dtype=F64)
    assert not sp.feature_dimensionality(zeros).any()
    assert not sp.interference(zeros).any()
    assert sp.max_coherence(zeros) == 0
    V = normal(rng, 5, 3)
    for scale in (1e-12, 1e60):
        close(sp.feature_dimensionality(scale * V), sp.feature_dimensionality(V))
        close(sp.max_coherence(scale * V), sp.max_coherence(V))


def test_a_single_direction():
    W = torch.tensor([[3.0, 4.0]], dtype=F64)
    assert sp.interference(W).tolist() == [0]
    assert sp.feature_dimensionality(W).tolist() == [1]
    assert sp.max_coherence(W) == 0


def test_coherence_equals_cosines_of_scikit_learn(rng):
    W = normal(rng, 3, 6, 4)
    for rows, ours in zip(W, sp.max_coherence(W), strict=True):
        cosines = abs(cosine_similarity(rows.numpy()) - np.eye(6))
        assert math.isclose(float(ours), cosines.max(), rel_tol=1e-9)


def test_coherence_sees_opposite_directions_and_never_exceeds_one():
    close(sp.max_coherence(torch.tensor([[1.0, 2.0], [-2.0, -4.0], [1.0, 0.0]])), torch.tensor(1.0), 1e-6)
    twins = normal(torch.Generator().manual_seed(0), 500, 1, 7).expand(500, 2, 7)  # without care some exceed 1
    coherence = sp.max_coherence(twins)
    assert bool(((coherence <= 1) & (coherence > 1 - 1e-12)).all())


# Training


def test_training_repeats_and_instances_learn_by_themselves():
    S, importance = torch.tensor([0.9, 0.0]), torch.tensor([[1.0, 0.9, 0.8], [1.0, 0.9, 0.8]])
    first, again = (
        sp.train_instances(S, importance, 2, generator=torch.Generator().manual_seed(5), recipe=QUICK) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape == (2, 3, 2)
    assert S.tolist() == pytest.approx([0.9, 0.0])


def test_training_lowers_the_loss_and_begins_with_the_stated_lengths():
    S, importance = torch.full((64,), 0.8), torch.ones(64, 5)
    losses, lengths = {}, {}
    for steps in (1, 300):
        recipe = sp.Recipe(steps=steps, batch=64, rate=1e-12 if steps == 1 else 0.03)
        W, b = sp.train_instances(S, importance, 3, generator=torch.Generator().manual_seed(1), recipe=recipe)
        lengths[steps] = float(W.square().sum(-1).mean().sqrt())
        losses[steps] = sp.held_out_loss(W, b, S, importance, generator=torch.Generator().manual_seed(2))
    assert bool((losses[300] < losses[1]).all())
    assert abs(lengths[1] - 0.7) < 0.05


def test_one_step_is_a_step_of_adam(rng):
    """Adam's first step moves every entry by the rate against the sign of its gradient."""
    S, importance, recipe = torch.tensor([0.5], dtype=F64), torch.ones(1, 4, dtype=F64), sp.Recipe(1, 32, 0.01)
    W, b = sp.train_instances(S, importance, 2, generator=torch.Generator().manual_seed(7), recipe=recipe)
    draw = torch.Generator().manual_seed(7)
    start = torch.randn(1, 4, 2, generator=draw, dtype=F64) * 0.7 / math.sqrt(2)
    x = sp.sample_features(32, 4, S, generator=draw)
    by_W, by_b = sp.toy_gradients(x, start, torch.zeros(1, 4, dtype=F64), importance)
    close(W, start - 0.01 * by_W.sign(), 1e-6)
    close(b, -0.01 * by_b.sign(), 1e-6)


def test_the_rate_stays_and_then_falls_to_zero(monkeypatch):
    rates = []
    step = torch.optim.Adam.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    recipe = sp.Recipe(steps=8, batch=4, rate=0.5)
    sp.train_instances(torch.zeros(1), torch.ones(1, 2), 1, generator=torch.Generator().manual_seed(0), recipe=recipe)
    assert rates == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125])


def test_dense_features_are_kept_by_importance_and_sparse_ones_share(rng):
    S = torch.tensor([0.0] * 4 + [0.95] * 4)
    importance = torch.tensor([1.0, 0.7]).expand(8, 2)
    recipe = sp.Recipe(steps=1200, batch=256, rate=0.02)
    W, b = sp.train_instances(S, importance, 1, generator=rng, recipe=recipe)
    losses = sp.held_out_loss(W, b, S, importance, generator=rng).view(2, 4)
    dense, sparse = W[losses[0].argmin()], W[4 + losses[1].argmin()]
    close(dense.abs().flatten(), torch.tensor([1.0, 0.0]), 0.05)
    assert float(sparse.prod()) < -0.8


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
def test_the_linear_model_keeps_the_most_important_features_at_every_sparsity(rng, sparsity):
    S, importance = torch.full((3,), sparsity), torch.tensor([1.0, 0.6, 0.3, 0.2]).expand(3, 4)
    recipe = sp.Recipe(steps=1500, batch=256, rate=0.03)
    W, b = sp.train_instances(S, importance, 2, generator=rng, recipe=recipe, gradients=sp.linear_gradients)
    close(W @ W.mT, torch.diag(torch.tensor([1.0, 1, 0, 0])).expand(3, 4, 4), 0.05)
    close(b, torch.tensor([0.0, 0, 1, 1]).expand(3, 4) * (1 - sparsity) / 2, 0.05)


def test_the_linear_model_learns_principal_components():
    """On correlated data the peer is scikit-learn; W W^T must be the projection on its components."""
    draws = np.random.default_rng(0)
    X = (
        draws.standard_normal((500, 6))
        @ np.diag([3, 2, 1, 0.6, 0.4, 0.2])
        @ np.linalg.qr(draws.standard_normal((6, 6)))[0]
    )
    x, W, b = torch.from_numpy(X), torch.from_numpy(draws.standard_normal((6, 2)) / 5), torch.zeros(6, dtype=F64)
    for _ in range(3000):
        by_W, by_b = sp.linear_gradients(x, W, b, torch.ones(6, dtype=F64))
        W, b = W - 0.01 * by_W, b - 0.01 * by_b
    components = PCA(2).fit(X).components_
    np.testing.assert_allclose((W @ W.mT).numpy(), components.T @ components, atol=1e-6)


def test_held_out_loss_is_the_loss_on_shared_draws():
    S, importance = torch.tensor([0.2, 0.2, 0.7], dtype=F64), torch.ones(3, 4, dtype=F64)
    rng = torch.Generator().manual_seed(0)
    W, b = normal(rng, 1, 4, 2).expand(3, 4, 2), normal(rng, 1, 4).expand(3, 4)
    losses = sp.held_out_loss(W, b, S, importance, generator=rng, n_examples=50)
    assert losses[0] == losses[1] != losses[2]
    big = sp.held_out_loss(W, b, S, importance, generator=rng, n_examples=100_000)
    x = sp.sample_features(100_000, 4, S, generator=rng)
    close(big, sp.importance_loss(x, sp.toy_forward(x, W, b), importance), 0.03)
    doubled = sp.held_out_loss(W, b, S, 2 * importance, generator=torch.Generator().manual_seed(1))
    close(doubled, 2 * sp.held_out_loss(W, b, S, importance, generator=torch.Generator().manual_seed(1)))


# Two features in one dimension


@pytest.mark.parametrize("r", [0.1, 0.5, 1.0])
def test_both_strategies_cost_the_same_at_the_boundary(r):
    q = sp.antipodal_density(r)
    squared_minimum = dblquad(lambda x, y: min(x, y) ** 2, 0, 1, 0, 1)[0]
    share = (1 + r) * q**2 * squared_minimum
    mean, mean_square = q / 2, q / 3
    drop = r * (mean_square - mean**2)
    assert math.isclose(share, drop, rel_tol=1e-4)
    assert sp.antipodal_density(1 / r) == pytest.approx(q)


def test_sharing_wins_below_the_boundary_and_loses_above(rng):
    importance, opposite, one = torch.tensor([1.0, 0.5]), torch.tensor([[1.0], [-1.0]]), torch.tensor([[1.0], [0.0]])
    boundary = sp.antipodal_density(0.5)
    for q, wins in ((0.8 * boundary, True), (1.2 * boundary, False)):
        x = sp.sample_features(200_000, 2, torch.tensor([1 - q]), generator=rng)[0]
        share = sp.importance_loss(x, sp.toy_forward(x, opposite, torch.zeros(2)), importance)
        drop = sp.importance_loss(x, sp.toy_forward(x, one, torch.tensor([0.0, q / 2])), importance)
        assert bool(share < drop) is wins


# Counting


@pytest.mark.parametrize(("n", "m"), [(3, 2), (5, 3), (30, 8), (200, 20)])
def test_no_set_of_directions_is_below_the_bound(rng, n, m):
    W = normal(rng, 50, n, m)
    assert bool((sp.max_coherence(W) >= sp.coherence_bound(n, m) - 1e-12).all())
    assert 0 < sp.coherence_bound(n, m) < 1 / math.sqrt(m)


def test_the_bound_is_reached_by_equiangular_lines():
    assert math.isclose(float(sp.max_coherence(polygon(3))), sp.coherence_bound(3, 2), rel_tol=1e-9)
    golden = (1 + math.sqrt(5)) / 2  # six diagonals of the icosahedron
    diagonals = [[0, 1, golden], [0, 1, -golden], [1, golden, 0], [1, -golden, 0], [golden, 0, 1], [golden, 0, -1]]
    assert math.isclose(
        float(sp.max_coherence(torch.tensor(diagonals, dtype=F64))), sp.coherence_bound(6, 3), rel_tol=1e-9
    )


def test_the_bound_is_zero_where_directions_can_be_orthogonal():
    assert sp.coherence_bound(1, 1) == sp.coherence_bound(4, 4) == sp.coherence_bound(2, 5) == 0


def test_the_guarantee_is_what_the_union_bound_allows():
    for m, epsilon in [(100, 0.3), (400, 0.2), (1000, 0.15)]:
        n = sp.packing_guarantee(m, epsilon)
        assert n * (n - 1) / 2 * 2 * math.exp(-m * epsilon**2 / 2) < 1
        assert (n + 2) ** 2 * math.exp(-m * epsilon**2 / 2) > 1
        assert n * (n - 1) / 2 * beta.sf(epsilon**2, 0.5, (m - 1) / 2) < 1
    assert sp.packing_guarantee(5, 0.0) == 1
    assert sp.packing_guarantee(4, 1.0) == 2


@pytest.mark.parametrize(("m", "epsilon"), [(1, 0.5), (3, 0.2), (8, 0.5), (16, 0.4)])
def test_greedy_packing_equals_a_plain_loop(m, epsilon):
    kept = sp.greedy_packing(m, epsilon, 700, generator=torch.Generator().manual_seed(4))
    drawn = torch.randn(700, m, generator=torch.Generator().manual_seed(4), dtype=F64)
    plain = []
    for row in drawn / drawn.norm(dim=-1, keepdim=True):
        if all(abs(float(row @ other)) <= epsilon for other in plain):
            plain.append(row)
    close(kept, torch.stack(plain))
    assert len(kept) == 1 or float(sp.max_coherence(kept)) <= epsilon


# Declared trainings


def test_the_phase_diagram_keeps_the_best_of_its_starts():
    tiny = trainings.PhaseSettings(grid=3, seeds=5, recipe=sp.Recipe(steps=400, batch=128, rate=0.03))
    arrays = trainings.run_phase(tiny, seed=0)
    assert arrays["W"].shape == arrays["b"].shape == (3, 3, 2)
    assert arrays["density"] == pytest.approx([0.01, 0.1, 1.0])
    assert arrays["ratio"] == pytest.approx([0.1, 1.0, 10.0])
    lengths = abs(arrays["W"])
    assert lengths[1, 1].min() > 0.8  # density 0.1, equal importance: both
    assert lengths[2, 0] == pytest.approx([1, 0], abs=0.1)  # dense: the more important one
    assert lengths[2, 2] == pytest.approx([0, 1], abs=0.1)
    assert arrays["b"][2, 0] == pytest.approx([0, 0.5], abs=0.1)
    again = trainings.run_phase(tiny, seed=0)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_the_phase_diagram_chooses_by_the_loss(monkeypatch):
    """With losses that rise from start to start the first of each cell is kept, and the last if they fall."""
    tiny = trainings.PhaseSettings(grid=2, seeds=3, recipe=sp.Recipe(steps=1, batch=2, rate=0.01))
    start = torch.randn(12, 2, 1, generator=torch.Generator().manual_seed(0)) * 0.7
    for sign, chosen in ((1, 0), (-1, 2)):
        monkeypatch.setattr(
            trainings, "held_out_loss", lambda W, *_args, sign=sign, **_kw: sign * torch.arange(float(len(W)))
        )
        W = torch.from_numpy(trainings.run_phase(tiny, seed=0)["W"])
        close(W, start.view(2, 2, 3, 2)[:, :, chosen], 0.011)


def test_the_plateaus_run_from_dense_to_sparse():
    tiny = trainings.PlateauSettings(features=6, hidden=2, densities=3, recipe=sp.Recipe(steps=20, batch=16, rate=0.01))
    arrays = trainings.run_plateaus(tiny, seed=0)
    assert arrays["W"].shape == (3, 6, 2)
    assert arrays["b"].shape == (3, 6)
    assert 1 / arrays["density"] == pytest.approx(np.geomspace(10**0.06, 10**0.85, 3), rel=1e-5)


def test_the_plateaus_are_trained_at_the_densities_that_they_report(monkeypatch):
    asked = {}

    def spy(sparsity, importance, n_hidden, **_kwargs):
        asked.update(sparsity=sparsity, importance=importance, n_hidden=n_hidden)
        return torch.zeros(3, 6, 2), torch.zeros(3, 6)

    monkeypatch.setattr(trainings, "train_instances", spy)
    arrays = trainings.run_plateaus(trainings.PlateauSettings(features=6, hidden=2, densities=3), seed=0)
    assert 1 - asked["sparsity"].numpy() == pytest.approx(arrays["density"], abs=1e-6)
    assert asked["n_hidden"] == 2
    assert torch.equal(asked["importance"], torch.ones(3, 6))


def test_trainings_are_declared_for_this_chapter():
    assert [training.name for training in trainings.TRAININGS] == ["superposition.phase", "superposition.plateaus"]
    assert all(training.settings != training.full for training in trainings.TRAININGS)


# Errors name both sides


@pytest.mark.usefixtures("own_errors")
class TestErrors:
    @staticmethod
    def raises(kind, words, function, *args, **kwargs):
        with pytest.raises(kind) as caught:
            function(*args, **kwargs)
        for word in words:
            assert word in str(caught.value)

    @pytest.mark.parametrize("forward", [sp.toy_forward, sp.linear_forward])
    def test_a_model_that_does_not_fit(self, forward):
        x, W, b = torch.ones(4, 5), torch.ones(5, 3), torch.ones(5)
        self.raises(ValueError, ["x has n = 5", "W has n = 3"], forward, x, W.mT, b)
        self.raises(ValueError, ["x has n = 5", "b has n = 4"], forward, x, W, b[:4])
        self.raises(
            ValueError, ["x has instance axes (2,)", "W has instance axes ()"], forward, torch.ones(2, 4, 5), W, b
        )
        self.raises(
            ValueError,
            ["x has instance axes (2,)", "b has instance axes (3,)"],
            forward,
            torch.ones(2, 4, 5),
            torch.ones(2, 5, 3),
            torch.ones(3, 5),
        )
        self.raises(TypeError, ["x", "int64"], forward, x.long(), W, b)
        self.raises(TypeError, ["W", "int64"], forward, x, W.long(), b)
        self.raises(TypeError, ["b", "int64"], forward, x, W, b.long())

    @pytest.mark.parametrize("gradients", [sp.toy_gradients, sp.linear_gradients])
    def test_gradients_refuse_the_same(self, gradients):
        x, W, b = torch.ones(4, 5), torch.ones(5, 3), torch.ones(5)
        self.raises(ValueError, ["x has n = 5", "W has n = 3"], gradients, x, W.mT, b, b)

    def test_data(self):
        v, S = torch.ones(2, 4, 3), torch.zeros(2)
        self.raises(ValueError, ["values has K = 2", "sparsity has K = 3"], sp.feature_batch, v, v, torch.zeros(3))
        self.raises(ValueError, ["values has n = 3", "draws has n = 2"], sp.feature_batch, v, v[..., :2], S)
        self.raises(TypeError, ["sparsity", "int64"], sp.feature_batch, v, v, S.long())
        draw = torch.Generator()
        for bad in (1.0, -0.1, math.nan):
            self.raises(ValueError, ["[0, 1)"], sp.sample_features, 2, 3, torch.tensor([0.5, bad]), generator=draw)
        self.raises(TypeError, ["sparsity", "int64"], sp.sample_features, 2, 3, S.long(), generator=draw)
        self.raises(ValueError, ["sparsity"], sp.sample_features, 2, 3, torch.tensor(0.5), generator=draw)

    def test_loss(self):
        x, importance = torch.ones(4, 5), torch.ones(5)
        self.raises(ValueError, ["x has B = 4", "x_hat has B = 3"], sp.importance_loss, x, x[:3], importance)
        self.raises(ValueError, ["x has n = 5", "importance has n = 4"], sp.importance_loss, x, x, importance[:4])
        self.raises(
            ValueError,
            ["x has instance axes ()", "importance has instance axes (2,)"],
            sp.importance_loss,
            x,
            x,
            torch.ones(2, 5),
        )
        self.raises(TypeError, ["importance", "int64"], sp.importance_loss, x, x, importance.long())

    @pytest.mark.parametrize("measure", [sp.interference, sp.feature_dimensionality, sp.max_coherence])
    def test_geometry(self, measure):
        self.raises(ValueError, ["W", "2 axes"], measure, torch.ones(3))
        self.raises(TypeError, ["W", "int64"], measure, torch.ones(3, 2).long())

    def test_numbers_out_of_range(self):
        draw = torch.Generator()
        self.raises(ValueError, ["at least one row", "n = 0"], sp.max_coherence, torch.ones(0, 3))
        self.raises(
            ValueError, ["n_hidden", "0"], sp.train_instances, torch.zeros(1), torch.ones(1, 2), 0, generator=draw
        )
        self.raises(
            ValueError,
            ["sparsity has K = 1", "importance has K = 2"],
            sp.train_instances,
            torch.zeros(1),
            torch.ones(2, 2),
            1,
            generator=draw,
        )
        for bad in (0.0, -1.0, math.nan):
            self.raises(ValueError, ["relative_importance", str(bad)], sp.antipodal_density, bad)
        for n, m in ((0, 3), (3, 0)):
            self.raises(ValueError, [f"n = {n}", f"m = {m}"], sp.coherence_bound, n, m)
        for m, epsilon in ((0, 0.5), (3, -0.1), (3, 1.1)):
            self.raises(ValueError, [f"m = {m}", f"epsilon = {epsilon}"], sp.packing_guarantee, m, epsilon)
        for m, tries in ((0, 5), (3, 0)):
            self.raises(
                ValueError, [f"m = {m}", f"n_tries = {tries}"], sp.greedy_packing, m, 0.5, tries, generator=draw
            )


# No hidden CPU tensor


def functions_on(device):
    """Every differentiable function, on tensors of a device, by name."""
    x = torch.ones(2, 4, 5, device=device)
    W, b = (torch.ones(2, *shape, device=device, requires_grad=True) for shape in ((5, 3), (5,)))
    importance = torch.ones(2, 5, device=device, requires_grad=True)
    return {
        "linear_forward": lambda: sp.linear_forward(x, W, b),
        "toy_forward": lambda: sp.toy_forward(x, W, b),
        "feature_batch": lambda: sp.feature_batch(x * W.sum(), x, importance[:, 0].detach()),
        "importance_loss": lambda: sp.importance_loss(x, sp.toy_forward(x, W, b), importance),
        "interference": lambda: sp.interference(W),
        "feature_dimensionality": lambda: sp.feature_dimensionality(W),
        "max_coherence": lambda: sp.max_coherence(W),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", functions_on("cpu"))
def test_functions_stay_on_their_device(name, device):
    out = functions_on(device)[name]()
    assert out.device.type == device
    out.sum().backward()


@pytest.mark.parametrize("device", DEVICES)
def test_training_stays_on_the_device(device):
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    S, importance = torch.zeros(2, device=device), torch.ones(2, 4, device=device)
    for gradients in (sp.toy_gradients, sp.linear_gradients):
        recipe = sp.Recipe(steps=2, batch=3)
        W, b = sp.train_instances(S, importance, 3, generator=generator, recipe=recipe, gradients=gradients)
        assert W.device.type == b.device.type == device
    loss = sp.held_out_loss(W, b, S, importance, generator=generator, n_examples=5)
    assert loss.device.type == device


def test_the_meta_device_would_catch_a_tensor_left_on_the_cpu():
    x, W = torch.ones(2, 4, 5, device="meta"), torch.ones(2, 5, 3, device="meta")
    with pytest.raises(RuntimeError, match="device"):
        sp.toy_forward(x, W, torch.ones(2, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_of_the_inputs_is_kept(dtype, rng):
    S, importance = torch.tensor([0.5], dtype=dtype), torch.ones(1, 3, dtype=dtype)
    W, b = sp.train_instances(S, importance, 2, generator=rng, recipe=sp.Recipe(steps=2, batch=3))
    x = sp.sample_features(4, 3, S, generator=rng)
    results = [
        W,
        b,
        x,
        sp.toy_forward(x, W, b),
        sp.importance_loss(x, x, importance),
        *sp.toy_gradients(x, W, b, importance),
    ]
    results += [sp.interference(W), sp.feature_dimensionality(W), sp.max_coherence(W), sp.feature_batch(x, x, S)]
    assert all(result.dtype == dtype for result in results)


# Right and wrong answers in the styles of different students


def normalized(W):
    return torch.nn.functional.normalize(W, dim=-1)  # raises lengths below 1e-12, and the texts promise none


def share_of_room(W):
    along = (normalized(W) @ W.mT).square().sum(dim=-1)
    return torch.where(along > 0, W.square().sum(dim=-1) / torch.where(along > 0, along, 1.0), 0.0)


def room_by_einsum(W):
    dots = torch.einsum("...im,...jm->...ij", W, W)
    own = torch.diagonal(dots, dim1=-2, dim2=-1)
    return torch.nan_to_num(own.square() / dots.square().sum(dim=-1))


def disturbance_by_masking(W):
    own = torch.eye(W.shape[-2], dtype=torch.bool)
    return (normalized(W) @ W.mT).square().masked_fill(own, 0.0).sum(dim=-1)


def disturbance_of_each_model(W):
    if W.ndim > 2:
        return torch.stack([disturbance_of_each_model(model) for model in W])
    result = torch.zeros(len(W), dtype=W.dtype)
    for i in range(len(W)):
        length = W[i].norm()
        for j in range(len(W)):
            if j != i and length > 0:
                result[i] += (W[i] / length @ W[j]) ** 2
    return result


def disturbance_divided_at_the_end(W):
    dots = torch.einsum("...im,...jm->...ij", W, W) ** 2
    dots.diagonal(dim1=-2, dim2=-1).zero_()
    return torch.nan_to_num(dots.sum(dim=-1) / (W**2).sum(dim=-1))


def disturbance_with_the_diagonal_taken_away(W):
    squares = torch.einsum("...im,...jm->...ij", normalized(W), W).square()
    return (squares - torch.diag_embed(torch.diagonal(squares, dim1=-2, dim2=-1))).sum(dim=-1)


def disturbance_by_triangles(W):
    squares = (normalized(W) @ W.mT).square()
    return torch.tril(squares, -1).sum(dim=-1) + torch.triu(squares, 1).sum(dim=-1)


def disturbance_by_difference(W):
    """Wrong: see the hint on cancellation."""
    length = W.norm(dim=-1, keepdim=True)
    return (torch.nan_to_num(W / length) @ W.mT).square().sum(dim=-1) - length[..., 0] ** 2


def disturbance_minus_the_diagonal(W):
    """Wrong for the same reason, although a single row gives 0."""
    squares = (normalized(W) @ W.mT).square()
    return (squares.sum(dim=-1) - torch.diagonal(squares, dim1=-2, dim2=-1)).clamp(min=0)


def disturbance_in_one_model(W):
    result = []
    for i in range(len(W)):
        total = torch.tensor(0.0, dtype=W.dtype)
        for j in range(len(W)):
            if i != j:
                total = total + (W[i] @ W[j] / W[i].norm()) ** 2
        result.append(total)
    return torch.stack(result)


def disturbance_in_one_model_by_a_product(W):
    n, m = W.shape  # noqa: RUF059
    return torch.stack([((torch.cat((W[:i], W[i + 1 :])) @ W[i]) / W[i].norm()).square().sum() for i in range(n)])


def coherence_of_one_model(W):
    worst = torch.tensor(0.0, dtype=W.dtype)
    for i in range(len(W)):
        for j in range(i + 1, len(W)):
            worst = torch.maximum(worst, (W[i] @ W[j]).abs() / (W[i].norm() * W[j].norm()))
    return worst


def coherence_in_place(W):
    W /= W.norm(dim=-1, keepdim=True)
    return torch.triu((W @ W.mT).abs(), 1).amax((-2, -1))


def room_in_one_model(W):
    shares = []
    for i in range(len(W)):
        unit = W[i] / torch.norm(W[i])
        shares.append(W[i].norm() ** 2 / sum(torch.dot(unit, W[j]) ** 2 for j in range(len(W))))
    return torch.stack(shares)


def loss_of_one_model(x, x_hat, importance):
    loss = 0.0
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            loss += importance[i] * (x[t, i] - x_hat[t, i]) ** 2
    return loss / x.shape[0]


def loss_in_place(x, x_hat, importance):
    x_hat -= x
    x_hat *= x_hat
    return (x_hat * importance.unsqueeze(-2)).sum(-1).mean(-1)


def switched_in_place(values, draws, sparsity):
    return values.mul_(draws >= sparsity.view(-1, 1, 1))


def worst_pair(W):
    return torch.tril((normalized(W) @ normalized(W).mT).abs(), -1).amax(dim=(-2, -1))


def squeezed_one_by_one(x, W, b):
    if x.ndim > 2:
        return torch.stack([squeezed_one_by_one(*parts) for parts in zip(x, W, b, strict=True)])
    return torch.stack([torch.relu(W @ (W.T @ row) + b) for row in x])


def loss_by_a_product(x, x_hat, importance):
    return ((x - x_hat).square() @ importance.unsqueeze(-1)).squeeze(-1).mean(dim=-1)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("toy_forward", squeezed_one_by_one),
        ("feature_batch", lambda values, draws, sparsity: values.masked_fill(draws < sparsity[:, None, None], 0)),
        ("importance_loss", loss_by_a_product),
        ("feature_dimensionality", share_of_room),
        ("feature_dimensionality", room_by_einsum),
        ("interference", disturbance_by_masking),
        ("interference", disturbance_of_each_model),
        ("interference", disturbance_divided_at_the_end),
        ("interference", disturbance_with_the_diagonal_taken_away),
        ("interference", disturbance_by_triangles),
        ("max_coherence", worst_pair),
    ],
)
@pytest.mark.parametrize("seed", [1805, 0, 1, 2, 3, 4, 5])
def test_a_right_answer_in_another_style_gets_full_points(name, answer, seed):
    report = evaluate(f"superposition.{name}", answer, seed)
    assert report.score == 6, report.feedback


def loss_without_its_graph(x, x_hat, importance):
    loss = loss_by_a_product(x, x_hat, importance)
    return loss if x.ndim > 2 else float(loss)


def without_the_diagonal_of_the_dimensions(W):
    return ((normalized(W) @ W.mT).square() * (1 - torch.eye(W.shape[-1], dtype=W.dtype))).sum(dim=-1)


@pytest.mark.parametrize("constant", [1e-9, 1e-10, 1e-12])
@pytest.mark.parametrize("seed", [1805, 0, 1])
def test_a_constant_that_only_the_shortest_rows_show_is_recognized(constant, seed):
    def cosines(W):
        W = W / (W.norm(dim=-1, keepdim=True) + constant)
        return torch.triu((W @ W.mT).abs(), 1).amax((-2, -1))

    report = evaluate("superposition.max_coherence", cosines, seed)
    assert (report.score, report.misconception) == (0, f"constant_1e_{-round(math.log10(constant))}_in_length")


@pytest.mark.parametrize(
    ("name", "answer", "known"),
    [
        ("toy_forward", lambda x, W, b: torch.relu(x @ W @ W.T + b[..., None, :]), "all_axes_reversed"),
        ("toy_forward", lambda x, W, b: torch.abs(x @ W @ W.mT + b[..., None, :]), "absolute_value_for_relu"),
        ("toy_forward", lambda x, W, b: torch.relu(x @ W @ W.mT + b[:, None]), "bias_axis_from_the_front"),
        ("importance_loss", lambda x, y, i: (i.unsqueeze(-2) * (x - y) ** 2).mean(), "mean_over_everything"),
        ("importance_loss", lambda x, y, i: (i.unsqueeze(-2) * (x - y) ** 2).sum(2).mean(1), "axes_of_a_batch"),
        ("interference", lambda W: (W / W.norm(dim=-1) @ W.mT).square().sum(dim=-1), "length_without_its_axis"),
        ("interference", without_the_diagonal_of_the_dimensions, "identity_of_the_dimensions"),
        ("max_coherence", lambda W: (normalized(W) @ normalized(W).mT).abs().fill_diagonal_(0).amax((-2, -1)),
         "diagonal_of_one_model"),
        ("interference", disturbance_by_difference, "own_term_subtracted_from_the_total"),
        ("interference", disturbance_minus_the_diagonal, "own_term_subtracted_from_the_total"),
        ("interference", disturbance_in_one_model, "row_times_row"),
        ("interference", disturbance_in_one_model_by_a_product, "shape_of_one_model"),
        ("max_coherence", coherence_of_one_model, "row_times_row"),
        ("max_coherence", coherence_in_place, "all_rows_scaled_in_place"),
        ("feature_dimensionality", room_in_one_model, "row_dot_row"),
        ("feature_dimensionality", lambda W: W.norm(dim=1) ** 2 / (W / W.norm(dim=1)[:, None] @ W.t()).square().sum(1),
         "transpose_of_one_model"),
        ("toy_forward", lambda x, W, b: torch.relu(x @ W @ W.mT + b[:, None, :]), "bias_of_two_axes"),
        ("toy_forward", lambda x, W, b: (x @ W @ W.t() + b).clamp(min=0), "transpose_of_one_matrix"),
        ("toy_forward", lambda x, W, b: torch.relu(torch.einsum("tm,im->ti", torch.einsum("ti,im->tm", x, W), W) + b),
         "einsum_for_one_model"),
        ("importance_loss", loss_of_one_model, "loop_over_one_model"),
        ("importance_loss", loss_in_place, "reconstruction_changed_in_place"),
        ("importance_loss", lambda x, y, i: (i * (x - y) ** 2).sum(1).mean(0), "importance_without_an_axis"),
        ("importance_loss", lambda x, y, i: (i * (x - y) ** 2).sum() / len(x), "importance_without_an_axis"),
        ("importance_loss", lambda x, y, i: ((x - y) ** 2 @ i).mean(0), "product_with_the_importances_of_one_model"),
        ("importance_loss", lambda x, y, i: (i.unsqueeze(-2) * (x - y) ** 2).sum(-1).mean(0),
         "mean_over_the_first_axis"),
        ("feature_batch", switched_in_place, "in_place"),
        ("importance_loss", loss_without_its_graph, "loss_as_a_python_number"),
        ("max_coherence", lambda W: worst_pair(W) if W.ndim > 2 else float(worst_pair(W)),
         "coherence_as_a_python_number"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The use of .x.T. on tensors")
def test_a_wrong_answer_in_another_style_is_recognized(name, answer, known):
    report = evaluate(f"superposition.{name}", answer, 3)
    assert (report.score, report.misconception) == (0, known), report.feedback
