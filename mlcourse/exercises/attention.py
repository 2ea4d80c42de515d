"""Exercises on attention: scores, masks, softmax, heads, circuits and positions."""

from __future__ import annotations

from math import log, pi, sqrt

import torch

from mlcourse import attention
from mlcourse.exercises.libraries import FUSED_ATTENTION, MASKED_SOFTMAX
from mlcourse.exercises.protocol import edge, exercise, random, worked


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def zeros(*shape):
    return torch.zeros(*shape, dtype=torch.float64)


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9)


def masked(scores, mask):
    """Softmax over the keys that may be seen, nan where there are none."""
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -torch.inf), dim=-1)


# 1. attention_scores


@exercise("attention.attention_scores", reference=attention.attention_scores, points=6)
def attention_scores(rng):
    """Similarities of T queries with S keys, before any mask or softmax."""
    yield worked(q=tensor([[1, 0]]), k=tensor([[1, 0], [0, 1], [2, 2]]))
    yield worked(q=tensor([[[1, 0]], [[0, 1]]]), k=tensor([[[1, 0], [0, 1], [2, 2]], [[3, 1], [0, 2], [1, 1]]]))
    for T, S, d in [(3, 5, 4), (1, 7, 2), (6, 2, 9)]:
        yield random(q=normal(rng, 2, T, d), k=normal(rng, 2, S, d))
    yield random(q=normal(rng, 2, 3, 4, 5), k=normal(rng, 2, 3, 6, 5))
    yield edge(q=zeros(2, 3), k=zeros(4, 3))
    yield edge(q=tensor([[3]]), k=tensor([[-2]]))
    yield edge(q=1e150 * normal(rng, 2, 3), k=1e150 * normal(rng, 4, 3))


@attention_scores.misconception(
    "The scores are not scaled. The variance of a dot product grows with d_k, so softmax saturates and its gradient "
    "vanishes. Divide by the square root of the length of a key."
)
def unscaled(q, k):
    return q @ k.mT


@attention_scores.misconception(
    "You divide by d_k, not by its square root. The variance of a dot product is d_k, so its typical size is "
    "sqrt(d_k). Divided by d_k, all scores come close to 0 and attention becomes a plain average."
)
def scaled_by_dimension(q, k):
    return q @ k.mT / q.shape[-1]


@attention_scores.misconception(
    "You divide by the root of the number of keys. The scale belongs to the length of the vectors that are "
    "multiplied, d_k: a sum of d_k products has d_k times the variance of one."
)
def scaled_by_number_of_keys(q, k):
    return q @ k.mT / sqrt(k.shape[-2])


@attention_scores.misconception(
    "You divide by the root of the number of queries. The scale belongs to the length of the vectors that are "
    "multiplied, d_k, the size of the last axis."
)
def scaled_by_number_of_queries(q, k):
    return q @ k.mT / sqrt(q.shape[-2])


@attention_scores.misconception(
    "You cut the root off to a whole number: int(), // and isqrt drop what is behind the point. The root of 2 is 1.414 "
    "and not 1: divide by d_k ** 0.5 as it is."
)
def root_without_fraction(q, k):
    return q @ k.mT / int(sqrt(q.shape[-1]))


@attention_scores.misconception(
    "You divide by the lengths of the vectors: that is the cosine. The scale of attention is one constant for all "
    "pairs. It leaves the magnitude in: a query twice as long has scores twice as large."
)
def cosine(q, k):
    unit = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-300) for x in (q, k))
    return next(unit) @ next(unit).mT


@attention_scores.misconception(
    "Your table has keys in its rows and queries in its columns. Row i belongs to query i, because softmax will make "
    "each row a query's shares of attention: the shape is (T, S)."
)
def keys_in_rows(q, k):
    return k @ q.mT / sqrt(q.shape[-1])


@attention_scores.misconception(
    "You reverse all axes of k, as .T does, so a batch breaks. Swap the last two axes alone: k.mT, or "
    "k.transpose(-2, -1)."
)
def all_axes_reversed(q, k):
    return q @ k.permute(*reversed(range(k.ndim))) / sqrt(q.shape[-1])


@attention_scores.misconception(
    "You multiply by the root of d_k. A sum of d_k products is already too large by that factor: divide by it."
)
def scale_multiplied(q, k):
    return q @ k.mT * sqrt(q.shape[-1])


@attention_scores.misconception(
    "You return shares, not scores. Softmax is the next step, after the mask: what is asked here are the numbers that "
    "go into it."
)
def softmax_applied(q, k):
    return torch.softmax(q @ k.mT / sqrt(q.shape[-1]), dim=-1)


KEYS_NOT_TRANSPOSED = (
    "You multiply (T, d_k) by (S, d_k), which does not fit. A score is the product of a row of q with a row of k: swap "
    "the last two axes of k first."
)


@attention_scores.misconception(KEYS_NOT_TRANSPOSED)
def keys_not_transposed(q, k):
    return q @ k / sqrt(q.shape[-1])


FIRST_AXES_SWAPPED = (
    "You swap the first two axes of k. That is the transpose of a single matrix; in a batch, the batch and the keys "
    "change places. Count axes from the back: swap -2 and -1."
)


@attention_scores.misconception(FIRST_AXES_SWAPPED)
def first_axes_swapped(q, k):
    return q @ k.transpose(0, 1) / sqrt(q.shape[-1])


@attention_scores.misconception(
    "You reshape k where it must be transposed. A reshape keeps the numbers in the order of memory and cuts the rows "
    "at other places, so it mixes channels of different keys. Swap the last two axes."
)
def keys_reshaped(q, k):
    return q @ k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2]) / sqrt(q.shape[-1])


MATRICES_ALONE = (
    "torch.mm and .t() take single matrices, so a batch stops with an error. The operator @ and .mT work on the last "
    "two axes and carry all others along."
)


@attention_scores.misconception(MATRICES_ALONE)
def matrices_alone(q, k):
    return torch.mm(q, k.mT) / sqrt(q.shape[-1])


@attention_scores.misconception(MATRICES_ALONE)
def transpose_of_matrices_alone(q, k):
    return torch.mm(q, k.t()) / sqrt(q.shape[-1])


@attention_scores.misconception(
    "You read d_k from axis 1. That is right for a single matrix; in a batch, axis 1 counts the queries. Count axes "
    "from the back: d_k is the size of axis -1."
)
def length_from_axis_one(q, k):
    return q @ k.mT / sqrt(q.shape[1])


LENGTH_FROM_AXIS_TWO = (
    "You read d_k from axis 2. That is right with exactly one batch axis; a single matrix has no axis 2, and with more "
    "axes in front it is another size. Count axes from the back: d_k is the size of axis -1."
)


@attention_scores.misconception(LENGTH_FROM_AXIS_TWO)
def length_from_axis_two(q, k):
    return q @ k.mT / sqrt(q.shape[2])


@attention_scores.misconception(LENGTH_FROM_AXIS_TWO)
def length_of_keys_from_axis_two(q, k):
    return q @ k.mT / sqrt(k.shape[2])


@attention_scores.misconception(LENGTH_FROM_AXIS_TWO)
def length_from_size_two(q, k):
    return q @ k.mT / sqrt(q.size(2))


SCALED_IN_PLACE = (
    "The numbers are right, but you scale the caller's {}: `{} /= ...`, or a method with an underscore at its end, "
    "writes into the tensor itself. Build a new one, as `{} / ...` does, or divide the scores."
)


@attention_scores.misconception(SCALED_IN_PLACE.format("queries", "q", "q"))
def queries_scaled_in_place(q, k):
    q /= sqrt(q.shape[-1])
    return q @ k.mT


@attention_scores.misconception(SCALED_IN_PLACE.format("keys", "k", "k"))
def keys_scaled_in_place(q, k):
    k /= sqrt(q.shape[-1])
    return q @ k.mT


SINGLE_MATRICES_ALONE = (
    "Your code is written for a single matrix of queries and one of keys, and stops when batch axes stand in front. "
    "Name no axis that you do not need: d_k is q.shape[-1], and einsum takes any axes in front as `...td,...sd->...ts`."
)
ONE_BATCH_AXIS_ALONE = (
    "Your code is written for exactly one batch axis. There may be none, or several. Count axes from the back, which "
    "is the same with any number in front: d_k is q.shape[-1], and k.mT or k.transpose(-2, -1) swaps the last two."
)


@attention_scores.misconception(SINGLE_MATRICES_ALONE)
def two_axes_unpacked(q, k):
    _T, d_k = q.shape
    return q @ k.mT / sqrt(d_k)


@attention_scores.misconception(SINGLE_MATRICES_ALONE)
def two_axes_in_einsum(q, k):
    return torch.einsum("td,sd->ts", q, k) / sqrt(q.shape[-1])


@attention_scores.misconception(ONE_BATCH_AXIS_ALONE)
def three_axes_unpacked(q, k):
    _B, _T, d_k = q.shape
    return q @ k.mT / sqrt(d_k)


@attention_scores.misconception(ONE_BATCH_AXIS_ALONE)
def three_axes_in_einsum(q, k):
    return torch.einsum("btd,bsd->bts", q, k) / sqrt(q.shape[-1])


@attention_scores.misconception(ONE_BATCH_AXIS_ALONE)
def axes_one_and_two_swapped(q, k):
    return q @ k.transpose(1, 2) / sqrt(q.shape[-1])


@attention_scores.misconception(ONE_BATCH_AXIS_ALONE + " torch.bmm takes three axes, no more and no fewer: use @.")
def batches_of_matrices_alone(q, k):
    return torch.bmm(q, k.mT) / sqrt(q.shape[-1])


@attention_scores.misconception(ONE_BATCH_AXIS_ALONE + " And @ takes any number of axes, where torch.bmm wants three.")
def batches_with_axes_one_and_two_swapped(q, k):
    return torch.bmm(q, k.transpose(1, 2)) / sqrt(q.shape[-1])


@attention_scores.always("A query twice as long has scores twice as large.")
def linear_in_queries(call, rng):
    q, k = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4)
    return close(call(q=2 * q, k=k), 2 * call(q=q, k=k))


@attention_scores.always("Reordering the keys reorders the columns and nothing else.")
def columns_follow_keys(call, rng):
    q, k, order = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), torch.from_numpy(rng.permutation(5))
    return close(call(q=q, k=k[:, order]), call(q=q, k=k)[..., order])


# 2. causal_mask


@exercise(
    "attention.causal_mask",
    reference=attention.causal_mask,
    points=6,
    forbidden=(
        *("torch.nn.attention.bias.causal_lower_right", "torch.nn.attention.bias.CausalBias"),
        "torch.nn.Transformer.generate_square_subsequent_mask",
        "torch.nn.modules.transformer._generate_square_subsequent_mask",
    ),
)
def causal_mask(rng):
    """Which of S keys each of T queries may see, when the last query is aligned with the last key."""
    yield worked(T=3, S=5)
    yield worked(T=5, S=3)
    for shift in (0, 1, 3, -2):
        T = int(rng.integers(3, 6))
        yield random(T=T, S=T + shift)
    yield edge(T=1, S=1)
    yield edge(T=1, S=6)
    yield edge(T=6, S=1)


@causal_mask.misconception(
    "Your mask shows the future and hides the past. Key j lies in the past of query i when j is small: the True "
    "entries fill the lower left."
)
def future(T, S):
    return torch.ones(T, S, dtype=torch.bool).triu(diagonal=S - T)


@causal_mask.misconception(
    "Every query sees every key, the future included. That is right for reading a whole text, but not for predicting "
    "the next token. Query i stops at key j = i + S - T."
)
def everything(T, S):
    return torch.ones(T, S, dtype=torch.bool)


