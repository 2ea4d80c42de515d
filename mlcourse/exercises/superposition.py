"""Exercises on superposition: the toy model, its data and loss, and the geometry of its features."""

from __future__ import annotations

import torch

from mlcourse import superposition
from mlcourse.exercises.protocol import edge, exercise, random, worked


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def uniform(rng, *shape):
    return torch.from_numpy(rng.random(shape))


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def rotation(rng, m):
    """Draw an orthogonal matrix of shape (m, m)."""
    return torch.linalg.qr(normal(rng, m, m))[0]


# 1. toy_forward


@exercise("superposition.toy_forward", reference=superposition.toy_forward, points=6)
def toy_forward(rng):
    """Squeeze n features into m dimensions, read them out by the same directions, and apply ReLU."""
    W = tensor([[1, 0], [-1, 0.5], [0, 2]])
    yield worked(x=tensor([[1, 0, 0], [0, 2, 0], [1, 0, 1], [0, 0, 0]]), W=W, b=tensor([0.5, -0.25, -1]))
    yield worked(
        x=tensor([[[1, 0, 0], [0, 1, 0]], [[0, 1, 1], [0, 0, 2]]]),
        W=torch.stack((W, 2 * W.flip(0))),
        b=tensor([[0.5, -0.25, -1], [-1, 0.5, 0.25]]),
    )
    for K, B, n, m in [(2, 3, 5, 4), (3, 6, 4, 2), (4, 2, 7, 3)]:
        yield random(x=uniform(rng, K, B, n), W=normal(rng, K, n, m), b=normal(rng, K, n))
    yield random(x=normal(rng, 2, 3, 5, 6), W=normal(rng, 2, 3, 6, 4), b=normal(rng, 2, 3, 6))
    yield edge(x=tensor([[2]]), W=tensor([[3]]), b=tensor([-1]))
    yield edge(x=uniform(rng, 3, 2), W=normal(rng, 2, 4), b=tensor([0, 0]))
    yield edge(x=uniform(rng, 4, 3), W=torch.zeros(3, 2, dtype=torch.float64), b=tensor([-1, 0, 2]))
    yield edge(x=uniform(rng, 3, 3, 3), W=normal(rng, 3, 3, 3), b=normal(rng, 3, 3))


def readout(x, W, b):
    """Return what stands inside ReLU."""
    return x @ W @ W.mT + b.unsqueeze(-2)


@toy_forward.misconception(
    "There is no ReLU. Without it the model is linear: the shadow of one feature on the others, positive or negative, "
    "stays in the output, and sharing a dimension never pays. Keep what is positive, after adding the bias."
)
def no_relu(x, W, b):
    return readout(x, W, b)


@toy_forward.misconception(
    "The bias is outside ReLU. It belongs inside: a negative bias pushes small shadows below zero, and ReLU then cuts "
    "them off. Added afterwards it shifts every output and cuts nothing."
)
def bias_outside(x, W, b):
    return torch.relu(x @ W @ W.mT) + b.unsqueeze(-2)


@toy_forward.misconception(
    "You add the bias to the input, before it is squeezed: some autoencoders do. Here b is added to the n numbers that "
    "are read out, inside ReLU: ReLU(x W W^T + b)."
)
def bias_at_the_input(x, W, b):
    return torch.relu((x + b.unsqueeze(-2)) @ W @ W.mT)


@toy_forward.misconception("The bias is missing. It is added to the n numbers that are read out, inside ReLU.")
def no_bias(x, W, b):
    return torch.relu(x @ W @ W.mT)


@toy_forward.misconception("You subtract the bias. It is added: ReLU(x W W^T + b).")
def bias_subtracted(x, W, b):
    return torch.relu(x @ W @ W.mT - b.unsqueeze(-2))


@toy_forward.misconception("This is x W W^T alone: both the bias and ReLU are missing.")
def neither_bias_nor_relu(x, W, b):
    return x @ W @ W.mT


@toy_forward.misconception(
    "ReLU stands on the hidden numbers and not on the output. The m hidden numbers may be negative: an antipodal pair "
    "uses both signs of one dimension. ReLU comes last."
)
def relu_on_hidden(x, W, b):
    return torch.relu(x @ W) @ W.mT + b.unsqueeze(-2)


@toy_forward.misconception(
    "You take the absolute value for ReLU. ReLU makes a negative number 0; the absolute value turns it over, so that a "
    "shadow below zero, which should vanish, comes out as a feature."
)
def absolute_value_for_relu(x, W, b):
    return readout(x, W, b).abs()


@toy_forward.misconception(
    "There is one ReLU too many: you cut off before the bias is added, and again afterwards. A negative shadow then "
    "counts as nothing, and a positive bias is not weakened by it. Add the bias first, then apply ReLU once."
)
def relu_before_the_bias_too(x, W, b):
    return torch.relu(torch.relu(x @ W @ W.mT) + b.unsqueeze(-2))


@toy_forward.misconception(
    "There is one ReLU too many. The m hidden numbers may be negative: an antipodal pair uses both signs of one "
    "dimension. Apply ReLU to the output alone."
)
def relu_twice(x, W, b):
    return torch.relu(torch.relu(x @ W) @ W.mT + b.unsqueeze(-2))


@toy_forward.misconception(
    "You return the m hidden numbers. What is asked is the reconstruction of the n features: read them out by the same "
    "directions, h W^T, add b, and apply ReLU."
)
def hidden_only(x, W, b):
    return x @ W


@toy_forward.misconception(
    "This is the formula of the column convention, with W of shape (m, n). Here one feature is one row of W, so a row "
    "of x meets W first and its transpose second: x W W^T."
)
def column_convention(x, W, b):
    return torch.relu(x @ W.mT @ W + b.unsqueeze(-2))


@toy_forward.misconception(
    "b has shape (..., n) and the output (..., B, n), so the instances of b meet the examples. Give b an axis of "
    "length 1 for the examples: b.unsqueeze(-2)."
)
def bias_without_an_axis(x, W, b):
    return torch.relu(x @ W @ W.mT + b)


@toy_forward.misconception(
    "b.unsqueeze(-1) puts the new axis at the end, so that b runs along the examples. It runs along the features: the "
    "axis of length 1 belongs in FRONT of them, b.unsqueeze(-2)."
)
def bias_axis_at_the_end(x, W, b):
    return torch.relu(x @ W @ W.mT + b.unsqueeze(-1))


@toy_forward.misconception(
    "b.unsqueeze(1), or b[:, None], counts axes from the front. That fits one axis of instances, and there may be none "
    "or more. Count from the back: b.unsqueeze(-2)."
)
def bias_axis_from_the_front(x, W, b):
    return torch.relu(x @ W @ W.mT + b.unsqueeze(1))


ONE_MODEL = (
    "Your code is written for one model, and stops when axes of instances stand in front: W is (..., n, m), and the "
    "`...` may be no axis, one or more. "
)
ONE_AXIS_OF_INSTANCES = (
    "Your code is written for exactly one axis of instances. There may be none, or several: W is (..., n, m). "
)
FORWARD_FOR_ALL = (
    "Count axes from the back: x @ W, then @ W.mT, and b.unsqueeze(-2). The operator @ and .mT work on the last two "
    "axes and carry the others along, and einsum takes them as `...bi,...im,...jm->...bj`."
)


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def bias_of_two_axes(x, W, b):
    return torch.relu(x @ W @ W.mT + b[:, None, :])


@toy_forward.misconception(ONE_MODEL + FORWARD_FOR_ALL)
def transpose_of_one_matrix(x, W, b):
    return torch.relu(x @ W @ W.t() + b)


@toy_forward.misconception(ONE_MODEL + FORWARD_FOR_ALL)
def product_of_two_matrices(x, W, b):
    return torch.relu(torch.mm(torch.mm(x, W), W.mT) + b)


@toy_forward.misconception(ONE_MODEL + FORWARD_FOR_ALL)
def einsum_for_one_model(x, W, b):
    return torch.relu(torch.einsum("bi,im,jm->bj", x, W, W) + b)


@toy_forward.misconception(ONE_MODEL + FORWARD_FOR_ALL)
def shapes_of_one_model_unpacked(x, W, b):
    _B, _n = x.shape
    return torch.relu(x @ W @ W.mT + b)


