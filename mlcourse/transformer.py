"""A GPT: tokens in, logits of the next token out, everything in between adds to one stream.

Rows are positions: tokens are (*batch, T), the residual stream is (*batch, T, C). The weights are tensors in a dict:

    W_E (V, C)  embedding, and transposed the unembedding     gain, shift (C,)  the last norm
    W_P (T_max, C)  one vector for each position              blocks  a list of dicts, one for each block

    gain_1, shift_1 (C,)   W_Q, W_K, W_V, W_O (C, C)                 the half of a block that attends
    gain_2, shift_2 (C,)   W_1 (C, D), b_1 (D,), W_2 (D, C), b_2 (C,)  the half that works row by row
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from mlcourse.attention import causal_mask, merge_heads, multi_head_attention, sinusoidal_positions, split_heads
from mlcourse.validation import require_floating, require_shapes

__all__ = [
    "GPT",
    "GPTConfig",
    "LayerCache",
    "causal_attention",
    "count_flops_and_parameters",
    "embed_tokens_and_positions",
    "encoder_block",
    "feed_forward",
    "generate_with_cache",
    "gpt_forward",
    "init_weights",
    "language_model_loss",
    "leaves",
    "macaron_block",
    "parallel_block",
    "post_norm_block",
    "pre_norm_block",
    "random_windows",
    "sample",
    "sandwich_stack",
    "train",
]

Weights = dict[str, Any]


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT: V tokens, T_max positions, C channels, N heads, L blocks."""

    n_tokens: int
    T_max: int
    width: int
    n_heads: int
    n_layers: int

    def __post_init__(self) -> None:
        if min(self.n_tokens, self.T_max, self.width, self.n_heads) < 1 or self.n_layers < 0:
            raise ValueError(f"Sizes must be positive, but they are {self}.")
        if self.width % self.n_heads:
            raise ValueError(f"width = {self.width} but n_heads = {self.n_heads}: it must be a multiple of n_heads.")


# From tokens to the stream


def embed_tokens_and_positions(
    tokens: Int[Tensor, "*batch T"], W_E: Float[Tensor, "V C"], W_P: Float[Tensor, "T_max C"], start: int = 0
) -> Float[Tensor, "*batch T C"]:
    r"""Return the stream before the first block: a row for the token plus a row for its place.

    .. math:: x_t = W_E[\text{token}_t] + W_P[\text{start} + t]

    Parameters
    ----------
    tokens : integer tensor of shape (*batch, T)
        Numbers from 0 to V - 1.
    W_E, W_P : tensors of shape (V, C) and (T_max, C)
    start : int
        The place of the first token; with a cache, the number of tokens before it.

    Raises
    ------
    ValueError
        If the widths differ, or the last place is beyond T_max. (An unknown token is an IndexError of torch.)

    Notes
    -----
    Looking up row i is the product of a one-hot row with W_E; it costs no multiplication.

    Source: Vaswani et al. (2017), sections 3.4 and 3.5; learned positions as in Radford et al. (2018).

    Examples
    --------
    >>> embed_tokens_and_positions(torch.tensor([1, 1]), torch.eye(2), torch.tensor([[0.0, 5.0], [7.0, 0.0]]))
    tensor([[0., 6.],
            [7., 1.]])
    """
    T_max = require_shapes(W_E=(W_E, "V C"), W_P=(W_P, "T_max C"))["T_max"]
    stop = start + tokens.shape[-1]
    if start < 0 or stop > T_max:
        raise ValueError(f"The tokens stand at places {start} to {stop - 1}, but W_P has T_max = {T_max} rows.")
    return W_E[tokens] + W_P[start:stop]  # (*batch, T) -> (*batch, T, C); (T, C) is the same for the whole batch


# The two halves of a block


class LayerCache:
    """The keys and values that one block has computed for the positions so far.

    Parameters
    ----------
    T_max : int
        Room for so many positions; the memory is taken at the first use: 2 B N T_max H numbers.
    """

    def __init__(self, T_max: int) -> None:
        self.T_max, self.length = T_max, 0

    def extend(
        self, k: Float[Tensor, "*batch T H"], v: Float[Tensor, "*batch T H"]
    ) -> tuple[Float[Tensor, "*batch S H"], Float[Tensor, "*batch S H"]]:
        """Append the keys and values of T new positions and return all S of them."""
        start, stop = self.length, self.length + k.shape[-2]
        if stop > self.T_max:
            raise ValueError(f"The cache has room for T_max = {self.T_max} positions, but {stop} are needed.")
        if start == 0:
            self.k, self.v = (x.new_empty(*x.shape[:-2], self.T_max, x.shape[-1]) for x in (k, v))
        self.k[..., start:stop, :], self.v[..., start:stop, :] = k, v
        self.length = stop
        return self.k[..., :stop, :], self.v[..., :stop, :]


