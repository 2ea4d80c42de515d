import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from devices import DEVICES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm
from sklearn.kernel_ridge import KernelRidge
from torch.func import functional_call, jacrev, vmap

from mlcourse.grading import evaluate
from mlcourse.ntk import (
    RELU,
    TANH,
    Activation,
    Network,
    backpropagate,
    curvature_norm,
    empirical_ntk,
    flat_parameters,
    forward,
    gradient_descent,
    infinite_width_kernel,
    jacobian,
    kernel_regression,
    laziness,
    linearized_outputs,
    linearized_predictions,
    network_jacobian,
    network_kernel,
    random_network,
    relative_kernel_change,
    standard_network,
    steps_to_tolerance,
    with_parameters,
)
from mlcourse.trainings.ntk import TRAININGS, Scales, Widths, measure_scales, measure_widths, parity, two_digits

pytestmark = pytest.mark.parallel

F64 = torch.float64
BOTH = pytest.mark.parametrize("activation", [TANH, RELU], ids=["tanh", "ReLU"])


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=F64)


def close(a, b, tolerance=1e-8):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def small_net(rng, p=3, m=5):
    return normal(rng, p, m), normal(rng, m), normal(rng, m)


def kernel_of(rng, n, P):
    J = normal(rng, n, P)
    return J @ J.mT


# One hidden layer


@pytest.mark.parametrize(("n", "p", "m"), [(4, 3, 5), (2, 1, 7), (1, 6, 1)])
def test_jacobian_equals_autograd(rng, n, p, m):
    X, (W, b, v) = normal(rng, n, p), small_net(rng, p, m)

    def outputs(W, b, v):
        return torch.tanh(X @ W / math.sqrt(p) + b) @ v / math.sqrt(m)

    peer = torch.cat([part.flatten(1) for part in torch.autograd.functional.jacobian(outputs, (W, b, v))], dim=1)
    assert peer.shape == (n, p * m + 2 * m)
    close(jacobian(X, W, b, v), peer)


def test_the_kernel_is_the_product_of_jacobians(rng):
    X, Z, net = normal(rng, 4, 3), normal(rng, 6, 3), small_net(rng)
    close(empirical_ntk(X, Z, *net), jacobian(X, *net) @ jacobian(Z, *net).mT)


@given(st.integers(0, 2**20), st.integers(1, 6), st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_the_kernel_of_a_set_with_itself_is_symmetric_and_not_negative(seed, n, p, m):
    rng = torch.Generator().manual_seed(seed)
    X, net = normal(rng, n, p), small_net(rng, p, m)
    H = empirical_ntk(X, X, *net)
    close(H, H.mT)
    assert torch.linalg.eigvalsh(H)[0] > -1e-9 * max(1.0, float(H.abs().max()))


def test_no_examples_and_no_sums_over_them(rng):
    net = small_net(rng)
    assert jacobian(torch.zeros(0, 3, dtype=F64), *net).shape == (0, 25)
    assert empirical_ntk(torch.zeros(0, 3, dtype=F64), normal(rng, 2, 3), *net).shape == (0, 2)


# Networks of any depth


class Peer(torch.nn.Module):
    """The same network built from PyTorch's own layers, in the usual parametrization."""

    def __init__(self, net):
        super().__init__()
        act = torch.nn.Tanh() if net.activation is TANH else torch.nn.ReLU()
        layers = []
        for i, W in enumerate(net.weights):
            last = i == len(net.weights) - 1
            layer = torch.nn.Linear(*W.shape, bias=not last, dtype=W.dtype)
            with torch.no_grad():
                layer.weight.copy_(W.mT)
                if not last:
                    layer.bias.copy_(net.biases[i])
            layers += [layer] if last else [layer, act]
        self.stack = torch.nn.Sequential(*layers)

    def forward(self, x):
        return self.stack(x)


def peer_rows(peer, X):
    """Jacobian of each output, (n, C, P), with the weights of a layer laid out as ours."""
    parameters = dict(peer.named_parameters())

    def one(parameters, x):
        return functional_call(peer, parameters, (x[None],))[0]

    parts = vmap(jacrev(one), (None, 0))(parameters, X)
    flat = [part.mT.flatten(2) if name.endswith("weight") else part for name, part in parts.items()]
    return torch.cat(flat, dim=2)


@BOTH
def test_a_standard_network_equals_torch_layers_in_outputs_jacobian_and_kernel(rng, activation):
    net = standard_network((3, 5, 4, 2), rng, activation, dtype=F64)
    X, Z = normal(rng, 6, 3), normal(rng, 7, 3)
    peer = Peer(net)
    close(forward(net, X), peer(X).detach())
    rows, rows_z = (peer_rows(peer, A).detach() for A in (X, Z))
    close(network_jacobian(net, X), rows)
    close(network_kernel(net, X, Z), torch.einsum("icp,jdp->icjd", rows, rows_z))
    close(network_kernel(net, X), torch.einsum("icp,jdp->icjd", rows, rows))


@pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 1), (2, 3, 4, 5, 3)])
def test_the_kernel_by_layers_equals_the_jacobian_in_the_ntk_parametrization(rng, sizes):
    net = random_network(sizes, rng, TANH, dtype=F64)
    X, Z = normal(rng, 5, sizes[0]), normal(rng, 3, sizes[0])
    J, J_z = network_jacobian(net, X), network_jacobian(net, Z)
    assert J.shape == (5, sizes[-1], len(flat_parameters(net)))
    close(network_kernel(net, X, Z), torch.einsum("icp,jdp->icjd", J, J_z))


def test_the_jacobian_predicts_a_small_change_of_the_parameters(rng):
    net, X = random_network((3, 6, 4, 2), rng, TANH, dtype=F64), normal(rng, 5, 3)
    theta = flat_parameters(net)
    move = 1e-5 * normal(rng, len(theta))
    change = (forward(with_parameters(net, theta + move), X) - forward(with_parameters(net, theta - move), X)) / 2
    close(network_jacobian(net, X) @ move, change, 1e-9)


