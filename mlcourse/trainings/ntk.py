"""Data and measurements of the neural tangent kernel: what training changes, by width and by scale of the output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mlcourse.data import digits
from mlcourse.ntk import (
    RELU,
    TANH,
    Network,
    flat_parameters,
    forward,
    gradient_descent,
    infinite_width_kernel,
    linearized_predictions,
    network_jacobian,
    network_kernel,
    random_network,
    relative_kernel_change,
)
from mlcourse.training import Arrays, Training

__all__ = ["TRAININGS", "Scales", "Widths", "measure_scales", "measure_widths", "parity", "two_digits"]


def two_digits(
    n: int,
    generator: torch.Generator,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "n 64"], Float[Tensor, " n"], Float[Tensor, "n_test 64"], Float[Tensor, " n_test"]]:
    """Return images of handwritten threes (target -1) and eights (+1), n of them to learn from and the rest to test.

    Gray values are divided by their root mean square, so that a squared image has mean 1.

    Parameters
    ----------
    n : int
        Number of training images, below 357.
    generator : torch.Generator
        Decides which images are used for training; on the CPU.
    device, dtype : optional
        Where and how the results are stored.

    Returns
    -------
    X, t, X_test, t_test : tensors of shapes (n, 64), (n,), (357 - n, 64), (357 - n,)

    Examples
    --------
    >>> X, t, X_test, t_test = two_digits(20, torch.Generator().manual_seed(0))
    >>> X.shape, X_test.shape, sorted(set(t.tolist()))
    (torch.Size([20, 64]), torch.Size([337, 64]), [-1.0, 1.0])
    """
    data = digits()
    chosen = (data.y == 3) | (data.y == 8)
    X = torch.tensor(data.X[chosen] / np.sqrt(np.mean(data.X[chosen] ** 2)), device=device, dtype=dtype)
    t = torch.tensor(np.where(data.y[chosen] == 3, -1.0, 1.0), device=device, dtype=dtype)
    order = torch.randperm(len(t), generator=generator).to(X.device)
    return X[order[:n]], t[order[:n]], X[order[n:]], t[order[n:]]


def parity(
    n: int,
    p: int,
    generator: torch.Generator,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Float[Tensor, "n p"], Float[Tensor, " n"]]:
    """Return rows of p random signs, and as target the product of the first two: the other p - 2 say nothing.

    Parameters
    ----------
    n, p : int
        Numbers of examples and of signs, p at least 2.
    generator : torch.Generator
        It must live where the tensors are created.
    device, dtype : optional

    Returns
    -------
    X, t : tensors of shapes (n, p) and (n,), of -1 and 1

    Examples
    --------
    >>> X, t = parity(3, 4, torch.Generator().manual_seed(0))
    >>> bool((t == X[:, 0] * X[:, 1]).all())
    True
    """
    if p < 2:
        raise ValueError(f"parity needs two signs or more, but p = {p}.")
    coin = torch.rand(n, p, generator=generator, device=device, dtype=dtype) < 0.5
    X = torch.where(coin, -1.0, 1.0).to(dtype or torch.get_default_dtype())
    return X, X[:, 0] * X[:, 1]


@dataclass(frozen=True)
class Widths:
    """How the changes in training are measured against the width.

    Attributes
    ----------
    widths : tuple of int
    seeds : int
        Random starts for each width and activation.
    examples : int
        Images of two digits; the same for all.
    steps : int
    rate : float
        Learning rate times the largest eigenvalue of the limit kernel.
    """

    widths: tuple[int, ...] = (16, 64, 256, 1024, 4096)
    seeds: int = 8
    examples: int = 20
    steps: int = 200
    rate: float = 0.5


def measure_widths(settings: Widths, seed: int) -> Arrays:
    """Train nets of several widths for the same time, and return what changed.

    Returns
    -------
    dict of arrays
        ``widths``; ``time``; and for each activation (tanh, ReLU) an array of shape (widths, seeds) of the relative
        change of the kernel, the weights and the Jacobian, of the share of pre-activations that changed their sign
        (gates), of the residual that is left, and of the distance of the first kernel from its limit (ReLU only).
    """
    X, t, _, _ = two_digits(settings.examples, torch.Generator().manual_seed(seed), dtype=torch.float64)
    limit = infinite_width_kernel(X, X)
    rate = settings.rate / float(torch.linalg.eigvalsh(limit)[-1])
    generator = torch.Generator().manual_seed(seed + 1)
    found: dict[str, list[list[float]]] = {}
    jobs = [(phi, m) for phi in (TANH, RELU) for m in settings.widths]
    for activation, width in tqdm(jobs, desc="ntk widths", disable=None):
        rows = []
        for _ in range(settings.seeds):
            net = random_network((X.shape[1], width, 1), generator, activation, dtype=X.dtype)
            changes = _changes(net, X, t, rate, settings.steps)
            if activation is RELU:
                changes["from the limit"] = float(relative_kernel_change(limit, network_kernel(net, X)[:, 0, :, 0]))
            rows.append(changes)
        for name in rows[0]:
            found.setdefault(f"{activation.name} {name}", []).append([row[name] for row in rows])
    arrays = {name: np.array(values) for name, values in found.items()}
    return {"widths": np.array(settings.widths), "time": np.array(rate * settings.steps), **arrays}


def _changes(net: Network, X: Tensor, t: Tensor, rate: float, steps: int) -> dict[str, float]:
    after, outputs = gradient_descent(net, X, t[:, None], rate, steps)
    H, H_after = (network_kernel(which, X)[:, 0, :, 0] for which in (net, after))
    J, J_after = (network_jacobian(which, X)[:, 0] for which in (net, after))
    theta, theta_after = flat_parameters(net), flat_parameters(after)
    gates, gates_after = (_open_gates(which, X) for which in (net, after))  # (n, m)
    left = torch.linalg.vector_norm(outputs[-1, :, 0] - t) / torch.linalg.vector_norm(outputs[0, :, 0] - t)
    return {
        "kernel": float(relative_kernel_change(H, H_after)),
        "weights": float(torch.linalg.vector_norm(theta_after - theta) / torch.linalg.vector_norm(theta)),
        "jacobian": float(relative_kernel_change(J, J_after)),
        "gates": float((gates != gates_after).to(X.dtype).mean()),
        "left": float(left),
    }


def _open_gates(net: Network, X: Tensor) -> Tensor:
    """Return which units of the first hidden layer are on, for each example."""
    return net.scales[0] * (X @ net.weights[0]) + net.biases[0] > 0  # (n, p) (p, m) -> (n, m)


@dataclass(frozen=True)
class Scales:
    """How lazy and rich training are compared.

    Attributes
    ----------
    alphas : tuple of float
        Scales of the output.
    seeds : int
        Random starts and data sets for each scale.
    examples, test_examples, signs, width, steps : int
    rate : float
        Learning rate times the largest eigenvalue of the kernel at the start.
    """

    alphas: tuple[float, ...] = (0.0625, 0.25, 1.0, 4.0, 16.0, 64.0)
    seeds: int = 4
    examples: int = 200
    test_examples: int = 1000
    signs: int = 20
    width: int = 128
    steps: int = 2000
    rate: float = 0.3


def measure_scales(settings: Scales, seed: int) -> Arrays:
    """Train the same nets under several scales of the output, and return how well they predict.

    Returns
    -------
    dict of arrays
        ``alphas``; ``error``, ``mse``, ``kernel``, ``left`` of shape (alphas, seeds): share of wrong signs and mean
        squared error on the test examples, relative change of the kernel, and mean squared error on the training
        examples; ``lazy error`` and ``lazy mse`` of shape (seeds,), as predicted with the kernel of the start.
    """
    generator = torch.Generator().manual_seed(seed)
    n, shape = settings.examples, (settings.signs, settings.width, 1)
    found: dict[str, list[list[float]]] = {name: [] for name in ("error", "mse", "kernel", "left")}
    lazy: dict[str, list[float]] = {"lazy error": [], "lazy mse": []}
    for _ in tqdm(range(settings.seeds), desc="ntk scales", disable=None):
        X, t = parity(n + settings.test_examples, settings.signs, generator, dtype=torch.float32)
        X, X_test, t, t_test = X[:n], X[n:], t[:n], t[n:]
        net = random_network(shape, generator, RELU, dtype=torch.float32)
        H = network_kernel(net, X)[:, 0, :, 0]
        rate = settings.rate / float(torch.linalg.eigvalsh(H)[-1])
        rows = []
        for alpha in settings.alphas:
            after, outputs = gradient_descent(net, X, t[:, None], rate, settings.steps, alpha=alpha)
            guess = alpha * (forward(after, X_test) - forward(net, X_test))[:, 0]
            change = relative_kernel_change(H, network_kernel(after, X)[:, 0, :, 0])
            rows.append((*_errors(guess, t_test), float(change), float((outputs[-1, :, 0] - t).square().mean())))
        for name, values in zip(found, zip(*rows, strict=True), strict=True):
            found[name].append(list(values))
        H_test = network_kernel(net, X_test, X)[:, 0, :, 0]
        zero, time = torch.zeros_like, torch.tensor([rate * settings.steps])
        guess = linearized_predictions(H, H_test, zero(t), zero(t_test), t, time)[0]
        for name, value in zip(lazy, _errors(guess, t_test), strict=True):
            lazy[name].append(value)
    arrays = {name: np.array(values).T for name, values in found.items()}  # (seeds, alphas) -> (alphas, seeds)
    return {"alphas": np.array(settings.alphas), **arrays, **{name: np.array(v) for name, v in lazy.items()}}


def _errors(guess: Tensor, t: Tensor) -> tuple[float, float]:
    """Return the share of wrong signs and the mean squared error."""
    return float((guess * t <= 0).to(t.dtype).mean()), float((guess - t).square().mean())


TRAININGS = (
    Training("ntk.widths", measure_widths, Widths(), Widths(seeds=24)),
    Training("ntk.scales", measure_scales, Scales(), Scales(seeds=12, steps=6000)),
)
