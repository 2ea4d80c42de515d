from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from devices import DEVICES, needs_cuda
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mlcourse.attention import causal_mask, multi_head_attention, sinusoidal_positions
from mlcourse.grading import evaluate
from mlcourse.training import Training
from mlcourse.trainings.transformer import (
    TRAININGS,
    Characters,
    CharacterSettings,
    character_split,
    evaluate_windows,
    train_characters,
)
from mlcourse.trainings.witten_bell import witten_bell_bits
from mlcourse.transformer import (
    GPT,
    GPTConfig,
    LayerCache,
    causal_attention,
    count_flops_and_parameters,
    embed_tokens_and_positions,
    encoder_block,
    feed_forward,
    generate_with_cache,
    gpt_forward,
    init_weights,
    language_model_loss,
    leaves,
    macaron_block,
    parallel_block,
    post_norm_block,
    pre_norm_block,
    random_windows,
    sample,
    sandwich_stack,
    train,
)

pytestmark = pytest.mark.parallel

F64 = torch.float64
SMALL = GPTConfig(n_tokens=7, T_max=9, width=6, n_heads=3, n_layers=2)


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=F64)


def tokens_of(rng, V, *shape):
    return torch.randint(V, shape, generator=rng)


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def drawn(rng, config=SMALL):
    """Weights of which every number is drawn, gains, shifts and biases too."""
    weights = init_weights(config, generator=rng, dtype=F64)
    for tensor in leaves(weights):
        if tensor.ndim == 1:
            tensor += 0.3 * torch.randn(tensor.shape, generator=rng, dtype=F64)
    return weights


def torch_layer(block, n_heads, norm_first=True, activation="gelu"):
    """PyTorch's own layer with the weights of a block."""
    C, D = block["W_1"].shape
    layer = torch.nn.TransformerEncoderLayer(
        C, n_heads, D, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first, dtype=F64
    )
    own = {
        "self_attn.in_proj_weight": torch.cat([block[name].mT for name in ("W_Q", "W_K", "W_V")]),
        "self_attn.in_proj_bias": torch.zeros(3 * C, dtype=F64),
        "self_attn.out_proj.weight": block["W_O"].mT,
        "self_attn.out_proj.bias": torch.zeros(C, dtype=F64),
        "linear1.weight": block["W_1"].mT,
        "linear1.bias": block["b_1"],
        "linear2.weight": block["W_2"].mT,
        "linear2.bias": block["b_2"],
        "norm1.weight": block["gain_1"],
        "norm1.bias": block["shift_1"],
        "norm2.weight": block["gain_2"],
        "norm2.bias": block["shift_2"],
    }
    layer.load_state_dict(own)
    return layer


# The stream


def test_the_stream_begins_with_a_one_hot_product_and_places(rng):
    tokens, W_E, W_P = tokens_of(rng, 7, 2, 4), normal(rng, 7, 5), normal(rng, 9, 5)
    by_product = F.one_hot(tokens, 7).to(F64) @ W_E
    for start in (0, 3, 5):
        close(embed_tokens_and_positions(tokens, W_E, W_P, start), by_product + W_P[start : start + 4])
    close(embed_tokens_and_positions(tokens, W_E, W_P), by_product + W_P[:4])
    assert embed_tokens_and_positions(tokens[0], W_E, W_P).shape == (4, 5)


def test_attention_equals_the_reference_of_its_chapter(rng):
    block, x = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6)
    maps = [block[name] for name in ("W_Q", "W_K", "W_V", "W_O")]
    close(causal_attention(x, block, 3), multi_head_attention(x, x, *maps, 3, causal_mask(5)))
    close(causal_attention(x[0], block, 3), multi_head_attention(x[0], x[0], *maps, 3, causal_mask(5)))


@pytest.mark.parametrize("pieces", [(5,), (1, 1, 1, 1, 1), (2, 3), (3, 1, 1), (1, 4)])
def test_attention_in_pieces_with_a_cache_equals_attention_at_once(rng, pieces):
    block, x, cache = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6), LayerCache(7)
    parts = [causal_attention(part, block, 3, cache) for part in x.split(pieces, dim=1)]
    close(torch.cat(parts, dim=1), causal_attention(x, block, 3))
    assert cache.length == 5
    close(cache.k[..., :5, :].transpose(1, 2).flatten(2), x @ block["W_K"])
    close(cache.v[..., :5, :].transpose(1, 2).flatten(2), x @ block["W_V"])


@pytest.mark.parametrize("n_heads", [1, 2, 6])
def test_the_block_and_its_gradients_equal_torch(rng, n_heads):
    block, x = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6).requires_grad_()
    mask = ~causal_mask(5)
    ours, peer = pre_norm_block(x, block, n_heads), torch_layer(block, n_heads)(x, src_mask=mask)
    close(ours, peer)
    upstream = normal(rng, 2, 5, 6)
    close(*(torch.autograd.grad(y, x, upstream)[0] for y in (ours, peer)))


def test_the_block_of_2017_equals_torch(rng):
    block, x = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6)
    close(post_norm_block(x, block, 2), torch_layer(block, 2, norm_first=False)(x, src_mask=~causal_mask(5)))


def test_the_encoder_block_equals_torch_with_and_without_a_mask(rng):
    block, x = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6)
    close(encoder_block(x, block, 2), torch_layer(block, 2)(x))
    padded = torch.tensor([[True] * 5, [True, True, True, False, False]])
    ours = encoder_block(x, block, 2, padded[:, None, None, :])
    close(ours, torch_layer(block, 2)(x, src_key_padding_mask=~padded))
    close(encoder_block(x, block, 2, causal_mask(5)), pre_norm_block(x, block, 2))


def test_the_parallel_block_adds_two_readings_of_one_norm(rng):
    block, x = drawn(rng)["blocks"][0], normal(rng, 2, 5, 6)
    normed = F.layer_norm(x, (6,), block["gain_1"], block["shift_1"])
    close(parallel_block(x, block, 2) - x - causal_attention(normed, block, 2), feed_forward(normed, block))
    assert not torch.allclose(parallel_block(x, block, 2), pre_norm_block(x, block, 2))


def test_a_macaron_has_half_a_feed_forward_on_both_sides(rng):
    block, before = drawn(rng)["blocks"]
    x = normal(rng, 2, 5, 6)

    def norm(x, block, i):
        return F.layer_norm(x, (6,), block[f"gain_{i}"], block[f"shift_{i}"])

    a = x + feed_forward(norm(x, before, 2), before) / 2
    b = a + causal_attention(norm(a, block, 1), block, 2)
    close(macaron_block(x, block, before, 2), b + feed_forward(norm(b, block, 2), block) / 2)


