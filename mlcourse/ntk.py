"""The neural tangent kernel: how a network moves when its weights move a little.

Rows are examples: data is (n, p), outputs of a network are (n, C). J is the Jacobian, the derivatives of all outputs
by all parameters, and H = J J^T is the kernel. Training follows gradient flow on half the sum of squared errors, and
time s is the number of steps times the learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from mlcourse.validation import require_finite, require_floating, require_shapes

__all__ = [
    "RELU",
    "TANH",
    "Activation",
    "Network",
    "backpropagate",
    "curvature_norm",
    "empirical_ntk",
    "flat_parameters",
    "forward",
    "gradient_descent",
    "infinite_width_kernel",
    "jacobian",
    "kernel_regression",
    "laziness",
    "linearized_outputs",
    "linearized_predictions",
    "network_jacobian",
    "network_kernel",
    "random_network",
    "relative_kernel_change",
    "standard_network",
    "steps_to_tolerance",
    "with_parameters",
]

CUTOFF = 1e-10  # eigenvalues up to this share of the largest count as 0


# A network with one hidden layer, by hand


def jacobian(
    X: Float[Tensor, "n p"], W: Float[Tensor, "p m"], b: Float[Tensor, " m"], v: Float[Tensor, " m"]
) -> Float[Tensor, "n P"]:
    r"""Return the derivative of each output by each parameter, for one hidden layer of tanh.

    .. math::
        f(x) = \frac{1}{\sqrt m} \sum_{j=1}^m v_j \tanh(z_j), \qquad
        z_j = \frac{1}{\sqrt p} \sum_{k=1}^p x_k W_{kj} + b_j

        \frac{\partial f}{\partial W_{kj}} = \frac{v_j (1 - \tanh^2 z_j)}{\sqrt m} \frac{x_k}{\sqrt p}, \qquad
        \frac{\partial f}{\partial b_j} = \frac{v_j (1 - \tanh^2 z_j)}{\sqrt m}, \qquad
        \frac{\partial f}{\partial v_j} = \frac{\tanh z_j}{\sqrt m}

    Parameters
    ----------
    X : tensor of shape (n, p)
        One example per row.
    W : tensor of shape (p, m)
        Weights of the hidden layer, one column per hidden unit.
    b : tensor of shape (m,)
        Biases of the hidden layer.
    v : tensor of shape (m,)
        Weights of the output.

    Returns
    -------
    tensor of shape (n, P), P = p m + 2 m
        Row i belongs to example i. Columns in the order W row by row, b, v.

    Raises
    ------
    TypeError
        If a tensor holds no floating-point numbers.
    ValueError
        If p or m differ between the arguments.

    Notes
    -----
    About n p m multiplications for the hidden layer and n P for the result; n P numbers of memory.

    Source: the parametrization of Jacot, Gabriel and Hongler (2018), with biases that are not scaled.

    Examples
    --------
    >>> X, W = torch.tensor([[1.0, 2.0, 2.0, 4.0]]), torch.zeros(4, 1)
    >>> jacobian(X, W, torch.zeros(1), torch.tensor([3.0]))
    tensor([[1.5000, 3.0000, 3.0000, 6.0000, 3.0000, 0.0000]])
    """
    sizes = require_shapes(X=(X, "n p"), W=(W, "p m"), b=(b, "m"), v=(v, "m"))
    require_floating(X=X, W=W, b=b, v=v)
    hidden, signal = _one_hidden_layer(X, W, b, v)
    inputs = X / math.sqrt(sizes["p"])
    by_W = (inputs[:, :, None] * signal[:, None, :]).flatten(1)  # (n, p, 1) (n, 1, m) -> (n, p m)
    return torch.cat((by_W, signal, hidden / math.sqrt(sizes["m"])), dim=1)  # (n, p m), (n, m), (n, m) -> (n, P)


def empirical_ntk(
    X: Float[Tensor, "n p"],
    Z: Float[Tensor, "n2 p"],
    W: Float[Tensor, "p m"],
    b: Float[Tensor, " m"],
    v: Float[Tensor, " m"],
) -> Float[Tensor, "n n2"]:
    r"""Return the tangent kernel between two sets of examples, for one hidden layer of tanh.

    .. math::
        H(x, z) = \sum_{k=1}^P \frac{\partial f(x)}{\partial \theta_k} \frac{\partial f(z)}{\partial \theta_k}
        = \Bigl(\frac{x \cdot z}{p} + 1\Bigr)\, \delta(x) \cdot \delta(z) + \frac{h(x) \cdot h(z)}{m}

    Here h are the outputs of the hidden layer and delta the derivatives of f by its pre-activations. The Jacobian is
    never formed.

    Parameters
    ----------
    X : tensor of shape (n, p)
    Z : tensor of shape (n', p)
        Other examples, or X again.
    W, b, v : tensors of shape (p, m), (m,) and (m,)
        As in `jacobian`.

    Returns
    -------
    tensor of shape (n, n')
        Entry (i, j): how much a step on example j moves the output at example i, and the reverse. With Z = X it is
        symmetric, and no eigenvalue is negative.

    Raises
    ------
    TypeError, ValueError
        As `jacobian`.

    Notes
    -----
    n n' (p + 2m) multiplications and (n + n') (p m) for the hidden layers; n n' + (n + n') m numbers of memory.

    Source: Jacot, Gabriel and Hongler (2018).

    Examples
    --------
    >>> X, W = torch.tensor([[1.0, 2.0, 2.0, 4.0], [0.0, 0.0, 0.0, 0.0]]), torch.zeros(4, 1)
    >>> empirical_ntk(X, X, W, torch.zeros(1), torch.tensor([3.0]))
    tensor([[65.2500,  9.0000],
            [ 9.0000,  9.0000]])
    """
    sizes = require_shapes(X=(X, "n p"), Z=(Z, "n2 p"), W=(W, "p m"), b=(b, "m"), v=(v, "m"))
    require_floating(X=X, Z=Z, W=W, b=b, v=v)
    hidden_x, signal_x = _one_hidden_layer(X, W, b, v)
    hidden_z, signal_z = _one_hidden_layer(Z, W, b, v)
    gram = X @ Z.mT / sizes["p"] + 1  # (n, p) (p, n') -> (n, n')
    return gram * (signal_x @ signal_z.mT) + hidden_x @ hidden_z.mT / sizes["m"]  # (n, m) (m, n') -> (n, n')


def _one_hidden_layer(X: Tensor, W: Tensor, b: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs of the hidden layer and the derivatives of f by its pre-activations, both (n, m)."""
    p, m = W.shape
    hidden = torch.tanh(X @ W / math.sqrt(p) + b)  # (n, p) (p, m) -> (n, m)
    return hidden, v * (1 - hidden**2) / math.sqrt(m)


