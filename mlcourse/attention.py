"""Attention: who looks at whom, and what is carried over.

Rows are positions: a sequence is (T, d) or (*batch, T, d). A mask is boolean and True means "may be seen".
"""

from __future__ import annotations

from math import sqrt

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mlcourse.validation import require_floating, require_shapes

__all__ = [
    "MultiHeadAttention",
    "additive_scores",
    "attention_entropy",
    "attention_scores",
    "attention_weights",
    "balanced_split",
    "causal_mask",
    "gaussian_smoother",
    "masked_softmax",
    "merge_heads",
    "multi_head_attention",
    "qk_ov_matrices",
    "scaled_dot_product_attention",
    "sinusoidal_positions",
    "softmax_jacobian",
    "split_heads",
]


def _require_same_batch(**tensors: Tensor) -> None:
    """Check that all axes in front of the last two agree."""
    (first, x), *others = tensors.items()
    for name, y in others:
        if x.shape[:-2] != y.shape[:-2]:
            raise ValueError(
                f"{first} has batch axes {tuple(x.shape[:-2])} but {name} has batch axes {tuple(y.shape[:-2])}."
            )


def _require_mask(mask: Tensor, scores: Tensor) -> None:
    """Check that a mask is boolean and broadcasts to the scores without enlarging them."""
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask must be boolean, True where a key may be seen, but its dtype is {mask.dtype}. "
            "Turn a float mask of 0 and -inf into a boolean one with: mask == 0"
        )
    trailing = scores.shape[scores.ndim - mask.ndim :] if mask.ndim <= scores.ndim else ()
    if mask.ndim > scores.ndim or any(m not in (1, s) for m, s in zip(mask.shape, trailing, strict=True)):
        raise ValueError(f"mask has shape {tuple(mask.shape)} but the scores have shape {tuple(scores.shape)}.")


def attention_scores(q: Float[Tensor, "*batch T d_k"], k: Float[Tensor, "*batch S d_k"]) -> Float[Tensor, "*batch T S"]:
    r"""Return the scaled similarity of every query with every key.

    .. math:: s_{ij} = q_i \cdot k_j / \sqrt{d_k}

    If the components of q and k are independent with mean 0 and variance 1, every score has mean 0 and variance 1
    whatever d_k is.

    Parameters
    ----------
    q : tensor of shape (*batch, T, d_k)
        One query per row.
    k : tensor of shape (*batch, S, d_k)
        One key per row.

    Returns
    -------
    tensor of shape (*batch, T, S)
        Any real numbers; row i holds what query i thinks of each key.

    Raises
    ------
    TypeError
        If a tensor holds no floating-point numbers.
    ValueError
        If the lengths of queries and keys differ, or their batch axes.

    Notes
    -----
    T S d_k multiplications; T S numbers of memory.

    Source: Vaswani et al. (2017), equation 1, the argument of softmax.

    Examples
    --------
    >>> attention_scores(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    tensor([[0.7071, 0.0000, 0.7071]])
    """
    sizes = require_shapes(q=(q, "... T d_k"), k=(k, "... S d_k"))
    require_floating(q=q, k=k)
    _require_same_batch(q=q, k=k)
    return q @ k.mT / sqrt(sizes["d_k"])  # (*batch, T, d_k) (*batch, d_k, S) -> (*batch, T, S)


