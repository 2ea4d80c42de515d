"""Exercises on transformers: the stream, its blocks, the loss of every prefix, writing, and what it all costs."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import torch
from torch.nn import functional as F

from mlcourse import transformer
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


def masked_softmax(scores, seen):
    return torch.softmax(scores.masked_fill(~seen, -torch.inf), -1)


def split_interleaved(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).permute(*range(x.dim() - 2), -1, -3, -2)


def attend_by(causal=True, scale=None, split=split, shift=0, output=True, shares=masked_softmax):
    """Multi-head self-attention with one thing changed; ``scale`` is a function of (C, H)."""

    def attention(x, block, n_heads):
        T, C = x.shape[-2:]
        q, k, v = (split(x @ block[name], n_heads) for name in ("W_Q", "W_K", "W_V"))
        scores = q @ k.mT / (scale(C, C // n_heads) if scale else sqrt(C // n_heads))
        seen = torch.ones(T, T, dtype=torch.bool)
        heads = merge(shares(scores, seen.tril(shift) if causal else seen) @ v)
        return heads @ block["W_O"] if output else heads

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


@exercise("transformer.embed_tokens_and_positions", reference=transformer.embed_tokens_and_positions, points=6)
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


def places(tokens, W_P, start):
    return W_P[start : start + tokens.shape[-1]]


@embed_tokens_and_positions.misconception(
    "You put the two rows side by side, so the stream has 2C channels. Here they are added: token and place share the "
    "C channels, and every later matrix has C rows."
)
def concatenated(tokens, W_E, W_P, start):
    rows = W_E[tokens]
    return torch.cat((rows, places(tokens, W_P, start).expand_as(rows)), dim=-1)


@embed_tokens_and_positions.misconception(
    "The places are missing. Without them a token has the same row wherever it stands, and attention knows no order."
)
def no_places(tokens, W_E, W_P, start):
    return W_E[tokens]


@embed_tokens_and_positions.misconception(
    "The tokens are missing: you return the rows of the places alone, the same for every text."
)
def no_tokens(tokens, W_E, W_P, start):
    return places(tokens, W_P, start).expand(*tokens.shape, -1).clone()


@embed_tokens_and_positions.misconception(
    "You look up W_P by the token. The place of a token is where it stands, 0, 1, 2, ... from start, not which one it "
    "is."
)
def places_by_token(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[tokens % len(W_P)]


@embed_tokens_and_positions.misconception(
    "Your places begin at 0 whatever start is. With a cache the newest token stands behind all older ones, at place "
    "start."
)
def start_ignored(tokens, W_E, W_P, start):
    return W_E[tokens] + places(tokens, W_P, 0)


@embed_tokens_and_positions.misconception(
    "Your places count from 1: the first token gets the second row of W_P. The first of all places is row 0."
)
def places_from_one(tokens, W_E, W_P, start):
    return W_E[tokens] + places(tokens, W_P, start + 1)


@embed_tokens_and_positions.misconception(
    "You take the last T rows of W_P. Places count from the beginning of the text: rows start to start + T - 1."
)
def places_from_the_end(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[len(W_P) - tokens.shape[-1] :]


WHOLE_TABLE = (
    "You add the whole table W_P, which has T_max rows, to T rows. That fits only when T = T_max. Take the rows start "
    "to "
    "start + T - 1."
)


@embed_tokens_and_positions.misconception(WHOLE_TABLE)
def whole_table(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P


@embed_tokens_and_positions.misconception(WHOLE_TABLE)
def everything_after_start(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[start:]


@embed_tokens_and_positions.misconception(
    "You read T from the first axis of tokens, which is the batch. T is the size of the last axis: tokens.shape[-1]."
)
def length_of_the_batch(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[start : start + len(tokens)]


@embed_tokens_and_positions.misconception(
    "One place for each text, not for each position: you add row b of W_P to all of text b. Places run along axis -1."
)
def places_along_the_batch(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[start : start + len(tokens), None]


@embed_tokens_and_positions.misconception(
    "You look the place up by the TOKEN: W_P[tokens]. The place is where the token stands: start, start + 1, and so on."
)
def places_by_token_where_there_is_one(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[tokens]


@embed_tokens_and_positions.misconception(
    "Every position gets the row of the first place. They count on: position t has the place start + t."
)
def one_place_for_all(tokens, W_E, W_P, start):
    return W_E[tokens] + W_P[start]


@embed_tokens_and_positions.misconception(
    "You multiply the two rows. They are added: a product would let a zero in one erase the other."
)
def multiplied(tokens, W_E, W_P, start):
    return W_E[tokens] * places(tokens, W_P, start)


@embed_tokens_and_positions.misconception(
    "You multiply the embedding by the root of its width, as the transformer of 2017 does. GPT does not: the sum is "
    "W_E[token] + W_P[place], with no factor."
)
def scaled_by_root_of_width(tokens, W_E, W_P, start):
    return W_E[tokens] * sqrt(W_E.shape[-1]) + places(tokens, W_P, start)


@embed_tokens_and_positions.misconception("Tokens count from 0: token i is row i of W_E, not row i - 1.")
def tokens_from_one(tokens, W_E, W_P, start):
    return W_E[tokens - 1] + places(tokens, W_P, start)


@embed_tokens_and_positions.misconception(
    "You convert to float32 on the way, which keeps seven digits. Look rows up and add them in the dtype of W_E."
)
def in_float32(tokens, W_E, W_P, start):
    return (W_E[tokens].float() + places(tokens, W_P, start).float()).double()


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


# 2. pre_norm_block

WHOLE_LAYERS = (
    "torch.nn.TransformerEncoderLayer",
    "torch.nn.TransformerDecoderLayer",
    "torch.nn.TransformerEncoder",
    "torch.nn.TransformerDecoder",
    "torch.nn.Transformer",
)


@exercise("transformer.pre_norm_block", reference=transformer.pre_norm_block, points=6, forbidden=WHOLE_LAYERS)
def pre_norm_block(rng):
    """One block of GPT-2: attend, then work row by row, each on a normed copy of the stream."""
    fixed = np.random.default_rng(7)
    yield worked(x=normal(fixed, 2, 3, 4), block=block_weights(fixed, 4, 6), n_heads=2)
    for B, T, C, D, N in [(2, 5, 6, 7, 3), (3, 4, 8, 5, 2), (4, 3, 10, 9, 5)]:
        yield random(x=2 * normal(rng, B, T, C) + 0.5, block=block_weights(rng, C, D), n_heads=N)
    yield edge(x=normal(rng, 2, 1, 4), block=block_weights(rng, 4, 16), n_heads=1)
    yield edge(x=torch.zeros(1, 3, 4, dtype=torch.float64), block=block_weights(rng, 4, 6), n_heads=4)
    yield edge(x=1e4 * normal(rng, 2, 3, 6), block=block_weights(rng, 6, 5), n_heads=2)
    yield edge(x=1e-3 * normal(rng, 2, 3, 6), block=block_weights(rng, 6, 5), n_heads=2)


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
for name, hint, changed in (
    ("no_mask", NO_MASK, block_by(attend=attend_by(causal=False))),
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


@pre_norm_block.always("Earlier positions do not see what comes later.")
def causal(call, rng):
    x, block = normal(rng, 2, 5, 6), block_weights(rng, 6, 4)
    other = x.clone()
    other[:, 3:] = normal(rng, 2, 2, 6)
    return close(call(x=x, block=block, n_heads=2)[:, :3], call(x=other, block=block, n_heads=2)[:, :3])


@pre_norm_block.always("If the halves write nothing, the stream passes unchanged.")
def identity(call, rng):
    x, block = normal(rng, 2, 4, 6), block_weights(rng, 6, 5)
    silent = {name: torch.zeros_like(block[name]) for name in ("W_O", "W_2", "b_2")}
    return close(call(x=x, block={**block, **silent}, n_heads=3), x)


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
        "Only the last block is used. Run through all of them.",
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


@gpt_forward.always("The logits of a prefix do not change when more text follows.")
def prefixes(call, rng):
    tokens, weights = tokens_of(rng, 6, 2, 5), gpt_weights(rng, 6, 7, 4, 6, 2)
    whole = call(tokens=tokens, weights=weights, n_heads=2)
    return all(close(call(tokens=tokens[:, :t], weights=weights, n_heads=2), whole[:, :t]) for t in (1, 3))


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
    forbidden=(
        "torch.nn.functional.cross_entropy",
        "torch.nn.CrossEntropyLoss",
        "torch.nn.functional.nll_loss",
        "torch.nn.NLLLoss",
    ),
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


@language_model_loss.always("Equal logits give the logarithm of V, whatever came.")
def uniform(call, rng):
    V = int(rng.integers(3, 9))
    value = call(logits=torch.full((2, 3, V), 1.7, dtype=torch.float64), targets=tokens_of(rng, V, 2, 3))
    return close(value, tensor(log(V)))


@language_model_loss.always("Adding a number to all logits of a position changes nothing.")
def shift_of_a_row(call, rng):
    logits, targets = normal(rng, 2, 3, 5), tokens_of(rng, 5, 2, 3)
    return close(call(logits=logits + normal(rng, 2, 3, 1), targets=targets), call(logits=logits, targets=targets))


# 5. sample


@exercise("transformer.sample", reference=transformer.sample, points=6)
def sample(rng):
    """Draw tokens with a temperature, from the top k, from the top p; return also the probabilities."""
    two = tensor([[0.5, 0.1, 0.25, 0.15], [0.05, 0.3, 0.05, 0.6]]).log()
    yield worked(logits=two, u=tensor([0.56, 0.2]), temperature=1.0, top_k=None, top_p=None)
    yield worked(logits=two, u=tensor([0.66, 0.2]), temperature=0.5, top_k=None, top_p=None)
    yield worked(logits=two, u=tensor([0.72, 0.5]), temperature=2.0, top_k=3 - 1, top_p=None)
    yield worked(logits=two, u=tensor([0.9, 0.25]), temperature=1.0, top_k=None, top_p=0.7)
    eight = tensor([[0.3, 0.02, 0.2, 0.04, 0.18, 0.14, 0.02, 0.1], [0.01, 0.4, 0.02, 0.2, 0.16, 0.1, 0.08, 0.03]]).log()
    yield worked(logits=eight, u=tensor([0.8, 0.9]), temperature=1.25, top_k=5, top_p=0.8)
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

    def sampler(logits, u, temperature, top_k, top_p):
        p = heat(logits, temperature)
        p = rescale(cut_p(between(cut_k(p, top_k)), top_p))
        return draw(p, u), p

    return sampler


def draw_by_rank(p, u):
    ranked, order = p.sort(-1, descending=True)
    return order.gather(-1, draw(ranked, u)[:, None])[:, 0]


def truncated_at_first(logits, u, temperature, top_k, top_p):
    p = torch.softmax(logits, -1)
    kept = keep_p(shares(keep_k(p, top_k)), top_p) > 0
    p = torch.softmax((logits / temperature).masked_fill(~kept, -torch.inf), -1)
    return draw(p, u), p


def ranks_returned(logits, u, temperature, top_k, top_p):
    p = sample_by()(logits, u, temperature, top_k, top_p)[1].sort(-1, descending=True).values
    return draw(p, u), p


def zero_logits(logits, u, temperature, top_k, top_p):
    p = torch.softmax(logits / temperature, -1)
    kept = keep_p(shares(keep_k(p, top_k)), top_p) > 0
    p = torch.softmax((logits / temperature) * kept, -1)
    return draw(p, u), p


DIVIDE_LOGITS = "The temperature divides the LOGITS, before softmax: softmax(logits / temperature). "
for name, hint, changed in (
    (
        "temperature_multiplies",
        "You multiply the logits by the temperature. A high temperature must make all tokens more "
        "alike, so it divides.",
        sample_by(lambda logits, tau: torch.softmax(logits * tau, -1)),
    ),
    (
        "probabilities_divided",
        DIVIDE_LOGITS + "Dividing the probabilities and rescaling them changes nothing.",
        sample_by(lambda logits, tau: shares(torch.softmax(logits, -1) / tau)),
    ),
    (
        "no_temperature_at_all",
        DIVIDE_LOGITS + "You do not use it.",
        lambda logits, u, temperature, top_k, top_p: (lambda p: (draw(p, u), p))(
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
        zero_logits,
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


# 6. generate_with_cache


def run_counted(candidate, prompt, weights, n_heads, n_new):
    """Write, and count the multiplications: without a cache there are far too many."""
    products = {
        "matmul",
        "__matmul__",
        "__rmatmul__",
        "mm",
        "bmm",
        "mv",
        "einsum",
        "tensordot",
        "linear",
        "addmm",
        "baddbmm",
    }

    class Counting(torch.overrides.TorchFunctionMode):
        total = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if getattr(function, "__name__", "") in products:
                factors = [item for item in args if isinstance(item, torch.Tensor)]
                if factors and isinstance(result, torch.Tensor):
                    left = factors[-2 if "add" in function.__name__ and len(factors) > 1 else 0]
                    self.total += result.numel() * (left.shape[-1] if left.ndim else 1)
            return result

    with Counting() as counting:
        tokens, logits = candidate(prompt, weights, n_heads, n_new)
    matrices = [W for block in weights["blocks"] for W in block.values() if W.ndim == 2]
    B, T = prompt.shape
    rows = B * sum(T + i for i in range(n_new))  # that pass the network if nothing is kept
    again = rows * sum(W.numel() for W in [*matrices, weights["W_E"]])
    return {
        "tokens": tokens,
        "logits": logits,
        "less than half of the work without a cache": counting.total < again / 2,
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


def generate_by(
    place=lambda T, step: T + step - 1,
    keep=lambda old, new: torch.cat((old, new), dim=-2),
    first_mask=True,
    newest_mask=lambda S: torch.ones(1, S, dtype=torch.bool),
    slot=lambda layer: layer,
    keep_v=None,
    result=lambda prompt, new, logits: (torch.cat((prompt, new), 1), logits),
    last=lambda x, weights: norm(x, weights["gain"], weights["shift"]),
    feeds=lambda chosen, before: chosen,
):
    """Return generation with a cache and one thing changed."""
    keep_v = keep_v or keep

    def generate(prompt, weights, n_heads, n_new):
        cache: dict = {}
        new, rows = [], []
        newest, T = prompt, prompt.shape[1]
        for step in range(n_new):
            n = newest.shape[1]
            begin = 0 if step == 0 else place(T, step)
            x = weights["W_E"][newest] + weights["W_P"][begin : begin + n]
            for layer, block in enumerate(weights["blocks"]):
                h = norm(x, block["gain_1"], block["shift_1"])
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
                scores = (q @ k.mT / sqrt(q.shape[-1])).masked_fill(~see, -torch.inf)
                x = x + merge(torch.softmax(scores, -1) @ v) @ block["W_O"]
                x = x + feed(norm(x, block["gain_2"], block["shift_2"]), block)
            row = (last(x, weights) @ weights["W_E"].mT)[:, -1]
            chosen = row.argmax(-1, keepdim=True)
            newest = feeds(chosen, newest[:, -1:])
            new.append(chosen)
            rows.append(row)
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


# 7. count_flops_and_parameters


@exercise("transformer.count_flops_and_parameters", reference=transformer.count_flops_and_parameters, points=6)
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
        "three_maps",
        "A block has four C x C maps, for queries, keys, values and the output: you count three.",
        count_by(maps=3),
    ),
    (
        "feed_of_one_matrix",
        "The feed-forward network has two matrices, C x 4C and 4C x C: 8 C^2 numbers.",
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
        "You count biases for the four maps of attention. GPT-2 has them; the model of this notebook does not.",
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


@count_flops_and_parameters.always("Twice the batch costs twice the operations and no parameter more.")
def batch_counts_once(call, rng):
    one, two = (call(V=30, C=12, L=3, T_max=40, T=20, B=B) for B in (2, 4))
    return two[0] == 2 * one[0] and two[1] == one[1]