def test_one_hidden_layer_by_hand_is_the_general_network(rng):
    X, Z, (W, b, v) = normal(rng, 4, 3), normal(rng, 2, 3), small_net(rng)
    net = Network((W, v[:, None]), (b,), (1 / math.sqrt(3), 1 / math.sqrt(5)))
    close(network_jacobian(net, X)[:, 0], jacobian(X, W, b, v))
    close(network_kernel(net, X, Z)[:, 0, :, 0], empirical_ntk(X, Z, W, b, v))


def test_float32_by_layers_agrees_to_five_digits(rng):
    net, X = random_network((20, 64, 64, 10), rng, RELU), torch.randn(32, 20, generator=rng)
    rows = network_jacobian(net, X).flatten(0, 1)
    H = network_kernel(net, X).flatten(2).flatten(0, 1)
    assert H.dtype == torch.float32
    assert float((H - rows @ rows.mT).abs().max() / H.abs().max()) < 1e-5


def test_signals_take_batches_of_upstream_weights(rng):
    net, X = random_network((3, 5, 2), rng, TANH, dtype=F64), normal(rng, 4, 3)
    upstream = normal(rng, 6, 7, 4, 2)
    inputs, signals = backpropagate(net, X, upstream)
    assert [tuple(h.shape) for h in inputs] == [(4, 3), (4, 5)]
    assert [tuple(s.shape) for s in signals] == [(6, 7, 4, 5), (6, 7, 4, 2)]
    close(backpropagate(net, X, upstream[2, 3])[1][0], signals[0][2, 3])


def test_relu_has_slope_0_at_0():
    assert RELU.slope(torch.tensor([-1.0, 0.0, 2.0])).tolist() == [0.0, 0.0, 1.0]
    z = torch.linspace(-2, 2, 9, dtype=F64, requires_grad=True)
    for activation in (TANH, RELU):
        (slope,) = torch.autograd.grad(activation.function(z).sum(), z)
        close(activation.slope(z).detach(), slope)


def test_random_networks_have_variance_1_and_the_scales_of_their_inputs():
    net = random_network((50, 400, 100), torch.Generator().manual_seed(1), dtype=F64)
    assert net.scales == (1 / math.sqrt(50), 1 / math.sqrt(400))
    assert [tuple(t.shape) for t in net.parameters] == [(50, 400), (400,), (400, 100)]
    assert all(abs(float(t.var()) - 1) < 0.2 for t in net.parameters)
    assert all(abs(float(t.mean())) < 0.2 for t in net.parameters)


@BOTH
def test_both_parametrizations_are_one_function_with_two_kernels(activation):
    ntk, usual = (
        make((3, 8, 6, 2), torch.Generator().manual_seed(3), activation, dtype=F64)
        for make in (random_network, standard_network)
    )
    X = normal(torch.Generator().manual_seed(4), 5, 3)
    close(forward(ntk, X), forward(usual, X))
    assert usual.scales == (1.0, 1.0, 1.0)
    assert float(network_kernel(usual, X).diagonal(dim1=0, dim2=2).sum()) > 2 * float(
        network_kernel(ntk, X).diagonal(dim1=0, dim2=2).sum()
    )


def test_parameters_to_a_vector_and_back(rng):
    net = random_network((3, 4, 5, 2), rng, RELU, dtype=F64)
    theta = flat_parameters(net)
    assert theta.shape == (3 * 4 + 4 + 4 * 5 + 5 + 5 * 2,)
    back = with_parameters(net, theta)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters, back.parameters, strict=True))
    assert (back.scales, back.activation) == (net.scales, net.activation)


# Training


@BOTH
@pytest.mark.parametrize("alpha", [None, 0.5, 3.0])
def test_descent_equals_torch_sgd(rng, activation, alpha):
    net = random_network((3, 6, 4, 2), rng, activation, dtype=F64)
    X, t = normal(rng, 5, 3), normal(rng, 5, 2)
    after, path = gradient_descent(net, X, t, 0.02, 4, alpha=alpha)
    theta = flat_parameters(net).clone().requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=0.02)
    factor, start = (1.0, 0.0) if alpha is None else (alpha, forward(net, X))
    for k in range(5):
        y = factor * (forward(with_parameters(net, theta), X) - start)
        close(path[k], y.detach())
        if k < 4:
            optimizer.zero_grad()
            ((y - t).square().sum() / (2 * factor**2)).backward()
            optimizer.step()
    close(flat_parameters(after), theta.detach())
    assert path.shape == (5, 5, 2)


def test_no_steps_leave_the_network(rng):
    net, X, t = random_network((3, 4, 1), rng, dtype=F64), normal(rng, 5, 3), normal(rng, 5, 1)
    after, path = gradient_descent(net, X, t, 0.1, 0)
    assert torch.equal(flat_parameters(after), flat_parameters(net))
    close(path[0], forward(net, X))


def test_outputs_start_at_the_speed_that_the_kernel_says(rng):
    net, X, t = random_network((3, 50, 2), rng, TANH, dtype=F64), normal(rng, 4, 3), normal(rng, 4, 2)
    H = network_kernel(net, X).flatten(2).flatten(0, 1)
    for alpha in (None, 7.0):
        _, path = gradient_descent(net, X, t, 1e-6, 1, alpha=alpha)
        speed = ((path[1] - path[0]) / 1e-6).flatten()
        close(speed, -H @ (path[0] - t).flatten(), 1e-3)


