import math

import numpy as np
import pytest
import torch
from devices import DEVICES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import entropy as scipy_entropy
from torch.nn import functional as F

from mlcourse.attention import (
    MultiHeadAttention,
    additive_scores,
    attention_entropy,
    attention_scores,
    attention_weights,
    balanced_split,
    causal_mask,
    gaussian_smoother,
    masked_softmax,
    merge_heads,
    multi_head_attention,
    qk_ov_matrices,
    scaled_dot_product_attention,
    sinusoidal_positions,
    softmax_jacobian,
    split_heads,
)
from mlcourse.grading import evaluate

pytestmark = pytest.mark.parallel

F64 = torch.float64


def normal(rng, *shape, grad=False):
    return torch.randn(*shape, generator=rng, dtype=F64).requires_grad_(grad)


def close(a, b, tolerance=1e-6):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# Scores, masks, softmax


def test_scores_equal_a_loop_over_pairs(rng):
    q, k = normal(rng, 2, 3, 5), normal(rng, 2, 4, 5)
    loop = [[[float(a @ b) / math.sqrt(5) for b in k[n]] for a in q[n]] for n in range(2)]
    close(attention_scores(q, k), torch.tensor(loop, dtype=F64))


@pytest.mark.parametrize(("T", "S"), [(1, 1), (3, 3), (2, 5), (5, 2), (0, 3), (3, 0), (0, 0)])
def test_causal_mask_follows_its_definition(T, S):
    mask = causal_mask(T, S)
    assert mask.dtype == torch.bool
    assert mask.shape == (T, S)
    assert all(bool(mask[i, j]) == (j <= i + S - T) for i in range(T) for j in range(S))


def test_causal_mask_is_square_by_default():
    assert torch.equal(causal_mask(4), causal_mask(4, 4))


def test_causal_mask_reads_as_the_peers_say(rng):
    q, k, v = (normal(rng, 4, 6) for _ in range(3))
    ours = scaled_dot_product_attention(q, k, v, causal_mask(4))
    close(ours, F.scaled_dot_product_attention(q, k, v, is_causal=True))
    close(ours, F.scaled_dot_product_attention(q, k, v, attn_mask=causal_mask(4)))
    peer = torch.nn.MultiheadAttention(6, 1, bias=False, batch_first=True, dtype=F64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.eye(6, dtype=F64).repeat(3, 1))
        peer.out_proj.weight.copy_(torch.eye(6, dtype=F64))
    close(ours, peer(q, k, v, attn_mask=~causal_mask(4), need_weights=False)[0])


def test_masked_softmax_equals_torch_where_something_is_seen(rng):
    scores, mask = normal(rng, 2, 3, 5), causal_mask(3, 5)
    peer = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    close(masked_softmax(scores, mask), peer)
    close(masked_softmax(scores), torch.softmax(scores, dim=-1))


@pytest.mark.parametrize(
    "shape", [(3, 4), (1, 4), (3, 1), (1, 1), (4,), (1,), (2, 1, 4), (1, 3, 4), (2, 3, 4), (2, 1, 1)]
)
def test_a_mask_may_have_any_shape_that_broadcasts_to_the_scores(rng, shape):
    scores, mask = normal(rng, 2, 3, 4), torch.rand(shape, generator=rng) < 0.5
    mask.view(-1)[0] = True
    close(masked_softmax(scores, mask), masked_softmax(scores, mask.expand(2, 3, 4).clone()))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_blind_rows_are_found_in_every_batch_entry(rng, batch):
    scores, mask = normal(rng, *batch, 4, 5), torch.rand(*batch, 4, 5, generator=rng) < 0.6
    mask[..., 0] = True
    mask[..., 2, :] = False
    mask.view(-1, 5)[0] = False
    rows = []
    for row, seen in zip(scores.view(-1, 5), mask.view(-1, 5), strict=True):
        shares = torch.zeros(5, dtype=F64)
        if seen.any():
            shares[seen] = torch.softmax(row[seen], dim=0)
        rows.append(shares)
    close(masked_softmax(scores, mask), torch.stack(rows).view_as(scores))


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**20), st.floats(-1e3, 1e3))
@settings(max_examples=40, deadline=None)
def test_rows_are_shares_and_ignore_a_common_shift(T, S, seed, shift):
    rng = torch.Generator().manual_seed(seed)
    scores, mask = normal(rng, T, S), torch.rand(T, S, generator=rng) < 0.6
    weights = masked_softmax(scores, mask)
    assert bool((weights >= 0).all())
    assert bool((weights[~mask] == 0).all())
    close(weights.sum(-1), mask.any(-1).to(F64))
    close(masked_softmax(scores + shift, mask), weights)