@toy_forward.misconception(ONE_MODEL + FORWARD_FOR_ALL)
def examples_one_by_one(x, W, b):
    return torch.stack([torch.relu(W @ (x[t] @ W) + b) for t in range(len(x))])


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def einsum_for_one_axis_of_instances(x, W, b):
    return torch.relu(torch.einsum("kbi,kim,kjm->kbj", x, W, W) + b.unsqueeze(-2))


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def shapes_of_one_axis_of_instances_unpacked(x, W, b):
    _K, _B, _n = x.shape
    return torch.relu(x @ W @ W.mT + b.unsqueeze(-2))


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def axes_one_and_two_of_w_swapped(x, W, b):
    return torch.relu(x @ W @ W.transpose(1, 2) + b.unsqueeze(-2))


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def instances_one_by_one(x, W, b):
    return torch.stack([torch.relu(x[k] @ W[k] @ W[k].mT + b[k]) for k in range(len(x))])


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def three_axes_of_w_permuted(x, W, b):
    return torch.relu(x @ W @ W.permute(0, 2, 1) + b.unsqueeze(-2))


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def batched_product_with_axes_one_and_two_swapped(x, W, b):
    return torch.relu(torch.bmm(x @ W, W.transpose(1, 2)) + b.unsqueeze(-2))


@toy_forward.misconception(ONE_AXIS_OF_INSTANCES + FORWARD_FOR_ALL)
def batched_product_of_three_axes(x, W, b):
    return torch.relu(torch.bmm(torch.bmm(x, W), W.mT) + b.unsqueeze(-2))


@toy_forward.misconception(
    "You take the softmax of the readout. Features are no classes that share one whole: any number of them may be on. "
    "Apply ReLU."
)
def softmax_for_relu(x, W, b):
    return torch.softmax(readout(x, W, b), dim=-1)


SWAPPED_FROM_THE_FRONT = (
    "You reverse all axes of W, or swap the first two, so instances and features change places in a batch. Swap the "
    "last two axes alone: W.mT, or W.transpose(-2, -1)."
)


@toy_forward.misconception(SWAPPED_FROM_THE_FRONT)
def first_two_axes_swapped(x, W, b):
    return torch.relu(x @ W @ W.transpose(0, 1) + b.unsqueeze(-2))


@toy_forward.misconception(SWAPPED_FROM_THE_FRONT)
def all_axes_reversed(x, W, b):
    return torch.relu(x @ W @ W.permute(*reversed(range(W.ndim))) + b.unsqueeze(-2))


@toy_forward.misconception(
    "You scale the directions to length 1. The model learns lengths too: a feature that it ignores has a short row."
)
def unit_directions(x, W, b):
    unit = W / W.norm(dim=-1, keepdim=True).clamp(min=1e-300)
    return torch.relu(x @ unit @ unit.mT + b.unsqueeze(-2))


@toy_forward.always("Rotating all directions alike changes nothing: only their dot products matter.")
def rotation_of_the_hidden_space(call, rng):
    x, W, b = uniform(rng, 2, 3, 5), normal(rng, 2, 5, 4), normal(rng, 2, 5)
    return close(call(x=x, W=W @ rotation(rng, 4), b=b), call(x=x, W=W, b=b))


@toy_forward.always("Each example is reconstructed by itself.")
def examples_are_independent(call, rng):
    x, W, b = uniform(rng, 2, 4, 5), normal(rng, 2, 5, 3), normal(rng, 2, 5)
    return close(call(x=x[:, 1:3], W=W, b=b), call(x=x, W=W, b=b)[:, 1:3])


# 2. feature_batch


@exercise("superposition.feature_batch", reference=superposition.feature_batch, points=6)
def feature_batch(rng):
    """Switch each feature of each example off by itself, with the probability of its instance."""
    yield worked(
        values=tensor([[[5, 6, 7], [8, 9, 4]], [[3, 2, 1], [6, 5, 4]]]),
        draws=tensor([[[0.1, 0.9, 0.5], [0.95, 0.2, 0.7]], [[0.3, 0.15, 0.95], [0.85, 0.25, 0.1]]]),
        sparsity=tensor([0.75, 0.2]),
    )
    for K, B, n in [(2, 4, 3), (3, 5, 4), (4, 3, 6)]:
        S = tensor(rng.permutation([0.15, 0.35, 0.7, 0.85])[:K])
        yield random(values=uniform(rng, K, B, n), draws=uniform(rng, K, B, n), sparsity=S)
    draws = uniform(rng, 2, 5, 3)
    draws[:, 0] = 0.0
    yield edge(values=1 + uniform(rng, 2, 5, 3), draws=draws, sparsity=tensor([0, 1]))
    yield edge(values=tensor([[[3, 4]]]), draws=tensor([[[0.5, 0.25]]]), sparsity=tensor([0.5]))
    yield edge(values=uniform(rng, 4, 4, 4), draws=uniform(rng, 4, 4, 4), sparsity=tensor([0.2, 0.4, 0.6, 0.8]))


def by_instance(sparsity):
    return sparsity[:, None, None]


KEPT_WITH_S = (
    "A feature is on with probability S in your batch. S is the sparsity, the probability of being off: with "
    "S = 0.9 nine features of ten are 0. "
)


@feature_batch.misconception(KEPT_WITH_S + "It is on where the draw is at least S.")
def kept_below_s(values, draws, sparsity):
    return values * (draws < by_instance(sparsity))


@feature_batch.misconception(KEPT_WITH_S + "Compare the draw with S, not with 1 - S.")
def compared_with_density(values, draws, sparsity):
    return values * (draws >= 1 - by_instance(sparsity))


@feature_batch.misconception(
    "You compare with 1 - S and keep what is below. The probability is right, but the text says which draws switch a "
    "feature on: those of at least S."
)
def kept_below_density(values, draws, sparsity):
    return values * (draws < 1 - by_instance(sparsity))


@feature_batch.misconception(
    "Your comparison is strict. A draw lies in [0, 1): with draw >= S a sparsity of 0 leaves everything on, also where "
    "the draw is exactly 0."
)
def strict(values, draws, sparsity):
    return values * (draws > by_instance(sparsity))


@feature_batch.misconception(
    "One draw decides for a whole example: all its features are on or off together. Then a feature that is on says "
    "that all others are on too. Every feature has its own draw."
)
def one_mask_per_example(values, draws, sparsity):
    return values * (draws[..., :1] >= by_instance(sparsity))


@feature_batch.misconception(
    "One draw decides for all examples: a feature is on in the whole batch or nowhere. Every example has its own draws."
)
def one_mask_per_feature(values, draws, sparsity):
    return values * (draws[:, :1] >= by_instance(sparsity))


@feature_batch.misconception(
    "All instances use the draws of the first. Each instance has draws of its own: use the whole tensor."
)
def one_mask_for_all_instances(values, draws, sparsity):
    return values * (draws[:1] >= by_instance(sparsity))


@feature_batch.misconception(
    "You compare the values with S, not the draws. Then small values never occur: what is left is no longer uniform, "
    "and whether a feature is on can be read from its size."
)
def values_decide(values, draws, sparsity):
    return values * (values >= by_instance(sparsity))


@feature_batch.misconception(
    "You return the draw where a feature is on. The draw only decides; what the feature is worth stands in values."
)
def draws_for_values(values, draws, sparsity):
    return draws * (draws >= by_instance(sparsity))


@feature_batch.misconception(
    "You divide by 1 - S, as dropout does to keep the mean. Here zeros are no noise that must be made up for: they are "
    "the data. A feature that is on keeps its value."
)
def scaled_as_dropout(values, draws, sparsity):
    density = 1 - by_instance(sparsity)
    return values * (draws >= by_instance(sparsity)) / torch.where(density > 0, density, 1.0)


@feature_batch.misconception(
    "You divide by 1 - S, as dropout does to keep the mean. Here zeros are no noise that must be made up for: they are "
    "the data. (And with S = 1 it is 0/0.)"
)
def scaled_as_dropout_with_nan(values, draws, sparsity):
    return values * (draws >= by_instance(sparsity)) / (1 - by_instance(sparsity))


@feature_batch.misconception(
    "You make every feature smaller by its density. A feature is switched: it keeps its value or is 0. The mean is the "
    "same, but nothing is sparse."
)
def shrunk_for_switched(values, draws, sparsity):
    return values * (1 - by_instance(sparsity))


@feature_batch.misconception(
    "values[mask] picks the values that are on and lays them in one line. Every feature keeps its place: multiply by "
    "the mask, or use torch.where(mask, values, 0.0)."
)
def picked_values(values, draws, sparsity):
    return values[draws >= by_instance(sparsity)]