def test_a_wide_network_follows_the_prediction(rng):
    net = random_network((4, 4096, 1), rng, TANH, dtype=F64)
    X, t, Z = normal(rng, 6, 4), normal(rng, 6), normal(rng, 5, 4)
    H, H_test = network_kernel(net, X)[:, 0, :, 0], network_kernel(net, Z, X)[:, 0, :, 0]
    rate = 0.1 / float(torch.linalg.eigvalsh(H)[-1])
    after, path = gradient_descent(net, X, t[:, None], rate, 100)
    times = rate * torch.arange(101, dtype=F64)
    y0, y0_test = forward(net, X)[:, 0], forward(net, Z)[:, 0]
    assert float((path[..., 0] - linearized_outputs(H, y0, t, times)).abs().max()) < 0.05
    guess = linearized_predictions(H, H_test, y0, y0_test, t, times[-1:])[0]
    assert float((forward(after, Z)[:, 0] - guess).abs().max()) < 0.05


# What the kernel predicts


def test_outputs_equal_scipys_exponential_and_a_solver(rng):
    H, y0, t = kernel_of(rng, 5, 8), normal(rng, 5), normal(rng, 5)
    times = torch.tensor([0.3, 0.0, 1.0], dtype=F64)
    ours = linearized_outputs(H, y0, t, times)
    for row, s in zip(ours, times, strict=True):
        close(row, t + torch.from_numpy(expm(-float(s) * H.numpy())) @ (y0 - t))
    flow = solve_ivp(lambda s, y: -(H.numpy() @ (y - t.numpy())), (0, 1), y0.numpy(), rtol=1e-10, atol=1e-12)
    close(ours[2], torch.from_numpy(flow.y[:, -1]), 1e-6)


@given(st.integers(0, 2**20), st.integers(1, 6), st.integers(1, 8), st.floats(0, 1e6))
@settings(max_examples=40, deadline=None)
def test_the_residual_never_grows_and_its_dead_part_stays(seed, n, P, s):
    rng = torch.Generator().manual_seed(seed)
    J, y0, t = normal(rng, n, P), normal(rng, n), normal(rng, n)
    y = linearized_outputs(J @ J.mT, y0, t, torch.tensor([s], dtype=F64))[0]
    assert (y - t).norm() <= (y0 - t).norm() * (1 + 1e-9)
    if n > P:
        dead = torch.linalg.qr(J, mode="complete").Q[:, P:]
        close(dead.mT @ (y - t), dead.mT @ (y0 - t), 1e-6)


def test_a_tiny_negative_eigenvalue_counts_as_0():
    u = torch.tensor([1.0, -1.0], dtype=F64) / math.sqrt(2)
    H = torch.ones(2, 2, dtype=F64) - 1e-13 * torch.outer(u, u)
    y = linearized_outputs(H, torch.zeros(2, dtype=F64), u, torch.tensor([1e14], dtype=F64))
    close(y[0], torch.zeros(2, dtype=F64))
    assert steps_to_tolerance(H, 0.5, 0.1) == math.inf


def test_float32_keeps_its_dtype_and_a_singular_kernel_stays_singular():
    rng = torch.Generator().manual_seed(0)
    J = torch.randn(6, 3, generator=rng)
    H, y0, t = J @ J.mT, torch.zeros(6), torch.randn(6, generator=rng)
    y = linearized_outputs(H, y0, t, torch.tensor([1e6]))
    assert y.dtype == torch.float32
    basis = torch.linalg.qr(J).Q
    close(y[0], basis @ (basis.mT @ t), 1e-3)


def test_predictions_at_the_training_examples_are_the_outputs(rng):
    H, y0, t = kernel_of(rng, 4, 9), normal(rng, 4), normal(rng, 4)
    times = torch.tensor([0.0, 0.2, 3.0], dtype=F64)
    close(linearized_predictions(H, H, y0, y0, t, times), linearized_outputs(H, y0, t, times))


def test_predictions_equal_the_flow_of_train_and_test_together(rng):
    J, J_test = normal(rng, 4, 7), normal(rng, 3, 7)
    y0, t, y0_test = normal(rng, 4), normal(rng, 4), normal(rng, 3)
    H, H_test = (J @ J.mT).numpy(), (J_test @ J.mT).numpy()

    def flow(s, y):
        r = y[:4] - t.numpy()
        return np.concatenate((-H @ r, -H_test @ r))

    start = np.concatenate((y0.numpy(), y0_test.numpy()))
    end = solve_ivp(flow, (0, 0.8), start, rtol=1e-10, atol=1e-12).y[4:, -1]
    ours = linearized_predictions(J @ J.mT, J_test @ J.mT, y0, y0_test, t, torch.tensor([0.8], dtype=F64))
    close(ours[0], torch.from_numpy(end), 1e-6)


def test_regression_equals_scikit_learn_with_a_vanishing_ridge(rng):
    J, J_test = normal(rng, 5, 9), normal(rng, 3, 9)
    H, H_test, y0, y0_test, t = J @ J.mT, J_test @ J.mT, normal(rng, 5), normal(rng, 3), normal(rng, 5)
    peer = KernelRidge(alpha=1e-12, kernel="precomputed").fit(H.numpy(), (t - y0).numpy())
    close(kernel_regression(H, H_test, y0, y0_test, t), y0_test + torch.from_numpy(peer.predict(H_test.numpy())), 1e-6)


def test_regression_is_where_gradient_descent_on_the_tangent_ends(rng):
    for n, P in ((4, 9), (6, 3)):  # the second kernel is singular
        J, J_test, y0, y0_test, t = normal(rng, n, P), normal(rng, 3, P), normal(rng, n), normal(rng, 3), normal(rng, n)
        theta = torch.zeros(P, dtype=F64)
        rate = 1 / float(torch.linalg.matrix_norm(J, 2)) ** 2
        for _ in range(20_000):
            theta = theta - rate * J.mT @ (y0 + J @ theta - t)
        close(kernel_regression(J @ J.mT, J_test @ J.mT, y0, y0_test, t), y0_test + J_test @ theta, 1e-6)


def test_regression_with_a_duplicate_that_disagrees_gives_the_mean(rng):
    J = normal(rng, 1, 5).repeat(2, 1)
    t = torch.tensor([3.0, 1.0], dtype=F64)
    zero = torch.zeros(2, dtype=F64)
    close(kernel_regression(J @ J.mT, J @ J.mT, zero, zero, t), torch.full((2,), 2.0, dtype=F64))