def test_rows_that_see_nothing_are_zero_and_the_others_equal_multihead_attention(rng):
    q, k, v = normal(rng, 1, 3, 4), normal(rng, 1, 2, 4), normal(rng, 1, 2, 4)
    mask = causal_mask(3, 2)
    ours = scaled_dot_product_attention(q, k, v, mask)
    assert bool((ours[:, 0] == 0).all())
    peer = torch.nn.MultiheadAttention(4, 1, bias=False, batch_first=True, dtype=F64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.eye(4, dtype=F64).repeat(3, 1))
        peer.out_proj.weight.copy_(torch.eye(4, dtype=F64))
    theirs = peer(q, k, v, attn_mask=~mask)[0]  # its first row is nan or 0, by version and setting
    close(ours[:, 1:], theirs[:, 1:])


@pytest.mark.parametrize("size", [1.0, 1e4, 1e30])
def test_gradients_are_finite_for_blind_rows_and_huge_scores(rng, size):
    scores = (size * normal(rng, 3, 4)).requires_grad_()
    mask = torch.tensor([[True, True, False, True], [False] * 4, [True] * 4])
    (masked_softmax(scores, mask) * normal(rng, 3, 4)).sum().backward()
    assert bool(scores.grad.isfinite().all())
    assert bool((scores.grad[~mask] == 0).all())


def test_hidden_scores_may_be_anything():
    scores = torch.tensor([[1.0, torch.nan, 2.0, torch.inf]], requires_grad=True)
    mask = torch.tensor([[True, False, True, False]])
    weights = masked_softmax(scores, mask)
    close(weights, torch.tensor([[0.26894143, 0.0, 0.7310586, 0.0]]))
    weights[0, 0].backward()
    assert bool(scores.grad.isfinite().all())


def test_ties_share_equally():
    close(masked_softmax(torch.full((2, 4), 7.0, dtype=F64)), torch.full((2, 4), 0.25, dtype=F64))


# Attention against PyTorch


@pytest.mark.parametrize(("T", "S", "d_k", "d_v"), [(1, 1, 1, 1), (3, 5, 4, 6), (5, 3, 2, 7), (4, 4, 8, 8)])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_and_its_gradients_equal_torch(rng, T, S, d_k, d_v, masked):
    ours = [normal(rng, 2, 3, n, d, grad=True) for n, d in ((T, d_k), (S, d_k), (S, d_v))]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    mask = torch.rand(T, S, generator=rng) < 0.5 if masked else None
    if mask is not None:
        mask[:, 0] = True
    out, peer = scaled_dot_product_attention(*ours, mask), F.scaled_dot_product_attention(*theirs, attn_mask=mask)
    close(out, peer)
    upstream = normal(rng, *out.shape)
    out.backward(upstream)
    peer.backward(upstream)
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad)


