"""Superposition: more features than dimensions, and what that costs.

One feature is one row: W has shape (*instances, n, m), n features in m dimensions, and row i is the direction of
feature i. Data is (*instances, B, n), one example per row. Many small models are trained at once: functions take any
number of instance axes in front, and one batched product serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, floor, sqrt

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mlcourse.validation import require_floating, require_shapes

__all__ = [
    "Recipe",
    "antipodal_density",
    "coherence_bound",
    "feature_batch",
    "feature_dimensionality",
    "greedy_packing",
    "held_out_loss",
    "importance_loss",
    "interference",
    "linear_forward",
    "linear_gradients",
    "max_coherence",
    "packing_guarantee",
    "sample_features",
    "toy_forward",
    "toy_gradients",
    "train_instances",
]

Gradients = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _require_same_instances(**tensors: tuple[Tensor, int]) -> None:
    """Check that the axes in front of each tensor's own (their number stands beside it) agree."""
    (first, (x, own)), *others = tensors.items()
    for name, (y, axes) in others:
        left, right = tuple(x.shape[: x.ndim - own]), tuple(y.shape[: y.ndim - axes])
        if left != right:
            raise ValueError(f"{first} has instance axes {left} but {name} has instance axes {right}.")


def _require_model(x: Tensor, W: Tensor, b: Tensor) -> None:
    """Check that examples, directions and biases belong together."""
    require_shapes(x=(x, "... B n"), W=(W, "... n m"), b=(b, "... n"))
    require_floating(x=x, W=W, b=b)
    _require_same_instances(x=(x, 2), W=(W, 2), b=(b, 1))


# The model


def linear_forward(
    x: Float[Tensor, "*instances B n"], W: Float[Tensor, "*instances n m"], b: Float[Tensor, "*instances n"]
) -> Float[Tensor, "*instances B n"]:
    r"""Squeeze n numbers into m and read them out again by the same directions, with no nonlinearity.

    .. math:: \hat{x} = x W W^\top + b

    Parameters
    ----------
    x : tensor of shape (*instances, B, n)
        One example per row.
    W : tensor of shape (*instances, n, m)
        One direction per row.
    b : tensor of shape (*instances, n)

    Returns
    -------
    tensor of shape (*instances, B, n)
        Any real numbers.

    Raises
    ------
    TypeError
        If a tensor holds no floating-point numbers.
    ValueError
        If shapes or instance axes do not fit; the message names both sides.

    Notes
    -----
    2 B n m multiplications an instance.

    Source: Elhage et al. (2022), the linear model. The paper writes columns, W^T W x + b, with W of shape (m, n).

    Examples
    --------
    >>> W = torch.tensor([[1.0], [-1.0]])
    >>> linear_forward(torch.tensor([[3.0, 0.0]]), W, torch.zeros(2))
    tensor([[ 3., -3.]])
    """
    _require_model(x, W, b)
    hidden = x @ W  # (*instances, B, n) (*instances, n, m) -> (*instances, B, m)
    return hidden @ W.mT + b.unsqueeze(-2)  # (..., B, m) (..., m, n) -> (..., B, n); b becomes (..., 1, n)


def toy_forward(
    x: Float[Tensor, "*instances B n"], W: Float[Tensor, "*instances n m"], b: Float[Tensor, "*instances n"]
) -> Float[Tensor, "*instances B n"]:
    r"""Squeeze n numbers into m, read them out by the same directions, and keep what is positive.

    .. math:: \hat{x} = \operatorname{ReLU}(x W W^\top + b)

    Parameters
    ----------
    x : tensor of shape (*instances, B, n)
        One example per row.
    W : tensor of shape (*instances, n, m)
        One direction per row.
    b : tensor of shape (*instances, n)

    Returns
    -------
    tensor of shape (*instances, B, n)
        Numbers that are not negative.

    Raises
    ------
    TypeError, ValueError
        As `linear_forward`.

    Notes
    -----
    2 B n m multiplications an instance.

    Source: Elhage et al. (2022), the ReLU output model. The paper writes columns, ReLU(W^T W x + b).

    Examples
    --------
    Two features share one dimension by opposite signs. ReLU removes the negative shadow of the one on the other.

    >>> W = torch.tensor([[1.0], [-1.0]])
    >>> toy_forward(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), W, torch.zeros(2))
    tensor([[3., 0.],
            [0., 2.]])
    """
    return torch.relu(linear_forward(x, W, b))