def causal_mask(T: int, S: int | None = None, *, device: torch.device | str | None = None) -> Bool[Tensor, "{T} S"]:
    """Return the mask that lets a query see its own position and the past, never the future.

    Query i may see key j when j <= i + S - T: the last query is aligned with the last key. With S > T the first S - T
    keys are an older past that every query sees. With S < T the first T - S queries see nothing.

    Parameters
    ----------
    T : int
        Number of queries.
    S : int, optional
        Number of keys; as many as queries if left out.
    device : torch.device or str, optional
        Where to create the mask.

    Returns
    -------
    boolean tensor of shape (T, S)
        True where a key may be seen.

    Raises
    ------
    ValueError
        If a length is negative.

    Notes
    -----
    ``torch.nn.functional.scaled_dot_product_attention`` reads a boolean mask in the same way. The masks of
    ``torch.nn.MultiheadAttention`` mean the opposite, True = hidden: pass ``~mask`` there.

    Examples
    --------
    >>> causal_mask(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    S = T if S is None else S
    if T < 0 or S < 0:
        raise ValueError(f"Lengths cannot be negative, but T = {T} and S = {S}.")
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(diagonal=S - T)


def masked_softmax(
    scores: Float[Tensor, "*batch T S"], mask: Bool[Tensor, "*mask"] | None = None
) -> Float[Tensor, "*batch T S"]:
    r"""Return the softmax of each row of scores over the keys that may be seen.

    .. math:: a_{ij} = \frac{m_{ij}\, e^{s_{ij}}}{\sum_{l} m_{il}\, e^{s_{il}}}

    Parameters
    ----------
    scores : tensor of shape (*batch, T, S)
    mask : boolean tensor that broadcasts to the shape of scores, optional
        True where a key may be seen; without a mask all keys are.

    Returns
    -------
    tensor of shape (*batch, T, S)
        Shares between 0 and 1. A row sums to 1; a row in which nothing may be seen is all zeros.

    Raises
    ------
    TypeError
        If the mask is not boolean.
    ValueError
        If the mask does not broadcast to the scores.

    Notes
    -----
    A hidden score becomes minus infinity before softmax, so its share and its gradient are exactly 0. Rows in which
    nothing may be seen are replaced before and after softmax: 0/0 never occurs, so their gradient is 0 and not nan.
    A score that may be seen and is nan makes its row nan.

    Examples
    --------
    >>> scores = torch.tensor([[0.0, 0.0, 9.0], [1.0, 2.0, 3.0]])
    >>> masked_softmax(scores, torch.tensor([[True, True, False], [False, False, False]]))
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    require_shapes(scores=(scores, "... T S"))
    require_floating(scores=scores)
    if mask is None:
        return torch.softmax(scores, dim=-1)
    _require_mask(mask, scores)
    blind = ~mask.any(dim=-1, keepdim=True)  # (..., T, S) -> (..., T, 1): queries that see nothing
    visible = scores.masked_fill(~mask, -torch.inf).masked_fill(blind, 0.0)
    return torch.softmax(visible, dim=-1).masked_fill(blind, 0.0)


def attention_weights(
    q: Float[Tensor, "*batch T d_k"], k: Float[Tensor, "*batch S d_k"], mask: Bool[Tensor, "*mask"] | None = None
) -> Float[Tensor, "*batch T S"]:
    r"""Return how each query shares its attention among the keys.

    .. math:: A = \operatorname{softmax}(Q K^\top / \sqrt{d_k})

    Parameters
    ----------
    q : tensor of shape (*batch, T, d_k)
    k : tensor of shape (*batch, S, d_k)
    mask : boolean tensor that broadcasts to (*batch, T, S), optional
        True where a key may be seen.

    Returns
    -------
    tensor of shape (*batch, T, S)
        Shares between 0 and 1; a row sums to 1, or to 0 where nothing may be seen.

    Raises
    ------
    TypeError, ValueError
        As `attention_scores` and `masked_softmax`.

    Examples
    --------
    >>> attention_weights(torch.zeros(1, 4), torch.ones(2, 4))
    tensor([[0.5000, 0.5000]])
    """
    return masked_softmax(attention_scores(q, k), mask)


def scaled_dot_product_attention(
    q: Float[Tensor, "*batch T d_k"],
    k: Float[Tensor, "*batch S d_k"],
    v: Float[Tensor, "*batch S d_v"],
    mask: Bool[Tensor, "*mask"] | None = None,
) -> Float[Tensor, "*batch T d_v"]:
    r"""Return for each query the average of the values, weighted by attention.

    .. math:: \operatorname{Attention}(Q, K, V) = \operatorname{softmax}(Q K^\top / \sqrt{d_k})\, V

    Parameters
    ----------
    q : tensor of shape (*batch, T, d_k)
        What each position looks for.
    k : tensor of shape (*batch, S, d_k)
        What each position offers to be found by.
    v : tensor of shape (*batch, S, d_v)
        What each position hands over.
    mask : boolean tensor that broadcasts to (*batch, T, S), optional
        True where a key may be seen.

    Returns
    -------
    tensor of shape (*batch, T, d_v)
        Every row lies in the convex hull of the values that its query may see; 0 where it sees nothing.

    Raises
    ------
    TypeError, ValueError
        If shapes, batch axes or dtypes do not fit; the message names both sides.

    Notes
    -----
    T S (d_k + d_v) multiplications; T S numbers of memory for the weights.

    Source: Vaswani et al. (2017), equation 1.

    Examples
    --------
    >>> q, k = torch.zeros(1, 2), torch.ones(2, 2)
    >>> scaled_dot_product_attention(q, k, torch.tensor([[0.0, 0.0, 4.0], [2.0, 0.0, 0.0]]))
    tensor([[1., 0., 2.]])
    """
    require_shapes(q=(q, "... T d_k"), k=(k, "... S d_k"), v=(v, "... S d_v"))
    require_floating(v=v)
    _require_same_batch(k=k, v=v)
    return attention_weights(q, k, mask) @ v  # (*batch, T, S) (*batch, S, d_v) -> (*batch, T, d_v)