@causal_mask.misconception(
    "Each query sees one key of the future. With that, next-token training can copy the answer: the loss falls to "
    "zero and nothing is learned. The last visible key is j = i + S - T."
)
def one_step_ahead(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril(diagonal=S - T + 1)


@causal_mask.misconception(
    "A query does not see its own position. It may: j <= i + S - T, with equality. (The end of a slice is left out in "
    "Python, so a slice must end at i + S - T + 1.)"
)
def strict(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril(diagonal=S - T - 1)


@causal_mask.misconception(
    "You align the first query with the first key. With T < S the queries are the last T positions, as in generation "
    "with a cache: the last query must see every key. Shift the diagonal by S - T."
)
def no_offset(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril()


@causal_mask.misconception(
    "Your offset has the wrong sign. With more keys than queries the extra keys are an older past, so every query sees "
    "more, not less: the shift is S - T."
)
def offset_reversed(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril(diagonal=T - S)


@causal_mask.misconception(
    "Here True marks what is hidden. This course, like scaled_dot_product_attention in PyTorch, writes True for what "
    "may be seen. Beware: torch.nn.MultiheadAttention reads boolean masks the other way round."
)
def true_means_hidden(T, S):
    return ~torch.ones(T, S, dtype=torch.bool).tril(diagonal=S - T)


@causal_mask.misconception(
    "With T > S the end of your slice is negative, and Python counts it from the right. Use max(0, i + S - T + 1)."
)
def negative_slice(T, S):
    mask = torch.zeros(T, S, dtype=torch.bool)
    for i in range(T):
        mask[i, : i + S - T + 1] = True
    return mask


@causal_mask.misconception(
    "Your slice ends one key too early, so a query does not see its own position: Python leaves the end of a slice "
    "out. And with T > S the end may be negative, which counts from the right. The slice is : max(0, i + S - T + 1)."
)
def slice_one_short(T, S):
    mask = torch.zeros(T, S, dtype=torch.bool)
    for i in range(T):
        mask[i, : i + S - T] = True
    return mask


KEYS_IN_ROWS = (
    "Your mask has a row for each key and a column for each query. The scores have queries in rows and keys in "
    "columns, and so has the mask: shape (T, S), where row i is True up to j = i + S - T."
)
for turned, wrong_mask in {
    "as_a_whole": lambda T, S: torch.ones(T, S, dtype=torch.bool).tril(diagonal=S - T).mT,
    "": lambda T, S: torch.ones(S, T, dtype=torch.bool).tril(),
    "shifted": lambda T, S: torch.ones(S, T, dtype=torch.bool).tril(diagonal=S - T),
    "shifted_back": lambda T, S: torch.ones(S, T, dtype=torch.bool).tril(diagonal=T - S),
}.items():
    causal_mask.misconception(KEYS_IN_ROWS, name=f"keys_in_rows_{turned}".rstrip("_"))(wrong_mask)


SHIFT_MAY_BE_NEGATIVE = "With S < T the first T-S queries see nothing: the shift is negative then."


@causal_mask.misconception(SHIFT_MAY_BE_NEGATIVE)
def shift_clamped(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril(diagonal=max(S - T, 0))


@causal_mask.misconception(SHIFT_MAY_BE_NEGATIVE)
def shift_without_sign(T, S):
    return torch.ones(T, S, dtype=torch.bool).tril(diagonal=abs(S - T))


@causal_mask.misconception(
    "Your mask has T columns. It needs one for each of the S keys: shape (T, S), with the diagonal shifted by S - T."
)
def square(T, S):
    return torch.ones(T, T, dtype=torch.bool).tril()


def visible_as(dtype):
    return lambda T, S: torch.ones(T, S, dtype=dtype).tril(diagonal=S - T)


def additive_as(dtype):
    return lambda T, S: torch.full((T, S), -torch.inf, dtype=dtype).triu(diagonal=S - T + 1)


for dtype in (torch.float64, torch.float32):
    causal_mask.misconception(
        "You return an additive mask of 0 and minus infinity. It works inside softmax, but what is asked is a boolean "
        "tensor: True where a key may be seen.",
        name=f"additive_{dtype}".replace("torch.", ""),
    )(additive_as(dtype))
for dtype in (torch.float64, torch.float32, torch.int64, torch.int32):
    causal_mask.misconception(
        "You return numbers, 1 for visible and 0 for hidden. Return a boolean tensor: masked_fill and where refuse "
        "anything else, and ~ of an integer 1 is -2.",
        name=f"numbers_{dtype}".replace("torch.", ""),
    )(visible_as(dtype))


@causal_mask.always("The last query sees every key.")
def last_row(call, rng):
    return bool(call(T=3, S=5)[-1].all())


@causal_mask.always("Leaving out the first query does not change what the others see, as a cache needs.")
def suffix(call, rng):
    T, S = int(rng.integers(3, 6)), int(rng.integers(6, 9))
    return torch.equal(call(T=T - 1, S=S), call(T=T, S=S)[1:])


# 3. masked_softmax


def patchy_mask(rng, *shape):
    """No row sees everything, one row sees nothing, every key is seen by somebody: needs T >= 4 and S >= 3."""
    T, S = shape[-2:]
    shift = torch.from_numpy(rng.integers(0, 3, size=shape[:-2]))[..., None, None]
    mask = (torch.arange(T)[:, None] + torch.arange(S) + shift) % 3 != 0
    mask[..., int(rng.integers(T)), :] = False
    return mask


@exercise(
    "attention.masked_softmax",
    reference=attention.masked_softmax,
    points=6,
    forbidden=(*MASKED_SOFTMAX, *FUSED_ATTENTION),
)
def masked_softmax(rng):
    """Shares of attention among the keys that may be seen; zeros where there are none."""
    three, half = 1.0986122886681098, 0.5
    yield worked(
        scores=tensor([[0, three, 2, 1], [1, 2, 3, 4], [3, 3, half, half]]),
        mask=torch.tensor([[True, True, False, False], [False] * 4, [False, False, True, True]]),
    )
    yield worked(scores=tensor([[1000, 1000, 2000], [0, 0, 7]]), mask=torch.tensor([[True, True, False]] * 2))
    yield random(scores=normal(rng, 2, 4, 6), mask=patchy_mask(rng, 2, 4, 6))
    yield random(scores=normal(rng, 2, 5, 3), mask=patchy_mask(rng, 5, 3))
    yield random(scores=normal(rng, 2, 3, 4, 7), mask=patchy_mask(rng, 2, 1, 4, 7))
    yield edge(scores=tensor([[2.5], [2.5]]), mask=torch.tensor([[True], [False]]))
    yield edge(scores=tensor([[7, 7, 7, 7]]), mask=torch.ones(1, 4, dtype=torch.bool))
    yield edge(scores=tensor([[1e4, 0, 1e4], [-1e4, -1e4, 0]]), mask=torch.ones(2, 3, dtype=torch.bool))
    yield edge(scores=tensor([[0, 1e4, 0]]), mask=torch.tensor([[True, False, True]]))
    yield edge(scores=tensor([[-1e4, 3, -1e4], [-200, 3, -201]]), mask=torch.tensor([[True, False, True]] * 2))
    neighbors = tensor([[10_000, 9_999, -10_000], [-9_999, -10_000, 10_000]])
    yield edge(scores=neighbors, mask=torch.tensor([[True, True, True], [True, True, False]]))


@masked_softmax.misconception(
    "You mask after softmax. The hidden keys have already taken their share, so the rows no longer sum to 1. Make "
    "hidden scores minus infinity before softmax."
)
def masks_after(scores, mask):
    return torch.softmax(scores, dim=-1) * mask


def softmax_along(dim, fill, blind):
    def weights(scores, mask):
        return torch.softmax(scores.masked_fill(~mask, fill), dim=dim).nan_to_num(blind)

    return weights


for dim, axis, hint in (
    (-2, "query", "Softmax runs over the queries, down the columns. "),
    (0, "first", "Softmax runs over the first axis: the queries, or the batch if there is one. "),
    (1, "second", "Softmax runs over axis 1: right for a single matrix, wrong as soon as a batch stands in front. "),
):
    for ending, fill, blind in (("", -torch.inf, torch.nan), ("_zeros", -torch.inf, 0.0), ("_even", -1e9, torch.nan)):
        masked_softmax.misconception(
            hint + "Each query shares its attention among the keys, which lie along the last axis: dim=-1.",
            name=f"{axis}_axis{ending}",
        )(softmax_along(dim, fill, blind))


@masked_softmax.misconception(
    "A row in which nothing may be seen becomes nan, since softmax divides 0 by 0 there; one nan then spreads through "
    "the whole network. Such a row must be all zeros."
)
def nan_for_blind_rows(scores, mask):
    return masked(scores, mask)


@masked_softmax.misconception(
    "A row in which nothing may be seen gets equal shares (a large negative number in place of minus infinity does "
    "this, too): it must get zeros."
)
def even_for_blind_rows(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, -1e9), dim=-1)


@masked_softmax.misconception(
    "You set hidden scores to 0. That is a score like any other: exp(0) = 1, so a hidden key still gets a share. "
    "Only minus infinity becomes exactly 0."
)
def zeroes_scores(scores, mask):
    return torch.softmax(scores * mask, dim=-1)


@masked_softmax.misconception(
    "You set hidden scores to 0 before softmax. That is a score like any other: exp(0) = 1, so hidden keys take their "
    "share of the sum. The product with the mask afterwards removes it and gives it to nobody: rows do not sum to 1. "
    "Make hidden scores minus infinity."
)
def zeroes_scores_then_hides(scores, mask):
    return torch.softmax(scores * mask, dim=-1) * mask


BOOLEAN_ADDED = (
    "You add a boolean mask to the scores: True counts as 1 and False as 0, so nothing is hidden. Use masked_fill or "
    "torch.where, with minus infinity where the mask is False."
)


@masked_softmax.misconception(BOOLEAN_ADDED)
def boolean_added(scores, mask):
    return torch.softmax(scores + mask, dim=-1)


@masked_softmax.misconception(BOOLEAN_ADDED + " (The product with the mask afterwards comes too late for the sum.)")
def boolean_added_then_hides(scores, mask):
    return torch.softmax(scores + mask, dim=-1) * mask


@masked_softmax.misconception(
    "A sum or a maximum along the last axis loses that axis and is then lined up with the wrong one. Keep it with "
    "length 1, in both: sum(dim=-1, keepdim=True), and max(dim=-1, keepdim=True).values or amax(dim=-1, keepdim=True)."
)
def axis_of_the_sum_lost(scores, mask):
    scores = scores.masked_fill(~mask, -torch.inf)
    e = torch.exp(scores - scores.amax(dim=-1, keepdim=True)).nan_to_num(0.0)
    return e / e.sum(dim=-1)


@masked_softmax.misconception(
    "You read the mask the wrong way round: True means that a key may be seen. torch.nn.MultiheadAttention uses the "
    "opposite convention, this course and scaled_dot_product_attention do not."
)
def true_means_hidden_here(scores, mask):
    return masked(scores, ~mask).nan_to_num(0.0)


@masked_softmax.misconception(
    "The mask has no effect: hidden keys get their full share. Make their scores minus infinity before softmax."
)
def mask_unused(scores, mask):
    return torch.softmax(scores, dim=-1)


@masked_softmax.misconception(
    "You add a large negative number to hidden scores. Where all keys are hidden this shifts the whole row, which "
    "softmax does not see: the query attends to forbidden keys as if there were no mask. Such a row must get zeros."
)
def shifts_blind_rows(scores, mask):
    return torch.softmax(scores + (mask.double() - 1) * 1e9, dim=-1)


SCORE_THAT_MAY_OCCUR = "-1e4 is a score that may occur: use minus infinity"


@masked_softmax.misconception(
    SCORE_THAT_MAY_OCCUR + ". Where the visible scores are as low as that, the hidden keys take a part of the sum."
)
def fills_with_a_score(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1) * mask


for digits in (2, 3):
    masked_softmax.misconception(
        f"You put a finite number such as -{10**digits} in the place of hidden scores. Visible scores may be as low "
        "or lower, down to -1e4: the hidden keys then take a part of the sum, or all of it. Use minus infinity.",
        name=f"fills_with_minus_1e{digits}",
    )(lambda scores, mask, fill=-(10.0**digits): torch.softmax(scores.masked_fill(~mask, fill), dim=-1) * mask)


@masked_softmax.misconception(
    SCORE_THAT_MAY_OCCUR + ". Added to a hidden score of 1e4 it gives 0, a score like any other."
)
def adds_a_score(scores, mask):
    return torch.softmax(scores + ~mask * -1e4, dim=-1) * mask


@masked_softmax.misconception(
    "You write into the scores of the caller, who may need them again. A name with an underscore at its end, such as "
    "masked_fill_, changes its tensor, and so do `scores += ...` and `scores[...] = ...`. masked_fill and torch.where "
    "give a new one."
)
def fills_in_place(scores, mask):
    return torch.softmax(scores.masked_fill_(~mask, -torch.inf), dim=-1).nan_to_num(0.0)


CHANGES_THE_SCORES = (
    "There are two mistakes. You write into the scores of the caller: a name with an underscore at its end, such as "
    "masked_fill_, changes its tensor, and masked_fill gives a new one. "
)
NAN_IF_BLIND = "And a row in which nothing may be seen becomes nan: it must get zeros."
EVEN_IF_BLIND = (
    "And a row in which nothing may be seen gets equal shares, because a finite number stands in place of minus "
    "infinity: it must get zeros."
)


@masked_softmax.misconception(CHANGES_THE_SCORES + NAN_IF_BLIND)
def fills_in_place_and_divides_by_zero(scores, mask):
    return torch.softmax(scores.masked_fill_(~mask, -torch.inf), dim=-1)


@masked_softmax.misconception(CHANGES_THE_SCORES + EVEN_IF_BLIND)
def fills_in_place_evenly(scores, mask):
    return torch.softmax(scores.masked_fill_(~mask, -1e9), dim=-1)


@masked_softmax.misconception(
    CHANGES_THE_SCORES + "And " + SCORE_THAT_MAY_OCCUR + ". A row in which nothing may be seen gets equal shares with "
    "it, where it must get zeros."
)
def fills_in_place_with_a_score(scores, mask):
    return torch.softmax(scores.masked_fill_(~mask, -1e4), dim=-1)


@masked_softmax.misconception(
    CHANGES_THE_SCORES + "And " + SCORE_THAT_MAY_OCCUR + ": where the visible scores are as low as that, the hidden "
    "keys take a part of the sum."
)
def fills_in_place_with_a_score_then_hides(scores, mask):
    return torch.softmax(scores.masked_fill_(~mask, -1e4), dim=-1) * mask


BOOLEAN_INDEX = (
    "scores[~mask] needs a mask of exactly the shape of scores, and stops when the mask has fewer axes, or an axis of "
    "size 1. masked_fill and torch.where broadcast the mask for you"
)


@masked_softmax.misconception(BOOLEAN_INDEX + ".")
def boolean_index(scores, mask):
    scores = scores.clone()
    scores[~mask] = -torch.inf
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


@masked_softmax.misconception(BOOLEAN_INDEX + ", and leave the scores of the caller as they are.")
def boolean_index_in_place(scores, mask):
    scores[~mask] = -torch.inf
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


for ending, fill, blind_rows in (("_and_divides_by_zero", -torch.inf, NAN_IF_BLIND), ("_evenly", -1e9, EVEN_IF_BLIND)):

    @masked_softmax.misconception(f"{BOOLEAN_INDEX}. {blind_rows}", name="boolean_index" + ending)
    def boolean_index_without_care(scores, mask, fill=fill):
        scores = scores.clone()
        scores[~mask] = fill
        return torch.softmax(scores, dim=-1)

    @masked_softmax.misconception(
        f"{BOOLEAN_INDEX}, and leave the scores of the caller as they are. {blind_rows}",
        name="boolean_index_in_place" + ending,
    )
    def boolean_index_in_place_without_care(scores, mask, fill=fill):
        scores[~mask] = fill
        return torch.softmax(scores, dim=-1)


def divide(e, guarded):
    total = e.sum(dim=-1, keepdim=True)
    return e / torch.where(total > 0, total, 1.0) if guarded else e / total


def exponentials(hide, guarded):
    return lambda scores, mask: divide(hide(torch.exp(scores), mask), guarded)


def shares_of_visible(guarded):
    return lambda scores, mask: divide(torch.softmax(scores, dim=-1) * mask, guarded)


OVERFLOWS = (
    "Your exponential overflows: exp(1000) is infinite in float64, and infinity divided by infinity is nan. Subtract "
    "the largest visible score of each row first, or let torch.softmax do so."
)
HIDDEN_SCORES_COUNT = (
    "Hidden scores still count: the largest score that you (or softmax) subtract is taken over all keys, so visible "
    "shares underflow to 0. Hide keys before taking the maximum."
)
BLIND_ROWS_TOO = " A row in which nothing may be seen divides 0 by 0 besides: it must get zeros."

for guarded, ending, more in ((True, "", ""), (False, "_and_divides_by_zero", BLIND_ROWS_TOO)):
    masked_softmax.misconception(HIDDEN_SCORES_COUNT + more, name="rescales_after" + ending)(shares_of_visible(guarded))
    masked_softmax.misconception(OVERFLOWS + more, name="overflows" + ending)(exponentials(torch.mul, guarded))
    masked_softmax.misconception(OVERFLOWS + more, name="overflows_where_seen" + ending)(
        exponentials(lambda e, mask: e.masked_fill(~mask, 0.0), guarded)
    )


ONE_MAXIMUM = (
    "You subtract one maximum, that of the whole tensor, from all rows. In a row whose scores lie far below it every "
    "exponential underflows to 0, and nothing is left to share. Each row needs its own maximum over the keys that it "
    "may see: max(dim=-1, keepdim=True)."
)


def one_maximum(guarded):
    def weights(scores, mask):
        scores = scores.masked_fill(~mask, -torch.inf)
        return divide(torch.exp(scores - scores.max()), guarded)

    return weights


def one_maximum_of_all(guarded):
    return lambda scores, mask: divide(torch.exp(scores - scores.max()) * mask, guarded)


for guarded, ending, more in ((True, "", ""), (False, "_and_divides_by_zero", BLIND_ROWS_TOO)):
    masked_softmax.misconception(ONE_MAXIMUM + more, name="one_maximum" + ending)(one_maximum(guarded))
    masked_softmax.misconception(
        ONE_MAXIMUM + " Hide keys before you take it: a hidden score may be the largest." + more,
        name="one_maximum_of_all_scores" + ending,
    )(one_maximum_of_all(guarded))


@masked_softmax.misconception(
    "You subtract the mean of the scores. The largest score may still lie far above it, and its exponential overflows. "
    "Subtract the largest visible score: then no exponent is above 0."
)
def subtracts_the_mean(scores, mask):
    return divide(torch.exp(scores - scores.mean(dim=-1, keepdim=True)) * mask, True)


WHOLE_TENSOR = (
    "Your shares sum to 1 over the whole tensor. Each query shares its attention by itself, so each row sums to 1: "
    "sum over the last axis alone, dim=-1, and keep it with keepdim=True."
)


@masked_softmax.misconception(WHOLE_TENSOR)
def normalized_over_the_whole_tensor(scores, mask):
    hidden = scores.masked_fill(~mask, -torch.inf)
    e = torch.exp(hidden - hidden.max())
    return e / e.sum()


@masked_softmax.misconception(WHOLE_TENSOR)
def divided_by_the_sum_of_all_rows(scores, mask):
    hidden = scores.masked_fill(~mask, -torch.inf)
    e = torch.exp(hidden - hidden.amax(dim=-1, keepdim=True)).nan_to_num(0.0)
    return e / e.sum()


LOGARITHMS = (
    "You return logarithms of shares: log_softmax is for losses. What is asked are the shares themselves, between 0 "
    "and 1, and 0 for a hidden key."
)


@masked_softmax.misconception(LOGARITHMS)
def logarithms_of_shares(scores, mask):
    return torch.log_softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)


@masked_softmax.misconception(LOGARITHMS)
def logarithms_of_shares_with_zeros(scores, mask):
    return torch.log_softmax(scores.masked_fill(~mask, -torch.inf), dim=-1).nan_to_num(0.0)


@masked_softmax.misconception(
    "You clamp the scores to a range. Two scores beyond it become equal, and so do their shares: 10000 and 9999 must "
    "share as 1 and 0 do. Subtract the largest visible score of each row, which keeps the differences."
)
def clamps_the_scores(scores, mask):
    return masked(scores.clamp(-50, 50), mask).nan_to_num(0.0)


@masked_softmax.always("Every row sums to 1, or to 0 where nothing may be seen.")
def rows_sum(call, rng):
    mask = patchy_mask(rng, 5, 4)
    return close(call(scores=normal(rng, 5, 4), mask=mask).sum(-1), mask.any(-1).double())


@masked_softmax.always("Hidden scores have no influence.")
def hidden_scores(call, rng):
    scores, mask = normal(rng, 2, 5, 4), patchy_mask(rng, 5, 4)
    other = torch.where(mask, scores, normal(rng, 2, 5, 4))
    return close(call(scores=scores, mask=mask), call(scores=other, mask=mask))


@masked_softmax.always("Adding a constant to a row of scores changes nothing.")
def shift_invariant(call, rng):
    scores, mask = normal(rng, 5, 4), patchy_mask(rng, 5, 4)
    return close(call(scores=scores, mask=mask), call(scores=scores + 5, mask=mask))


# 4. scaled_dot_product_attention


def seeing_mask(rng, T, S):
    """Draw a mask in which every query sees something, not everything, and every key is seen by some query."""
    mask = torch.from_numpy(rng.random((T, S)) < 0.6)
    rows, columns = torch.arange(T), torch.arange(S)
    mask[rows, rows % S] = True
    mask[columns % T, columns] = True
    mask[rows, (rows + 1) % S] = False
    return mask


@exercise(
    "attention.scaled_dot_product_attention",
    reference=attention.scaled_dot_product_attention,
    points=6,
    forbidden=(*FUSED_ATTENTION, "torch.masked"),
)
def scaled_dot_product_attention(rng):
    """For each query the average of the values, weighted by attention."""
    q, k = tensor([[1, 0, 0, 0], [0, 2, 0, 0]]), tensor([[2, 0, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0]])
    yield worked(
        q=q, k=k, v=tensor([[1, 0], [0, 1], [4, 4]]), mask=torch.tensor([[True, True, False], [False, True, True]])
    )
    for T, S, d_k, d_v in [(3, 5, 4, 6), (4, 2, 3, 5)]:
        yield random(q=normal(rng, 2, T, d_k), k=normal(rng, 2, S, d_k), v=normal(rng, 2, S, d_v), mask=None)
        q, k, v = normal(rng, 2, T, d_k), normal(rng, 2, S, d_k), normal(rng, 2, S, d_v)
        yield random(q=q, k=k, v=v, mask=seeing_mask(rng, T, S))
    yield random(q=normal(rng, 2, 3, 2), k=normal(rng, 2, 3, 2), v=normal(rng, 2, 3, 5), mask=None)
    yield edge(q=zeros(2, 3), k=normal(rng, 4, 3), v=normal(rng, 4, 5), mask=None)
    yield edge(q=normal(rng, 3, 2), k=normal(rng, 1, 2), v=normal(rng, 1, 4), mask=None)
    q, k = tensor([[30, 0, 0, 0], [0, 40, 0, 0]]), tensor([[300, 0, 0, 0], [200, 100, 0, 0], [0, 300, 0, 0]])
    best_hidden = torch.tensor([[False, True, True], [True, True, False]])
    yield edge(q=q, k=k, v=normal(rng, 3, 5), mask=None)
    yield edge(q=q, k=k, v=normal(rng, 3, 5), mask=best_hidden)
    blind = torch.tensor([[False] * 4, [True] * 4])
    yield edge(q=normal(rng, 2, 3), k=normal(rng, 4, 3), v=normal(rng, 4, 5), mask=blind)
    yield edge(q=VERY_LOW, k=tensor([[1], [1], [-1]]), v=normal(rng, 3, 2), mask=FIRST_KEY_ALONE)


# With keys 1, 1, -1 the visible score of each query is as low as a finite number in the place of minus infinity, or
# lower, and one hidden score is as high: up to the 1e4 that the question promises.
VERY_LOW = tensor([[-200], [-3e3], [-1e4]])
FIRST_KEY_ALONE = torch.tensor([[True, False, False]] * 3)


def attend(scores, v, mask):
    return masked(scores, mask).nan_to_num(0.0) @ v


@scaled_dot_product_attention.misconception(
    "The scores are not scaled: divide them by sqrt(d_k) before softmax, or it saturates as vectors grow longer."
)
def scale_missing(q, k, v, mask=None):
    return attend(q @ k.mT, v, mask)


@scaled_dot_product_attention.misconception(
    "You multiply the scores by sqrt(d_k). A sum of d_k products is already too large by that factor: divide by it."
)
def scale_multiplied_in(q, k, v, mask=None):
    return attend(q @ k.mT * sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "You divide by the root of the number of queries. The scale belongs to the length of the vectors that are "
    "multiplied, d_k, the size of the last axis."
)
def scale_from_number_of_queries(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(q.shape[-2]), v, mask)


@scaled_dot_product_attention.misconception(
    "You divide the scores by d_k. The standard deviation of a dot product is sqrt(d_k): divide by that, or attention "
    "becomes a plain average."
)
def scale_too_strong(q, k, v, mask=None):
    return attend(q @ k.mT / q.shape[-1], v, mask)


@scaled_dot_product_attention.misconception(
    "You divide by the root of the values' width, d_v. The values take no part in the scores: the scale is the root "
    "of d_k, the length of queries and keys."
)
def scale_from_values(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(v.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "You divide after softmax. That makes the shares sum to less than 1 and leaves softmax saturated. The scale "
    "belongs to the scores, inside softmax."
)
def scale_after_softmax(q, k, v, mask=None):
    return attend(q @ k.mT, v, mask) / sqrt(q.shape[-1])


@scaled_dot_product_attention.misconception(
    "Queries and keys have changed places: your table is (S, T), with a row for each key. Each query asks all keys, so "
    "the scores are q times k transposed, (T, S), and each row meets the S values."
)
def queries_and_keys_swapped(q, k, v, mask=None):
    return attend(k @ q.mT / sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "Queries and keys have changed places, and the mask was turned to fit. Your table has a row for each of the S "
    "keys, which does not meet the S values. Each query asks all keys: the scores are q times k transposed, (T, S)."
)
def swapped_with_the_mask(q, k, v, mask=None):
    return attend(k @ q.mT / sqrt(q.shape[-1]), v, None if mask is None else mask.mT)


@scaled_dot_product_attention.misconception(
    "You average the queries. The weights say from which positions to read; what is read there are the values v."
)
def values_from_queries(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(q.shape[-1]), q, mask)


@scaled_dot_product_attention.misconception(
    "You average the keys. A key is only there to be found; what is handed over is the value v of the same position."
)
def values_from_keys(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(q.shape[-1]), k, mask)


@scaled_dot_product_attention.misconception(
    "You divide by the root of the number of keys. The scale belongs to the length of the vectors that are multiplied: "
    "the root of d_k."
)
def scale_from_number_of_keys(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(k.shape[-2]), v, mask)


@scaled_dot_product_attention.misconception(
    "You transpose the weights before they meet the values. They have a row for each query and a column for each key, "
    "(T, S), and so they fit the values, (S, d_v), as they stand."
)
def weights_transposed(q, k, v, mask=None):
    return masked(q @ k.mT / sqrt(q.shape[-1]), mask).nan_to_num(0.0).mT @ v


@scaled_dot_product_attention.misconception(KEYS_NOT_TRANSPOSED)
def keys_as_they_stand(q, k, v, mask=None):
    return attend(q @ k / sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(FIRST_AXES_SWAPPED)
def first_axes_of_keys_swapped(q, k, v, mask=None):
    return attend(q @ k.transpose(0, 1) / sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "You reverse all axes of k, as .T does, so a batch breaks. Swap the last two axes alone."
)
def all_axes_of_keys_reversed(q, k, v, mask=None):
    return attend(q @ k.permute(*reversed(range(k.ndim))) / sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "Your code is written for a single matrix of queries, and stops when batch axes stand in front. Name no axis that "
    "you do not need: d_k is q.shape[-1]."
)
def queries_unpacked_into_two_axes(q, k, v, mask=None):
    _T, d_k = q.shape
    return attend(q @ k.mT / sqrt(d_k), v, mask)


@scaled_dot_product_attention.misconception(
    "Your code is written for exactly one batch axis, and stops when there is none. Name no axis that you do not need: "
    "d_k is q.shape[-1]."
)
def queries_unpacked_into_three_axes(q, k, v, mask=None):
    _B, _T, d_k = q.shape
    return attend(q @ k.mT / sqrt(d_k), v, mask)


@scaled_dot_product_attention.misconception(
    "You read d_k from axis 1. That is right for a single matrix; in a batch, axis 1 counts the queries. Count axes "
    "from the back: d_k is the size of axis -1."
)
def length_of_queries_from_axis_one(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(q.shape[1]), v, mask)


@scaled_dot_product_attention.misconception(LENGTH_FROM_AXIS_TWO)
def length_of_queries_from_axis_two(q, k, v, mask=None):
    return attend(q @ k.mT / sqrt(q.shape[2]), v, mask)


@scaled_dot_product_attention.misconception(SCALED_IN_PLACE.format("queries", "q", "q"))
def scaled_queries_in_place(q, k, v, mask=None):
    q /= sqrt(q.shape[-1])
    return attend(q @ k.mT, v, mask)


@scaled_dot_product_attention.misconception(SCALED_IN_PLACE.format("keys", "k", "k"))
def scaled_keys_in_place(q, k, v, mask=None):
    k /= sqrt(q.shape[-1])
    return attend(q @ k.mT, v, mask)


@scaled_dot_product_attention.misconception(
    "You name axis 2, counted from the front, as k.transpose(1, 2) and q.size(2) do. That needs exactly one batch "
    "axis, and there may be none, or several. Count from the back: k.mT or k.transpose(-2, -1), and q.size(-1)."
)
def axes_one_and_two_of_keys_swapped(q, k, v, mask=None):
    return attend(q @ k.transpose(1, 2) / sqrt(q.shape[-1]), v, mask)


@scaled_dot_product_attention.misconception(
    "You return the weights. They say where each query reads; the result is what it reads there: weights times values, "
    "of shape (T, d_v)."
)
def returns_the_weights(q, k, v, mask=None):
    return masked(q @ k.mT / sqrt(q.shape[-1]), mask).nan_to_num(0.0)


@scaled_dot_product_attention.misconception(
    "You return two things, the result and the weights. Asked is the result alone: one tensor of shape (..., T, d_v)."
)
def returns_the_weights_too(q, k, v, mask=None):
    weights = masked(q @ k.mT / sqrt(q.shape[-1]), mask).nan_to_num(0.0)
    return weights @ v, weights


def softmax_over(dim):
    return lambda scores, mask: torch.softmax(
        scores if mask is None else scores.masked_fill(~mask, -torch.inf), dim=dim
    )


def mask_kept_out(scores, mask):
    return torch.softmax(scores, dim=-1)


def mask_read_backwards(scores, mask):
    return masked(scores, None if mask is None else ~mask).nan_to_num(0.0)


def mask_on_weights(scores, mask):
    weights = torch.softmax(scores, dim=-1)
    return weights if mask is None else weights * mask


def mask_on_weights_rescaled(guarded):
    return lambda scores, mask: divide(mask_on_weights(scores, mask), guarded)


def exponentials_without_maximum(scores, mask):
    e = torch.exp(scores)
    return divide(e if mask is None else e * mask, True)


def mask_times_scores(scores, mask):
    return torch.softmax(scores if mask is None else scores * mask, dim=-1)


def mask_plus_scores(scores, mask):
    return torch.softmax(scores if mask is None else scores + mask, dim=-1)


def even_if_blind(scores, mask):
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -1e9), dim=-1)


def shifted_if_blind(scores, mask):
    return torch.softmax(scores if mask is None else scores + (mask.double() - 1) * 1e9, dim=-1)


def mask_as_index(scores, mask):
    if mask is not None:
        scores[~mask] = -torch.inf
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


def mask_as_condition(scores, mask):
    if mask:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=-1).nan_to_num(0.0)


def fill_then_hide(fill):
    def weigh(scores, mask):
        return torch.softmax(scores, -1) if mask is None else torch.softmax(scores.masked_fill(~mask, fill), -1) * mask

    return weigh


def fill_and_leave(scores, mask):
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, -1e4), dim=-1) * mask.any(dim=-1, keepdim=True)


