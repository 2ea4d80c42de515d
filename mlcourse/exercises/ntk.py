"""Exercises on the neural tangent kernel: Jacobian, kernel, dynamics, speed, the end of training, and change."""

from __future__ import annotations

from math import ceil, inf, log, sqrt

import numpy as np
import torch

from mlcourse import ntk
from mlcourse.exercises.libraries import AUTOGRAD, LEAST_SQUARES
from mlcourse.exercises.protocol import edge, exercise, random, worked

# All that gives more than one gradient at a time.
JACOBIANS = tuple(name for name in AUTOGRAD if "functional" in name or ("func" in name and "grad" not in name))
JACOBIANS += ("torch.func.vmap", "torch.vmap", "functorch.vmap", "torch._functorch.apis.vmap")
JACOBIANS += ("torch.autograd.gradcheck",)


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def zeros(*shape):
    return torch.zeros(*shape, dtype=torch.float64)


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def draw_net(rng, p, m):
    return {"W": normal(rng, p, m), "b": normal(rng, m), "v": normal(rng, m)}


# 1. jacobian


@exercise("ntk.jacobian", reference=ntk.jacobian, points=6, forbidden=JACOBIANS)
def jacobian(rng):
    """How each output of a small network moves with each of its parameters."""
    yield worked(
        X=tensor([[1, 2, -2], [0, 3, 1]]),
        W=tensor([[0.5, 0], [1, -0.5], [0, 1]]),
        b=tensor([0.2, -0.4]),
        v=tensor([3, -2]),
    )
    for n, p, m in [(3, 4, 5), (5, 2, 7), (2, 6, 3)]:
        yield random(X=normal(rng, n, p), **draw_net(rng, p, m))
    yield edge(X=normal(rng, 1, 1), **draw_net(rng, 1, 1))
    yield edge(X=zeros(2, 3), **draw_net(rng, 3, 4))
    yield edge(X=normal(rng, 3, 2), W=1e3 * normal(rng, 2, 4), b=normal(rng, 4), v=normal(rng, 4))
    yield edge(X=normal(rng, 3, 2), W=normal(rng, 2, 4), b=normal(rng, 4), v=zeros(4))


def parts(X, W, b, v):
    """By W (n, p, m), by b (n, m), by v (n, m), all right; and the pre-activations."""
    p, m = W.shape
    z = X @ W / sqrt(p) + b
    signal = v * (1 - torch.tanh(z) ** 2) / sqrt(m)
    return X[:, :, None] * signal[:, None, :] / sqrt(p), signal, torch.tanh(z) / sqrt(m), z


def joined(by_W, by_b, by_v):
    return torch.cat((by_W.flatten(1), by_b, by_v), dim=1)


def units(X, W, b):
    """Pre-activations, right."""
    return X @ W / sqrt(len(W)) + b


def divided_by_p(X, W, b):
    """Pre-activations, with p where its root belongs."""
    return X @ W / len(W) + b


def slope_of_tanh(h):
    return 1 - h**2


def rows_by(pre=units, slope=slope_of_tanh, power_of_p=0.5, powers_of_m=(0.5, 0.5, 0.5), power_for_b=0.0):
    """Jacobian of a network in which one thing differs: the pre-activations, the slope, or a scale.

    ``powers_of_m`` belong to the derivatives by W, by b and by v.
    """

    def rows(X, W, b, v):
        p, m = W.shape
        h = torch.tanh(pre(X, W, b))
        signal = v * slope(h)
        by_W = X[:, :, None] * signal[:, None, :] / p**power_of_p
        by_b = signal / p**power_for_b
        scaled = (part / m**power for part, power in zip((by_W, by_b, h), powers_of_m, strict=True))
        return joined(*scaled)

    return rows


@jacobian.misconception(
    "The factor 1/sqrt(m) of the output is missing. It stands in front of the sum, so every derivative has it: by W, "
    "by b and by v."
)
def output_not_scaled(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v) * sqrt(len(v))


@jacobian.misconception(
    "The derivative by W lacks 1/sqrt(p). The weights enter as x W / sqrt(p), so the chain rule gives x / sqrt(p), not "
    "x."
)
def input_not_scaled(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W * sqrt(len(W)), by_b, by_v)


@jacobian.misconception(
    "You differentiate by W/sqrt(p) and v/sqrt(m), as if the factors were part of the weights. Then every derivative "
    "by W lacks 1/sqrt(p) and every derivative by v lacks 1/sqrt(m). That is the standard parametrization; here the "
    "factors stand in front and stay when you differentiate."
)
def standard_parametrization(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W * sqrt(len(W)), by_b, by_v * sqrt(len(v)))


@jacobian.misconception(
    "Both scales are missing from the derivatives, 1/sqrt(p) by W and 1/sqrt(m) everywhere. They are constants in "
    "front of the weights: they stay when you differentiate."
)
def nothing_scaled(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W * sqrt(len(W)), by_b, by_v) * sqrt(len(v))


@jacobian.misconception(
    "The slope of tanh is missing. By the chain rule W and b act through tanh, so their derivatives have the factor "
    "1 - tanh(z)^2."
)
def slope_missing(X, W, b, v):
    by_v = parts(X, W, b, v)[2]
    signal = (v / sqrt(len(v))).expand_as(by_v)
    return joined(X[:, :, None] * signal[:, None, :] / sqrt(len(W)), signal, by_v)


@jacobian.misconception(
    "Your slope is 1 - z^2, with the value before tanh. It is 1 - h^2 with h = tanh(z), the value after it."
)
def slope_of_the_wrong_value(X, W, b, v):
    _, _, by_v, z = parts(X, W, b, v)
    signal = v * (1 - z**2) / sqrt(len(v))
    return joined(X[:, :, None] * signal[:, None, :] / sqrt(len(W)), signal, by_v)


@jacobian.misconception(
    "Your derivatives by v are v tanh(z) / sqrt(m). The output is linear in v: differentiating by v_j removes it and "
    "leaves tanh(z_j) / sqrt(m)."
)
def v_kept(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, v * by_v)


@jacobian.misconception(
    "The derivatives by W and b lack the factor v. A hidden unit moves the output as much as its output weight says."
)
def v_forgotten(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, torch.ones_like(v))
    return joined(by_W, by_b, by_v)


SLOPE_NOT_SQUARED = "Your slope is 1 - tanh(z). The square is missing: the derivative of tanh is 1 - tanh(z)^2. "
SLOPE_OF_SIGMOID = (
    "Your slope is h (1 - h). That is the derivative of the sigmoid; the derivative of h = tanh(z) is 1 - h^2. "
)
BIAS_NOT_ADDED = "Your z lacks the biases: z = x W / sqrt(p) + b. Every tanh and every slope depends on them. "
INPUTS_NOT_DIVIDED = "Your z is x W + b. The sum over the inputs is divided by sqrt(p): z = x W / sqrt(p) + b. "
BIAS_DIVIDED = "You divide the bias by sqrt(p), too. The scale belongs to the sum alone: z = x W / sqrt(p) + b. "
DIVIDED_BY_P = (
    "Your z is x W / p + b. A sum of p terms of size 1, with signs that differ, has the size sqrt(p): "
    "z = x W / sqrt(p) + b. "
)
DIVIDED_BY_M = "{} divided by m. The output has 1/sqrt(m) in front, and every derivative has the same factor: by {}. "
for name, hint, wrong in (
    ("slope_not_squared", SLOPE_NOT_SQUARED, rows_by(slope=lambda h: 1 - h)),
    ("slope_of_the_sigmoid", SLOPE_OF_SIGMOID, rows_by(slope=lambda h: h * (1 - h))),
    ("bias_not_added", BIAS_NOT_ADDED, rows_by(lambda X, W, b: units(X, W, 0 * b))),
    (
        "inputs_not_divided",
        INPUTS_NOT_DIVIDED + "Your derivatives by W lack 1/sqrt(p) for the same reason.",
        rows_by(lambda X, W, b: X @ W + b, power_of_p=0.0),
    ),
    (
        "inputs_divided_in_the_derivative_alone",
        INPUTS_NOT_DIVIDED + "Your derivatives by W have the factor; the network that you differentiate must have it.",
        rows_by(lambda X, W, b: X @ W + b),
    ),
    (
        "network_without_scales",
        "The network that you differentiate has no scales. " + INPUTS_NOT_DIVIDED + "And the output is divided by "
        "sqrt(m).",
        rows_by(lambda X, W, b: X @ W + b, power_of_p=0.0, powers_of_m=(0.0, 0.0, 0.0)),
    ),
    (
        "bias_divided",
        BIAS_DIVIDED,
        rows_by(lambda X, W, b: (X @ W + b) / sqrt(len(W)), power_for_b=0.5),
    ),
    (
        "divided_by_the_width",
        "You divide by m. The output is divided by sqrt(m), and every derivative with it.",
        rows_by(powers_of_m=(1.0, 1.0, 1.0)),
    ),
    (
        "divided_by_the_inputs",
        "Your derivative by W has 1/p. One derivative has 1/sqrt(p); it is the product of two, in the kernel, that has "
        "1/p.",
        rows_by(power_of_p=1.0),
    ),
    (
        "network_divided_by_the_inputs",
        DIVIDED_BY_P + "Your derivatives by W have 1/p for the same reason: 1/sqrt(p) is right.",
        rows_by(divided_by_p, power_of_p=1.0),
    ),
    (
        "divided_by_the_inputs_in_the_network_alone",
        DIVIDED_BY_P + "Your derivatives by W have 1/sqrt(p); the network that you differentiate must have it.",
        rows_by(divided_by_p),
    ),
    (
        "network_divided_by_inputs_and_width",
        DIVIDED_BY_P + "For the same reason the output is divided by sqrt(m), not by m. Both factors stay when you "
        "differentiate.",
        rows_by(divided_by_p, power_of_p=1.0, powers_of_m=(1.0, 1.0, 1.0)),
    ),
    (
        "derivatives_divided_by_inputs_and_width",
        "Your derivatives have 1/p and 1/m, where the network has 1/sqrt(p) and 1/sqrt(m). A factor in front stays as "
        "it is when you differentiate; it is the product of two derivatives, in the kernel, that has 1/p and 1/m.",
        rows_by(power_of_p=1.0, powers_of_m=(1.0, 1.0, 1.0)),
    ),
    (
        "bias_divided_in_the_derivative_alone",
        "Your derivatives by b have 1/sqrt(p). That factor belongs to the inputs: z = x W / sqrt(p) + b, so the "
        "derivative of z by b is 1.",
        rows_by(power_for_b=0.5),
    ),
    (
        "divided_by_the_width_by_v_alone",
        DIVIDED_BY_M.format("Your derivatives by v are", "v as by W and b, where yours is right"),
        rows_by(powers_of_m=(0.5, 0.5, 1.0)),
    ),
    (
        "divided_by_the_width_by_W_and_b",
        DIVIDED_BY_M.format("Your derivatives by W and b are", "W and b as by v, where yours is right"),
        rows_by(powers_of_m=(1.0, 1.0, 0.5)),
    ),
    (
        "divided_by_the_width_by_W_alone",
        DIVIDED_BY_M.format("Your derivatives by W are", "W as by b and v, where yours is right"),
        rows_by(powers_of_m=(1.0, 0.5, 0.5)),
    ),
    (
        "divided_by_the_width_by_b_alone",
        DIVIDED_BY_M.format("Your derivatives by b are", "b as by W and v, where yours is right"),
        rows_by(powers_of_m=(0.5, 1.0, 0.5)),
    ),
    (
        "output_scale_missing_by_W_alone",
        "Your derivatives by W lack 1/sqrt(m), those by b and v have it. All that reaches the output passes that "
        "factor: the derivative by W is x / sqrt(p) times the one by b.",
        rows_by(powers_of_m=(0.0, 0.5, 0.5)),
    ),
    (
        "output_scale_missing_by_b_alone",
        "Your derivatives by b lack 1/sqrt(m), those by W and v have it. All that reaches the output passes that "
        "factor: the derivative by b_j is v_j (1 - tanh(z_j)^2) / sqrt(m).",
        rows_by(powers_of_m=(0.5, 0.0, 0.5)),
    ),
):
    jacobian.misconception(hint, name=name)(wrong)