@given(st.integers(0, 2**20), st.floats(0.02, 1.98), st.floats(1e-6, 0.9))
@settings(max_examples=40, deadline=None)
def test_steps_equal_counting_them(seed, share, tolerance):
    rng = torch.Generator().manual_seed(seed)
    basis, values = torch.linalg.qr(normal(rng, 4, 4)).Q, torch.rand(4, generator=rng, dtype=F64) + 0.1
    H, rate = (basis * values) @ basis.mT, share / float(values.max())
    steps = steps_to_tolerance((H + H.mT) / 2, rate, tolerance)
    slowest = float((1 - rate * values).abs().max())
    assert isinstance(steps, int)
    assert steps >= 1
    assert slowest**steps <= tolerance * (1 + 1e-6)
    assert steps == 1 or slowest ** (steps - 1) > tolerance * (1 - 1e-6)


def test_steps_at_the_borders():
    one, two = torch.tensor([[2.0]], dtype=F64), torch.diag(torch.tensor([1.0, 4.0], dtype=F64))
    assert steps_to_tolerance(one, 0.5, 0.1) == 1
    assert steps_to_tolerance(one, 0.49, 0.99) == 1
    assert steps_to_tolerance(two, 0.6, 0.1) == math.inf
    assert steps_to_tolerance(two, 0.45, 0.1) == 11  # the largest eigenvalue is the slow one: 0.8 a step
    assert steps_to_tolerance(torch.zeros(2, 2, dtype=F64), 0.1, 0.5) == math.inf
    assert steps_to_tolerance(torch.ones(2, 2, dtype=F64), 0.1, 0.5) == math.inf


@given(st.integers(0, 2**20), st.floats(1e-3, 1e3))
@settings(max_examples=20, deadline=None)
def test_change_equals_numpy_and_ignores_units(seed, factor):
    rng = torch.Generator().manual_seed(seed)
    before, after = normal(rng, 3, 4), normal(rng, 3, 4)
    peer = np.linalg.norm(after.numpy() - before.numpy()) / np.linalg.norm(before.numpy())
    close(relative_kernel_change(before, after), torch.tensor(peer, dtype=F64))
    close(relative_kernel_change(factor * before, factor * after), torch.tensor(peer, dtype=F64))


# The limit of infinite width


def test_the_limit_equals_an_integral_over_directions(rng):
    X, Z = normal(rng, 3, 2), normal(rng, 4, 2)
    H = infinite_width_kernel(X, Z)
    assert H.shape == (3, 4)
    for i in (0, 2):
        for j in (1, 3):
            x, z = (np.append(a.numpy() / math.sqrt(2), 1.0) for a in (X[i], Z[j]))
            angle = math.acos(x @ z / np.linalg.norm(x) / np.linalg.norm(z))

            # in the plane of the two vectors: a normal vector has length^2 2 on average and any direction
            def products(a, angle=angle):
                return max(math.cos(a), 0) * max(math.cos(a - angle), 0) * 2 / (2 * math.pi)

            def both(a, angle=angle):
                return (math.cos(a) > 0 and math.cos(a - angle) > 0) / (2 * math.pi)

            edges = sorted([-math.pi / 2, math.pi / 2, angle - math.pi / 2, angle + math.pi / 2])
            grid = [-math.pi, *[e for e in edges if -math.pi < e < math.pi], math.pi]
            total = sum(
                np.linalg.norm(x) * np.linalg.norm(z) * quad(products, a, b)[0] + x @ z * quad(both, a, b)[0]
                for a, b in pairwise(grid)
            )
            assert float(H[i, j]) == pytest.approx(total, rel=1e-6)


def test_wide_relu_networks_come_close_to_the_limit(rng):
    X, Z = normal(rng, 4, 6), normal(rng, 3, 6)
    net = random_network((6, 200_000, 1), rng, RELU, dtype=F64)
    assert float(relative_kernel_change(infinite_width_kernel(X, Z), network_kernel(net, X, Z)[:, 0, :, 0])) < 0.02


@given(st.integers(0, 2**20), st.integers(1, 5), st.floats(1e-4, 1e4))
@settings(max_examples=30, deadline=None)
def test_the_limit_is_a_kernel_for_inputs_of_any_size(seed, p, size):
    rng = torch.Generator().manual_seed(seed)
    X = size * normal(rng, 5, p)
    H = infinite_width_kernel(X, X)
    close(H, H.mT)
    assert torch.linalg.eigvalsh(H)[0] > -1e-7 * float(H.max())
    close(H.diagonal(), X.square().sum(1) / p + 1, 1e-6)  # on the diagonal the angle is 0: half of it twice
    lengths = H.diagonal().sqrt()
    assert float((H / (lengths[:, None] * lengths)).max()) < 1 + 1e-9


# Lazy or not


def test_curvature_equals_the_largest_value_over_a_dense_hessian(rng):
    net, X = random_network((2, 3, 1), rng, TANH, dtype=F64), normal(rng, 1, 2)
    theta = flat_parameters(net)
    hessian = torch.autograd.functional.hessian(lambda a: forward(with_parameters(net, a), X)[0, 0], theta)
    close(curvature_norm(net, X, rng), torch.linalg.matrix_norm(hessian, 2), 1e-5)


def test_curvature_of_several_outputs_is_the_largest_over_their_mixtures(rng):
    net, X = random_network((2, 3, 1), rng, TANH, dtype=F64), normal(rng, 2, 2)
    theta = flat_parameters(net)
    hessians = torch.stack(
        [
            torch.autograd.functional.hessian(lambda a, i=i: forward(with_parameters(net, a), X)[i, 0], theta)
            for i in range(2)
        ]
    )
    angles = torch.linspace(0, math.pi, 2001, dtype=F64)
    mixtures = angles.cos()[:, None, None] * hessians[0] + angles.sin()[:, None, None] * hessians[1]
    close(curvature_norm(net, X, rng), torch.linalg.matrix_norm(mixtures, 2).max(), 1e-4)