def add_then_hide(scores, mask):
    return torch.softmax(scores, -1) if mask is None else torch.softmax(scores + ~mask * -1e4, -1) * mask


def scores_for_weights(scores, mask):
    return scores


def scores_times_mask_for_weights(scores, mask):
    return scores if mask is None else scores * mask


def hidden_scores_for_weights(scores, mask):
    return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


def causal(aligned, always):
    """Return a way to weigh in which no query sees the future: always, or where no mask is passed."""

    def weigh(scores, mask):
        T, S = scores.shape[-2:]
        past = torch.ones(T, S, dtype=torch.bool).tril(diagonal=S - T if aligned else 0)
        return masked(scores, past if always or mask is None else mask).nan_to_num(0.0)

    return weigh


def no_mask_inverted(scores, mask):
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1).nan_to_num(0.0)


def no_mask_asked(scores, mask):
    return torch.softmax(scores.masked_fill(mask.logical_not(), -torch.inf), dim=-1).nan_to_num(0.0)


NO_MASK = (
    "With mask=None your function stops with an error. None means that every key may be seen: ask `if mask is not "
    "None` before you use the mask."
)

FINITE_NUMBER = (
    "You hide a key with a finite number, put in the place of its score or added to it. Visible scores may be as low "
    "as -1e4, and hidden ones as high as 1e4, so that what comes out may lie above a visible score. Use minus "
    "infinity. Otherwise hidden keys take a part of the sum, or all of it, "
)