# Data and loss


def feature_batch(
    values: Float[Tensor, "K B n"], draws: Float[Tensor, "K B n"], sparsity: Float[Tensor, " K"]
) -> Float[Tensor, "K B n"]:
    r"""Switch every feature of every example off by itself, with the probability of its instance.

    .. math:: x_{kti} = v_{kti}\, [u_{kti} \ge S_k]

    Parameters
    ----------
    values : tensor of shape (K, B, n)
        v, what a feature is worth where it is on.
    draws : tensor of shape (K, B, n)
        u, independent uniform numbers in [0, 1) that decide.
    sparsity : tensor of shape (K,)
        S, the probability that a feature is off, one for each instance.

    Returns
    -------
    tensor of shape (K, B, n)

    Raises
    ------
    TypeError
        If a tensor holds no floating-point numbers.
    ValueError
        If shapes do not fit; the message names both sides.

    Notes
    -----
    With u in [0, 1) a sparsity of 0 leaves everything on and a sparsity of 1 everything off.

    Examples
    --------
    >>> values, draws = torch.tensor([[[5.0, 6.0, 7.0]]]), torch.tensor([[[0.2, 0.8, 0.5]]])
    >>> feature_batch(values, draws, torch.tensor([0.5]))
    tensor([[[0., 6., 7.]]])
    """
    require_shapes(values=(values, "K B n"), draws=(draws, "K B n"), sparsity=(sparsity, "K"))
    require_floating(values=values, draws=draws, sparsity=sparsity)
    on = draws >= sparsity[:, None, None]  # (K,) -> (K, 1, 1), against (K, B, n)
    return torch.where(on, values, 0.0)


def sample_features(
    n_examples: int, n_features: int, sparsity: Float[Tensor, " K"], *, generator: torch.Generator
) -> Float[Tensor, "K {n_examples} {n_features}"]:
    r"""Draw examples whose features are 0 with probability S and otherwise uniform in [0, 1).

    .. math:: x = \max\!\left(0, \frac{u - S}{1 - S}\right), \qquad u \sim \text{uniform in } [0, 1)

    One draw does both jobs: u exceeds S with probability 1 - S, and where it does, (u - S) / (1 - S) is uniform.

    Parameters
    ----------
    n_examples, n_features : int
        B and n.
    sparsity : tensor of shape (K,)
        One probability of being off for each instance, in [0, 1). Its dtype and device are those of the result.
    generator : torch.Generator
        On the device of the sparsity.

    Returns
    -------
    tensor of shape (K, B, n)
        Numbers in [0, 1).

    Raises
    ------
    TypeError
        If the sparsity holds no floating-point numbers.
    ValueError
        If a sparsity lies outside [0, 1).

    Examples
    --------
    >>> x = sample_features(10_000, 2, torch.tensor([0.0, 0.9]), generator=torch.Generator().manual_seed(0))
    >>> [round(share, 2) for share in (x > 0).float().mean((1, 2)).tolist()]
    [1.0, 0.1]
    """
    require_shapes(sparsity=(sparsity, "K"))
    require_floating(sparsity=sparsity)
    if sparsity.device.type != "meta" and not bool(((sparsity >= 0) & (sparsity < 1)).all()):
        raise ValueError(f"A sparsity must lie in [0, 1), but they are {[round(s, 4) for s in sparsity.tolist()]}.")
    S = sparsity[:, None, None]  # (K,) -> (K, 1, 1)
    shape = (len(sparsity), n_examples, n_features)
    u = torch.rand(shape, generator=generator, device=sparsity.device, dtype=sparsity.dtype)
    return u.sub_(S).div_(1 - S).clamp_(min=0)  # u is our own, so it may change in place