def test_a_linear_model_has_no_curvature(rng):
    net = random_network((3, 2), rng, dtype=F64)
    x = normal(rng, 4, 3)
    double = Network((net.weights[0], torch.ones(2, 1, dtype=F64)), (torch.zeros(2, dtype=F64),), (1.0, 1.0), TANH)
    assert float(curvature_norm(double, torch.zeros(1, 3, dtype=F64), rng)) > 0
    assert float(laziness(double, x, torch.zeros(4, 1, dtype=F64), 1.0, rng)) == 0  # nothing to learn


def test_kappa_is_its_definition_and_falls_as_1_over_alpha(rng):
    net, X, t = random_network((3, 8, 2), rng, TANH, dtype=F64), normal(rng, 4, 3), normal(rng, 4, 2)
    J = network_jacobian(net, X).flatten(0, 1)
    bend = curvature_norm(net, X, torch.Generator().manual_seed(1))
    squared = torch.linalg.matrix_norm(J, 2) ** 2
    y0 = forward(net, X)
    for alpha in (0.5, 4.0):
        ours = laziness(net, X, t, alpha, torch.Generator().manual_seed(1))
        close(ours, t.norm() * bend / (alpha * squared), 1e-6)
        plain = laziness(net, X, t, alpha, torch.Generator().manual_seed(1), centered=False)
        close(plain, (alpha * y0 - t).norm() * bend / (alpha * squared), 1e-6)


# Data and the long measurements


def test_two_digits_split_the_images_without_overlap():
    X, t, X_test, t_test = two_digits(50, torch.Generator().manual_seed(0), dtype=F64)
    assert X.shape == (50, 64)
    assert t.shape == (50,)
    assert len(X_test) == len(t_test) == 357 - 50
    assert set(t.tolist()) == set(t_test.tolist()) == {-1.0, 1.0}
    together = torch.cat((X, X_test))
    assert len(torch.unique(together, dim=0)) == 357
    assert float(together.square().mean()) == pytest.approx(1)
    assert int((torch.cat((t, t_test)) == 1).sum()) == 174  # eights
    other = two_digits(50, torch.Generator().manual_seed(1), dtype=F64)[0]
    assert not torch.equal(X, other)


def test_parity_is_the_product_of_the_first_two_signs(rng):
    X, t = parity(2000, 5, rng, dtype=F64)
    assert set(X.flatten().tolist()) == {-1.0, 1.0}
    assert torch.equal(t, X[:, 0] * X[:, 1])
    assert bool((X.mean(0).abs() < 0.1).all())


def test_the_trainings_run_in_small_and_keep_what_they_promise():
    widths = measure_widths(Widths(widths=(4, 512), seeds=2, examples=5, steps=3), 0)
    assert widths["widths"].tolist() == [4, 512]
    names = ["kernel", "weights", "jacobian", "gates", "left"]
    expected = {f"{a} {name}" for a in ("tanh", "ReLU") for name in names} | {"ReLU from the limit"}
    assert expected | {"widths", "time"} == set(widths)
    assert all(widths[name].shape == (2, 2) for name in expected)
    assert bool((widths["tanh weights"][0] > widths["tanh weights"][1]).all())
    assert bool((widths["ReLU left"] > 0).all())
    assert bool((widths["ReLU left"] < 1).all())
    scales = measure_scales(
        Scales(alphas=(0.25, 4.0, 64.0), seeds=2, examples=12, test_examples=30, signs=4, width=16, steps=20), 0
    )
    assert scales["alphas"].tolist() == [0.25, 4.0, 64.0]
    assert all(scales[name].shape == (3, 2) for name in ("error", "mse", "kernel", "left"))
    assert all(scales[name].shape == (2,) for name in ("lazy error", "lazy mse"))
    assert bool((np.diff(scales["kernel"], axis=0) < 0).all())
    np.testing.assert_allclose(scales["mse"][-1], scales["lazy mse"], rtol=0.05)  # alpha 64 is lazy


def test_the_measured_changes_are_what_their_names_say():
    found = measure_widths(Widths(widths=(6,), seeds=2, examples=5, steps=4, rate=0.3), 7)
    X, t, _, _ = two_digits(5, torch.Generator().manual_seed(7), dtype=F64)
    limit = infinite_width_kernel(X, X)
    rate = 0.3 / float(torch.linalg.eigvalsh(limit)[-1])
    assert float(found["time"]) == pytest.approx(4 * rate)
    rng = torch.Generator().manual_seed(8)
    for activation in (TANH, RELU):
        for seed in range(2):
            net = random_network((64, 6, 1), rng, activation, dtype=F64)
            after, path = gradient_descent(net, X, t[:, None], rate, 4)
            J, J_after = network_jacobian(net, X)[:, 0], network_jacobian(after, X)[:, 0]
            theta, theta_after = flat_parameters(net), flat_parameters(after)
            z, z_after = (X @ which.weights[0] / 8 + which.biases[0] for which in (net, after))
            r = path[..., 0] - t
            expected = {
                "kernel": (J_after @ J_after.mT - J @ J.mT).norm() / (J @ J.mT).norm(),
                "weights": (theta_after - theta).norm() / theta.norm(),
                "jacobian": (J_after - J).norm() / J.norm(),
                "gates": (z * z_after < 0).to(F64).mean(),
                "left": r[-1].norm() / r[0].norm(),
            }
            if activation is RELU:
                expected["from the limit"] = (J @ J.mT - limit).norm() / limit.norm()
            for name, value in expected.items():
                assert found[f"{activation.name} {name}"][0, seed] == pytest.approx(float(value)), name


