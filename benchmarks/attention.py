"""Attention against PyTorch's own, forward only: ``python -m benchmarks.attention``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention as torch_attention

from benchmarks.timing import compare
from mlcourse.attention import MultiHeadAttention, causal_mask, multi_head_attention, scaled_dot_product_attention

N_HEADS, D_HEAD = 8, 64
D_MODEL = N_HEADS * D_HEAD

Pair = tuple[str, str, Callable[[], Tensor], Callable[[], Tensor]]


def attention_pairs(T: int, dtype: torch.dtype, generator: torch.Generator) -> Iterator[Pair]:
    """Yield what we time, the name of the peer, our side and the peer's side, for attention alone."""
    q, k, v = torch.randn(3, 1, N_HEADS, T, D_HEAD, dtype=dtype, generator=generator)  # each (1, N, T, H)
    mask = causal_mask(T)  # (T, T)

    def ours() -> Tensor:
        return scaled_dot_product_attention(q, k, v, mask)

    name = "scaled_dot_product_attention"
    yield name, "torch, same mask", ours, lambda: torch_attention(q, k, v, attn_mask=mask)
    yield name, "torch, is_causal", ours, lambda: torch_attention(q, k, v, is_causal=True)


def multi_head_pairs(T: int, dtype: torch.dtype, generator: torch.Generator) -> Iterator[Pair]:
    """Yield what we time, the name of the peer, our side and the peer's side, for self-attention with projections."""
    x = torch.randn(1, T, D_MODEL, dtype=dtype, generator=generator)  # (1, T, d)
    mask = causal_mask(T)  # (T, T), True = visible
    hidden = ~mask  # the convention of torch.nn.MultiheadAttention
    weights = MultiHeadAttention(D_MODEL, N_HEADS, generator=generator, dtype=dtype)
    W_Q, W_K, W_V, W_O = weights.W_Q, weights.W_K, weights.W_V, weights.W_O  # each (d, d)

    def ours() -> Tensor:
        return multi_head_attention(x, x, W_Q, W_K, W_V, W_O, N_HEADS, mask)

    for bias in (True, False):
        layer = torch.nn.MultiheadAttention(D_MODEL, N_HEADS, bias=bias, batch_first=True, dtype=dtype).eval()
        layer.in_proj_weight.copy_(torch.cat([W_Q.mT, W_K.mT, W_V.mT]))  # three times (d, d) -> (3 d, d)
        layer.out_proj.weight.copy_(W_O.mT)  # its biases start at 0, so both sides return the same numbers

        def peer(layer: torch.nn.MultiheadAttention = layer) -> Tensor:
            return layer(x, x, x, attn_mask=hidden, is_causal=True, need_weights=False)[0]

        yield "multi_head_attention", f"MultiheadAttention(bias={bias})", ours, peer


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    rows = []
    generator = torch.Generator().manual_seed(0)
    torch.set_num_threads(1)
    with threadpool_limits(limits=1), torch.inference_mode():
        for make_pairs in (attention_pairs, multi_head_pairs):
            for dtype in (torch.float32, torch.float64):
                for T in (128, 512, 1024):
                    for function, peer_name, ours, peer in make_pairs(T, dtype, generator):
                        torch.testing.assert_close(ours(), peer(), rtol=1e-4, atol=1e-5)
                        workload = f"{function}, {str(dtype).removeprefix('torch.')}, T = {T:,}"
                        rows.append((workload, peer_name, *compare(ours, peer)))
    print(tabulate(rows, ["workload", "peer", "ours, ms", "peer, ms", "ratio"], floatfmt=("", "", ".2f", ".2f", ".2f")))


if __name__ == "__main__":
    main()