def test_a_sandwich_orders_its_halves(rng):
    config = GPTConfig(5, 4, 6, 2, 3)
    blocks, x = drawn(rng, config)["blocks"], normal(rng, 2, 4, 6)

    def silent(**kept):
        """Return blocks of which only the named halves write."""
        return [
            {
                **block,
                "W_O": block["W_O"] * (i in kept["s"]),
                "W_2": block["W_2"] * (i in kept["f"]),
                "b_2": block["b_2"] * (i in kept["f"]),
            }
            for i, block in enumerate(blocks)
        ]

    plain = x
    for block in blocks:
        plain = pre_norm_block(plain, block, 2)
    close(sandwich_stack(x, blocks, 2, 0), plain)
    # k = 1: s0 | s1 f0 | s2 f1 | f2
    for first, second in [("s1", "f0"), ("f0", "s2"), ("f1", "f2"), ("s0", "s1"), ("s2", "f1")]:
        kept = {"s": set(), "f": set()}
        for kind, i in (first, second):
            kept[kind].add(int(i))
        y = x
        for kind, i in (first, second):
            block = blocks[int(i)]
            number = 1 if kind == "s" else 2
            normed = F.layer_norm(y, (6,), block[f"gain_{number}"], block[f"shift_{number}"])
            y = y + (causal_attention(normed, block, 2) if kind == "s" else feed_forward(normed, block))
        close(sandwich_stack(x, silent(**kept), 2, 1), y)
    everything = sandwich_stack(x, blocks, 2, 3)
    close(
        everything,
        sandwich_stack(sandwich_stack(x, silent(s={0, 1, 2}, f=set()), 2, 3), silent(s=set(), f={0, 1, 2}), 2, 3),
    )


# The model


def test_the_model_equals_a_stack_of_torch_layers(rng):
    weights, tokens = drawn(rng), tokens_of(rng, 7, 2, 5)
    x = F.embedding(tokens, weights["W_E"]) + weights["W_P"][:5]
    for block in weights["blocks"]:
        x = torch_layer(block, 3)(x, src_mask=~causal_mask(5))
    x = F.layer_norm(x, (6,), weights["gain"], weights["shift"])
    close(gpt_forward(tokens, weights, 3), F.linear(x, weights["W_E"]))


def test_the_module_equals_the_function_and_learns_every_weight(rng):
    model, tokens = GPT(SMALL, generator=rng, dtype=F64), tokens_of(rng, 7, 2, 5)
    close(model(tokens), gpt_forward(tokens, model.weights, 3))
    language_model_loss(model(tokens), tokens).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for name, p in model.named_parameters() if "W_P" not in name)
    assert sum(p.numel() for p in model.parameters()) == sum(tensor.numel() for tensor in leaves(model.weights))
    cache = [LayerCache(9) for _ in range(2)]
    close(torch.cat([model(tokens[:, :3], cache), model(tokens[:, 3:], cache)], dim=1), model(tokens))


@given(st.integers(0, 2**20), st.integers(1, 8))
@settings(max_examples=20, deadline=None)
def test_a_prefix_never_sees_what_follows(seed, t):
    rng = torch.Generator().manual_seed(seed)
    weights, tokens = drawn(rng), tokens_of(rng, 7, 2, 9)
    close(gpt_forward(tokens[:, :t], weights, 3), gpt_forward(tokens, weights, 3)[:, :t])


def test_weights_start_with_the_promised_sizes(rng):
    config = GPTConfig(200, 150, 64, 4, 8)
    weights = init_weights(config, generator=rng)
    block = weights["blocks"][3]
    expected = {"W_Q": 1 / 64, "W_K": 1 / 64, "W_V": 1 / 64, "W_O": 1 / 1024, "W_1": 1 / 64, "W_2": 1 / 4096}
    for name, variance in expected.items():
        assert float(block[name].var()) == pytest.approx(variance, rel=0.1), name
    assert float(weights["W_E"].var()) == pytest.approx(1 / 64, rel=0.1)
    close(weights["W_P"].norm(dim=1), torch.full((150,), 2.0), 1e-5)
    close(weights["W_P"], sinusoidal_positions(150, 64, dtype=torch.float32) * math.sqrt(8 / 64), 1e-5)
    assert len(weights["blocks"]) == 8
    for tensor in leaves(weights):
        if tensor.ndim == 1:
            assert set(tensor.tolist()) <= {0.0, 1.0}
    assert block["gain_1"].all()
    assert not block["shift_1"].any()
    assert not block["b_1"].any()
    again = init_weights(config, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(leaves(weights), leaves(again), strict=True))


def test_dtypes_are_kept(rng):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        model = GPT(SMALL, generator=rng, dtype=dtype)
        assert model(tokens_of(rng, 7, 2, 5)).dtype == dtype


# The loss and the training


def test_the_loss_is_the_mean_surprise(rng):
    logits, targets = 3 * normal(rng, 2, 3, 5), tokens_of(rng, 5, 2, 3)
    p = torch.softmax(logits, -1)
    loop = [-math.log(float(p[b, t, targets[b, t]])) for b in range(2) for t in range(3)]
    close(language_model_loss(logits, targets), torch.tensor(sum(loop) / 6, dtype=F64))
    close(language_model_loss(logits[0], targets[0]), torch.tensor(sum(loop[:3]) / 3, dtype=F64))
    close(language_model_loss(torch.zeros(2, 3, 8), targets), torch.tensor(math.log(8)), 1e-6)


def test_windows_are_shifted_by_one_and_reach_both_ends():
    text = torch.arange(20) * 3
    batches = random_windows(text, 5, 64, torch.Generator().manual_seed(0))
    firsts = set()
    for _ in range(10):
        x, y = next(batches)
        assert x.shape == y.shape == (64, 5)
        assert torch.equal(y, x + 3)
        firsts |= set((x[:, 0] // 3).tolist())
    assert firsts == set(range(15))


def test_training_learns_and_is_repeatable():
    config, text = GPTConfig(4, 8, 16, 2, 1), torch.arange(400) % 4
    runs = []
    for _ in range(2):
        model = GPT(config, generator=torch.Generator().manual_seed(1))
        batches = random_windows(text, 8, 8, torch.Generator().manual_seed(2))
        runs.append(train(model, model.parameters(), batches, steps=60, learning_rate=1e-2, progress=False))
    assert runs[0].shape == (60,)
    assert np.array_equal(*runs)
    assert runs[0][0] > 1
    assert runs[0][-1] < 0.05


def test_the_rate_rises_and_falls_in_a_line_to_zero():
    """With gradients of constant sign AdamW moves by the rate, so the steps show the schedule."""
    w, seen = torch.zeros(1), []
    batches = iter(lambda: (torch.zeros(1), torch.zeros(1)), None)
    train(
        lambda x: w, [w], batches, steps=10, learning_rate=0.1, warmup=4, progress=False,
        loss=lambda y, _: y.sum(), after_step=lambda done: seen.append((done, float(w.detach()))),
    )  # fmt: skip
    rates = -np.diff([0.0, *(value for _, value in seen)])
    assert [done for done, _ in seen] == list(range(1, 11))
    assert rates == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.1, 0.1 * 5 / 6, 0.1 * 4 / 6, 0.05, 0.1 / 3, 0.1 / 6], rel=1e-4
    )


