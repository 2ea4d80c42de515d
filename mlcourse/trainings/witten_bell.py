"""The model to beat: an n-gram of tokens with the smoothing of Witten and Bell."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["witten_bell_bits"]


def witten_bell_bits(
    train: Int[np.ndarray, " n"], heldout: Int[np.ndarray, " m"], max_order: int, n_tokens: int
) -> Float[np.ndarray, "{max_order} m"]:
    r"""Return how many bits the n-gram models of order 1 to max_order need for each held-out token.

    .. math:: p(w \mid c) = \frac{n(c\,w) + d(c)\, p(w \mid c')}{n(c) + d(c)}

    A model of order k sees the context c of the k - 1 tokens before w. n counts in the training text, d(c) is the
    number of different tokens that followed c there, and c' is c without its oldest token. Below the empty context
    every token has probability 1 / n_tokens. The first tokens have shorter contexts.

    Source: the smoothing of Witten and Bell, in its interpolated form.
    """
    if max_order < 1 or n_tokens**max_order >= 2**63:
        raise ValueError(f"max_order = {max_order} but n_tokens = {n_tokens}: contexts must fit into 63 bits.")
    p = np.full((max_order, len(heldout)), 1 / n_tokens)
    past, seen = np.zeros(len(train), np.int64), np.zeros(len(heldout), np.int64)  # contexts of k tokens as one number
    for k in range(min(max_order, len(train), len(heldout))):
        if k:  # the same contexts, with one token more in front
            past = past[1:] + train[: len(train) - k].astype(np.int64) * n_tokens ** (k - 1)
            seen = seen[1:] + heldout[: len(heldout) - k].astype(np.int64) * n_tokens ** (k - 1)
        pairs, pair_counts = np.unique(past * n_tokens + train[k:], return_counts=True)
        known, first = np.unique(pairs // n_tokens, return_index=True)
        followers = np.diff(np.append(first, len(pairs)))  # d(c)
        counts = np.add.reduceat(pair_counts, first)  # n(c)
        n_c, d_c = _look_up(known, counts, seen), _look_up(known, followers, seen)
        n_cw = _look_up(pairs, pair_counts, seen * n_tokens + heldout[k:])
        better = np.where(n_c > 0, (n_cw + d_c * p[k, k:]) / np.maximum(n_c + d_c, 1), p[k, k:])
        p[k:, k:] = better  # higher orders start from here
    return -np.log2(p)


def _look_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the value of each wanted key, 0 where it is not there; keys are sorted."""
    asked, back = np.unique(wanted, return_inverse=True)  # in order, neighbors are looked for near each other: faster
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    return np.where(keys[place] == asked, values[place], 0)[back]