@jacobian.misconception(
    "Your derivatives by v are tanh(z), without 1/sqrt(m). The factor stands in front of the whole sum: differentiate "
    "by v and it stays."
)
def output_scale_missing_by_v(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v * sqrt(len(v)))


@jacobian.misconception(
    "Your derivatives by W and b lack 1/sqrt(m). The signal that arrives at hidden unit j is v_j (1 - tanh(z_j)^2) / "
    "sqrt(m)."
)
def output_scale_missing_by_W_and_b(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W * sqrt(len(v)), by_b * sqrt(len(v)), by_v)


@jacobian.misconception(
    "Your derivatives by v are the pre-activations, z / sqrt(m). v multiplies what comes out of tanh: tanh(z) / "
    "sqrt(m)."
)
def v_sees_no_tanh(X, W, b, v):
    by_W, by_b, _, z = parts(X, W, b, v)
    return joined(by_W, by_b, z / sqrt(len(v)))


@jacobian.misconception(
    "Your derivatives by v hold the slope 1 - tanh(z)^2. v stands outside tanh: differentiating by v_j leaves what v_j "
    "is multiplied by, tanh(z_j) / sqrt(m)."
)
def v_sees_the_slope(X, W, b, v):
    by_W, by_b, _, z = parts(X, W, b, v)
    return joined(by_W, by_b, (1 - torch.tanh(z) ** 2) / sqrt(len(v)))