def test_weight_decay_acts_on_matrices_alone():
    """Without a gradient, only decay moves a weight."""
    matrix, vector = torch.ones(2, 2), torch.ones(2)
    batches = iter(lambda: (torch.zeros(1), torch.zeros(1)), None)
    train(
        lambda x: 0 * (matrix.sum() + vector.sum()), [matrix, vector], batches, steps=1, learning_rate=0.5, warmup=1,
        weight_decay=0.2, loss=lambda y, _: y, progress=False,
    )  # fmt: skip
    close(matrix.detach(), torch.full((2, 2), 0.9), 1e-6)
    close(vector.detach(), torch.ones(2), 1e-6)


def test_huge_gradients_are_clipped():
    w = torch.zeros(1)
    batches = iter([(torch.zeros(1), torch.tensor(size)) for size in (1e6, 1.0)])
    train(
        lambda x: w, [w], batches, steps=2, learning_rate=0.1, warmup=1, loss=lambda y, s: y.sum() * s, progress=False
    )
    assert float(w.detach()) == pytest.approx(-0.2, rel=1e-3)  # both steps have the clipped gradient 1


def test_each_step_has_the_gradient_of_its_own_batch():
    w, gradients = torch.zeros(1), []
    batches = iter([(torch.zeros(1), torch.tensor(slope)) for slope in (0.5, -0.25, 0.125)])
    train(
        lambda x: w, [w], batches, steps=3, learning_rate=0.1, loss=lambda y, slope: y.sum() * slope, progress=False,
        after_step=lambda _: gradients.append(float(w.grad)),
    )  # fmt: skip
    assert gradients == pytest.approx([0.5, -0.25, 0.125], rel=1e-5)


def test_no_steps_give_no_losses():
    assert train(lambda x: x, [torch.zeros(1)], iter([]), steps=0, learning_rate=1.0, progress=False).shape == (0,)


def test_bfloat16_is_used_where_asked(rng):
    model, dtypes = GPT(SMALL, generator=rng), []
    batches = random_windows(torch.arange(50) % 7, 8, 4, rng)

    def predict(tokens):
        logits = model(tokens)
        dtypes.append(logits.dtype)
        return logits

    for bf16 in (False, True):
        losses = train(predict, model.parameters(), batches, steps=2, learning_rate=1e-3, bf16=bf16, progress=False)
        assert np.isfinite(losses).all()
    assert dtypes == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_progress_is_shown_and_can_be_silenced(rng, capsys):
    for progress in (True, False):
        model = GPT(SMALL, generator=rng)
        batches = random_windows(torch.arange(50) % 7, 8, 4, rng)
        train(model, model.parameters(), batches, steps=2, learning_rate=1e-3, progress=progress)
        assert ("2/2" in capsys.readouterr().err) == progress


# Writing


def test_sampling_follows_its_definition_by_loops(rng):
    for temperature, top_k, top_p in [
        (1.0, None, None),
        (0.5, 3, None),
        (2.0, None, 0.7),
        (1.3, 5, 0.6),
        (1.0, 99, 1.0),
    ]:
        logits, u = 2 * normal(rng, 4, 8), torch.rand(4, generator=rng, dtype=F64)
        tokens, p = sample(logits, u, temperature, top_k, top_p)
        for b in range(4):
            plain = torch.softmax(logits[b] / temperature, 0)
            order = plain.argsort(descending=True).tolist()[:top_k]
            if top_p is not None:
                whole, few = float(plain[order].sum()), []
                while order and float(plain[few].sum()) / whole < top_p:
                    few.append(order.pop(0))
                order = few
            expected = torch.zeros(8, dtype=F64)
            expected[order] = plain[order] / plain[order].sum()
            close(p[b], expected)
            assert int(tokens[b]) == int((expected.cumsum(0) > u[b]).nonzero()[0])


@given(st.integers(0, 2**20), st.floats(0.05, 5), st.integers(1, 9), st.floats(0.01, 1))
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_was_kept(seed, temperature, top_k, top_p):
    rng = torch.Generator().manual_seed(seed)
    tokens, p = sample(3 * normal(rng, 5, 7), torch.rand(5, generator=rng, dtype=F64), temperature, top_k, top_p)
    assert bool((p.gather(1, tokens[:, None]) > 0).all())
    close(p.sum(1), torch.ones(5, dtype=F64))
    assert int((p > 0).sum(1).max()) <= top_k


def test_the_numbers_drawn_reach_the_ends():
    logits = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf], [-torch.inf, 0.0, 0.0, -torch.inf]])
    assert sample(logits, torch.tensor([0.0, 0.0]))[0].tolist() == [0, 1]
    almost_one = torch.tensor([1 - 2**-24] * 2)
    assert sample(logits, almost_one)[0].tolist() == [1, 2]
    logits = torch.randn(2000, 50, generator=torch.Generator().manual_seed(0))
    tokens, p = sample(logits, torch.full((2000,), 1 - 2**-24))
    assert bool((p.cumsum(-1)[:, -1] < 1 - 2**-24).any())  # rounding: some running sums end before u
    assert bool((tokens < 50).all())


def test_nothing_is_kept_beyond_the_token_that_reaches_top_p():
    assert sample(torch.zeros(4), torch.tensor(0.9), top_p=0.5)[1].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert sample(torch.zeros(4), torch.tensor(0.9), top_p=0.51)[1].tolist() != [0.5, 0.5, 0.0, 0.0]


def test_tied_tokens_are_kept_from_the_first_and_tiny_temperatures_are_safe():
    assert sample(torch.zeros(4), torch.tensor(0.9), top_k=2)[1].tolist() == [0.5, 0.5, 0.0, 0.0]
    tokens, p = sample(torch.tensor([1e4, 0.0, 1e4 + 1]), torch.tensor(0.5), temperature=1e-38)
    assert p.tolist() == [0.0, 0.0, 1.0]
    assert int(tokens) == 2