@pytest.mark.parametrize(("T", "S"), [(5, 5), (3, 6)])
def test_multi_head_attention_and_its_gradients_equal_torch(rng, T, S):
    d, d_kv, n_heads = 12, 12 if T == S else 7, 3
    x, z = normal(rng, 2, T, d, grad=True), normal(rng, 2, S, d_kv, grad=True)
    W_Q, W_O = normal(rng, d, d, grad=True), normal(rng, d, d, grad=True)
    W_K, W_V = normal(rng, d_kv, d, grad=True), normal(rng, d_kv, d, grad=True)
    peer = torch.nn.MultiheadAttention(d, n_heads, bias=False, kdim=d_kv, vdim=d_kv, batch_first=True, dtype=F64)
    with torch.no_grad():
        peer.out_proj.weight.copy_(W_O.mT)
        if d_kv == d:
            peer.in_proj_weight.copy_(torch.cat([W_Q.mT, W_K.mT, W_V.mT]))
        else:
            for parameter, W in ((peer.q_proj_weight, W_Q), (peer.k_proj_weight, W_K), (peer.v_proj_weight, W_V)):
                parameter.copy_(W.mT)
    mask = causal_mask(T, S)
    x2, z2 = x.detach().clone().requires_grad_(), z.detach().clone().requires_grad_()
    out = multi_head_attention(x, z, W_Q, W_K, W_V, W_O, n_heads, mask)
    theirs, weights = peer(x2, z2, z2, attn_mask=~mask, average_attn_weights=False)
    close(out, theirs)
    close(attention_weights(split_heads(x @ W_Q, n_heads), split_heads(z @ W_K, n_heads), mask), weights)
    upstream = normal(rng, *out.shape)
    out.backward(upstream)
    theirs.backward(upstream)
    close(x.grad, x2.grad)
    close(z.grad, z2.grad)
    close(W_O.grad, peer.out_proj.weight.grad.mT)
    if d_kv == d:
        close(torch.cat([W_Q.grad.mT, W_K.grad.mT, W_V.grad.mT]), peer.in_proj_weight.grad)
    else:
        close(W_K.grad, peer.k_proj_weight.grad.mT)


def test_multi_head_attention_is_a_sum_over_heads_with_free_widths(rng):
    d, d_kv, d_out, n_heads, d_k, d_v = 5, 4, 6, 3, 2, 7
    x, z = normal(rng, 2, 3, d), normal(rng, 2, 8, d_kv)
    W_Q, W_K = normal(rng, d, n_heads * d_k), normal(rng, d_kv, n_heads * d_k)
    W_V, W_O = normal(rng, d_kv, n_heads * d_v), normal(rng, n_heads * d_v, d_out)
    total = torch.zeros(2, 3, d_out, dtype=F64)
    for i in range(n_heads):
        qk, v = slice(i * d_k, (i + 1) * d_k), slice(i * d_v, (i + 1) * d_v)
        scores = x @ W_Q[:, qk] @ (z @ W_K[:, qk]).mT / math.sqrt(d_k)
        total += torch.softmax(scores, -1) @ z @ W_V[:, v] @ W_O[v]
    close(multi_head_attention(x, z, W_Q, W_K, W_V, W_O, n_heads), total)


