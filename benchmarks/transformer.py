"""A GPT against one made of PyTorch's own layers, and writing with and without a cache.

Run it with ``python -m benchmarks.transformer``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.timing import compare
from mlcourse.attention import causal_mask
from mlcourse.transformer import GPT, GPTConfig, LayerCache, generate_with_cache, gpt_forward, language_model_loss

V = 66
LONG = 1000


class Peer(torch.nn.Module):
    """The same model from torch.nn.Embedding and torch.nn.TransformerEncoder, as a user would write it."""

    def __init__(self, config: GPTConfig, ours: GPT) -> None:
        super().__init__()
        C = config.width
        self.tokens = torch.nn.Embedding(config.n_tokens, C)
        self.places = torch.nn.Embedding(config.T_max, C)
        layer = torch.nn.TransformerEncoderLayer(
            C, config.n_heads, 4 * C, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        last = torch.nn.LayerNorm(C)
        self.stack = torch.nn.TransformerEncoder(layer, config.n_layers, norm=last, enable_nested_tensor=False)
        self.register_buffer("hidden", ~causal_mask(config.T_max))
        self.load_state_dict(peer_state(ours.weights), strict=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of every prefix."""
        T = tokens.shape[1]
        x = self.tokens(tokens) + self.places.weight[:T]
        x = self.stack(x, mask=self.hidden[:T, :T], is_causal=True)
        return x @ self.tokens.weight.mT


def peer_state(weights: dict[str, Any]) -> dict[str, Tensor]:
    """Return our weights under the names of the peer; its biases in attention become 0."""
    state = {
        "tokens.weight": weights["W_E"],
        "places.weight": weights["W_P"],
        "stack.norm.weight": weights["gain"],
        "stack.norm.bias": weights["shift"],
    }
    for i, block in enumerate(weights["blocks"]):
        own = {
            "self_attn.in_proj_weight": torch.cat([block[name].mT for name in ("W_Q", "W_K", "W_V")]),
            "self_attn.in_proj_bias": torch.zeros(3 * len(block["W_O"])),
            "self_attn.out_proj.weight": block["W_O"].mT,
            "self_attn.out_proj.bias": torch.zeros(len(block["W_O"])),
            **{f"linear{n}.weight": block[f"W_{n}"].mT for n in (1, 2)},
            **{f"linear{n}.bias": block[f"b_{n}"] for n in (1, 2)},
            **{f"norm{n}.weight": block[f"gain_{n}"] for n in (1, 2)},
            **{f"norm{n}.bias": block[f"shift_{n}"] for n in (1, 2)},
        }
        state.update({f"stack.layers.{i}.{name}": value for name, value in own.items()})
    return {name: value.detach().clone().contiguous() for name, value in state.items()}


def training_step(model: torch.nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Return one whole step: forward, backward, clipping, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, fused=True)  # the weights stay: every step is the same

    def step() -> None:
        optimizer.zero_grad()
        language_model_loss(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def training_rows(generator: torch.Generator) -> list[tuple]:
    rows = []
    for T, width, layers, batch in [(64, 96, 3, 12), (128, 128, 4, 32)]:
        config = GPTConfig(V, T, width, 4, layers)
        ours = GPT(config, generator=generator)
        peer = Peer(config, ours)
        tokens = torch.randint(V, (batch, T + 1), generator=generator)
        x, y = tokens[:, :-1], tokens[:, 1:]
        torch.testing.assert_close(ours(x), peer(x), rtol=1e-4, atol=1e-4)
        result = compare(training_step(ours, x, y), training_step(peer, x, y), repeats=9)
        rows.append(
            (f"training step, {layers} layers, {width} wide, T {T}, B {batch}", "nn.TransformerEncoder", *result)
        )
    return rows


@torch.no_grad()
def writing_rows(generator: torch.Generator) -> list[tuple]:
    config = GPTConfig(V, LONG + 24, 128, 4, 4)
    weights = GPT(config, generator=generator).weights
    prompt = torch.randint(V, (1, LONG), generator=generator)
    tokens, cached = generate_with_cache(prompt, weights, 4, 5)
    whole = gpt_forward(tokens[:, :-1], weights, 4)[:, LONG - 1 :]
    torch.testing.assert_close(cached, whole, rtol=1e-4, atol=1e-4)

    caches = [LayerCache(config.T_max) for _ in weights["blocks"]]
    gpt_forward(prompt, weights, 4, caches)
    newest = tokens[:, LONG : LONG + 1]

    def with_cache() -> Tensor:
        for cache in caches:
            cache.length = LONG  # the same place each time
        return gpt_forward(newest, weights, 4, caches)

    def without_cache() -> Tensor:
        return gpt_forward(tokens[:, : LONG + 1], weights, 4)[:, -1:]

    torch.testing.assert_close(with_cache(), without_cache(), rtol=1e-4, atol=1e-4)
    result = compare(with_cache, without_cache, repeats=9)
    return [(f"one more token at T = {LONG:,}, with a cache", "the same model without", *result)]


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    generator = torch.Generator().manual_seed(0)
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        rows = training_rows(generator) + writing_rows(generator)
    columns = ["workload", "peer", "ours, ms", "peer, ms", "ratio"]
    print(tabulate(rows, columns, floatfmt=("", "", ".2f", ".2f", ".3f")))


if __name__ == "__main__":
    main()