def test_top_p_of_one_keeps_everything(rng):
    logits = normal(rng, 3, 200)
    close(sample(logits, torch.rand(3, dtype=F64), top_p=1.0)[1], torch.softmax(logits, -1))


@pytest.mark.parametrize(("T", "n_new"), [(1, 9), (4, 6), (9, 1), (3, 1), (5, 0)])
def test_writing_with_a_cache_equals_writing_without(rng, T, n_new):
    weights, prompt = drawn(rng), tokens_of(rng, 7, 2, T)
    tokens, logits = generate_with_cache(prompt, weights, 3, n_new)
    assert tokens.shape == (2, T + n_new)
    assert logits.shape == (2, n_new, 7)
    assert torch.equal(tokens[:, :T], prompt)
    for i in range(n_new):
        close(logits[:, i], gpt_forward(tokens[:, : T + i], weights, 3)[:, -1])
        assert torch.equal(tokens[:, T + i], logits[:, i].argmax(-1))


def test_logits_from_the_cache_agree_to_five_digits_in_float32(rng):
    config = GPTConfig(66, 128, 128, 4, 4)
    weights = init_weights(config, generator=rng)
    tokens, logits = generate_with_cache(tokens_of(rng, 66, 1, 10), weights, 4, 100)
    whole = gpt_forward(tokens[:, :-1], weights, 4)[:, 9:]
    torch.testing.assert_close(logits, whole, rtol=1e-5, atol=1e-5)


def test_writing_draws_with_the_numbers_given(rng):
    weights, prompt = drawn(rng), tokens_of(rng, 7, 8, 3)
    u = torch.rand(8, 5, generator=rng, dtype=F64)
    written = [generate_with_cache(prompt, weights, 3, 5, u)[0]]
    for choice in ({"temperature": 5.0}, {"top_k": 2}, {"top_p": 0.3}, {"temperature": 1.5, "top_k": 5, "top_p": 0.6}):
        tokens, logits = generate_with_cache(prompt, weights, 3, 5, u, **choice)
        for i in range(5):
            assert torch.equal(tokens[:, 3 + i], sample(logits[:, i], u[:, i], **choice)[0])
        assert not any(torch.equal(tokens, other) for other in written), "no choice may go unheard"
        written.append(tokens)


def test_writing_passes_each_token_once(rng):
    weights, prompt = drawn(rng), tokens_of(rng, 7, 1, 3)
    with FlopCounterMode(display=False) as counter:
        generate_with_cache(prompt, weights, 3, 6)
    with FlopCounterMode(display=False) as once:
        gpt_forward(tokens_of(rng, 7, 1, 8), weights, 3)
    assert counter.get_total_flops() <= once.get_total_flops()


# Counting


@pytest.mark.parametrize(
    ("V", "C", "N", "L", "T_max", "T", "B"), [(11, 6, 3, 2, 9, 5, 3), (5, 8, 2, 1, 4, 4, 1), (7, 4, 1, 0, 3, 2, 2)]
)
def test_counts_equal_those_of_torch(rng, V, C, N, L, T_max, T, B):
    flops, parameters = count_flops_and_parameters(V, C, L, T_max, T, B)
    model = GPT(GPTConfig(V, T_max, C, N, L), generator=rng)
    assert sum(p.numel() for p in model.parameters()) == parameters
    plain = sdpa_kernel(SDPBackend.MATH)  # the counter does not know the fused kernel of the CPU
    with torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
        model(tokens_of(rng, V, B, T))
    assert counter.get_total_flops() == flops


def test_the_count_reaches_the_124_million_of_gpt2():
    """GPT-2 has biases in its four maps of attention, and ours has none."""
    ours = count_flops_and_parameters(V=50_257, C=768, L=12, T_max=1024, T=1)[1]
    assert ours + 12 * 4 * 768 == 124_439_808


# Characters and n-grams


def test_characters_come_back_and_the_last_tenth_is_held_out():
    text = "abracadabra, " * 10
    data = character_split(text)
    assert data.alphabet == "".join(sorted(set(text)))
    assert data.decode(torch.cat((data.train, data.heldout))) == text
    assert (len(data.train), len(data.heldout)) == (117, 13)
    assert torch.equal(data.encode(text[:117]), data.train)


def test_the_bible_is_the_default():
    data = character_split()
    assert isinstance(data, Characters)
    assert data.decode(data.train[:16]) == "In the beginning"
    assert len(data.train) > 3_000_000


def loop_bits(train, heldout, order, V):
    def p(context, w):
        if context is None:
            return 1 / V
        k = len(context)
        follow = [train[i + k] for i in range(len(train) - k) if tuple(train[i : i + k]) == context]
        lower = p(context[1:] if k else None, w)
        u = len(set(follow))
        return (follow.count(w) + u * lower) / (len(follow) + u) if follow else lower

    return [-math.log2(p(tuple(heldout[max(0, i - order + 1) : i]), w)) for i, w in enumerate(heldout)]


def test_n_grams_equal_a_loop_over_counts():
    draws = np.random.default_rng(0)
    train, heldout = draws.integers(0, 3, 60), draws.integers(0, 4, 25)
    bits = witten_bell_bits(train, heldout, 4, 4)
    assert bits.shape == (4, 25)
    for order in (1, 2, 3, 4):
        assert bits[order - 1] == pytest.approx(loop_bits(train.tolist(), heldout.tolist(), order, 4), rel=1e-9)


def test_n_gram_probabilities_sum_to_one():
    draws = np.random.default_rng(1)
    train, context = draws.integers(0, 5, 200), draws.integers(0, 5, 3)
    total = np.zeros(4)
    for w in range(5):
        total += 2 ** -witten_bell_bits(train, np.append(context, w), 4, 5)[:, -1]
    assert total == pytest.approx(np.ones(4))


def test_n_grams_of_texts_shorter_than_the_order():
    bits = witten_bell_bits(np.array([0, 1]), np.array([1, 0, 1]), 5, 2)
    assert bits[4] == pytest.approx(loop_bits([0, 1], [1, 0, 1], 5, 2))