def test_the_scales_are_tried_on_examples_that_were_not_trained_on():
    small = Scales(alphas=(0.5, 8.0), seeds=1, examples=12, test_examples=30, signs=4, width=16, steps=20, rate=0.2)
    found = measure_scales(small, 5)
    rng = torch.Generator().manual_seed(5)
    X, t = parity(42, 4, rng, dtype=torch.float32)
    net = random_network((4, 16, 1), rng, RELU, dtype=torch.float32)
    J = network_jacobian(net, X[:12])[:, 0]
    H = J @ J.mT
    rate = 0.2 / float(torch.linalg.eigvalsh(H)[-1])
    for i, alpha in enumerate(small.alphas):
        after, path = gradient_descent(net, X[:12], t[:12, None], rate, 20, alpha=alpha)
        guess = alpha * (forward(after, X[12:]) - forward(net, X[12:]))[:, 0]
        assert found["mse"][i, 0] == pytest.approx(float((guess - t[12:]).square().mean()), rel=1e-4)
        assert found["error"][i, 0] == pytest.approx(float((guess.sign() != t[12:]).float().mean()))
        assert found["left"][i, 0] == pytest.approx(float((path[-1, :, 0] - t[:12]).square().mean()), rel=1e-4)
    J_test = network_jacobian(net, X[12:])[:, 0]
    zero = torch.zeros(12), torch.zeros(30)
    lazy = linearized_predictions(H, J_test @ J.mT, *zero, t[:12], torch.tensor([20 * rate]))[0]
    assert found["lazy mse"][0] == pytest.approx(float((lazy - t[12:]).square().mean()), rel=1e-3)