def causal_attention(
    x: Float[Tensor, "*batch T C"], block: Weights, n_heads: int, cache: LayerCache | None = None
) -> Float[Tensor, "*batch T C"]:
    """Return what each position reads from itself and the past: `multi_head_attention` with a causal mask, faster.

    The same numbers as ``multi_head_attention(x, x, W_Q, W_K, W_V, W_O, n_heads, causal_mask(T))``. PyTorch's fused
    kernel does not store the T x T shares. With a cache, x holds the newest positions and the cache the older ones.
    """
    q, k, v = (split_heads(x @ block[name], n_heads) for name in ("W_Q", "W_K", "W_V"))  # -> (*batch, N, T, H)
    if cache is not None:
        k, v = cache.extend(k, v)  # (*batch, N, T, H) -> (*batch, N, S, H)
    T, S = q.shape[-2], k.shape[-2]
    if T == S:
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:  # is_causal would align the first query with the first key; ours aligns the last with the last
        mask = None if T == 1 else causal_mask(T, S, device=x.device)  # the newest position alone sees everything
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return merge_heads(heads) @ block["W_O"]  # (*batch, N, T, H) -> (*batch, T, C)


def feed_forward(x: Float[Tensor, "*batch C"], block: Weights) -> Float[Tensor, "*batch C"]:
    r"""Return the two-layer network of a block, the same for every row.

    .. math:: \operatorname{ff}(x) = \operatorname{gelu}(x W_1 + b_1)\, W_2 + b_2
    """
    hidden = F.gelu(x @ block["W_1"] + block["b_1"])  # (*batch, C) (C, D) -> (*batch, D)
    return hidden @ block["W_2"] + block["b_2"]  # (*batch, D) (D, C) -> (*batch, C)


def norm(x: Float[Tensor, "*batch C"], gain: Float[Tensor, " C"], shift: Float[Tensor, " C"]) -> Float[Tensor, "*b C"]:
    """Return layer norm: each row with mean 0 and variance 1 (nearly: eps = 1e-5), then times gain plus shift."""
    return F.layer_norm(x, gain.shape, gain, shift)


# Blocks: how the halves are put together


def pre_norm_block(
    x: Float[Tensor, "*batch T C"], block: Weights, n_heads: int, cache: LayerCache | None = None
) -> Float[Tensor, "*batch T C"]:
    r"""Return the stream after one block of GPT-2: attend, then work row by row; each half reads a normed copy.

    .. math::
        m = x + \operatorname{att}(\operatorname{norm}_1(x)), \qquad
        y = m + \operatorname{ff}(\operatorname{norm}_2(m))

    Parameters
    ----------
    x : tensor of shape (*batch, T, C)
    block : dict of tensors
        As in the head of this module; D may be any width.
    n_heads : int
        N; each head has H = C / N channels.
    cache : LayerCache, optional
        Keys and values of older positions; it grows by T.

    Raises
    ------
    TypeError, ValueError
        If the dtype or a shape does not fit; the message names both sides.

    Source: Radford et al. (2019), section 2.3.

    Examples
    --------
    >>> config = GPTConfig(n_tokens=5, T_max=4, width=6, n_heads=2, n_layers=1)
    >>> block = init_weights(config, generator=torch.Generator().manual_seed(0))["blocks"][0]
    >>> pre_norm_block(torch.ones(3, 4, 6), block, n_heads=2).shape
    torch.Size([3, 4, 6])
    """
    require_floating(x=x)
    require_shapes(x=(x, "... T C"), W_Q=(block["W_Q"], "C N*H"), W_1=(block["W_1"], "C D"), W_2=(block["W_2"], "D C"))
    x = x + causal_attention(norm(x, block["gain_1"], block["shift_1"]), block, n_heads, cache)
    return x + feed_forward(norm(x, block["gain_2"], block["shift_2"]), block)


def post_norm_block(x: Float[Tensor, "*batch T C"], block: Weights, n_heads: int) -> Float[Tensor, "*batch T C"]:
    r"""Return the stream after one block of 2017: the sum itself is normed, :math:`m = norm_1(x + att(x))`."""
    x = norm(x + causal_attention(x, block, n_heads), block["gain_1"], block["shift_1"])
    return norm(x + feed_forward(x, block), block["gain_2"], block["shift_2"])