SOFTMAX_MISSING = (
    "Softmax is missing: you weigh the values with raw scores, which may be negative and do not sum to 1. Softmax "
    "makes shares of them."
)
ONLY_WHAT_IS_PASSED = (
    "Who may see what is for the caller to say: the mask, as it is passed, decides, and None means that every key may "
    "be seen. A causal mask is one mask among others."
)

# Ways to turn scores and a mask into wrong weights, which one head and many heads share: name -> (hint, weights).
WRONG_WEIGHTS = {
    "softmax_over_queries": (
        "Softmax runs over the queries. Each query shares its attention among the keys: the last axis of the scores.",
        softmax_over(-2),
    ),
    "softmax_over_axis_one": (
        "Softmax runs over axis 1. Counted from the front, that axis means something else as soon as there are batch "
        "or head axes. The keys lie along the last axis: dim=-1.",
        softmax_over(1),
    ),
    "softmax_over_axis_one_zeros": (
        "Softmax runs over axis 1, and nan_to_num hides what that leaves undefined. The keys lie along the last axis, "
        "whatever stands in front: dim=-1.",
        lambda scores, mask: softmax_over(1)(scores, mask).nan_to_num(0.0),
    ),
    "softmax_over_the_first_axis": (
        "Softmax runs over axis 0: the queries of a single matrix, or the batch where there is one. Each query shares "
        "its attention among the keys, which lie along the last axis: dim=-1.",
        softmax_over(0),
    ),
    "softmax_over_the_first_axis_zeros": (
        "Softmax runs over axis 0, and nan_to_num hides what that leaves undefined. The keys lie along the last axis, "
        "whatever stands in front: dim=-1.",
        lambda scores, mask: softmax_over(0)(scores, mask).nan_to_num(0.0),
    ),
    "mask_ignored": (
        "The mask does not reach softmax. Where it is False, the score must not count, or the hidden key keeps its "
        "share. Taking its value away does not give that share to the others.",
        mask_kept_out,
    ),
    "mask_reversed": (
        "You read the mask the wrong way round: True means that a key may be seen.",
        mask_read_backwards,
    ),
    "weights_masked": (
        "You mask the weights after softmax, so hidden keys keep their part of the sum and the rest adds up to less "
        "than 1. Mask the scores before softmax.",
        mask_on_weights,
    ),
    "rescales_after": (HIDDEN_SCORES_COUNT, mask_on_weights_rescaled(True)),
    "rescales_after_and_divides_by_zero": (HIDDEN_SCORES_COUNT + BLIND_ROWS_TOO, mask_on_weights_rescaled(False)),
    "exponential_overflows": (OVERFLOWS, exponentials_without_maximum),
    "scores_zeroed": (
        "You set hidden scores to 0. That is a score like any other: exp(0) = 1, so a hidden key still gets a share. "
        "Only minus infinity becomes exactly 0.",
        mask_times_scores,
    ),
    "boolean_mask_added": (
        "You add a boolean mask to the scores: True counts as 1 and False as 0, so nothing is hidden. An additive mask "
        "holds 0 and minus infinity; with a boolean one, use masked_fill or torch.where.",
        mask_plus_scores,
    ),
    "even_for_blind_queries": (
        "A query that may see nothing gets the mean of the forbidden values: a large negative number in place of minus "
        "infinity makes all scores of its row equal. It must return zeros.",
        even_if_blind,
    ),
    "shifted_for_blind_queries": (
        "A query that may see nothing attends as if there were no mask: adding one large negative number to its whole "
        "row is a shift, which softmax does not see. It must return zeros.",
        shifted_if_blind,
    ),
    "boolean_index": (
        "scores[~mask] needs a mask of the shape of scores, and stops as soon as scores have axes in front. "
        "masked_fill and torch.where broadcast the mask for you.",
        mask_as_index,
    ),
    "truth_of_a_tensor": (
        "`if mask:` asks a whole tensor whether it is true, which has no answer. Ask `if mask is not None:`.",
        mask_as_condition,
    ),
    **{
        f"fills_with_{-fill:.0f}": (
            FINITE_NUMBER + "and the product with the mask gives their shares to nobody.",
            fill_then_hide(fill),
        )
        for fill in (-1e2, -1e3, -1e4)
    },
    "fills_and_reads_the_hidden": (
        FINITE_NUMBER + "and hidden values are read.",
        fill_and_leave,
    ),
    "adds_a_score": (
        FINITE_NUMBER + "and the product with the mask gives their shares to nobody.",
        add_then_hide,
    ),
    "scores_for_weights": (SOFTMAX_MISSING, scores_for_weights),
    "scores_times_mask_for_weights": (
        SOFTMAX_MISSING + " The mask belongs to the scores before it, as minus infinity.",
        scores_times_mask_for_weights,
    ),
    "hidden_scores_for_weights": (
        SOFTMAX_MISSING + " Minus infinity becomes 0 only there.",
        hidden_scores_for_weights,
    ),
    **{
        f"causal_{always}{ending}": (f"{hint} {ONLY_WHAT_IS_PASSED}", causal(aligned, always == "always"))
        for always, hint in (
            ("always", "You hide the future, whatever mask is passed."),
            ("without_mask", "With mask=None you hide the future."),
        )
        for ending, aligned in (("", True), ("_from_the_first_key", False))
    },
    "no_mask_inverted": (NO_MASK, no_mask_inverted),
    "no_mask_asked": (NO_MASK, no_mask_asked),
}