@feature_batch.misconception("You return which features are on. Multiply by the values.")
def mask_alone(values, draws, sparsity):
    return (draws >= by_instance(sparsity)).double()


@feature_batch.misconception("You return a boolean mask of what is on. Multiply the values by it.")
def boolean_mask(values, draws, sparsity):
    return draws >= by_instance(sparsity)


@feature_batch.misconception(
    "S of shape (K,) is compared with (K, B, n) as it stands, so it runs along the features. Broadcasting aligns axes "
    "from the right: give S two axes of length 1 behind its own."
)
def sparsity_along_features(values, draws, sparsity):
    return values * (draws >= sparsity)


@feature_batch.misconception(
    "S runs along the examples, the middle axis. It belongs to the instances, the first: its shape must become "
    "(K, 1, 1)."
)
def sparsity_along_examples(values, draws, sparsity):
    return values * (draws >= sparsity[:, None])


@feature_batch.misconception(
    "You use one sparsity, the mean, for all instances. Each instance has its own: compare instance k with S[k]."
)
def mean_sparsity(values, draws, sparsity):
    return values * (draws >= sparsity.mean())


@feature_batch.misconception("You use the first sparsity for all instances. Compare instance k with S[k].")
def first_sparsity(values, draws, sparsity):
    return values * (draws >= sparsity[0])


@feature_batch.misconception(
    "The numbers are right, but you switch features off in the caller's values, who still needs them. Leave the input "
    "as it is and build a new tensor: values * mask or torch.where(mask, values, 0.0). Or change a clone."
)
def in_place(values, draws, sparsity):
    values[draws < by_instance(sparsity)] = 0.0
    return values


@feature_batch.always("A sparsity of 0 changes nothing.")
def dense(call, rng):
    values, draws = uniform(rng, 2, 3, 4), uniform(rng, 2, 3, 4)
    return close(call(values=values, draws=draws, sparsity=tensor([0, 0])), values)


@feature_batch.always("Over many draws a feature is off with probability S.")
def frequency(call, rng):
    values, draws = 1 + uniform(rng, 2, 200, 100), uniform(rng, 2, 200, 100)
    off = (call(values=values, draws=draws, sparsity=tensor([0.3, 0.9])) == 0).double().mean(dim=(1, 2))
    return bool((off - tensor([0.3, 0.9])).abs().max() < 0.03)


# 3. importance_loss


NOT_A_PYTHON_NUMBER = (
    "You return a Python number where there are no instances. It has lost its graph, so no gradient can flow from it. "
    "Return the tensor without axes as it is: leave .item() and float() out."
)


def tensor_of_losses(candidate, x, x_hat, importance):
    loss = candidate(x, x_hat, importance)
    if isinstance(loss, bool | int | float):  # the comparison would take it for a tensor without axes
        raise ValueError(f"a tensor is asked, also where it has no axes, but a {type(loss).__name__} came back")
    return loss


@exercise("superposition.importance_loss", reference=superposition.importance_loss, points=6, run=tensor_of_losses)
def importance_loss(rng):
    """Squared error, weighted by importance: summed over features, averaged over examples."""
    yield worked(
        x=tensor([[1, 0, 2], [0, 3, 1]]), x_hat=tensor([[0.5, 0, 1], [0, 1, 1.5]]), importance=tensor([1, 0.5, 0.25])
    )
    yield worked(
        x=tensor([[[1, 0, 2], [0, 3, 1], [2, 0, 0]], [[0, 0, 1], [2, 1, 0], [1, 3, 0]]]),
        x_hat=tensor([[[0.5, 0, 1], [0, 1, 1.5], [1, 0, 0.5]], [[0, 1, 1], [1, 1, 3], [1, 0, 2]]]),
        importance=tensor([[1, 0.5, 0.25], [2, 1, 3]]),
    )
    for K, B, n in [(2, 4, 5), (3, 6, 4), (4, 5, 2)]:
        yield random(x=uniform(rng, K, B, n), x_hat=uniform(rng, K, B, n), importance=0.1 + uniform(rng, K, n))
    yield random(x=normal(rng, 2, 3, 5, 4), x_hat=normal(rng, 2, 3, 5, 4), importance=0.1 + uniform(rng, 2, 3, 4))
    yield edge(x=tensor([[3]]), x_hat=tensor([[1]]), importance=tensor([0.5]))
    yield edge(x=uniform(rng, 4, 3), x_hat=uniform(rng, 4, 3), importance=tensor([0, 2, 0]))
    yield edge(x=1e100 * normal(rng, 2, 3), x_hat=1e100 * normal(rng, 2, 3), importance=tensor([1, 0.1, 0.01]))
    yield edge(x=uniform(rng, 3, 3, 3), x_hat=uniform(rng, 3, 3, 3), importance=0.1 + uniform(rng, 3, 3))


def weighted(x, x_hat, importance):
    """Every squared error times its importance."""
    return importance.unsqueeze(-2) * (x - x_hat).square()


@importance_loss.misconception(
    "You average over the features too, as mse_loss does. The importances already say how much each feature counts: "
    "sum over the features, and average over the examples alone."
)
def mean_over_features(x, x_hat, importance):
    return weighted(x, x_hat, importance).mean(dim=(-2, -1))


@importance_loss.misconception(
    "You sum over the examples too. Then the loss grows with the batch, and the learning rate with it. Average over "
    "the examples."
)
def sum_over_examples(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=(-2, -1))


@importance_loss.misconception(
    "The axes have changed places: you average over the features and sum over the examples. It is the other way round."
)
def axes_swapped(x, x_hat, importance):
    return weighted(x, x_hat, importance).mean(dim=-1).sum(dim=-1)


@importance_loss.misconception(
    "The importance is inside the square, so it counts twice: an importance of 0.5 weighs 0.25. Square the error first."
)
def importance_squared(x, x_hat, importance):
    return (importance.unsqueeze(-2) * (x - x_hat)).square().sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "The importance is missing: all features count alike. Multiply each squared error by the importance of its feature."
)
def unweighted(x, x_hat, importance):
    return (x - x_hat).square().sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(NOT_A_PYTHON_NUMBER)
def loss_as_a_python_number(x, x_hat, importance):
    loss = weighted(x, x_hat, importance).sum(dim=-1).mean(dim=-1)
    return loss if loss.ndim else loss.item()