def split_heads(x: Float[Tensor, "*batch T NH"], n_heads: int) -> Float[Tensor, "*batch {n_heads} T H"]:
    """Cut the last axis into equal parts, one for each head, and bring the heads in front of the positions.

    Head i receives the channels i H to (i + 1) H - 1.

    Parameters
    ----------
    x : tensor of shape (*batch, T, N H)
    n_heads : int
        N, the number of heads.

    Returns
    -------
    tensor of shape (*batch, N, T, H)
        A view where strides allow it; no number changes.

    Raises
    ------
    ValueError
        If the width is no multiple of the number of heads.

    Examples
    --------
    >>> split_heads(torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]), 2)
    tensor([[[1., 2.],
             [5., 6.]],
    <BLANKLINE>
            [[3., 4.],
             [7., 8.]]])
    """
    width = require_shapes(x=(x, "... T width"))["width"]
    if n_heads < 1 or width % n_heads:
        raise ValueError(f"x has width = {width} but n_heads = {n_heads}: the width must be a multiple of n_heads.")
    parts = x.unflatten(-1, (n_heads, width // n_heads))  # (*batch, T, N H) -> (*batch, T, N, H)
    return parts.transpose(-3, -2)  # (*batch, T, N, H) -> (*batch, N, T, H)


def merge_heads(x: Float[Tensor, "*batch N T H"]) -> Float[Tensor, "*batch T NH"]:
    """Lay the heads side by side in the last axis: the inverse of `split_heads`.

    Parameters
    ----------
    x : tensor of shape (*batch, N, T, H)

    Returns
    -------
    tensor of shape (*batch, T, N H)

    Raises
    ------
    ValueError
        If x has fewer than three axes.

    Examples
    --------
    >>> merge_heads(torch.tensor([[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]]))
    tensor([[1., 2., 3., 4.],
            [5., 6., 7., 8.]])
    """
    require_shapes(x=(x, "... N T H"))
    side_by_side = x.transpose(-3, -2)  # (*batch, N, T, H) -> (*batch, T, N, H)
    return side_by_side.flatten(-2)  # (*batch, T, N, H) -> (*batch, T, N H)


def multi_head_attention(
    q_in: Float[Tensor, "*batch T d"],
    kv_in: Float[Tensor, "*batch S d_kv"],
    W_Q: Float[Tensor, "d Nd_k"],
    W_K: Float[Tensor, "d_kv Nd_k"],
    W_V: Float[Tensor, "d_kv Nd_v"],
    W_O: Float[Tensor, "Nd_v d_out"],
    n_heads: int,
    mask: Bool[Tensor, "*mask"] | None = None,
) -> Float[Tensor, "*batch T d_out"]:
    r"""Return the result of N heads that attend in parallel and add what they found.

    .. math::
        \text{head}_i = \operatorname{Attention}(X W_Q^{(i)}, Z W_K^{(i)}, Z W_V^{(i)}), \qquad
        [\text{head}_1, \ldots, \text{head}_N]\, W_O = \sum_i \text{head}_i\, W_O^{(i)}

    Self-attention passes the same tensor twice; cross-attention takes keys and values from another sequence.

    Parameters
    ----------
    q_in : tensor of shape (*batch, T, d)
        X, the sequence that asks.
    kv_in : tensor of shape (*batch, S, d_kv)
        Z, the sequence that is asked.
    W_Q : tensor of shape (d, N d_k)
        Columns i d_k to (i + 1) d_k - 1 belong to head i; likewise in W_K and W_V.
    W_K : tensor of shape (d_kv, N d_k)
    W_V : tensor of shape (d_kv, N d_v)
    W_O : tensor of shape (N d_v, d_out)
        Rows i d_v to (i + 1) d_v - 1 belong to head i.
    n_heads : int
        N, the number of heads.
    mask : boolean tensor that broadcasts to (*batch, N, T, S), optional
        True where a key may be seen. A mask of shape (T, S) serves every head and batch entry; one mask for each batch
        entry has shape (*batch, 1, T, S).

    Returns
    -------
    tensor of shape (*batch, T, d_out)

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes do not fit; the message names both sides.

    Notes
    -----
    Each head scales by the root of its own d_k, not of the width of the model. The projections cost T d N d_k and the
    like, the heads T S N (d_k + d_v) multiplications.

    Source: Vaswani et al. (2017), section 3.2.2.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> multi_head_attention(x, x, torch.zeros(2, 2), torch.zeros(2, 2), torch.eye(2), torch.eye(2), n_heads=2)
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    require_shapes(q_in=(q_in, "... T d"), W_Q=(W_Q, "d N*d_k"))
    require_shapes(kv_in=(kv_in, "... S d_kv"), W_K=(W_K, "d_kv N*d_k"), W_V=(W_V, "d_kv N*d_v"))
    require_shapes(W_Q=(W_Q, "d N*d_k"), W_K=(W_K, "d_kv N*d_k"))
    require_shapes(W_V=(W_V, "d_kv N*d_v"), W_O=(W_O, "N*d_v d_out"))
    _require_same_batch(q_in=q_in, kv_in=kv_in)
    q = split_heads(q_in @ W_Q, n_heads)  # (*batch, T, d) (d, N d_k) -> (*batch, N, T, d_k)
    k = split_heads(kv_in @ W_K, n_heads)  # (*batch, S, d_kv) (d_kv, N d_k) -> (*batch, N, S, d_k)
    v = split_heads(kv_in @ W_V, n_heads)  # (*batch, S, d_kv) (d_kv, N d_v) -> (*batch, N, S, d_v)
    heads = scaled_dot_product_attention(q, k, v, mask)  # -> (*batch, N, T, d_v)
    return merge_heads(heads) @ W_O  # (*batch, T, N d_v) (N d_v, d_out) -> (*batch, T, d_out)


class MultiHeadAttention(torch.nn.Module):
    r"""`multi_head_attention` with weights that can be learned.

    Parameters
    ----------
    d_model : int
        Width of input and output.
    n_heads : int
        N. Each head has d_k = d_v = d_model / N channels.
    generator : torch.Generator, optional
        Source of the initial weights; it must live where the weights are created.
    device, dtype : optional
        Where and how the weights are stored. The module never moves its input.

    Raises
    ------
    ValueError
        If the width is no multiple of the number of heads.

    Notes
    -----
    The weights start uniform with variance 2 / (d_model + d_model) (Glorot), so that the variance of the input is
    kept by each of the four maps. There are 4 d_model^2 parameters and no biases.

    Examples
    --------
    >>> layer = MultiHeadAttention(8, 2, generator=torch.Generator().manual_seed(0))
    >>> x = torch.ones(3, 5, 8)
    >>> layer(x, x, causal_mask(5)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(f"d_model = {d_model} but n_heads = {n_heads}: d_model must be a multiple of n_heads.")
        self.n_heads = n_heads

        def weight() -> torch.nn.Parameter:
            values = torch.empty(d_model, d_model, device=device, dtype=dtype)
            return torch.nn.Parameter(torch.nn.init.xavier_uniform_(values, generator=generator))

        self.W_Q, self.W_K, self.W_V, self.W_O = weight(), weight(), weight(), weight()

    def forward(
        self,
        q_in: Float[Tensor, "*batch T d_model"],
        kv_in: Float[Tensor, "*batch S d_model"],
        mask: Bool[Tensor, "*mask"] | None = None,
    ) -> Float[Tensor, "*batch T d_model"]:
        """Return what the positions of ``q_in`` read from ``kv_in``."""
        return multi_head_attention(q_in, kv_in, self.W_Q, self.W_K, self.W_V, self.W_O, self.n_heads, mask)

    def weights(
        self,
        q_in: Float[Tensor, "*batch T d_model"],
        kv_in: Float[Tensor, "*batch S d_model"],
        mask: Bool[Tensor, "*mask"] | None = None,
    ) -> Float[Tensor, "*batch N T S"]:
        """Return the attention of each head, one map of shape (T, S) per head."""
        q, k = split_heads(q_in @ self.W_Q, self.n_heads), split_heads(kv_in @ self.W_K, self.n_heads)
        return attention_weights(q, k, mask)


def qk_ov_matrices(
    W_Q: Float[Tensor, "*heads d d_k"],
    W_K: Float[Tensor, "*heads d_kv d_k"],
    W_V: Float[Tensor, "*heads d_kv d_v"],
    W_O: Float[Tensor, "*heads d_v d_out"],
) -> tuple[Float[Tensor, "*heads d d_kv"], Float[Tensor, "*heads d_kv d_out"]]:
    r"""Return the two matrices on which alone a head depends.

    .. math:: W_{QK} = W_Q W_K^\top, \qquad W_{OV} = W_V W_O

    W_QK decides from where and how much is read: the scores are :math:`X W_{QK} Z^\top / \sqrt{d_k}`. W_OV decides
    what is carried over and where it is written: the result is :math:`A Z W_{OV}`.

    Parameters
    ----------
    W_Q : tensor of shape (*heads, d, d_k)
    W_K : tensor of shape (*heads, d_kv, d_k)
    W_V : tensor of shape (*heads, d_kv, d_v)
    W_O : tensor of shape (*heads, d_v, d_out)
        The weights of one head, or of several along leading axes.

    Returns
    -------
    W_QK : tensor of shape (*heads, d, d_kv)
        Rank at most d_k. The scale is not included.
    W_OV : tensor of shape (*heads, d_kv, d_out)
        Rank at most d_v.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Self-attention has d = d_kv = d_out, and both matrices are (d, d). Storing them costs d^2 numbers where the factors
    cost 2 d d_k: they are for understanding, not for computing.

    Source: Elhage et al. (2021).

    Examples
    --------
    >>> W_Q, W_K = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [2.0]])
    >>> W_QK, W_OV = qk_ov_matrices(W_Q, W_K, W_V=W_Q, W_O=W_K.mT)
    >>> W_QK
    tensor([[0., 2.],
            [0., 0.]])
    """
    require_shapes(W_Q=(W_Q, "... d d_k"), W_K=(W_K, "... d_kv d_k"), W_V=(W_V, "... d_kv d_v"))
    require_shapes(W_V=(W_V, "... d_kv d_v"), W_O=(W_O, "... d_v d_out"))
    _require_same_batch(W_Q=W_Q, W_K=W_K, W_V=W_V, W_O=W_O)
    W_QK = W_Q @ W_K.mT  # (d, d_k) (d_k, d_kv) -> (d, d_kv)
    W_OV = W_V @ W_O  # (d_kv, d_v) (d_v, d_out) -> (d_kv, d_out)
    return W_QK, W_OV


def balanced_split(W_QK: Float[Tensor, "d d_kv"], d_k: int) -> tuple[Float[Tensor, "d d_k"], Float[Tensor, "d_kv d_k"]]:
    r"""Return the best W_Q, W_K of width d_k with W_Q W_K^T = W_QK and the same spectrum on both sides.

    .. math:: W_{QK} = U \Sigma V^\top, \qquad W_Q = U \Sigma^{1/2}, \quad W_K = V \Sigma^{1/2}

    It shares the work equally: W_Q^T W_Q = W_K^T W_K = Sigma. A matrix square root of W_QK would not do, since it may
    be complex or not exist.

    Parameters
    ----------
    W_QK : tensor of shape (d, d_kv)
    d_k : int
        Width of the factors. If the rank of W_QK is larger, the product is the closest matrix of rank d_k.

    Returns
    -------
    W_Q : tensor of shape (d, d_k)
    W_K : tensor of shape (d_kv, d_k)

    Raises
    ------
    ValueError
        If d_k is smaller than 1 or larger than the smaller side of W_QK.

    Examples
    --------
    >>> W_Q, W_K = balanced_split(torch.tensor([[0.0, 4.0], [0.0, 0.0]]), d_k=1)
    >>> W_Q @ W_K.mT
    tensor([[0., 4.],
            [0., 0.]])
    """
    sizes = require_shapes(W_QK=(W_QK, "d d_kv"))
    if not 1 <= d_k <= min(sizes.values()):
        raise ValueError(
            f"d_k = {d_k} but W_QK has shape {tuple(W_QK.shape)}: d_k must lie between 1 and {min(sizes.values())}."
        )
    U, sigma, Vh = torch.linalg.svd(W_QK, full_matrices=False)
    root = sigma[:d_k].sqrt()  # (d_k,)
    return U[:, :d_k] * root, Vh[:d_k].mT * root


def sinusoidal_positions(
    T: int,
    d_model: int,
    *,
    base: float = 10_000.0,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float64,
) -> Float[Tensor, "{T} {d_model}"]:
    r"""Return one vector for each position: a row of clocks, each slower than the one before.

    .. math::
        p_{t,\,2l} = \sin(t / b^{2l/d}), \qquad p_{t,\,2l+1} = \cos(t / b^{2l/d}), \qquad 0 \le l < d/2

    Parameters
    ----------
    T : int
        Number of positions; t runs from 0 to T - 1.
    d_model : int
        d, even.
    base : float
        b. The slowest clock takes nearly 2 pi b positions for a turn.
    device, dtype : optional
        Where and how to create the table. Angles grow with T, so make it in a wide dtype and convert it afterwards.

    Returns
    -------
    tensor of shape (T, d_model)
        Numbers between -1 and 1; sine and cosine of the same clock are neighbors.

    Raises
    ------
    ValueError
        If T is negative or d_model is not a positive even number.

    Notes
    -----
    The product of two rows depends on their distance alone, because cos a cos b + sin a sin b = cos(a - b).

    Source: Vaswani et al. (2017), section 3.5.

    Examples
    --------
    >>> sinusoidal_positions(2, 4, dtype=torch.float32)
    tensor([[0.0000, 1.0000, 0.0000, 1.0000],
            [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    if T < 0 or d_model < 2 or d_model % 2:
        raise ValueError(
            f"T must not be negative and d_model must be a positive even number, but T = {T} and d_model = {d_model}."
        )
    t = torch.arange(T, device=device, dtype=dtype)[:, None]  # (T, 1)
    even = torch.arange(0, d_model, 2, device=device, dtype=dtype)  # (d/2,): 2l
    angles = t * base ** (-even / d_model)  # (T, 1) (d/2,) -> (T, d/2)
    pairs = torch.stack((angles.sin(), angles.cos()), dim=-1)  # (T, d/2) -> (T, d/2, 2)
    return pairs.flatten(-2)  # (T, d/2, 2) -> (T, d)


def attention_entropy(weights: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch"]:
    r"""Return how undecided each row of attention is, in nats.

    .. math:: H(a) = -\sum_j a_j \log a_j, \qquad 0 \log 0 = 0

    Parameters
    ----------
    weights : tensor of shape (*batch, S)
        Shares that sum to 1 along the last axis.

    Returns
    -------
    tensor of shape (*batch,)
        From 0 (one winner) to log S (no preference).

    Examples
    --------
    >>> attention_entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    tensor([0.0000, 0.6931])
    """
    require_floating(weights=weights)
    return torch.special.entr(weights).sum(dim=-1)  # (*batch, S) -> (*batch,)


def softmax_jacobian(weights: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch S S"]:
    r"""Return the derivatives of softmax by its scores, given its result.

    .. math:: \partial a_i / \partial s_j = a_i (\delta_{ij} - a_j)

    Parameters
    ----------
    weights : tensor of shape (*batch, S)
        a, a result of softmax.

    Returns
    -------
    tensor of shape (*batch, S, S)
        Symmetric; every row sums to 0. It vanishes as a becomes one-hot: a softmax that has decided no longer learns.

    Notes
    -----
    S^2 numbers for each row of attention: for looking, not for training.

    Examples
    --------
    >>> softmax_jacobian(torch.tensor([0.5, 0.5]))
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    require_floating(weights=weights)
    outer = weights[..., :, None] * weights[..., None, :]  # (*batch, S) -> (*batch, S, S)
    return torch.diag_embed(weights) - outer


def additive_scores(
    q: Float[Tensor, "*batch T d_q"],
    k: Float[Tensor, "*batch S d_k"],
    W_q: Float[Tensor, "d_q r"],
    W_k: Float[Tensor, "d_k r"],
    w: Float[Tensor, " r"],
) -> Float[Tensor, "*batch T S"]:
    r"""Return the scores of additive attention: a small network compares each query with each key.

    .. math:: s_{ij} = w \cdot \tanh(q_i W_q + k_j W_k)

    Parameters
    ----------
    q : tensor of shape (*batch, T, d_q)
        In translation, the decoder's state before each word.
    k : tensor of shape (*batch, S, d_k)
        In translation, one annotation for each word of the source.
    W_q : tensor of shape (d_q, r)
    W_k : tensor of shape (d_k, r)
    w : tensor of shape (r,)

    Returns
    -------
    tensor of shape (*batch, T, S)
        Between -sum(abs(w)) and sum(abs(w)).

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Memory for T S r numbers, r times that of `attention_scores`: the comparison is no matrix product.

    Source: Bahdanau, Cho and Bengio (2014), the alignment model.

    Examples
    --------
    >>> one = torch.ones(1, 1)
    >>> additive_scores(one, torch.tensor([[-1.0], [0.0]]), one, one, torch.tensor([2.0]))
    tensor([[0.0000, 1.5232]])
    """
    require_shapes(q=(q, "... T d_q"), W_q=(W_q, "d_q r"), w=(w, "r"))
    require_shapes(k=(k, "... S d_k"), W_k=(W_k, "d_k r"), w=(w, "r"))
    _require_same_batch(q=q, k=k)
    pairs = (q @ W_q)[..., :, None, :] + (k @ W_k)[
        ..., None, :, :
    ]  # (*batch, T, r), (*batch, S, r) -> (*batch, T, S, r)
    return pairs.tanh() @ w  # (*batch, T, S, r) (r,) -> (*batch, T, S)


def gaussian_smoother(
    q: Float[Tensor, "*batch T d_k"],
    k: Float[Tensor, "*batch S d_k"],
    v: Float[Tensor, "*batch S d_v"],
    bandwidth: float,
) -> Float[Tensor, "*batch T d_v"]:
    r"""Return for each query the average of the values, weighted by a Gaussian in the distance to their keys.

    .. math::
        y_i = \frac{\sum_j \kappa_{ij} v_j}{\sum_j \kappa_{ij}}, \qquad
        \kappa_{ij} = e^{-\|q_i - k_j\|^2 / (2 h^2)}

    This is kernel regression (Nadaraya and Watson, 1964). With keys of equal length and :math:`h^2 = \sqrt{d_k}` it is
    scaled dot-product attention.

    Parameters
    ----------
    q : tensor of shape (*batch, T, d_k)
    k : tensor of shape (*batch, S, d_k)
    v : tensor of shape (*batch, S, d_v)
    bandwidth : float
        h, in the units of q and k: keys much farther away than this hardly count.

    Returns
    -------
    tensor of shape (*batch, T, d_v)
        Every row lies in the convex hull of the values.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the bandwidth is not positive.

    Examples
    --------
    >>> gaussian_smoother(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]]), torch.tensor([[4.0], [8.0]]), bandwidth=1.0)
    tensor([[6.]])
    """
    require_shapes(q=(q, "... T d_k"), k=(k, "... S d_k"), v=(v, "... S d_v"))
    _require_same_batch(q=q, k=k, v=v)
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be positive, but it is {bandwidth}.")
    gaps = q[..., :, None, :] - k[..., None, :, :]  # (*batch, T, d_k), (*batch, S, d_k) -> (*batch, T, S, d_k)
    scores = -gaps.square().sum(dim=-1) / (2 * bandwidth**2)  # (*batch, T, S, d_k) -> (*batch, T, S)
    return torch.softmax(scores, dim=-1) @ v  # (*batch, T, S) (*batch, S, d_v) -> (*batch, T, d_v)