def test_every_held_out_token_is_asked_for_once():
    tokens = torch.arange(23) % 5
    asked = []

    def predict(x):
        asked.append(x)
        return F.one_hot((x + 1) % 5, 5).float() * 50 + F.one_hot(x, 5).float() * 20

    nats = evaluate_windows(predict, tokens, 4, batch=2)
    assert nats.shape == (5, 4)
    assert np.abs(nats).max() < 1e-6
    assert torch.equal(torch.cat(asked).flatten(), tokens[:20])
    assert [len(x) for x in asked] == [2, 2, 1]
    asked.clear()
    some = evaluate_windows(predict, tokens, 4, every=3)
    assert some.shape == (2, 4)
    assert some.max() < 1e-6  # each window has its own targets
    assert torch.equal(asked[0], tokens[:20].view(5, 4)[[0, 3]])


def test_the_training_that_the_page_shows_is_declared():
    (training,) = TRAININGS
    assert isinstance(training, Training)
    assert training.run is train_characters
    assert training.full.steps > training.settings.steps


def test_a_short_training_returns_what_the_page_shows(monkeypatch):
    monkeypatch.setenv("MLCOURSE_DEVICE", "cpu")
    text = "the cat sat on the mat; the rat sat on the hat. " * 60
    monkeypatch.setattr("mlcourse.trainings.transformer.character_split", lambda: character_split(text))
    choice = CharacterSettings(T=16, width=16, n_heads=2, n_layers=1, batch=4, steps=30, look_every=20)
    arrays = train_characters(choice, 0)
    data = character_split(text)
    assert arrays["loss"].shape == (30,)
    assert arrays["looked_at"].tolist() == [20, 30]
    assert arrays["looked"].shape == (2,)
    assert arrays["levels"].shape == (8,)
    assert arrays["by_position"].shape == (16,)
    weights = {name.removeprefix("weights/"): torch.from_numpy(a) for name, a in arrays.items() if "/" in name}
    model = GPT(GPTConfig(len(data.alphabet), 16, 16, 2, 1))
    model.load_state_dict(weights)
    bits = evaluate_windows(model, data.heldout, 16) / np.log(2)
    assert bits.mean(0) == pytest.approx(arrays["by_position"], rel=1e-4)
    assert float(arrays["gpt"]) == pytest.approx(bits[:, 8:].mean(), rel=1e-4)
    ngrams = witten_bell_bits(data.train.numpy(), data.heldout.numpy(), 8, len(data.alphabet))
    asked = ngrams[:, 1 : bits.size + 1].reshape(8, -1, 16)[:, :, 8:]
    assert arrays["ngrams"] == pytest.approx(asked.mean((1, 2)), rel=1e-6)
    assert arrays["looked"][-1] == pytest.approx(bits[::16, 8:].mean(), rel=1e-4)
    assert arrays["levels"] == pytest.approx(asked[:, ::16].mean((1, 2)), rel=1e-6)
    margin = (asked - bits[:, 8:]).mean(-1).std(-1) / math.sqrt(len(bits))
    assert arrays["margin"] == pytest.approx(margin, rel=1e-3)


# What users meet


def test_inputs_are_not_changed(rng):
    weights, tokens, x = drawn(rng), tokens_of(rng, 7, 2, 4), normal(rng, 2, 4, 6)
    before = [t.clone() for t in (*leaves(weights), tokens, x)]
    block = weights["blocks"][0]
    for function in (pre_norm_block, post_norm_block, parallel_block, encoder_block):
        function(x, block, 3)
    macaron_block(x, block, block, 3)
    sandwich_stack(x, weights["blocks"], 3, 1)
    generate_with_cache(tokens, weights, 3, 3)
    sample(x[:, 0], torch.rand(2, dtype=F64), 2.0, 3, 0.5)
    language_model_loss(gpt_forward(tokens, weights, 3), tokens)
    assert all(torch.equal(a, b) for a, b in zip(before, (*leaves(weights), tokens, x), strict=True))


@pytest.mark.usefixtures("own_errors")
class TestErrors:
    def raises(self, error, words, function, *arguments, **choice):
        with pytest.raises(error) as caught:
            function(*arguments, **choice)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_places(self):
        tokens, W_E, W_P = torch.zeros(1, 4, dtype=torch.int64), torch.ones(3, 2), torch.ones(6, 2)
        self.raises(ValueError, ["places 3 to 6", "T_max = 6"], embed_tokens_and_positions, tokens, W_E, W_P, 3)
        self.raises(ValueError, ["places -1 to 2"], embed_tokens_and_positions, tokens, W_E, W_P, -1)
        self.raises(
            ValueError, ["W_E has C = 2", "W_P has C = 5"], embed_tokens_and_positions, tokens, W_E, torch.ones(6, 5)
        )

    def test_blocks(self, rng):
        block = drawn(rng)["blocks"][0]
        self.raises(
            ValueError, ["x has C = 5", "W_Q has C = 6"], pre_norm_block, torch.ones(1, 2, 5, dtype=F64), block, 3
        )
        self.raises(ValueError, ["width = 6", "n_heads = 4"], pre_norm_block, torch.ones(1, 2, 6, dtype=F64), block, 4)
        self.raises(
            TypeError, ["x must hold floating"], pre_norm_block, torch.ones(1, 2, 6, dtype=torch.int64), block, 3
        )
        for k in (-1, 2):
            self.raises(ValueError, [f"k = {k}", "1 blocks"], sandwich_stack, torch.ones(1, 2, 6), [block], 3, k)

    def test_sizes(self):
        self.raises(ValueError, ["width = 6", "n_heads = 4"], GPTConfig, 3, 4, 6, 4, 1)
        for sizes in ((0, 4, 6, 2, 1), (3, 0, 6, 2, 1), (3, 4, 0, 2, 1), (3, 4, 6, 0, 1), (3, 4, 6, 2, -1)):
            self.raises(ValueError, ["must be positive"], GPTConfig, *sizes)
        for sizes in (
            (0, 1, 1, 1, 1, 1),
            (1, 0, 1, 1, 1, 1),
            (1, 1, -1, 1, 1, 1),
            (1, 1, 1, 0, 1, 1),
            (1, 1, 1, 1, 1, 0),
        ):
            self.raises(ValueError, ["must be positive"], count_flops_and_parameters, *sizes)
        self.raises(ValueError, ["T = 5", "T_max = 4"], count_flops_and_parameters, 3, 4, 1, 4, 5)

    def test_loss(self):
        logits, targets = torch.zeros(2, 3, 5), torch.zeros(2, 4, dtype=torch.int64)
        self.raises(ValueError, ["positions (2, 3)", "shape (2, 4)"], language_model_loss, logits, targets)
        self.raises(ValueError, ["no targets"], language_model_loss, logits[:, :0], targets[:, :0])

    def test_sampling(self):
        logits, u = torch.zeros(2, 3), torch.zeros(2)
        for temperature in (0.0, -1.0):
            self.raises(ValueError, ["temperature", str(temperature)], sample, logits, u, temperature)
        self.raises(ValueError, ["top_k is 0"], sample, logits, u, top_k=0)
        for top_p in (0.0, 1.1):
            self.raises(ValueError, [f"top_p is {top_p}"], sample, logits, u, top_p=top_p)

    def test_room(self, rng):
        weights = drawn(rng)
        self.raises(
            ValueError, ["= 10 places", "T_max = 9"], generate_with_cache, tokens_of(rng, 7, 1, 5), weights, 3, 6
        )
        self.raises(ValueError, ["T = 0"], generate_with_cache, tokens_of(rng, 7, 1, 0), weights, 3, 6)
        self.raises(ValueError, ["n_new = -1"], generate_with_cache, tokens_of(rng, 7, 1, 2), weights, 3, -1)
        cache = LayerCache(3)
        cache.extend(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))
        self.raises(ValueError, ["T_max = 3", "4 are needed"], cache.extend, torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))

    def test_texts(self):
        self.raises(
            ValueError, ["T + 1 = 6", "5"], lambda: next(random_windows(torch.zeros(5), 5, 1, torch.Generator()))
        )
        self.raises(ValueError, ["max_order = 0"], witten_bell_bits, np.zeros(3, int), np.zeros(3, int), 0, 4)
        self.raises(ValueError, ["63 bits"], witten_bell_bits, np.zeros(3, int), np.zeros(3, int), 32, 4)