@given(st.integers(0, 2**20), st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_without_a_mask_self_attention_is_permutation_equivariant(seed, T):
    rng = torch.Generator().manual_seed(seed)
    layer = MultiHeadAttention(6, 2, generator=rng, dtype=F64)
    x, order = normal(rng, 2, T, 6), torch.randperm(T, generator=rng)
    close(layer(x[:, order], x[:, order]), layer(x, x)[:, order])


@given(st.integers(0, 2**20), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_results_stay_between_the_values(seed, T, S):
    rng = torch.Generator().manual_seed(seed)
    q, k, v = normal(rng, T, 3), normal(rng, S, 3), normal(rng, S, 2)
    out = scaled_dot_product_attention(q, k, v)
    assert bool((out <= v.amax(0) + 1e-9).all())
    assert bool((out >= v.amin(0) - 1e-9).all())


# Heads


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_merging_undoes_splitting(B, T, H, N):
    x = torch.arange(B * T * N * H, dtype=F64).reshape(B, T, N * H)
    heads = split_heads(x, N)
    assert heads.shape == (B, N, T, H)
    assert all(torch.equal(heads[:, i], x[..., i * H : (i + 1) * H]) for i in range(N))
    assert torch.equal(merge_heads(heads), x)


def test_the_module_equals_the_function_and_its_weights_are_the_maps(rng):
    layer = MultiHeadAttention(6, 3, generator=rng, dtype=F64)
    x, z = normal(rng, 2, 4, 6), normal(rng, 2, 5, 6)
    mask = causal_mask(4, 5)
    close(layer(x, z, mask), multi_head_attention(x, z, layer.W_Q, layer.W_K, layer.W_V, layer.W_O, 3, mask))
    maps = layer.weights(x, z, mask)
    assert maps.shape == (2, 3, 4, 5)
    close(layer(x, z, mask), merge_heads(maps @ split_heads(z @ layer.W_V, 3)) @ layer.W_O)


def test_the_module_starts_from_its_generator_alone():
    first, second = (MultiHeadAttention(64, 4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    variances = [float(W.detach().var()) for W in first.parameters()]
    assert len(variances) == 4
    assert all(abs(variance * 64 - 1) < 0.1 for variance in variances)


@pytest.mark.parametrize(("d_model", "n_heads"), [(4, 1), (4, 4), (1, 1)])
def test_the_module_takes_any_number_of_heads_that_divides_its_width(rng, d_model, n_heads):
    layer, x = MultiHeadAttention(d_model, n_heads, generator=rng, dtype=F64), normal(rng, 2, 3, d_model)
    close(layer(x, x), multi_head_attention(x, x, layer.W_Q, layer.W_K, layer.W_V, layer.W_O, n_heads))
    assert layer.weights(x, x).shape == (2, n_heads, 3, 3)


# Circuits


def test_a_head_depends_on_qk_and_ov_alone(rng):
    d, d_k, d_v, T, S = 6, 2, 3, 4, 5
    W_Q, W_K, W_V, W_O = normal(rng, d, d_k), normal(rng, d, d_k), normal(rng, d, d_v), normal(rng, d_v, d)
    x, z = normal(rng, T, d), normal(rng, S, d)
    W_QK, W_OV = qk_ov_matrices(W_Q, W_K, W_V, W_O)
    assert W_QK.shape == W_OV.shape == (d, d)
    assert int(torch.linalg.matrix_rank(W_QK)) == d_k
    assert int(torch.linalg.matrix_rank(W_OV)) == d_v
    weights = torch.softmax(x @ W_QK @ z.mT / math.sqrt(d_k), -1)
    close(multi_head_attention(x, z, W_Q, W_K, W_V, W_O, 1), weights @ z @ W_OV)
    M = normal(rng, d_k, d_k)
    close(qk_ov_matrices(W_Q @ M, W_K @ torch.linalg.inv(M).mT, W_V, W_O)[0], W_QK)


def test_circuits_of_several_heads_at_once(rng):
    W_Q, W_K, W_V, W_O = normal(rng, 3, 6, 2), normal(rng, 3, 6, 2), normal(rng, 3, 6, 4), normal(rng, 3, 4, 6)
    together = qk_ov_matrices(W_Q, W_K, W_V, W_O)
    for i in range(3):
        for a, b in zip(together, qk_ov_matrices(W_Q[i], W_K[i], W_V[i], W_O[i]), strict=True):
            close(a[i], b)


def test_the_balanced_split_is_balanced_and_closest(rng):
    exact = normal(rng, 6, 2) @ normal(rng, 2, 5)
    W_Q, W_K = balanced_split(exact, 2)
    close(W_Q @ W_K.mT, exact)
    close(W_Q.mT @ W_Q, W_K.mT @ W_K)
    full = normal(rng, 6, 5)
    W_Q, W_K = balanced_split(full, 3)
    tail = np.linalg.svd(full.numpy(), compute_uv=False)[3:]
    close(torch.linalg.matrix_norm(full - W_Q @ W_K.mT), torch.tensor(np.linalg.norm(tail), dtype=F64))


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
def test_the_balanced_split_takes_every_width_from_one_to_the_smaller_side(rng, shape):
    W_QK = normal(rng, *shape)
    gaps = [
        float(torch.linalg.matrix_norm(W_QK - W_Q @ W_K.mT))
        for W_Q, W_K in (balanced_split(W_QK, d_k) for d_k in range(1, min(shape) + 1))
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-9


# Positions


@pytest.mark.parametrize(("T", "d"), [(1, 2), (7, 6), (0, 4), (3, 4), (0, 2)])
def test_positions_follow_their_definition(T, d):
    table = sinusoidal_positions(T, d)
    assert table.shape == (T, d)
    for t in range(T):
        for j in range(0, d, 2):
            angle = t / 10_000 ** (j / d)
            assert float(table[t, j]) == pytest.approx(math.sin(angle), abs=1e-12)
            assert float(table[t, j + 1]) == pytest.approx(math.cos(angle), abs=1e-12)


def test_products_of_positions_depend_on_their_distance_alone():
    table = sinusoidal_positions(40, 16)
    products = table @ table.mT
    for distance in (0, 1, 7):
        diagonal = products.diagonal(distance)
        close(diagonal, diagonal[:1].expand_as(diagonal), 1e-9)


# Measures, and two relatives


def test_entropy_equals_scipy(rng):
    weights = torch.softmax(3 * normal(rng, 2, 4, 7), -1)
    close(attention_entropy(weights), torch.tensor(scipy_entropy(weights.numpy(), axis=-1)))
    close(attention_entropy(torch.tensor([[0.0, 1.0]], dtype=F64)), torch.zeros(1, dtype=F64))


def test_jacobian_equals_autograd(rng):
    scores = normal(rng, 5)
    close(
        softmax_jacobian(torch.softmax(scores, -1)),
        torch.autograd.functional.jacobian(lambda s: torch.softmax(s, -1), scores),
    )
    batch = torch.softmax(normal(rng, 2, 3, 4), -1)
    close(softmax_jacobian(batch)[1, 2], softmax_jacobian(batch[1, 2]))


def test_additive_scores_equal_a_loop_over_pairs(rng):
    q, k = normal(rng, 2, 3, 4), normal(rng, 2, 5, 6)
    W_q, W_k, w = normal(rng, 4, 7), normal(rng, 6, 7), normal(rng, 7)
    scores = additive_scores(q, k, W_q, W_k, w)
    assert scores.shape == (2, 3, 5)
    close(scores[1, 2, 3], w @ torch.tanh(W_q.mT @ q[1, 2] + W_k.mT @ k[1, 3]))


def test_the_smoother_equals_a_gaussian_kernel_and_attention_over_keys_of_equal_length(rng):
    q, k, v = normal(rng, 3, 4), normal(rng, 6, 4), normal(rng, 6, 2)
    kernel = np.exp(-(cdist(q.numpy(), k.numpy()) ** 2) / (2 * 0.7**2))
    close(gaussian_smoother(q, k, v, 0.7), torch.tensor(kernel @ v.numpy() / kernel.sum(1, keepdims=True)))
    k = 3 * F.normalize(k, dim=-1)
    close(gaussian_smoother(q, k, v, 4**0.25), scaled_dot_product_attention(q, k, v))


def test_the_smoother_shares_among_the_keys_of_each_batch_entry(rng):
    q, k, v = normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 6, 4), normal(rng, 2, 3, 6, 2)
    together = gaussian_smoother(q, k, v, 1.5)
    assert together.shape == (2, 3, 5, 2)
    for i in range(2):
        for j in range(3):
            close(together[i, j], gaussian_smoother(q[i, j], k[i, j], v[i, j], 1.5))
    close(gaussian_smoother(q, k, torch.ones_like(v), 1.5), torch.ones(2, 3, 5, 2, dtype=F64))


# What users meet


@pytest.mark.parametrize(("T", "S"), [(0, 3), (3, 0), (0, 0)])
def test_empty_sequences(T, S):
    q, k, v = torch.zeros(2, T, 4), torch.zeros(2, S, 4), torch.zeros(2, S, 5)
    for mask in (None, causal_mask(T, S)):
        out = scaled_dot_product_attention(q, k, v, mask)
        assert out.shape == (2, T, 5)
        assert bool((out == 0).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_are_kept(dtype):
    layer = MultiHeadAttention(4, 2, generator=torch.Generator().manual_seed(0), dtype=dtype)
    x = torch.ones(2, 3, 4, dtype=dtype)
    assert layer(x, x, causal_mask(3)).dtype == dtype
    assert sinusoidal_positions(3, 4, dtype=dtype).dtype == dtype


def test_a_nan_in_sight_stays_in_its_row(rng):
    q, k, v = normal(rng, 3, 4), normal(rng, 5, 4), normal(rng, 5, 2)
    q[1, 0] = torch.nan
    bad = scaled_dot_product_attention(q, k, v).isnan().any(-1)
    assert bad.tolist() == [False, True, False]


def test_huge_scores_do_not_overflow():
    out = scaled_dot_product_attention(torch.full((1, 4), 1e10), torch.eye(4)[:2], torch.tensor([[1.0], [3.0]]))
    close(out, torch.tensor([[2.0]]))


def test_inputs_are_not_changed(rng):
    x, z = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4)
    W_Q, W_K, W_V, W_O = (normal(rng, 4, 4) for _ in range(4))
    mask = causal_mask(3, 5)
    given = [x, z, W_Q, W_K, W_V, W_O]
    before = [t.clone() for t in (*given, mask)]
    multi_head_attention(*given, 2, mask)
    masked_softmax(x, causal_mask(3, 4))
    qk_ov_matrices(W_Q, W_K, W_V, W_O)
    balanced_split(W_Q, 2)
    gaussian_smoother(x, z, z, 1.0)
    merge_heads(split_heads(x, 2))
    assert all(torch.equal(a, b) for a, b in zip(before, (*given, mask), strict=True))


@pytest.mark.usefixtures("own_errors")
class TestErrors:
    def raises(self, error, words, function, *arguments, **settings):
        with pytest.raises(error) as caught:
            function(*arguments, **settings)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_lengths_of_queries_and_keys(self):
        self.raises(
            ValueError, ["q has d_k = 8", "k has d_k = 16"], attention_scores, torch.ones(2, 8), torch.ones(3, 16)
        )

    def test_numbers_of_keys_and_values(self):
        q, k, v = torch.ones(2, 4), torch.ones(3, 4), torch.ones(5, 4)
        self.raises(ValueError, ["k has S = 3", "v has S = 5"], scaled_dot_product_attention, q, k, v)

    def test_batches(self):
        q, k = torch.ones(2, 3, 4), torch.ones(5, 3, 4)
        self.raises(ValueError, ["q has batch axes (2,)", "k has batch axes (5,)"], attention_scores, q, k)

    def test_integers(self):
        self.raises(
            TypeError, ["q must hold floating", "int64"], attention_scores, torch.ones(2, 3).long(), torch.ones(2, 3)
        )

    def test_a_float_mask(self):
        self.raises(TypeError, ["boolean", "float32"], masked_softmax, torch.ones(2, 3), torch.zeros(2, 3))

    @pytest.mark.parametrize("shape", [(3, 2), (2, 2, 3), (4, 1, 3), (0, 3), (2, 0), (2, 2), (0,), (2,), (1, 2, 3)])
    def test_a_mask_of_another_shape(self, shape):
        mask = torch.ones(shape, dtype=torch.bool)
        self.raises(
            ValueError, [f"mask has shape {shape}", "scores have shape (2, 3)"], masked_softmax, torch.ones(2, 3), mask
        )

    def test_a_width_that_does_not_divide(self):
        self.raises(ValueError, ["width = 6", "n_heads = 4"], split_heads, torch.ones(2, 6), 4)
        self.raises(ValueError, ["d_model = 6", "n_heads = 4"], MultiHeadAttention, 6, 4)
        for n_heads in (0, -1, -2):
            words = ["6", f"n_heads = {n_heads}", "multiple of n_heads"]
            self.raises(ValueError, words, split_heads, torch.ones(2, 6), n_heads)
            self.raises(ValueError, words, MultiHeadAttention, 6, n_heads)

    def test_projections_that_do_not_fit(self):
        x, W, other = torch.ones(3, 4), torch.ones(4, 6), torch.ones(4, 8)
        words = ["W_Q has N*d_k = 6", "W_K has N*d_k = 8"]
        self.raises(ValueError, words, multi_head_attention, x, x, W, other, W, W.mT, 2)
        words = ["W_V has N*d_v = 6", "W_O has N*d_v = 8"]
        self.raises(ValueError, words, multi_head_attention, x, x, W, W, W, other.mT, 2)
        words = ["q_in has d = 4", "W_Q has d = 5"]
        self.raises(ValueError, words, multi_head_attention, x, x, torch.ones(5, 6), W, W, W.mT, 2)

    def test_circuits(self):
        W = torch.ones(4, 2)
        self.raises(ValueError, ["W_Q has d_k = 2", "W_K has d_k = 3"], qk_ov_matrices, W, torch.ones(4, 3), W, W.mT)
        for d_k in (5, 3, 0, -1):
            self.raises(ValueError, [f"d_k = {d_k}", "(4, 2)", "between 1 and 2"], balanced_split, W, d_k)
            self.raises(ValueError, [f"d_k = {d_k}", "(2, 4)", "between 1 and 2"], balanced_split, W.mT, d_k)

    def test_numbers_out_of_range(self):
        self.raises(ValueError, ["T = -1", "S = 3"], causal_mask, -1, 3)
        for T, d_model in ((3, 5), (3, 1), (3, 0), (3, -2), (3, -1), (-1, 4)):
            words = ["must not be negative", "must be a positive even number", f"T = {T}", f"d_model = {d_model}"]
            self.raises(ValueError, words, sinusoidal_positions, T, d_model)
        self.raises(ValueError, ["bandwidth", "0.0"], gaussian_smoother, *(torch.ones(2, 2),) * 3, 0.0)


# No hidden CPU tensor


def functions_on(device):
    """Every function, on tensors of a device, by name."""
    x, z = (torch.ones(2, n, 6, device=device, requires_grad=True) for n in (3, 5))
    W = torch.ones(6, 6, device=device, requires_grad=True)
    mask = causal_mask(3, 5, device=device)
    return {
        "attention_scores": lambda: attention_scores(x, z),
        "masked_softmax": lambda: masked_softmax(attention_scores(x, z), mask),
        "attention_weights": lambda: attention_weights(x, z, mask),
        "scaled_dot_product_attention": lambda: scaled_dot_product_attention(x, z, z, mask),
        "split_heads": lambda: split_heads(x, 2),
        "merge_heads": lambda: merge_heads(split_heads(x, 2)),
        "multi_head_attention": lambda: multi_head_attention(x, z, W, W, W, W, 2, mask),
        "qk_ov_matrices": lambda: sum(qk_ov_matrices(W, W, W, W)),
        "balanced_split": lambda: sum(balanced_split(W, 2)),
        "attention_entropy": lambda: attention_entropy(torch.softmax(x, -1)),
        "softmax_jacobian": lambda: softmax_jacobian(torch.softmax(x, -1)),
        "additive_scores": lambda: additive_scores(x, z, W, W, W[0]),
        "gaussian_smoother": lambda: gaussian_smoother(x, z, z, 1.0),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", functions_on("cpu"))
def test_functions_stay_on_their_device(name, device):
    out = functions_on(device)[name]()
    assert out.device.type == device
    out.sum().backward()


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_created_is_created_on_the_device(device):
    assert causal_mask(3, 4, device=device).device.type == device
    assert sinusoidal_positions(3, 4, device=device, dtype=torch.float32).device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_stays_on_the_device(device):
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    layer = MultiHeadAttention(8, 2, generator=generator, device=device, dtype=torch.float32)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    x = torch.ones(2, 5, 8, device=device) + sinusoidal_positions(5, 8, device=device, dtype=torch.float32)
    loss = layer(x, x, causal_mask(5, device=device)).square().mean()
    loss.backward()
    optimizer.step()
    assert all(p.device.type == device and p.grad.device.type == device for p in layer.parameters())


def test_the_meta_device_would_catch_a_mask_left_on_the_cpu():
    x = torch.ones(2, 3, 6, device="meta")
    with pytest.raises(RuntimeError, match="device"):
        masked_softmax(attention_scores(x, x), causal_mask(3))


def head_size_from_the_model(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    B, T, d = q_in.shape
    q, k, v = (
        x.view(B, x.shape[1], n_heads, d // n_heads).transpose(1, 2) for x in (q_in @ W_Q, kv_in @ W_K, kv_in @ W_V)
    )
    return (torch.softmax(q @ k.mT, dim=-1) @ v).transpose(1, 2).reshape(B, T, d) @ W_O


def clock_by_clock(T, d_model):
    table = torch.zeros(T, d_model, dtype=torch.float64)
    for pair in range(d_model // 2):
        angle = torch.arange(T, dtype=torch.float64) / 10_000 ** (2 * pair // d_model)
        table[:, 2 * pair], table[:, 2 * pair + 1] = angle.sin(), angle.cos()
    return table


def sum_without_its_axis(scores, mask):
    e = torch.exp(scores) * mask
    return e / e.sum(-1)


def clamped(scores, mask):
    return torch.softmax(scores.clamp(-700, 700).masked_fill(~mask, -torch.inf), -1).nan_to_num(0.0)


def mask_row_by_row(T, S):
    mask = torch.zeros(T, S, dtype=torch.bool)
    for i in range(T):
        mask[i, : max(0, i + S - T)] = True
    return mask


def queries_divided(q, k):
    q /= q.shape[-1] ** 0.5
    return q @ k.transpose(-2, -1)


def attention_with(fill):
    """Attention that hides keys with a finite score and takes their shares away afterwards."""

    def attention_of(q, k, v, mask=None):
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if mask is None:
            return torch.softmax(scores, -1) @ v
        return (torch.softmax(scores.masked_fill(~mask, fill), -1) * mask) @ v

    return attention_of


HIDDEN = attention_with(-torch.inf)


def heads_with(attention_of=HIDDEN, keys="W_K", queries="W_Q"):
    """Multi-head attention with one of its parts replaced."""

    def attention_of_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
        weights = {"W_Q": W_Q, "W_K": W_K}
        products = (q_in @ weights[queries], kv_in @ weights[keys], kv_in @ W_V)
        q, k, v = (x.unflatten(-1, (n_heads, -1)).transpose(1, 2) for x in products)
        return attention_of(q, k, v, mask).nan_to_num(0.0).transpose(1, 2).flatten(-2) @ W_O

    return attention_of_heads


def test_the_smallest_finite_number_hides_as_well_as_minus_infinity():
    lowest = torch.finfo(torch.float64).min
    for exercise, submission in (
        ("masked_softmax", lambda scores, mask: torch.softmax(scores.masked_fill(~mask, lowest), -1) * mask),
        ("scaled_dot_product_attention", attention_with(lowest)),
        ("multi_head_attention", heads_with(attention_with(lowest))),
    ):
        report = evaluate(f"attention.{exercise}", submission)
        assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize("fill", [-20, -50, -500, -2e3, -7e3, -1e4])
def test_a_finite_fill_within_the_promised_scores_does_not_pass(fill):
    for exercise, submission in (
        ("masked_softmax", lambda scores, mask: torch.softmax(scores.masked_fill(~mask, fill), -1) * mask),
        ("scaled_dot_product_attention", attention_with(fill)),
        ("multi_head_attention", heads_with(attention_with(fill))),
    ):
        report = evaluate(f"attention.{exercise}", submission)
        assert report.score < report.max_score, (exercise, report.feedback)


@pytest.mark.parametrize(
    ("exercise", "submission", "mistake"),
    [
        ("attention_scores", queries_divided, "queries_scaled_in_place"),
        ("attention_scores", lambda q, k: q @ k.mT / math.sqrt(k.shape[2]), "length_of_keys_from_axis_two"),
        ("causal_mask", mask_row_by_row, "strict"),
        ("causal_mask", lambda T, S: torch.ones(S, T).tril().bool(), "keys_in_rows"),
        ("masked_softmax", lambda scores, mask: torch.softmax(scores * mask, -1) * mask, "zeroes_scores_then_hides"),
        ("masked_softmax", sum_without_its_axis, "axis_of_the_sum_lost"),
        ("multi_head_attention", head_size_from_the_model, "reshaped_to_width_over_heads"),
        ("masked_softmax", clamped, "clamps_the_scores"),
        ("scaled_dot_product_attention", attention_with(-30), "fills_with_100"),
        ("multi_head_attention", heads_with(attention_with(-30)), "fills_with_100"),
        ("multi_head_attention", heads_with(keys="W_Q", queries="W_K"), "query_and_key_weights_swapped"),
        ("multi_head_attention", heads_with(keys="W_Q"), "keys_with_query_weights"),
        ("sinusoidal_positions", clock_by_clock, "exponent_without_fraction"),
    ],
)
def test_a_mistake_is_recognized_in_another_spelling(exercise, submission, mistake):
    report = evaluate(f"attention.{exercise}", submission)
    assert (report.score, report.misconception) == (0, mistake), report.feedback