def test_a_training_depends_on_its_seed_alone():
    small = Widths(widths=(4,), seeds=1, examples=5, steps=2)
    first, again, other = (measure_widths(small, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["tanh kernel"], other["tanh kernel"])
    assert {training.name for training in TRAININGS} == {"ntk.widths", "ntk.scales"}
    assert all(dataclasses.is_dataclass(training.settings) for training in TRAININGS)


# What users meet


def test_inputs_are_not_changed(rng):
    X, Z, (W, b, v) = normal(rng, 4, 3), normal(rng, 2, 3), small_net(rng)
    net, t = random_network((3, 4, 1), rng, dtype=F64), normal(rng, 4, 1)
    H, y0, times = kernel_of(rng, 4, 6), normal(rng, 4), torch.tensor([1.0], dtype=F64)
    given = [X, Z, W, b, v, t, H, y0, times, *net.parameters]
    before = [tensor.clone() for tensor in given]
    jacobian(X, W, b, v)
    empirical_ntk(X, Z, W, b, v)
    gradient_descent(net, X, t, 0.1, 2)
    network_kernel(net, X, Z)
    linearized_outputs(H, y0, t[:, 0], times)
    kernel_regression(H, H, y0, y0, t[:, 0])
    steps_to_tolerance(H, 0.01, 0.1)
    relative_kernel_change(H, 2 * H)
    infinite_width_kernel(X, Z)
    laziness(net, X, t, 1.0, rng, iterations=1, starts=1)
    assert all(torch.equal(a, b) for a, b in zip(before, given, strict=True))
    assert not any(tensor.requires_grad for tensor in given)


@pytest.mark.usefixtures("own_errors")
class TestErrors:
    def raises(self, error, words, function, *arguments, **settings):
        with pytest.raises(error) as caught:
            function(*arguments, **settings)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_inputs_and_weights(self):
        X, W, b, v = torch.ones(2, 3), torch.ones(4, 5), torch.ones(5), torch.ones(5)
        self.raises(ValueError, ["X has p = 3", "W has p = 4"], jacobian, X, W, b, v)
        self.raises(ValueError, ["W has m = 5", "v has m = 6"], jacobian, torch.ones(2, 4), W, b, torch.ones(6))
        self.raises(ValueError, ["X has p = 3", "Z has p = 4"], empirical_ntk, X, torch.ones(2, 4), W, b, v)
        self.raises(TypeError, ["X must hold floating", "int64"], jacobian, torch.ones(2, 4).long(), W, b, v)
        whole = torch.ones(2, 4).long()
        self.raises(TypeError, ["X must hold floating"], empirical_ntk, whole, torch.ones(2, 4), W, b, v)
        self.raises(TypeError, ["Z must hold floating"], empirical_ntk, torch.ones(2, 4), whole, W, b, v)

    def test_networks(self, rng):
        for sizes in ((3,), (3, 0), ()):
            self.raises(ValueError, ["sizes", str(sizes)], random_network, sizes, rng)
        net = random_network((3, 4, 1), rng)
        self.raises(ValueError, ["X has p = 2", "W has p = 3"], forward, net, torch.ones(5, 2))
        self.raises(TypeError, ["X must hold floating"], forward, net, torch.ones(5, 3).long())
        self.raises(
            ValueError,
            ["outputs has n = 5", "upstream has n = 4"],
            backpropagate,
            net,
            torch.ones(5, 3),
            torch.ones(4, 1),
        )
        self.raises(ValueError, ["(7,)", "20 parameters"], with_parameters, net, torch.ones(7))
        self.raises(ValueError, ["(4, 5)", "20 parameters"], with_parameters, net, torch.ones(4, 5))

    def test_descent(self, rng):
        net, X, t = random_network((3, 4, 1), rng), torch.ones(5, 3), torch.ones(5, 1)
        self.raises(ValueError, ["learning_rate = 0.0"], gradient_descent, net, X, t, 0.0, 1)
        self.raises(ValueError, ["steps = -1"], gradient_descent, net, X, t, 0.1, -1)
        self.raises(ValueError, ["alpha = 0.0"], gradient_descent, net, X, t, 0.1, 1, alpha=0.0)
        words = ["outputs has C = 1", "t has C = 2"]
        self.raises(ValueError, words, gradient_descent, net, X, torch.ones(5, 2), 0.1, 1)
        for alpha in (-1.0, 0.0):
            self.raises(ValueError, ["alpha must be positive", str(alpha)], laziness, net, X, t, alpha, rng)
        self.raises(ValueError, words, laziness, net, X, torch.ones(5, 2), 1.0, rng)

    def test_predictions(self):
        H, y, times = torch.eye(3), torch.ones(3), torch.ones(2)
        self.raises(ValueError, ["H has n = 3", "t has n = 4"], linearized_outputs, H, y, torch.ones(4), times)
        self.raises(ValueError, ["H must have n twice"], linearized_outputs, torch.ones(3, 4), y, y, times)
        crooked = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        self.raises(ValueError, ["H must be symmetric"], linearized_outputs, crooked, y, y, times)
        broken = torch.full((3, 3), torch.nan)
        self.raises(ValueError, ["H holds 9 values", "not finite"], linearized_outputs, broken, y, y, times)
        self.raises(TypeError, ["H must hold floating"], linearized_outputs, H.long(), y, y, times)
        self.raises(
            ValueError, ["H_test has n_test = 2", "y0_test has n_test = 5"], kernel_regression, H, torch.ones(2, 3), y,
            torch.ones(5), y,
        )  # fmt: skip
        self.raises(ValueError, ["H has n = 3", "H_test has n = 2"], kernel_regression, H, torch.ones(3, 2), y, y, y)

    def test_numbers_out_of_range(self, rng):
        H = torch.eye(2)
        for rate, tolerance in ((0.0, 0.1), (-1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (0.1, -0.5)):
            words = [f"learning_rate = {rate}", f"tolerance = {tolerance}"]
            self.raises(ValueError, words, steps_to_tolerance, H, rate, tolerance)
        self.raises(ValueError, ["no example"], steps_to_tolerance, torch.ones(0, 0), 0.1, 0.1)
        self.raises(ValueError, ["before has n = 2", "after has n = 3"], relative_kernel_change, H, torch.eye(3))
        self.raises(TypeError, ["before must hold floating"], relative_kernel_change, H.long(), H)
        self.raises(ValueError, ["X has p = 2", "Z has p = 3"], infinite_width_kernel, H, torch.eye(3))
        self.raises(TypeError, ["X must hold floating"], infinite_width_kernel, H.long(), H)
        self.raises(ValueError, ["p = 1"], parity, 3, 1, rng)


# No hidden CPU tensor


def functions_on(device):
    """Every function, on tensors of a device, by name."""
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    X, Z = (torch.ones(n, 3, device=device, requires_grad=True) for n in (4, 2))
    W, b, v = (torch.ones(*shape, device=device, requires_grad=True) for shape in ((3, 5), (5,), (5,)))
    net = Network((W, v[:, None]), (b,), (1.0, 0.5), RELU)
    H = torch.eye(4, device=device) + 0 * X.sum()
    y = torch.ones(4, device=device, requires_grad=True)
    return {
        "jacobian": lambda: jacobian(X, W, b, v),
        "empirical_ntk": lambda: empirical_ntk(X, Z, W, b, v),
        "forward": lambda: forward(net, X),
        "network_jacobian": lambda: network_jacobian(net, X),
        "network_kernel": lambda: network_kernel(net, X, Z),
        "gradient_descent": lambda: gradient_descent(net, X, y[:, None], 0.1, 2, alpha=2.0)[1],
        "flat_parameters": lambda: flat_parameters(net),
        "with_parameters": lambda: with_parameters(net, flat_parameters(net)).weights[0],
        "linearized_outputs": lambda: linearized_outputs(H, y, 2 * y, y),
        "kernel_regression": lambda: kernel_regression(H, H, y, y, 2 * y),
        "relative_kernel_change": lambda: relative_kernel_change(H, 2 * H),
        "infinite_width_kernel": lambda: infinite_width_kernel(X, 2 * Z),
        "curvature_norm": lambda: curvature_norm(net, X, generator, iterations=2, starts=1) + 0 * X.sum(),
        "laziness": lambda: laziness(net, X, y[:, None], 2.0, generator, iterations=1, starts=1),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", functions_on("cpu"))
def test_functions_stay_on_their_device(name, device):
    out = functions_on(device)[name]()
    assert out.device.type == device
    out.sum().backward()


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_created_is_created_on_the_device(device):
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    for make in (random_network, standard_network):
        net = make((3, 4, 2), generator, device=device, dtype=torch.float32)
        assert {(t.device.type, t.dtype) for t in net.parameters} == {(device, torch.float32)}
    for tensor in (*parity(3, 4, generator, device=device, dtype=F64),):
        assert (tensor.device.type, tensor.dtype) == (device, F64)


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_stays_on_the_device(device):
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    net = random_network((3, 4, 2), generator, TANH, device=device)
    X, t = torch.ones(5, 3, device=device), torch.ones(5, 2, device=device)
    theta = flat_parameters(net).requires_grad_()
    optimizer = torch.optim.AdamW([theta], lr=1e-3)
    (forward(with_parameters(net, theta), X) - t).square().sum().backward()
    optimizer.step()
    assert theta.grad.device.type == device
    after, path = gradient_descent(net, X, t, 0.1, 2)
    assert path.device.type == device
    assert all(tensor.device.type == device for tensor in after.parameters)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_dtypes_are_kept(dtype):
    rng = torch.Generator().manual_seed(0)
    net, X = random_network((3, 4, 2), rng, TANH, dtype=dtype), torch.ones(5, 3, dtype=dtype)
    assert network_kernel(net, X).dtype == network_jacobian(net, X).dtype == dtype
    assert gradient_descent(net, X, torch.ones(5, 2, dtype=dtype), 0.1, 1)[1].dtype == dtype
    assert infinite_width_kernel(X, X).dtype == dtype
    assert curvature_norm(net, X, rng, iterations=1, starts=1).dtype == dtype


def test_another_activation_can_be_brought():
    softplus = Activation("softplus", torch.nn.functional.softplus, torch.sigmoid)
    rng = torch.Generator().manual_seed(0)
    net, X = random_network((3, 6, 1), rng, softplus, dtype=F64), normal(rng, 4, 3)
    rows = network_jacobian(net, X)[:, 0]
    theta = flat_parameters(net)
    peer = torch.autograd.functional.jacobian(lambda a: forward(with_parameters(net, a), X)[:, 0], theta)
    close(rows, peer)


# The exercises: right answers in unusual ways


def jacobian_by_backward(X, W, b, v):
    W, b, v = (x.clone().requires_grad_() for x in (W, b, v))
    rows = []
    for x in X:
        for weights in (W, b, v):
            weights.grad = None
        (torch.tanh(x @ W / len(W) ** 0.5 + b) @ v / len(v) ** 0.5).backward()
        rows.append(torch.cat([weights.grad.flatten() for weights in (W, b, v)]))
    return torch.stack(rows)


def kernel_of_graphs(X, Z, W, b, v):
    """Return a kernel that still requires gradients."""
    W, b, v = (x.clone().requires_grad_() for x in (W, b, v))

    def rows(A):
        outputs = torch.tanh(A @ W / len(W) ** 0.5 + b) @ v / len(v) ** 0.5
        gradients = [torch.autograd.grad(output, (W, b, v), create_graph=True) for output in outputs]
        return torch.stack([torch.cat([part.flatten() for part in row]) for row in gradients])

    return torch.einsum("ip,jp->ij", rows(X), rows(Z))


def path_of_a_solver(H, y0, t, times):
    rows = []
    for s in times.tolist():
        found = solve_ivp(
            lambda _, y: -H.numpy() @ (y - t.numpy()), (0, s), y0.numpy(), "DOP853", rtol=1e-12, atol=1e-13
        )
        rows.append(torch.from_numpy(found.y[:, -1]))
    return torch.stack(rows)


def most_steps_of_all_eigenvalues(H, learning_rate, tolerance):
    values = torch.linalg.eigvalsh(H).tolist()
    if values[0] <= 1e-10 * values[-1]:
        return torch.inf
    factors = [abs(1 - learning_rate * value) for value in values]
    if max(factors) >= 1:
        return torch.inf
    return float(max(1 if f == 0 else math.ceil(math.log2(tolerance) / math.log2(f)) for f in factors))


def fit_by_least_squares(H, H_test, y0, y0_test, t):
    coefficients = np.linalg.lstsq(H.numpy(), (t - y0).numpy(), rcond=None)[0]
    return y0_test + H_test @ torch.from_numpy(coefficients)


def change_by_hypotenuse(before, after):
    return math.hypot(*(after - before).flatten().tolist()) / math.hypot(*before.flatten().tolist())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("jacobian", jacobian_by_backward),
        ("empirical_ntk", kernel_of_graphs),
        ("linearized_outputs", path_of_a_solver),
        ("steps_to_tolerance", most_steps_of_all_eigenvalues),
        ("kernel_regression", fit_by_least_squares),
        ("relative_kernel_change", change_by_hypotenuse),
    ],
)
def test_an_unusual_right_answer_gets_full_points(name, answer, seed):
    report = evaluate(f"ntk.{name}", answer, seed)
    assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize("spectrum", [torch.linalg.eigvalsh, torch.linalg.svdvals])
def test_a_factor_of_one_is_not_enough(spectrum):
    def steps(H, learning_rate, tolerance, allowed):
        values = spectrum(H)
        if values.min() <= 1e-10 * values.max():
            return math.inf
        factor = float((1 - learning_rate * values).abs().max())
        if not allowed(factor):
            return math.inf
        return 1 if factor == 0 else max(1, math.ceil(math.log(tolerance) / math.log(factor)))

    def right(H, learning_rate, tolerance):
        return steps(H, learning_rate, tolerance, lambda factor: factor < 1)

    def wrong(H, learning_rate, tolerance):
        return steps(H, learning_rate, tolerance, lambda factor: factor <= 1)

    assert evaluate("ntk.steps_to_tolerance", right).status == "passed"
    assert evaluate("ntk.steps_to_tolerance", wrong).misconception == "factor_of_minus_one_allowed"
    assert steps_to_tolerance(torch.diag(torch.tensor([1.0, 4.0])), 0.5, 0.1) == math.inf


@pytest.mark.parametrize("size", [1e-8, 1e-10, 1e-12, 1e-16, 1e-30])
def test_a_small_number_below_or_as_a_lower_end_is_found(size):
    def added(before, after):
        return (after - before).norm() / (before.norm() + size)

    def clamped(before, after):
        return (after - before).norm() / before.norm().clamp(min=size)

    for answer in (added, clamped):
        report = evaluate("ntk.relative_kernel_change", answer)
        assert report.score < report.max_score
        assert "number that is added below" in report.feedback or "a small number below" in report.feedback


@pytest.mark.parametrize(
    ("cutoff", "passes"), [(1e-3, False), (1e-5, False), (1e-6, False), (1e-9, True), (1e-12, True)]
)
def test_only_a_cutoff_above_small_eigenvalues_loses_points(cutoff, passes):
    def answer(H, H_test, y0, y0_test, t):
        return y0_test + H_test @ torch.linalg.pinv(H, rtol=cutoff) @ (t - y0)

    report = evaluate("ntk.kernel_regression", answer)
    assert (report.score == report.max_score) == passes
    assert passes or "counts as 0 when" in " ".join(report.feedback.split())


def solve_before_pinv(H, H_test, y0, y0_test, t):
    try:
        coefficients = torch.linalg.solve(H, t - y0)
    except RuntimeError:
        coefficients = torch.linalg.pinv(H) @ (t - y0)
    return y0_test + H_test @ coefficients


def cutoff_without_a_scale(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ torch.linalg.pinv(H, atol=1e-10, rtol=0) @ (t - y0)


@pytest.mark.parametrize("answer", [solve_before_pinv, cutoff_without_a_scale])
def test_what_a_large_singular_kernel_shows_is_explained(answer):
    report = evaluate("ntk.kernel_regression", answer)
    assert report.score < report.max_score
    assert "relative" in report.feedback
    assert "trial of solve" in " ".join(report.feedback.split())