# Networks of any depth


@dataclass(frozen=True)
class Activation:
    """A function that a layer applies to each number, and its slope.

    Attributes
    ----------
    name : str
    function, slope : callables
        Tensor to tensor of the same shape.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


TANH = Activation("tanh", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2)
RELU = Activation("ReLU", torch.relu, lambda z: (z > 0).to(z.dtype))  # slope 0 at 0, as in PyTorch


@dataclass(frozen=True)
class Network:
    r"""A fully connected network as plain data.

    .. math:: z^{(l)} = g_l\, h^{(l-1)} W^{(l)} + b^{(l)}, \qquad h^{(l)} = \phi(z^{(l)}), \qquad h^{(0)} = X

    The last layer has neither a bias nor an activation.

    Attributes
    ----------
    weights : tuple of tensors
        :math:`W^{(l)}` of shape (inputs, outputs), one for each layer.
    biases : tuple of tensors
        :math:`b^{(l)}` of shape (outputs,), one for each layer but the last.
    scales : tuple of float
        :math:`g_l`, which multiply the products. They decide the parametrization: see `random_network`.
    activation : Activation
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    scales: tuple[float, ...]
    activation: Activation = TANH

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """All tensors in the order in which the Jacobian counts them: W and b of each layer in turn."""
        pairs = zip(self.weights[:-1], self.biases, strict=True)
        return (*(tensor for pair in pairs for tensor in pair), self.weights[-1])


