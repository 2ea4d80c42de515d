"""A training step of many toy models against einsum and autograd: ``python -m benchmarks.superposition``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.timing import compare
from mlcourse.superposition import sample_features, toy_gradients

SIZES = [  # instances, features, hidden, batch
    (40, 5, 2, 512),
    (1_600, 2, 1, 256),
    (16, 80, 20, 512),
    (20, 80, 20, 1_024),
]


def draw_ours(sparsity: Tensor, batch: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw with one uniform number for each entry."""
    return sample_features(batch, n, sparsity, generator=generator)


def draw_plainly(sparsity: Tensor, batch: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw a value and, with a second uniform number, whether it is on."""
    values = torch.rand(len(sparsity), batch, n, generator=generator)
    draws = torch.rand(len(sparsity), batch, n, generator=generator)
    return torch.where(draws >= sparsity[:, None, None], values, torch.zeros(()))


def loss_plainly(x: Tensor, W: Tensor, b: Tensor, importance: Tensor) -> Tensor:
    """Return the loss as one would write it down, for autograd."""
    hidden = torch.einsum("kbn,knm->kbm", x, W)
    x_hat = torch.relu(torch.einsum("kbm,knm->kbn", hidden, W) + b[:, None, :])
    return (importance[:, None, :] * (x - x_hat) ** 2).sum(dim=-1).mean(dim=-1).sum()


def gradients_plainly(x: Tensor, W: Tensor, b: Tensor, importance: Tensor) -> tuple[Tensor, ...]:
    """Return the same gradients as `toy_gradients` by autograd."""
    leaves = W.detach().requires_grad_(), b.detach().requires_grad_()
    return torch.autograd.grad(loss_plainly(x, *leaves, importance), leaves)


def sides(K: int, n: int, m: int, batch: int) -> list[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Check that both sides agree and return what is timed: a gradient, and a whole step with data and Adam."""
    generator = torch.Generator().manual_seed(0)
    sparsity, importance = torch.linspace(0, 0.9, K), torch.rand(K, n, generator=generator)
    W, b = torch.randn(K, n, m, generator=generator) / m**0.5, torch.zeros(K, n)
    x = draw_ours(sparsity, batch, n, generator)
    for ours, peer in zip(toy_gradients(x, W, b, importance), gradients_plainly(x, W, b, importance), strict=True):
        torch.testing.assert_close(ours, peer, rtol=1e-4, atol=1e-6)
    W_ours, b_ours = W.clone(), b.clone()
    fused = torch.optim.Adam([W_ours, b_ours], lr=1e-4, fused=True)
    W_peer, b_peer = W.clone().requires_grad_(), b.clone().requires_grad_()
    plain = torch.optim.Adam([W_peer, b_peer], lr=1e-4)

    def our_step() -> None:
        W_ours.grad, b_ours.grad = toy_gradients(draw_ours(sparsity, batch, n, generator), W_ours, b_ours, importance)
        fused.step()

    def plain_step() -> None:
        plain.zero_grad()
        loss_plainly(draw_plainly(sparsity, batch, n, generator), W_peer, b_peer, importance).backward()
        plain.step()

    return [
        ("gradient", lambda: toy_gradients(x, W, b, importance), lambda: gradients_plainly(x, W, b, importance)),
        ("step", our_step, plain_step),
    ]


def main() -> None:
    """Check that both sides agree, time them, and print one table."""
    rows = []
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        for K, n, m, batch in SIZES:
            for what, ours, peer in sides(K, n, m, batch):
                workload = f"{what}, {K:,} models, n = {n}, m = {m}, batch {batch:,}"
                rows.append((workload, "einsum, autograd", *compare(ours, peer)))
    print(tabulate(rows, ["workload", "peer", "ours, ms", "peer, ms", "ratio"], floatfmt=("", "", ".2f", ".2f", ".2f")))


if __name__ == "__main__":
    main()