@jacobian.misconception(
    "All your signs are reversed. The Jacobian holds the derivatives of the outputs as they are; the minus of gradient "
    "descent comes later."
)
def signs_reversed(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return -joined(by_W, by_b, by_v)


@jacobian.misconception(
    "You return the derivatives by W alone. b and v are parameters too: the shape is (n, p m + 2 m)."
)
def W_alone(X, W, b, v):
    return parts(X, W, b, v)[0].flatten(1)


@jacobian.misconception("The columns for v are missing. The output weights are parameters too, and come last.")
def output_weights_not_counted(X, W, b, v):
    by_W, by_b, _, _ = parts(X, W, b, v)
    return torch.cat((by_W.flatten(1), by_b), dim=1)


@jacobian.misconception(
    "You return three pieces. Join them along the last axis: one row for each example, with the columns for W, b and v."
)
def pieces(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return by_W.flatten(1), by_b, by_v


@jacobian.misconception(
    "Each of your rows contains the rows above it. backward() ADDS to .grad: set it to None before the next example, "
    "or use torch.autograd.grad, which returns a new result."
)
def gradients_pile_up(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).cumsum(0)


@jacobian.misconception(
    "All your rows are the gradient of the SUM of the outputs. Differentiate each output by itself: its row holds its "
    "own derivatives."
)
def sum_in_every_row(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).sum(0).repeat(len(X), 1)


@jacobian.misconception(
    "You return one row, the gradient of the SUM of the outputs. The kernel needs the examples apart: one row for each."
)
def sum_as_one_row(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).sum(0, keepdim=True)


@jacobian.misconception(
    "You divide by the number of examples, as if a mean were differentiated. Row i is the derivative of output i, and "
    "does not depend on how many others there are."
)
def divided_by_n(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v) / len(X)


@jacobian.misconception(
    "You divide by the root of the number of examples. Some papers do, so that J J^T is a mean. Here row i is the "
    "derivative of output i, whatever stands beside it."
)
def divided_by_the_root_of_n(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v) / sqrt(len(X))


@jacobian.misconception(
    "Each row is multiplied by its output: you differentiate f^2 / 2, a loss. The Jacobian holds the derivatives of "
    "the OUTPUTS; no loss is in it yet."
)
def derivative_of_a_loss(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v) * (by_v @ v)[:, None]


@jacobian.misconception(
    "The entries of W are in the wrong order, column by column. Row by row is asked: W[0, 0], W[0, 1], ..., as "
    "W.flatten() gives them."
)
def columns_of_W_first(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W.mT, by_b, by_v)


@jacobian.misconception("The columns for b stand before those for W. The order is W, b, v.")
def bias_first(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return torch.cat((by_b, by_W.flatten(1), by_v), dim=1)


@jacobian.misconception("The columns for v stand first. The order is W, b, v, as in the signature.")
def output_first(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return torch.cat((by_v, by_W.flatten(1), by_b), dim=1)


@jacobian.misconception("The columns for v stand before those for b. The order is W, b, v, as in the signature.")
def output_before_bias(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return torch.cat((by_W.flatten(1), by_v, by_b), dim=1)


@jacobian.misconception(
    "The columns for b are missing. A bias is a parameter too, and its derivative is the signal that arrives at the "
    "hidden unit: the shape is (n, p m + 2 m)."
)
def bias_missing(X, W, b, v):
    by_W, _, by_v, _ = parts(X, W, b, v)
    return torch.cat((by_W.flatten(1), by_v), dim=1)


@jacobian.misconception(
    "You return the gradient of the SUM of the outputs, one row in all. backward() on a sum adds the examples up. The "
    "kernel needs them apart: one row for each example."
)
def gradient_of_the_sum(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).sum(0)


@jacobian.misconception(
    "You return the gradient of the MEAN of the outputs, one row in all. The kernel needs the examples apart: one row "
    "for each."
)
def gradient_of_the_mean(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).mean(0)


@jacobian.misconception(
    "Your result is transposed. One example is one row here: the shape is (n, P), and the kernel is J J^T."
)
def examples_in_columns(X, W, b, v):
    by_W, by_b, by_v, _ = parts(X, W, b, v)
    return joined(by_W, by_b, by_v).mT


@jacobian.misconception(
    "You differentiate by the inputs, shape (n, p). The tangent kernel belongs to the PARAMETERS: the data stay as "
    "they are, and W, b and v move."
)
def by_the_inputs(X, W, b, v):
    return parts(X, W, b, v)[1] @ W.mT / sqrt(len(W))


@jacobian.always("A small change of the parameters changes the outputs by J times the change, to first order.")
def first_order(call, rng):
    X, net = normal(rng, 4, 3), draw_net(rng, 3, 5)
    moves = {name: 1e-5 * normal(rng, *value.shape) for name, value in net.items()}

    def outputs(sign):
        W, b, v = (net[name] + sign * moves[name] for name in ("W", "b", "v"))
        return torch.tanh(X @ W / sqrt(3) + b) @ v / sqrt(5)

    change = torch.cat([moves[name].flatten() for name in ("W", "b", "v")])
    return bool(torch.allclose(call(X=X, **net) @ change, (outputs(1) - outputs(-1)) / 2, rtol=1e-4, atol=1e-10))


@jacobian.always("Each row depends on its own example alone.")
def rows_apart(call, rng):
    X, net = normal(rng, 4, 3), draw_net(rng, 3, 5)
    return close(call(X=X, **net)[1:3], call(X=X[1:3], **net))


# 2. empirical_ntk


@exercise("ntk.empirical_ntk", reference=ntk.empirical_ntk, points=6, forbidden=JACOBIANS)
def empirical_ntk(rng):
    """Tangent kernel between two sets of examples."""
    yield worked(
        X=tensor([[1, 2, -2], [0, 3, 1]]),
        Z=tensor([[1, 0, 1], [2, -1, 0], [1, 2, -2]]),
        W=tensor([[0.5, 0], [1, -0.5], [0, 1]]),
        b=tensor([0.2, -0.4]),
        v=tensor([3, -2]),
    )
    for n, n2, p, m in [(3, 2, 4, 5), (2, 5, 3, 7), (4, 3, 6, 2)]:
        yield random(X=normal(rng, n, p), Z=normal(rng, n2, p), **draw_net(rng, p, m))
    X = normal(rng, 4, 3)
    yield random(X=X, Z=X.clone(), **draw_net(rng, 3, 5))
    yield edge(X=normal(rng, 1, 1), Z=normal(rng, 1, 1), **draw_net(rng, 1, 1))
    yield edge(X=zeros(2, 3), Z=normal(rng, 3, 3), **draw_net(rng, 3, 4))
    yield edge(X=normal(rng, 3, 2), Z=normal(rng, 1, 2), W=1e3 * normal(rng, 2, 4), b=normal(rng, 4), v=normal(rng, 4))
    yield edge(X=normal(rng, 3, 2), Z=normal(rng, 2, 2), W=normal(rng, 2, 4), b=normal(rng, 4), v=zeros(4))


def rows(X, W, b, v):
    return joined(*parts(X, W, b, v)[:3])


def kernel(X, Z, W, b, v, *, gram=None, power=2):
    """Kernel by layers, with another Gram matrix of the inputs or without the output weights."""
    _, _, h_x, z_x = parts(X, W, b, v)
    _, _, h_z, z_z = parts(Z, W, b, v)
    gram = X @ Z.mT / len(W) + 1 if gram is None else gram
    slopes = ((1 - torch.tanh(z_x) ** 2) * v**power) @ (1 - torch.tanh(z_z) ** 2).mT / len(v)
    return gram * slopes + h_x @ h_z.mT


@empirical_ntk.misconception(
    "Your kernel is J^T J, of shape (P, P): it compares parameters and sums over examples. The tangent kernel compares "
    "EXAMPLES and sums over parameters: J(X) J(Z)^T, of shape (n, n')."
)
def parameters_compared(X, Z, W, b, v):
    return rows(X, W, b, v).mT @ rows(X, W, b, v)


J_OF_Z_NOT_TRANSPOSED = (
    "Two Jacobians do not fit as they are, (n, P) and (n', P). Transpose the second: J(X) J(Z)^T sums over the P "
    "parameters."
)


@empirical_ntk.misconception(J_OF_Z_NOT_TRANSPOSED)
def second_not_transposed(X, Z, W, b, v):
    return rows(X, W, b, v) @ rows(Z, W, b, v)


@empirical_ntk.misconception(
    "You transposed the first Jacobian, J(X)^T J(Z). That sums over examples. Transpose the second: J(X) J(Z)^T sums "
    "over the P parameters."
)
def first_transposed(X, Z, W, b, v):
    return rows(X, W, b, v).mT @ rows(Z, W, b, v)


@empirical_ntk.misconception("Rows and columns are exchanged: row i belongs to X[i], column j to Z[j].")
def exchanged(X, Z, W, b, v):
    return kernel(Z, X, W, b, v)


@empirical_ntk.misconception(
    "You compare X with itself and leave Z out. Entry (i, j) compares X[i] with Z[j]; predictions on new examples need "
    "that."
)
def second_set_ignored(X, Z, W, b, v):
    return kernel(X, X, W, b, v)


@empirical_ntk.misconception(
    "You count the output weights v alone. That is the kernel of the last layer's features. W and b are trained too: "
    "add their part, the Gram matrix of the inputs times that of the signals."
)
def last_layer_alone(X, Z, W, b, v):
    return parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT


@empirical_ntk.misconception(
    "The part of the output weights v is missing. Their derivatives are tanh(z) / sqrt(m), so they add h(x) . h(z) / m."
)
def last_layer_missing(X, Z, W, b, v):
    return kernel(X, Z, W, b, v) - parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT


@empirical_ntk.misconception(
    "The biases are missing. The derivative by b is the signal itself, so the Gram matrix of the inputs is x . z / p + "
    "1."
)
def biases_missing(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, gram=X @ Z.mT / len(W))


@empirical_ntk.misconception(
    "The part of W is missing. The derivative by W_kj is x_k / sqrt(p) times the signal of unit j, so W adds x . z / p "
    "times the product of the signals. You have the parts of b and v."
)
def hidden_weights_missing(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, gram=torch.ones(len(X), len(Z), dtype=X.dtype))


ADDED = (
    "You ADD the Gram matrix of the inputs, x . z / p + 1, to the product of the signals. The derivative by W is an "
    "input TIMES a signal, so the two are multiplied; only the parts of W, b and v are added. "
)
for name, whole in (("gram_added", False), ("gram_added_and_divided", True)):

    def with_gram_added(X, Z, W, b, v, whole=whole):
        gram = X @ Z.mT / len(W) + 1
        ones = torch.ones_like(gram)
        return kernel(X, Z, W, b, v, gram=ones) + (gram / len(v) if whole else gram)

    empirical_ntk.misconception(ADDED + ("(You divide the sum by m.)" if whole else ""), name=name)(with_gram_added)


@empirical_ntk.misconception(
    "You multiply the OUTPUTS f(x) and f(z). The kernel multiplies their derivatives by each parameter, and adds up."
)
def outputs_multiplied(X, Z, W, b, v):
    return torch.outer(parts(X, W, b, v)[2] @ v, parts(Z, W, b, v)[2] @ v)


@empirical_ntk.misconception(
    "The products of the inputs are not divided by p. The weights enter as x W / sqrt(p): each derivative has "
    "1/sqrt(p), the product of two has 1/p."
)
def inputs_not_scaled(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, gram=X @ Z.mT + 1)


@empirical_ntk.misconception(
    "You divide the products of the inputs by sqrt(p). Each of the two derivatives has 1/sqrt(p), so their product has "
    "1/p."
)
def inputs_scaled_once(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, gram=X @ Z.mT / sqrt(len(W)) + 1)


@empirical_ntk.misconception(
    "The factor 1/m is missing. The output is a sum divided by sqrt(m), so the product of two derivatives has 1/m. "
    "Without it the kernel grows with the width and has no limit."
)
def width_not_divided(X, Z, W, b, v):
    return len(v) * kernel(X, Z, W, b, v)


@empirical_ntk.misconception(
    "You divide by sqrt(m) once. Each of the two derivatives has 1/sqrt(m), so their product has 1/m."
)
def width_divided_once(X, Z, W, b, v):
    return sqrt(len(v)) * kernel(X, Z, W, b, v)


@empirical_ntk.misconception(
    "The signals lack the output weights: v_j enters both derivatives, so the kernel has v_j^2. Here there is none."
)
def output_weights_missing(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, power=0)


@empirical_ntk.misconception(
    "v_j stands in BOTH derivatives, so the product has v_j^2. Yours has v_j once, and a negative v_j makes a part of "
    "the kernel negative."
)
def output_weights_once(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, power=1)


@empirical_ntk.misconception(
    "You divide by the number of parameters. The kernel is the SUM over all parameters: a step moves the output by the "
    "sum of what all of them do."
)
def mean_over_parameters(X, Z, W, b, v):
    return kernel(X, Z, W, b, v) / (W.numel() + 2 * len(v))


@empirical_ntk.misconception(
    "Your entries are cosines: the rows of the Jacobians were divided by their lengths. The kernel keeps the lengths. "
    "They say how fast each output moves."
)
def cosines(X, Z, W, b, v):
    J_x, J_z = rows(X, W, b, v), rows(Z, W, b, v)
    return (J_x / J_x.norm(dim=1, keepdim=True)) @ (J_z / J_z.norm(dim=1, keepdim=True)).mT


@empirical_ntk.misconception(
    "You multiply derivatives by the INPUTS. The tangent kernel multiplies derivatives by the PARAMETERS W, b and v."
)
def derivatives_by_inputs(X, Z, W, b, v):
    return by_the_inputs(X, W, b, v) @ by_the_inputs(Z, W, b, v).mT


@empirical_ntk.misconception(
    "Your signals lack the slope of tanh. W and b act through tanh, so their derivatives have the factor 1 - tanh(z)^2."
)
def slopes_missing(X, Z, W, b, v):
    gram = X @ Z.mT / len(W) + 1
    return gram * (v @ v) / len(v) + parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT


def product_of(rows_of):
    """Kernel from a rule for the rows of the Jacobians."""
    return lambda X, Z, W, b, v: rows_of(X, W, b, v) @ rows_of(Z, W, b, v).mT


DIVIDED_BY_P = (
    "Your z is x W / p + b. A sum of p terms of size 1, with signs that differ, has the size sqrt(p): "
    "z = x W / sqrt(p) + b. "
)
DIVIDED_BY_M = "{} divided by m. The output has 1/sqrt(m) in front, and every derivative has the same factor: by {}. "
for name, hint, wrong in (
    ("slope_not_squared", SLOPE_NOT_SQUARED, rows_by(slope=lambda h: 1 - h)),
    ("slope_of_the_sigmoid", SLOPE_OF_SIGMOID, rows_by(slope=lambda h: h * (1 - h))),
    ("bias_not_added", BIAS_NOT_ADDED, rows_by(lambda X, W, b: units(X, W, 0 * b))),
    ("inputs_not_divided", INPUTS_NOT_DIVIDED, rows_by(lambda X, W, b: X @ W + b)),
    (
        "network_without_scales",
        "The network that you differentiate has no scales. " + INPUTS_NOT_DIVIDED + "And the output is divided by "
        "sqrt(m).",
        rows_by(lambda X, W, b: X @ W + b, power_of_p=0.0, powers_of_m=(0.0, 0.0, 0.0)),
    ),
    (
        "bias_divided",
        BIAS_DIVIDED,
        rows_by(lambda X, W, b: (X @ W + b) / sqrt(len(W)), power_for_b=0.5),
    ),
    (
        "scales_lost_in_the_derivatives",
        "Both scales are missing from your derivatives, 1/sqrt(p) by W and 1/sqrt(m) everywhere. They are constants in "
        "front of the weights: they stay when you differentiate.",
        rows_by(power_of_p=0.0, powers_of_m=(0.0, 0.0, 0.0)),
    ),
    (
        "gradients_pile_up",
        "Your kernel is that of running sums: backward() ADDS to .grad, so each row of the Jacobian contains the rows "
        "above it. Set .grad to None before the next example.",
        lambda X, W, b, v: rows(X, W, b, v).cumsum(0),
    ),
    (
        "W_alone",
        "You count W alone. b and v are parameters too, and the kernel is the sum over all of them: three parts.",
        lambda X, W, b, v: parts(X, W, b, v)[0].flatten(1),
    ),
):
    empirical_ntk.misconception(hint, name=name)(product_of(wrong))


@empirical_ntk.misconception(
    "You differentiate by W/sqrt(p) and v/sqrt(m), as if the factors were part of the weights: the standard "
    "parametrization. Here they stand in front and stay: the products of the inputs have 1/p, those of tanh(z) have "
    "1/m."
)
def standard_kernel(X, Z, W, b, v):
    last = parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT
    return kernel(X, Z, W, b, v, gram=X @ Z.mT + 1) + (len(v) - 1) * last


@empirical_ntk.misconception(
    "The part of the output weights is not divided by m. Each derivative by v_j is tanh(z_j) / sqrt(m), so the product "
    "of two has 1/m, like the other parts."
)
def last_layer_not_divided(X, Z, W, b, v):
    return kernel(X, Z, W, b, v) + (len(v) - 1) * parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT


@empirical_ntk.misconception(
    "The part of W and b is not divided by m. Each signal has 1/sqrt(m) from the output, so the product of two has 1/m."
)
def signals_not_divided(X, Z, W, b, v):
    last = parts(X, W, b, v)[2] @ parts(Z, W, b, v)[2].mT
    return len(v) * kernel(X, Z, W, b, v) - (len(v) - 1) * last


@empirical_ntk.misconception(
    "Your part of the biases is divided by p. The scale 1/sqrt(p) belongs to the sum over the inputs alone, so the "
    "derivative by a bias is the signal itself, without it. The Gram matrix of the inputs is x . z / p + 1."
)
def biases_divided(X, Z, W, b, v):
    return kernel(X, Z, W, b, v, gram=(X @ Z.mT + 1) / len(W))


@empirical_ntk.misconception(
    "You divide by the number of examples. An entry compares two examples and does not depend on how many others there "
    "are. (A mean over examples would belong to the loss.)"
)
def divided_by_examples(X, Z, W, b, v):
    return kernel(X, Z, W, b, v) / len(X)


@empirical_ntk.misconception(
    "You compare Z with itself and leave X out. Entry (i, j) compares X[i] with Z[j]: the shape is (n, n')."
)
def first_set_ignored(X, Z, W, b, v):
    return kernel(Z, Z, W, b, v)


@empirical_ntk.misconception(
    "You joined the two sets and return the kernel of all with all. Asked is the block of X (rows) with Z (columns)."
)
def both_sets_joined(X, Z, W, b, v):
    both = torch.cat((X, Z))
    return kernel(both, both, W, b, v)


@empirical_ntk.misconception(
    "You multiply gradients of SUMS of outputs, so one number is left. Each pair of examples has its own entry: keep "
    "one row of derivatives for each."
)
def sums_compared(X, Z, W, b, v):
    return rows(X, W, b, v).sum(0) @ rows(Z, W, b, v).sum(0)


@empirical_ntk.misconception(
    "* multiplies the Jacobians entry by entry, which does not even fit when n and n' differ. A matrix product sums "
    "over the P parameters: J(X) @ J(Z).T."
)
def entries_multiplied(X, Z, W, b, v):
    return rows(X, W, b, v) * rows(Z, W, b, v)


@empirical_ntk.always("Of a set with itself the kernel is symmetric, and none of its eigenvalues is negative.")
def positive(call, rng):
    X, net = normal(rng, 6, 2), draw_net(rng, 2, 3)
    H = call(X=X, Z=X.clone(), **net)
    return close(H, H.mT) and bool(torch.linalg.eigvalsh((H + H.mT) / 2)[0] > -1e-9)


@empirical_ntk.always("Exchanging the two sets transposes the kernel.")
def exchange(call, rng):
    X, Z, net = normal(rng, 4, 3), normal(rng, 2, 3), draw_net(rng, 3, 5)
    return close(call(X=X, Z=Z, **net), call(X=Z, Z=X, **net).mT)


@empirical_ntk.always("Two copies of every hidden unit leave the kernel as it was.")
def width_does_not_matter(call, rng):
    X, Z, net = normal(rng, 4, 3), normal(rng, 2, 3), draw_net(rng, 3, 5)
    twice = {"W": net["W"].repeat(1, 2), "b": net["b"].repeat(2), "v": net["v"].repeat(2)}
    return close(call(X=X, Z=Z, **net), call(X=X, Z=Z, **twice))


# 3. linearized_outputs


def draw_kernel(rng, n, rank=None):
    """Symmetric matrix without negative eigenvalues; its nonzero eigenvalues lie between 0.2 and 3."""
    basis = torch.linalg.qr(normal(rng, n, n)).Q
    values = torch.from_numpy(rng.uniform(0.2, 3, n))
    values[: 0 if rank is None else n - rank] = 0.0
    H = (basis * values) @ basis.mT
    return (H + H.mT) / 2


@exercise("ntk.linearized_outputs", reference=ntk.linearized_outputs, points=6, atol=1e-8)
def linearized_outputs(rng):
    """Where the outputs on the training examples are at several times, when the kernel does not move."""
    yield worked(H=tensor([[2, 1], [1, 3]]), y0=tensor([1, -0.5]), t=tensor([3, 2]), times=tensor([0, 1, 0.5]))
    for n, k in [(3, 2), (5, 4), (4, 6)]:
        times = torch.from_numpy(rng.uniform(0.2, 3, k))
        yield random(H=draw_kernel(rng, n), y0=normal(rng, n), t=normal(rng, n), times=times)
    yield edge(H=tensor([[2]]), y0=tensor([1]), t=tensor([4]), times=tensor([0, 0.5]))
    yield edge(H=zeros(3, 3), y0=normal(rng, 3), t=normal(rng, 3), times=tensor([0, 1]))
    yield edge(H=tensor([[1, 1, 0], [1, 1, 0], [0, 0, 2]]), y0=zeros(3), t=tensor([1, -1, 3]), times=tensor([1, 30]))
    yield edge(H=draw_kernel(rng, 5, rank=2), y0=normal(rng, 5), t=normal(rng, 5), times=tensor([0.5, 100]))
    yield edge(H=draw_kernel(rng, 4), y0=normal(rng, 4), t=normal(rng, 4), times=tensor([2, 1, 0]))


def decayed(H, r, times, factor=-1.0):
    """One row e^(factor H s) r for each time s."""
    return torch.stack([torch.linalg.matrix_exp(factor * s * H) @ r for s in times])


@linearized_outputs.misconception(
    "Your outputs are e^(-Hs) t. At time 0 that is t and not y0, and in the end it is 0 and not t: the wrong way "
    "around. What decays is the residual: y = t + e^(-Hs) (y0 - t)."
)
def targets_decay(H, y0, t, times):
    return decayed(H, t, times)


@linearized_outputs.misconception(
    "Your outputs start right, at y0, and decay to 0. They should reach the targets. The residual y - t decays, not y: "
    "t + e^(-Hs) (y0 - t)."
)
def outputs_decay(H, y0, t, times):
    return decayed(H, y0, times)


@linearized_outputs.misconception(
    "The sign in the exponent is wrong: your residual grows. Gradient DESCENT gives y' = -H (y - t), with a minus."
)
def residual_grows(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=1.0)


@linearized_outputs.misconception(
    "torch.exp of a matrix takes the exponential of each entry. The solution needs the exponential of the matrix: "
    "1 + A + A A / 2 + ..., from its eigenvectors or torch.linalg.matrix_exp."
)
def entry_by_entry(H, y0, t, times):
    return torch.stack([t + torch.exp(-s * H) @ (y0 - t) for s in times])


@linearized_outputs.misconception(
    "You let y0 decay and add t: at time 0 that is t + y0. What decays is the residual, y0 - t, so that at time 0 the "
    "outputs are y0: t + e^(-Hs) (y0 - t)."
)
def start_added_to_the_targets(H, y0, t, times):
    return t + decayed(H, y0, times)


@linearized_outputs.misconception(
    "You add the decaying residual to y0: at time 0 that is 2 y0 - t, and in the end y0. The residual is y - t, so it "
    "is added to t: t + e^(-Hs) (y0 - t)."
)
def residual_added_to_the_start(H, y0, t, times):
    return y0 + decayed(H, y0 - t, times)


@linearized_outputs.misconception(
    "You add (1 - e^(-Hs)) t to y0: in the end that is y0 + t. What is missing at the start is t - y0: "
    "y0 + (1 - e^(-Hs)) (t - y0)."
)
def whole_targets_added(H, y0, t, times):
    return y0 + t - decayed(H, t, times)


STEPS = (
    "You take many short steps (Euler), near {} {}. Each makes an error of the order of its length squared, and the "
    "sum of them is larger than the tolerance. The closed form needs no steps: t + e^(-Hs) (y0 - t). "
)
for name, number, size in (
    ("steps_100", 100, None),
    ("steps_1000", 1000, None),
    ("steps_10000", 10_000, None),
    ("steps_of_a_hundredth", None, 0.01),
    ("steps_of_a_thousandth", None, 0.001),
):

    def in_short_steps(H, y0, t, times, number=number, size=size):
        def after(s):
            count_ = number or round(s / size)
            step = torch.eye(len(H), dtype=H.dtype) - (s / number if number else size) * H
            return t + torch.linalg.matrix_power(step, count_) @ (y0 - t)

        return torch.stack([after(float(s)) for s in times])

    linearized_outputs.misconception(
        STEPS.format(*((number, "for each time") if number else (size, "long"))), name=name
    )(in_short_steps)


@linearized_outputs.misconception("You return the residual y - t. Add the targets to get the outputs.")
def residual_returned(H, y0, t, times):
    return decayed(H, y0 - t, times)


@linearized_outputs.misconception(
    "You assume that the network starts at 0: (1 - e^(-Hs)) t. It starts at y0, so its residual at the start is y0 - t."
)
def start_ignored(H, y0, t, times):
    return t - decayed(H, t, times)


@linearized_outputs.misconception(
    "Start and targets have changed places: yours begins at t and ends at y0. It is t + e^(-Hs) (y0 - t)."
)
def start_and_end_exchanged(H, y0, t, times):
    return y0 + decayed(H, t - y0, times)


@linearized_outputs.misconception(
    "The residual has the wrong sign. With t - y0 in the place of y0 - t the outputs approach the targets from the "
    "other side: at time 0 you return 2t - y0, not y0."
)
def residual_reversed(H, y0, t, times):
    return t + decayed(H, t - y0, times)


@linearized_outputs.misconception(
    "You let each example decay by itself, with H[i, i]. Examples share parameters: a step on one moves the others, "
    "and that is what the entries beside the diagonal say. Independent are the EIGENVECTORS of H."
)
def examples_by_themselves(H, y0, t, times):
    return t + torch.exp(-times[:, None] * H.diagonal()) * (y0 - t)


@linearized_outputs.misconception(
    "You take one step of length s, (1 - s H). That is the first two terms of e^(-Hs), good for short times alone."
)
def one_long_step(H, y0, t, times):
    return torch.stack([t + (y0 - t) - s * (H @ (y0 - t)) for s in times])


@linearized_outputs.misconception(
    "Your residual decays twice as fast. The loss here has the factor 1/2, so its gradient is the residual, without a "
    "2."
)
def twice_as_fast(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=-2.0)


@linearized_outputs.misconception(
    "Your residual decays at half the speed. The 1/2 of the loss has gone already: the gradient of the half square is "
    "the residual itself, so the exponent is -H s."
)
def half_as_fast(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=-0.5)


@linearized_outputs.misconception(
    "You divide H by n. That is the speed for the MEAN of the squared errors; the loss here is half their sum."
)
def mean_loss(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=-1.0 / len(t))


@linearized_outputs.misconception(
    "The eigenvectors are the wrong way around. torch.linalg.eigh returns them as COLUMNS of U: e^(-Hs) is "
    "U e^(-lambda s) U^T."
)
def eigenvectors_in_rows(H, y0, t, times):
    values, U = torch.linalg.eigh(H)
    return t + (torch.exp(-times[:, None] * values) * (U @ (y0 - t))) @ U


@linearized_outputs.misconception("Your result is transposed: one time is one row, so the shape is (k, n).")
def times_in_columns(H, y0, t, times):
    return (t + decayed(H, y0 - t, times)).mT


@linearized_outputs.misconception(
    "The exponent acts on H alone, without the time: every row is the state at s = 1. Put s into it: e^(-Hs)."
)
def time_forgotten(H, y0, t, times):
    return t + decayed(H, y0 - t, torch.ones_like(times))


@linearized_outputs.misconception(
    "You sorted the times. Row i belongs to times[i], in the order in which they are given."
)
def times_sorted(H, y0, t, times):
    return t + decayed(H, y0 - t, times.sort().values)


@linearized_outputs.misconception(
    "You take the times as steps between the rows and add them up. Each time counts from the start: row i is the state "
    "at times[i], whatever stands before it."
)
def times_added_up(H, y0, t, times):
    return t + decayed(H, y0 - t, times.cumsum(0))


@linearized_outputs.misconception(
    "You multiply by the time outside the exponential. The time belongs into the exponent: e^(-Hs), so that at time 0 "
    "the residual is whole."
)
def time_outside(H, y0, t, times):
    return t + times[:, None] * decayed(H, y0 - t, torch.ones_like(times))


@linearized_outputs.misconception(
    "You multiply H by n. Nothing here depends on the number of examples but H itself: the exponent is -H s."
)
def multiplied_by_n(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=-1.0 * len(t))


@linearized_outputs.misconception(
    "You use 2 H / n. That is the speed for the MEAN of the squared errors, without 1/2. The loss here is half their "
    "sum: the exponent is -H s."
)
def mean_of_whole_squares(H, y0, t, times):
    return t + decayed(H, y0 - t, times, factor=-2.0 / len(t))


NO_EIGENVECTORS = (
    "You multiply entry i of the residual by e^(-lambda_i s). The eigenvalues belong to the eigenvectors, not to the "
    "examples. "
)


@linearized_outputs.misconception(
    NO_EIGENVECTORS + "Turn the residual with U^T first, and back with U afterwards: U e^(-lambda s) U^T (y0 - t)."
)
def eigenvalues_without_eigenvectors(H, y0, t, times):
    return t + torch.exp(-times[:, None] * torch.linalg.eigvalsh(H)) * (y0 - t)


@linearized_outputs.misconception(
    "You turn the residual into the basis of eigenvectors, let it decay, and stay there. Turn it back: U e^(-lambda s) "
    "U^T (y0 - t)."
)
def not_turned_back(H, y0, t, times):
    values, U = torch.linalg.eigh(H)
    return t + torch.exp(-times[:, None] * values) * ((y0 - t) @ U)


@linearized_outputs.misconception(
    NO_EIGENVECTORS + "You turn back with U, but U^T before it is missing: U e^(-lambda s) U^T (y0 - t)."
)
def not_turned_at_first(H, y0, t, times):
    values, U = torch.linalg.eigh(H)
    return t + (torch.exp(-times[:, None] * values) * (y0 - t)) @ U.mT


@linearized_outputs.misconception(
    "H is missing from the exponent: every residual falls as e^(-s). Each eigenvector of H has a speed of its own: "
    "t + e^(-Hs) (y0 - t), with the exponential of a matrix."
)
def kernel_missing(H, y0, t, times):
    return t + torch.exp(-times)[:, None] * (y0 - t)


@linearized_outputs.misconception(
    "One speed for the whole residual, the mean eigenvalue. Each eigenvector has a speed of its own: some parts are "
    "gone when others have hardly begun."
)
def one_mean_speed(H, y0, t, times):
    return t + torch.exp(-times[:, None] * torch.linalg.eigvalsh(H).mean()) * (y0 - t)


@linearized_outputs.misconception(
    "One speed for the whole residual, the smallest eigenvalue. It belongs to the slowest part alone. Each eigenvector "
    "has a speed of its own."
)
def one_slowest_speed(H, y0, t, times):
    return t + torch.exp(-times[:, None] * torch.linalg.eigvalsh(H)[0]) * (y0 - t)


@linearized_outputs.misconception(
    "You return the state at the last of the times alone. One row for each time is asked: (k, n)."
)
def last_time_alone(H, y0, t, times):
    return t + decayed(H, y0 - t, times)[-1]


@linearized_outputs.misconception(
    "You subtract the targets where they are added. The residual is y - t, so y is the residual PLUS t."
)
def targets_subtracted(H, y0, t, times):
    return decayed(H, y0 - t, times) - t


@linearized_outputs.misconception(
    "Your outputs start at y0 and move AWAY from the targets, by (1 - e^(-Hs)) (y0 - t). What is missing is t - y0: "
    "y0 + (1 - e^(-Hs)) (t - y0)."
)
def moves_away(H, y0, t, times):
    return 2 * y0 - t - decayed(H, y0 - t, times)


@linearized_outputs.misconception(
    "Your result is complex. torch.linalg.eig is made for any matrix and always returns complex numbers. H is "
    "symmetric: torch.linalg.eigh returns real ones."
)
def complex_numbers(H, y0, t, times):
    return (t + decayed(H, y0 - t, times)).to(torch.complex128)


@linearized_outputs.always("At time 0 the outputs are where they started.")
def starts_at_the_start(call, rng):
    H, y0, t = draw_kernel(rng, 4), normal(rng, 4), normal(rng, 4)
    return close(call(H=H, y0=y0, t=t, times=zeros(1))[0], y0)


@linearized_outputs.always("Going on from where it stands is the same as going all the way.")
def in_two_legs(call, rng):
    H, y0, t = draw_kernel(rng, 4), normal(rng, 4), normal(rng, 4)
    half = call(H=H, y0=y0, t=t, times=tensor([0.7]))[0]
    return close(call(H=H, y0=half, t=t, times=tensor([0.6])), call(H=H, y0=y0, t=t, times=tensor([1.3])))


@linearized_outputs.always("Where the residual is orthogonal to all that H can move, it stays.")
def what_cannot_move(call, rng):
    y = call(H=tensor([[2, 2], [2, 2]]), y0=zeros(2), t=tensor([1, -1]), times=tensor([50]))
    return bool(y.abs().max() < 1e-6)


# 4. steps_to_tolerance


@exercise("ntk.steps_to_tolerance", reference=ntk.steps_to_tolerance, points=6)
def steps_to_tolerance(rng):
    """How many steps of gradient descent are enough for every residual."""
    yield worked(H=tensor([[2, 1], [1, 2]]), learning_rate=0.2, tolerance=0.01)
    yield worked(H=tensor([[2, 1], [1, 2]]), learning_rate=0.6, tolerance=0.01)
    yield worked(H=tensor([[2, 1], [1, 2]]), learning_rate=0.7, tolerance=0.01)
    yield worked(H=tensor([[1, 1], [1, 1]]), learning_rate=0.5, tolerance=0.01)
    yield worked(H=tensor([[2, 0, 0], [0, 2, 0], [0, 0, 2]]), learning_rate=0.25, tolerance=0.1)
    for n in (3, 5, 4):
        H = draw_kernel(rng, n)
        largest = float(torch.linalg.eigvalsh(H)[-1])
        rate, tolerance = float(rng.uniform(0.2, 0.9)) / largest, float(10 ** rng.uniform(-6, -2))
        yield random(H=H, learning_rate=rate, tolerance=tolerance)
        yield random(H=H, learning_rate=float(rng.uniform(1.9, 1.99)) / largest, tolerance=tolerance)
    yield edge(H=tensor([[2]]), learning_rate=0.5, tolerance=0.1)
    yield edge(H=tensor([[2]]), learning_rate=0.49, tolerance=0.9)
    yield edge(H=tensor([[2]]), learning_rate=0.25, tolerance=0.25)  # reached exactly, after two halves
    yield edge(H=tensor([[1, 0], [0, 1e-12]]), learning_rate=0.5, tolerance=0.5)
    yield edge(H=1e-12 * tensor([[2, 1], [1, 2]]), learning_rate=2e11, tolerance=0.01)
    yield edge(H=tensor([[4, 0], [0, 4e-5]]), learning_rate=0.25, tolerance=1e-3)
    yield edge(H=draw_kernel(rng, 4, rank=2), learning_rate=0.1, tolerance=0.5)
    yield edge(H=zeros(2, 2), learning_rate=0.1, tolerance=0.5)
    yield edge(H=draw_kernel(rng, 3), learning_rate=20.0, tolerance=0.5)
    yield edge(H=tensor([[1, 0], [0, 4]]), learning_rate=0.5, tolerance=0.1)  # one factor is exactly -1
    yield edge(H=tensor([[2]]), learning_rate=1.0, tolerance=0.5)


def count(rate, tolerance, rounding=ceil):
    """Count the steps at a given factor per step, with the conventions of the exercise."""
    if rate >= 1 - 1e-12:
        return inf
    return 1 if rate < 1e-15 else max(1, rounding(log(tolerance) / log(rate)))


def spectrum(H):
    values = torch.linalg.eigvalsh(H)
    return torch.where(values > 1e-10 * values[-1], values, 0.0)


def worst(H, learning_rate):
    return float((1 - learning_rate * spectrum(H)).abs().max())


@steps_to_tolerance.misconception(
    "You use the largest eigenvalue. It belongs to the part of the residual that is gone first. The slowest part "
    "decides: the largest of all |1 - learning_rate * eigenvalue|."
)
def fastest_part(H, learning_rate, tolerance):
    return count(abs(1 - learning_rate * float(spectrum(H)[-1])), tolerance)


@steps_to_tolerance.misconception(
    "You are right about an eigenvalue of 0, but then you use the largest eigenvalue alone. Its part of the residual "
    "may be gone first. The slowest part decides: the largest of all |1 - learning_rate * eigenvalue|."
)
def fastest_part_without_zero(H, learning_rate, tolerance):
    values = spectrum(H)
    return inf if float(values[0]) == 0 else count(abs(1 - learning_rate * float(values[-1])), tolerance)


@steps_to_tolerance.misconception(
    "You are right about an eigenvalue of 0, but then you use the mean of the eigenvalues. The residual is not one "
    "thing that falls at a mean speed: its slowest part stays when all others are gone."
)
def mean_eigenvalue_without_zero(H, learning_rate, tolerance):
    values = spectrum(H)
    return inf if float(values[0]) == 0 else count(abs(1 - learning_rate * float(values.mean())), tolerance)


UPSIDE_DOWN = (
    "Your formula gives 1 step nearly everywhere. The condition is factor^k <= tolerance. The logarithm of both sides "
    "is k log(factor) <= log(tolerance), and log(factor) is negative: k >= log(tolerance) / log(factor). That is "
    "neither log(tolerance / factor) nor the quotient upside down. "
)


@steps_to_tolerance.misconception(UPSIDE_DOWN)
def logarithm_of_the_quotient(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate >= 1 - 1e-12 else 1 if rate < 1e-15 else max(1, ceil(log(tolerance / rate)))


@steps_to_tolerance.misconception(
    "You take the logarithm of a quotient, log(tolerance / factor), and return what may be negative. The condition is "
    "factor^k <= tolerance: k >= log(tolerance) / log(factor)."
)
def negative_logarithm_of_the_quotient(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate >= 1 - 1e-12 else 1 if rate < 1e-15 else ceil(log(tolerance / rate))


@steps_to_tolerance.misconception(UPSIDE_DOWN + "(Yours is log(factor) / log(tolerance), as it seems.)")
def quotient_upside_down(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate >= 1 - 1e-12 else 1 if rate < 1e-15 else max(1, ceil(log(rate) / log(tolerance)))


@steps_to_tolerance.misconception(
    "Where the factor is exactly 0 the residual is gone after one step, but log(0) is an error. Return 1."
)
def logarithm_of_a_factor_of_zero(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate >= 1 - 1e-12 else max(1, ceil(log(tolerance) / log(rate)))


@steps_to_tolerance.misconception(
    "You leave out the eigenvalues that are 0. Their part of the residual never moves, so no number of steps is "
    "enough: return infinity. (What is left over may have the factor 0, whose logarithm is an error: there one step is "
    "enough.)"
)
def zero_eigenvalues_skipped_and_factor_of_zero(H, learning_rate, tolerance):
    values = spectrum(H)
    rate = float((1 - learning_rate * values[values > 0]).abs().max())
    return inf if rate >= 1 - 1e-12 else max(1, ceil(log(tolerance) / log(rate)))


@steps_to_tolerance.misconception(
    "You look at the smallest eigenvalue alone. With a large learning rate the part with the LARGEST eigenvalue jumps "
    "over the target and may be slower still, or grow. Take the largest |1 - learning_rate * eigenvalue| of all."
)
def smallest_eigenvalue_alone(H, learning_rate, tolerance):
    return count(abs(1 - learning_rate * float(spectrum(H)[0])), tolerance)


@steps_to_tolerance.misconception(
    "You compute with e^(-learning_rate * eigenvalue), the formula of gradient flow. Steps are not infinitely small: "
    "each multiplies by 1 - learning_rate * eigenvalue, whose size may even exceed 1."
)
def gradient_flow(H, learning_rate, tolerance):
    smallest = float(spectrum(H)[0])
    return inf if smallest == 0 else max(1, ceil(-log(tolerance) / (learning_rate * smallest)))


@steps_to_tolerance.misconception(
    "You round down, and the last step is missing: after it the residual is still above the tolerance. Round up."
)
def rounded_down(H, learning_rate, tolerance):
    return count(worst(H, learning_rate), tolerance, int)


@steps_to_tolerance.misconception(
    "You measure the loss. It falls as the SQUARE of the residual and needs half as many steps. The tolerance here is "
    "for the norm of the residual."
)
def loss_measured(H, learning_rate, tolerance):
    return count(worst(H, learning_rate) ** 2, tolerance)


@steps_to_tolerance.misconception(
    "You leave out the eigenvalues that are 0. Their part of the residual never moves, so no number of steps is "
    "enough: return infinity."
)
def zero_eigenvalues_skipped(H, learning_rate, tolerance):
    values = spectrum(H)
    values = values[values > 0]
    return inf if len(values) == 0 else count(float((1 - learning_rate * values).abs().max()), tolerance)


@steps_to_tolerance.misconception(
    "A factor above 1 means that the residual grows with every step. Your formula then returns a number that is not "
    "positive. Return infinity."
)
def growth_not_noticed(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    if abs(rate - 1) < 1e-12:
        return inf
    return 1 if rate < 1e-15 else ceil(log(tolerance) / log(rate))


@steps_to_tolerance.misconception(
    "A factor above 1 means that the residual grows with every step. You return at least 1 step, but no number of "
    "steps is enough: return infinity."
)
def growth_taken_for_one_step(H, learning_rate, tolerance):
    return inf if abs(worst(H, learning_rate) - 1) < 1e-12 else max(1, growth_not_noticed(H, learning_rate, tolerance))


FACTOR_OF_ONE = (
    "You return infinity only where a factor is larger than 1 in size. With a size of exactly 1 the residual does not "
    "grow, but it never shrinks either, and log(1) = 0 in the denominator. Return infinity from 1 on: >= 1. "
)


@steps_to_tolerance.misconception(FACTOR_OF_ONE)
def factor_of_minus_one_allowed(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    if float(spectrum(H)[0]) == 0 or rate > 1:
        return inf
    return 1 if rate < 1e-15 else max(1, ceil(log(tolerance) / log(rate)))


@steps_to_tolerance.misconception(FACTOR_OF_ONE + "An eigenvalue of 0 gives that factor, too.")
def factor_of_one_allowed(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate > 1 else 1 if rate < 1e-15 else max(1, ceil(log(tolerance) / log(rate)))


@steps_to_tolerance.misconception(
    "You use the diagonal of H in the place of its eigenvalues. They agree only if H is diagonal, that is, if no "
    "example has to do with another."
)
def diagonal(H, learning_rate, tolerance):
    return count(float((1 - learning_rate * H.diagonal()).abs().max()), tolerance)


@steps_to_tolerance.misconception(
    "You use the mean of the eigenvalues. The residual is not one thing that falls at a mean speed: its slowest part "
    "stays when all others are gone."
)
def mean_eigenvalue(H, learning_rate, tolerance):
    return count(abs(1 - learning_rate * float(spectrum(H).mean())), tolerance)


@steps_to_tolerance.misconception(
    "You count with the condition number, largest over smallest eigenvalue. That is the rule of thumb for the best "
    "learning rate. Here the learning rate is given: use it."
)
def condition_number(H, learning_rate, tolerance):
    values = spectrum(H)
    return inf if float(values[0]) == 0 else max(1, ceil(-log(tolerance) * float(values[-1] / values[0])))


@steps_to_tolerance.misconception(
    "You divide the eigenvalues by n. That is for the MEAN of the squared errors; the loss here is half their sum."
)
def mean_of_errors(H, learning_rate, tolerance):
    return count(worst(H, learning_rate / len(H)), tolerance)


@steps_to_tolerance.misconception(
    "Your factor per step has 1/2. The 1/2 of the loss has gone already: the gradient of the half square is the "
    "residual itself, so one step multiplies by 1 - learning_rate * eigenvalue."
)
def halved(H, learning_rate, tolerance):
    return count(worst(H, learning_rate / 2), tolerance)


@steps_to_tolerance.misconception(
    "Your factor per step has a 2. The loss here has the factor 1/2, so one step multiplies by 1 - learning_rate * "
    "eigenvalue."
)
def doubled(H, learning_rate, tolerance):
    return count(worst(H, 2 * learning_rate), tolerance)


@steps_to_tolerance.misconception(
    "You look at the smallest eigenvalue alone, and a factor of exactly 1 then gives log(1) = 0 in the denominator. "
    "Take the largest |1 - learning_rate * eigenvalue| of ALL eigenvalues, and return infinity where it is 1 or more."
)
def smallest_without_a_look(H, learning_rate, tolerance):
    return ceil(log(tolerance) / log(abs(1 - learning_rate * float(torch.linalg.eigvalsh(H)[0]))))


@steps_to_tolerance.misconception(
    "Your bound on the learning rate is right, but you count with the smallest eigenvalue alone. Below the bound the "
    "part with the LARGEST eigenvalue may be slower: it jumps over the target, from side to side. Take the largest "
    "|1 - learning_rate * eigenvalue|."
)
def smallest_below_the_bound(H, learning_rate, tolerance):
    values = spectrum(H)
    if float(values[0]) == 0 or learning_rate * float(values[-1]) >= 2:
        return inf
    return smallest_eigenvalue_alone(H, learning_rate, tolerance)


@steps_to_tolerance.misconception(
    "You use the smallest eigenvalue that is not 0. Two things are wrong. An eigenvalue of 0 means that some residual "
    "never moves: infinity. And with a large learning rate the LARGEST eigenvalue may decide."
)
def smallest_positive_eigenvalue(H, learning_rate, tolerance):
    values = spectrum(H)
    values = values[values > 0]
    return inf if len(values) == 0 else count(abs(1 - learning_rate * float(values[0])), tolerance)


@steps_to_tolerance.misconception(
    "You compute the right factor and do not ask whether it is below 1. With 1 or more no number of steps is enough: "
    "the formula then gives a negative number, or log(1) = 0 in the denominator. Return infinity."
)
def factor_not_looked_at(H, learning_rate, tolerance):
    return ceil(log(tolerance) / log(float((1 - learning_rate * torch.linalg.eigvalsh(H)).abs().max())))


@steps_to_tolerance.misconception(
    "You return the number of steps of the FASTEST part, the smallest |1 - learning_rate * eigenvalue|. Every residual "
    "must be small enough: the slowest part decides."
)
def smallest_factor(H, learning_rate, tolerance):
    return count(float((1 - learning_rate * spectrum(H)).abs().min()), tolerance)


@steps_to_tolerance.misconception(
    "Your factor is the Frobenius norm of 1 - learning_rate * H, the default of torch.linalg.norm. It adds up all "
    "directions. What a step does to the worst residual is the spectral norm, the largest |1 - learning_rate * "
    "eigenvalue|."
)
def frobenius_factor(H, learning_rate, tolerance):
    if float(spectrum(H)[0]) == 0:
        return inf
    return count(float(torch.linalg.norm(torch.eye(len(H), dtype=H.dtype) - learning_rate * H)), tolerance)


@steps_to_tolerance.misconception(
    "You multiply until the Frobenius norm of (1 - learning_rate * H)^k is small. It adds up all directions, and is "
    "too large where several are equally slow. What k steps do to the worst residual is the spectral norm."
)
def frobenius_norm_of_the_power(H, learning_rate, tolerance):
    factors = (1 - learning_rate * spectrum(H)).abs()
    if float(factors.max()) >= 1 - 1e-12:
        return inf
    return first_step_below(lambda steps: float((factors**steps).norm()), tolerance)


def first_step_below(size, tolerance):
    """Return the first k >= 1 for which a falling ``size(k)`` is at most the tolerance, in few trials."""
    enough = 1
    while size(enough) > tolerance:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        too_few, enough = (middle, enough) if size(middle) > tolerance else (too_few, middle)
    return enough


@steps_to_tolerance.misconception(
    "You follow one residual, all ones. It may lie where training is fast: then the slow directions are not seen. The "
    "steps must be enough for EVERY residual, so the slowest eigenvector decides."
)
def residual_of_ones(H, learning_rate, tolerance):
    return inf if worst(H, learning_rate) >= 1 - 1e-12 else steps_for_ones(H, learning_rate, tolerance)


def steps_for_ones(H, learning_rate, tolerance):
    values, U = torch.linalg.eigh(H)
    shares, factors = U.sum(0) / sqrt(len(H)), 1 - learning_rate * values
    if bool((shares.abs() * (factors.abs() >= 1)).max() > 1e-12):
        return inf
    return first_step_below(lambda steps: float((shares * factors**steps).norm()), tolerance)


@steps_to_tolerance.misconception(
    "You follow one residual, all ones. Where H has the eigenvalue 0 in another direction it says nothing about it. "
    "The steps must be enough for EVERY residual: look at all eigenvalues."
)
def residual_of_ones_alone(H, learning_rate, tolerance):
    return steps_for_ones(H, learning_rate, tolerance)


@steps_to_tolerance.misconception(
    "You round to the nearest whole number. Where that is downward, the last step is missing: after it the residual is "
    "still above the tolerance. Round up."
)
def rounded_to_the_nearest(H, learning_rate, tolerance):
    return count(worst(H, learning_rate), tolerance, round)


@steps_to_tolerance.misconception(
    "Where the tolerance is reached exactly you take one step more. The residual may be EQUAL to it, <=: use ceil and "
    "not int(...) + 1, or stop a loop at <=."
)
def one_more_when_exact(H, learning_rate, tolerance):
    return count(worst(H, learning_rate), tolerance, lambda steps: int(steps) + 1)


for name, value in (
    ("nan_for_infinity", float("nan")),
    ("minus_one_for_infinity", -1),
    ("zero_for_infinity", 0),
    ("none_for_infinity", None),
):

    def with_a_sign(H, learning_rate, tolerance, value=value):
        steps = count(worst(H, learning_rate), tolerance)
        return value if steps == inf else steps

    steps_to_tolerance.misconception(
        f"You return {value} where no number of steps is enough. Return math.inf: it is larger than every number, so "
        "that whoever compares it with a budget of steps gets the right answer.",
        name=name,
    )(with_a_sign)


@steps_to_tolerance.misconception("Steps come in whole numbers. Round your result up: math.ceil.")
def not_rounded(H, learning_rate, tolerance):
    rate = worst(H, learning_rate)
    return inf if rate >= 1 - 1e-12 else 1 if rate < 1e-15 else log(tolerance) / log(rate)


@steps_to_tolerance.misconception(
    "You square the tolerance, as if the loss had to fall by it squared. The norm of the residual falls by the factor "
    "itself in each step: log(tolerance) / log(factor)."
)
def tolerance_squared(H, learning_rate, tolerance):
    return count(worst(H, learning_rate), tolerance**2)


@steps_to_tolerance.misconception(
    "You compute with e^(-learning_rate * eigenvalue), the formula of gradient flow, and divide by an eigenvalue of 0. "
    "Each step multiplies by 1 - learning_rate * eigenvalue. Where the size of that is 1 or more, return infinity."
)
def flow_without_a_look_at_zero(H, learning_rate, tolerance):
    return ceil(-log(tolerance) / (learning_rate * float(torch.linalg.eigvalsh(H)[0])))


@steps_to_tolerance.misconception(
    "Your bound on the learning rate is right, but then you compute with e^(-learning_rate * eigenvalue), the formula "
    "of gradient flow. A step multiplies by 1 - learning_rate * eigenvalue."
)
def flow_below_the_bound(H, learning_rate, tolerance):
    values = spectrum(H)
    return inf if learning_rate * float(values[-1]) >= 2 else gradient_flow(H, learning_rate, tolerance)


@steps_to_tolerance.misconception(
    "You return infinity as soon as learning_rate * eigenvalue exceeds 1. Beyond 1 the residual jumps to the other "
    "side of the target, but it still shrinks. It grows only beyond 2, where |1 - learning_rate * eigenvalue| exceeds "
    "1."
)
def bound_too_low(H, learning_rate, tolerance):
    if learning_rate * float(spectrum(H)[-1]) > 1:
        return inf
    return count(worst(H, learning_rate), tolerance)


@steps_to_tolerance.misconception(
    "You compare an eigenvalue with exactly 0. Rounding leaves a tiny number in its place, and then you return a huge "
    "number of steps. It counts as 0 when it is at most 1e-10 times the largest one."
)
def zero_compared_exactly(H, learning_rate, tolerance):
    rate = float((1 - learning_rate * torch.linalg.eigvalsh(H)).abs().max())
    return inf if rate >= 1 else 1 if rate == 0 else ceil(log(tolerance) / log(rate))


@steps_to_tolerance.misconception(
    "You compare the eigenvalues with 1e-10 itself. A kernel may be small as a whole, with a large learning rate. An "
    "eigenvalue counts as 0 when it is at most 1e-10 times the LARGEST one."
)
def zero_without_a_scale(H, learning_rate, tolerance):
    if float(torch.linalg.eigvalsh(H)[0]) <= 1e-10:
        return inf
    return count(worst(H, learning_rate), tolerance)


@steps_to_tolerance.always("After that many steps every residual is small enough, and one step earlier some is not.")
def enough_and_not_too_many(call, rng):
    H = draw_kernel(rng, 4)
    steps = int(call(H=H, learning_rate=0.2, tolerance=0.01))
    step = torch.eye(4, dtype=torch.float64) - 0.2 * H

    def left(k):
        return float(torch.linalg.matrix_norm(torch.linalg.matrix_power(step, k), 2))

    return left(steps) <= 0.01 * (1 + 1e-9) and left(steps - 1) > 0.01 * (1 - 1e-9)


@steps_to_tolerance.always("A kernel twice as large needs as many steps at half the learning rate.")
def only_the_product_counts(call, rng):
    H = draw_kernel(rng, 3)
    once, twice = (call(H=f * H, learning_rate=0.3 / f, tolerance=1e-3) for f in (1.0, 2.0))
    return float(once) == float(twice)


# 5. kernel_regression


@exercise(
    "ntk.kernel_regression",
    reference=ntk.kernel_regression,
    points=6,
    atol=1e-8,
    forbidden=(*LEAST_SQUARES, "sklearn.gaussian_process.GaussianProcessRegressor"),
)
def kernel_regression(rng):
    """Predictions with which training ends, on new examples, when the kernel does not move."""
    yield worked(
        H=tensor([[2, 1], [1, 3]]),
        H_test=tensor([[1, 2], [2, 1], [0, 1]]),
        y0=tensor([1, -1]),
        y0_test=tensor([0.5, 1, -2]),
        t=tensor([3, 2]),
    )
    yield worked(
        H=tensor([[2, 2], [2, 2]]),
        H_test=tensor([[1, 1], [2, 2], [3, 3]]),
        y0=tensor([0.5, 0.5]),
        y0_test=tensor([0, 0.5, 1]),
        t=tensor([3, 1]),
    )
    # Two examples that are nearly the same: eigenvalues 2 and 0.0002. Their difference is learned late, but it is.
    yield worked(
        H=tensor([[1.0001, 0.9999], [0.9999, 1.0001]]),
        H_test=tensor([[1, 1.0002], [0.5, 0.4999], [1.0003, 1]]),
        y0=tensor([0, 1]),
        y0_test=tensor([1, 0, 0.5]),
        t=tensor([1, 3]),
    )
    for n, n_test, P in [(3, 2, 9), (4, 6, 12), (5, 3, 11)]:
        yield random(**draw_regression(rng, n, n_test, P))
    yield edge(**draw_regression(rng, 1, 1, 3))
    yield edge(**draw_regression(rng, 6, 2, 3))
    inputs = draw_regression(rng, 4, 3, 9)
    yield edge(**{**inputs, "H_test": inputs["H"].clone(), "y0_test": inputs["y0"].clone()})
    yield edge(**nearly_the_same_inputs())
    yield edge(**{name: (1e6 * x if name.startswith("H") else x) for name, x in draw_regression(rng, 3, 4, 8).items()})
    yield edge(**{name: (1e6 * x if name.startswith("H") else x) for name, x in draw_regression(rng, 6, 4, 3).items()})


def draw_regression(rng, n, n_test, P):
    """Kernels of random Jacobians with P parameters: of rank P at most."""
    J, J_test = normal(rng, n, P), normal(rng, n_test, P)
    return {
        "H": J @ J.mT,
        "H_test": J_test @ J.mT,
        "y0": normal(rng, n),
        "y0_test": normal(rng, n_test),
        "t": normal(rng, n),
    }


def nearly_the_same_inputs():
    """Two examples whose kernel has the eigenvalues 2 and 2e-7: small, and far above what counts as 0."""
    s = 1e-7
    return {
        "H": tensor([[1 + s, 1 - s], [1 - s, 1 + s]]),
        "H_test": tensor([[1, 1 + 2 * s], [0.5, 0.5 - s], [1 + 3 * s, 1]]),
        "y0": tensor([0, 1]),
        "y0_test": tensor([1, 0, 0.5]),
        "t": tensor([1, 3]),
    }


def pinv(H):
    return torch.linalg.pinv(H, hermitian=True, rtol=1e-10)


for size in (1e-3, 1e-5):

    def with_high_cutoff(H, H_test, y0, y0_test, t, size=size):
        return y0_test + H_test @ torch.linalg.pinv(H, hermitian=True, rtol=size) @ (t - y0)

    kernel_regression.misconception(
        "You leave out an eigenvalue that is small but not 0, so what it stands for is never learned. An eigenvalue "
        f"counts as 0 when it is at most 1e-10 times the largest one; an rtol or rcond of {size:g} is too large.",
        name=f"cutoff_{size:.0e}",
    )(with_high_cutoff)


@kernel_regression.misconception(
    "You forget that the network was not 0 at the start. Training moves it by what is MISSING, t - y0, and adds that "
    "to what it said before: y0_test + H_test H^-1 (t - y0)."
)
def start_forgotten(H, H_test, y0, y0_test, t):
    return H_test @ pinv(H) @ t


@kernel_regression.misconception("You return how far training moves the outputs. Add where they were: y0_test.")
def start_not_added(H, H_test, y0, y0_test, t):
    return H_test @ pinv(H) @ (t - y0)


@kernel_regression.misconception(
    "You fit the targets and not what is missing of them. The network already says y0 on the training examples: solve "
    "for t - y0."
)
def start_not_subtracted(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ pinv(H) @ t


@kernel_regression.misconception(
    "You average the targets with weights that sum to 1. That is a kernel smoother (Nadaraya and Watson). Kernel "
    "regression solves with H, so that on the training examples it gives the targets exactly."
)
def smoother(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ (t - y0) / H_test.sum(1)


@kernel_regression.misconception(
    "You average the targets with weights that sum to 1, and ignore the start. That is a kernel smoother (Nadaraya and "
    "Watson). Kernel regression solves with H for t - y0, and adds y0_test."
)
def smoother_from_zero(H, H_test, y0, y0_test, t):
    return H_test @ t / H_test.sum(1)


@kernel_regression.misconception(
    "H is missing. H_test (t - y0) is how the outputs BEGIN to move; where they end follows from H_test H^-1 (t - y0)."
)
def not_solved(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ (t - y0)


@kernel_regression.misconception("You multiply by H where you must divide: solve H a = t - y0, then take H_test a.")
def multiplied(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ H @ (t - y0)


@kernel_regression.misconception(
    "1 / H and H ** -1 invert each entry by itself. The inverse of a matrix is another thing: torch.linalg.solve, or "
    "torch.linalg.pinv where H is singular."
)
def entries_inverted(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ (1 / H) @ (t - y0)


@kernel_regression.misconception(
    "The residual has the wrong sign: y0 - t moves the outputs away from the targets. Use t - y0."
)
def moved_away(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ pinv(H) @ (y0 - t)


SINGULAR = (
    "H is singular in one of the cases, and has no inverse. Training moves nothing in the directions with eigenvalue "
    "0: the pseudo-inverse leaves them out (torch.linalg.pinv, or eigenvectors). Where H is invertible you are right."
)


@kernel_regression.misconception(SINGULAR)
def solved_where_singular(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ torch.linalg.solve(H, t - y0)


@kernel_regression.misconception(SINGULAR)
def inverted_where_singular(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ torch.linalg.inv(H) @ (t - y0)


@kernel_regression.misconception(SINGULAR)
def factored_where_singular(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ torch.cholesky_solve((t - y0)[:, None], torch.linalg.cholesky(H))[:, 0]


@kernel_regression.misconception(
    "You added a ridge, H + 1. That is regularized kernel regression, which stops short of the targets. Training "
    "without weight decay to its end has no ridge."
)
def ridge(H, H_test, y0, y0_test, t):
    eye = torch.eye(len(H), dtype=H.dtype)
    return y0_test + H_test @ torch.linalg.solve(H + eye, t - y0)


JITTER = (
    "You add a small number to the diagonal of H. It is a ridge all the same: directions with a small eigenvalue are "
    "then fitted in part only. Where H has no inverse take the pseudo-inverse. "
)
for size in (1e-6, 1e-8):

    def with_jitter(H, H_test, y0, y0_test, t, size=size):
        return y0_test + H_test @ torch.linalg.solve(H + size * torch.eye(len(H), dtype=H.dtype), t - y0)

    kernel_regression.misconception(JITTER + f"(Yours is near {size:g}.)", name=f"jitter_{size:.0e}")(with_jitter)


@kernel_regression.misconception(SINGULAR)
def solved_with_numpy_where_singular(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ torch.from_numpy(np.linalg.solve(H.numpy(), (t - y0).numpy()))


@kernel_regression.misconception(
    "You divide by eigenvalues that are 0. Training moves nothing in those directions: leave out the eigenvectors "
    "whose eigenvalue is at most 1e-10 times the largest one."
)
def divided_by_zero_eigenvalues(H, H_test, y0, y0_test, t):
    values, U = torch.linalg.eigh(H)
    return y0_test + H_test @ (U @ ((U.mT @ (t - y0)) / values))


@kernel_regression.misconception(
    "You divide by n, the number of training examples. Nothing here is a mean: training ends where the residuals are "
    "0, whether the loss is their sum or their mean."
)
def divided_by_training_examples(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ pinv(H) @ (t - y0) / len(t)


@kernel_regression.misconception(
    "You return the outputs on the n TRAINING examples, with H in the place of H_test. There the end is known, it is "
    "the targets. Asked are the n_test new examples: y0_test + H_test H^+ (t - y0)."
)
def training_outputs(H, H_test, y0, y0_test, t):
    return y0 + H @ pinv(H) @ (t - y0)


@kernel_regression.misconception(
    "You divide by the diagonal of H, as if no training example had to do with another. The entries beside it say how "
    "much they share: solve with the whole matrix."
)
def divided_by_the_diagonal(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ ((t - y0) / H.diagonal())


@kernel_regression.misconception(
    "You add a vector of the n TRAINING examples, y0 or t, to predictions on n_test others. Those started at y0_test: "
    "y0_test + H_test H^+ (t - y0)."
)
def start_of_the_training_examples(H, H_test, y0, y0_test, t):
    return y0 + H_test @ pinv(H) @ (t - y0)


@kernel_regression.misconception(
    "You subtract y0_test from the targets. What is missing on the TRAINING examples is t - y0; y0_test is added at "
    "the end."
)
def start_of_the_test_examples(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ pinv(H) @ (t - y0_test)


@kernel_regression.misconception(
    "You add the targets of the n training examples to predictions on n_test others. Add where those started: y0_test."
)
def targets_added(H, H_test, y0, y0_test, t):
    return t + H_test @ pinv(H) @ (t - y0)


@kernel_regression.misconception(
    "A column (n_test, 1) plus a vector (n_test,) broadcasts to a square. You made t - y0 a column: take the last axis "
    "off again, [:, 0], before you add y0_test."
)
def column_broadcast(H, H_test, y0, y0_test, t):
    return y0_test + H_test @ pinv(H) @ (t - y0)[:, None]


@kernel_regression.misconception(
    "Your result is a column, (n_test, 1). One number for each example is asked: shape (n_test,)."
)
def column_returned(H, H_test, y0, y0_test, t):
    return (y0_test + H_test @ pinv(H) @ (t - y0))[:, None]


H_TEST_TRANSPOSED = (
    "Your factors do not fit. H_test is (n_test, n), with the test examples in its rows; H is (n, n). H_test stands on "
    "the left, as it is and not transposed: H_test H^+ (t - y0)."
)


@kernel_regression.misconception(H_TEST_TRANSPOSED)
def test_kernel_transposed(H, H_test, y0, y0_test, t):
    return y0_test + H_test.mT @ pinv(H) @ (t - y0)


@kernel_regression.always("On the training examples the result is the targets, when H has an inverse.")
def interpolates(call, rng):
    inputs = draw_regression(rng, 4, 4, 9)
    inputs = {**inputs, "H_test": inputs["H"].clone(), "y0_test": inputs["y0"].clone()}
    return bool(torch.allclose(call(**inputs), inputs["t"], rtol=1e-5, atol=1e-7))


@kernel_regression.always("A network that starts on the targets stays where it is.")
def nothing_to_learn(call, rng):
    inputs = draw_regression(rng, 4, 3, 9)
    return close(call(**{**inputs, "t": inputs["y0"].clone()}), inputs["y0_test"])


@kernel_regression.always(
    "Where H is singular, its size does not matter either. Rounding leaves a tiny number in the place of an eigenvalue "
    "0, and in a large kernel it is not tiny. So solve may raise no error, a cutoff that is not relative to the "
    "largest eigenvalue keeps it, and a small number on the diagonal is no larger. Use the pseudo-inverse with a "
    "relative cutoff at once, without a trial of solve."
)
def large_and_singular(call, rng):
    inputs = draw_regression(rng, 6, 3, 3)
    large = {**inputs, "H": 1e6 * inputs["H"], "H_test": 1e6 * inputs["H_test"]}
    return bool(torch.allclose(call(**large), call(**inputs), rtol=1e-5, atol=1e-7))


@kernel_regression.always("A kernel ten times as large changes the speed of training and not its end.")
def scale_of_the_kernel(call, rng):
    inputs = draw_regression(rng, 4, 3, 9)
    ten = {**inputs, "H": 10 * inputs["H"], "H_test": 10 * inputs["H_test"]}
    return bool(torch.allclose(call(**ten), call(**inputs), rtol=1e-5, atol=1e-7))


# 6. relative_kernel_change


@exercise("ntk.relative_kernel_change", reference=ntk.relative_kernel_change, points=6)
def relative_kernel_change(rng):
    """How far a kernel has moved in training, as a share of its size at the start."""
    yield worked(before=tensor([[2, 1], [1, 4]]), after=tensor([[3, -1], [-1, 5]]))
    for n in (3, 5):
        H = draw_kernel(rng, n)
        yield random(before=H, after=H + 0.3 * draw_kernel(rng, n))
    yield random(before=normal(rng, 2, 5), after=normal(rng, 2, 5))
    H = draw_kernel(rng, 4)
    yield edge(before=H, after=H.clone())
    yield edge(before=H, after=zeros(4, 4))
    yield edge(before=tensor([[2]]), after=tensor([[-1]]))
    yield edge(before=1e100 * draw_kernel(rng, 3), after=1e100 * draw_kernel(rng, 3))
    yield edge(before=1e-4 * draw_kernel(rng, 3), after=1e-4 * draw_kernel(rng, 3))
    yield edge(before=tensor([[1, 0], [0, 2]]), after=tensor([[1, 0.5], [0.5, 2]]))
    yield edge(before=tensor([[3e-10, 4e-10]]), after=tensor([[3e-10, 3e-10]]))


def norm(H):
    return torch.linalg.vector_norm(H)


@relative_kernel_change.misconception(
    "torch.linalg.norm(..., 2) of a matrix is its largest singular value. Asked is the Frobenius norm, the root of the "
    "sum of all squared entries: the default."
)
def spectral_norm(before, after):
    return torch.linalg.matrix_norm(after - before, 2) / torch.linalg.matrix_norm(before, 2)


@relative_kernel_change.misconception(
    "You divide by the kernel at the end. The change is a share of what was there BEFORE."
)
def share_of_the_end(before, after):
    return norm(after - before) / norm(after)


@relative_kernel_change.misconception(
    "You subtract the norms. A kernel can turn and keep its length: the difference of the norms is then 0. Take the "
    "norm of the difference."
)
def difference_of_norms(before, after):
    return (norm(after) - norm(before)).abs() / norm(before)


@relative_kernel_change.misconception(
    "You subtract the norms, and keep the sign. A kernel can turn and keep its length. Take the norm of the "
    "difference, which is never negative."
)
def signed_difference_of_norms(before, after):
    return (norm(after) - norm(before)) / norm(before)


@relative_kernel_change.misconception(
    "You average the relative change of each entry. Entries near 0 then decide alone, and one that is 0 gives "
    "infinity. Take norms first and divide once."
)
def entry_by_entry_mean(before, after):
    return ((after - before) / before).abs().mean()


@relative_kernel_change.misconception("Your result is squared: the root of both sums of squares is missing.")
def squared(before, after):
    return (after - before).square().sum() / before.square().sum()


@relative_kernel_change.misconception(
    "You return the change itself. It depends on the units of the data. Divide by the norm of the kernel before."
)
def not_relative(before, after):
    return norm(after - before)


@relative_kernel_change.misconception("You add absolute values. The Frobenius norm adds squares and takes the root.")
def absolute_values(before, after):
    return (after - before).abs().sum() / before.abs().sum()


@relative_kernel_change.misconception(
    "You add the entries without squares, so changes of opposite sign cancel. Take the norm of the difference."
)
def entries_cancel(before, after):
    return (after - before).sum() / before.sum()


@relative_kernel_change.misconception(
    "You look at the diagonal alone. Most of a kernel is beside it: how one example moves another."
)
def diagonal_alone(before, after):
    return norm((after - before).diagonal()) / norm(before.diagonal())


@relative_kernel_change.misconception(
    "You return 1 minus the cosine between the kernels, their alignment. It is blind to a kernel that grows as a "
    "whole. Asked is the norm of the difference over the norm before."
)
def alignment(before, after):
    return 1 - (before * after).sum() / (norm(before) * norm(after))


@relative_kernel_change.misconception(
    "You compare the largest change with the largest entry. The Frobenius norm counts all entries."
)
def largest_entries(before, after):
    return (after - before).abs().max() / before.abs().max()


@relative_kernel_change.misconception(
    "You take one norm for each row and average the ratios. The kernel is one thing: one norm above, one below."
)
def row_by_row(before, after):
    return ((after - before).norm(dim=1) / before.norm(dim=1)).mean()


@relative_kernel_change.misconception("You changed `before` in place (-= or sub_). Write after - before, a new tensor.")
def changed_in_place(before, after):
    size = norm(before)
    before -= after
    return norm(before) / size


@relative_kernel_change.misconception("You changed `after` in place (-= or sub_). Write after - before, a new tensor.")
def end_changed_in_place(before, after):
    after -= before
    return norm(after) / norm(before)


@relative_kernel_change.misconception(
    "torch.linalg.norm(..., 1) of a matrix is its largest column sum. Asked is the Frobenius norm, the root of the sum "
    "of all squared entries: the default."
)
def column_sums(before, after):
    return torch.linalg.matrix_norm(after - before, 1) / torch.linalg.matrix_norm(before, 1)


@relative_kernel_change.misconception(
    'torch.linalg.norm(..., "nuc") adds the singular values. The Frobenius norm adds their squares and takes the root: '
    "the default."
)
def nuclear_norm(before, after):
    return torch.linalg.matrix_norm(after - before, "nuc") / torch.linalg.matrix_norm(before, "nuc")


@relative_kernel_change.misconception("You return percent. Asked is the share itself: 0.2 and not 20.")
def percent(before, after):
    return 100 * norm(after - before) / norm(before)


@relative_kernel_change.misconception(
    "The root below is missing: you divide by the SUM of the squares before. Take the root of both sums."
)
def root_above_alone(before, after):
    return norm(after - before) / before.square().sum()


@relative_kernel_change.misconception(
    "The root above is missing: you divide the SUM of the squared changes by a norm. Take the root of both sums."
)
def root_below_alone(before, after):
    return (after - before).square().sum() / norm(before)


@relative_kernel_change.misconception(
    "You bring both kernels to length 1 and compare then. A kernel that doubles has changed by 1, but yours calls it "
    "unchanged. Subtract the kernels as they are and divide once."
)
def both_normalized(before, after):
    return norm(after / norm(after) - before / norm(before))


@relative_kernel_change.misconception(
    "You return the cosine between the kernels, their alignment: 1 where nothing changed. Asked is how far they are "
    "apart, the norm of the difference over the norm before."
)
def cosine(before, after):
    return (before * after).sum() / (norm(before) * norm(after))


@relative_kernel_change.misconception(
    "You divide norm by norm. That compares sizes: it is 1 for a kernel that has not changed, and for one that has "
    "only turned. Take the norm of the DIFFERENCE."
)
def ratio_of_norms(before, after):
    return norm(after) / norm(before)


@relative_kernel_change.misconception(
    "You divide entry by entry and take the norm of that. Entries near 0 then decide alone. Take norms first, one "
    "above and one below, and divide once."
)
def norm_of_ratios(before, after):
    return norm((after - before) / before)


@relative_kernel_change.misconception(
    "You divide by the SUM of both norms, so that the result never exceeds 1. The change is a share of what was there "
    "BEFORE, and a kernel may grow many times over."
)
def share_of_the_sum(before, after):
    return norm(after - before) / (norm(before) + norm(after))


@relative_kernel_change.misconception(
    "You return one number for each column: a norm along an axis. The kernel is one thing: the norm of all entries."
)
def one_for_each_column(before, after):
    return (after - before).norm(dim=0) / before.norm(dim=0)


@relative_kernel_change.misconception(
    "You return one number for each row: a norm along an axis. The kernel is one thing: the norm of all entries."
)
def one_for_each_row(before, after):
    return (after - before).norm(dim=1) / before.norm(dim=1)


@relative_kernel_change.misconception(
    "You return a matrix: the change of each entry, divided by a norm. The norm above is missing."
)
def norm_missing_above(before, after):
    return (after - before) / norm(before)


@relative_kernel_change.misconception(
    "You divide by the mean of both norms. The change is a share of what was there BEFORE."
)
def share_of_the_mean(before, after):
    return 2 * norm(after - before) / (norm(before) + norm(after))


for size in (1e-8, 1e-10, 1e-12):

    def with_epsilon(before, after, size=size):
        return norm(after - before) / (norm(before) + size)

    relative_kernel_change.misconception(
        "You add a small number below, to be safe from 0/0. For a small kernel it is not small, and `before` is never "
        f"all zeros: leave it out. (Yours is near {size:g}.)",
        name=f"epsilon_below_{size:.0e}",
    )(with_epsilon)


@relative_kernel_change.misconception(
    "You compute in float32, which ends near 1e38: larger entries become infinite. Stay in float64."
)
def single_precision(before, after):
    return norm(after.float() - before.float()) / norm(before.float())


@relative_kernel_change.always("A kernel that doubles has changed by 1.")
def doubles(call, rng):
    H = draw_kernel(rng, 3)
    return abs(float(call(before=H, after=2 * H)) - 1) < 1e-6


@relative_kernel_change.always(
    "Kernels 1e-100 times as large have changed by the same share. Beside them no number that is added below, or put "
    "as a lower end, is small."
)
def small_kernels(call, rng):
    before, after = draw_kernel(rng, 3), draw_kernel(rng, 3)
    once, small = (float(call(before=f * before, after=f * after)) for f in (1.0, 1e-100))
    return abs(once - small) < 1e-6


@relative_kernel_change.always("The order of the examples does not matter.")
def order(call, rng):
    before, after, new = draw_kernel(rng, 4), draw_kernel(rng, 4), torch.from_numpy(rng.permutation(4))
    turned = call(before=before[new][:, new], after=after[new][:, new])
    return abs(float(turned) - float(call(before=before, after=after))) < 1e-6