# No hidden CPU tensor


@pytest.mark.parametrize("device", DEVICES)
def test_everything_stays_on_the_device(device):
    model = GPT(SMALL, device=device)
    tokens = torch.zeros(2, 5, dtype=torch.int64, device=device)
    block, x = model.weights["blocks"][0], torch.ones(2, 5, 6, device=device)
    for out in (
        pre_norm_block(x, block, 3),
        post_norm_block(x, block, 3),
        parallel_block(x, block, 3),
        macaron_block(x, block, block, 3),
        sandwich_stack(x, model.weights["blocks"], 3, 1),
        encoder_block(x, block, 3),
        *sample(x[:, 0], torch.ones(2, device=device) / 2, 2.0, 3, 0.5),
        *generate_with_cache(tokens, model.weights, 3, 3),
        *generate_with_cache(tokens, model.weights, 3, 3, torch.ones(2, 3, device=device) / 2, top_p=0.5),
    ):
        assert out.device.type == device


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_stays_on_the_device(device):
    model = GPT(SMALL, device=device)
    text = torch.zeros(40, dtype=torch.int64, device=device)
    x, y = next(random_windows(text, 5, 2, torch.Generator().manual_seed(0)))
    assert x.device.type == y.device.type == device
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    language_model_loss(model(x), y).backward()
    optimizer.step()
    assert all(p.device.type == device and p.grad.device.type == device for p in model.parameters())


@needs_cuda
@pytest.mark.parametrize("bf16", [False, True])
def test_training_runs_on_a_gpu(bf16):
    model = GPT(SMALL, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    text = (torch.arange(400) % 7).cuda()
    batches = random_windows(text, 8, 8, torch.Generator().manual_seed(0))
    losses = train(model, model.parameters(), batches, steps=50, learning_rate=1e-2, bf16=bf16, progress=False)
    assert losses[-1] < losses[0] / 2


def test_the_meta_device_would_catch_a_table_left_on_the_cpu():
    weights = init_weights(SMALL, device="meta")
    weights["W_P"] = torch.zeros(9, 6)
    with pytest.raises(RuntimeError, match="device"):
        gpt_forward(torch.zeros(2, 5, dtype=torch.int64, device="meta"), weights, 3)


# The exercises: right answers in unusual ways, and mistakes whose constants differ


def block_with_mask(value):
    """Return a block by einsum, whose mask puts a number in the place of minus infinity."""

    def answer(x, block, n_heads):
        T, C = x.shape[1:]
        H = C // n_heads
        read = F.layer_norm(x, (C,), block["gain_1"], block["shift_1"])
        q, k, v = (torch.einsum("btc,cnh->bnth", read, block[W].reshape(C, n_heads, H)) for W in ("W_Q", "W_K", "W_V"))
        scores = torch.einsum("bnih,bnjh->bnij", q, k) * H**-0.5
        scores = torch.where(torch.ones(T, T).tril().bool(), scores, value)
        mixed = torch.einsum("bnij,bnjh->binh", scores.softmax(-1), v).flatten(2)
        m = x + mixed @ block["W_O"]
        read = F.layer_norm(m, (C,), block["gain_2"], block["shift_2"])
        hidden = read @ block["W_1"] + block["b_1"]
        return m + hidden * torch.special.ndtr(hidden) @ block["W_2"] + block["b_2"]

    return answer


def loss_by_scipy(logits, targets):
    p = log_softmax(logits.numpy(), axis=-1)
    return -float(np.take_along_axis(p, targets.numpy()[..., None], axis=-1).mean())


def sample_by_masks(logits, u, temperature=1.0, top_k=None, top_p=None, hidden=-torch.inf):
    """Mask logits, as the sampler of a well-known library does."""
    x = logits / temperature
    if top_k is not None:
        x = x.masked_fill(x < x.topk(min(top_k, x.shape[-1])).values[:, -1:], hidden)
    if top_p is not None:
        ranked, order = x.sort(descending=True)
        gone = ranked.softmax(-1).cumsum(-1) > top_p
        gone[:, 1:], gone[:, 0] = gone[:, :-1].clone(), False
        x = x.masked_fill(torch.zeros_like(gone).scatter(1, order, gone), hidden)
    p = x.softmax(-1)
    return (p.cumsum(-1) > u[:, None]).int().argmax(-1), p


def count_by_shapes(V, C, L, T_max, T, B):
    products = B * L * [(T, C, C)] * 4 + B * L * [(T, C, 4 * C), (T, 4 * C, C), (T, C, T), (T, T, C)] + B * [(T, C, V)]
    shapes = [(V, C), (T_max, C), (C,), (C,)]
    shapes += L * [*[(C, C)] * 4, *[(C,)] * 4, (C, 4 * C), (4 * C,), (4 * C, C), (C,)]
    return [2 * sum(map(math.prod, products)), sum(map(math.prod, shapes))]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("pre_norm_block", block_with_mask(-1e9)),
        ("language_model_loss", loss_by_scipy),
        ("sample", sample_by_masks),
        ("count_flops_and_parameters", count_by_shapes),
    ],
)
def test_an_unusual_right_answer_gets_full_points(name, answer, seed):
    report = evaluate(f"transformer.{name}", answer, seed)
    assert report.score == report.max_score, report.feedback