def importance_loss(
    x: Float[Tensor, "*instances B n"],
    x_hat: Float[Tensor, "*instances B n"],
    importance: Float[Tensor, "*instances n"],
) -> Float[Tensor, "*instances"]:
    r"""Return the squared error, weighted by importance: sum over the features, mean over the examples.

    .. math:: L = \frac1B \sum_{t=1}^{B} \sum_{i=1}^{n} I_i\, (x_{ti} - \hat{x}_{ti})^2

    Parameters
    ----------
    x, x_hat : tensors of shape (*instances, B, n)
        Truth and reconstruction.
    importance : tensor of shape (*instances, n)
        I, not negative, one for each feature.

    Returns
    -------
    tensor of shape (*instances,)
        One loss for each instance, not negative.

    Raises
    ------
    TypeError
        If a tensor holds no floating-point numbers.
    ValueError
        If shapes or instance axes do not fit; the message names both sides.

    Notes
    -----
    Source: Elhage et al. (2022), who write a sum over all examples.

    Examples
    --------
    >>> x, x_hat = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 2)
    >>> importance_loss(x, x_hat, torch.tensor([1.0, 0.5]))  # (1 + 0.5 * 9) / 2
    tensor(2.7500)
    """
    require_shapes(x=(x, "... B n"), x_hat=(x_hat, "... B n"), importance=(importance, "... n"))
    require_floating(x=x, x_hat=x_hat, importance=importance)
    _require_same_instances(x=(x, 2), x_hat=(x_hat, 2), importance=(importance, 1))
    errors = (x - x_hat).square().mean(dim=-2)  # (*instances, B, n) -> (*instances, n)
    return (importance * errors).sum(dim=-1)  # (*instances, n) -> (*instances,)


# Geometry


def _shadows(W: Tensor) -> Tensor:
    """Return unit W_i . W_j for all pairs, (*instances, n, m) -> (*instances, n, n); rows of zeros stay zero."""
    length = torch.linalg.vector_norm(W, dim=-1, keepdim=True)  # (*instances, n, 1)
    unit = W / torch.where(length > 0, length, 1.0)
    return unit @ W.mT  # (*instances, n, m) (*instances, m, n) -> (*instances, n, n)


def interference(W: Float[Tensor, "*instances n m"]) -> Float[Tensor, "*instances n"]:
    r"""Return how much of the other features lies in the direction of each feature.

    .. math:: \sum_{j \ne i} (\hat{W}_i \cdot W_j)^2, \qquad \hat{W}_i = W_i / \lVert W_i \rVert

    Parameters
    ----------
    W : tensor of shape (*instances, n, m)
        One direction per row.

    Returns
    -------
    tensor of shape (*instances, n)
        Squared lengths, not negative. 0 for a feature that is orthogonal to all others, and for a row of zeros.

    Raises
    ------
    TypeError, ValueError
        If W holds no floating-point numbers or has fewer than two axes.

    Notes
    -----
    n^2 m multiplications and n^2 numbers of memory an instance.

    Source: Elhage et al. (2022), where it gives the color of a feature.

    Examples
    --------
    >>> interference(torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]))
    tensor([1., 4., 0.])
    """
    require_shapes(W=(W, "... n m"))
    require_floating(W=W)
    squares = _shadows(W).square()
    own = torch.eye(W.shape[-2], dtype=torch.bool, device=W.device)  # (n, n)
    return squares.masked_fill(own, 0.0).sum(dim=-1)  # (*instances, n, n) -> (*instances, n)


def feature_dimensionality(W: Float[Tensor, "*instances n m"]) -> Float[Tensor, "*instances n"]:
    r"""Return which share of a dimension each feature has for itself.

    .. math:: D_i = \frac{\lVert W_i \rVert^2}{\sum_{j} (\hat{W}_i \cdot W_j)^2}
        = \frac{\lVert W_i \rVert^2}{\lVert W_i \rVert^2 + \sum_{j \ne i} (\hat{W}_i \cdot W_j)^2}

    Parameters
    ----------
    W : tensor of shape (*instances, n, m)
        One direction per row.

    Returns
    -------
    tensor of shape (*instances, n)
        Between 0 and 1. They sum to at most the rank of W, so to at most m. A row of zeros has 0.

    Raises
    ------
    TypeError, ValueError
        If W holds no floating-point numbers or has fewer than two axes.

    Notes
    -----
    n^2 m multiplications and n^2 numbers of memory an instance.

    Source: Elhage et al. (2022), "The geometry of superposition".

    Examples
    --------
    >>> feature_dimensionality(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]))
    tensor([0.5000, 0.5000, 1.0000])
    """
    others = interference(W)  # (*instances, n)
    own = W.square().sum(dim=-1)  # (*instances, n, m) -> (*instances, n)
    return own / torch.where(own > 0, own + others, 1.0)