def parallel_block(x: Float[Tensor, "*batch T C"], block: Weights, n_heads: int) -> Float[Tensor, "*batch T C"]:
    r"""Return the stream after one block of GPT-J: both halves read the same norm of x, and both results are added."""
    normed = norm(x, block["gain_1"], block["shift_1"])
    return x + causal_attention(normed, block, n_heads) + feed_forward(normed, block)


def macaron_block(
    x: Float[Tensor, "*batch T C"], block: Weights, before: Weights, n_heads: int
) -> Float[Tensor, "*batch T C"]:
    """Return the stream after half a feed-forward, attention, half a feed-forward (Lu et al., 2019).

    ``before`` holds gain_2, shift_2, W_1, b_1, W_2, b_2 of the first feed-forward network.
    """
    x = x + 0.5 * feed_forward(norm(x, before["gain_2"], before["shift_2"]), before)
    x = x + causal_attention(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
    return x + 0.5 * feed_forward(norm(x, block["gain_2"], block["shift_2"]), block)


def sandwich_stack(
    x: Float[Tensor, "*batch T C"], blocks: list[Weights], n_heads: int, k: int
) -> Float[Tensor, "*batch T C"]:
    """Return the stream after all halves in the order s^k (s f)^(L-k) f^k (Press, Smith and Levy, 2020).

    s is an attention half, f a feed-forward half. With k = 0 the blocks are those of `pre_norm_block`.
    """
    L = len(blocks)
    if not 0 <= k <= L:
        raise ValueError(f"k = {k} but there are {L} blocks: k must lie between 0 and {L}.")
    order = "s" * k + "sf" * (L - k) + "f" * k
    halves = {"s": iter(blocks), "f": iter(blocks)}
    for kind in order:
        block = next(halves[kind])
        if kind == "s":
            x = x + causal_attention(norm(x, block["gain_1"], block["shift_1"]), block, n_heads)
        else:
            x = x + feed_forward(norm(x, block["gain_2"], block["shift_2"]), block)
    return x


def encoder_block(
    x: Float[Tensor, "*batch T C"], block: Weights, n_heads: int, mask: Bool[Tensor, "*mask"] | None = None
) -> Float[Tensor, "*batch T C"]:
    """Return the stream after one block in which every position may see every other, or what the mask allows."""
    normed = norm(x, block["gain_1"], block["shift_1"])
    W_Q, W_K, W_V, W_O = (block[name] for name in ("W_Q", "W_K", "W_V", "W_O"))
    x = x + multi_head_attention(normed, normed, W_Q, W_K, W_V, W_O, n_heads, mask)
    return x + feed_forward(norm(x, block["gain_2"], block["shift_2"]), block)


# The whole model


def init_weights(
    config: GPTConfig,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Weights:
    """Return the weights of an untrained GPT, with D = 4 C.

    Matrices are normal with variance 1 / inputs, so that each map keeps the size of a row. The 2 L maps that write into
    the stream are divided by sqrt(2 L) more: what they add together then has the size of one row. A token's row has
    length 1 on average. Places start as the sines and cosines of 2017, rows of length 2, so that a head finds the
    neighbor early; then they are learned. C must be even. The generator must live where the weights are created.
    """
    C, D = config.width, 4 * config.width

    def matrix(n_in: int, n_out: int, variance: float) -> Tensor:
        draw = torch.empty(n_in, n_out, device=device, dtype=dtype)
        return draw.normal_(generator=generator) * sqrt(variance)

    def constant(value: float, n: int = C) -> Tensor:
        return torch.full((n,), value, device=device, dtype=dtype)

    def block() -> Weights:
        written = 1 / (2 * config.n_layers)
        return {
            "gain_1": constant(1.0),
            "shift_1": constant(0.0),
            **{name: matrix(C, C, 1 / C) for name in ("W_Q", "W_K", "W_V")},
            "W_O": matrix(C, C, written / C),
            "gain_2": constant(1.0),
            "shift_2": constant(0.0),
            "W_1": matrix(C, D, 1 / C),
            "b_1": constant(0.0, D),
            "W_2": matrix(D, C, written / D),
            "b_2": constant(0.0),
        }

    return {
        "W_E": matrix(config.n_tokens, C, 1 / C),
        "W_P": sinusoidal_positions(config.T_max, C, device=device, dtype=dtype or torch.get_default_dtype())
        * sqrt(8 / C),
        "blocks": [block() for _ in range(config.n_layers)],
        "gain": constant(1.0),
        "shift": constant(0.0),
    }


def leaves(weights: Weights) -> list[Tensor]:
    """Return every tensor of the weights, in their order."""
    blocks = [tensor for block in weights["blocks"] for tensor in block.values()]
    return [tensor for name, tensor in weights.items() if name != "blocks"] + blocks


def gpt_forward(
    tokens: Int[Tensor, "*batch T"], weights: Weights, n_heads: int, cache: list[LayerCache] | None = None
) -> Float[Tensor, "*batch T V"]:
    r"""Return for every prefix the logits of the token that follows it.

    .. math:: x_0 = W_E[\text{tokens}] + W_P, \quad x_l = \operatorname{block}_l(x_{l-1}), \quad
        \text{logits} = \operatorname{norm}(x_L)\, W_E^\top

    Parameters
    ----------
    tokens : integer tensor of shape (*batch, T)
    weights : dict
        As in the head of this module.
    n_heads : int
    cache : list of LayerCache, optional
        One for each block. ``tokens`` are then the newest ones, and follow those in the cache.

    Returns
    -------
    tensor of shape (*batch, T, V)
        Row t depends on the tokens 0 to t alone. Softmax makes probabilities of it.

    Notes
    -----
    About 2 P multiplications and additions for each token and P weights in products, and 4 T C for each block more:
    see `count_flops_and_parameters`. The unembedding is tied to the embedding, as in GPT-2.

    Source: Radford et al. (2018, 2019).
    """
    x = embed_tokens_and_positions(tokens, weights["W_E"], weights["W_P"], cache[0].length if cache else 0)
    for layer, block in enumerate(weights["blocks"]):
        x = pre_norm_block(x, block, n_heads, cache[layer] if cache else None)
    return norm(x, weights["gain"], weights["shift"]) @ weights["W_E"].mT  # (*batch, T, C) (C, V) -> (*batch, T, V)


class GPT(torch.nn.Module):
    """`gpt_forward` with weights that can be learned.

    Parameters
    ----------
    config : GPTConfig
    generator, device, dtype : optional
        As in `init_weights`. The module never moves its input.

    Examples
    --------
    >>> model = GPT(GPTConfig(n_tokens=7, T_max=8, width=6, n_heads=2, n_layers=2))
    >>> model(torch.zeros(3, 5, dtype=torch.int64)).shape
    torch.Size([3, 5, 7])
    """

    def __init__(
        self,
        config: GPTConfig,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        drawn = init_weights(config, generator=generator, device=device, dtype=dtype)
        self.blocks = torch.nn.ModuleList(torch.nn.ParameterDict(block) for block in drawn.pop("blocks"))
        self.outside = torch.nn.ParameterDict(drawn)

    @property
    def weights(self) -> Weights:
        """The parameters as the dict that the functions of this module take."""
        return {**self.outside, "blocks": [dict(block.items()) for block in self.blocks]}  # type: ignore[operator]

    def forward(
        self, tokens: Int[Tensor, "*batch T"], cache: list[LayerCache] | None = None
    ) -> Float[Tensor, "*batch T V"]:
        """Return for every prefix the logits of the token that follows it."""
        return gpt_forward(tokens, self.weights, self.config.n_heads, cache)


# Learning


def language_model_loss(logits: Float[Tensor, "*batch T V"], targets: Int[Tensor, "*batch T"]) -> Float[Tensor, ""]:
    r"""Return the mean surprise at the tokens that came, in nats a token.

    .. math:: \mathcal{L} = -\frac{1}{B T} \sum_{b,t} \log \operatorname{softmax}(\text{logits}_{b,t})_{y_{b,t}}

    Parameters
    ----------
    logits : tensor of shape (*batch, T, V)
    targets : integer tensor of shape (*batch, T)
        Position t holds the token that follows position t of the input.

    Raises
    ------
    ValueError
        If the positions differ, or there are none.

    Examples
    --------
    >>> language_model_loss(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]))
    tensor(1.3863)
    """
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"logits has positions {tuple(logits.shape[:-1])} but targets has shape {tuple(targets.shape)}."
        )
    if targets.numel() == 0:
        raise ValueError("There are no targets: a mean of nothing has no value.")
    flat = logits.reshape(-1, logits.shape[-1])  # (*batch, T, V) -> (B T, V)
    return F.cross_entropy(flat, targets.reshape(-1))  # (*batch, T) -> (B T,)


def random_windows(
    tokens: Int[Tensor, " n"], T: int, batch: int, generator: torch.Generator
) -> Iterator[tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]]:
    """Yield batches of windows of T + 1 tokens without end: the first T as input, the last T as targets."""
    if len(tokens) < T + 1:
        raise ValueError(f"A window needs T + 1 = {T + 1} tokens, but there are {len(tokens)}.")
    offsets = torch.arange(T + 1, device=tokens.device)
    while True:
        starts = torch.randint(len(tokens) - T, (batch, 1), generator=generator, device=generator.device)
        windows = tokens[starts.to(tokens.device) + offsets]  # (B, 1) (T + 1,) -> (B, T + 1)
        yield windows[:, :-1], windows[:, 1:]


def train(
    predict: Callable[[Tensor], Tensor],
    parameters: Iterable[Tensor],
    batches: Iterator[tuple[Tensor, Tensor]],
    *,
    steps: int,
    learning_rate: float,
    loss: Callable[[Tensor, Tensor], Tensor] = language_model_loss,
    warmup: int = 20,
    weight_decay: float = 0.1,
    bf16: bool = False,
    progress: bool = True,
    after_step: Callable[[int], None] | None = None,
) -> Float[np.ndarray, " steps"]:
    """Fit by AdamW, with a rate that rises for ``warmup`` steps and falls in a line to 0, and return every loss.

    Parameters
    ----------
    predict : callable
        (B, T) tokens -> (B, T, V) logits, a function of the parameters.
    parameters : tensors
        Changed in place. Weight decay acts on matrices alone.
    batches : iterator of (input, targets)
    bf16 : bool
        Compute products in bfloat16 where autocast does so; the weights stay as they are.
    after_step : callable, optional
        Called with the number of steps done.
    """
    learned = [p.requires_grad_() for p in parameters]
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    device = learned[0].device.type
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.99), fused=device in ("cpu", "cuda"))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(steps - warmup, 1))
    )
    losses = []
    for done in tqdm(range(1, steps + 1), disable=not progress, unit="step", mininterval=1.0):
        x, y = next(batches)
        with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
            value = loss(predict(x), y)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(value.detach())
        if after_step:
            after_step(done)
    return torch.stack(losses).float().cpu().numpy() if losses else np.zeros(0, np.float32)