def words_of(report):
    return " ".join(report.feedback.split())


def forward_with_mask(value):
    block_forward = block_with_mask(value)

    def answer(tokens, weights, n_heads):
        x = weights["W_E"][tokens] + weights["W_P"][: tokens.shape[1]]
        for block in weights["blocks"]:
            x = block_forward(x, block, n_heads)
        return F.layer_norm(x, x.shape[-1:], weights["gain"], weights["shift"]) @ weights["W_E"].mT

    return answer


MASKED = {"pre_norm_block": block_with_mask, "gpt_forward": forward_with_mask}


@pytest.mark.parametrize("value", [-50.0, -100.0, -1e4])
@pytest.mark.parametrize("name", MASKED)
def test_a_mask_that_is_not_low_enough_is_explained(name, value):
    report = evaluate(f"transformer.{name}", MASKED[name](value))
    assert report.score < report.max_score
    assert "is no minus infinity" in words_of(report)


@pytest.mark.parametrize("value", [-20.0, -100.0, -1e4])
def test_a_prompt_whose_mask_is_not_low_enough_is_explained(value):
    report = evaluate("transformer.generate_with_cache", writer(step_by(hidden=value)))
    assert report.score < report.max_score
    assert "is no minus infinity" in words_of(report)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_very_low_mask_is_as_good_as_infinity(seed):
    for name, answer in (
        ("gpt_forward", forward_with_mask(-1e9)),
        ("generate_with_cache", writer(step_by(hidden=-1e9))),
    ):
        report = evaluate(f"transformer.{name}", answer, seed)
        assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize("eps", [1e-15, 1e-12, 1e-10])
def test_a_small_number_in_a_logarithm_is_explained(eps):
    def answer(logits, targets):
        return -(logits.softmax(-1).gather(-1, targets[..., None]) + eps).log().mean()

    report = evaluate("transformer.language_model_loss", answer)
    assert report.score < report.max_score
    assert "small number inside a logarithm" in words_of(report)


def test_a_nucleus_that_must_exceed_the_share_is_explained():
    def answer(logits, u, temperature=1.0, top_k=None, top_p=None):
        _, p = sample_by_masks(logits, u, temperature, top_k, None)
        ranked, order = p.sort(descending=True)
        for row, tokens, values in zip(p, order, ranked.tolist(), strict=True):
            reached, kept = 0.0, 0
            while top_p is not None and reached <= top_p:
                reached, kept = reached + values[kept], kept + 1
            if top_p is not None:
                row[tokens[kept:]] = 0
        p = p / p.sum(-1, keepdim=True)
        return (p.cumsum(-1) > u[:, None]).int().argmax(-1), p

    report = evaluate("transformer.sample", answer)
    assert report.score < report.max_score
    assert "EXCEEDS top_p" in words_of(report)


def sample_hiding(hidden, hidden_by_top_p=None, count=False):
    """Return a sampler that puts numbers in the place of minus infinity, and may draw by counting running sums."""

    def answer(logits, u, temperature=1.0, top_k=None, top_p=None):
        z = logits / temperature
        if top_k is not None:
            z = torch.where(z < z.topk(min(top_k, z.shape[-1]), -1).values[:, -1:], hidden, z)
        value = hidden if hidden_by_top_p is None else hidden_by_top_p
        tokens, p = sample_by_masks(z, u, top_p=top_p, hidden=value)
        return (p.cumsum(-1) <= u[:, None]).sum(-1) if count else tokens, p

    return answer


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize(
    ("value", "misconception"),
    [
        (-50.0, "masked_with_minus_a_hundred"),
        (-100.0, "masked_with_minus_a_hundred"),
        (-1e3, "masked_with_minus_a_thousand"),
        (-1e4, "masked_with_minus_ten_thousand"),
    ],
)
def test_a_finite_mask_of_logits_is_recognized_however_tokens_are_drawn(value, misconception, count):
    report = evaluate("transformer.sample", sample_hiding(value, count=count))
    assert report.misconception == misconception, report.feedback


@pytest.mark.parametrize(("by_top_k", "by_top_p"), [(-torch.inf, -1e4), (-1e4, -torch.inf)])
def test_a_finite_mask_in_one_of_two_places_is_recognized(by_top_k, by_top_p):
    report = evaluate("transformer.sample", sample_hiding(by_top_k, by_top_p))
    assert report.misconception == "masked_with_minus_ten_thousand", report.feedback


def test_a_finite_mask_of_any_other_size_is_explained():
    report = evaluate("transformer.sample", sample_hiding(-1e5))
    assert report.score < report.max_score
    assert "is no minus infinity" in words_of(report)


def test_a_mask_beyond_all_logits_is_as_good_as_infinity():
    report = evaluate("transformer.sample", sample_hiding(torch.finfo(torch.float64).min))
    assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize(
    "draw",
    [lambda p: torch.multinomial(p, 1).squeeze(-1), lambda p: torch.distributions.Categorical(p).sample()],
)
def test_a_draw_that_ignores_u_is_recognized_and_the_generator_of_torch_is_left_as_it_was(draw):
    def answer(*given, **settings):
        p = sample_by_masks(*given, **settings)[1]
        return draw(p), p

    before = torch.get_rng_state()
    assert evaluate("transformer.sample", answer).misconception == "u_ignored"
    assert torch.equal(torch.get_rng_state(), before)


def sample_with(temperature=1.0, top_k=None, top_p=None):
    def answer(logits, u, temperature=temperature, top_k=top_k, top_p=top_p):
        return sample_by_masks(logits, u, temperature, top_k, top_p)

    return answer


@pytest.mark.parametrize(
    ("defaults", "misconception"),
    [
        ({"temperature": 2.0}, "temperature_of_2.0_left_out"),
        ({"temperature": 2.0, "top_k": 5}, "top_k_of_5_left_out"),
        ({"temperature": 2.0, "top_k": 5, "top_p": 0.9}, "top_p_of_0.9_left_out"),
    ],
)
def test_a_wrong_default_is_recognized_the_last_one_first(defaults, misconception):
    report = evaluate("transformer.sample", sample_with(**defaults))
    assert report.misconception == misconception, report.feedback


@pytest.mark.parametrize("defaults", [{"temperature": 1.1}, {"top_k": 30}, {"top_p": 0.7}])
def test_a_wrong_default_of_any_other_size_is_explained(defaults):
    report = evaluate("transformer.sample", sample_with(**defaults))
    assert report.score < report.max_score
    assert "may leave out" in words_of(report)