def max_coherence(W: Float[Tensor, "*instances n m"]) -> Float[Tensor, "*instances"]:
    r"""Return the largest size of a cosine between two different rows.

    .. math:: \max_{i \ne j} \lvert \cos(W_i, W_j) \rvert

    Parameters
    ----------
    W : tensor of shape (*instances, n, m)

    Returns
    -------
    tensor of shape (*instances,)
        Between 0 and 1. A row of zeros has the cosine 0 with all others; a single row has no pair and gives 0.

    Raises
    ------
    TypeError, ValueError
        If W holds no floating-point numbers, has fewer than two axes or no row.

    Notes
    -----
    n^2 m multiplications and n^2 numbers of memory an instance.

    Examples
    --------
    >>> max_coherence(torch.tensor([[3.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))
    tensor(1.)
    """
    n = require_shapes(W=(W, "... n m"))["n"]
    require_floating(W=W)
    if n == 0:
        raise ValueError("W must have at least one row, but n = 0.")
    length = torch.linalg.vector_norm(W, dim=-1, keepdim=True)  # (*instances, n, 1)
    unit = W / torch.where(length > 0, length, 1.0)
    cosines = (unit @ unit.mT).abs()  # (*instances, n, m) (*instances, m, n) -> (*instances, n, n)
    own = torch.eye(n, dtype=torch.bool, device=W.device)
    return cosines.masked_fill(own, 0.0).amax(dim=(-2, -1)).clamp(max=1.0)  # (*instances, n, n) -> (*instances,)


# Training many models at once


def linear_gradients(
    x: Float[Tensor, "*instances B n"],
    W: Float[Tensor, "*instances n m"],
    b: Float[Tensor, "*instances n"],
    importance: Float[Tensor, "*instances n"],
) -> tuple[Float[Tensor, "*instances n m"], Float[Tensor, "*instances n"]]:
    r"""Return the gradients of `importance_loss` of `linear_forward` by W and b, in closed form.

    .. math:: E = \frac2B\, (\hat{x} - x) \odot I, \qquad
        \nabla_W L = x^\top E W + E^\top x W, \qquad \nabla_b L = \textstyle\sum_t E_t

    Parameters
    ----------
    x : tensor of shape (*instances, B, n)
    W : tensor of shape (*instances, n, m)
    b, importance : tensors of shape (*instances, n)

    Returns
    -------
    tuple of tensors of shapes (*instances, n, m) and (*instances, n)

    Raises
    ------
    TypeError, ValueError
        If shapes, instance axes or dtypes do not fit.

    Notes
    -----
    5 B n m multiplications an instance. W stands twice in the model, as reader and as writer, so its gradient has two
    terms.

    Examples
    --------
    >>> x, W = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0], [-1.0]])
    >>> linear_gradients(x, W, torch.zeros(2), torch.ones(2))
    (tensor([[ 2.],
            [-2.]]), tensor([ 0., -2.]))
    """
    _require_model(x, W, b)
    hidden = x @ W  # (*instances, B, n) (*instances, n, m) -> (*instances, B, m)
    error = (hidden @ W.mT).add_(b.unsqueeze(-2)).sub_(x)  # (*instances, B, n)
    return _backward(x, W, hidden, error.mul_((2 / x.shape[-2]) * importance.unsqueeze(-2)))