def one_head(weigh):
    return lambda q, k, v, mask=None: weigh(q @ k.mT / sqrt(q.shape[-1]), mask) @ v


for name, (hint, weigh) in WRONG_WEIGHTS.items():
    scaled_dot_product_attention.misconception(hint, name=name)(one_head(weigh))


@scaled_dot_product_attention.misconception(
    "A query that may see nothing returns nan. It must return zeros: it reads nothing."
)
def nan_for_blind_queries(q, k, v, mask=None):
    return masked(q @ k.mT / sqrt(q.shape[-1]), mask) @ v


@scaled_dot_product_attention.always("If all values are equal, that value comes out, whatever the queries and keys.")
def equal_values(call, rng):
    q, k = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4)
    return close(call(q=q, k=k, v=torch.ones_like(k), mask=None), torch.ones_like(q))


@scaled_dot_product_attention.always("Reordering keys and values together changes nothing: a set is read.")
def set_of_keys(call, rng):
    q, k, v = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4), normal(rng, 2, 5, 6)
    order = torch.from_numpy(rng.permutation(5))
    return close(call(q=q, k=k[:, order], v=v[:, order], mask=None), call(q=q, k=k, v=v, mask=None))


# 5. split_heads, merge_heads


def split_and_merge(candidate, x, n_heads, heads):
    split, merge = candidate
    return split(x, n_heads), merge(heads)


@exercise(
    "attention.split_heads",
    reference=(attention.split_heads, attention.merge_heads),
    points=6,
    run=split_and_merge,
)
def split_heads(rng):
    """Cut the channels into heads and lay them side by side again."""
    yield worked(
        x=tensor([[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]]),
        n_heads=2,
        heads=tensor([[[[1, 2], [5, 6], [9, 10]], [[3, 4], [7, 8], [11, 12]]]]),
    )
    for T, N, H in [(5, 3, 4), (2, 4, 3)]:
        yield random(x=normal(rng, 2, T, N * H), n_heads=N, heads=normal(rng, 2, N, T, H))
    yield edge(x=normal(rng, 2, 3, 4), n_heads=1, heads=normal(rng, 2, 1, 3, 4))
    yield edge(x=normal(rng, 2, 3, 4), n_heads=4, heads=normal(rng, 2, 4, 3, 1))
    yield edge(x=normal(rng, 1, 1, 6), n_heads=2, heads=normal(rng, 1, 2, 1, 3))