def test_a_signature_without_defaults_is_right_wherever_all_is_given():
    def sampled(logits, u, temperature, top_k, top_p):
        return sample_by_masks(logits, u, temperature, top_k, top_p)

    def embedded(*given):
        tokens, W_E, W_P, start = given
        return W_E[tokens] + W_P[start:][: tokens.shape[1]]

    def embedded_by_name(tokens, W_E, W_P, start):
        return embedded(tokens, W_E, W_P, start)

    for name, answer in (("sample", sampled), ("embed_tokens_and_positions", embedded_by_name)):
        report = evaluate(f"transformer.{name}", answer)
        assert report.score == report.max_score, report.feedback


def test_places_that_begin_at_one_by_default_are_recognized():
    def answer(tokens, W_E, W_P, start=1):
        return W_E[tokens] + W_P[start:][: tokens.shape[1]]

    assert evaluate("transformer.embed_tokens_and_positions", answer).misconception == "start_of_one"


# The exercise on the cache: how the products are written decides nothing, whether anything is kept does


def products_by_broadcasting(a, b):
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def products_by_vectors(a, b):
    return torch.stack([a @ column for column in b.unbind(-1)], -1)


def attend_by_a_module(h, block, n_heads):
    C, T = h.shape[-1], h.shape[1]
    layer = torch.nn.MultiheadAttention(C, n_heads, bias=False, batch_first=True, dtype=h.dtype)
    layer.load_state_dict(
        {
            "in_proj_weight": torch.cat([block[name].mT for name in ("W_Q", "W_K", "W_V")]),
            "out_proj.weight": block["W_O"].mT,
        }
    )
    with torch.no_grad():
        return layer(h, h, h, attn_mask=~torch.ones(T, T).tril().bool(), need_weights=False)[0]


def writer(step):
    """Return a submission from a step of (tokens so far, weights, n_heads, memory), which gives the last logits."""

    def answer(prompt, weights, n_heads, n_new):
        tokens, rows, memory = prompt, [], {}
        for _ in range(n_new):
            rows.append(step(tokens, weights, n_heads, memory))
            tokens = torch.cat((tokens, rows[-1].argmax(-1, keepdim=True)), 1)
        return tokens, torch.stack(rows, 1)

    return answer


def step_by(product=torch.matmul, attend=None, keep=True, hidden=-torch.inf):
    """Return a step: what is not in the memory yet passes the network, all of it by one kind of product."""

    def step(tokens, weights, n_heads, memory):
        past = memory.get("length", 0) if keep else 0
        memory["length"] = tokens.shape[1]
        x = weights["W_E"][tokens[:, past:]] + weights["W_P"][past : tokens.shape[1]]
        for number, block in enumerate(weights["blocks"]):
            h = F.layer_norm(x, x.shape[-1:], block["gain_1"], block["shift_1"])
            x = x + (attend(h, block, n_heads) if attend else attention(h, block, n_heads, memory, number))
            h = F.layer_norm(x, x.shape[-1:], block["gain_2"], block["shift_2"])
            x = x + product(F.gelu(product(h, block["W_1"]) + block["b_1"]), block["W_2"]) + block["b_2"]
        h = F.layer_norm(x[:, -1:], x.shape[-1:], weights["gain"], weights["shift"])
        return product(h, weights["W_E"].mT)[:, 0]

    def attention(h, block, n_heads, memory, number):
        q, k, v = (product(h, block[name]) for name in ("W_Q", "W_K", "W_V"))
        q, k, v = (rows.unflatten(-1, (n_heads, -1)).transpose(1, 2) for rows in (q, k, v))  # (B, N, T, H)
        if keep:
            k, v = (
                torch.cat((memory.get((number, name), new[..., :0, :]), new), -2) for name, new in (("k", k), ("v", v))
            )
            memory[number, "k"], memory[number, "v"] = k, v
        T, S = q.shape[-2], k.shape[-2]
        seen = torch.ones(T, S).tril(S - T).bool()
        if hidden == -torch.inf:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        else:
            scores = q @ k.mT / q.shape[-1] ** 0.5
            mixed = scores.masked_fill(~seen, hidden).softmax(-1) @ v
        return product(mixed.transpose(1, 2).flatten(-2), block["W_O"])

    return step


PRODUCTS = {
    "matmul": torch.matmul,
    "linear": lambda a, b: F.linear(a, b.mT),
    "einsum": lambda a, b: torch.einsum("bti,ij->btj", a, b),
    "broadcasting": products_by_broadcasting,
    "vectors": products_by_vectors,
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_cache_is_seen_whatever_the_products_are(product):
    report = evaluate("transformer.generate_with_cache", writer(step_by(PRODUCTS[product])), 0)
    assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize("product", PRODUCTS)
def test_work_that_is_done_again_is_seen_whatever_the_products_are(product):
    report = evaluate("transformer.generate_with_cache", writer(step_by(PRODUCTS[product], keep=False)), 0)
    assert report.misconception == "nothing_kept", report.feedback


def test_attention_by_a_module_does_not_hide_the_work():
    step = step_by(attend=attend_by_a_module, keep=False)
    report = evaluate("transformer.generate_with_cache", writer(step), 0)
    assert report.misconception == "nothing_kept", report.feedback


def test_products_that_cannot_be_counted_are_named():
    def by_numpy(a, b):
        return torch.from_numpy(a.numpy() @ b.numpy())

    report = evaluate("transformer.generate_with_cache", writer(step_by(by_numpy)), 0)
    assert report.misconception == "products_out_of_sight", report.feedback


def test_without_gradients_the_count_is_the_same():
    def answer(*given):
        with torch.inference_mode():
            return tuple(result.clone() for result in writer(step_by(keep=False))(*given))

    assert evaluate("transformer.generate_with_cache", answer, 0).misconception == "nothing_kept"


def test_counting_products_loads_no_compiler():
    code = "import sys, torch; from mlcourse.exercises.transformer import run_counted\n"
    code += "prompt, weights = torch.zeros(1, 2, dtype=torch.int64), {'blocks': [{'W_1': torch.ones(3, 4)}]}\n"
    code += "weights['W_E'], loaded = torch.ones(5, 3), set(sys.modules)\n"
    code += "result = run_counted(lambda *given: torch.ones(6, 3) @ torch.ones(3, 4), prompt, weights, 1, 2)\n"
    code += "assert result['products that the check can count'] and set(sys.modules) == loaded\n"
    subprocess.run([sys.executable, "-c", code], check=True)