def toy_gradients(
    x: Float[Tensor, "*instances B n"],
    W: Float[Tensor, "*instances n m"],
    b: Float[Tensor, "*instances n"],
    importance: Float[Tensor, "*instances n"],
) -> tuple[Float[Tensor, "*instances n m"], Float[Tensor, "*instances n"]]:
    r"""Return the gradients of `importance_loss` of `toy_forward` by W and b, in closed form.

    .. math:: E = \frac2B\, (\hat{x} - x) \odot I \odot [\hat{x} > 0], \qquad
        \nabla_W L = x^\top E W + E^\top x W, \qquad \nabla_b L = \textstyle\sum_t E_t

    Parameters
    ----------
    x : tensor of shape (*instances, B, n)
    W : tensor of shape (*instances, n, m)
    b, importance : tensors of shape (*instances, n)

    Returns
    -------
    tuple of tensors of shapes (*instances, n, m) and (*instances, n)

    Raises
    ------
    TypeError, ValueError
        If shapes, instance axes or dtypes do not fit.

    Notes
    -----
    5 B n m multiplications an instance, as many as autograd needs; it saves passes over (B, n) numbers. Where the
    output is exactly 0 the slope of ReLU is taken as 0, as PyTorch does.

    Examples
    --------
    >>> x, W = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0], [-1.0]])
    >>> toy_gradients(x, W, torch.tensor([0.5, 0.0]), torch.ones(2))  # the second output is 0: no gradient
    (tensor([[2.],
            [0.]]), tensor([1., 0.]))
    """
    _require_model(x, W, b)
    hidden = x @ W  # (*instances, B, n) (*instances, n, m) -> (*instances, B, m)
    output = (hidden @ W.mT).add_(b.unsqueeze(-2))  # (*instances, B, n), before ReLU
    off = output <= 0
    error = output.sub_(x).mul_((2 / x.shape[-2]) * importance.unsqueeze(-2)).masked_fill_(off, 0.0)
    return _backward(x, W, hidden, error)