def split_right(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, T, n_heads, C // n_heads).transpose(1, 2)


def merge_right(heads):
    B, N, T, H = heads.shape
    return heads.transpose(1, 2).reshape(B, T, N * H)


def split_reshaped(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, n_heads, T, C // n_heads)


def merge_reshaped(heads):
    B, N, T, H = heads.shape
    return heads.reshape(B, T, N * H)


def merge_viewed(heads):
    B, N, T, H = heads.shape
    return heads.transpose(1, 2).view(B, T, N * H)


def split_untransposed(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, T, n_heads, C // n_heads)


def split_interleaved(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_heads, n_heads).permute(0, 3, 1, 2)


def merge_interleaved(heads):
    B, N, T, H = heads.shape
    return heads.permute(0, 2, 3, 1).reshape(B, T, N * H)


RESHAPE = (
    "A reshape only cuts the row of numbers in memory at other places: it mixes positions with heads. First cut the "
    "channels, (B, T, N, H), then swap the axes of positions and heads. "
)

split_heads.misconception(RESHAPE + "Both of your functions need the swap.", name="both_reshaped")(
    (split_reshaped, merge_reshaped)
)
split_heads.misconception(RESHAPE + "merge_heads is right; split_heads needs the swap.", name="split_reshaped")(
    (split_reshaped, merge_right)
)
split_heads.misconception(
    "A reshape of (B, N, T, H) to (B, T, N H) puts numbers of different positions into one row. Swap heads and "
    "positions back first. split_heads is right; merge_heads needs the swap.",
    name="merge_reshaped",
)((split_right, merge_reshaped))
split_heads.misconception(
    "merge_heads stops with an error: after a transpose the numbers no longer lie side by side in memory, and view "
    "refuses to copy. Use reshape or flatten, which copy where they must.",
    name="view_after_transpose",
)((split_right, merge_viewed))
split_heads.misconception(
    "The heads are still behind the positions, (B, T, N, H). Attention multiplies the last two axes, so these must be "
    "positions and channels: bring the heads in front, (B, N, T, H).",
    name="heads_behind_positions",
)((split_untransposed, merge_right))
split_heads.misconception(
    "You deal out the channels in turn, as one deals cards. Head i takes a block of neighbors: channels i H to "
    "(i + 1) H - 1.",
    name="interleaved",
)((split_interleaved, merge_interleaved))


DEALT_OUT = (
    "deals out the channels in turn, as one deals cards. Head i takes a block of neighbors: channels i H to "
    "(i + 1) H - 1. "
)


def split_by_size(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_heads, n_heads).transpose(1, 2)


def merge_untransposed(heads):
    return heads.flatten(2)


split_heads.misconception("split_heads " + DEALT_OUT + "merge_heads is right.", name="split_interleaved")(
    (split_interleaved, merge_right)
)
split_heads.misconception("merge_heads " + DEALT_OUT + "split_heads is right.", name="merge_interleaved")(
    (split_right, merge_interleaved)
)
split_heads.misconception(
    "Your heads stand behind the positions in both functions, (B, T, N, H). Attention multiplies the last two axes, so "
    "these must be positions and channels: split_heads returns, and merge_heads receives, (B, N, T, H).",
    name="heads_behind_positions_in_both",
)((split_untransposed, merge_untransposed))
split_heads.misconception(
    "You take n_heads for the size of a head. It is the number of heads: each has C / n_heads channels.",
    name="number_taken_for_size",
)((split_by_size, merge_right))


SIZE_IS_A_FLOAT = (
    "The size of a head is a float: in Python / always gives one, even where nothing is left over, and an axis needs a "
    "whole number. Divide by //."
)


def split_by_reshape_to_a_float(x, n_heads):
    B, T, C = x.shape
    return x.reshape(B, T, n_heads, C / n_heads).transpose(1, 2)


def split_by_chunks_of_a_float(x, n_heads):
    return torch.stack(x.split(x.shape[-1] / n_heads, dim=-1), dim=1)


def split_by_slices_of_a_float(x, n_heads):
    size = x.shape[-1] / n_heads
    return torch.stack([x[..., i * size : (i + 1) * size] for i in range(n_heads)], dim=1)


split_heads.misconception(SIZE_IS_A_FLOAT, name="size_is_a_float")((split_by_reshape_to_a_float, merge_right))
split_heads.misconception(SIZE_IS_A_FLOAT, name="size_is_a_float_in_split")((split_by_chunks_of_a_float, merge_right))
split_heads.misconception(SIZE_IS_A_FLOAT, name="size_is_a_float_in_slices")((split_by_slices_of_a_float, merge_right))
split_heads.misconception(
    "merge_heads only swaps the axes back: (B, T, N, H). The heads must then be laid side by side, in one axis of N H "
    "channels: flatten the last two axes. split_heads is right.",
    name="merge_without_flattening",
)((split_right, lambda heads: heads.transpose(1, 2)))
split_heads.misconception(
    "merge_heads returns the heads as they came, (B, N, T, H). Merging undoes splitting: swap heads and positions "
    "back, then lay the heads side by side, (B, T, N H). split_heads is right.",
    name="merge_does_nothing",
)((split_right, lambda heads: heads))


HEADS_BEFORE_THE_BATCH = (
    "split_heads puts the heads in front of the batch, (N, B, T, H), as torch.stack(parts) does. The batch stays the "
    "first axis: (B, N, T, H), with torch.stack(parts, dim=1). "
)


def split_in_front(x, n_heads):
    return split_right(x, n_heads).transpose(0, 1)


def merge_from_the_front(heads):
    return torch.cat(list(heads), dim=-1)


split_heads.misconception(HEADS_BEFORE_THE_BATCH + "merge_heads is right.", name="heads_before_the_batch")(
    (split_in_front, merge_right)
)
split_heads.misconception(
    HEADS_BEFORE_THE_BATCH
    + "merge_heads takes its heads from the first axis, which is the batch: they are in the second.",
    name="heads_before_the_batch_in_both",
)((split_in_front, merge_from_the_front))
split_heads.misconception(
    "merge_heads takes its heads from the first axis, as torch.cat(list(heads)) does. That is the batch: the heads are "
    "in the second axis, heads[:, i]. split_heads is right.",
    name="merge_from_the_front",
)((split_right, merge_from_the_front))
split_heads.misconception(
    "merge_heads lays the heads one after another along the positions, (B, N T, H). They belong side by side, along "
    "the channels: dim=-1, which gives (B, T, N H). split_heads is right.",
    name="merge_along_the_positions",
)((split_right, lambda heads: heads.flatten(1, 2)))
split_heads.misconception(
    "merge_heads adds the heads. Each keeps its own channels: lay them side by side, (B, T, N H). split_heads is "
    "right.",
    name="merge_adds_the_heads",
)((split_right, lambda heads: heads.sum(dim=1)))


@split_heads.always("Merging undoes splitting.")
def round_trip(call, rng):
    x = normal(rng, 2, 5, 12)
    parts, _ = call(x=x, n_heads=3, heads=normal(rng, 2, 3, 5, 4))
    return close(call(x=x, n_heads=3, heads=parts)[1], x)


@split_heads.always("Every head keeps the order of the positions.")
def positions_stay(call, rng):
    x, heads, order = normal(rng, 2, 5, 12), normal(rng, 2, 3, 5, 4), torch.from_numpy(rng.permutation(5))
    parts, _ = call(x=x, n_heads=3, heads=heads)
    reordered, _ = call(x=x[:, order], n_heads=3, heads=heads)
    return close(reordered, parts[:, :, order])


# 6. multi_head_attention


def projections(rng, d, d_kv, N, d_k, d_v, d_out):
    return {
        "W_Q": normal(rng, d, N * d_k) / sqrt(d),
        "W_K": normal(rng, d_kv, N * d_k) / sqrt(d_kv),
        "W_V": normal(rng, d_kv, N * d_v),
        "W_O": normal(rng, N * d_v, d_out),
        "n_heads": N,
    }


@exercise(
    "attention.multi_head_attention",
    reference=attention.multi_head_attention,
    points=6,
    forbidden=(*FUSED_ATTENTION, "torch.masked"),
)
def multi_head_attention(rng):
    """Several heads that attend in parallel and add what they found."""
    yield worked(
        q_in=tensor([[[1, 0, 0], [0, 1, 0]]]),
        kv_in=tensor([[[1, 0], [0, 1], [1, 1]]]),
        W_Q=tensor([[1, 0, 0, 1], [0, 2, 1, 0], [0, 0, 0, 0]]),
        W_K=tensor([[1, 0, 1, 3], [0, 1, 1, 0]]),
        W_V=tensor([[1, 2], [3, 6]]),
        W_O=tensor([[1, 0, 2, 0], [0, 1, 0, 3]]),
        n_heads=2,
        mask=torch.tensor([[True, True, False], [False, True, True]]),
    )
    for T, S, d, d_kv, N, d_k, d_v, d_out in [(4, 5, 6, 3, 2, 4, 7, 5), (5, 3, 4, 6, 3, 2, 3, 7)]:
        x, z = normal(rng, 2, T, d), normal(rng, 2, S, d_kv)
        weights = projections(rng, d, d_kv, N, d_k, d_v, d_out)
        yield random(q_in=x, kv_in=z, **weights, mask=None)
        yield random(q_in=x, kv_in=z, **weights, mask=seeing_mask(rng, T, S))
    # Both sides equally wide: a product with the wrong one of them gives numbers here and no error.
    x, z = normal(rng, 2, 3, 4), normal(rng, 2, 5, 4)
    yield random(q_in=x, kv_in=z, **projections(rng, 4, 4, 2, 3, 3, 5), mask=None)
    x, weights = normal(rng, 2, 4, 3), projections(rng, 3, 3, 1, 2, 4, 5)
    yield edge(q_in=x, kv_in=x, **weights, mask=attention.causal_mask(4))
    yield edge(q_in=x[:1, :1], kv_in=x[:1, :1], **projections(rng, 3, 3, 2, 2, 4, 5), mask=None)
    two = torch.eye(2, dtype=torch.float64).repeat(1, 2)
    huge = {
        "q_in": tensor([[[100, 0], [0, 100]]]),
        "kv_in": tensor([[[1, 0], [2, 2], [0, 1]]]),
        "W_Q": two,
        "W_K": 50 * two,
        "W_V": normal(rng, 2, 6),
        "W_O": normal(rng, 6, 5),
        "n_heads": 2,
    }
    yield edge(**huge, mask=None)
    yield edge(**huge, mask=torch.tensor([[True, False, True], [True, False, True]]))
    low = {
        "q_in": VERY_LOW[None],
        "kv_in": tensor([[[1, 0], [1, 5], [-1, 3]]]),
        "W_Q": tensor([[1, 1]]),
        "W_K": tensor([[1, 1], [0, 0]]),
        "W_V": normal(rng, 2, 4),
    }
    yield edge(**low, W_O=normal(rng, 4, 3), n_heads=2, mask=FIRST_KEY_ALONE)
    blind = attention.causal_mask(4, 2)
    yield edge(q_in=x, kv_in=normal(rng, 2, 2, 5), **projections(rng, 3, 5, 2, 2, 4, 3), mask=blind)


def heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return attend(q @ k.mT / scale, v, mask)


@multi_head_attention.misconception(
    "You scale by the root of the width of the model. Each head multiplies vectors of length d_k, so its scores have "
    "variance d_k: divide by sqrt(d_k) of one head. The two agree only with a single head."
)
def scaled_by_width_of_model(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return merge_right(heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, sqrt(q_in.shape[-1]))) @ W_O


@multi_head_attention.misconception(
    "You scale by the root of N d_k, the width of all heads together. A dot product sums over the d_k channels of one "
    "head only: take the width after splitting."
)
def scaled_by_all_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return merge_right(heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, sqrt(W_Q.shape[-1]))) @ W_O


def scale_of_head(W_Q, n_heads):
    return sqrt(W_Q.shape[-1] // n_heads)


@multi_head_attention.misconception(
    "The heads are merged by a reshape alone, which mixes positions with heads. Swap heads and positions before you "
    "flatten: (B, N, T, d_v), (B, T, N, d_v), (B, T, N d_v)."
)
def merged_by_reshape(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return merge_reshaped(heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads))) @ W_O


@multi_head_attention.misconception(
    "You project before merging, with the same first rows of W_O for every head. Each head has its own d_v rows of "
    "W_O, so that it can write where it likes: merge first, then multiply by the whole W_O."
)
def projected_before_merge(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    heads = heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads))
    return (heads @ W_O[: heads.shape[-1]]).sum(dim=1)


@multi_head_attention.misconception(
    "All heads use the first block of W_Q, W_K and W_V, so they all see the same. Head i owns the columns i d_k to "
    "(i + 1) d_k - 1: that is what lets heads look for different things."
)
def shared_weights(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    first_q, first_k, first_v = (W[:, : W.shape[1] // n_heads].repeat(1, n_heads) for W in (W_Q, W_K, W_V))
    return (
        merge_right(heads_of(q_in, kv_in, first_q, first_k, first_v, n_heads, mask, scale_of_head(W_Q, n_heads))) @ W_O
    )


@multi_head_attention.misconception(
    "There is only one head: you attend with the whole width at once. Split queries, keys and values into n_heads "
    "parts first, so that each head has its own softmax."
)
def one_big_head(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return attend(q_in @ W_Q @ (kv_in @ W_K).mT / sqrt(W_Q.shape[-1]), kv_in @ W_V, mask) @ W_O


@multi_head_attention.misconception(
    "The output projection is missing. Concatenated heads lie side by side without talking to each other; W_O brings "
    "them together and back to the width of the model."
)
def output_projection_missing(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return merge_right(heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads)))


@multi_head_attention.misconception(
    "The values come from q_in. Queries ask, and keys and values answer: both come from kv_in. In self-attention you "
    "cannot see the difference, in cross-attention you can."
)
def values_from_asking_side(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (q_in, W_V)))
    return merge_right(attend(q @ k.mT / sqrt(q.shape[-1]), v, mask)) @ W_O


@multi_head_attention.misconception(
    "The mask has no effect. It has shape (T, S) and serves every head: where it is False, the score must not count."
)
def mask_left_out(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return merge_right(heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, None, scale_of_head(W_Q, n_heads))) @ W_O


@multi_head_attention.misconception(
    "A position that may see nothing returns nan. It must return zeros: no head reads anything."
)
def nan_for_blind_positions(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return merge_right(masked(q @ k.mT / sqrt(q.shape[-1]), mask) @ v) @ W_O


def many_heads(weigh, split=split_right, merge=merge_right, scale=None):
    """Return multi-head attention with one of its parts replaced."""

    def attention_of_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
        q, k, v = (split(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
        divisor = sqrt(q.shape[-1]) if scale is None else scale(q_in, q, v)
        return merge(weigh(q @ k.mT / divisor, mask) @ v) @ W_O

    return attention_of_heads


def weigh_right(scores, mask):
    return masked(scores, mask).nan_to_num(0.0)


for name, (hint, weigh) in WRONG_WEIGHTS.items():
    if name != "mask_ignored":
        multi_head_attention.misconception(hint, name=name)(many_heads(weigh))

multi_head_attention.misconception(
    "The scores are not scaled: divide them by sqrt(d_k) of one head before softmax, or it saturates as vectors grow "
    "longer.",
    name="scale_missing",
)(many_heads(weigh_right, scale=lambda q_in, q, v: 1.0))
multi_head_attention.misconception(
    "You divide the scores by d_k. The standard deviation of a dot product is sqrt(d_k): divide by that, or attention "
    "becomes a plain average.",
    name="scale_too_strong",
)(many_heads(weigh_right, scale=lambda q_in, q, v: q.shape[-1]))
multi_head_attention.misconception(
    "You divide by the root of the values' width, d_v. The values take no part in the scores: the scale is the root "
    "of d_k, the length of one head's queries and keys.",
    name="scale_from_values",
)(many_heads(weigh_right, scale=lambda q_in, q, v: sqrt(v.shape[-1])))
multi_head_attention.misconception(
    "You take d / N, the width of the model divided by the number of heads, for the width of a head. Here W_Q decides "
    "how wide a head is, and N d_k need not be d: take d_k from the queries after splitting.",
    name="scale_from_width_over_heads",
)(many_heads(weigh_right, scale=lambda q_in, q, v: sqrt(q_in.shape[-1] // q.shape[1])))
multi_head_attention.misconception(
    "Splitting " + DEALT_OUT + "Merging does not, so each head works on a mixture of channels.",
    name="heads_interleaved",
)(many_heads(weigh_right, split=split_interleaved))
multi_head_attention.misconception(
    "Splitting " + DEALT_OUT + "The same holds for merging: W_O expects one head after the other.",
    name="heads_interleaved_in_both",
)(many_heads(weigh_right, split=split_interleaved, merge=merge_interleaved))
multi_head_attention.misconception(RESHAPE + "Merging is right; splitting needs the swap.", name="split_by_reshape")(
    many_heads(weigh_right, split=split_reshaped)
)
multi_head_attention.misconception(
    RESHAPE + "Both splitting and merging need the swap.", name="split_and_merged_by_reshape"
)(many_heads(weigh_right, split=split_reshaped, merge=merge_reshaped))


PATTERNS_POOLED = (
    "You pool the attention patterns of the heads and read all values with that one pattern. Each head reads its own "
    "d_v values with its own pattern, and only the results come together: merge them, then multiply by W_O."
)


@multi_head_attention.misconception(PATTERNS_POOLED)
def patterns_averaged(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k = split_right(q_in @ W_Q, n_heads), split_right(kv_in @ W_K, n_heads)
    return weigh_right(q @ k.mT / sqrt(q.shape[-1]), mask).mean(dim=1) @ (kv_in @ W_V @ W_O)


@multi_head_attention.misconception(PATTERNS_POOLED)
def patterns_summed(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k = split_right(q_in @ W_Q, n_heads), split_right(kv_in @ W_K, n_heads)
    return weigh_right(q @ k.mT / sqrt(q.shape[-1]), mask).sum(dim=1) @ (kv_in @ W_V @ W_O)


# Where the two sides differ in width, several of these stop with the same error: a random case has equal widths.


def with_weights(queries="W_Q", keys="W_K", values="W_V"):
    def attention_of_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
        weights = {"W_Q": W_Q, "W_K": W_K, "W_V": W_V}
        return many_heads(weigh_right)(
            q_in, kv_in, weights[queries], weights[keys], weights[values], W_O, n_heads, mask
        )

    return attention_of_heads


OWN_WEIGHTS = " Queries are q_in W_Q, keys are kv_in W_K, and values are kv_in W_V."
for name, hint, weights in (
    ("query_and_key_weights_swapped", "W_Q and W_K have changed places.", {"queries": "W_K", "keys": "W_Q"}),
    ("key_and_value_weights_swapped", "W_K and W_V have changed places.", {"keys": "W_V", "values": "W_K"}),
    ("keys_with_query_weights", "Your keys are made with W_Q.", {"keys": "W_Q"}),
    ("keys_with_value_weights", "Your keys are made with W_V.", {"keys": "W_V"}),
    ("values_with_key_weights", "Your values are made with W_K.", {"values": "W_K"}),
    ("queries_with_key_weights", "Your queries are made with W_K.", {"queries": "W_K"}),
):
    multi_head_attention.misconception(hint + OWN_WEIGHTS, name=name)(with_weights(**weights))


@multi_head_attention.misconception(
    "Your keys come from q_in. Then each position of q_in asks the others of q_in, and the answers do not meet the "
    "values." + OWN_WEIGHTS
)
def keys_from_asking_side(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (q_in, W_K), (kv_in, W_V)))
    return merge_right(attend(q @ k.mT / sqrt(q.shape[-1]), v, mask)) @ W_O


@multi_head_attention.misconception(
    "Keys and values come from q_in. That is self-attention whatever is passed. Queries ask, and keys and values "
    "answer: both come from kv_in, which may have another length and another width."
)
def all_from_asking_side(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(q_in, q_in, W_Q, W_K, W_V, W_O, n_heads, mask)


@multi_head_attention.misconception(
    "Your queries come from kv_in, as keys and values do. q_in asks: it meets W_Q, and the result has one row for each "
    "of its positions."
)
def all_from_answering_side(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(kv_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask)


@multi_head_attention.misconception(
    "q_in and kv_in have changed places. q_in asks: it meets W_Q, and the result has one row for each of its positions."
)
def sides_swapped(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(kv_in, q_in, W_Q, W_K, W_V, W_O, n_heads, mask)


@multi_head_attention.misconception(
    "You transpose the weights, as torch.nn.Linear does with its own. Here they stand on the right of the rows as they "
    "are: queries are q_in @ W_Q."
)
def weights_of_linear_layers(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(q_in, kv_in, W_Q.mT, W_K.mT, W_V.mT, W_O.mT, n_heads, mask)


VALUES_CUT_BY_KEYS = (
    "You cut the values by d_k, the width of a query. A head's values have a width of their own, d_v: head i owns the "
    "columns i d_v to (i + 1) d_v - 1 of W_V, and d_v is W_V.shape[1] // n_heads. The two often agree, but need not."
)


def block(x, i, size):
    return x[..., i * size : (i + 1) * size]


def heads_with_sliced_values(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask):
    d_k = W_Q.shape[1] // n_heads
    for i in range(n_heads):
        q, k, v = (block(x @ W, i, d_k) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
        yield weigh_right(q @ k.mT / sqrt(d_k), mask) @ v


@multi_head_attention.misconception(VALUES_CUT_BY_KEYS)
def values_sliced_by_keys(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return torch.cat(list(heads_with_sliced_values(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask)), dim=-1) @ W_O


@multi_head_attention.misconception(VALUES_CUT_BY_KEYS + " The rows of W_O that belong to head i are the same d_v.")
def values_and_outputs_sliced_by_keys(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    d_k, heads = W_Q.shape[1] // n_heads, heads_with_sliced_values(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask)
    return sum(head @ W_O[i * d_k : (i + 1) * d_k] for i, head in enumerate(heads))


@multi_head_attention.misconception(VALUES_CUT_BY_KEYS + " The rows of W_O you cut by d_v, and that is right.")
def values_sliced_by_keys_outputs_right(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    d_v, heads = W_V.shape[1] // n_heads, heads_with_sliced_values(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask)
    return sum(head @ W_O[i * d_v : (i + 1) * d_v] for i, head in enumerate(heads))


@multi_head_attention.misconception(VALUES_CUT_BY_KEYS)
def values_reshaped_by_keys(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = q_in @ W_Q, kv_in @ W_K, kv_in @ W_V
    d_k = q.shape[-1] // n_heads
    q, k, v = (x.reshape(*x.shape[:2], n_heads, d_k).transpose(1, 2) for x in (q, k, v))
    return merge_right(weigh_right(q @ k.mT / sqrt(d_k), mask) @ v) @ W_O


WIDTH_OVER_HEADS = (
    "You cut queries and keys into heads of d / N channels, the width of the model divided by the number of heads. "
    "Here W_Q decides how wide a head is, and N d_k need not be d: d_k is W_Q.shape[1] // n_heads, and d_v is "
    "W_V.shape[1] // n_heads."
)


def heads_sliced_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, d_v=None):
    size = q_in.shape[-1] // n_heads
    for i in range(n_heads):
        q, k, v = block(q_in @ W_Q, i, size), block(kv_in @ W_K, i, size), block(kv_in @ W_V, i, d_v or size)
        yield weigh_right(q @ k.mT / sqrt(size), mask) @ v


@multi_head_attention.misconception(WIDTH_OVER_HEADS)
def sliced_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return torch.cat(list(heads_sliced_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask)), dim=-1) @ W_O


@multi_head_attention.misconception(WIDTH_OVER_HEADS + " The rows of W_O that belong to head i are d_v as well.")
def sliced_to_width_over_heads_with_outputs(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    size = q_in.shape[-1] // n_heads
    heads = heads_sliced_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask)
    return sum(head @ W_O[i * size : (i + 1) * size] for i, head in enumerate(heads))


@multi_head_attention.misconception(WIDTH_OVER_HEADS + " (The values you cut by d_v, and that is right.)")
def sliced_to_width_over_heads_but_for_values(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    d_v = W_V.shape[1] // n_heads
    heads = heads_sliced_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, d_v)
    return torch.cat(list(heads), dim=-1) @ W_O


@multi_head_attention.misconception(WIDTH_OVER_HEADS)
def reshaped_to_width_over_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    def split(x, n_heads):
        return x.reshape(*x.shape[:2], n_heads, q_in.shape[-1] // n_heads).transpose(1, 2)

    return many_heads(weigh_right, split=split)(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask)


KEYS_COUNTED_LIKE_QUERIES = (
    "You reshape keys and values with T, the length of q_in. They come from kv_in, which has its own length S: read it "
    "from kv_in.shape[1]. In self-attention the two are equal, in cross-attention they differ."
)


def heads_of_length(x, T, n_heads, size):
    return x.reshape(x.shape[0], T, n_heads, size).transpose(1, 2)


@multi_head_attention.misconception(KEYS_COUNTED_LIKE_QUERIES)
def keys_counted_like_queries(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    T, d_k, d_v = q_in.shape[1], W_Q.shape[1] // n_heads, W_V.shape[1] // n_heads
    q, k = heads_of_length(q_in @ W_Q, T, n_heads, d_k), heads_of_length(kv_in @ W_K, T, n_heads, d_k)
    v = heads_of_length(kv_in @ W_V, T, n_heads, d_v)
    return merge_right(weigh_right(q @ k.mT / sqrt(d_k), mask) @ v) @ W_O


@multi_head_attention.misconception(KEYS_COUNTED_LIKE_QUERIES + " A -1 for the width of a head only hides that.")
def keys_counted_like_queries_and_width_guessed(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    T = q_in.shape[1]
    q, k, v = (heads_of_length(x @ W, T, n_heads, -1) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return merge_right(weigh_right(q @ k.mT / sqrt(q.shape[-1]), mask) @ v) @ W_O


MERGED_WIDTH = (
    "The heads are merged to the wrong width. Laid side by side they have N d_v channels, the number of rows of W_O; "
)


def merged_to(width):
    def attention_of_heads(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
        heads = heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads))
        return heads.transpose(1, 2).reshape(*q_in.shape[:2], width(q_in, W_Q)) @ W_O

    return attention_of_heads


multi_head_attention.misconception(
    MERGED_WIDTH + "d, the width of q_in, is another number. flatten(-2), or -1 in the reshape, finds the right one.",
    name="merged_to_width_of_model",
)(merged_to(lambda q_in, W_Q: q_in.shape[-1]))
multi_head_attention.misconception(
    MERGED_WIDTH + "N d_k is the width of all queries. flatten(-2), or -1 in the reshape, finds the right one.",
    name="merged_to_width_of_queries",
)(merged_to(lambda q_in, W_Q: W_Q.shape[-1]))


@multi_head_attention.misconception(
    "You reshape the result to (B, T, d), as if it were as wide as q_in. W_O decides: the result has d_out channels, "
    "W_O.shape[1], and after the product with W_O nothing is left to reshape."
)
def result_reshaped_to_width_of_model(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask).reshape(q_in.shape)


@multi_head_attention.misconception(
    "You average over the heads: the result is N times too small. W_O adds what the heads found, each through its own "
    "rows, and nothing is divided by N."
)
def heads_averaged(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask) / n_heads


@multi_head_attention.misconception(
    "You average the heads, and multiply by the first rows of W_O. Heads are laid side by side, (B, T, N d_v), and "
    "each has its own d_v rows of W_O: merge first, then multiply by the whole W_O."
)
def heads_averaged_before_the_projection(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    heads = heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads)).mean(dim=1)
    return heads @ W_O[: heads.shape[-1]]


@multi_head_attention.misconception(
    "You transpose W_O. The merged heads are rows of N d_v channels, and W_O has N d_v rows: it stands on their right "
    "as it is."
)
def output_weights_transposed(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right)(q_in, kv_in, W_Q, W_K, W_V, W_O.mT, n_heads, mask)


@multi_head_attention.misconception(KEYS_NOT_TRANSPOSED)
def keys_of_heads_as_they_stand(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return merge_right(attend(q @ k / sqrt(q.shape[-1]), v, mask)) @ W_O


@multi_head_attention.misconception(
    "You reverse all axes of k, as .T does, so the batch and the heads change places with the rest. Swap the last two "
    "axes alone: k.mT."
)
def all_axes_of_head_keys_reversed(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return merge_right(attend(q @ k.permute(3, 2, 1, 0) / sqrt(q.shape[-1]), v, mask)) @ W_O


@multi_head_attention.misconception(
    "You transpose the weights before they meet the values. They have a row for each query and a column for each key, "
    "(T, S), and so they fit the values of a head, (S, d_v), as they stand."
)
def weights_of_heads_transposed(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    q, k, v = (split_right(x @ W, n_heads) for x, W in ((q_in, W_Q), (kv_in, W_K), (kv_in, W_V)))
    return merge_right(weigh_right(q @ k.mT / sqrt(q.shape[-1]), mask).mT @ v) @ W_O


@multi_head_attention.misconception(
    "Merging stops with an error: after a transpose the numbers no longer lie side by side in memory, and view refuses "
    "to copy. Use reshape or flatten, which copy where they must."
)
def merged_by_view(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return many_heads(weigh_right, merge=merge_viewed)(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask)


HEADS_NOT_MERGED = (
    "The heads meet W_O before they are merged, one head of d_v channels at a time, and W_O has N d_v rows. Swap heads "
    "and positions, lay the heads side by side, (B, T, N d_v), then multiply by W_O."
)


@multi_head_attention.misconception(HEADS_NOT_MERGED)
def heads_swapped_and_not_merged(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    heads = heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads))
    return heads.transpose(1, 2) @ W_O


@multi_head_attention.misconception(HEADS_NOT_MERGED)
def heads_not_merged(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    return heads_of(q_in, kv_in, W_Q, W_K, W_V, n_heads, mask, scale_of_head(W_Q, n_heads)) @ W_O


@multi_head_attention.always("The result is the sum of what each head gives alone.")
def sum_over_heads(call, rng):
    x, z, w = normal(rng, 2, 4, 5), normal(rng, 2, 3, 6), projections(rng, 5, 6, 2, 3, 4, 7)
    alone = [
        call(
            q_in=x,
            kv_in=z,
            W_Q=w["W_Q"][:, 3 * i : 3 * i + 3],
            W_K=w["W_K"][:, 3 * i : 3 * i + 3],
            W_V=w["W_V"][:, 4 * i : 4 * i + 4],
            W_O=w["W_O"][4 * i : 4 * i + 4],
            n_heads=1,
            mask=None,
        )
        for i in range(2)
    ]
    return close(call(q_in=x, kv_in=z, **w, mask=None), alone[0] + alone[1])


@multi_head_attention.always("Without a mask, reordering the positions reorders the result in the same way.")
def equivariant(call, rng):
    x, w, order = normal(rng, 2, 5, 4), projections(rng, 4, 4, 2, 3, 3, 6), torch.from_numpy(rng.permutation(5))
    result = call(q_in=x, kv_in=x, **w, mask=None)
    return close(call(q_in=x[:, order], kv_in=x[:, order], **w, mask=None), result[:, order])


# 7. qk_ov_matrices


@exercise("attention.qk_ov_matrices", reference=attention.qk_ov_matrices, points=6)
def qk_ov_matrices(rng):
    """Compute the two matrices on which alone a head depends."""
    yield worked(
        W_Q=tensor([[1, 0], [0, 1], [0, 0]]),
        W_K=tensor([[0, 0], [2, 0], [0, 3]]),
        W_V=tensor([[1], [0], [2]]),
        W_O=tensor([[0, 1, 5]]),
    )
    for d, d_k, d_v in [(5, 2, 3), (4, 3, 2), (6, 4, 1)]:
        weights = {"W_Q": normal(rng, d, d_k), "W_K": normal(rng, d, d_k)}
        yield random(**weights, W_V=normal(rng, d, d_v), W_O=normal(rng, d_v, d))
    yield edge(W_Q=zeros(3, 2), W_K=normal(rng, 3, 2), W_V=normal(rng, 3, 2), W_O=normal(rng, 2, 3))
    yield edge(W_Q=tensor([[2]]), W_K=tensor([[3]]), W_V=tensor([[5]]), W_O=tensor([[7]]))
    third = tensor([[1 / 3, 1 / 3], [2 / 3, 0]])
    yield edge(W_Q=third, W_K=tensor([[1, -0.999], [0, 1]]), W_V=third, W_O=tensor([[1, 0], [-0.999, 1]]))
    yield edge(W_Q=normal(rng, 3, 3), W_K=normal(rng, 3, 3), W_V=normal(rng, 3, 3), W_O=normal(rng, 3, 3))


@qk_ov_matrices.misconception(
    "W_Q W_K without a transpose: the shapes (d, d_k) and (d, d_k) do not fit, and where they happen to be square the "
    "number is another one. A score is q k^T = x W_Q (z W_K)^T, so W_K is transposed."
)
def no_transpose(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K, W_V @ W_O


@qk_ov_matrices.misconception(
    "These are the formulas of the column convention, W_Q^T W_K and W_O W_V, applied to weights in rows. With rows, "
    "x W_Q, the d_k axis must disappear from the product: both results are (d, d)."
)
def column_convention(W_Q, W_K, W_V, W_O):
    return W_Q.mT @ W_K, W_O @ W_V


@qk_ov_matrices.misconception(
    "W_QK is transposed: yours is W_K W_Q^T. The query side comes first, because the score is x W_QK z^T with the "
    "asking position x on the left. A head is not symmetric: who asks and who answers differ."
)
def keys_first(W_Q, W_K, W_V, W_O):
    return W_K @ W_Q.mT, W_V @ W_O


@qk_ov_matrices.misconception(
    "W_OV has its factors in the wrong order. In the row convention a position is first read by W_V and then written "
    "by W_O: z W_V W_O. W_QK is right."
)
def output_first(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT, W_O @ W_V


@qk_ov_matrices.misconception(
    "You put the scale 1/sqrt(d_k) into W_QK. The definition leaves it out: the scores are x W_QK z^T / sqrt(d_k)."
)
def scale_inside(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT / sqrt(W_Q.shape[-1]), W_V @ W_O


@qk_ov_matrices.misconception(
    "W_QK is the formula of the column convention, W_Q^T W_K, of shape (d_k, d_k). With weights on the right of the "
    "rows a score is x W_Q (z W_K)^T: W_K is transposed, and the d_k axis disappears. W_OV is right."
)
def query_weights_transposed(W_Q, W_K, W_V, W_O):
    return W_Q.mT @ W_K, W_V @ W_O


@qk_ov_matrices.misconception(
    "W_OV is transposed: yours is W_O^T W_V^T, which stands to the left of a column. In the row convention a position "
    "is read by W_V and then written by W_O: z W_V W_O. W_QK is right."
)
def output_transposed(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT, (W_V @ W_O).mT


@qk_ov_matrices.misconception(
    "Both matrices are transposed: they would stand to the left of columns. Here positions are rows and stand on the "
    "left: x W_QK z^T, and z W_OV."
)
def both_transposed(W_Q, W_K, W_V, W_O):
    return W_K @ W_Q.mT, (W_V @ W_O).mT


@qk_ov_matrices.misconception(
    "You put the scale 1/sqrt(d_k) into W_OV. It belongs to the scores, and even there the definition leaves it out: "
    "the scores are x W_QK z^T / sqrt(d_k)."
)
def scale_inside_values(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT, W_V @ W_O / sqrt(W_Q.shape[-1])


@qk_ov_matrices.misconception(
    "The two results have changed places: W_QK, which says where to read, comes first, and W_OV second."
)
def results_swapped(W_Q, W_K, W_V, W_O):
    return W_V @ W_O, W_Q @ W_K.mT


@qk_ov_matrices.misconception(
    "W_OV has W_O transposed, as W_K is in W_QK. W_O is not: a position is read by W_V, (d, d_v), and written by W_O, "
    "(d_v, d), as z W_V W_O. W_QK is right."
)
def output_weights_turned(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT, W_V @ W_O.mT


@qk_ov_matrices.misconception(
    "You divide W_OV by sqrt(d_v). No scale belongs there: the only one is that of the scores, and even there the "
    "definition leaves it out."
)
def values_scaled(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT, W_V @ W_O / sqrt(W_V.shape[-1])


@qk_ov_matrices.misconception(
    "You put a scale into both matrices. The definition leaves it out of W_QK, and W_OV never has one: the scores are "
    "x W_QK z^T / sqrt(d_k)."
)
def both_scaled(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT / sqrt(W_Q.shape[-1]), W_V @ W_O / sqrt(W_V.shape[-1])


@qk_ov_matrices.misconception(
    "You divide W_QK by d_k. The definition has no scale in it: the scores are x W_QK z^T / sqrt(d_k), and even there "
    "it is the root."
)
def divided_by_the_length_of_keys(W_Q, W_K, W_V, W_O):
    return W_Q @ W_K.mT / W_Q.shape[-1], W_V @ W_O


DIGITS_DROPPED = (
    "You convert to float32, which keeps seven digits, and converting back at the end restores none of them. Where "
    "large terms cancel, few digits are left. Compute in the dtype of the weights."
)


@qk_ov_matrices.misconception(DIGITS_DROPPED)
def scores_in_float32(W_Q, W_K, W_V, W_O):
    return (W_Q.float() @ W_K.float().mT).double(), W_V @ W_O


@qk_ov_matrices.misconception(DIGITS_DROPPED)
def both_in_float32(W_Q, W_K, W_V, W_O):
    return (W_Q.float() @ W_K.float().mT).double(), (W_V.float() @ W_O.float()).double()


@qk_ov_matrices.always("x W_QK z^T equals the dot products of queries x W_Q with keys z W_K.")
def gives_the_scores(call, rng):
    W_Q, W_K, W_V, W_O = normal(rng, 5, 2), normal(rng, 5, 2), normal(rng, 5, 3), normal(rng, 3, 5)
    x, z = normal(rng, 4, 5), normal(rng, 6, 5)
    return close(x @ call(W_Q=W_Q, W_K=W_K, W_V=W_V, W_O=W_O)[0] @ z.mT, (x @ W_Q) @ (z @ W_K).mT)


@qk_ov_matrices.always("Changing the basis inside a head, W_Q M and W_K M^-T, changes nothing.")
def gauge(call, rng):
    W_Q, W_K, W_V, W_O = normal(rng, 5, 2), normal(rng, 5, 2), normal(rng, 5, 3), normal(rng, 3, 5)
    M = tensor([[1, 2], [0, 1]])
    before = call(W_Q=W_Q, W_K=W_K, W_V=W_V, W_O=W_O)
    after = call(W_Q=W_Q @ M, W_K=W_K @ torch.linalg.inv(M).mT, W_V=W_V, W_O=W_O)
    return close(before[0], after[0]) and close(before[1], after[1])


# 8. sinusoidal_positions


@exercise("attention.sinusoidal_positions", reference=attention.sinusoidal_positions, points=6, atol=1e-8)
def sinusoidal_positions(rng):
    """One vector for each position: sines and cosines of ever slower clocks."""
    yield worked(T=3, d_model=4)
    for d_model in (6, 10):
        yield random(T=int(rng.integers(4, 9)), d_model=d_model)
    yield edge(T=1, d_model=8)
    yield edge(T=5, d_model=2)
    yield edge(T=400, d_model=6)


def angles(T, exponent):
    return torch.arange(T, dtype=torch.float64)[:, None] * 10_000.0**exponent


def pairs(first, second):
    return torch.stack((first, second), dim=-1).flatten(-2)


def even(d_model):
    return torch.arange(0, d_model, 2, dtype=torch.float64)


@sinusoidal_positions.misconception(
    "All sines come first, then all cosines. Some programs do so, but here sine and cosine of the same clock are "
    "neighbors: columns 0 and 1 are the first clock, columns 2 and 3 the second."
)
def halves(T, d_model):
    a = angles(T, -even(d_model) / d_model)
    return torch.cat((a.sin(), a.cos()), dim=-1)


@sinusoidal_positions.misconception(
    "Sine and cosine have changed places: even columns hold sines, odd columns cosines."
)
def cosine_first(T, d_model):
    a = angles(T, -even(d_model) / d_model)
    return pairs(a.cos(), a.sin())


@sinusoidal_positions.misconception(
    "Every column has its own frequency. Sine and cosine come in pairs that share one clock, with the exponent 2l/d of "
    "the even column; only then can a shift of position be a rotation."
)
def a_clock_for_each_column(T, d_model):
    a = angles(T, -torch.arange(d_model, dtype=torch.float64) / d_model)
    return pairs(a[:, 0::2].sin(), a[:, 1::2].cos())


@sinusoidal_positions.misconception(
    "Your exponent is l/d where it should be 2l/d, with l counting the pairs. The clocks then reach only the root of "
    "the base: the slowest ones are too fast for long sequences."
)
def exponent_of_the_pair(T, d_model):
    a = angles(T, -torch.arange(d_model // 2, dtype=torch.float64) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "Your base is e. If you write the power as an exponential, the logarithm of the base belongs inside: "
    "10000^(-2l/d) = exp(-2l/d log 10000)."
)
def base_e(T, d_model):
    a = torch.arange(T, dtype=torch.float64)[:, None] * torch.exp(-even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "You multiply by the power of the base, so later clocks run faster and faster and repeat at random. Divide: each "
    "pair turns more slowly than the one before."
)
def faster_and_faster(T, d_model):
    a = angles(T, even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "Your table lies on its side: one column per position. Asked is one ROW per position, shape (T, d_model)."
)
def positions_in_columns(T, d_model):
    a = angles(T, -even(d_model) / d_model)
    return pairs(a.sin(), a.cos()).mT


WHOLE_EXPONENT = (
    "Your exponent is a whole number, because // drops what is behind the point: 2l // d is 0 for every pair, {}. The "
    "exponent 2l / d is a fraction: divide by /."
)


@sinusoidal_positions.misconception(WHOLE_EXPONENT.format("so all clocks turn at the same speed"))
def exponent_without_fraction(T, d_model):
    a = angles(T, -(even(d_model) // d_model))
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    WHOLE_EXPONENT.format("and -2l // d is -1 for every pair but the first, so all other clocks turn at one speed")
)
def negative_exponent_without_fraction(T, d_model):
    a = angles(T, -even(d_model) // d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception("Positions count from 0, so the first row is 0, 1, 0, 1, ...: yours starts at 1.")
def counts_from_one(T, d_model):
    a = (torch.arange(T, dtype=torch.float64)[:, None] + 1) * 10_000.0 ** (-even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "Your base is 1000. One of the four zeros is missing: the slowest clock then turns ten times too fast."
)
def base_thousand(T, d_model):
    a = torch.arange(T, dtype=torch.float64)[:, None] * 1000.0 ** (-even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


DOUBLED_TWICE = (
    "Your exponent is doubled twice. In 2l/d the letter l counts the pairs, from 0 to d/2 - 1, so 2l is already the "
    "number of the even column: the exponent stays below 1. "
)


@sinusoidal_positions.misconception(DOUBLED_TWICE + "torch.arange(0, d, 2) gives 2l, not l.")
def exponent_doubled(T, d_model):
    a = angles(T, -2 * even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(DOUBLED_TWICE + "And both columns of a pair share it.")
def column_taken_for_pair(T, d_model):
    a = angles(T, -2 * torch.arange(d_model, dtype=torch.float64) / d_model)
    return pairs(a[:, 0::2].sin(), a[:, 1::2].cos())


@sinusoidal_positions.misconception(
    "Your pairs count from 1. The letter l begins at 0: the first clock has the exponent 0 and turns by 1 at each "
    "position."
)
def pairs_count_from_one(T, d_model):
    a = angles(T, -(even(d_model) + 2) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "All columns are sines. Odd columns hold the cosine of the same angle: only a sine and a cosine together say where "
    "a clock stands."
)
def sines_alone(T, d_model):
    a = angles(T, -even(d_model) / d_model)
    return pairs(a.sin(), a.sin())


@sinusoidal_positions.misconception(
    "All columns are sines, and each has its own frequency. Sine and cosine come in pairs that share one clock, with "
    "the exponent 2l/d of the even column."
)
def sines_alone_with_a_clock_each(T, d_model):
    return angles(T, -torch.arange(d_model, dtype=torch.float64) / d_model).sin()


@sinusoidal_positions.misconception(
    "Your angles have a factor 2 pi. The first clock turns by 1 radian at each position, not by a whole turn, which "
    "would bring it back to where it was."
)
def whole_turns(T, d_model):
    a = 2 * pi * angles(T, -even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(
    "You raise the whole fraction to the power, (t / 10000)^(2l/d). The power belongs to the base alone: t / "
    "10000^(2l/d), so that the angle grows in proportion to the position."
)
def power_of_the_fraction(T, d_model):
    a = (torch.arange(T, dtype=torch.float64)[:, None] / 10_000) ** (even(d_model) / d_model)
    return pairs(a.sin(), a.cos())


SINGLE_PRECISION = (
    "Your table is float32, the default of torch.zeros and torch.arange(...).float(), as in many tutorials. It has "
    "seven digits, and the angle loses them as the position grows. Compute in float64 throughout: pass dtype."
)


@sinusoidal_positions.misconception(SINGLE_PRECISION)
def single_precision(T, d_model):
    frequencies = torch.exp(torch.arange(0, d_model, 2).float() * (-log(10_000.0) / d_model))
    a = torch.arange(T).float()[:, None] * frequencies
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(SINGLE_PRECISION)
def single_precision_power(T, d_model):
    a = torch.arange(T).float()[:, None] * 10_000.0 ** (-torch.arange(0, d_model, 2).float() / d_model)
    return pairs(a.sin(), a.cos())


@sinusoidal_positions.misconception(SINGLE_PRECISION)
def single_precision_result(T, d_model):
    a = angles(T, -even(d_model) / d_model)
    return pairs(a.sin(), a.cos()).float()


DIGITS_LOST = (
    "Your angles are float32, and converting them, or writing them into a float64 table, brings no digits back: at "
    "position 400 the sixth decimal is already wrong. torch.arange(T) divided by a number gives float32, so start with "
    "float64: pass dtype to arange."
)


@sinusoidal_positions.misconception(DIGITS_LOST)
def converted_at_the_end(T, d_model):
    return single_precision(T, d_model).double()


@sinusoidal_positions.misconception(DIGITS_LOST)
def power_converted_at_the_end(T, d_model):
    return single_precision_power(T, d_model).double()


def table_of(single):
    def positions(T, d_model):
        a = single(T, d_model).double()
        return pairs(a.sin(), a.cos())

    return positions


def columns(T, d_model, angle):
    return torch.stack([angle(torch.arange(T), 2 * pair / d_model) for pair in range(d_model // 2)], dim=-1)


# Angles in float32, by the ways in which they are written: each is rounded differently.
SINGLE_ANGLES = {
    "exp": lambda T, d: torch.arange(T)[:, None] * torch.exp(-torch.arange(0, d, 2) / d * log(10_000.0)),
    "quotient": lambda T, d: torch.arange(T)[:, None] / 10_000.0 ** (torch.arange(0, d, 2) / d),
    "quotient_by_column": lambda T, d: columns(T, d, lambda t, exponent: t / 10_000**exponent),
    "product_by_column": lambda T, d: columns(T, d, lambda t, exponent: t * 10_000**-exponent),
    "number_by_number": lambda T, d: torch.tensor(
        [[t / 10_000 ** (2 * pair / d) for pair in range(d // 2)] for t in range(T)], dtype=torch.float32
    ),
}
for way, single in SINGLE_ANGLES.items():
    sinusoidal_positions.misconception(DIGITS_LOST, name=f"angles_in_float32_{way}")(table_of(single))


@sinusoidal_positions.always("The product of two rows depends on their distance alone.")
def distance_alone(call, rng):
    table = call(T=12, d_model=8)
    products = table @ table.mT
    return all(close(products.diagonal(n), products[0, n].expand(12 - n)) for n in range(12))


@sinusoidal_positions.always("A longer table begins with the shorter one.")
def prefix(call, rng):
    return close(call(T=9, d_model=6)[:5], call(T=5, d_model=6))
