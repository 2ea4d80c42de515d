"""Exercises on transformers: the stream, its blocks, the loss of every prefix, writing, and what it all costs."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import torch
from torch.nn import functional as F

from mlcourse import transformer
from mlcourse.exercises.libraries import CROSS_ENTROPY
from mlcourse.exercises.protocol import edge, exercise, random, worked

USES = ("attention",)  # submissions may build on the references of the chapter on attention


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def tokens_of(rng, V, *shape):
    return torch.from_numpy(rng.integers(0, V, size=shape))


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def block_weights(rng, C, D, n_layers=1):
    """Every number is drawn, gains, shifts and biases too, so that none can be left out unseen."""
    return {
        "gain_1": 1 + 0.3 * normal(rng, C),
        "shift_1": 0.3 * normal(rng, C),
        "W_Q": normal(rng, C, C) / sqrt(C),
        "W_K": normal(rng, C, C) / sqrt(C),
        "W_V": normal(rng, C, C) / sqrt(C),
        "W_O": normal(rng, C, C) / sqrt(C * n_layers),
        "gain_2": 1 + 0.3 * normal(rng, C),
        "shift_2": 0.3 * normal(rng, C),
        "W_1": normal(rng, C, D) / sqrt(C),
        "b_1": 0.3 * normal(rng, D),
        "W_2": normal(rng, D, C) / sqrt(D * n_layers),
        "b_2": 0.3 * normal(rng, C),
    }


def far_from_itself(block):
    """Each position is compared with minus itself: its own score lies far below -10000, and 0 is no low score."""
    return {**block, "W_Q": 400 * block["W_Q"], "W_K": -400 * block["W_Q"]}


def far_from_themselves(weights):
    """Return a model whose first block is such a block; the others look at what it did."""
    first, *others = weights["blocks"]
    return {**weights, "blocks": [far_from_itself(first), *others]}


def gpt_weights(rng, V, T_max, C, D, n_layers):
    return {
        "W_E": normal(rng, V, C),
        "W_P": normal(rng, T_max, C),
        "blocks": [block_weights(rng, C, D, n_layers) for _ in range(n_layers)],
        "gain": 1 + 0.3 * normal(rng, C),
        "shift": 0.3 * normal(rng, C),
    }


# The pieces, right and wrong, from which the misconceptions are put together


def norm(x, gain, shift):
    return F.layer_norm(x, gain.shape, gain, shift)


def norm_by(center=True, correction=0, eps=1e-5, outside=0.0, affine=True, dim=-1):
    """Layer norm written out, with one thing changed."""

    def changed(x, gain, shift):
        variance = x.var(dim, correction=correction, keepdim=True)
        if not center:
            variance = x.square().mean(dim, keepdim=True)
        rows = (x - x.mean(dim, keepdim=True) if center else x) / ((variance + eps).sqrt() + outside)
        return rows * gain + shift if affine else rows

    return changed


def split(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)


def merge(x):
    return x.transpose(-3, -2).flatten(-2)


def split_reshaped(x, n_heads):
    return x.reshape(*x.shape[:-2], n_heads, x.shape[-2], -1)


def merge_reshaped(x):
    return x.reshape(*x.shape[:-3], x.shape[-2], -1)


def masked_softmax(scores, seen):
    return torch.softmax(scores.masked_fill(~seen, -torch.inf), -1)


def weakly_masked_softmax(scores, seen):
    return torch.softmax(scores.masked_fill(~seen, -100.0), -1)


def split_interleaved(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).permute(*range(x.dim() - 2), -1, -3, -2)


def attend_by(
    causal=True,
    scale=None,
    split=split,
    shift=0,
    output=True,
    shares=masked_softmax,
    merge=merge,
    names=("W_Q", "W_K", "W_V"),
    turned=False,
):
    """Multi-head self-attention with one thing changed; ``scale`` is a function of (C, H)."""

    def attention(x, block, n_heads):
        T, C = x.shape[-2:]
        weights = {name: block[name].mT if turned else block[name] for name in (*names, "W_O")}
        q, k, v = (split(x @ weights[name], n_heads) for name in names)
        scores = q @ k.mT / (scale(C, C // n_heads) if scale else sqrt(C // n_heads))
        seen = torch.ones(T, T, dtype=torch.bool)
        heads = merge(shares(scores, seen.tril(shift) if causal else seen) @ v)
        return heads @ weights["W_O"] if output else heads

    return attention


def feed_by(activation=F.gelu, first_bias=1, second_bias=1):
    def feed(x, block):
        hidden = activation(x @ block["W_1"] + first_bias * block["b_1"])
        return hidden @ block["W_2"] + second_bias * block["b_2"]

    return feed


attend, feed = attend_by(), feed_by()


def block_by(norm=norm, attend=attend, feed=feed):
    """Return a block with the right order of the halves, and with other halves or another norm."""

    def block_forward(x, block, n_heads):
        u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
        return u + feed(norm(u, block["gain_2"], block["shift_2"]), block)

    return block_forward


right_block = block_by()


# 1. embed_tokens_and_positions


def embed_from_start(candidate, tokens, W_E, W_P, **start):
    """Call by position; a case may leave out ``start``, which then has its default, where the candidate has one."""
    import inspect

    given = list(start.values())
    if not given:
        try:
            inspect.signature(candidate).bind(tokens, W_E, W_P)
        except (TypeError, ValueError):  # a signature without a default, which answers every other call
            given = [0]
    return candidate(tokens, W_E, W_P, *given)


@exercise(
    "transformer.embed_tokens_and_positions",
    reference=transformer.embed_tokens_and_positions,
    points=6,
    run=embed_from_start,
)
def embed_tokens_and_positions(rng):
    """One row for the token plus one row for its place: the stream before the first block."""
    W_E = tensor([[1, 0, 0], [0, 2, 0], [0, 0, 3], [4, 4, 4], [5, 0, 5]])
    W_P = tensor([[0.1, 0.1, 0.1], [0.2, 0, 0], [0, 0.3, 0], [0, 0, 0.4], [0.5, 0.5, 0], [0, 0.6, 0.6], [0.7, 0, 0.7]])
    yield worked(tokens=torch.tensor([[2, 0, 2, 1], [3, 3, 4, 0]]), W_E=W_E, W_P=W_P, start=0)
    yield worked(tokens=torch.tensor([[2, 0], [3, 1], [1, 4]]), W_E=W_E, W_P=W_P, start=2)
    for B, T, V, T_max, C, start in [(2, 3, 7, 9, 4, 0), (3, 5, 6, 11, 2, 4), (4, 2, 12, 8, 5, 1)]:
        yield random(tokens=tokens_of(rng, V, B, T), W_E=normal(rng, V, C), W_P=normal(rng, T_max, C), start=start)
    yield edge(tokens=torch.tensor([[0]]), W_E=normal(rng, 1, 3), W_P=normal(rng, 1, 3), start=0)
    yield edge(tokens=torch.tensor([[1], [0]]), W_E=normal(rng, 2, 3), W_P=normal(rng, 6, 3), start=5)
    yield edge(tokens=tokens_of(rng, 4, 2, 6), W_E=normal(rng, 4, 3), W_P=normal(rng, 6, 3), start=0)
    yield edge(tokens=torch.zeros(2, 0, dtype=torch.int64), W_E=normal(rng, 4, 3), W_P=normal(rng, 6, 3), start=2)
    yield edge(tokens=tokens_of(rng, 4, 2, 3), W_E=normal(rng, 4, 3), W_P=normal(rng, 6, 3))


def places(tokens, W_P, start):
    return W_P[start : start + tokens.shape[-1]]


@embed_tokens_and_positions.misconception(
    "You put the two rows side by side, so the stream has 2C channels. Here they are added: token and place share the "
    "C channels, and every later matrix has C rows."
)
def concatenated(tokens, W_E, W_P, start=0):
    rows = W_E[tokens]
    return torch.cat((rows, places(tokens, W_P, start).expand_as(rows)), dim=-1)


@embed_tokens_and_positions.misconception(
    "The places are missing. Without them a token has the same row wherever it stands, and attention knows no order."
)
def no_places(tokens, W_E, W_P, start=0):
    return W_E[tokens]


@embed_tokens_and_positions.misconception(
    "The tokens are missing: you return the rows of the places alone, the same for every text."
)
def no_tokens(tokens, W_E, W_P, start=0):
    return places(tokens, W_P, start).expand(*tokens.shape, -1).clone()


@embed_tokens_and_positions.misconception(
    "You look up W_P by the token. The place of a token is where it stands, 0, 1, 2, ... from start, not which one it "
    "is."
)
def places_by_token(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[tokens % len(W_P)]


@embed_tokens_and_positions.misconception(
    "Your places begin at 0 whatever start is. With a cache the newest token stands behind all older ones, at place "
    "start."
)
def start_ignored(tokens, W_E, W_P, start=0):
    return W_E[tokens] + places(tokens, W_P, 0)


@embed_tokens_and_positions.misconception(
    "Your places count from 1: the first token gets the second row of W_P. The first of all places is row 0."
)
def places_from_one(tokens, W_E, W_P, start=0):
    return W_E[tokens] + places(tokens, W_P, start + 1)


@embed_tokens_and_positions.misconception(
    "You take the last T rows of W_P. Places count from the beginning of the text: rows start to start + T - 1."
)
def places_from_the_end(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[len(W_P) - tokens.shape[-1] :]


WHOLE_TABLE = (
    "You add the whole table W_P, which has T_max rows, to T rows. That fits only when T = T_max. Take the rows start "
    "to "
    "start + T - 1."
)


@embed_tokens_and_positions.misconception(WHOLE_TABLE)
def whole_table(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P


@embed_tokens_and_positions.misconception(WHOLE_TABLE)
def everything_after_start(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[start:]


@embed_tokens_and_positions.misconception(
    "You read T from the first axis of tokens, which is the batch. T is the size of the last axis: tokens.shape[-1]."
)
def length_of_the_batch(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[start : start + len(tokens)]


@embed_tokens_and_positions.misconception(
    "One place for each text, not for each position: you add row b of W_P to all of text b. Places run along axis -1."
)
def places_along_the_batch(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[start : start + len(tokens), None]


@embed_tokens_and_positions.misconception(
    "You look the place up by the TOKEN: W_P[tokens]. The place is where the token stands: start, start + 1, and so on."
)
def places_by_token_where_there_is_one(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[tokens]


@embed_tokens_and_positions.misconception(
    "Every position gets the row of the first place. They count on: position t has the place start + t."
)
def one_place_for_all(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[start]


@embed_tokens_and_positions.misconception(
    "You multiply the two rows. They are added: a product would let a zero in one erase the other."
)
def multiplied(tokens, W_E, W_P, start=0):
    return W_E[tokens] * places(tokens, W_P, start)


@embed_tokens_and_positions.misconception(
    "You multiply the embedding by the root of its width, as the transformer of 2017 does. GPT does not: the sum is "
    "W_E[token] + W_P[place], with no factor."
)
def scaled_by_root_of_width(tokens, W_E, W_P, start=0):
    return W_E[tokens] * sqrt(W_E.shape[-1]) + places(tokens, W_P, start)


@embed_tokens_and_positions.misconception(
    "You average the two rows. They are added as they are: the model learns how large each should be."
)
def averaged(tokens, W_E, W_P, start=0):
    return (W_E[tokens] + places(tokens, W_P, start)) / 2


@embed_tokens_and_positions.misconception(
    "Your slice of W_P ends at T. It begins at start, so it must end at start + T."
)
def slice_ends_at_T(tokens, W_E, W_P, start=0):
    return W_E[tokens] + W_P[start : tokens.shape[-1]]


@embed_tokens_and_positions.misconception(
    "You compute sines for the places, as the transformer of 2017 does. GPT learns them: they are the rows of W_P."
)
def sines(tokens, W_E, W_P, start=0):
    place = torch.arange(start, start + tokens.shape[-1], dtype=W_E.dtype)
    channel = torch.arange(W_E.shape[-1])
    angle = place[:, None] / 10_000 ** (channel // 2 * 2 / W_E.shape[-1])
    return W_E[tokens] + torch.where(channel % 2 == 0, angle.sin(), angle.cos())


@embed_tokens_and_positions.misconception(
    "You norm the sum. The blocks norm what they read; the stream itself begins as the plain sum."
)
def normed_sum(tokens, W_E, W_P, start=0):
    return F.layer_norm(W_E[tokens] + places(tokens, W_P, start), W_E.shape[1:])


@embed_tokens_and_positions.misconception(
    "You multiply the whole sum by the root of the width. Nothing is scaled here: W_E[token] + W_P[place]."
)
def sum_scaled(tokens, W_E, W_P, start=0):
    return (W_E[tokens] + places(tokens, W_P, start)) * sqrt(W_E.shape[-1])


@embed_tokens_and_positions.misconception(
    "You add start to the TOKENS. It belongs to the places: W_E[tokens] + W_P[start + t]."
)
def start_added_to_tokens(tokens, W_E, W_P, start=0):
    return W_E[tokens + start] + places(tokens, W_P, 0)


@embed_tokens_and_positions.misconception("Tokens count from 0: token i is row i of W_E, not row i - 1.")
def tokens_from_one(tokens, W_E, W_P, start=0):
    return W_E[tokens - 1] + places(tokens, W_P, start)


@embed_tokens_and_positions.misconception(
    "You convert to float32 on the way, which keeps seven digits. Look rows up and add them in the dtype of W_E."
)
def in_float32(tokens, W_E, W_P, start=0):
    return (W_E[tokens].float() + places(tokens, W_P, start).float()).double()


@embed_tokens_and_positions.misconception(
    "A call without start begins at place 1. The first of all places is row 0: start=0 in the signature."
)
def start_of_one(tokens, W_E, W_P, start=1):
    return W_E[tokens] + places(tokens, W_P, start)


@embed_tokens_and_positions.always("Looking up is the product of one-hot rows with W_E.")
def one_hot_product(call, rng):
    tokens, W_E = tokens_of(rng, 6, 2, 4), normal(rng, 6, 3)
    one_hot = F.one_hot(tokens, 6).double()
    return close(call(tokens=tokens, W_E=W_E, W_P=torch.zeros(5, 3, dtype=torch.float64), start=1), one_hot @ W_E)


@embed_tokens_and_positions.always("A text that is embedded in two pieces has the same rows.")
def two_pieces(call, rng):
    tokens, W_E, W_P = tokens_of(rng, 6, 2, 5), normal(rng, 6, 3), normal(rng, 7, 3)
    pieces = [
        call(tokens=tokens[:, :2], W_E=W_E, W_P=W_P, start=0),
        call(tokens=tokens[:, 2:], W_E=W_E, W_P=W_P, start=2),
    ]
    return close(torch.cat(pieces, dim=1), call(tokens=tokens, W_E=W_E, W_P=W_P, start=0))


@embed_tokens_and_positions.always("A call may leave out start. The text then begins at place 0.")
def start_left_out(call, rng):
    given = {"tokens": tokens_of(rng, 6, 2, 4), "W_E": normal(rng, 6, 3), "W_P": normal(rng, 7, 3)}
    return close(call(**given), call(**given, start=0))


# 2. pre_norm_block

WHOLE_LAYERS = (
    "torch.nn.TransformerEncoderLayer",
    "torch.nn.TransformerDecoderLayer",
    "torch.nn.TransformerEncoder",
    "torch.nn.TransformerDecoder",
    "torch.nn.Transformer",
    "torch._transformer_encoder_layer_fwd",
    "torch._native_multi_head_attention",
)


def named_by_its_sizes(block):
    """Return a block under a name that says its sizes: a report then shows these, and not twelve shapes."""
    C, D = block["W_1"].shape
    return {f"C = {C}, D = {D}": block}


def run_block(candidate, x, block, n_heads):
    """Call with the block itself."""
    (weights,) = block.values()
    return candidate(x, weights, n_heads)


@exercise(
    "transformer.pre_norm_block",
    reference=transformer.pre_norm_block,
    points=6,
    run=run_block,
    forbidden=WHOLE_LAYERS,
)
def pre_norm_block(rng):
    """One block of GPT-2: attend, then work row by row, each on a normed copy of the stream."""
    fixed = np.random.default_rng(7)
    yield worked(x=normal(fixed, 2, 3, 6), block=named_by_its_sizes(block_weights(fixed, 6, 7)), n_heads=2)
    for B, T, C, D, N in [(2, 5, 6, 7, 3), (3, 4, 8, 5, 2), (4, 3, 10, 9, 5)]:
        yield random(x=2 * normal(rng, B, T, C) + 0.5, block=named_by_its_sizes(block_weights(rng, C, D)), n_heads=N)
    yield edge(x=normal(rng, 2, 1, 4), block=named_by_its_sizes(block_weights(rng, 4, 16)), n_heads=1)
    yield edge(
        x=torch.zeros(1, 3, 4, dtype=torch.float64), block=named_by_its_sizes(block_weights(rng, 4, 6)), n_heads=4
    )
    yield edge(x=1e4 * normal(rng, 2, 3, 6), block=named_by_its_sizes(block_weights(rng, 6, 5)), n_heads=2)
    yield edge(x=1e-3 * normal(rng, 2, 3, 6), block=named_by_its_sizes(block_weights(rng, 6, 5)), n_heads=2)
    yield edge(
        x=normal(fixed, 2, 3, 6), block=named_by_its_sizes(far_from_itself(block_weights(fixed, 6, 5))), n_heads=2
    )


@pre_norm_block.misconception(
    "Both halves read x. That is the parallel block of GPT-J. Here the feed-forward half reads m, the stream after "
    "attention: it can work on what attention has just brought."
)
def parallel(x, block, n_heads):
    attended = attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return x + attended + feed(norm(x, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(
    "Both halves read the same norm of x, as in the parallel block of GPT-J. Here the feed-forward half reads its own "
    "norm, norm_2, of m, the stream after attention."
)
def parallel_with_one_norm(x, block, n_heads):
    normed = norm(x, block["gain_1"], block["shift_1"])
    return x + attend(normed, block, n_heads) + feed(normed, block)


@pre_norm_block.misconception(
    "You norm the sum, as in 2017 (post-norm): norm(x + att(x)). Then nothing passes a block unchanged. Here the "
    "halves "
    "read a normed copy, and the stream itself is only added to."
)
def post_norm(x, block, n_heads):
    u = norm(x + attend(x, block, n_heads), block["gain_1"], block["shift_1"])
    return norm(u + feed(u, block), block["gain_2"], block["shift_2"])


@pre_norm_block.misconception(
    "The second half uses gain_1 and shift_1 again. Each half has a norm of its own: the second one is gain_2, shift_2."
)
def shared_norm(x, block, n_heads):
    u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return u + feed(norm(u, block["gain_1"], block["shift_1"]), block)


@pre_norm_block.misconception(
    "The two norms have changed places: gain_1 and shift_1 belong to attention, gain_2 and shift_2 to the feed-forward."
)
def norms_swapped(x, block, n_heads):
    u = x + attend(norm(x, block["gain_2"], block["shift_2"]), block, n_heads)
    return u + feed(norm(u, block["gain_1"], block["shift_1"]), block)


@pre_norm_block.misconception(
    "There is no norm at all. The halves must read norm(x), or the size of the stream decides how sharp attention is."
)
def no_norm(x, block, n_heads):
    u = x + attend(x, block, n_heads)
    return u + feed(u, block)


@pre_norm_block.misconception(
    "The feed-forward half reads m itself. It must read norm_2(m), as attention reads norm_1(x)."
)
def second_norm_missing(x, block, n_heads):
    u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return u + feed(u, block)


@pre_norm_block.misconception(
    "You overwrite x with its norm and add to that. The sum must start from x itself: the norm is a copy for reading, "
    "and the stream keeps its size."
)
def added_to_the_norm(x, block, n_heads):
    x = norm(x, block["gain_1"], block["shift_1"])
    x = x + attend(x, block, n_heads)
    x = norm(x, block["gain_2"], block["shift_2"])
    return x + feed(x, block)


NOT_ADDED = "A half adds to the stream; it does not replace it. "


@pre_norm_block.misconception(NOT_ADDED + "Both sums are missing: m = x + att(...), then m + ff(...).")
def no_residual(x, block, n_heads):
    u = attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return feed(norm(u, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(NOT_ADDED + "The first sum is missing: m = x + att(norm_1(x)).")
def first_residual_missing(x, block, n_heads):
    u = attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return u + feed(norm(u, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(NOT_ADDED + "The second sum is missing: the result is m + ff(norm_2(m)).")
def second_residual_missing(x, block, n_heads):
    u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return feed(norm(u, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(
    "The second sum starts from x, so what attention brought is lost but for what the feed-forward half made of it. "
    "Add to m, the stream after attention."
)
def second_sum_from_x(x, block, n_heads):
    u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return x + feed(norm(u, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(
    "The halves have changed places. Attention comes first, and the feed-forward network works on what it brought."
)
def feed_first(x, block, n_heads):
    u = x + feed(norm(x, block["gain_2"], block["shift_2"]), block)
    return u + attend(norm(u, block["gain_1"], block["shift_1"]), block, n_heads)


NO_MASK = (
    "There is no mask, so a position sees the future. It may see itself and the past: set the scores of later keys to "
    "minus infinity before softmax."
)
OWN_VARIANCE = "The variance in a norm divides by C, not by C - 1: torch.var needs correction=0."
EPS_INSIDE = "eps = 1e-5 stands inside the root: sqrt(variance + eps)."
WEAK_MASK = "A mask of -100 or -10000 is no minus infinity: a score that is larger gets through."
FUTURE_BY_A_WEAK_MASK = (
    WEAK_MASK + " Where the scores that a position may see are lower still, it reads the future. Use -torch.inf."
)
for name, hint, changed in (
    ("no_mask", NO_MASK, block_by(attend=attend_by(causal=False))),
    ("masked_weakly", FUTURE_BY_A_WEAK_MASK, block_by(attend=attend_by(shares=weakly_masked_softmax))),
    (
        "sees_the_next",
        "Each position sees one step into the future: it could read the token that it must predict. The last key that "
        "query i may see is key i.",
        block_by(attend=attend_by(shift=1)),
    ),
    (
        "does_not_see_itself",
        "A position does not see itself: query i may see the keys up to i, and i is one of them. For the first query "
        "nothing would be left, and softmax gives nan.",
        block_by(attend=attend_by(shift=-1)),
    ),
    (
        "masked_after_softmax",
        "You mask after softmax. The weights that are left then sum to less than 1, and the future has decided how "
        "much less. Set the SCORES of later keys to minus infinity, before softmax.",
        block_by(attend=attend_by(shares=lambda scores, seen: torch.softmax(scores, -1) * seen)),
    ),
    (
        "masked_with_zero_scores",
        "You set the scores of later keys to 0. A score of 0 is a score like any other, and softmax gives it a weight. "
        "Set them to minus infinity.",
        block_by(attend=attend_by(shares=lambda scores, seen: torch.softmax(scores * seen, -1))),
    ),
    (
        "softmax_over_queries",
        "You take softmax over the queries. The weights of one query over its keys must sum to 1: softmax along the "
        "last axis.",
        block_by(
            attend=attend_by(shares=lambda scores, seen: torch.softmax(scores.masked_fill(~seen, -torch.inf), -2))
        ),
    ),
    (
        "heads_interleaved",
        "Your heads take every n_heads-th channel. Head h has the channels h H to (h + 1) H - 1, one block of H = C / "
        "n_heads beside the next: unflatten the last axis into (n_heads, H).",
        block_by(attend=attend_by(split=split_interleaved)),
    ),
    (
        "scaled_by_width",
        "You divide the scores by sqrt(C). Each head has C / N channels: divide by sqrt(C / N).",
        block_by(attend=attend_by(scale=lambda C, H: sqrt(C))),
    ),
    ("unscaled", "The scores are not divided by sqrt(C / N).", block_by(attend=attend_by(scale=lambda C, H: 1.0))),
    (
        "one_head",
        "You work with a single head of width C. There are n_heads heads of C / n_heads channels, each with its own "
        "softmax.",
        lambda x, block, n_heads: right_block(x, block, 1),
    ),
    (
        "split_by_reshape",
        "You split the heads by a reshape alone, which mixes positions and channels. First unflatten the channels, "
        "then swap positions and heads.",
        block_by(attend=attend_by(split=split_reshaped)),
    ),
    (
        "no_output_map",
        "W_O is missing: the merged heads are mapped once more before they are added.",
        block_by(attend=attend_by(output=False)),
    ),
    ("relu", "The nonlinearity of GPT is gelu, not relu.", block_by(feed=feed_by(torch.relu))),
    (
        "silu",
        "The nonlinearity of GPT is gelu, x times the normal distribution function, not silu.",
        block_by(feed=feed_by(F.silu)),
    ),
    (
        "tanh_gelu",
        "You use the approximation of gelu by tanh. It is right to three digits; what is asked is the exact one, "
        "torch.nn.functional.gelu(x).",
        block_by(feed=feed_by(lambda x: F.gelu(x, approximate="tanh"))),
    ),
    (
        "no_nonlinearity",
        "gelu is missing between W_1 and W_2. Two linear maps in a row are one linear map.",
        block_by(feed=feed_by(lambda x: x)),
    ),
    ("no_biases", "b_1 and b_2 are missing: gelu(x W_1 + b_1) W_2 + b_2.", block_by(feed=feed_by(F.gelu, 0, 0))),
    (
        "first_bias_missing",
        "b_1 is missing: it is added before gelu, gelu(x W_1 + b_1).",
        block_by(feed=feed_by(F.gelu, 0, 1)),
    ),
    (
        "second_bias_missing",
        "b_2 is missing: it is added to every row after W_2.",
        block_by(feed=feed_by(F.gelu, 1, 0)),
    ),
    (
        "plain_norm",
        "Gain and shift are missing: a norm is the standardized row times gain plus shift.",
        block_by(norm_by(affine=False)),
    ),
    (
        "rms_norm",
        "You divide by the root mean square and leave the mean in: that is RMSNorm. Layer norm subtracts the mean of "
        "the row first.",
        block_by(norm_by(center=False)),
    ),
    ("variance_of_a_sample", OWN_VARIANCE, block_by(norm_by(correction=1))),
    ("no_eps", "The norm has no eps. " + EPS_INSIDE, block_by(norm_by(eps=0.0))),
    ("eps_outside", "You add eps to the standard deviation. " + EPS_INSIDE, block_by(norm_by(eps=0.0, outside=1e-5))),
    (
        "sample_std_plus_eps",
        OWN_VARIANCE + " And " + EPS_INSIDE,
        block_by(norm_by(correction=1, eps=0.0, outside=1e-5)),
    ),
    (
        "normed_over_positions",
        "You norm over the positions. A norm works on one row at a time, over its C channels: the last axis. Over "
        "positions, every row would see the future.",
        block_by(norm_by(dim=-2)),
    ),
    (
        "normed_over_both",
        "You norm over positions and channels together. A norm works on one row at a time, over its C channels.",
        block_by(norm_by(dim=(-2, -1))),
    ),
):
    pre_norm_block.misconception(hint, name=name)(changed)


def itself_hidden_by(hide):
    """Return shares where a position does not see itself; ``hide`` is a function of scores and what is hidden."""
    return lambda scores, seen: hide(scores, ~seen.tril(-1))


def past_hidden(scores, seen):
    return torch.softmax(scores.masked_fill(seen.tril(-1), -torch.inf), -1)


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def feed_with(rule):
    """Feed-forward network from a rule of (x, W_1, b_1, W_2, b_2)."""
    return lambda x, block: rule(x, *(block[name] for name in ("W_1", "b_1", "W_2", "b_2")))


def norm_with(rule):
    """Norm from a rule of (standardized row, gain, shift)."""
    return lambda x, gain, shift: rule(F.layer_norm(x, gain.shape), gain, shift)


NOT_ITSELF = (
    "A position does not see itself: hide the keys AFTER query i, triu(diagonal=1), and not key i. Your first query is "
    "left with nothing, "
)
SCALE = "Divide the scores by sqrt(C / N), the root of the length of a head's key. "
MERGED = (
    "You merge the heads by a reshape alone, which mixes heads and positions. First swap heads and positions back, "
    "then flatten the last two axes. "
)
for name, hint, changed in (
    ("divided_by_the_length", SCALE + "You divide by C / N itself.", block_by(attend=attend_by(scale=lambda C, H: H))),
    (
        "divided_by_the_root_of_heads",
        SCALE + "You divide by the root of the NUMBER of heads.",
        block_by(attend=attend_by(scale=lambda C, H: sqrt(C // H))),
    ),
    (
        "scores_multiplied",
        SCALE + "You multiply by it.",
        block_by(attend=attend_by(scale=lambda C, H: 1 / sqrt(H))),
    ),
    (
        "queries_and_keys_exchanged",
        "W_Q and W_K have changed places. Row i of the scores belongs to query i, and the mask with it.",
        block_by(attend=attend_by(names=("W_K", "W_Q", "W_V"))),
    ),
    (
        "keys_and_values_exchanged",
        "W_K and W_V have changed places: queries are compared with keys, and what is mixed are the values.",
        block_by(attend=attend_by(names=("W_Q", "W_V", "W_K"))),
    ),
    (
        "weights_transposed",
        "You transpose the weights of attention, as torch.nn.Linear stores them. Here they stand on the right as they "
        "are: x @ W.",
        block_by(attend=attend_by(turned=True)),
    ),
    (
        "past_hidden",
        "Your mask hides the past and shows the future. Query i sees the keys 0 to i: keep the LOWER triangle.",
        block_by(attend=attend_by(shares=past_hidden)),
    ),
    (
        "itself_hidden_by_a_large_number",
        NOT_ITSELF + "so its scores are all alike, and it reads the future in equal parts.",
        block_by(
            attend=attend_by(
                shares=itself_hidden_by(lambda scores, gone: torch.softmax(scores.masked_fill(gone, -1e9), -1))
            )
        ),
    ),
    (
        "itself_hidden_by_adding_a_large_number",
        NOT_ITSELF + "so all its scores are lowered alike, and it reads the future as if there were no mask.",
        block_by(
            attend=attend_by(shares=itself_hidden_by(lambda scores, gone: torch.softmax(scores - 1e9 * gone, -1)))
        ),
    ),
    (
        "itself_hidden_and_nan_removed",
        NOT_ITSELF + "which gives nan. nan_to_num covers that up, and the first query reads nothing.",
        block_by(
            attend=attend_by(
                shares=itself_hidden_by(
                    lambda scores, gone: torch.softmax(scores.masked_fill(gone, -torch.inf), -1).nan_to_num(0.0)
                )
            )
        ),
    ),
    ("merged_by_reshape", MERGED, block_by(attend=attend_by(merge=merge_reshaped))),
    (
        "split_and_merged_by_reshape",
        "You split and merge the heads by a reshape alone, (B, N, T, H). That cuts the text into N pieces, and no head "
        "sees it as a whole. Use (B, T, N, H), then swap positions and heads; and back at the end.",
        block_by(attend=attend_by(split=split_reshaped, merge=merge_reshaped)),
    ),
    (
        "number_and_length_exchanged",
        "You take n_heads for the length of a head. There are n_heads heads of C / n_heads channels each.",
        lambda x, block, n_heads: right_block(x, block, x.shape[-1] // n_heads),
    ),
    (
        "quick_gelu",
        "You use x sigmoid(1.702 x), an approximation of gelu. Asked is the exact one, torch.nn.functional.gelu(x).",
        block_by(feed=feed_by(quick_gelu)),
    ),
    ("tanh", "The nonlinearity of GPT is gelu, not tanh.", block_by(feed=feed_by(torch.tanh))),
    (
        "gelu_at_the_end_too",
        "You apply gelu after W_2 as well. What is added to the stream may have any sign: gelu stands between the two "
        "matrices alone.",
        block_by(feed=feed_with(lambda x, W_1, b_1, W_2, b_2: F.gelu(F.gelu(x @ W_1 + b_1) @ W_2 + b_2))),
    ),
    (
        "first_bias_after_gelu",
        "You add b_1 after gelu. It belongs inside: gelu(x W_1 + b_1).",
        block_by(feed=feed_with(lambda x, W_1, b_1, W_2, b_2: (F.gelu(x @ W_1) + b_1) @ W_2 + b_2)),
    ),
    (
        "weights_for_linear",
        "torch.nn.functional.linear(x, W) multiplies by the TRANSPOSE of W. Here weights stand on the right as they "
        "are: x @ W_1, or linear(x, W_1.mT).",
        block_by(feed=feed_with(lambda x, W_1, b_1, W_2, b_2: F.linear(F.gelu(F.linear(x, W_1, b_1)), W_2, b_2))),
    ),
    (
        "shift_before_gain",
        "You add the shift first and multiply by the gain then. It is standardized row times gain, PLUS shift.",
        block_by(norm_with(lambda rows, gain, shift: (rows + shift) * gain)),
    ),
    (
        "divided_by_the_variance",
        "Your norm divides by the variance. Divide by its root, the standard deviation: sqrt(variance + eps).",
        block_by(
            lambda x, gain, shift: (
                (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5) * gain + shift
            )
        ),
    ),
    (
        "gain_alone",
        "The shift is missing in your norms: standardized row times gain, plus shift.",
        block_by(norm_with(lambda rows, gain, shift: rows * gain)),
    ),
    (
        "shift_alone",
        "The gain is missing in your norms: standardized row times gain, plus shift.",
        block_by(norm_with(lambda rows, gain, shift: rows + shift)),
    ),
    (
        "gain_plus_one",
        "You multiply by 1 + gain, as some models store it. Here the gain is the factor itself.",
        block_by(norm_with(lambda rows, gain, shift: rows * (1 + gain) + shift)),
    ),
    (
        "eps_of_a_millionth",
        "The eps of your norm is 1e-6. " + EPS_INSIDE,
        block_by(norm_by(eps=1e-6)),
    ),
    (
        "eps_of_a_hundred_millionth",
        "The eps of your norm is 1e-8. " + EPS_INSIDE,
        block_by(norm_by(eps=1e-8)),
    ),
):
    pre_norm_block.misconception(hint, name=name)(changed)


@pre_norm_block.misconception(
    "The first sum starts from norm_1(x). The sum must start from x itself: the norm is a copy for reading."
)
def first_sum_from_the_norm(x, block, n_heads):
    normed = norm(x, block["gain_1"], block["shift_1"])
    u = normed + attend(normed, block, n_heads)
    return u + feed(norm(u, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(
    "The second sum starts from norm_2(m). The sum must start from m itself: the norm is a copy for reading."
)
def second_sum_from_the_norm(x, block, n_heads):
    u = x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    normed = norm(u, block["gain_2"], block["shift_2"])
    return normed + feed(normed, block)


@pre_norm_block.misconception("You norm what the halves GIVE, x + norm(att(x)). Norm what they READ: x + att(norm(x)).")
def results_normed(x, block, n_heads):
    u = x + norm(attend(x, block, n_heads), block["gain_1"], block["shift_1"])
    return u + norm(feed(u, block), block["gain_2"], block["shift_2"])


@pre_norm_block.misconception("The feed-forward half is missing: the result is m + ff(norm_2(m)).")
def attention_alone(x, block, n_heads):
    return x + attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)


@pre_norm_block.misconception("The attention half is missing: m = x + att(norm_1(x)) comes first.")
def feed_alone(x, block, n_heads):
    return x + feed(norm(x, block["gain_2"], block["shift_2"]), block)


@pre_norm_block.misconception(
    "You add to x in place (+=), and so change the stream that was given. Write x = x + ..., which makes a new tensor."
)
def stream_changed(x, block, n_heads):
    x += attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    x += feed(norm(x, block["gain_2"], block["shift_2"]), block)
    return x


def block_that_reads(*raw):
    """Return a block whose attention computes the named maps from x itself, the others from its norm."""

    def block_forward(x, block, n_heads):
        normed = norm(x, block["gain_1"], block["shift_1"])
        q, k, v = (split((x if W in raw else normed) @ block[W], n_heads) for W in ("W_Q", "W_K", "W_V"))
        seen = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()
        m = x + merge(masked_softmax(q @ k.mT / sqrt(q.shape[-1]), seen) @ v) @ block["W_O"]
        return m + feed(norm(m, block["gain_2"], block["shift_2"]), block)

    return block_forward


def merge_interleaved(x):
    return x.transpose(-3, -2).mT.flatten(-2)


ALL_THREE_READ_THE_NORM = "Queries, keys and values are all computed from norm_1(x). "
CHANNELS_OF_A_HEAD = "Head h has the channels h H to (h + 1) H - 1, one block of H = C / n_heads beside the next. "
for name, hint, changed in (
    (
        "first_norm_missing",
        "Attention reads x itself. It must read norm_1(x), as the feed-forward half reads norm_2(m).",
        block_that_reads("W_Q", "W_K", "W_V"),
    ),
    (
        "values_not_normed",
        ALL_THREE_READ_THE_NORM + "You take the values from x itself: only queries and keys read the norm.",
        block_that_reads("W_V"),
    ),
    (
        "keys_and_values_not_normed",
        ALL_THREE_READ_THE_NORM + "You take keys and values from x itself: only the queries read the norm.",
        block_that_reads("W_K", "W_V"),
    ),
    (
        "queries_not_normed",
        ALL_THREE_READ_THE_NORM + "You take the queries from x itself.",
        block_that_reads("W_Q"),
    ),
    (
        "heads_split_and_merged_interleaved",
        CHANNELS_OF_A_HEAD + "You split the last axis into (H, n_heads), and merge it in the same way: then a head "
        "takes every n_heads-th channel, and W_O gets them in an order for which it was not made.",
        block_by(attend=attend_by(split=split_interleaved, merge=merge_interleaved)),
    ),
    (
        "heads_merged_interleaved",
        CHANNELS_OF_A_HEAD + "You split them so, but merge them as (H, n_heads): then channels of all heads alternate, "
        "and meet the wrong rows of W_O.",
        block_by(attend=attend_by(merge=merge_interleaved)),
    ),
    (
        "softmax_over_heads",
        "You take softmax along axis 1. In scores of shape (B, N, T, T) that is the axis of the heads, and where "
        "all of them are masked it gives nan. Each head has its own softmax, over the keys: the last axis.",
        block_by(attend=attend_by(shares=lambda scores, seen: torch.softmax(scores.masked_fill(~seen, -torch.inf), 1))),
    ),
):
    pre_norm_block.misconception(hint, name=name)(changed)


@pre_norm_block.misconception(
    "You have one sum around both halves, x + ff(norm_2(att(norm_1(x)))). There are two: m = x + att(norm_1(x)), and "
    "the feed-forward half reads the norm of m and adds to m."
)
def one_sum_around_both(x, block, n_heads):
    attended = attend(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return x + feed(norm(attended, block["gain_2"], block["shift_2"]), block)


LARGE_SCORES = (
    "However large the scores are, the result is a number, and nothing of the future is in it. Exponentials of large "
    "scores overflow: take the largest score of each row out first. "
)


@pre_norm_block.always(LARGE_SCORES + WEAK_MASK)
def causal_with_large_scores(call, rng):
    x, block = normal(rng, 2, 5, 6), far_from_itself(block_weights(rng, 6, 4))
    other = x.clone()
    other[:, 3:] = normal(rng, 2, 2, 6)
    before, after = (call(x=given, block=named_by_its_sizes(block), n_heads=2)[:, :3] for given in (x, other))
    return before.shape == after.shape and torch.allclose(before, after, rtol=1e-4, atol=1e-4)


@pre_norm_block.always("Earlier positions do not see what comes later.")
def causal(call, rng):
    x, block = normal(rng, 2, 5, 6), block_weights(rng, 6, 4)
    other = x.clone()
    other[:, 3:] = normal(rng, 2, 2, 6)
    return close(
        call(x=x, block=named_by_its_sizes(block), n_heads=2)[:, :3],
        call(x=other, block=named_by_its_sizes(block), n_heads=2)[:, :3],
    )


@pre_norm_block.always("If the halves write nothing, the stream passes unchanged.")
def identity(call, rng):
    x, block = normal(rng, 2, 4, 6), block_weights(rng, 6, 5)
    silent = {name: torch.zeros_like(block[name]) for name in ("W_O", "W_2", "b_2")}
    return close(call(x=x, block=named_by_its_sizes({**block, **silent}), n_heads=3), x)


# 3. gpt_forward


def forward_by(
    block_forward=right_block,
    embed=lambda tokens, W_E, W_P: W_E[tokens] + W_P[: tokens.shape[-1]],
    order=lambda blocks: blocks,
    last=lambda x, weights: norm(x, weights["gain"], weights["shift"]),
    read=lambda x, W_E: x @ W_E.mT,
):
    """Return a GPT with one thing changed."""

    def forward(tokens, weights, n_heads):
        x = embed(tokens, weights["W_E"], weights["W_P"])
        for block in order(weights["blocks"]):
            x = block_forward(x, block, n_heads)
        return read(last(x, weights), weights["W_E"])

    return forward


@exercise("transformer.gpt_forward", reference=transformer.gpt_forward, points=6, forbidden=WHOLE_LAYERS)
def gpt_forward(rng):
    """From tokens to the logits of the next token, for every prefix at once."""
    fixed = np.random.default_rng(11)
    yield worked(tokens=torch.tensor([[1, 4, 2], [0, 0, 3]]), weights=gpt_weights(fixed, 5, 6, 4, 7, 2), n_heads=2)
    for B, T, V, T_max, C, D, N, L in [(2, 4, 9, 7, 6, 5, 3, 3), (3, 5, 7, 8, 10, 4, 2, 2)]:
        yield random(tokens=tokens_of(rng, V, B, T), weights=gpt_weights(rng, V, T_max, C, D, L), n_heads=N)
    yield edge(tokens=tokens_of(rng, 5, 2, 1), weights=gpt_weights(rng, 5, 3, 4, 8, 1), n_heads=1)
    yield edge(tokens=tokens_of(rng, 5, 2, 6), weights=gpt_weights(rng, 5, 6, 4, 8, 2), n_heads=4)
    yield edge(tokens=tokens_of(rng, 5, 2, 3), weights=gpt_weights(rng, 5, 6, 4, 8, 0), n_heads=2)
    large = far_from_themselves(gpt_weights(fixed, 5, 6, 4, 8, 2))
    yield edge(tokens=torch.tensor([[3, 1, 4, 0], [2, 0, 1, 3]]), weights=large, n_heads=2)


def post_norm_order(x, block, n_heads):
    return post_norm(x, block, n_heads)


def first_block_only(blocks):
    return [blocks[0]] * len(blocks) if blocks else blocks


for name, hint, changed in (
    (
        "no_last_norm",
        "The last norm is missing. The stream has grown with every block, and the unembedding was made for normed "
        "rows: "
        "norm it with gain and shift first.",
        forward_by(last=lambda x, weights: x),
    ),
    ("no_mask_anywhere", NO_MASK, forward_by(block_by(attend=attend_by(causal=False)))),
    (
        "masked_weakly_everywhere",
        FUTURE_BY_A_WEAK_MASK,
        forward_by(block_by(attend=attend_by(shares=weakly_masked_softmax))),
    ),
    (
        "no_places_at_all",
        "W_P is not added. Without it the model cannot tell where a token stands.",
        forward_by(embed=lambda tokens, W_E, W_P: W_E[tokens]),
    ),
    (
        "embedding_scaled",
        "You multiply the embedding by sqrt(C), as the transformer of 2017 does. Here it is W_E[token] + W_P[place].",
        forward_by(embed=lambda tokens, W_E, W_P: W_E[tokens] * sqrt(W_E.shape[1]) + W_P[: tokens.shape[-1]]),
    ),
    (
        "one_block_repeated",
        "You use the first block again and again. Each entry of weights['blocks'] has weights of its own, used once.",
        forward_by(order=first_block_only),
    ),
    (
        "only_the_first_block",
        "Only the first block is used. Run through all of them.",
        forward_by(order=lambda b: b[:1]),
    ),
    (
        "only_the_last_block",
        "Only the last block counts. Run through all of them, and let each read what the one before it left: x = "
        "block(x).",
        forward_by(order=lambda b: b[-1:]),
    ),
    (
        "blocks_reversed",
        "The blocks are applied from last to first: weights['blocks'][0] comes first.",
        forward_by(order=lambda blocks: blocks[::-1]),
    ),
    (
        "blocks_added",
        "Each block reads the embedding, and you add what all of them give. A block reads what the one before it left.",
        lambda tokens, weights, n_heads: forward_by(
            order=lambda blocks: [blocks],
            block_forward=lambda x, blocks, N: x + sum(right_block(x, b, N) - x for b in blocks),
        )(tokens, weights, n_heads),
    ),
    (
        "parallel_blocks",
        "Your blocks are parallel: their feed-forward half reads x. It must read the stream after attention.",
        forward_by(parallel),
    ),
    (
        "post_norm_blocks",
        "Your blocks norm the sums, as in 2017. Here the halves read a normed copy and the stream is only "
        "added to: pre-norm.",
        forward_by(post_norm_order),
    ),
    (
        "shared_norm_blocks",
        "In your blocks the feed-forward half uses gain_1 and shift_1. It has a norm of its own.",
        forward_by(shared_norm),
    ),
    (
        "normed_twice",
        "You norm the embedding before the first block, too. The blocks norm what they read; the stream itself is left "
        "alone until the end.",
        forward_by(embed=lambda tokens, W_E, W_P: F.layer_norm(W_E[tokens] + W_P[: tokens.shape[-1]], W_E.shape[1:])),
    ),
    (
        "last_norm_plain",
        "The last norm has a gain and a shift of its own: weights['gain'] and weights['shift'].",
        forward_by(last=lambda x, weights: F.layer_norm(x, x.shape[-1:])),
    ),
    (
        "unembedding_not_transposed",
        "W_E has shape (V, C), so a row of C channels must be multiplied by its transpose to become V logits.",
        forward_by(read=lambda x, W_E: x @ W_E),
    ),
    (
        "probabilities",
        "You return probabilities. Asked are logits, the numbers before softmax: the loss and the sampler apply it.",
        forward_by(read=lambda x, W_E: torch.softmax(x @ W_E.mT, -1)),
    ),
    (
        "log_probabilities",
        "You return logarithms of probabilities. Asked are logits, the numbers before softmax.",
        forward_by(read=lambda x, W_E: torch.log_softmax(x @ W_E.mT, -1)),
    ),
    (
        "last_row_alone",
        "You return the logits after the whole text alone. Every prefix predicts its next token: the shape is (B, T, "
        "V).",
        forward_by(read=lambda x, W_E: (x @ W_E.mT)[:, -1]),
    ),
    (
        "stream_returned",
        "You return the normed stream, C numbers a row. The unembedding W_E^T turns it into V logits.",
        forward_by(read=lambda x, W_E: x),
    ),
):
    gpt_forward.misconception(hint, name=name)(changed)


def places_in_each_block(tokens, weights, n_heads):
    place = weights["W_P"][: tokens.shape[-1]]
    x = weights["W_E"][tokens]
    for block in weights["blocks"]:
        x = right_block(x + place, block, n_heads)
    return norm(x, weights["gain"], weights["shift"]) @ weights["W_E"].mT


def normed_after_each_block(tokens, weights, n_heads):
    x = weights["W_E"][tokens] + weights["W_P"][: tokens.shape[-1]]
    for block in weights["blocks"]:
        x = norm(right_block(x, block, n_heads), weights["gain"], weights["shift"])
    return x @ weights["W_E"].mT


def norm_of_the_last_block(x, weights):
    last = weights["blocks"][-1] if weights["blocks"] else {"gain_2": weights["gain"], "shift_2": weights["shift"]}
    return norm(x, last["gain_2"], last["shift_2"])


def with_places(rule):
    return forward_by(embed=lambda tokens, W_E, W_P: W_E[tokens] + rule(tokens, W_P))


PLACES_OF_THE_TEXT = "Position t gets row t of W_P: W_P[:T]. "
for name, hint, changed in (
    ("whole_table_added", PLACES_OF_THE_TEXT + "You add the whole table.", with_places(lambda tokens, W_P: W_P)),
    (
        "rows_for_the_batch",
        PLACES_OF_THE_TEXT + "You take as many rows as there are texts: T is the LAST size of tokens.",
        with_places(lambda tokens, W_P: W_P[: len(tokens)]),
    ),
    (
        "places_counted_from_one",
        PLACES_OF_THE_TEXT + "Yours count from 1.",
        with_places(lambda tokens, W_P: W_P[1 : tokens.shape[-1] + 1]),
    ),
    (
        "places_looked_up_by_token",
        PLACES_OF_THE_TEXT + "You look the place up by the token.",
        with_places(lambda tokens, W_P: W_P[tokens]),
    ),
    (
        "last_rows_of_the_table",
        PLACES_OF_THE_TEXT + "You take the last rows of the table.",
        with_places(lambda tokens, W_P: W_P[-tokens.shape[-1] :]),
    ),
    (
        "places_in_each_block",
        "You add the places again before each block. They are added once: the stream carries them through.",
        places_in_each_block,
    ),
    ("blocks_forgotten", "The blocks are missing. Run through weights['blocks'].", forward_by(order=lambda b: [])),
    (
        "first_block_skipped",
        "The first block is left out: a loop over blocks begins at 0.",
        forward_by(order=lambda blocks: blocks[1:]),
    ),
    (
        "last_block_skipped",
        "The last block is left out: range(len(blocks)) ends before its end by itself.",
        forward_by(order=lambda blocks: blocks[:-1]),
    ),
    (
        "block_added_to_the_stream",
        "You add the result of a block to the stream, x + block(x). The sums stand INSIDE a block: x = block(x).",
        forward_by(lambda x, block, n_heads: x + right_block(x, block, n_heads)),
    ),
    (
        "one_head_everywhere",
        "You work with a single head. There are n_heads of C / n_heads channels, each with its own softmax.",
        forward_by(lambda x, block, n_heads: right_block(x, block, 1)),
    ),
    (
        "scores_divided_by_the_width",
        "You divide the scores by sqrt(C). Each head has C / N channels: divide by sqrt(C / N).",
        forward_by(block_by(attend=attend_by(scale=lambda C, H: sqrt(C)))),
    ),
    (
        "relu_in_the_blocks",
        "The nonlinearity of GPT is gelu, not relu.",
        forward_by(block_by(feed=feed_by(torch.relu))),
    ),
    (
        "tanh_gelu_in_the_blocks",
        "You use the approximation of gelu by tanh. Asked is the exact one, torch.nn.functional.gelu(x).",
        forward_by(block_by(feed=feed_by(lambda x: F.gelu(x, approximate="tanh")))),
    ),
    (
        "normed_after_each_block",
        "You apply the last norm after EVERY block. It stands once, after all of them: it is outside the loop.",
        normed_after_each_block,
    ),
    (
        "norm_of_the_last_block",
        "You use a norm of the last block again. The last norm has its own weights['gain'] and weights['shift'].",
        forward_by(last=norm_of_the_last_block),
    ),
    (
        "last_norm_first",
        "You apply gain and shift to the embedding and not at the end. They belong to the LAST norm, before the "
        "unembedding.",
        lambda tokens, weights, n_heads: forward_by(
            embed=lambda tokens, W_E, W_P: norm(
                W_E[tokens] + W_P[: tokens.shape[-1]], weights["gain"], weights["shift"]
            ),
            last=lambda x, weights: x,
        )(tokens, weights, n_heads),
    ),
    (
        "logits_scaled",
        "You divide the logits by sqrt(C). Nothing is scaled here: the last norm already gives rows of one size.",
        forward_by(read=lambda x, W_E: x @ W_E.mT / sqrt(W_E.shape[-1])),
    ),
    (
        "likeliest_tokens",
        "You return the likeliest token of each position. Asked are the logits of all V tokens: (B, T, V).",
        forward_by(read=lambda x, W_E: (x @ W_E.mT).argmax(-1)),
    ),
    (
        "last_row_with_its_axis",
        "You return the logits after the whole text alone. Every prefix predicts its next token: (B, T, V).",
        forward_by(read=lambda x, W_E: (x @ W_E.mT)[:, -1:]),
    ),
    (
        "last_row_cut_off",
        "You leave out the last position, as for a loss. Here all T are asked: row T - 1 says what follows the text.",
        forward_by(read=lambda x, W_E: (x @ W_E.mT)[:, :-1]),
    ),
    (
        "vocabulary_before_positions",
        "Your axes are (B, V, T). Asked is (B, T, V): the logits of one position stand in one row.",
        forward_by(read=lambda x, W_E: (x @ W_E.mT).mT),
    ),
    (
        "stream_without_its_norm",
        "You return the stream as it is, C numbers a row. Norm it, and multiply by W_E^T.",
        forward_by(last=lambda x, weights: x, read=lambda x, W_E: x),
    ),
):
    gpt_forward.misconception(hint, name=name)(changed)


@gpt_forward.always("The logits of a prefix do not change when more text follows.")
def prefixes(call, rng):
    tokens, weights = tokens_of(rng, 6, 2, 5), gpt_weights(rng, 6, 7, 4, 6, 2)
    whole = call(tokens=tokens, weights=weights, n_heads=2)
    return all(close(call(tokens=tokens[:, :t], weights=weights, n_heads=2), whole[:, :t]) for t in (1, 3))


@gpt_forward.always(LARGE_SCORES + WEAK_MASK)
def prefixes_with_large_scores(call, rng):
    tokens, weights = tokens_of(rng, 6, 2, 5), far_from_themselves(gpt_weights(rng, 6, 7, 4, 6, 2))
    whole, part = (call(tokens=given, weights=weights, n_heads=2) for given in (tokens, tokens[:, :3]))
    return part.shape == (2, 3, 6) and torch.allclose(part, whole[:, :3], rtol=1e-4, atol=1e-4)


@gpt_forward.always("Each text of the batch is worked on by itself.")
def batch_entries(call, rng):
    tokens, weights = tokens_of(rng, 6, 3, 4), gpt_weights(rng, 6, 7, 4, 6, 2)
    whole = call(tokens=tokens, weights=weights, n_heads=2)
    return close(call(tokens=tokens[1:2], weights=weights, n_heads=2), whole[1:2])


# 4. language_model_loss


@exercise(
    "transformer.language_model_loss",
    reference=transformer.language_model_loss,
    points=6,
    forbidden=CROSS_ENTROPY,
)
def language_model_loss(rng):
    """Average the surprise at the tokens that came, over all texts and positions, in nats."""
    three = log(3)
    yield worked(
        logits=tensor(
            [[[0, three, 0, 0, 0], [three, three, 0, 1, 0]], [[2, 0, 0, 0, 1], [0, 0, 0, 0, 5]], [[1] * 5] * 2]
        ),
        targets=torch.tensor([[1, 2], [0, 3], [4, 0]]),
    )
    for B, T, V in [(2, 3, 7), (4, 5, 3), (3, 2, 9)]:
        yield random(logits=2 * normal(rng, B, T, V), targets=tokens_of(rng, V, B, T))
    yield edge(logits=tensor([[[0.5, 1.5, -1]]]), targets=torch.tensor([[2]]))
    yield edge(logits=1e4 + normal(rng, 2, 3, 4), targets=tokens_of(rng, 4, 2, 3))
    yield edge(logits=tensor([[[0, -1e4, -9e3], [-1e4, 0, -8e3]]]), targets=torch.tensor([[1, 0]]))
    yield edge(logits=tensor([[[3.0], [4.0]]]), targets=torch.tensor([[0, 0]]))
    yield edge(logits=tensor([[[0, 1, -1], [-9000, -9002, -9001]]]), targets=torch.tensor([[2, 0]]))


def surprise(logits, targets, dim=-1):
    """Nats at each position: (B, T)."""
    return -torch.log_softmax(logits, dim).gather(-1, targets[..., None])[..., 0]


ALREADY_SHIFTED = (
    "You shift the targets against the logits once more. Position t of targets already holds the token that follows "
    "position t of the input: compare logits[:, t] with targets[:, t]."
)
for name, hint, changed in (
    (
        "mean_over_vocabulary",
        "You divide by the vocabulary as well. The mean runs over the B T predictions; each of them has one surprise, "
        "whatever V is.",
        lambda logits, targets: surprise(logits, targets).mean() / logits.shape[-1],
    ),
    (
        "summed",
        "You sum. The mean over all B T positions is asked, so that losses of unlike batches compare.",
        lambda logits, targets: surprise(logits, targets).sum(),
    ),
    (
        "summed_over_positions",
        "You sum over the positions and average over the batch. Average over both.",
        lambda logits, targets: surprise(logits, targets).sum(-1).mean(),
    ),
    (
        "summed_over_batch",
        "You average over the positions and sum over the batch. Average over both.",
        lambda logits, targets: surprise(logits, targets).mean(-1).sum(),
    ),
    (
        "one_for_each_text",
        "You return one loss for each text. Average over the batch, too: a single number, shape ().",
        lambda logits, targets: surprise(logits, targets).mean(-1),
    ),
    (
        "one_for_each_position",
        "You return the surprise of every position. Average them: a single number, shape ().",
        lambda logits, targets: surprise(logits, targets),
    ),
    ("shifted_again", ALREADY_SHIFTED, lambda logits, targets: surprise(logits[:, :-1], targets[:, 1:]).mean()),
    (
        "last_position_alone",
        "Only the last position counts in your loss. Every prefix predicts: T losses from one pass.",
        lambda logits, targets: surprise(logits[:, -1:], targets[:, -1:]).mean(),
    ),
    (
        "bits",
        "Your unit is the bit, from a logarithm to base 2. Asked are nats: the natural logarithm.",
        lambda logits, targets: surprise(logits, targets).mean() / log(2),
    ),
    (
        "sign",
        "Your loss is negative: surprise is MINUS the logarithm of a probability.",
        lambda logits, targets: -surprise(logits, targets).mean(),
    ),
    (
        "perplexity",
        "You return the perplexity, the exponential of the mean surprise. Asked is the mean surprise itself.",
        lambda logits, targets: surprise(logits, targets).mean().exp(),
    ),
    (
        "log_of_mean",
        "You take the logarithm of the mean probability. The mean runs over the logarithms: the probability "
        "of a text is a product, so its logarithm is a sum.",
        lambda logits, targets: -(-surprise(logits, targets)).exp().mean().log(),
    ),
    (
        "mean_probability",
        "You average probabilities. Surprise is minus the LOGARITHM of the probability.",
        lambda logits, targets: -(-surprise(logits, targets)).exp().mean(),
    ),
    (
        "softmax_twice",
        "Softmax is applied twice. log_softmax takes logits, not probabilities.",
        lambda logits, targets: surprise(torch.softmax(logits, -1), targets).mean(),
    ),
    (
        "softmax_over_positions",
        "Your softmax runs over the positions. It runs over the vocabulary, the last axis.",
        lambda logits, targets: surprise(logits, targets, dim=-2).mean(),
    ),
    (
        "no_softmax",
        "You average the logits of the targets themselves. Softmax is missing: a logit is compared with the "
        "others of its row.",
        lambda logits, targets: -logits.gather(-1, targets[..., None]).mean(),
    ),
    (
        "squared_error",
        "You compare probabilities with one-hot rows by squared error. The loss of a language model is "
        "minus the logarithm of the probability of the token that came.",
        lambda logits, targets: (torch.softmax(logits, -1) - F.one_hot(targets, logits.shape[-1])).square().mean(),
    ),
    (
        "underflow",
        "You take the logarithm of softmax. For logits far below the largest, softmax is 0 and its logarithm "
        "minus infinity. Subtract logsumexp from the logits, or use log_softmax.",
        lambda logits, targets: -torch.softmax(logits, -1).gather(-1, targets[..., None]).log().mean(),
    ),
    (
        "epsilon",
        "You add a small number inside the logarithm. It hides the zeros of softmax and changes the loss of "
        "every unlikely token: a surprise of 1000 nats becomes 20. Use log_softmax.",
        lambda logits, targets: -(torch.softmax(logits, -1).gather(-1, targets[..., None]) + 1e-9).log().mean(),
    ),
    (
        "overflow",
        "You take exponentials of the logits as they are, and they overflow. Subtract the largest logit of the "
        "row first, or use log_softmax.",
        lambda logits, targets: (
            -(logits.exp() / logits.exp().sum(-1, keepdim=True)).gather(-1, targets[..., None]).log().mean()
        ),
    ),
    (
        "log_of_sum_overflows",
        "The logarithm of the sum of exponentials overflows for large logits: use torch.logsumexp.",
        lambda logits, targets: (logits.exp().sum(-1).log() - logits.gather(-1, targets[..., None])[..., 0]).mean(),
    ),
):
    language_model_loss.misconception(hint, name=name)(changed)


def log_of_sum(z):
    return z.exp().sum(-1).log()


def picked(table, targets):
    return table.gather(-1, targets[..., None])[..., 0]


for name, hint, changed in (
    (
        "shifted_the_other_way",
        "You compare logits[:, t + 1] with targets[:, t]: the model has then already read the answer. Position t of "
        "targets belongs to position t of the logits.",
        lambda logits, targets: surprise(logits[:, 1:], targets[:, :-1]).mean(),
    ),
    (
        "logarithm_of_logits",
        "You take the logarithm of the logits. They are no probabilities: softmax first, or log_softmax for both.",
        lambda logits, targets: -picked(logits.log(), targets).mean(),
    ),
    (
        "softmax_over_the_batch",
        "Your softmax runs over the batch. It runs over the vocabulary, the last axis.",
        lambda logits, targets: surprise(logits, targets, dim=0).mean(),
    ),
    (
        "yes_or_no_for_each_token",
        "You ask V yes-or-no questions, each with its own sigmoid. The next token is ONE choice among V: softmax.",
        lambda logits, targets: F.binary_cross_entropy_with_logits(
            logits, F.one_hot(targets, logits.shape[-1]).to(logits.dtype)
        ),
    ),
    (
        "entropy_of_the_model",
        "You weigh the surprise at each token with the model's own probability: that is its entropy, and the targets "
        "do not occur. Take the surprise at the token that came.",
        lambda logits, targets: -(torch.softmax(logits, -1) * torch.log_softmax(logits, -1)).sum(-1).mean(),
    ),
    (
        "surprise_at_the_likeliest",
        "You take the largest log-probability of each row. Take that of the TARGET: gather.",
        lambda logits, targets: -torch.log_softmax(logits, -1).amax(-1).mean(),
    ),
    (
        "accuracy",
        "You return how often the likeliest token came. The loss is the mean surprise: it also says how sure the model "
        "was.",
        lambda logits, targets: (logits.argmax(-1) == targets).double().mean(),
    ),
    (
        "indexed_crosswise",
        "log_p[:, :, targets] takes ALL targets at every position. Each position has one: gather along the last axis "
        "with targets[..., None].",
        lambda logits, targets: -torch.log_softmax(logits, -1)[:, :, targets].mean(),
    ),
    (
        "maximum_not_added_back",
        "You subtract the largest logit inside the exponentials and not from the target's logit. Subtract it from all "
        "logits of the row first.",
        lambda logits, targets: (log_of_sum(logits - logits.amax(-1, keepdim=True)) - picked(logits, targets)).mean(),
    ),
    (
        "one_maximum_for_all",
        "You subtract one maximum of the whole tensor. In a row that lies far below it all exponentials are 0, and the "
        "logarithm is minus infinity. Each row has its own: amax(-1, keepdim=True).",
        lambda logits, targets: (log_of_sum(logits - logits.max()) - picked(logits - logits.max(), targets)).mean(),
    ),
    (
        "single_precision",
        "You compute in float32, which keeps seven digits: of logits near 10000 three are left behind the point. Stay "
        "in float64.",
        lambda logits, targets: surprise(logits.float(), targets).mean(),
    ),
):
    language_model_loss.misconception(hint, name=name)(changed)


NUMBERS_OF_TOKENS = "Tokens count from 0: token i is column i of the logits. "
EACH_ITS_OWN = "Position t of targets belongs to position t of the logits: nothing is moved. "
for name, hint, changed in (
    (
        "tokens_counted_from_one",
        NUMBERS_OF_TOKENS + "You use targets - 1, which for token 0 lies outside.",
        lambda logits, targets: -picked(torch.log_softmax(logits, -1), targets - 1).mean(),
    ),
    (
        "tokens_counted_from_one_and_wrapped",
        NUMBERS_OF_TOKENS + "You use targets - 1: an index of -1 is the LAST token, so no error tells you.",
        lambda logits, targets: surprise(logits, (targets - 1) % logits.shape[-1]).mean(),
    ),
    (
        "one_hot_of_tokens_counted_from_one",
        NUMBERS_OF_TOKENS + "You make one-hot rows of targets - 1, and for token 0 there is none.",
        lambda logits, targets: (
            -(torch.log_softmax(logits, -1) * F.one_hot(targets - 1, logits.shape[-1])).sum(-1).mean()
        ),
    ),
    (
        "next_number_for_next_token",
        "You use targets + 1. The next TOKEN is not the next number: targets already holds what came, and is used as "
        "it is.",
        lambda logits, targets: -picked(torch.log_softmax(logits, -1), targets + 1).mean(),
    ),
    (
        "targets_rolled_back",
        EACH_ITS_OWN + "You roll the targets by -1, so each prediction is compared with the token after the next, and "
        "the last one with the first.",
        lambda logits, targets: surprise(logits, targets.roll(-1, 1)).mean(),
    ),
    (
        "targets_rolled_forward",
        EACH_ITS_OWN
        + "You roll the targets by 1, so each prediction is compared with a token that the model has read.",
        lambda logits, targets: surprise(logits, targets.roll(1, 1)).mean(),
    ),
    (
        "shifted_again_and_divided_by_all",
        ALREADY_SHIFTED + " And you divide by all B T, although the shift leaves only B (T - 1).",
        lambda logits, targets: surprise(logits[:, :-1], targets[:, 1:]).sum() / targets.numel(),
    ),
    (
        "divided_by_one_less",
        "You divide by B (T - 1). A window of T + 1 tokens gives T predictions, and all T stand in targets: divide by "
        "B T.",
        lambda logits, targets: surprise(logits, targets).sum() / (len(targets) * (targets.shape[1] - 1)),
    ),
    (
        "sum_for_each_text",
        "You return one sum for each text. Average over its positions, and over the batch too: a single number, shape "
        "().",
        lambda logits, targets: surprise(logits, targets).sum(-1),
    ),
    (
        "one_for_each_place",
        "You average over the batch alone and return one loss for each position. Average over the positions, too: a "
        "single number, shape ().",
        lambda logits, targets: surprise(logits, targets).mean(0),
    ),
    (
        "sum_for_each_place",
        "You sum over the batch and return one number for each position. Average over both: a single number, shape ().",
        lambda logits, targets: surprise(logits, targets).sum(0),
    ),
):
    language_model_loss.misconception(hint, name=name)(changed)


@language_model_loss.always(
    "A token whose logit lies 10000 below costs 10000 nats. If yours costs less, there is a small number inside a "
    "logarithm, or a clamp: it hides that softmax is 0 there. Use log_softmax."
)
def hopeless_token(call, rng):
    value = call(logits=tensor([[[0, -1e4, -5]]]), targets=torch.tensor([[1]]))
    return abs(float(value) - 1e4 - log(1 + np.exp(-5))) < 1e-3


@language_model_loss.always("Equal logits give the logarithm of V, whatever came.")
def uniform(call, rng):
    V = int(rng.integers(3, 9))
    value = call(logits=torch.full((2, 3, V), 1.7, dtype=torch.float64), targets=tokens_of(rng, V, 2, 3))
    return abs(float(value) - log(V)) < 1e-6


@language_model_loss.always("Adding a number to all logits of a position changes nothing.")
def shift_of_a_row(call, rng):
    logits, targets = normal(rng, 2, 3, 5), tokens_of(rng, 5, 2, 3)
    moved = call(logits=logits + normal(rng, 2, 3, 1), targets=targets)
    return abs(float(moved) - float(call(logits=logits, targets=targets))) < 1e-6


# 5. sample


def sample_by_position(candidate, logits, u, **settings):
    """Call by position; a case may leave out the last settings, which then have their defaults, where there are any.

    Torch's own generator starts in one state: who draws from it instead of u draws the same tokens, and is recognized.
    """
    import inspect

    usual = {"temperature": 1.0, "top_k": None, "top_p": None}
    given = [settings[name] for name in usual if name in settings]
    try:
        inspect.signature(candidate).bind(logits, u, *given)
    except (TypeError, ValueError):  # a signature without defaults, which answers every other call
        given = list({**usual, **settings}.values())
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        return candidate(logits, u, *given)
    finally:
        torch.set_rng_state(state)


@exercise("transformer.sample", reference=transformer.sample, points=6, run=sample_by_position)
def sample(rng):
    """Draw tokens with a temperature, from the top k, from the top p; return also the probabilities."""
    two = tensor([[0.5, 0.1, 0.25, 0.15], [0.05, 0.3, 0.05, 0.6]]).log()
    yield worked(logits=two, u=tensor([0.56, 0.2]), temperature=1.0, top_k=None, top_p=None)
    yield worked(logits=two, u=tensor([0.66, 0.2]), temperature=0.5, top_k=None, top_p=None)
    yield worked(logits=two, u=tensor([0.72, 0.5]), temperature=2.0, top_k=3 - 1, top_p=None)
    yield worked(logits=two, u=tensor([0.9, 0.25]), temperature=1.0, top_k=None, top_p=0.7)
    eight = tensor([[0.3, 0.02, 0.2, 0.04, 0.18, 0.14, 0.02, 0.1], [0.01, 0.4, 0.02, 0.2, 0.16, 0.1, 0.08, 0.03]]).log()
    yield worked(logits=eight, u=tensor([0.8, 0.9]), temperature=1.25, top_k=5, top_p=0.8)
    yield worked(logits=two, u=tensor([0.9, 0.4]), temperature=1.0, top_k=2, top_p=0.6)  # one token is left
    three = tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]).log()  # more rows than tokens: columns sum to more than rows
    yield worked(logits=three, u=tensor([0.8, 0.3, 0.1]), temperature=1.0, top_k=None, top_p=None)
    for B, V, tau, k, p in [
        (3, 8, 0.7, 5, None),
        (4, 9, 1.5, None, 0.75),
        (2, 12, 1.4, 8, 0.7),
        (5, 7, 1.0, None, None),
    ]:
        logits = 2 * normal(rng, B, V)
        yield random(logits=logits, u=torch.from_numpy(rng.uniform(size=B)), temperature=tau, top_k=k, top_p=p)
    yield edge(logits=two, u=tensor([0.999999, 0.0]), temperature=1.0, top_k=1, top_p=None)
    yield edge(logits=two, u=tensor([0.999999, 0.0]), temperature=1.0, top_k=None, top_p=0.01)
    yield edge(logits=two, u=tensor([0.999999, 0.0]), temperature=1.0, top_k=9, top_p=1.0)
    yield edge(logits=tensor([[2e4, 1e4, -3e4]]), u=tensor([0.5]), temperature=1.0, top_k=None, top_p=None)
    yield edge(logits=tensor([[7.0], [7.0]]), u=tensor([0.3, 0.8]), temperature=3.0, top_k=1, top_p=0.5)
    low = tensor([[-9999, -9999.5, -10000], [-10000, -9999, -9999.5]])
    yield edge(logits=low, u=tensor([0.6, 0.9]), temperature=1.0, top_k=1, top_p=None)
    yield edge(logits=low, u=tensor([0.6, 0.9]), temperature=1.0, top_k=None, top_p=0.4)
    many, u = normal(rng, 2, 64), tensor([0.7, 0.4])  # more tokens than a customary top_k
    yield edge(logits=many, u=u, temperature=1.3, top_k=60)
    yield edge(logits=many, u=u, temperature=1.3)
    yield edge(logits=many, u=u)


def shares(x):
    return x / x.sum(-1, keepdim=True)


def keep_k(p, k):
    if k is None or k >= p.shape[-1]:
        return p
    lowest = p.topk(k, dim=-1).values[..., -1:]
    return p.where(p >= lowest, 0.0)


def keep_p(p, top_p, crossing=0):
    """Keep the most probable until they reach top_p together; crossing = -1 drops the last, 1 keeps one more."""
    if top_p is None:
        return p
    ranked, order = p.sort(-1, descending=True)
    number = ((ranked.cumsum(-1) - ranked) < top_p).sum(-1, keepdim=True) + crossing
    kept = torch.arange(p.shape[-1]) < number.clamp(min=0 if crossing < 0 else 1)
    return torch.zeros_like(p).scatter(-1, order, ranked.where(kept, 0.0))


def draw(p, u):
    sums = p.cumsum(-1)
    return torch.searchsorted(sums, u[:, None].contiguous(), right=True).clamp(max=p.shape[-1] - 1)[:, 0]


def sample_by(
    heat=lambda logits, tau: torch.softmax(logits / tau, -1),
    cut_k=keep_k,
    cut_p=keep_p,
    draw=draw,
    rescale=shares,
    between=shares,
):
    """Return a sampler with one thing changed."""

    def sampler(logits, u, temperature=1.0, top_k=None, top_p=None):
        p = heat(logits, temperature)
        p = rescale(cut_p(between(cut_k(p, top_k)), top_p))
        return draw(p, u), p

    return sampler


def draw_by_rank(p, u):
    ranked, order = p.sort(-1, descending=True)
    return order.gather(-1, draw(ranked, u)[:, None])[:, 0]


def truncated_at_first(logits, u, temperature=1.0, top_k=None, top_p=None):
    p = torch.softmax(logits, -1)
    kept = keep_p(shares(keep_k(p, top_k)), top_p) > 0
    p = torch.softmax((logits / temperature).masked_fill(~kept, -torch.inf), -1)
    return draw(p, u), p


def ranks_returned(logits, u, temperature=1.0, top_k=None, top_p=None):
    p = sample_by()(logits, u, temperature, top_k, top_p)[1].sort(-1, descending=True).values
    return draw(p, u), p


def masked_logits(value):
    """Return a sampler in which the logits of the tokens that go become ``value``."""

    def sampler(logits, u, temperature=1.0, top_k=None, top_p=None):
        z = logits / temperature
        kept = keep_p(shares(keep_k(torch.softmax(z, -1), top_k)), top_p) > 0
        p = torch.softmax(z.masked_fill(~kept, value), -1)
        return draw(p, u), p

    return sampler


DIVIDE_LOGITS = "The temperature divides the LOGITS, before softmax: softmax(logits / temperature). "
for name, hint, changed in (
    (
        "temperature_multiplies",
        "You multiply the logits by the temperature, or take the probabilities to its power. A high temperature must "
        "make all tokens more alike, so it divides the logits; for probabilities the power is 1 / temperature.",
        sample_by(lambda logits, tau: torch.softmax(logits * tau, -1)),
    ),
    (
        "probabilities_divided",
        DIVIDE_LOGITS + "You do not use it, or you divide the probabilities, which changes nothing once they are "
        "rescaled.",
        sample_by(lambda logits, tau: shares(torch.softmax(logits, -1) / tau)),
    ),
    (
        "no_temperature_at_all",
        DIVIDE_LOGITS + "You do not use it.",
        lambda logits, u, temperature=1.0, top_k=None, top_p=None: (lambda p: (draw(p, u), p))(
            torch.softmax(keep_p(keep_k(torch.softmax(logits, -1), top_k), top_p).log(), -1)
        ),
    ),
    (
        "softmax_overflows",
        "You take exponentials of the logits as they are, and they overflow. Subtract the largest logit "
        "of the row first, or use torch.softmax.",
        sample_by(lambda logits, tau: shares((logits / tau).exp())),
    ),
    (
        "crossing_token_dropped",
        "The token that crosses top_p is missing. The tokens kept must TOGETHER reach top_p: keep "
        "while the sum BEFORE a token is below top_p.",
        sample_by(cut_p=lambda p, top_p: keep_p(p, top_p, -1)),
    ),
    (
        "crossing_token_dropped_but_one_kept",
        "The token that crosses top_p is missing, except where nothing else would be "
        "left. The tokens kept must TOGETHER reach top_p.",
        sample_by(
            cut_p=lambda p, top_p: (
                p
                if top_p is None
                else torch.where(keep_p(p, top_p, -1).sum(-1, keepdim=True) > 0, keep_p(p, top_p, -1), keep_k(p, 1))
            )
        ),
    ),
    (
        "one_more_than_top_p",
        "You keep one token more than are needed to reach top_p. The token that crosses it is the last.",
        sample_by(cut_p=lambda p, top_p: keep_p(p, top_p, 1)),
    ),
    (
        "threshold_for_each_token",
        "You keep the tokens whose own probability reaches top_p. It is the SUM of the most "
        "probable ones that must reach it.",
        sample_by(cut_p=lambda p, top_p: p if top_p is None else p.where(p >= top_p, 0.0)),
    ),
    (
        "least_probable_kept",
        "You sort from the least probable upward, so the tail is kept and the likely tokens go.",
        sample_by(
            cut_p=lambda p, top_p: (
                p
                if top_p is None
                else torch.zeros_like(p).scatter(
                    -1, p.argsort(-1), (lambda r: r.where(r.cumsum(-1) - r < top_p, 0.0))(p.sort(-1).values)
                )
            )
        ),
    ),
    (
        "lowest_k",
        "You keep the k least probable tokens. top_k keeps the most probable ones.",
        sample_by(
            cut_k=lambda p, k: (
                p if k is None else p.where(p <= p.topk(min(k, p.shape[-1]), largest=False).values[..., -1:], 0.0)
            )
        ),
    ),
    (
        "k_minus_one",
        "You keep k - 1 tokens: the k-th most probable one stays, too.",
        sample_by(cut_k=lambda p, k: p if k is None else keep_k(p, k - 1) if k > 1 else 0 * p),
    ),
    (
        "not_rescaled",
        "The probabilities that you return do not sum to 1. After the cut, divide by what is left.",
        sample_by(rescale=lambda p: p),
    ),
    (
        "top_k_not_rescaled",
        "top_p looks at the probabilities before the cut to k, as if it came first. Rescale what top_k has left to sum "
        "1, then let top_p cut.",
        sample_by(between=lambda p: p),
    ),
    (
        "cut_before_temperature",
        "You choose the tokens to keep before the temperature is applied. First the temperature, "
        "then top_k, then top_p, which looks at the changed probabilities.",
        truncated_at_first,
    ),
    (
        "top_k_ignored",
        "top_k is not used: your result is the same for every k. Keep the k most probable tokens.",
        sample_by(cut_k=lambda p, k: p),
    ),
    (
        "top_p_ignored",
        "top_p is not used: your result is the same for every share. Cut the tail of unlikely tokens.",
        sample_by(cut_p=lambda p, top_p: p),
    ),
    (
        "zero_logits",
        "You set the logits of the tokens that go to 0. That is a logit like any other: use minus infinity.",
        masked_logits(0.0),
    ),
    (
        "likeliest",
        "You always take the likeliest token. Draw with u: the first token whose running sum exceeds it.",
        sample_by(draw=lambda p, u: p.argmax(-1)),
    ),
    (
        "drawn_by_rank",
        "You draw along the tokens sorted by probability. The running sum goes through the vocabulary in "
        "its own order.",
        sample_by(draw=draw_by_rank),
    ),
    (
        "ranks_returned",
        "You return ranks, in the order of sorting. Go back to the numbers of the tokens with the second "
        "result of sort: scatter.",
        ranks_returned,
    ),
    (
        "one_early",
        "You return the token before the right one: the last whose running sum does NOT exceed u.",
        sample_by(draw=lambda p, u: (draw(p, u) - 1).clamp(min=0)),
    ),
    (
        "from_above",
        "You compare the running sum with 1 - u. It is as random, but another token: the first whose running "
        "sum exceeds u.",
        sample_by(draw=lambda p, u: draw(p, 1 - u)),
    ),
    (
        "one_u_for_all",
        "You use the first uniform number for every row. Row b draws with u[b].",
        sample_by(draw=lambda p, u: draw(p, u[:1].expand_as(u))),
    ),
):
    sample.misconception(hint, name=name)(changed)


def draw_at_equality(p, u):
    return (p.cumsum(-1) < u[:, None]).sum(-1).clamp(max=p.shape[-1] - 1)


def draw_by_counting(p, u):
    return (p.cumsum(-1) <= u[:, None]).sum(-1).clamp(max=p.shape[-1] - 1)


def on_its_own_order(p, ranked, order, kept):
    """Use the mask of the sorted tokens on the tokens in their own order."""
    return p * kept


def left_sorted(p, ranked, order, kept):
    """Cut the sorted tokens and leave them so."""
    return ranked * kept


def gathered(p, ranked, order, kept):
    """Bring the mask back by gather, where scatter is needed."""
    return p * kept.gather(-1, order)


def first_ranks(p, number):
    return (torch.arange(p.shape[-1]) < number).expand_as(p)


def cut_p_by(apply):
    """Return a cut by top_p whose mask of the sorted tokens goes back to the tokens in a wrong way."""

    def cut(p, top_p):
        ranked, order = p.sort(-1, descending=True)
        return p if top_p is None else apply(p, ranked, order, ranked.cumsum(-1) - ranked < top_p)

    return cut


def cut_k_by(apply):
    """Return a cut by top_k whose mask of the sorted tokens goes back to the tokens in a wrong way."""
    return lambda p, k: p if k is None else apply(p, *p.sort(-1, descending=True), first_ranks(p, k))


def sample_by_one_mask(apply):
    """Return a sampler that sorts once, finds what both cuts keep, and brings that back in a wrong way."""

    def sampler(logits, u, temperature=1.0, top_k=None, top_p=None):
        p = torch.softmax(logits / temperature, -1)
        ranked, order = p.sort(-1, descending=True)
        kept = first_ranks(p, p.shape[-1] if top_k is None else top_k)
        if top_p is not None:
            left = shares(ranked * kept)
            kept = kept & (left.cumsum(-1) - left < top_p)
        p = shares(apply(p, ranked, order, kept))
        return draw(p, u), p

    return sampler


IN_SORTED_ORDER = (
    "You make the mask for {} along the SORTED tokens, but use it on the tokens in their own order. Bring it back "
    "first: scatter it with the indices that sort returns."
)
LEFT_SORTED = (
    "{} the probabilities sorted, so that place j is no longer token j. Bring them back with the indices that sort "
    "returns: torch.zeros_like(p).scatter(-1, order, ranked)."
)
GATHERED = (
    "You bring the mask of the sorted tokens back by gather. gather READS at the indices that sort returns, and sorts "
    "once more; scatter WRITES there, and that is the way back."
)


def one_cut_alone(logits, u, temperature=1.0, top_k=None, top_p=None):
    return sample_by()(logits, u, temperature, top_k, None if top_k is not None else top_p)


def probabilities_before_the_cut(logits, u, temperature=1.0, top_k=None, top_p=None):
    tokens, _ = sample_by()(logits, u, temperature, top_k, top_p)
    return tokens, torch.softmax(logits / temperature, -1)


def drawn_before_the_cut(logits, u, temperature=1.0, top_k=None, top_p=None):
    _, p = sample_by()(logits, u, temperature, top_k, top_p)
    return draw(torch.softmax(logits / temperature, -1), u), p


def logarithms_returned(logits, u, temperature=1.0, top_k=None, top_p=None):
    tokens, p = sample_by()(logits, u, temperature, top_k, top_p)
    return tokens, p.log()


def keep_to_p_by_k(p, top_k):
    return p if top_k is None else p * (torch.arange(p.shape[-1]) < top_k)


for name, hint, changed in (
    (
        "equality_is_enough",
        "You stop where the running sum REACHES u. With u = 0 that is token 0, even if its probability is 0 because it "
        "was cut off. The sum must EXCEED u: right=True in searchsorted, or count running sums <= u.",
        sample_by(draw=draw_at_equality),
    ),
    (
        "threshold_for_each_token_counted",
        "You keep the tokens whose own probability reaches top_p, and nothing is left where none does. It is the SUM "
        "of the most probable ones that must reach it.",
        sample_by(cut_p=lambda p, top_p: p if top_p is None else p.where(p >= top_p, 0.0), draw=draw_by_counting),
    ),
    (
        "share_of_the_largest",
        "You keep tokens with at least top_p times the largest probability. That is another cut (min-p). Here the SUM "
        "of the most probable ones must reach top_p.",
        sample_by(cut_p=lambda p, top_p: p if top_p is None else p.where(p >= top_p * p.amax(-1, keepdim=True), 0.0)),
    ),
    (
        "both_cuts_in_the_order_of_sorting",
        IN_SORTED_ORDER.format("both cuts"),
        sample_by(cut_k=cut_k_by(on_its_own_order), cut_p=cut_p_by(on_its_own_order)),
    ),
    (
        "one_mask_in_the_order_of_sorting",
        IN_SORTED_ORDER.format("both cuts"),
        sample_by_one_mask(on_its_own_order),
    ),
    (
        "left_sorted_by_top_p",
        LEFT_SORTED.format("The cut by top_p leaves"),
        sample_by(cut_p=cut_p_by(left_sorted)),
    ),
    (
        "left_sorted_by_both_cuts",
        LEFT_SORTED.format("Your cuts leave"),
        sample_by(cut_k=cut_k_by(left_sorted), cut_p=cut_p_by(left_sorted)),
    ),
    ("one_mask_gathered", GATHERED, sample_by_one_mask(gathered)),
    (
        "u_ignored",
        "You draw with a generator of your own, as torch.multinomial does, and never look at u. All randomness is in "
        "u: the token is the first at which the running sum of p exceeds it.",
        sample_by(draw=lambda p, u: torch.multinomial(p, 1)[:, 0]),
    ),
    (
        "one_cut_alone",
        "Where both are given you use top_k alone: is there an elif? Both cut, one after the other.",
        one_cut_alone,
    ),
    (
        "k_plus_one",
        "You keep k + 1 tokens. The threshold is the k-th largest probability, at index k - 1.",
        sample_by(cut_k=lambda p, k: p if k is None else keep_k(p, k + 1)),
    ),
    (
        "first_k_of_the_vocabulary",
        "You keep the first k tokens of the vocabulary. The k most PROBABLE ones stay: topk.",
        sample_by(cut_k=keep_to_p_by_k),
    ),
    (
        "never_rescaled",
        "You rescale neither after top_k nor after top_p. What is kept must sum to 1 after each of the two.",
        sample_by(rescale=lambda p: p, between=lambda p: p),
    ),
    (
        "softmax_of_probabilities",
        "After the cut you take softmax of the probabilities: then the tokens that were cut off come back. Divide by "
        "the sum of what is left.",
        sample_by(rescale=lambda p: torch.softmax(p, -1)),
    ),
    (
        "softmax_over_the_batch",
        "Your softmax runs over the rows of the batch. It runs over the vocabulary, the last axis.",
        sample_by(lambda logits, tau: torch.softmax(logits / tau, 0)),
    ),
    (
        "root_of_the_temperature",
        "You divide by the root of the temperature. It is the temperature itself: logits / temperature.",
        sample_by(lambda logits, tau: torch.softmax(logits / sqrt(tau), -1)),
    ),
    (
        "probabilities_before_the_cut",
        "The tokens are right, but the probabilities are those before the cuts. Return those from which you drew.",
        probabilities_before_the_cut,
    ),
    (
        "drawn_before_the_cut",
        "The probabilities are right, but you draw from those before the cuts. Draw from what is left.",
        drawn_before_the_cut,
    ),
    (
        "logarithms_returned",
        "You return logarithms, or logits with minus infinity. Asked are the probabilities, 0 for what was cut off.",
        logarithms_returned,
    ),
    (
        "results_swapped",
        "The results have changed places: tokens first, then probabilities.",
        lambda *given: sample_by()(*given)[::-1],
    ),
    (
        "tokens_alone",
        "You return the tokens alone. The probabilities from which they were drawn are asked too.",
        lambda *given: sample_by()(*given)[0],
    ),
):
    sample.misconception(hint, name=name)(changed)


def draw_or_first(p, u):
    return (p.cumsum(-1) > u[:, None]).int().argmax(-1)


def draw_or_beyond(p, u):
    return torch.searchsorted(p.cumsum(-1), u[:, None].contiguous(), right=True)[:, 0]


def rescaled_by_top_p_alone(draw):
    """Return a sampler that rescales only in the branch for top_p."""
    return sample_by(
        between=lambda p: p,
        cut_p=lambda p, top_p: p if top_p is None else shares(keep_p(p, top_p)),
        rescale=lambda p: p,
        draw=draw,
    )


def rescaled_after_the_draw(draw):
    """Return a sampler that draws from what top_p has left, and rescales only what it returns."""

    def sampler(logits, u, temperature=1.0, top_k=None, top_p=None):
        p = keep_p(shares(keep_k(torch.softmax(logits / temperature, -1), top_k)), top_p)
        return draw(p, u), shares(p)

    return sampler


def softmax_along_axis_0(draw, rescale=shares):
    """Return a sampler with softmax along the batch, that rescales only where it cuts."""
    return sample_by(
        lambda logits, tau: torch.softmax(logits / tau, 0),
        cut_k=lambda p, k: p if k is None else rescale(keep_k(p, k)),
        cut_p=lambda p, top_p: p if top_p is None else rescale(keep_p(p, top_p)),
        between=lambda p: p,
        rescale=lambda p: p,
        draw=draw,
    )


def softmax_and_sums_along_axis_0(draw):
    return softmax_along_axis_0(draw, rescale=lambda p: p / p.sum(0))


def shares_of_the_batch(p):
    return p / p.sum()


def sample_with_defaults(temperature=1.0, top_k=None, top_p=None):
    """Return a sampler that is right but for its defaults."""

    def sampler(logits, u, temperature=temperature, top_k=top_k, top_p=top_p):
        return sample_by()(logits, u, temperature, top_k, top_p)

    return sampler


ENDS = (
    ("", "", draw),
    (
        "_then_the_first",
        " A u beyond the last running sum exceeds nothing, and argmax of a row without a single True is token 0.",
        draw_or_first,
    ),
    (
        "_then_beyond_the_last",
        " For a u beyond the last running sum searchsorted gives V, and tokens end at V - 1.",
        draw_or_beyond,
    ),
)
SUM_OF_ONE = "What you draw from does not sum to 1, so u may lie beyond the last running sum. "
for name, hint, sampler in (
    (
        "never_rescaled",
        SUM_OF_ONE + "Rescale what is left after EACH of the two cuts.",
        lambda draw: sample_by(rescale=lambda p: p, between=lambda p: p, draw=draw),
    ),
    (
        "not_rescaled",
        SUM_OF_ONE + "You rescale after top_k and not after top_p.",
        lambda draw: sample_by(rescale=lambda p: p, draw=draw),
    ),
    (
        "rescaled_by_top_p_alone",
        "You rescale after top_p and not after top_k. What top_k leaves must sum to 1 before top_p looks at it, and "
        "before you draw when there is no top_p.",
        rescaled_by_top_p_alone,
    ),
    (
        "rescaled_after_the_draw",
        "You return probabilities that sum to 1, but you draw before you rescale them. Rescale what the cut left, then "
        "take the running sum.",
        rescaled_after_the_draw,
    ),
    (
        "softmax_along_axis_0",
        "Your softmax runs along axis 0, the batch, so the rows do not sum to 1. It runs along the vocabulary, the "
        "last axis.",
        softmax_along_axis_0,
    ),
    (
        "softmax_and_sums_along_axis_0",
        "Softmax and the sums by which you rescale run along axis 0, the batch. Both run along the vocabulary, the "
        "last axis: each row of probabilities sums to 1.",
        softmax_and_sums_along_axis_0,
    ),
    (
        "divided_by_the_whole_sum",
        "You divide by the sum of ALL rows. Each row must sum to 1 by itself: p.sum(-1, keepdim=True).",
        lambda draw: sample_by(between=shares_of_the_batch, rescale=shares_of_the_batch, draw=draw),
    ),
):
    for end, fallback, rule in ENDS:
        if name + end not in ("never_rescaled", "not_rescaled"):  # with the last token for a large u: above
            sample.misconception(hint + fallback, name=name + end)(sampler(rule))


@sample.misconception(
    "p.sum(-1) has shape (B,), which does not line up with the rows of p, (B, V). Keep the axis: keepdim=True."
)
def axis_of_the_sum_lost(logits, u, temperature=1.0, top_k=None, top_p=None):
    return sample_by(rescale=lambda p: p / p.sum(-1))(logits, u, temperature, top_k, top_p)


NOTHING_LEFT = " Where both cuts together leave nothing, 0 / 0 gives nan."
for end, _, rule in ENDS:
    sample.misconception(IN_SORTED_ORDER.format("top_p") + NOTHING_LEFT, name="cut_in_the_order_of_sorting" + end)(
        sample_by(cut_p=cut_p_by(on_its_own_order), draw=rule)
    )
    sample.misconception(GATHERED + NOTHING_LEFT, name="mask_gathered" + end)(
        sample_by(cut_p=cut_p_by(gathered), draw=rule)
    )


for name, value in (("a_hundred", -100.0), ("a_thousand", -1e3), ("ten_thousand", -1e4)):
    sample.misconception(
        f"You set the logits of the tokens that go to a number such as {value:g}. That is no minus infinity: a token "
        "that was cut comes back where the others lie as low, and with u = 0 even where its probability is merely "
        "tiny. Use -torch.inf.",
        name=f"masked_with_minus_{name}",
    )(masked_logits(value))


NOTHING_IS_CUT = "None, which cuts nothing."
for setting, customary, hint in (
    ("temperature", (0.7, 0.8, 2.0), "1, which leaves the model's own probabilities."),
    ("top_k", (5, 10, 40, 50), NOTHING_IS_CUT),
    ("top_p", (0.9, 0.95), NOTHING_IS_CUT),
):
    for value in customary:
        sample.misconception(
            f"A call may leave out {setting}. Yours is then {value}; in the signature of the exercise it is {hint}",
            name=f"{setting}_of_{value}_left_out",
        )(sample_with_defaults(**{setting: value}))


@sample.always("top_k may be larger than the vocabulary; then all tokens are kept. Use min(top_k, V).")
def more_than_the_vocabulary(call, rng):
    logits = normal(rng, 2, 4)
    given = {"logits": logits, "u": tensor([0.3, 0.6]), "temperature": 0.9, "top_p": None}
    return close(call(**given, top_k=9)[1], call(**given, top_k=None)[1])


@sample.always(
    "top_p = 1 keeps all tokens. A loop that goes on until the sum EXCEEDS top_p runs out of tokens there: it is "
    "enough that the sum REACHES top_p, and rounding may leave it a little below."
)
def whole_share(call, rng):
    logits = normal(rng, 3, 6)
    given = {"logits": logits, "u": tensor([0.2, 0.5, 0.9]), "temperature": 1.1, "top_k": None}
    return close(call(**given, top_p=1.0)[1], call(**given, top_p=None)[1])


@sample.always(
    "Logits of 20000 give probabilities and not nan. exp overflows there: subtract the largest logit of the row first, "
    "or use torch.softmax."
)
def large_logits(call, rng):
    p = call(logits=tensor([[2e4, 1e4, 0]]), u=tensor([0.5]), temperature=1.0, top_k=None, top_p=None)[1]
    return close(p, tensor([[1, 0, 0]]))


@sample.always("Over many uniform numbers, tokens come as often as their probabilities say.")
def frequencies(call, rng):
    n, logits = 2000, normal(rng, 1, 5).expand(2000, 5).contiguous()
    tokens, p = call(logits=logits, u=(torch.arange(n) + 0.5) / n, temperature=0.8, top_k=4, top_p=0.9)
    return bool(((torch.bincount(tokens, minlength=5) / n - p[0]).abs() < 2 / n).all())


@sample.always("Adding a number to all logits of a row changes nothing.")
def shift_of_logits(call, rng):
    settings = {"u": torch.from_numpy(rng.uniform(size=3)), "temperature": 1.3, "top_k": 5, "top_p": 0.8}
    logits = normal(rng, 3, 7)
    a, b = call(logits=logits, **settings), call(logits=logits + 3, **settings)
    return torch.equal(a[0], b[0]) and close(a[1], b[1])


@sample.always(
    "A token that was cut has the probability 0, however low the logits of the others are. A number such as -100 or "
    "-10000 in its place is no minus infinity: use -torch.inf."
)
def cut_among_low_logits(call, rng):
    logits = normal(rng, 2, 5) - 9000
    given = {"logits": logits, "u": tensor([0.3, 0.9]), "temperature": 0.05}
    one = F.one_hot(logits.argmax(-1), 5).double()
    settings = ((1, None), (None, 1e-3))
    return all(close(call(**given, top_k=k, top_p=top_p)[1], one) for k, top_p in settings)


@sample.always(
    "A call may leave out top_p, top_k and the temperature. Without the cuts all tokens are kept, and without the "
    "temperature it is 1."
)
def settings_left_out(call, rng):
    given = {"logits": normal(rng, 2, 64), "u": torch.from_numpy(rng.uniform(size=2))}
    plain = call(**given, temperature=1.0, top_k=None, top_p=None)[1]
    given_less = (call(**given), call(**given, temperature=1.0), call(**given, temperature=1.0, top_k=None))
    return all(close(p, plain) for _, p in given_less)


# 6. generate_with_cache


def run_counted(candidate, prompt, weights, n_heads, n_new):
    """Write, and count the multiplications that PyTorch does: without a cache there are far too many."""

    def multiplications(name, factors, result):
        if name.startswith("_scaled_dot_product") and "backward" not in name:
            q, k, v = factors[:3]
            return q.numel() // q.shape[-1] * k.shape[-2] * (q.shape[-1] + v.shape[-1])
        if name in ("mm", "bmm", "mv", "dot", "vdot", "addmm", "addmv", "addbmm", "baddbmm"):
            left, right = factors[-2:]
            return left.numel() * (right.shape[-1] if right.ndim > 1 else 1)
        if name == "mul" and len(factors) == 2 and result.numel() > min(factor.numel() for factor in factors):
            return result.numel()  # perhaps a product of matrices in disguise: (..., k, 1) times (k, n), then a sum
        return 0

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        """Sees the products themselves, whichever function of PyTorch asked for them."""

        total = 0

        @classmethod
        def _should_skip_dynamo(cls):
            return False  # the compiler is not used here, and loading it takes seconds

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), "CompositeImplicitAutograd"):
                with self:  # in inference mode a function comes whole: look at its parts
                    return function.decompose(*args, **(kwargs or {}))
            result = function(*args, **(kwargs or {}))
            name = function.overloadpacket.__name__.rstrip("_")
            self.total += multiplications(name, [item for item in args if isinstance(item, torch.Tensor)], result)
            return result

    with Counting() as counting:
        result = candidate(prompt, weights, n_heads, n_new)
    tokens, logits = result if isinstance(result, tuple | list) and len(result) == 2 else (result, None)
    B, T = prompt.shape
    matrices = sum(W.numel() for block in weights["blocks"] for W in block.values() if W.ndim == 2)
    again = B * sum(T + i for i in range(n_new))  # rows that pass the network if nothing is kept
    once = B * (T + n_new - 1)  # and if all is kept
    return {
        "tokens": tokens,
        "logits": logits,
        "less than half of the work without a cache": counting.total < again * (matrices + weights["W_E"].numel()) / 2,
        "products that the check can count": counting.total > once * matrices / 2,
    }


@exercise(
    "transformer.generate_with_cache",
    reference=transformer.generate_with_cache,
    points=6,
    run=run_counted,
    forbidden=WHOLE_LAYERS,
)
def generate_with_cache(rng):
    """Write the likeliest tokens one by one; keys and values of the past are kept, not computed again."""
    fixed = np.random.default_rng(5)
    yield worked(
        prompt=torch.tensor([[1, 4, 2], [0, 3, 3]]), weights=gpt_weights(fixed, 5, 12, 4, 7, 2), n_heads=2, n_new=6
    )
    for B, T, V, T_max, C, D, N, L, n in [(2, 4, 9, 14, 6, 5, 3, 2, 9), (3, 2, 7, 12, 8, 10, 2, 3, 7)]:
        weights = gpt_weights(rng, V, T_max, C, D, L)
        yield random(prompt=tokens_of(rng, V, B, T), weights=weights, n_heads=N, n_new=n)
    yield edge(prompt=tokens_of(rng, 5, 2, 1), weights=gpt_weights(rng, 5, 8, 4, 8, 2), n_heads=2, n_new=8)
    yield edge(prompt=tokens_of(rng, 5, 1, 2), weights=gpt_weights(rng, 5, 7, 4, 8, 1), n_heads=1, n_new=6)
    large = far_from_themselves(gpt_weights(fixed, 5, 12, 4, 8, 2))
    yield edge(prompt=torch.tensor([[4, 0, 2], [1, 2, 0]]), weights=large, n_heads=2, n_new=8)


def generate_by(
    place=lambda T, step: T + step - 1,
    first_place=0,
    keep=lambda old, new: torch.cat((old, new), dim=-2),
    first_mask=True,
    newest_mask=lambda S: torch.ones(1, S, dtype=torch.bool),
    slot=lambda layer: layer,
    keep_v=None,
    result=lambda prompt, new, logits: (torch.cat((prompt, new), 1), logits),
    last=lambda x, weights: norm(x, weights["gain"], weights["shift"]),
    feeds=lambda chosen, before: chosen,
    first=lambda prompt: prompt,
    choose=lambda row: row.argmax(-1, keepdim=True),
    shown=lambda row: row,
    read=norm,
    scale=lambda C, H: sqrt(H),
    hidden=-torch.inf,
):
    """Return generation with a cache and one thing changed."""
    keep_v = keep_v or keep

    def generate(prompt, weights, n_heads, n_new):
        cache: dict = {}
        new, rows = [], []
        newest, T = first(prompt), first(prompt).shape[1]
        for step in range(n_new):
            n = newest.shape[1]
            begin = first_place if step == 0 else place(T, step)
            x = weights["W_E"][newest] + weights["W_P"][begin : begin + n]
            for layer, block in enumerate(weights["blocks"]):
                h = read(x, block["gain_1"], block["shift_1"])
                q, k, v = (split(h @ block[name], n_heads) for name in ("W_Q", "W_K", "W_V"))
                if slot(layer) in cache:
                    old_k, old_v = cache[slot(layer)]
                    k, v = keep(old_k, k), keep_v(old_v, v)
                cache[slot(layer)] = k, v
                S = k.shape[-2]
                see = torch.ones(n, S, dtype=torch.bool)
                if step > 0:
                    see = newest_mask(S)
                elif first_mask:
                    see = see.tril(S - n)
                scores = (q @ k.mT / scale(x.shape[-1], q.shape[-1])).masked_fill(~see, hidden)
                x = x + merge(torch.softmax(scores, -1) @ v) @ block["W_O"]
                x = x + feed(norm(x, block["gain_2"], block["shift_2"]), block)
            row = (last(x, weights) @ weights["W_E"].mT)[:, -1]
            chosen = choose(row)
            newest = feeds(chosen, newest[:, -1:])
            new.append(chosen)
            rows.append(shown(row))
        return result(prompt, torch.cat(new, 1), torch.stack(rows, 1))

    return generate


def without_cache(forward=None):
    forward = forward or forward_by()

    def generate(prompt, weights, n_heads, n_new):
        tokens, rows = prompt, []
        for _ in range(n_new):
            row = forward(tokens, weights, n_heads)[:, -1]
            tokens = torch.cat((tokens, row.argmax(-1, keepdim=True)), 1)
            rows.append(row)
        return tokens, torch.stack(rows, 1)

    return generate


def newest_alone(prompt, weights, n_heads, n_new):
    """Feed the newest token only, at its right place, with no past."""
    tokens, rows = prompt, []
    for step in range(n_new):
        fed = prompt if step == 0 else tokens[:, -1:]
        begin = 0 if step == 0 else tokens.shape[1] - 1
        x = weights["W_E"][fed] + weights["W_P"][begin : begin + fed.shape[1]]
        for block in weights["blocks"]:
            x = right_block(x, block, n_heads)
        row = (norm(x, weights["gain"], weights["shift"]) @ weights["W_E"].mT)[:, -1]
        tokens = torch.cat((tokens, row.argmax(-1, keepdim=True)), 1)
        rows.append(row)
    return tokens, torch.stack(rows, 1)


def first_key_alone(S):
    return torch.ones(1, S, dtype=torch.bool).tril()


def itself_hidden(S):
    return torch.ones(1, S, dtype=torch.bool).tril(S - 2)


PLACES = (
    "The places are wrong. The newest token stands behind all older ones: with a prompt of T tokens, new token number "
    "i "
    "(from 0) gets row T + i of W_P when it is fed back. "
)
for name, hint, changed in (
    (
        "places_restart",
        PLACES + "Yours gets row 0 again and again, because one token is fed at a time.",
        generate_by(place=lambda T, step: 0),
    ),
    ("place_stands_still", PLACES + "Yours stays at the end of the prompt.", generate_by(place=lambda T, step: T)),
    (
        "place_one_late",
        PLACES + "Yours is one too far, so one row is skipped.",
        generate_by(place=lambda T, step: T + step),
    ),
    (
        "place_from_the_end_of_the_prompt",
        PLACES + "Yours counts new tokens alone, from 0.",
        generate_by(place=lambda T, step: step - 1),
    ),
    (
        "place_of_the_last_one",
        PLACES + "Yours repeats the place of the token before it.",
        generate_by(place=lambda T, step: T + step - 2),
    ),
    (
        "nothing_kept",
        "You compute everything again for each token: the results are right, but the work grows with the "
        "square of the length. Keep the keys and values of every block and feed the newest token alone.",
        without_cache(),
    ),
    (
        "no_past",
        "The newest token sees no past at all. Feed it alone, but let it attend to the kept keys and values, too.",
        newest_alone,
    ),
    (
        "prompt_forgotten",
        "After its first step your cache holds the newest position only: append to what is there, do not replace it.",
        generate_by(keep=lambda old, new: torch.cat((old[..., -1:, :], new), dim=-2)[..., -2:, :]),
    ),
    (
        "prepended",
        "You put the new keys in front of the old ones but the new values behind. Key j and value j belong "
        "to the same position.",
        generate_by(
            keep=lambda old, new: torch.cat((new, old), dim=-2), keep_v=lambda old, new: torch.cat((old, new), dim=-2)
        ),
    ),
    (
        "one_cache_for_all_blocks",
        "All blocks share one cache. Each block has keys and values of its own.",
        generate_by(slot=lambda layer: 0),
    ),
    (
        "prompt_without_a_mask",
        "The positions of the prompt see one another's future. The first pass needs the causal mask; "
        "later passes have one query, which may see everything kept.",
        generate_by(first_mask=False),
    ),
    ("prompt_masked_weakly", FUTURE_BY_A_WEAK_MASK, generate_by(hidden=-100.0)),
    (
        "aligned_at_the_start",
        "Your mask lets the newest token see the first key only: it aligns the first query with the "
        "first key, as is_causal=True does in PyTorch when there are fewer queries than keys. One query that is the "
        "newest "
        "position may see all keys.",
        generate_by(newest_mask=first_key_alone),
    ),
    (
        "itself_hidden",
        "The newest token does not see itself. Append its key and value before it attends.",
        generate_by(newest_mask=itself_hidden),
    ),
    (
        "new_tokens_alone",
        "You return the new tokens alone. The prompt stands in front: shape (B, T + n_new).",
        generate_by(result=lambda prompt, new, logits: (new, logits)),
    ),
    ("no_norm_at_the_end", "The last norm is missing before the unembedding.", generate_by(last=lambda x, weights: x)),
    (
        "old_token_fed",
        "You feed the token before the one that was chosen. The chosen one comes next.",
        generate_by(feeds=lambda chosen, before: before),
    ),
):
    generate_with_cache.misconception(hint, name=name)(changed)


def prompt_kept_alone(prompt, weights, n_heads, n_new):
    T = prompt.shape[1]
    return generate_by(keep=lambda old, new: torch.cat((old[..., :T, :], new), dim=-2))(prompt, weights, n_heads, n_new)


def newest_as_a_text(prompt, weights, n_heads, n_new):
    """Feed the newest token only, as a text of its own: at place 0, with no past."""
    tokens, rows = prompt, []
    for step in range(n_new):
        row = forward_by()(prompt if step == 0 else tokens[:, -1:], weights, n_heads)[:, -1]
        tokens = torch.cat((tokens, row.argmax(-1, keepdim=True)), 1)
        rows.append(row)
    return tokens, torch.stack(rows, 1)


def everything_fed_again(prompt, weights, n_heads, n_new):
    """Feed the whole text in every step, and keep the keys of all passes."""
    cache: dict = {}
    tokens, rows = prompt, []
    for _ in range(n_new):
        T = tokens.shape[1]
        x = weights["W_E"][tokens] + weights["W_P"][:T]
        for layer, block in enumerate(weights["blocks"]):
            h = norm(x, block["gain_1"], block["shift_1"])
            q, k, v = (split(h @ block[name], n_heads) for name in ("W_Q", "W_K", "W_V"))
            if layer in cache:
                k, v = torch.cat((cache[layer][0], k), dim=-2), torch.cat((cache[layer][1], v), dim=-2)
            cache[layer] = k, v
            S = k.shape[-2]
            see = torch.ones(T, S, dtype=torch.bool).tril(S - T)
            x = x + merge(masked_softmax(q @ k.mT / sqrt(q.shape[-1]), see) @ v) @ block["W_O"]
            x = x + feed(norm(x, block["gain_2"], block["shift_2"]), block)
        row = (norm(x, weights["gain"], weights["shift"]) @ weights["W_E"].mT)[:, -1]
        tokens = torch.cat((tokens, row.argmax(-1, keepdim=True)), 1)
        rows.append(row)
    return tokens, torch.stack(rows, 1)


def logits_of_all_positions(prompt, weights, n_heads, n_new):
    tokens, logits = generate_by()(prompt, weights, n_heads, n_new)
    first = forward_by()(prompt, weights, n_heads)
    return tokens, torch.cat((first, logits[:, 1:]), dim=1)


for name, hint, changed in (
    (
        "place_from_one",
        PLACES + "Yours counts new tokens alone, from 1.",
        generate_by(place=lambda T, step: step),
    ),
    (
        "newest_as_a_text",
        "You feed the newest token as a text of its own: it stands at place 0 and has no past. Give it its place, and "
        "let it attend to the kept keys and values.",
        newest_as_a_text,
    ),
    (
        "everything_fed_again",
        "You feed the WHOLE text in every step although the past is in the cache: each position then stands in it "
        "several times. After the prompt feed the newest token alone.",
        everything_fed_again,
    ),
    (
        "prompt_kept_alone",
        "Your cache holds the prompt and never grows: a new token sees the prompt and itself, but not the new tokens "
        "between. Store what you have appended.",
        prompt_kept_alone,
    ),
    (
        "prompt_not_read",
        "You begin with the last token of the prompt and never read the others. The first pass takes the whole prompt: "
        "its keys and values are the past.",
        generate_by(
            first=lambda prompt: prompt[:, -1:],
        ),
    ),
    (
        "first_text_decides",
        "The choice of the first text is written into all. Each text of the batch has its own likeliest token: argmax "
        "along the last axis.",
        generate_by(choose=lambda row: row.argmax(-1, keepdim=True)[:1].expand(len(row), 1)),
    ),
    (
        "prompt_twice",
        "The prompt stands there twice: your list of tokens has it already, and you put it in front again.",
        generate_by(result=lambda prompt, new, logits: (torch.cat((prompt, prompt, new), 1), logits)),
    ),
    (
        "last_token_missing",
        "The last new token is missing: you collect what you FEED, and the last one is never fed. Collect what you "
        "choose.",
        generate_by(result=lambda prompt, new, logits: (torch.cat((prompt, new[:, :-1]), 1), logits)),
    ),
    (
        "one_step_too_few",
        "You write one token too few. The pass over the prompt gives the FIRST new token; n_new - 1 passes follow.",
        generate_by(
            result=lambda prompt, new, logits: (torch.cat((prompt, new[:, :-1]), 1), logits[:, :-1]),
        ),
    ),
    (
        "probabilities",
        "You return probabilities. Asked are the logits, before softmax.",
        generate_by(shown=lambda row: torch.softmax(row, -1)),
    ),
    (
        "log_probabilities",
        "You return logarithms of probabilities. Asked are the logits, before softmax.",
        generate_by(shown=lambda row: torch.log_softmax(row, -1)),
    ),
    (
        "tokens_alone",
        "You return the tokens alone. The logits from which the new ones were chosen are asked too: (B, n_new, V).",
        generate_by(result=lambda prompt, new, logits: torch.cat((prompt, new), 1)),
    ),
    (
        "results_swapped",
        "The results have changed places: tokens first, then logits.",
        generate_by(result=lambda prompt, new, logits: (logits, torch.cat((prompt, new), 1))),
    ),
    (
        "last_logits_alone",
        "You return the logits of the last step alone. One row for each new token is asked: (B, n_new, V).",
        generate_by(result=lambda prompt, new, logits: (torch.cat((prompt, new), 1), logits[:, -1])),
    ),
    (
        "steps_before_the_batch",
        "Your logits have the axes (n_new, B, V). The batch stands in front: stack along axis 1.",
        generate_by(result=lambda prompt, new, logits: (torch.cat((prompt, new), 1), logits.transpose(0, 1))),
    ),
    (
        "logits_of_all_positions",
        "You return the logits of the whole prompt as well. Only the rows from which a new token was chosen are asked: "
        "the last one of each pass.",
        logits_of_all_positions,
    ),
    (
        "stream_not_normed",
        "Attention reads the stream as it is. It must read norm_1 of it, as in exercise 2, and keep keys and values of "
        "that.",
        generate_by(read=lambda x, gain, shift: x),
    ),
    (
        "scores_not_scaled",
        "The scores are not divided by sqrt(C / N).",
        generate_by(scale=lambda C, H: 1.0),
    ),
    (
        "scores_divided_by_the_width",
        "You divide the scores by sqrt(C). Each head has C / N channels: divide by sqrt(C / N).",
        generate_by(scale=lambda C, H: sqrt(C)),
    ),
):
    generate_with_cache.misconception(hint, name=name)(changed)


def one_more(result):
    """Write one token more than asked, and let ``result`` say what of it is returned."""

    def generate(prompt, weights, n_heads, n_new):
        return result(*generate_by()(prompt, weights, n_heads, n_new + 1), n_new)

    return generate


def end_of_the_prompt_twice(place):
    """Return generation that reads the whole prompt, then begins by feeding its last token once more."""

    def generate(prompt, weights, n_heads, n_new):
        first = iter([True])
        write = generate_by(feeds=lambda chosen, before: before if next(first, False) else chosen, place=place)
        tokens, logits = write(prompt, weights, n_heads, n_new + 1)
        return torch.cat((prompt, tokens[:, prompt.shape[1] + 1 :]), 1), logits[:, 1:]

    return generate


def by_numpy(a, b):
    return torch.from_numpy(a.numpy() @ b.numpy())


def attend_by_numpy(x, block, n_heads):
    q, k, v = (split(by_numpy(x, block[name]), n_heads) for name in ("W_Q", "W_K", "W_V"))
    seen = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()
    heads = by_numpy(masked_softmax(by_numpy(q, k.mT) / sqrt(q.shape[-1]), seen), v)
    return by_numpy(merge(heads), block["W_O"])


def feed_by_numpy(x, block):
    return by_numpy(F.gelu(by_numpy(x, block["W_1"]) + block["b_1"]), block["W_2"]) + block["b_2"]


ALREADY_READ = (
    "You read the whole prompt and then feed its last token once more. The pass over the prompt gives the logits of "
    "the first new token: choose from them. "
)
TOO_MANY = "The pass over the prompt already gives the FIRST new token, so n_new - 1 passes follow. "
for name, hint, changed in (
    (
        "one_too_many",
        "You write one token too many. " + TOO_MANY,
        one_more(lambda tokens, logits, n_new: (tokens, logits)),
    ),
    (
        "one_token_too_many",
        "Your text has one token too many, the logits are right in number. Are tokens still appended after the last "
        "row of logits? " + TOO_MANY,
        one_more(lambda tokens, logits, n_new: (tokens, logits[:, :-1])),
    ),
    (
        "one_row_too_many",
        "Your logits have one row too many: the last new token is chosen and never fed, so nothing follows from it. "
        + TOO_MANY,
        one_more(lambda tokens, logits, n_new: (tokens[:, :-1], logits)),
    ),
    (
        "logits_one_late",
        "Your logits are those AFTER each new token. Asked are those from which it was chosen: the first row is that "
        "of the last position of the prompt.",
        one_more(lambda tokens, logits, n_new: (tokens[:, :-1], logits[:, 1:])),
    ),
    (
        "places_from_one",
        PLACES + "Yours are all one too far, those of the prompt too: the first of all places is row 0.",
        generate_by(first_place=1, place=lambda T, step: T + step),
    ),
    (
        "prompt_from_one",
        "The places are wrong. Those of the prompt count from 0: its first token gets row 0 of W_P, and yours gets row "
        "1.",
        generate_by(first_place=1),
    ),
    (
        "end_of_the_prompt_twice",
        ALREADY_READ + "It then stands in the cache twice, at one place.",
        end_of_the_prompt_twice(lambda T, step: T + step - 2),
    ),
    (
        "end_of_the_prompt_twice_in_a_row",
        ALREADY_READ + "It then stands in the cache twice, the second time one place further.",
        end_of_the_prompt_twice(lambda T, step: T + step - 1),
    ),
    (
        "products_out_of_sight",
        "The check does not see your matrix products, so it cannot tell whether you keep anything. It counts those of "
        "PyTorch: write them as x @ W with tensors, not with NumPy, numbers of Python or threads of your own.",
        without_cache(
            forward_by(block_by(attend=attend_by_numpy, feed=feed_by_numpy), read=lambda x, W_E: by_numpy(x, W_E.mT))
        ),
    ),
):
    generate_with_cache.misconception(hint.strip(), name=name)(changed)


@generate_with_cache.always("Each new token is the likeliest by its logits.")
def likeliest_by_logits(call, rng):
    result = call(prompt=tokens_of(rng, 6, 2, 3), weights=gpt_weights(rng, 6, 9, 4, 6, 2), n_heads=2, n_new=5)
    return torch.equal(result["tokens"][:, 3:], result["logits"].argmax(-1))


@generate_with_cache.always("Writing on from what was written gives the same as writing at once.")
def in_two_steps(call, rng):
    prompt, weights = tokens_of(rng, 6, 2, 3), gpt_weights(rng, 6, 12, 4, 6, 2)
    once = call(prompt=prompt, weights=weights, n_heads=2, n_new=8)
    first = call(prompt=prompt, weights=weights, n_heads=2, n_new=4)
    then = call(prompt=first["tokens"], weights=weights, n_heads=2, n_new=4)
    return torch.equal(then["tokens"], once["tokens"]) and close(then["logits"], once["logits"][:, 4:])


@generate_with_cache.always(
    "However large the scores are, a text that is read at once gives the same as one that is read token by token. "
    + WEAK_MASK
)
def read_at_once_with_large_scores(call, rng):
    prompt, weights = tokens_of(rng, 6, 2, 1), far_from_themselves(gpt_weights(rng, 6, 12, 4, 6, 2))
    once = call(prompt=prompt, weights=weights, n_heads=2, n_new=8)
    then = call(prompt=once["tokens"][:, :5], weights=weights, n_heads=2, n_new=4)
    return torch.allclose(then["logits"], once["logits"][:, 4:], rtol=1e-4, atol=1e-4)


# 7. count_flops_and_parameters


@exercise(
    "transformer.count_flops_and_parameters",
    reference=transformer.count_flops_and_parameters,
    points=6,
    rtol=0.0,
    atol=0.0,
)
def count_flops_and_parameters(rng):
    """Count what one pass over a batch costs, and how many numbers are learned."""
    yield worked(V=11, C=6, L=2, T_max=9, T=5, B=3)
    yield worked(V=50257, C=768, L=12, T_max=1024, T=1000, B=1)
    for _ in range(3):
        V, L, B = (int(n) for n in rng.integers([20, 2, 2], [90, 7, 9]))
        C, T = 4 * int(rng.integers(3, 30)), int(rng.integers(5, 60))
        yield random(V=V, C=C, L=L, T_max=T + int(rng.integers(1, 40)), T=T, B=B)
    yield edge(V=1, C=1, L=1, T_max=1, T=1, B=1)
    yield edge(V=7, C=4, L=0, T_max=8, T=8, B=2)


def count_by(
    per_operation=2,
    maps=4,
    feed=8,
    pairs=2,
    vocabulary=1,
    lookup=0,
    half=1,
    square=True,
    batch=True,
    embedding=1,
    places=1,
    norms=4,
    biases=5,
    last=2,
    attention_biases=0,
    blocks=True,
):
    """Both counts with one term changed."""

    def count(V, C, L, T_max, T, B):
        layers = L if blocks else 1
        products = layers * (T * (maps + feed) * C**2 + pairs * T * (T if square else 1) * C // half)
        products += vocabulary * T * C * V + lookup * T * C * V
        flops = per_operation * (B if batch else 1) * products
        block = (maps + feed) * C**2 + (norms + biases + attention_biases) * C
        return flops, embedding * V * C + places * T_max * C + layers * block + last * C

    return count


for name, hint, changed in (
    (
        "one_for_a_pair",
        "You count a multiplication with its addition as one. Here both count: 2 operations for each pair "
        "of numbers in a product.",
        count_by(per_operation=1),
    ),
    (
        "no_scores",
        "The products inside attention are missing: the scores Q K^T and the mixture A V, T^2 C pairs each, for "
        "all heads of a block together.",
        count_by(pairs=0),
    ),
    (
        "half_of_the_pairs",
        "You count T^2 C pairs in each block where there are 2 T^2 C. Attention has two products over T x T, scores "
        "and mixture. And the mask saves nothing: a matrix product computes all pairs, and here all are counted.",
        count_by(half=2),
    ),
    (
        "pairs_not_squared",
        "Each of the T queries meets all T keys: the products inside attention grow with T^2.",
        count_by(square=False),
    ),
    (
        "no_unembedding",
        "The unembedding is missing: every row of C channels is multiplied by V columns.",
        count_by(vocabulary=0),
    ),
    (
        "lookup_counted",
        "You count the embedding as a product with one-hot rows. Looking a row up multiplies nothing.",
        count_by(lookup=1),
    ),
    ("batch_forgotten", "The batch is missing in the operations: every text is worked on.", count_by(batch=False)),
    ("one_block", "You count one block. There are L of them, each with weights of its own.", count_by(blocks=False)),
    (
        "one_block_in_the_operations",
        "The parameters are right, but in the operations you count one block. There are L of them: multiply by L.",
        lambda *sizes: (count_by(blocks=False)(*sizes)[0], count_by()(*sizes)[1]),
    ),
    (
        "one_block_in_the_parameters",
        "The operations are right, but in the parameters you count one block. There are L of them, each with weights "
        "of its own: multiply by L.",
        lambda *sizes: (count_by()(*sizes)[0], count_by(blocks=False)(*sizes)[1]),
    ),
    (
        "three_maps",
        "A block has four C x C maps, for queries, keys, values and the output: you count three.",
        count_by(maps=3),
    ),
    (
        "feed_of_one_matrix",
        "4 C^2 numbers are missing in each block, and their products. Either you count one matrix of the feed-forward "
        "network, which has two, C x 4C and 4C x C; or you left out the four C x C maps of attention.",
        count_by(feed=4),
    ),
    (
        "embedding_twice",
        "You count a second V x C matrix for the unembedding. It is tied: the same numbers are used twice, "
        "and learned once.",
        count_by(embedding=2),
    ),
    ("no_places_counted", "The table of places is learned, too: T_max rows of C numbers.", count_by(places=0)),
    (
        "norms_forgotten",
        "The norms are missing in the parameters: each of the two in a block has a gain and a shift, and so "
        "has the last one.",
        count_by(norms=0, last=0),
    ),
    (
        "last_norm_forgotten",
        "The last norm is missing in the parameters: a gain and a shift, 2 C numbers.",
        count_by(last=0),
    ),
    ("gains_alone", "A norm has a gain AND a shift: 2 C numbers each.", count_by(norms=2, last=1)),
    (
        "biases_forgotten",
        "The biases of the feed-forward network are missing: 4 C and C numbers in each block.",
        count_by(biases=0),
    ),
    (
        "biases_in_attention",
        "You count 4 C numbers too many in each block, as many as biases for the four maps of attention would have. "
        "GPT-2 has those; the model of this notebook does not.",
        count_by(attention_biases=4),
    ),
    (
        "matrices_alone",
        "You count the matrices alone. Gains, shifts and biases are learned, too: 9 C numbers in a block and "
        "2 C at the end.",
        count_by(norms=0, biases=0, last=0),
    ),
    (
        "places_used",
        "You count T rows of places. The table has T_max rows, however short the text is.",
        lambda V, C, L, T_max, T, B: count_by()(V, C, L, T, T, B),
    ),
    (
        "flops_of_six",
        "You multiply by 6, which is the rule of thumb for training: forward and backward together. One "
        "forward pass is 2 for each weight.",
        count_by(per_operation=6),
    ),
    (
        "two_for_each_parameter",
        "2 operations for each parameter and token is a rule of thumb. It counts tables that are "
        "looked up and forgets the T^2 products of attention.",
        lambda V, C, L, T_max, T, B: (
            2 * B * T * count_by()(V, C, L, T_max, T, B)[1],
            count_by()(V, C, L, T_max, T, B)[1],
        ),
    ),
    (
        "results_swapped",
        "The results have changed places: operations first, parameters second.",
        lambda V, C, L, T_max, T, B: count_by()(V, C, L, T_max, T, B)[::-1],
    ),
):
    count_flops_and_parameters.misconception(hint, name=name)(changed)


def changed_by(flops=lambda n, V, C, L, T_max, T, B: n, parameters=lambda n, V, C, L, T_max, T, B: n):
    """Both counts with something added to one of them, or put in its place."""

    def count(V, C, L, T_max, T, B):
        sizes = (V, C, L, T_max, T, B)
        right = count_by()(*sizes)
        return flops(right[0], *sizes), parameters(right[1], *sizes)

    return count


def count_by_place(unembed_per_block=False, tables_per_block=lambda V, C, T_max: 0):
    """Both counts with things multiplied by L that stand outside the blocks."""
    return changed_by(
        lambda n, V, C, L, T_max, T, B: n + unembed_per_block * (L - 1) * 2 * B * T * C * V,
        lambda n, V, C, L, T_max, T, B: n + (L - 1) * tables_per_block(V, C, T_max),
    )


WIDE = "The feed-forward network has D = 4 C hidden units: two matrices of 4 C^2 numbers, biases of 4 C and C. "
TWO_MATRICES = "two matrices of 4 C^2 numbers each"
OUTSIDE = (
    "The embedding, which is the unembedding too, stands outside the blocks: it is used at the ends, and counts once. "
)


def additions_between(n, V, C, L, T_max, T, B):
    """Operations if a sum of k terms has k - 1 additions."""
    maps = 4 * T * C * (2 * C - 1) + T * 4 * C * (2 * C - 1) + T * C * (8 * C - 1)
    pairs = T * T * (2 * C - 1) + T * C * (2 * T - 1)
    return B * (L * (maps + pairs) + T * V * (2 * C - 1))


for name, hint, changed in (
    (
        "last_logits_alone",
        "You count the unembedding for one position. The logits of all T positions are computed: T C V pairs.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 2 * B * (T - 1) * C * V),
    ),
    (
        "operations_for_all_places",
        "You count operations for T_max positions. The text has T of them; the table of places is longer, the work is "
        "not.",
        lambda V, C, L, T_max, T, B: (count_by()(V, C, L, T_max, T_max, B)[0], count_by()(V, C, L, T_max, T, B)[1]),
    ),
    (
        "additions_between_terms",
        "You count k multiplications and k - 1 additions. The rule here is simpler, and the usual one: 2 m k n.",
        changed_by(flops=additions_between),
    ),
    (
        "masked_pairs_left_out",
        "You count T (T + 1) / 2 pairs, those that the mask shows. A matrix product computes all T^2, and here all are "
        "counted.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 2 * B * L * T * (T - 1) * C),
    ),
    (
        "pairs_without_channels",
        "Each of the T^2 pairs in attention is a product of vectors: the scores cost T^2 C, not T^2, and the mixture "
        "as much.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 4 * B * L * T * T * (C - 1)),
    ),
    (
        "texts_attend_to_one_another",
        "You count (B T)^2 pairs in attention, as if all texts were one. Each text attends to itself: B T^2.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n + 4 * L * B * (B - 1) * T * T * C),
    ),
    (
        "output_map_costs_nothing",
        "The parameters are right, but in the operations one of the four C x C maps is missing: queries, keys, values "
        "and the output.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 2 * B * L * T * C * C),
    ),
    (
        "additions_of_biases_counted",
        "You count the additions of biases. The rule counts matrix products alone.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n + B * L * T * 5 * C),
    ),
    (
        "batch_in_the_parameters",
        "You multiply the parameters by the batch. All texts use the same weights.",
        changed_by(parameters=lambda n, V, C, L, T_max, T, B: n * B),
    ),
    (
        "narrow_feed",
        WIDE + "Yours is as wide as the stream, C.",
        count_by(feed=2, biases=2),
    ),
    (
        "narrow_feed_in_the_operations",
        "The parameters are right, but in the operations your feed-forward network has C hidden units. " + WIDE.strip(),
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 12 * B * L * T * C * C),
    ),
    (
        "narrow_feed_in_the_parameters",
        "The operations are right, but in the parameters your feed-forward network has C hidden units. " + WIDE.strip(),
        changed_by(parameters=lambda n, V, C, L, T_max, T, B: n - L * (6 * C * C + 3 * C)),
    ),
    (
        "narrow_matrices",
        WIDE + "Your first bias has 4 C numbers, and your matrices are C x C.",
        count_by(feed=2),
    ),
    ("narrow_bias", WIDE + "Your matrices are right, and your first bias has C numbers.", count_by(biases=2)),
    (
        "gated_feed",
        "You count three matrices in the feed-forward network. Newer models have a third one, for a gate; GPT has two.",
        count_by(feed=12),
    ),
    (
        "feed_forgotten",
        "The feed-forward network is missing in both counts: " + TWO_MATRICES + " and two biases.",
        count_by(feed=0, biases=0),
    ),
    (
        "matrices_of_the_feed_forgotten",
        "You count the biases of the feed-forward network, but its matrices are missing in both counts: "
        + TWO_MATRICES
        + ".",
        count_by(feed=0),
    ),
    (
        "feed_forgotten_in_the_operations",
        "The parameters are right, but the feed-forward network is missing in the operations: each of the T rows is "
        "multiplied by both of its matrices.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n - 16 * B * L * T * C * C),
    ),
    (
        "feed_forgotten_in_the_parameters",
        "The operations are right, but the feed-forward network is missing in the parameters: "
        + TWO_MATRICES
        + " and two biases.",
        changed_by(parameters=lambda n, V, C, L, T_max, T, B: n - L * (8 * C * C + 5 * C)),
    ),
    (
        "attention_forgotten",
        "Attention is missing: its four C x C maps in both counts, and its two products over all T^2 pairs in the "
        "operations.",
        count_by(maps=0, pairs=0),
    ),
    (
        "operations_of_one_token",
        "You count the operations for one token. A text has T of them, and each passes the whole network.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n // T),
    ),
    (
        "pairs_with_all_places",
        "In attention you count T T_max pairs. The keys are the T tokens of the text, however long the table of places "
        "is.",
        changed_by(flops=lambda n, V, C, L, T_max, T, B: n + 4 * B * L * T * (T_max - T) * C),
    ),
    (
        "unembedding_in_each_block",
        OUTSIDE + "You multiply its operations by L; the parameters are right.",
        count_by_place(unembed_per_block=True),
    ),
    (
        "embedding_in_each_block",
        OUTSIDE + "You multiply its numbers by L; the operations are right.",
        count_by_place(tables_per_block=lambda V, C, T_max: V * C),
    ),
    (
        "unembedding_and_embedding_in_each_block",
        OUTSIDE + "You multiply both its operations and its numbers by L.",
        count_by_place(True, lambda V, C, T_max: V * C),
    ),
    (
        "matrix_of_its_own_in_each_block",
        OUTSIDE + "You count one more V x C matrix in each block; the operations are right.",
        changed_by(parameters=lambda n, V, C, L, T_max, T, B: n + L * V * C),
    ),
    (
        "unembedding_of_its_own_in_each_block",
        OUTSIDE + "You count an unembedding with a matrix of its own in each block, in both counts.",
        changed_by(
            lambda n, V, C, L, T_max, T, B: n + (L - 1) * 2 * B * T * C * V,
            lambda n, V, C, L, T_max, T, B: n + L * V * C,
        ),
    ),
    (
        "last_norm_in_each_block",
        "The last norm stands in no block: it has 2 C numbers, once. You count it L times.",
        count_by_place(tables_per_block=lambda V, C, T_max: 2 * C),
    ),
    (
        "everything_in_each_block",
        "You multiply the whole sum of the parameters by L. Only the blocks repeat: both tables and the last norm are "
        "there once.",
        count_by_place(tables_per_block=lambda V, C, T_max: V * C + T_max * C + 2 * C),
    ),
    (
        "both_counts_times_the_blocks",
        "You multiply both counts by L as a whole. Only the blocks repeat: the tables, the last norm and the "
        "unembedding are there once.",
        count_by_place(True, lambda V, C, T_max: V * C + T_max * C + 2 * C),
    ),
    (
        "one_norm_in_a_block",
        "You count one norm in a block. There are two, one for each half, with a gain and a shift each.",
        count_by(norms=2),
    ),
    (
        "first_bias_alone",
        "The second bias of the feed-forward network is missing: b_2 has C numbers in each block.",
        count_by(biases=4),
    ),
    (
        "second_bias_alone",
        "4 C numbers are missing in each block. Either you left out the first bias of the feed-forward network, b_1, "
        "or the two norms, with a gain and a shift of C numbers each. Both belong to the count.",
        count_by(biases=1),
    ),
    (
        "three_biases_in_attention",
        "You count 3 C numbers too many in each block. Either these are biases for queries, keys and values, which "
        "GPT-2 has and the model of this notebook has not; or you gave b_2 the length 4 C: it has C.",
        count_by(attention_biases=3),
    ),
    (
        "bias_of_the_unembedding",
        "You count a bias for the unembedding. There is none: the logits are x W_E^T.",
        changed_by(parameters=lambda n, V, C, L, T_max, T, B: n + V),
    ),
    (
        "embedding_left_out",
        "The embedding is missing in the parameters. Some papers leave it out; here every number in the tables counts, "
        "once.",
        count_by(embedding=0),
    ),
    (
        "tables_left_out",
        "Both tables are missing in the parameters, embedding and places. Some papers leave them out; here every "
        "number in the tables counts, once.",
        count_by(embedding=0, places=0),
    ),
    (
        "operations_alone",
        "You return the operations alone. The number of parameters is asked too, as a second result.",
        lambda V, C, L, T_max, T, B: count_by()(V, C, L, T_max, T, B)[0],
    ),
    (
        "single_precision",
        "You compute in float32, which keeps seven digits. Counts are exact: use Python's whole numbers.",
        lambda V, C, L, T_max, T, B: tuple(float(np.float32(n)) for n in count_by()(V, C, L, T_max, T, B)),
    ),
):
    count_flops_and_parameters.misconception(hint, name=name)(changed)


@count_flops_and_parameters.always("Twice the batch costs twice the operations and no parameter more.")
def batch_counts_once(call, rng):
    one, two = (call(V=30, C=12, L=3, T_max=40, T=20, B=B) for B in (2, 4))
    return two[0] == 2 * one[0] and two[1] == one[1]