@importance_loss.misconception("You scale the importances so that they sum to 1. They are weights as they are.")
def importance_normalized(x, x_hat, importance):
    shares = importance / importance.sum(dim=-1, keepdim=True)
    return weighted(x, x_hat, shares).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "You take the size of the error. What is asked is its square, which has no corner at 0 and punishes one large "
    "error more than many small ones."
)
def absolute_error(x, x_hat, importance):
    return (importance.unsqueeze(-2) * (x - x_hat).abs()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception("You take the root at the end. The loss is the weighted squared error itself.")
def root(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean(dim=-1).sqrt()


@importance_loss.misconception(
    "You add the errors up and square the sum, so errors of opposite sign cancel. Square each error first."
)
def sum_before_square(x, x_hat, importance):
    return (importance.unsqueeze(-2) * (x - x_hat)).sum(dim=-1).square().mean(dim=-1)


POOLED = (
    "You return one number for all instances. They are models of their own that are only trained side by side: return "
    "one loss for each, and leave the axes in front alone."
)


@importance_loss.misconception(
    "You average over everything. Sum over the features, average over the examples alone, and leave the axes in front: "
    "one loss for each instance, .sum(dim=-1).mean(dim=-1)."
)
def mean_over_everything(x, x_hat, importance):
    return weighted(x, x_hat, importance).mean()


@importance_loss.misconception(
    "You sum over everything. Sum over the features, average over the examples, and leave the axes in front: one loss "
    "for each instance, .sum(dim=-1).mean(dim=-1)."
)
def sum_over_everything(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum()


FROM_THE_FRONT = (
    "You count axes from the front. That fits one number of axes alone, and there may be none, one or more for the "
    "instances. Count from the back: features are -1, examples -2."
)


@importance_loss.misconception(FROM_THE_FRONT)
def axes_of_a_batch(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=2).mean(dim=1)


@importance_loss.misconception(FROM_THE_FRONT)
def axes_of_one_instance(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=1).mean(dim=0)


@importance_loss.misconception(
    "You divide by the length of the FIRST axis. That is the number of examples without instances only; with them it "
    "counts the instances. The examples are axis -2: take .mean(dim=-1) after the sum, or divide by x.shape[-2]."
)
def divided_by_the_first_axis(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=(-2, -1)) / len(x)


@importance_loss.misconception(POOLED)
def mean_over_instances(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean()


@importance_loss.misconception(POOLED)
def sum_over_instances(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean(dim=-1).sum()


@importance_loss.misconception(
    "The importance of shape (..., n) meets the errors of shape (..., B, n) without an axis for the examples. That is "
    "right for one model alone: with instances in front, these are lined up with the examples. Use "
    "importance.unsqueeze(-2), and count all axes from the back: features are -1, examples -2."
)
def importance_without_an_axis(x, x_hat, importance):
    return (importance * (x - x_hat).square()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "importance.unsqueeze(1), or importance[:, None], counts axes from the front. That fits one axis of instances, and "
    "there may be none or more. Count from the back: importance.unsqueeze(-2)."
)
def importance_axis_from_the_front(x, x_hat, importance):
    return (importance.unsqueeze(1) * (x - x_hat).square()).sum(dim=-1).mean(dim=-1)


LOSS_FOR_ALL = (
    "Here x is (..., B, n). Count axes from the back: importance.unsqueeze(-2) * (x - x_hat) ** 2 has one entry for "
    "each feature of each example of each instance; then .sum(dim=-1).mean(dim=-1)."
)
LOSS_OF_ONE_MODEL = (
    "Your code is written for one model, x of shape (B, n), and goes wrong when axes of instances stand in front. "
    + LOSS_FOR_ALL
)
LOSS_OF_ONE_AXIS = (
    "Your code is written for exactly one axis of instances. There may be none, or several. " + LOSS_FOR_ALL
)


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def loop_over_one_model(x, x_hat, importance):
    total = 0.0
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            total = total + importance[i] * (x[t, i] - x_hat[t, i]) ** 2
    return total / x.shape[0]


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def loop_over_the_importances_of_one_model(x, x_hat, importance):
    total = 0.0
    for t in range(len(x)):
        for i in range(len(importance)):
            total = total + importance[i] * (x[t, i] - x_hat[t, i]) ** 2
    return total / len(x)


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def loop_over_the_examples_of_one_model(x, x_hat, importance):
    return sum((importance * (x[t] - x_hat[t]) ** 2).sum() for t in range(len(x))) / len(x)


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def shape_of_one_model_unpacked(x, x_hat, importance):
    B, _n = x.shape
    return (importance * (x - x_hat).square()).sum() / B


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def product_with_the_importances_of_one_model(x, x_hat, importance):
    return ((x - x_hat).square() @ importance).mean()


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def importances_of_one_model_after_the_mean(x, x_hat, importance):
    return (x - x_hat).square().mean(dim=0) @ importance


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def importances_of_one_model_after_the_mean_over_examples(x, x_hat, importance):
    return (x - x_hat).square().mean(dim=-2) @ importance


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def mean_of_one_model_before_the_sum_over_features(x, x_hat, importance):
    return (importance * (x - x_hat).square().mean(dim=0)).sum(dim=-1)


@importance_loss.misconception(LOSS_OF_ONE_MODEL)
def loss_of_one_model_in_einsum(x, x_hat, importance):
    error = x - x_hat
    return torch.einsum("ti,ti,i->", error, error, importance) / len(x)


@importance_loss.misconception(FROM_THE_FRONT)
def mean_over_the_first_axis(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean(dim=0)


@importance_loss.misconception(FROM_THE_FRONT)
def mean_over_the_first_axis_before_the_sum(x, x_hat, importance):
    return weighted(x, x_hat, importance).mean(dim=0).sum()


@importance_loss.misconception(LOSS_OF_ONE_AXIS)
def importance_of_two_axes(x, x_hat, importance):
    return (importance[:, None, :] * (x - x_hat).square()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(LOSS_OF_ONE_AXIS)
def instances_one_by_one_in_the_loss(x, x_hat, importance):
    return torch.stack([(importance[k] * (x[k] - x_hat[k]) ** 2).sum(dim=-1).mean() for k in range(len(x))])


@importance_loss.misconception(LOSS_OF_ONE_AXIS)
def shape_of_one_axis_of_instances_unpacked(x, x_hat, importance):
    _K, B, _n = x.shape
    return weighted(x, x_hat, importance).sum(dim=(-2, -1)) / B


@importance_loss.misconception(LOSS_OF_ONE_AXIS)
def loss_of_one_axis_of_instances_in_einsum(x, x_hat, importance):
    error = x - x_hat
    return torch.einsum("kti,kti,ki->k", error, error, importance) / x.shape[-2]


@importance_loss.misconception(
    ".item() makes a Python number of a tensor with one entry. With instances there is one loss for each: return the "
    "tensor."
)
def made_a_number(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean(dim=-1).item()


@importance_loss.misconception(
    "The errors are not squared, so those of opposite signs cancel. Square each error before you weigh it."
)
def errors_not_squared(x, x_hat, importance):
    return (importance.unsqueeze(-2) * (x - x_hat)).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "importance.unsqueeze(-1) puts the new axis at the end, so that the importances run along the examples. They "
    "belong to the features: the axis of length 1 stands in FRONT of them, importance.unsqueeze(-2)."
)
def importance_axis_at_the_end(x, x_hat, importance):
    return (importance.unsqueeze(-1) * (x - x_hat).square()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "The loss is right, but `x -= x_hat` changes the caller's examples. Write x - x_hat, which builds a new tensor."
)
def subtracted_in_place(x, x_hat, importance):
    x -= x_hat
    return (importance.unsqueeze(-2) * x.square()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception(
    "The loss is right, but `x_hat -= x` changes the caller's reconstructions. Write x_hat - x, which builds a new "
    "tensor."
)
def reconstruction_changed_in_place(x, x_hat, importance):
    x_hat -= x
    return (importance.unsqueeze(-2) * x_hat.square()).sum(dim=-1).mean(dim=-1)


@importance_loss.misconception("You return the loss of each example. Average over the examples.")
def not_averaged(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1)


@importance_loss.misconception("You return the loss of each feature. Sum over the features.")
def not_summed(x, x_hat, importance):
    return weighted(x, x_hat, importance).mean(dim=-2)


@importance_loss.misconception("There is a factor of one half. It is convenient for the gradient, but not asked here.")
def halved(x, x_hat, importance):
    return weighted(x, x_hat, importance).sum(dim=-1).mean(dim=-1) / 2


@importance_loss.always("Twice the importance is twice the loss.")
def linear_in_importance(call, rng):
    x, x_hat, importance = uniform(rng, 2, 4, 3), uniform(rng, 2, 4, 3), uniform(rng, 2, 3)
    return close(call(x=x, x_hat=x_hat, importance=2 * importance), 2 * call(x=x, x_hat=x_hat, importance=importance))


@importance_loss.always("Showing every example twice changes nothing.")
def examples_twice(call, rng):
    x, x_hat, importance = uniform(rng, 2, 4, 3), uniform(rng, 2, 4, 3), uniform(rng, 2, 3)
    twice = call(x=torch.cat((x, x), dim=1), x_hat=torch.cat((x_hat, x_hat), dim=1), importance=importance)
    return close(twice, call(x=x, x_hat=x_hat, importance=importance))


# 4. feature_dimensionality, and what it shares with 5 and 6


def directions(rng):
    """Yield random directions, one model and several, of unequal lengths."""
    for shape in [(5, 3), (2, 6, 4), (3, 4, 2), (2, 3, 5, 2)]:
        yield random(W=normal(rng, *shape))


def short_and_absent(rng):
    """Yield directions that are very short, very long or zero."""
    yield edge(W=tensor([[3, 4]]))
    yield edge(W=tensor([[1, 2], [0, 0], [3, -1], [0, 0]]))
    yield edge(W=1e-12 * not_shorter_than_1(rng, 2, 5, 3))
    yield edge(W=1e60 * normal(rng, 4, 3))
    yield edge(W=torch.zeros(3, 2, dtype=torch.float64))


def not_shorter_than_1(rng, *shape):
    """Draw directions of random lengths from 1.1 to 3, so that a text can say how short a row may be."""
    return unit(normal(rng, *shape)) * (1.1 + 1.9 * uniform(rng, *shape[:-1], 1))


def unit(W):
    """Scale the rows to length 1; a row of zeros stays."""
    length = W.norm(dim=-1, keepdim=True)
    return W / torch.where(length > 0, length, 1.0)


def share(own, total):
    """Divide, and give 0 where there is nothing to share."""
    return torch.where(total > 0, own / torch.where(total > 0, total, 1.0), 0.0)


def squared_length(W):
    return W.square().sum(dim=-1)


def off_diagonal(table):
    return table * (1 - torch.eye(table.shape[-1], dtype=table.dtype))


ZERO_ROW = (
    "A row of zeros gives nan: you divide by its length. Such a feature is one that the model does not represent, and "
    "the result for it is 0. Divide only where the length is positive. Everything else is right."
)
SMALL_CONSTANT = (
    "You add a small constant before dividing, or raise short lengths to it. Directions may be as short as 1e-12, and "
    "then the constant decides the result. Treat a length of exactly 0 by itself instead."
)


def constants_in_the_length(scaled):
    """Return names and ways to add a constant to the lengths, so small that only the shortest rows show it."""
    return [
        (f"constant_1e_{digits}_in_length", lambda W, c=10.0**-digits: scaled(W, W.norm(dim=-1, keepdim=True) + c))
        for digits in (9, 10, 12)
    ]


def not_the_rows(scaled):
    """Return hints and ways to take the lengths wrongly, which the three exercises on directions share."""
    return [
        (
            "one_length_for_all",
            "W.norm() without dim is ONE number for all rows. Each direction has a length of its own: W.norm(dim=-1, "
            "keepdim=True).",
            lambda W: scaled(W, lambda W: W / torch.where(W.norm() > 0, W.norm(), 1.0)),
        ),
        (
            "second_axis_scaled",
            "You scale along dim=1, which torch.nn.functional.normalize takes if you name none. That is the last axis "
            "without instances only; with them it counts the features. One direction is one row: dim=-1.",
            lambda W: scaled(W, lambda W: torch.nn.functional.normalize(W, eps=1e-300)),
        ),
        (
            "length_without_its_axis",
            "W.norm(dim=-1) has lost its last axis, so that the lengths are lined up with the dimensions and not with "
            "the rows. Keep it: keepdim=True.",
            lambda W: scaled(W, lambda W: W / W.norm(dim=-1)),
        ),
        (
            "all_axes_of_w_reversed",
            SWAPPED_FROM_THE_FRONT,
            lambda W: scaled(W, unit, lambda W: W.permute(*reversed(range(W.ndim)))),
        ),
    ]


ROWS_FROM_THE_BACK = (
    "Count axes from the back: row i of every model is W[..., i, :], and W @ W.mT holds all dot products of every "
    "model at once, (..., n, n)."
)
ONE_SET_OF_ROWS = (
    "Your code is written for one model, W of shape (n, m). When axes of instances stand in front, W[i] and len(W) "
    "no longer mean rows, and .t(), torch.mm and two letters in einsum no longer fit. " + ROWS_FROM_THE_BACK
)
ONE_AXIS_OF_MODELS = ONE_AXIS_OF_INSTANCES + ROWS_FROM_THE_BACK


def unpacked_into_two(W):
    _n, _m = W.shape


def unpacked_into_three(W):
    _K, _n, _m = W.shape


def one_model_alone(right):
    """Return hints and the ways in which code for a fixed number of axes stops, for the three exercises on directions.

    ``right`` is right for any axes. Each way first does to W what such code does to it.
    """
    ways = [
        ("row_times_row", ONE_SET_OF_ROWS, lambda W: W[0] @ W[0]),
        ("row_dot_row", ONE_SET_OF_ROWS, lambda W: torch.dot(W[0], W[0])),
        ("all_rows_times_one", ONE_SET_OF_ROWS, lambda W: W @ W[0]),
        ("one_row_times_all", ONE_SET_OF_ROWS, lambda W: W[0] @ W.permute(*reversed(range(W.ndim)))),
        ("other_rows_times_one", ONE_SET_OF_ROWS, lambda W: W[1:] @ W[0]),
        ("shape_of_one_model", ONE_SET_OF_ROWS, unpacked_into_two),
        ("einsum_of_one_model", ONE_SET_OF_ROWS, lambda W: torch.einsum("im,jm->ij", W, W)),
        ("transpose_of_one_model", ONE_SET_OF_ROWS, lambda W: W.t()),
        ("product_of_one_model", ONE_SET_OF_ROWS, lambda W: torch.mm(W, W.mT)),
        ("shape_with_one_axis_of_instances", ONE_AXIS_OF_MODELS, unpacked_into_three),
        ("einsum_with_one_axis_of_instances", ONE_AXIS_OF_MODELS, lambda W: torch.einsum("kim,kjm->kij", W, W)),
        ("axes_one_and_two_swapped", ONE_AXIS_OF_MODELS, lambda W: W.transpose(1, 2) @ W),
        ("three_axes_permuted", ONE_AXIS_OF_MODELS, lambda W: W.permute(0, 2, 1)),
        ("models_one_by_one", ONE_AXIS_OF_MODELS, lambda W: W[0].mT),
        ("product_with_one_axis_of_instances", ONE_AXIS_OF_MODELS, lambda W: torch.bmm(W, W.mT)),
    ]

    def after(first):
        def wrong(W):
            first(W)
            return right(W)

        return wrong

    silent = ("every_model_as_one_row", ONE_SET_OF_ROWS, lambda W: right(W.flatten(1)))  # (W[i] * W[j]).sum()
    return [silent, *((name, hint, after(first)) for name, hint, first in ways)]


@exercise("superposition.feature_dimensionality", reference=superposition.feature_dimensionality, points=6, atol=1e-12)
def feature_dimensionality(rng):
    """Which share of a dimension each feature has for itself."""
    yield worked(W=tensor([[2, 0], [-1, 0], [0, 3], [3, 4]]))
    yield worked(W=tensor([[[2, 0], [-1, 0], [1, 2]], [[1, 1], [1, -2], [0, 3]]]))
    yield from directions(rng)
    yield from short_and_absent(rng)


@feature_dimensionality.misconception(
    "You do not scale row i to length 1 in the denominator. It must be the unit vector: only then is the denominator "
    "measured in squared lengths, as the numerator, and twice the W gives the same D."
)
def not_normalized(W):
    return share(squared_length(W), (W @ W.mT).square().sum(dim=-1))


@feature_dimensionality.misconception(
    "You scale both rows, so the denominator is a sum of squared cosines. Only row i is scaled: how much room another "
    "feature takes depends on how long it is."
)
def both_normalized(W):
    return share(squared_length(W), (unit(W) @ unit(W).mT).square().sum(dim=-1))


@feature_dimensionality.misconception(
    "You scale row j where row i should be scaled, or sum along the wrong axis, which comes to the same: the squared "
    "length then cancels and only cosines are left. The question is what lies in the direction of feature i: its unit "
    "vector, times every row as long as it is, summed along the last axis."
)
def other_normalized(W):
    return share(squared_length(W), (W @ unit(W).mT).square().sum(dim=-1))


@feature_dimensionality.misconception(
    "You leave j = i out of the sum. Feature i itself counts among those that use its direction: with it, a feature "
    "that nobody disturbs has D = 1."
)
def without_itself(W):
    return share(squared_length(W), off_diagonal((unit(W) @ W.mT).square()).sum(dim=-1))


@feature_dimensionality.misconception(
    "You leave j = i out of the sum, so a feature that nobody disturbs divides by 0. Feature i itself counts among "
    "those that use its direction."
)
def without_itself_unguarded(W):
    return squared_length(W) / off_diagonal((unit(W) @ W.mT).square()).sum(dim=-1)


@feature_dimensionality.misconception(
    "The dot products are not squared, so opposite features cancel in the sum. An antipodal pair then seems to leave "
    "no trace, and may even divide by 0."
)
def dots_not_squared(W):
    return squared_length(W) / (unit(W) @ W.mT).sum(dim=-1)


def dimensionality_from(W, scale, transpose=lambda W: W.mT):
    return share(squared_length(W), (scale(W) @ transpose(W)).square().sum(dim=-1))


for name, hint, wrong in not_the_rows(dimensionality_from):
    feature_dimensionality.misconception(hint, name)(wrong)


for name, hint, wrong in one_model_alone(lambda W: dimensionality_from(W, unit)):
    feature_dimensionality.misconception(hint, name)(wrong)


ROWS_SCALED_IN_PLACE = "`W /= ...` changes the caller's W in place. Write unit = W / ..., which builds a new tensor"


@feature_dimensionality.misconception(
    ROWS_SCALED_IN_PLACE + ", so that the rows W_j keep their lengths: the denominator scales row i alone."
)
def rows_scaled_in_place(W):
    own = squared_length(W)
    W /= W.norm(dim=-1, keepdim=True)
    return own / (W @ W.mT).square().sum(dim=-1)


@feature_dimensionality.misconception(
    ROWS_SCALED_IN_PLACE + ", so that W keeps its lengths: the numerator and the rows W_j need them."
)
def rows_scaled_in_place_before_all_else(W):
    W /= W.norm(dim=-1, keepdim=True)
    return squared_length(W) / (W @ W.mT).square().sum(dim=-1)


@feature_dimensionality.misconception(
    "The length is taken along the wrong axis: you scale the columns of W. One direction is one row, so the length "
    "runs along the last axis."
)
def columns_scaled_for_rows(W):
    return dimensionality_from(W, lambda W: unit(W.mT).mT)


@feature_dimensionality.misconception(
    "The lengths have kept their axis in the numerator and the sums have lost it: (n, 1) over (n,) is (n, n). There "
    "you need W.norm(dim=-1) without keepdim."
)
def axis_kept_in_the_numerator(W):
    own = squared_length(W).unsqueeze(-1)
    return share(own, (unit(W) @ W.mT).square().sum(dim=-1))


@feature_dimensionality.misconception(
    "You square the sum, so features on opposite sides cancel in it. Square each dot product first, then sum over j."
)
def sum_squared(W):
    return share(squared_length(W), (unit(W) @ W.mT).sum(dim=-1).square())


@feature_dimensionality.misconception(
    "You add the sizes of the dot products. They enter squared: room is measured in squared lengths."
)
def absolute_dots(W):
    return share(squared_length(W), (unit(W) @ W.mT).abs().sum(dim=-1))


@feature_dimensionality.misconception(
    "The numerator is the length, not its square. Both sides are squared lengths, so that D does not depend on the "
    "unit of W."
)
def length_for_square(W):
    return share(W.norm(dim=-1), (unit(W) @ W.mT).square().sum(dim=-1))


@feature_dimensionality.misconception("You take the root of the denominator. It is the sum of squares itself.")
def root_of_the_sum(W):
    return share(squared_length(W), (unit(W) @ W.mT).square().sum(dim=-1).sqrt())


@feature_dimensionality.misconception("The fraction is upside down: D is at most 1, the squared length comes on top.")
def upside_down(W):
    return share((unit(W) @ W.mT).square().sum(dim=-1), squared_length(W))


@feature_dimensionality.misconception(
    "You treat columns as features. Here one feature is one row of W: (..., n, m) gives n numbers."
)
def columns_as_features(W):
    return share(squared_length(W.mT), (unit(W.mT) @ W).square().sum(dim=-1))


@feature_dimensionality.misconception(
    "You return the interference, the denominator without j = i. The dimensionality is the squared length divided by "
    "the whole denominator."
)
def interference_instead(W):
    return off_diagonal((unit(W) @ W.mT).square()).sum(dim=-1)


@feature_dimensionality.misconception("You return the mean over the features. Each feature has its own number.")
def averaged(W):
    return share(squared_length(W), (unit(W) @ W.mT).square().sum(dim=-1)).mean(dim=-1)


@feature_dimensionality.misconception(
    "This is m / |W|^2, dimensions per feature on average. It is what the dimensionalities come to when all features "
    "are alike. Each feature has its own number."
)
def dimensions_per_feature(W):
    return W.shape[-1] / W.square().sum(dim=(-2, -1))


@feature_dimensionality.misconception(ZERO_ROW)
def nan_for_zero(W):
    return squared_length(W) / ((W / W.norm(dim=-1, keepdim=True)) @ W.mT).square().sum(dim=-1)


@feature_dimensionality.misconception(SMALL_CONSTANT)
def constant_in_the_length(W):
    rows = W / (W.norm(dim=-1, keepdim=True) + 1e-8)
    return share(squared_length(W), (rows @ W.mT).square().sum(dim=-1))


for name, wrong in constants_in_the_length(
    lambda W, lengths: share(squared_length(W), (W / lengths @ W.mT).square().sum(dim=-1))
):
    feature_dimensionality.misconception(SMALL_CONSTANT, name)(wrong)


@feature_dimensionality.misconception(SMALL_CONSTANT)
def constant_in_both(W):
    rows = W / (W.norm(dim=-1, keepdim=True) + 1e-8)
    return squared_length(W) / ((rows @ W.mT).square().sum(dim=-1) + 1e-8)


@feature_dimensionality.misconception(SMALL_CONSTANT)
def smaller_constant_in_the_denominator(W):
    return squared_length(W) / ((unit(W) @ W.mT).square().sum(dim=-1) + 1e-12)


@feature_dimensionality.misconception(SMALL_CONSTANT)
def length_clamped(W):
    rows = W / W.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return share(squared_length(W), (rows @ W.mT).square().sum(dim=-1))


@feature_dimensionality.always("The dimensionalities sum to at most the number of dimensions.")
def at_most_m(call, rng):
    D = call(W=normal(rng, 2, 9, 3))
    return bool((D >= 0).all() and (D <= 1 + 1e-9).all() and (D.sum(dim=-1) <= 3 + 1e-9).all())


@feature_dimensionality.always("Rotating or scaling all directions alike changes nothing.")
def shape_alone(call, rng):
    W = normal(rng, 2, 5, 3)
    return close(call(W=0.3 * W @ rotation(rng, 3)), call(W=W))


# 5. interference


@exercise("superposition.interference", reference=superposition.interference, points=6)
def interference(rng):
    """How much of the other features lies in the direction of each feature."""
    yield worked(W=tensor([[2, 0], [-1, 0], [0, 3], [3, 4]]))
    yield worked(W=tensor([[[2, 0], [-1, 0], [1, 2]], [[1, 1], [1, -2], [0, 3]]]))
    yield from directions(rng)
    yield edge(W=tensor([[1e6, 0], [1e-3, 0]]))  # here every way to subtract the own term gives row 0 the same 0
    yield edge(W=tensor([[1e59, 7e59]]))
    yield edge(W=tensor([[3e5, 4e5, 1e5]]))
    yield edge(W=tensor([[3, 4]]))
    yield edge(W=tensor([[1, 2], [0, 0], [3, -1], [0, 0]]))
    yield edge(W=1e60 * normal(rng, 4, 3))
    yield edge(W=tensor([[1e60], [1], [1e-3]]) * normal(rng, 2, 3, 4))
    yield edge(W=1e6 * rotation(rng, 4)[:3])  # orthogonal up to rounding
    yield edge(W=tensor([[1e30, 2e30, 0, 0], [0, 0, 3e30, -1e30]]))  # orthogonal without any rounding
    yield edge(W=tensor([[1e-9, 0], [2, 1], [-1, 3]]))
    yield edge(W=normal(rng, 3, 3, 2))  # as many models as rows
    yield edge(W=torch.zeros(3, 2, dtype=torch.float64))


@interference.misconception(
    "You count the feature itself. Its own squared length is signal, not interference: leave j = i out of the sum."
)
def itself_counted(W):
    return (unit(W) @ W.mT).square().sum(dim=-1)


@interference.misconception(
    "The dot products are not squared, so opposite signs cancel: a feature between two opposite ones seems undisturbed."
)
def not_squared(W):
    return off_diagonal(unit(W) @ W.mT).sum(dim=-1)


@interference.misconception("You add the sizes of the dot products. They enter squared.")
def sizes_added(W):
    return off_diagonal((unit(W) @ W.mT).abs()).sum(dim=-1)


@interference.misconception(
    "You square the sum. Square each dot product first: the features are on independently of one another, and then "
    "squares add."
)
def square_of_the_sum(W):
    return off_diagonal(unit(W) @ W.mT).sum(dim=-1).square()


@interference.misconception(
    "You scale both rows: these are squared cosines. A long feature disturbs more than a short one, so row j keeps its "
    "length."
)
def cosines(W):
    return off_diagonal((unit(W) @ unit(W).mT).square()).sum(dim=-1)


@interference.misconception(
    "You scale row j where row i should be scaled, or sum along the wrong axis, which comes to the same: that is what "
    "feature i leaves along the others. Asked is what it receives: its own unit vector, times the others as long as "
    "they are, summed along the last axis."
)
def other_row_normalized(W):
    return off_diagonal((W @ unit(W).mT).square()).sum(dim=-1)


@interference.misconception(
    "No row is scaled. Row i must have length 1: the interference is what the others leave along its direction, "
    "whatever its own length."
)
def no_row_normalized(W):
    return off_diagonal((W @ W.mT).square()).sum(dim=-1)


def interference_from(W, scale, transpose=lambda W: W.mT):
    return off_diagonal((scale(W) @ transpose(W)).square()).sum(dim=-1)


for name, hint, wrong in not_the_rows(interference_from):
    interference.misconception(hint, name)(wrong)
for name, hint, wrong in one_model_alone(lambda W: interference_from(W, unit)):
    interference.misconception(hint, name)(wrong)


@interference.misconception(
    ROWS_SCALED_IN_PLACE + ". And the rows W_j must keep their lengths: what you sum are squared cosines."
)
def scaled_in_place(W):
    W /= W.norm(dim=-1, keepdim=True)
    return off_diagonal((W @ W.mT).square()).sum(dim=-1)


NOT_THE_OWN_TERM = (
    "What you take away is not the term of feature i itself. Its own dot product with its unit vector is its length, "
    "and that enters squared. Do not subtract anything: leave the term out, by setting the diagonal to 0 before you "
    "sum. A difference of large sums would be rounding error."
)
CANCELLATION = (
    "On paper this is right. In floating point a sum keeps about 16 digits. Where row i is long, its own term fills "
    "them and the others are lost; what the subtraction leaves is rounding error (cancellation), which may even be "
    "negative. Leave the own term out, do not take it away again: set the diagonal to 0 BEFORE you sum."
)


@interference.misconception(CANCELLATION)
def own_term_subtracted_from_the_total(W):
    return (unit(W) @ W.mT).square().sum(dim=-1) - squared_length(W)


@interference.misconception(CANCELLATION)
def length_subtracted_from_the_own_dot(W):
    return (unit(W) @ W.mT - torch.diag_embed(W.norm(dim=-1))).square().sum(dim=-1)


@interference.misconception(NOT_THE_OWN_TERM)
def length_subtracted(W):
    return (unit(W) @ W.mT).square().sum(dim=-1) - W.norm(dim=-1)


@interference.misconception(NOT_THE_OWN_TERM)
def one_subtracted(W):
    return (unit(W) @ W.mT).square().sum(dim=-1) - 1


@interference.misconception(NOT_THE_OWN_TERM)
def identity_subtracted_from_the_dots(W):
    return (unit(W) @ W.mT - torch.eye(W.shape[-2], dtype=W.dtype)).square().sum(dim=-1)


EACH_PAIR_ONCE = (
    "You count each pair of features once. But i disturbs j and j disturbs i, each by its own length: for every i the "
    "sum runs over all j but i, on both sides of the diagonal."
)


@interference.misconception(EACH_PAIR_ONCE)
def above_the_diagonal_alone(W):
    return torch.triu((unit(W) @ W.mT).square(), 1).sum(dim=-1)


@interference.misconception(EACH_PAIR_ONCE)
def below_the_diagonal_alone(W):
    return torch.tril((unit(W) @ W.mT).square(), -1).sum(dim=-1)


IDENTITY_OF_THE_DIMENSIONS = (
    "Your identity has as many rows as there are dimensions, m. The table of dot products compares features, and has "
    "the shape (n, n): torch.eye(W.shape[-2])."
)


@interference.misconception(IDENTITY_OF_THE_DIMENSIONS)
def identity_of_the_dimensions(W):
    return ((unit(W) @ W.mT).square() * (1 - torch.eye(W.shape[-1], dtype=W.dtype))).sum(dim=-1)


IDENTITY_OF_THE_INSTANCES = (
    "len(W), or W.shape[0], is the number of rows for one model alone. With instances in front it counts these, and "
    "your identity has the wrong size. The table of dot products has the shape (..., n, n): torch.eye(W.shape[-2])."
)
DIAGONAL_FROM_THE_FRONT = (
    "table[i, i] names the first two axes. With instances in front these are no longer the two axes of the table of "
    "dot products. Count from the back: table[..., i, i], with i from 0 to W.shape[-2] - 1."
)


@interference.misconception(IDENTITY_OF_THE_INSTANCES)
def identity_of_the_instances(W):
    return ((unit(W) @ W.mT).square() * (1 - torch.eye(W.shape[0], dtype=W.dtype))).sum(dim=-1)


@interference.misconception(DIAGONAL_FROM_THE_FRONT)
def diagonal_from_the_front(W):
    table, i = (unit(W) @ W.mT).square(), torch.arange(len(W))
    table[i, i] = 0.0
    return table.sum(dim=-1)


FILLED_DIAGONAL = (
    "fill_diagonal_ knows one table, not a batch of them. Multiply by 1 - torch.eye(n), or use masked_fill with "
    "torch.eye(n, dtype=torch.bool): both serve any number of axes in front."
)


@interference.misconception(FILLED_DIAGONAL)
def diagonal_of_one_table(W):
    return (unit(W) @ W.mT).fill_diagonal_(0.0).square().sum(dim=-1)


@interference.misconception("You average over the other features. Interference adds up: take the sum.")
def averaged_over_the_others(W):
    return off_diagonal((unit(W) @ W.mT).square()).sum(dim=-1) / (W.shape[-2] - 1)


@interference.misconception("You keep the largest disturbance alone. All others add up.")
def largest_alone(W):
    return off_diagonal((unit(W) @ W.mT).square()).amax(dim=-1)


@interference.misconception("You average over the features. Interference adds up: take the sum.")
def averaged_over_features(W):
    return off_diagonal((unit(W) @ W.mT).square()).mean(dim=-1)


@interference.misconception("You take the root. What is asked is the sum of the squares itself.")
def root_taken(W):
    return off_diagonal((unit(W) @ W.mT).square()).sum(dim=-1).sqrt()


@interference.misconception("You add up all features. Each feature has its own number.")
def summed_over_all(W):
    return off_diagonal((unit(W) @ W.mT).square()).sum(dim=(-2, -1))


@interference.misconception(
    "You treat columns as features. Here one feature is one row of W: (..., n, m) gives n numbers."
)
def columns_for_rows(W):
    return off_diagonal((unit(W.mT) @ W).square()).sum(dim=-1)


@interference.misconception(
    "You keep positive dot products alone. ReLU hides the negative ones for a feature that is off, but not for one "
    "that is on: there they make the readout too small. All count."
)
def positive_alone(W):
    return off_diagonal((unit(W) @ W.mT).clamp(min=0).square()).sum(dim=-1)


@interference.misconception(ZERO_ROW)
def nan_for_zero_row(W):
    return off_diagonal(((W / W.norm(dim=-1, keepdim=True)) @ W.mT).square()).sum(dim=-1)


@interference.misconception(SMALL_CONSTANT.replace("1e-12", "1e-9"))
def constant_added(W):
    return off_diagonal(((W / (W.norm(dim=-1, keepdim=True) + 1e-8)) @ W.mT).square()).sum(dim=-1)


for name, wrong in constants_in_the_length(lambda W, lengths: off_diagonal((W / lengths @ W.mT).square()).sum(dim=-1)):
    interference.misconception(SMALL_CONSTANT.replace("1e-12", "1e-9"), name)(wrong)


@interference.misconception(SMALL_CONSTANT.replace("1e-12", "1e-9"))
def length_raised(W):
    return off_diagonal(((W / W.norm(dim=-1, keepdim=True).clamp(min=1e-6)) @ W.mT).square()).sum(dim=-1)


@interference.always("Rotating all directions alike changes nothing.")
def rotated(call, rng):
    W = normal(rng, 2, 5, 3)
    return close(call(W=W @ rotation(rng, 3)), call(W=W))


@interference.always("Orthogonal features do not disturb one another.")
def orthogonal(call, rng):
    W = rotation(rng, 4)[:3] * tensor([[1], [2], [5]])
    return bool((call(W=W).abs() < 1e-9).all())


# 6. max_coherence


def tensor_of_coherences(candidate, W):
    largest = candidate(W)
    if isinstance(largest, bool | int | float):  # the comparison would take it for a tensor without axes
        raise ValueError(f"a tensor is asked, also where it has no axes, but a {type(largest).__name__} came back")
    return largest


@exercise("superposition.max_coherence", reference=superposition.max_coherence, points=6, run=tensor_of_coherences)
def max_coherence(rng):
    """Find the largest size of a cosine between two different directions."""
    yield worked(W=tensor([[2, 1], [-2, 1], [0, 3], [0.25, -0.25]]))
    yield worked(W=tensor([[[2, 0], [-3, 1], [1, 2]], [[1, 1], [1, -2], [0, 3]]]))
    yield from directions(rng)
    yield edge(W=tensor([[3, 4]]))
    yield edge(W=tensor([[1, 0, 0], [0, 2, 0], [0, 0, -1]]))
    yield edge(W=tensor([[1, 0, 0], [0, 0, 0], [0, 0, -1]]))
    yield edge(W=1e-12 * not_shorter_than_1(rng, 2, 5, 3))
    yield edge(W=1e60 * normal(rng, 4, 3))
    yield edge(W=torch.zeros(3, 2, dtype=torch.float64))
    yield edge(W=tensor([[1, 2], [-2, -4], [1, 1]]))
    yield edge(W=normal(rng, 3, 3, 2))  # as many models as rows


def coherence(table):
    """Return the largest entry off the diagonal."""
    return off_diagonal(table).amax(dim=(-2, -1))


@max_coherence.misconception(
    "The sign is still there: opposite directions have the cosine -1 and count as the best of all. They share one "
    "dimension. Take absolute values before the maximum."
)
def signed(W):
    return coherence(unit(W) @ unit(W).mT)


@max_coherence.misconception(
    "The sign is still there: opposite directions have the cosine -1 and count as the best of all. Take absolute "
    "values before the maximum."
)
def signed_with_the_diagonal_hidden(W):
    own = torch.eye(W.shape[-2], dtype=torch.bool)
    return (unit(W) @ unit(W).mT).masked_fill(own, -torch.inf).amax(dim=(-2, -1))


@max_coherence.misconception(
    "The diagonal is still there: every direction has the cosine 1 with itself, so the answer is always 1. Only pairs "
    "of different rows count."
)
def with_itself(W):
    return (unit(W) @ unit(W).mT).abs().amax(dim=(-2, -1))


@max_coherence.misconception(
    "The rows are not scaled to length 1, so these are dot products and not cosines: long rows win, whatever their "
    "direction."
)
def dot_products(W):
    return coherence((W @ W.mT).abs())


@max_coherence.misconception(
    "One of the two rows is not scaled. The cosine divides by both lengths, so that it lies between -1 and 1."
)
def one_row_scaled(W):
    return coherence((unit(W) @ W.mT).abs())


def coherence_from(W, scale, transpose=lambda W: W.mT):
    return coherence((scale(W) @ transpose(scale(W))).abs())


for name, hint, wrong in not_the_rows(coherence_from):
    max_coherence.misconception(hint, name)(wrong)
for name, hint, wrong in one_model_alone(lambda W: coherence_from(W, unit)):
    max_coherence.misconception(hint, name)(wrong)


@max_coherence.misconception("The number is right, but " + ROWS_SCALED_IN_PLACE + ".")
def all_rows_scaled_in_place(W):
    W /= W.norm(dim=-1, keepdim=True)
    return coherence((W @ W.mT).abs())


@max_coherence.misconception(IDENTITY_OF_THE_DIMENSIONS)
def identity_of_dimensions(W):
    return ((unit(W) @ unit(W).mT).abs() * (1 - torch.eye(W.shape[-1], dtype=W.dtype))).amax(dim=(-2, -1))


@max_coherence.misconception(IDENTITY_OF_THE_INSTANCES)
def identity_of_instances(W):
    return ((unit(W) @ unit(W).mT).abs() * (1 - torch.eye(W.shape[0], dtype=W.dtype))).amax(dim=(-2, -1))


@max_coherence.misconception(DIAGONAL_FROM_THE_FRONT)
def diagonal_of_the_first_axes(W):
    table, i = (unit(W) @ unit(W).mT).abs(), torch.arange(len(W))
    table[i, i] = 0.0
    return table.amax(dim=(-2, -1))


@max_coherence.misconception(FILLED_DIAGONAL)
def diagonal_of_one_model(W):
    return (unit(W) @ unit(W).mT).abs().fill_diagonal_(0.0).amax(dim=(-2, -1))


@max_coherence.misconception(
    "You compare each direction with the next one only. The worst pair may be any two: look at all pairs, in the table "
    "of cosines of shape (n, n)."
)
def neighbors_alone(W):
    return (unit(W)[..., 1:, :] * unit(W)[..., :-1, :]).sum(dim=-1).abs().amax(dim=-1)


@max_coherence.misconception(
    "You return the average over the pairs. Coherence is the worst pair: one pair that coincides is enough to make two "
    "features indistinguishable."
)
def average(W):
    n = W.shape[-2]
    return off_diagonal((unit(W) @ unit(W).mT).abs()).sum(dim=(-2, -1)) / max(n * (n - 1), 1)


@max_coherence.misconception(NOT_A_PYTHON_NUMBER)
def coherence_as_a_python_number(W):
    largest = coherence((unit(W) @ unit(W).mT).abs())
    return largest if largest.ndim else largest.item()


@max_coherence.misconception("You square the cosines. What is asked is their size.")
def squared(W):
    return coherence((unit(W) @ unit(W).mT).square())


@max_coherence.misconception(
    "You take the maximum over all instances as well. Each of them is a set of directions of its own: return one "
    "number for each, and leave the axes in front alone."
)
def over_all_instances(W):
    return coherence((unit(W) @ unit(W).mT).abs()).max()


@max_coherence.misconception("You return one number for each row. The maximum runs over all pairs.")
def row_by_row(W):
    return off_diagonal((unit(W) @ unit(W).mT).abs()).amax(dim=-1)


@max_coherence.misconception(
    "You compare columns. Here one direction is one row of W: the cosines form a table of shape (n, n)."
)
def between_columns(W):
    return coherence((unit(W.mT) @ unit(W.mT).mT).abs())


@max_coherence.misconception(
    "The length is taken along the wrong axis: you scale the columns of W. One direction is one row, so the length "
    "runs along the last axis."
)
def columns_scaled(W):
    rows = unit(W.mT).mT
    return coherence((rows @ rows.mT).abs())


@max_coherence.misconception(ZERO_ROW)
def nan_for_a_zero_row(W):
    rows = W / W.norm(dim=-1, keepdim=True)
    own = torch.eye(W.shape[-2], dtype=torch.bool)
    return (rows @ rows.mT).abs().masked_fill(own, 0.0).amax(dim=(-2, -1))


@max_coherence.misconception(
    "You subtract the identity to remove the diagonal. A row of zeros has a 0 there, not a 1, so its entry becomes -1 "
    "and its size wins. Set the diagonal to 0 instead."
)
def identity_subtracted(W):
    return (unit(W) @ unit(W).mT - torch.eye(W.shape[-2], dtype=W.dtype)).abs().amax(dim=(-2, -1))


@max_coherence.misconception(
    "A single row has no pair, and the answer is then 0: nothing is alike. You return the maximum of nothing."
)
def minus_infinity_for_one_row(W):
    own = torch.eye(W.shape[-2], dtype=torch.bool)
    return (unit(W) @ unit(W).mT).abs().masked_fill(own, -torch.inf).amax(dim=(-2, -1))


@max_coherence.misconception(SMALL_CONSTANT)
def constant_in_length(W):
    rows = W / (W.norm(dim=-1, keepdim=True) + 1e-8)
    return coherence((rows @ rows.mT).abs())


for name, wrong in constants_in_the_length(lambda W, lengths: coherence((W / lengths @ (W / lengths).mT).abs())):
    max_coherence.misconception(SMALL_CONSTANT, name)(wrong)


@max_coherence.misconception(SMALL_CONSTANT)
def short_rows_clamped(W):
    rows = torch.nn.functional.normalize(W, dim=-1, eps=1e-6)
    return coherence((rows @ rows.mT).abs())


@max_coherence.misconception(
    "You return the smallest size. Coherence is about the worst pair, the one that is most alike."
)
def smallest(W):
    own = torch.eye(W.shape[-2], dtype=torch.bool)
    least = (unit(W) @ unit(W).mT).abs().masked_fill(own, torch.inf).amin(dim=(-2, -1))
    return torch.where(least.isinf(), 0.0, least)


@max_coherence.always("Neither the lengths nor the signs of the directions matter.")
def lines_alone(call, rng):
    W = normal(rng, 2, 5, 3)
    factors = torch.where(normal(rng, 2, 5, 1) > 0, 2.0, -0.5)
    return close(call(W=factors * W), call(W=W))


@max_coherence.always("Another direction can only raise it.")
def more_rows(call, rng):
    W = normal(rng, 6, 3)
    return bool(call(W=W) >= call(W=W[:4]) - 1e-9)