def _backward(x: Tensor, W: Tensor, hidden: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Carry the derivatives by the output back to W, which is used twice, and to b."""
    reader = x.mT @ (error @ W)  # (..., n, B) ((..., B, n) (..., n, m)) -> (..., n, m)
    writer = error.mT @ hidden  # (..., n, B) (..., B, m) -> (..., n, m)
    return reader + writer, error.sum(dim=-2)  # (..., n, m) and (..., B, n) -> (..., n)


@dataclass(frozen=True)
class Recipe:
    """How `train_instances` trains.

    Attributes
    ----------
    steps : int
        Steps of Adam; every step draws a new batch.
    batch : int
        Examples a step, for each instance.
    rate : float
        Learning rate. It stays during the first half and then falls to 0 along a line.
    """

    steps: int = 2_500
    batch: int = 512
    rate: float = 0.01


def train_instances(
    sparsity: Float[Tensor, " K"],
    importance: Float[Tensor, "K n"],
    n_hidden: int,
    *,
    generator: torch.Generator,
    recipe: Recipe = Recipe(),
    gradients: Gradients = toy_gradients,
) -> tuple[Float[Tensor, "K n {n_hidden}"], Float[Tensor, "K n"]]:
    """Train K independent models at once, each on its own data, and return their directions and biases.

    Parameters
    ----------
    sparsity : tensor of shape (K,)
        One for each instance, in [0, 1). Dtype and device of everything are those of this tensor.
    importance : tensor of shape (K, n)
    n_hidden : int
        m, the number of dimensions.
    generator : torch.Generator
        Draws the first directions and then the data.
    recipe : Recipe, optional
    gradients : callable, optional
        `toy_gradients` or `linear_gradients`.

    Returns
    -------
    tuple of tensors of shapes (K, n, m) and (K, n)

    Raises
    ------
    TypeError, ValueError
        If shapes, dtypes or numbers do not fit.

    Notes
    -----
    The first directions have entries of standard deviation 0.7 / sqrt(m), so their length is about 0.7 in any
    dimension. The optimizer is Adam in its fused form. A bar shows progress in a terminal and nowhere else.

    Examples
    --------
    >>> W, b = train_instances(
    ...     torch.tensor([0.9]),
    ...     torch.ones(1, 2),
    ...     n_hidden=1,
    ...     generator=torch.Generator().manual_seed(0),
    ...     recipe=Recipe(steps=500, batch=64, rate=0.03),
    ... )
    >>> W.shape, b.shape
    (torch.Size([1, 2, 1]), torch.Size([1, 2]))
    """
    sizes = require_shapes(sparsity=(sparsity, "K"), importance=(importance, "K n"))
    if n_hidden < 1:
        raise ValueError(f"n_hidden must be 1 or more, but it is {n_hidden}.")
    shape, device, dtype = (sizes["K"], sizes["n"], n_hidden), sparsity.device, sparsity.dtype
    W = torch.randn(shape, generator=generator, device=device, dtype=dtype).mul_(0.7 / sqrt(n_hidden))
    b = torch.zeros(shape[:2], device=device, dtype=dtype)
    optimizer = torch.optim.Adam([W, b], lr=recipe.rate, fused=device.type != "meta")  # meta has no fused kernel
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / recipe.steps)))
    for _ in tqdm(range(recipe.steps), desc=f"{sizes['K']} models", leave=False, disable=None):
        x = sample_features(recipe.batch, sizes["n"], sparsity, generator=generator)  # (K, B, n)
        W.grad, b.grad = gradients(x, W, b, importance)
        optimizer.step()
        schedule.step()
    return W, b


def held_out_loss(
    W: Float[Tensor, "K n m"],
    b: Float[Tensor, "K n"],
    sparsity: Float[Tensor, " K"],
    importance: Float[Tensor, "K n"],
    *,
    generator: torch.Generator,
    n_examples: int = 8_192,
) -> Float[Tensor, " K"]:
    """Return the loss of trained toy models on new examples, the same for all instances up to their sparsity.

    All instances see the same uniform draws, so that two models of one sparsity are compared without noise between
    them.

    Parameters
    ----------
    W : tensor of shape (K, n, m)
    b, importance : tensors of shape (K, n)
    sparsity : tensor of shape (K,)
    generator : torch.Generator
    n_examples : int, optional

    Returns
    -------
    tensor of shape (K,)

    Raises
    ------
    TypeError, ValueError
        As `importance_loss`.

    Examples
    --------
    >>> W, b, S = torch.zeros(1, 3, 2), torch.zeros(1, 3), torch.zeros(1)  # predicts 0; the mean square is 1/3 each
    >>> held_out_loss(W, b, S, torch.ones(1, 3), generator=torch.Generator().manual_seed(0)).round(decimals=1)
    tensor([1.])
    """
    sizes = require_shapes(W=(W, "K n m"), b=(b, "K n"), sparsity=(sparsity, "K"), importance=(importance, "K n"))
    u = sample_features(n_examples, sizes["n"], torch.zeros_like(sparsity[:1]), generator=generator)  # (1, B, n)
    S = sparsity[:, None, None]  # (K,) -> (K, 1, 1)
    x = ((u - S) / (1 - S)).clamp(min=0)  # (1, B, n) -> (K, B, n)
    return importance_loss(x, toy_forward(x, W, b), importance)


# When superposition pays: two features in one dimension


def antipodal_density(relative_importance: float) -> float:
    r"""Return the density below which two features in one dimension share it, by the two pure strategies.

    .. math:: q^* = \frac{4 r}{2 + 5 r}, \qquad r = \min(I_2 / I_1,\, I_1 / I_2)

    Strategy one keeps the more important feature and predicts the mean of the other. Strategy two gives both the same
    dimension with opposite signs and no bias. They lose the same at the density q*; below it, sharing loses less.

    Parameters
    ----------
    relative_importance : float
        I_2 / I_1, positive.

    Returns
    -------
    float
        Between 0 and 4/7.

    Raises
    ------
    ValueError
        If the relative importance is not positive.

    Notes
    -----
    Features are 0 with probability 1 - q and otherwise uniform in [0, 1). The derivation stands on the page.

    Examples
    --------
    >>> round(antipodal_density(1.0), 4), antipodal_density(0.5) == antipodal_density(2.0)
    (0.5714, True)
    """
    if not relative_importance > 0:
        raise ValueError(f"relative_importance must be positive, but it is {relative_importance}.")
    r = min(relative_importance, 1 / relative_importance)
    return 4 * r / (2 + 5 * r)


# How many directions fit


def coherence_bound(n: int, m: int) -> float:
    r"""Return a coherence below which no n vectors in m dimensions can be.

    .. math:: \max_{i \ne j} \lvert \cos(W_i, W_j) \rvert \ge \sqrt{\frac{n - m}{m (n - 1)}}
        \qquad \text{for } n > m

    Parameters
    ----------
    n, m : int
        Number of vectors and of dimensions.

    Returns
    -------
    float
        Between 0 and 1; 0 where n vectors can be orthogonal.

    Raises
    ------
    ValueError
        If a number is smaller than 1.

    Notes
    -----
    Source: Welch (1974). As n grows it approaches 1 / sqrt(m).

    Examples
    --------
    >>> coherence_bound(3, 2), coherence_bound(4, 8)
    (0.5, 0.0)
    """
    if n < 1 or m < 1:
        raise ValueError(f"Both numbers must be 1 or more, but n = {n} and m = {m}.")
    return sqrt((n - m) / (m * (n - 1))) if n > m else 0.0


def packing_guarantee(m: int, epsilon: float) -> int:
    r"""Return a number of unit vectors that surely fit into m dimensions with a coherence of at most epsilon.

    .. math:: n = \lfloor e^{m \varepsilon^2 / 4} \rfloor

    Parameters
    ----------
    m : int
        Number of dimensions.
    epsilon : float
        Largest size of a cosine that is allowed, between 0 and 1.

    Returns
    -------
    int
        At least 1. Often far below what is possible: m orthogonal vectors always fit.

    Raises
    ------
    ValueError
        If m or epsilon is out of range.

    Notes
    -----
    A random pair exceeds epsilon with a probability of at most 2 exp(-m epsilon^2 / 2), and there are n (n - 1) / 2
    pairs. For this n the expected number of pairs that exceed it is below 1, so some draw has none.

    Examples
    --------
    >>> packing_guarantee(1000, 0.2), packing_guarantee(50, 0.1)
    (22026, 1)
    """
    if m < 1 or not 0 <= epsilon <= 1:
        raise ValueError(f"m must be 1 or more and epsilon in [0, 1], but m = {m} and epsilon = {epsilon}.")
    return floor(exp(m * epsilon**2 / 4))


def greedy_packing(
    m: int, epsilon: float, n_tries: int, *, generator: torch.Generator, device: torch.device | str | None = None
) -> Float[Tensor, "kept {m}"]:
    """Draw random unit vectors one after another and keep each that is nearly orthogonal to all that were kept.

    Parameters
    ----------
    m : int
        Number of dimensions.
    epsilon : float
        Largest size of a cosine between two kept vectors.
    n_tries : int
        How many vectors are drawn.
    generator : torch.Generator
    device : torch.device or str, optional

    Returns
    -------
    float64 tensor of shape (kept, m)

    Raises
    ------
    ValueError
        If m or n_tries is smaller than 1.

    Notes
    -----
    n_tries * kept * m multiplications. More tries keep more vectors, and no number of tries reaches the best packing.

    Examples
    --------
    >>> kept = greedy_packing(8, 0.5, 500, generator=torch.Generator().manual_seed(0))
    >>> len(kept) > 8, bool(max_coherence(kept) <= 0.5)
    (True, True)
    """
    if m < 1 or n_tries < 1:
        raise ValueError(f"m and n_tries must be 1 or more, but m = {m} and n_tries = {n_tries}.")
    drawn = torch.randn(n_tries, m, generator=generator, device=device, dtype=torch.float64)
    drawn = drawn / torch.linalg.vector_norm(drawn, dim=-1, keepdim=True)
    kept = drawn[:0]  # (0, m)
    for block in drawn.split(256):
        block = block[((block @ kept.mT).abs() <= epsilon).all(dim=-1)]  # (256, m) -> those that fit so far
        fits = (block @ block.mT).abs() <= epsilon  # (left, left)
        chosen: list[int] = []
        for i in range(len(block)):
            if bool(fits[i, chosen].all()):
                chosen.append(i)
        kept = torch.cat((kept, block[chosen]))
    return kept