def random_network(
    sizes: Sequence[int],
    generator: torch.Generator,
    activation: Activation = TANH,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Return a network in the NTK parametrization: all parameters have variance 1, products are scaled.

    The scale of a layer is one over the root of its number of inputs. It stands in front of the weights and is not
    part of them, so it also scales their gradients: the kernel has a limit as the width grows.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of inputs, of the units of each hidden layer, and of outputs; at least two.
    generator : torch.Generator
        It must live where the tensors are created.
    activation : Activation
    device, dtype : optional
        Where and how the parameters are stored.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If there are fewer than two sizes or one is not positive.

    Notes
    -----
    Source: Jacot, Gabriel and Hongler (2018), with biases that are not scaled.

    Examples
    --------
    >>> net = random_network((3, 100, 2), torch.Generator().manual_seed(0))
    >>> [tuple(t.shape) for t in net.parameters], net.scales[1]
    ([(3, 100), (100,), (100, 2)], 0.1)
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must be two or more positive numbers, but they are {tuple(sizes)}.")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device, dtype=dtype)

    weights, biases = [], []
    for n_in, n_out in pairwise(sizes):
        weights.append(normal(n_in, n_out))
        biases.append(normal(n_out))
    scales = tuple(1 / math.sqrt(n_in) for n_in in sizes[:-1])
    return Network(tuple(weights), tuple(biases[:-1]), scales, activation)


def standard_network(
    sizes: Sequence[int],
    generator: torch.Generator,
    activation: Activation = TANH,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Network:
    """Return the same function as `random_network`, in the usual parametrization: the scale is inside the weights.

    Weights have variance 1 / (number of inputs) and nothing stands in front of them. From the same generator both
    functions return networks with equal outputs and unequal kernels.

    Parameters
    ----------
    sizes, generator, activation, device, dtype
        As in `random_network`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        As `random_network`.

    Examples
    --------
    >>> net = standard_network((3, 100, 2), torch.Generator().manual_seed(0))
    >>> net.scales, bool(net.weights[1].std() < 0.12)
    ((1.0, 1.0), True)
    """
    net = random_network(sizes, generator, activation, device=device, dtype=dtype)
    weights = tuple(scale * W for scale, W in zip(net.scales, net.weights, strict=True))
    return Network(weights, net.biases, (1.0,) * len(weights), activation)


def forward(net: Network, X: Float[Tensor, "n p"]) -> Float[Tensor, "n C"]:
    """Return the outputs of a network.

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)

    Returns
    -------
    tensor of shape (n, C)

    Raises
    ------
    TypeError, ValueError
        If X holds no floating-point numbers, or its p is not the number of inputs.

    Examples
    --------
    >>> net = Network((torch.eye(2), torch.ones(2, 1)), (torch.zeros(2),), (1.0, 1.0), RELU)
    >>> forward(net, torch.tensor([[3.0, -5.0]]))
    tensor([[3.]])
    """
    return _layers(net, X)[2]


def _layers(net: Network, X: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return the inputs of all layers, the pre-activations of the hidden ones, and the outputs."""
    require_shapes(X=(X, "n p"), W=(net.weights[0], "p m"))
    require_floating(X=X)
    inputs, before = [X], []
    for W, b, scale in zip(net.weights[:-1], net.biases, net.scales[:-1], strict=True):
        before.append(scale * (inputs[-1] @ W) + b)  # (n, n_in) (n_in, n_out) -> (n, n_out)
        inputs.append(net.activation.function(before[-1]))
    return inputs, before, net.scales[-1] * (inputs[-1] @ net.weights[-1])  # (n, m) (m, C) -> (n, C)


def backpropagate(
    net: Network, X: Float[Tensor, "n p"], upstream: Float[Tensor, "*batch n C"]
) -> tuple[list[Float[Tensor, "n width"]], list[Float[Tensor, "*batch n width"]]]:
    r"""Return what enters each layer and what comes back to it.

    .. math:: \delta^{(L)} = \text{upstream}, \qquad
              \delta^{(l-1)} = g_l\, \delta^{(l)} W^{(l)\top} \odot \phi'(z^{(l-1)})

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)
    upstream : tensor of shape (*batch, n, C)
        For each example, weights of the C outputs. The signals belong to this weighted sum.

    Returns
    -------
    inputs : list of tensors of shape (n, inputs of the layer)
        One for each layer, the first is X.
    signals : list of tensors of shape (*batch, n, outputs of the layer)
        The derivatives of the weighted sum of outputs by the layer's result before its activation.

    Raises
    ------
    ValueError
        If upstream does not fit the outputs.

    Examples
    --------
    >>> net = Network((torch.eye(2), torch.ones(2, 1)), (torch.zeros(2),), (1.0, 1.0), RELU)
    >>> backpropagate(net, torch.tensor([[3.0, -5.0]]), torch.ones(1, 1))[1][0]
    tensor([[1., 0.]])
    """
    inputs, before, outputs = _layers(net, X)
    require_shapes(outputs=(outputs, "n C"), upstream=(upstream, "... n C"))
    signals = [upstream]
    for W, scale, z in zip(reversed(net.weights[1:]), reversed(net.scales[1:]), reversed(before), strict=True):
        back = scale * (signals[0] @ W.mT)  # (*batch, n, n_out) (n_out, n_in) -> (*batch, n, n_in)
        signals.insert(0, back * net.activation.slope(z))
    return inputs, signals


def _for_each_output(net: Network, X: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs of all layers and the signals of each output by itself, (C, n, width)."""
    n_outputs = net.weights[-1].shape[1]
    one_hot = torch.eye(n_outputs, dtype=X.dtype, device=X.device)[:, None, :]  # (C, 1, C)
    return backpropagate(net, X, one_hot.expand(-1, X.shape[0], -1))  # (C, 1, C) -> (C, n, C)


def network_jacobian(net: Network, X: Float[Tensor, "n p"]) -> Float[Tensor, "n C P"]:
    """Return the derivatives of all outputs by all parameters.

    The derivative by an entry of W is an outer product: what enters the layer, times what comes back to it.

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)

    Returns
    -------
    tensor of shape (n, C, P)
        Columns in the order of ``net.parameters``, each tensor row by row.

    Notes
    -----
    n C P numbers of memory: `network_kernel` does without it.

    Examples
    --------
    >>> net = Network((torch.ones(2, 1),), (), (0.5,))
    >>> network_jacobian(net, torch.tensor([[3.0, -5.0]]))
    tensor([[[ 1.5000, -2.5000]]])
    """
    inputs, signals = _for_each_output(net, X)
    columns = []
    for layer, (h, signal) in enumerate(zip(inputs, signals, strict=True)):
        outer = net.scales[layer] * torch.einsum("ni,cno->ncio", h, signal)  # (n, n_in) (C, n, n_out)
        columns.append(outer.flatten(2))  # (n, C, n_in, n_out) -> (n, C, n_in n_out)
        if layer < len(net.biases):
            columns.append(signal.transpose(0, 1))  # (C, n, n_out) -> (n, C, n_out)
    return torch.cat(columns, dim=2)  # -> (n, C, P)


def network_kernel(
    net: Network, X: Float[Tensor, "n p"], Z: Float[Tensor, "n2 p"] | None = None
) -> Float[Tensor, "n C n2 C"]:
    r"""Return the empirical tangent kernel of a network, layer by layer, without its Jacobian.

    .. math:: H_{ic,jd} = \sum_l \bigl(g_l^2\, h_i^{(l-1)} \cdot h_j^{(l-1)} + \beta_l\bigr)\,
              \delta_{ic}^{(l)} \cdot \delta_{jd}^{(l)}

    with beta = 1 where the layer has a bias and 0 elsewhere: the Gram matrix of what enters a layer, times the Gram
    matrix of what comes back to it.

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)
    Z : tensor of shape (n', p), optional
        Other examples; X if left out.

    Returns
    -------
    tensor of shape (n, C, n', C)
        Entry (i, c, j, d): derivatives of output c at example i times those of output d at example j, summed over all
        parameters. A view whose strides are not in order.

    Notes
    -----
    About n n' C^2 multiplications for each hidden unit, and as much memory as a few kernels. The Jacobian would need
    n n' C^2 P multiplications and n C P numbers.

    Examples
    --------
    >>> net = Network((torch.ones(2, 1),), (), (0.5,))
    >>> network_kernel(net, torch.tensor([[3.0, -5.0]])).item()
    8.5
    """
    inputs, signals = _for_each_output(net, X)
    inputs_z, signals_z = (inputs, signals) if Z is None else _for_each_output(net, Z)
    (C, n, _), n2 = signals[0].shape, inputs_z[0].shape[0]
    total: Tensor | None = None
    for layer, scale in enumerate(net.scales):
        gram = scale**2 * (inputs[layer] @ inputs_z[layer].mT)  # (n, n_in) (n_in, n') -> (n, n')
        gram = gram + 1 if layer < len(net.biases) else gram
        back = signals[layer].flatten(0, 1) @ signals_z[layer].flatten(0, 1).mT  # (C n, w) (w, C n') -> (C n, C n')
        back = back.unflatten(1, (C, n2)).unflatten(0, (C, n))  # (C n, C n') -> (C, n, C, n')
        part = gram[:, None, :]  # (n, n') -> (n, 1, n'): the same for every pair of outputs
        total = back * part if total is None else torch.addcmul(total, back, part)
    assert total is not None
    return total.permute(1, 0, 3, 2)  # (C, n, C, n') -> (n, C, n', C)


def flat_parameters(net: Network) -> Float[Tensor, " P"]:
    """Return all parameters as one vector, in the order of the Jacobian's columns.

    Examples
    --------
    >>> flat_parameters(Network((torch.ones(2, 1),), (), (0.5,)))
    tensor([1., 1.])
    """
    return torch.cat([tensor.flatten() for tensor in net.parameters])


def with_parameters(net: Network, theta: Float[Tensor, " P"]) -> Network:
    """Return a network like another one, with its parameters taken from a vector.

    Raises
    ------
    ValueError
        If the vector has another length than the parameters.

    Examples
    --------
    >>> with_parameters(Network((torch.ones(2, 1),), (), (0.5,)), torch.tensor([3.0, 4.0])).weights[0]
    tensor([[3.],
            [4.]])
    """
    counts = [tensor.numel() for tensor in net.parameters]
    if theta.ndim != 1 or theta.shape[0] != sum(counts):
        raise ValueError(f"theta has shape {tuple(theta.shape)} but the network has {sum(counts)} parameters.")
    parts = [part.view_as(old) for part, old in zip(theta.split(counts), net.parameters, strict=True)]
    return Network(tuple(parts[0::2]), tuple(parts[1::2]), net.scales, net.activation)


# Training


def gradient_descent(
    net: Network,
    X: Float[Tensor, "n p"],
    t: Float[Tensor, "n C"],
    learning_rate: float,
    steps: int,
    *,
    alpha: float | None = None,
) -> tuple[Network, Float[Tensor, "visited n C"]]:
    r"""Train by gradient descent on all examples at once and keep every output on the way.

    .. math:: \theta \leftarrow \theta - \eta\, \nabla_\theta L, \qquad L = \tfrac12 \lVert f(X; \theta) - t \rVert^2

    With ``alpha`` the model is scaled and starts from zero, as in lazy training:

    .. math:: y = \alpha\,\bigl(f(X; \theta) - f(X; \theta_0)\bigr), \qquad
              L_\alpha = \frac{1}{2 \alpha^2} \lVert y - t \rVert^2

    The factor 1 / alpha^2 makes the outputs start at the same speed for every alpha.

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)
    t : tensor of shape (n, C)
        Targets.
    learning_rate : float
        Eta, positive.
    steps : int
        0 or more.
    alpha : float, optional
        Positive scale of a centered model. Without it the model is the network itself.

    Returns
    -------
    net : Network
        After the last step; the given one stays as it was.
    outputs : tensor of shape (steps + 1, n, C)
        y before the first step and after each.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number is out of range.

    Examples
    --------
    >>> net = Network((torch.zeros(1, 1),), (), (1.0,))
    >>> X, t = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [2.0]])
    >>> gradient_descent(net, X, t, 0.1, 2)[1][:, 1, 0]
    tensor([0.0000, 1.0000, 1.5000])
    """
    if learning_rate <= 0 or steps < 0 or (alpha is not None and alpha <= 0):
        raise ValueError(
            "learning_rate and alpha must be positive and steps must not be negative, "
            f"but learning_rate = {learning_rate}, alpha = {alpha}, steps = {steps}."
        )
    start, factor = (0.0, 1.0) if alpha is None else (forward(net, X), alpha)
    require_shapes(outputs=(forward(net, X), "n C"), t=(t, "n C"))
    visited = [factor * (forward(net, X) - start)]
    for _ in range(steps):
        net = _step(net, X, (visited[-1] - t) / factor, learning_rate)
        visited.append(factor * (forward(net, X) - start))
    return net, torch.stack(visited)  # (n, C), steps + 1 times -> (steps + 1, n, C)


def _step(net: Network, X: Tensor, residual: Tensor, learning_rate: float) -> Network:
    """Return the network one step down the gradient of residual . f, the residual taken as constant."""
    inputs, signals = backpropagate(net, X, residual)
    weights = [
        W - learning_rate * scale * (h.mT @ signal)  # (n_in, n) (n, n_out) -> (n_in, n_out)
        for W, scale, h, signal in zip(net.weights, net.scales, inputs, signals, strict=True)
    ]
    biases = [b - learning_rate * signal.sum(0) for b, signal in zip(net.biases, signals[:-1], strict=True)]
    return Network(tuple(weights), tuple(biases), net.scales, net.activation)


# What the kernel predicts


def _spectrum(H: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, those that count as 0 set to 0, and the eigenvectors of a symmetric matrix."""
    require_floating(H=H)
    require_finite(H=H)
    if H.device.type != "meta" and not torch.allclose(H, H.mT, rtol=1e-4, atol=1e-6 * float(H.abs().max())):
        raise ValueError("H must be symmetric, as a kernel between the same examples is.")
    values, vectors = torch.linalg.eigh(H)  # (n, n) -> (n,), (n, n), ascending
    floor = CUTOFF if H.dtype == torch.float64 else len(H) * torch.finfo(H.dtype).eps
    return torch.where(values > floor * values[-1], values, 0.0), vectors


def linearized_outputs(
    H: Float[Tensor, "n n"], y0: Float[Tensor, " n"], t: Float[Tensor, " n"], times: Float[Tensor, " k"]
) -> Float[Tensor, "k n"]:
    r"""Return the outputs on the training examples, at several times, if the kernel stays as it is.

    .. math:: \frac{dy}{ds} = -H (y - t) \quad\Longrightarrow\quad y(s) = t + e^{-Hs} (y_0 - t)

    Parameters
    ----------
    H : tensor of shape (n, n)
        Kernel between the training examples: symmetric, no eigenvalue negative.
    y0 : tensor of shape (n,)
        Outputs at time 0.
    t : tensor of shape (n,)
        Targets.
    times : tensor of shape (k,)
        Times s, in steps times learning rate, for the loss with the factor 1/2 and no mean.

    Returns
    -------
    tensor of shape (k, n)
        Row i holds the outputs at times[i].

    Raises
    ------
    TypeError, ValueError
        If shapes or dtypes do not fit, H is not symmetric, or H holds nan or infinity.

    Notes
    -----
    One decomposition, about 9 n^3 operations, and k n^2 for the results. Eigenvalues below 1e-10 of the largest
    (n times the machine's precision in float32) count as 0: their part of the residual never moves.

    Source: Jacot, Gabriel and Hongler (2018).

    Examples
    --------
    >>> H, y0, t = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0.0, 4.0]), torch.tensor([8.0, 8.0])
    >>> linearized_outputs(H, y0, t, torch.tensor([0.0, math.log(2)]))
    tensor([[0., 4.],
            [4., 7.]])
    """
    require_shapes(H=(H, "n n"), y0=(y0, "n"), t=(t, "n"), times=(times, "k"))
    values, U = _spectrum(H)
    decay = torch.exp(-times[:, None] * values)  # (k, 1) (n,) -> (k, n)
    return t + (decay * ((y0 - t) @ U)) @ U.mT  # (n,) (n, n) -> (n,); (k, n) (n, n) -> (k, n)


def linearized_predictions(
    H: Float[Tensor, "n n"],
    H_test: Float[Tensor, "n_test n"],
    y0: Float[Tensor, " n"],
    y0_test: Float[Tensor, " n_test"],
    t: Float[Tensor, " n"],
    times: Float[Tensor, " k"],
) -> Float[Tensor, "k n_test"]:
    r"""Return the outputs on other examples, at several times, if the kernel stays as it is.

    .. math:: f_s(x) = f_0(x) + H(x, X) \Bigl(\int_0^s e^{-Hr}\,dr\Bigr) (t - y_0)
              = f_0(x) + H(x, X)\, H^{-1} \bigl(1 - e^{-Hs}\bigr) (t - y_0)

    Parameters
    ----------
    H : tensor of shape (n, n)
        Kernel between the training examples.
    H_test : tensor of shape (n_test, n)
        Kernel between other examples, in rows, and the training examples.
    y0, y0_test : tensors of shape (n,) and (n_test,)
        Outputs at time 0.
    t : tensor of shape (n,)
        Targets of the training examples.
    times : tensor of shape (k,)
        Infinity is allowed: `kernel_regression`.

    Returns
    -------
    tensor of shape (k, n_test)

    Raises
    ------
    TypeError, ValueError
        As `linearized_outputs`.

    Examples
    --------
    >>> H, H_test = torch.tensor([[2.0]]), torch.tensor([[1.0], [2.0]])
    >>> times = torch.tensor([0.0, torch.inf])
    >>> linearized_predictions(H, H_test, torch.zeros(1), torch.zeros(2), torch.tensor([6.0]), times)
    tensor([[0., 0.],
            [3., 6.]])
    """
    require_shapes(H=(H, "n n"), H_test=(H_test, "n_test n"), y0=(y0, "n"), t=(t, "n"), times=(times, "k"))
    require_shapes(H_test=(H_test, "n_test n"), y0_test=(y0_test, "n_test"))
    values, U = _spectrum(H)
    moves = values > 0
    safe = torch.where(moves, values, 1.0)
    # A direction with eigenvalue 0 is orthogonal to every row of H_test, so its integral never counts.
    integral = torch.where(moves, -torch.expm1(-times[:, None] * safe) / safe, 0.0)  # (k, 1) (n,) -> (k, n)
    coefficients = integral * ((t - y0) @ U)  # (n,) (n, n) -> (n,) -> (k, n)
    return y0_test + coefficients @ (H_test @ U).mT  # (k, n) (n, n_test) -> (k, n_test)


def kernel_regression(
    H: Float[Tensor, "n n"],
    H_test: Float[Tensor, "n_test n"],
    y0: Float[Tensor, " n"],
    y0_test: Float[Tensor, " n_test"],
    t: Float[Tensor, " n"],
) -> Float[Tensor, " n_test"]:
    r"""Return what training ends with, if the kernel stays as it is: kernel regression from where it started.

    .. math:: f_\infty(x) = f_0(x) + H(x, X)\, H^{+}\, (t - y_0)

    The pseudo-inverse is the inverse where H has one. Otherwise it leaves out the directions in which training does
    not move.

    Parameters
    ----------
    H, H_test, y0, y0_test, t
        As in `linearized_predictions`.

    Returns
    -------
    tensor of shape (n_test,)

    Raises
    ------
    TypeError, ValueError
        As `linearized_outputs`.

    Notes
    -----
    About 9 n^3 operations for the decomposition and n n_test for the rest.

    Source: Jacot, Gabriel and Hongler (2018).

    Examples
    --------
    >>> H, H_test = torch.tensor([[2.0]]), torch.tensor([[1.0], [2.0]])
    >>> kernel_regression(H, H_test, torch.tensor([4.0]), torch.tensor([1.0, 4.0]), torch.tensor([6.0]))
    tensor([2., 6.])
    """
    forever = torch.full((1,), torch.inf, dtype=H.dtype, device=H.device)
    return linearized_predictions(H, H_test, y0, y0_test, t, forever)[0]  # (1, n_test) -> (n_test,)


def steps_to_tolerance(H: Float[Tensor, "n n"], learning_rate: float, tolerance: float) -> int | float:
    r"""Return how many steps of gradient descent bring EVERY residual below a share of its size.

    .. math:: r_k = (1 - \eta H)^k r_0, \qquad
              k = \left\lceil \frac{\log \text{tolerance}}{\log \max_i \lvert 1 - \eta \lambda_i \rvert} \right\rceil

    Parameters
    ----------
    H : tensor of shape (n, n)
        Kernel between the training examples; it stays as it is.
    learning_rate : float
        Eta, positive.
    tolerance : float
        Between 0 and 1: the wanted norm of the residual, divided by its norm at the start.

    Returns
    -------
    int, or infinity
        The smallest number of steps that is enough whatever the residual at the start, at least 1. Infinity if some
        residual never gets there, because an eigenvalue is 0 or the learning rate too large.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or H is not symmetric.

    Notes
    -----
    Eigenvalues below 1e-10 of the largest count as 0.

    Examples
    --------
    >>> H = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    >>> steps_to_tolerance(H, 0.25, 0.1), steps_to_tolerance(H, 0.6, 0.1)
    (9, inf)
    """
    n = require_shapes(H=(H, "n n"))["n"]
    if learning_rate <= 0 or not 0 < tolerance < 1:
        raise ValueError(
            "learning_rate must be positive and tolerance between 0 and 1, "
            f"but learning_rate = {learning_rate} and tolerance = {tolerance}."
        )
    if n == 0:
        raise ValueError("H has no example: its shape is (0, 0).")
    slowest = float((1 - learning_rate * _spectrum(H)[0]).abs().max())  # (n,) -> ()
    if slowest >= 1:
        return math.inf
    return 1 if slowest == 0 else max(1, math.ceil(math.log(tolerance) / math.log(slowest)))


def relative_kernel_change(before: Float[Tensor, "n n2"], after: Float[Tensor, "n n2"]) -> Float[Tensor, ""]:
    r"""Return how far a kernel has moved, as a share of its size at the start.

    .. math:: \frac{\lVert H_{\text{after}} - H_{\text{before}} \rVert_F}{\lVert H_{\text{before}} \rVert_F}

    Parameters
    ----------
    before, after : tensors of shape (n, n')
        The kernel between the same examples at two times.

    Returns
    -------
    tensor of shape ()
        0 or more; nan if both kernels are zero.

    Raises
    ------
    TypeError, ValueError
        If the shapes differ or a tensor holds no floating-point numbers.

    Examples
    --------
    >>> relative_kernel_change(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 3.0]]))
    tensor(0.2000)
    """
    require_shapes(before=(before, "n n2"), after=(after, "n n2"))
    require_floating(before=before, after=after)
    return torch.linalg.vector_norm(after - before) / torch.linalg.vector_norm(before)


# The limit of infinite width


def infinite_width_kernel(X: Float[Tensor, "n p"], Z: Float[Tensor, "n2 p"]) -> Float[Tensor, "n n2"]:
    r"""Return the kernel of one hidden layer of infinitely many ReLU units at a random start.

    .. math::
        H_\infty(x, z) = \frac{\lVert \tilde x \rVert \lVert \tilde z \rVert}{2 \pi}
        \bigl(\sin\omega + 2 (\pi - \omega) \cos\omega\bigr), \qquad
        \tilde x = \Bigl(\frac{x}{\sqrt p}, 1\Bigr)

    where omega is the angle between the two lengthened vectors. It is the sum of two arc-cosine kernels: of degree 1,
    what the output weights see, and of degree 0 times the dot product, what the hidden weights and biases see.

    Parameters
    ----------
    X : tensor of shape (n, p)
    Z : tensor of shape (n', p)

    Returns
    -------
    tensor of shape (n, n')
        At most the product of the two lengths, which it is where the angle is 0. Negative for some obtuse angles.

    Raises
    ------
    TypeError, ValueError
        If p differs, or a tensor holds no floating-point numbers.

    Notes
    -----
    Source: Cho and Saul (2009) for the two integrals; Jacot, Gabriel and Hongler (2018) for their sum.

    Examples
    --------
    >>> infinite_width_kernel(torch.zeros(1, 3), torch.zeros(1, 3))
    tensor([[1.]])
    """
    p = require_shapes(X=(X, "n p"), Z=(Z, "n2 p"))["p"]
    require_floating(X=X, Z=Z)
    products = X @ Z.mT / p + 1  # (n, p) (p, n') -> (n, n')
    x_length = (X.square().sum(1) / p + 1).sqrt()  # (n, p) -> (n,)
    z_length = (Z.square().sum(1) / p + 1).sqrt()  # (n', p) -> (n',)
    lengths = x_length[:, None] * z_length  # (n, 1) (n',) -> (n, n')
    cosine = (products / lengths).clamp(-1, 1)
    angle = torch.arccos(cosine)
    return lengths * (torch.sin(angle) + 2 * (math.pi - angle) * cosine) / (2 * math.pi)


# Lazy or not


def curvature_norm(
    net: Network, X: Float[Tensor, "n p"], generator: torch.Generator, *, iterations: int = 20, starts: int = 4
) -> Float[Tensor, ""]:
    r"""Return the size of the second derivative of all outputs by the parameters.

    .. math:: \lVert D^2 f \rVert = \max_{\lVert u \rVert = \lVert v \rVert = \lVert c \rVert = 1}
              \sum_{i} c_i \, u^\top \nabla^2 f_i\, v

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)
    generator : torch.Generator
        For the first directions; it must live where the parameters are.
    iterations : int
        Rounds of the power method, which maximizes over u, v and c in turn.
    starts : int
        How often it begins anew. It climbs to a maximum, not always to the highest: the best is kept.

    Returns
    -------
    tensor of shape ()
        A lower bound of the maximum.

    Notes
    -----
    Three third derivatives in each round, each the cost of a few passes forward. The P times P matrices of second
    derivatives are never formed.

    Examples
    --------
    >>> net = Network((torch.ones(2, 1), torch.ones(1, 1)), (torch.ones(1),), (1.0, 1.0), RELU)
    >>> curvature_norm(net, torch.tensor([[1.0, 1.0]]), torch.Generator().manual_seed(0)).round(decimals=4)
    tensor(1.7321)
    """
    theta = flat_parameters(net).detach().requires_grad_()

    @torch.enable_grad()
    def form(u: Tensor, v: Tensor, c: Tensor) -> Tensor:
        outputs = forward(with_parameters(net, theta), X).flatten()  # (n, C) -> (n C,)
        (first,) = torch.autograd.grad(outputs @ c, theta, create_graph=True)  # (P,)
        (second,) = torch.autograd.grad(first @ u, theta, create_graph=True)  # (P,)
        return second @ v  # linear in each of its arguments

    def draw(size: int) -> Tensor:
        x = torch.randn(size, generator=generator, device=theta.device, dtype=theta.dtype)
        return _unit(x).requires_grad_()

    sizes = (theta.shape[0], theta.shape[0], X.shape[0] * net.weights[-1].shape[1])
    found = []
    for _ in range(starts):
        vectors = [draw(size) for size in sizes]
        for _ in range(iterations):
            for which in (2, 0, 1):  # the best c for these u and v, and so on
                (gradient,) = torch.autograd.grad(form(*vectors), vectors[which])
                vectors[which] = _unit(gradient).requires_grad_()
        found.append(form(*vectors).detach())
    return torch.stack(found).max()  # starts times () -> ()


def _unit(x: Tensor) -> Tensor:
    return x / torch.linalg.vector_norm(x).clamp(min=torch.finfo(x.dtype).tiny)


def laziness(
    net: Network,
    X: Float[Tensor, "n p"],
    t: Float[Tensor, "n C"],
    alpha: float,
    generator: torch.Generator,
    *,
    centered: bool = True,
    iterations: int = 20,
    starts: int = 4,
) -> Float[Tensor, ""]:
    r"""Return kappa of Chizat, Oyallon and Bach: far below 1, training is lazy.

    .. math:: \kappa = \lVert y_0 - t \rVert\, \frac{\lVert D^2 y \rVert}{\lVert D y \rVert^2}
              = \frac{\lVert y_0 - t \rVert}{\alpha}\, \frac{\lVert D^2 f \rVert}{\lVert D f \rVert^2}
              \qquad\text{for}\quad y = \alpha f

    Parameters
    ----------
    net : Network
    X : tensor of shape (n, p)
    t : tensor of shape (n, C)
    alpha : float
        Positive scale of the model.
    generator : torch.Generator
        As in `curvature_norm`.
    centered : bool
        Whether the model is alpha (f - f_0), which starts at 0, or alpha f.
    iterations, starts : int
        As in `curvature_norm`.

    Returns
    -------
    tensor of shape ()
        The largest possible relative speed of the Jacobian over that of the residual, both at the start.

    Raises
    ------
    ValueError
        If alpha is not positive.

    Notes
    -----
    Source: Chizat, Oyallon and Bach (2019).

    Examples
    --------
    >>> net = Network((torch.ones(2, 1), torch.ones(1, 1)), (torch.ones(1),), (1.0, 1.0), RELU)
    >>> X, t = torch.tensor([[1.0, 1.0]]), torch.tensor([[6.0]])
    >>> laziness(net, X, t, 2.0, torch.Generator().manual_seed(0)).round(decimals=4)
    tensor(0.4330)
    """
    if alpha <= 0:
        raise ValueError(f"alpha must be positive, but it is {alpha}.")
    y0 = forward(net, X)
    require_shapes(outputs=(y0, "n C"), t=(t, "n C"))
    residual = torch.linalg.vector_norm(t if centered else alpha * y0 - t)
    H = network_kernel(net, X).flatten(0, 1).flatten(1)  # (n, C, n, C) -> (n C, n C)
    largest = torch.linalg.eigvalsh(H)[-1]  # the squared norm of the Jacobian
    bend = curvature_norm(net, X, generator, iterations=iterations, starts=starts)
    return residual * bend / (alpha * largest)