# Writing


def sample(
    logits: Float[Tensor, "*batch V"],
    u: Float[Tensor, "*batch"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch V"]]:
    r"""Draw one token from each row of logits, and return also the probabilities from which it was drawn.

    First :math:`p = \operatorname{softmax}(\text{logits} / \tau)`. Then the ``top_k`` most probable tokens are kept;
    then, of what is left and rescaled, the fewest most probable tokens whose sum reaches ``top_p``. The rest becomes 0
    and the kept ones are rescaled to sum 1. The token drawn is the first whose running sum of p exceeds u.

    Parameters
    ----------
    logits : tensor of shape (*batch, V)
    u : tensor of shape (*batch)
        One uniform number from [0, 1) for each row: all the randomness there is.
    temperature : float
        tau > 0. Below 1 the likely become likelier, above 1 all become alike.
    top_k : int, optional
        At least 1. Of tied tokens the first ones are kept.
    top_p : float, optional
        In (0, 1]. At least one token is kept, and the token that crosses top_p is kept.

    Returns
    -------
    tokens : integer tensor of shape (*batch)
    probabilities : tensor of shape (*batch, V)

    Raises
    ------
    ValueError
        If a setting lies outside its range.

    Examples
    --------
    >>> logits = torch.tensor([0.5, 0.1, 0.4]).log()
    >>> sample(logits, torch.tensor(0.6), top_k=2)
    (tensor(2), tensor([0.5556, 0.0000, 0.4444]))
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be positive. For the likeliest token take top_k = 1.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; at least 1 token must be kept.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; it must lie in (0, 1].")
    highest = logits.amax(-1, keepdim=True)
    p = torch.softmax((logits - highest) / temperature, dim=-1)  # the shift keeps a tiny temperature from overflow
    ranked, order = p.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ranked = ranked.where(torch.arange(p.shape[-1], device=p.device) < top_k, 0.0)
        ranked = ranked / ranked.sum(-1, keepdim=True)
    if top_p is not None:
        before = ranked.cumsum(-1) - ranked  # what the more probable ones sum to
        ranked = ranked.where(before < top_p, 0.0)
        ranked = ranked / ranked.sum(-1, keepdim=True)
    p = torch.zeros_like(p).scatter(-1, order, ranked)  # back to the order of the vocabulary
    sums = p.cumsum(-1)
    total = sums[..., -1:].contiguous()  # 1 up to rounding
    drawn = torch.searchsorted(sums, u[..., None] * total, right=True)  # (*batch, V) (*batch, 1) -> (*batch, 1)
    last = torch.searchsorted(sums, total)  # the last token that was kept
    return drawn.minimum(last)[..., 0], p  # (*batch, 1) -> (*batch,)


@torch.no_grad()
def generate_with_cache(
    prompt: Int[Tensor, "B T"],
    weights: Weights,
    n_heads: int,
    n_new: int,
    u: Float[Tensor, "B {n_new}"] | None = None,
    **settings: Any,
) -> tuple[Int[Tensor, "B T+{n_new}"], Float[Tensor, "B {n_new} V"]]:
    """Write n_new tokens after the prompt; each token passes the network once, the past comes from a cache.

    Parameters
    ----------
    prompt : integer tensor of shape (B, T), T >= 1
    weights, n_heads
        As in `gpt_forward`.
    n_new : int
    u : tensor of shape (B, n_new), optional
        Uniform numbers for `sample`. Without them the likeliest token is taken.
    **settings
        ``temperature``, ``top_k`` and ``top_p`` of `sample`.

    Returns
    -------
    tokens : integer tensor of shape (B, T + n_new)
        The prompt and what follows.
    logits : tensor of shape (B, n_new, V)
        From which each new token was chosen.

    Raises
    ------
    ValueError
        If the prompt is empty, or prompt and new tokens do not fit into T_max places.

    Notes
    -----
    A step costs one row of products and a look at S keys; without a cache it would cost S rows. The last new token is
    never fed back, so T + n_new - 1 places are enough.
    """
    T_max, needed = weights["W_P"].shape[0], prompt.shape[-1] + n_new - 1
    if prompt.shape[-1] < 1 or n_new < 0:
        raise ValueError(f"The prompt has T = {prompt.shape[-1]} tokens and n_new = {n_new}: at least 1 and 0, please.")
    if needed > T_max:
        raise ValueError(f"T + n_new - 1 = {needed} places are needed, but W_P has T_max = {T_max} rows.")
    cache = [LayerCache(T_max) for _ in weights["blocks"]]
    newest, tokens, logits = prompt, [prompt], []
    for step in range(n_new):
        row = gpt_forward(newest, weights, n_heads, cache)[:, -1]  # (B, T, V) -> (B, V)
        chosen = row.argmax(-1) if u is None else sample(row, u[:, step], **settings)[0]
        newest = chosen[:, None]  # (B,) -> (B, 1)
        tokens.append(newest)
        logits.append(row)
    empty = weights["W_E"].new_zeros(len(prompt), 0, weights["W_E"].shape[0])
    return torch.cat(tokens, 1), torch.stack(logits, 1) if logits else empty


def count_flops_and_parameters(V: int, C: int, L: int, T_max: int, T: int, B: int = 1) -> tuple[int, int]:
    r"""Return the multiplications and additions of one forward pass over (B, T) tokens, and the learned numbers.

    .. math::
        \text{flops} = 2 B \bigl(L\,(12\, T C^2 + 2\, T^2 C) + T C V\bigr), \qquad
        \text{parameters} = V C + T_{\max} C + L\,(12\, C^2 + 9\, C) + 2\, C

    Matrix products alone are counted, a multiplication and an addition for each pair of numbers; attention counts all
    T^2 pairs, as PyTorch's counter does. D = 4 C, and the embedding is tied.

    Examples
    --------
    >>> count_flops_and_parameters(V=66, C=128, L=4, T_max=128, T=128)[1]
    816128
    """
    if min(V, C, T_max, T, B) < 1 or L < 0:
        raise ValueError(f"Sizes must be positive, but V = {V}, C = {C}, L = {L}, T_max = {T_max}, T = {T}, B = {B}.")
    if T_max < T:
        raise ValueError(f"T = {T} but T_max = {T_max}: there are not so many places.")
    projections, feed, pairs = 4 * C * C, 2 * C * 4 * C, 2 * T * C  # multiplications for each token and block
    flops = 2 * B * T * (L * (projections + feed + pairs) + C * V)
    block = projections + feed + 4 * C + 4 * C + C  # matrices, two norms, two biases
    return flops, V * C + T_max * C + L * block + 2 * C
