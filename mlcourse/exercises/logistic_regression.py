"""Exercises of the chapter on logistic regression."""

from __future__ import annotations

import numpy as np

from mlcourse import logistic_regression as lo
from mlcourse.exercises.libraries import (
    AUTOGRAD,
    CROSS_ENTROPY,
    ESTIMATORS,
    LOG_SOFTMAX,
    LOGADDEXP,
    LOGSUMEXP,
    SIGMOID,
    SOFTMAX,
)
from mlcourse.exercises.protocol import edge, exercise, random, worked


def quiet():
    """Keep the warnings of a wrong formula to itself."""
    return np.errstate(over="ignore", divide="ignore", invalid="ignore")


def shares(z, axis):
    """Softmax, right."""
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def log_sum(z, axis=1):
    """Log-sum-exp, right."""
    top = z.max(axis=axis, keepdims=True)
    return np.squeeze(top + np.log(np.exp(z - top).sum(axis=axis, keepdims=True)), axis=axis)


def chance(z):
    """Sigmoid, right."""
    return np.exp(-np.logaddexp(0.0, -z))


def scores(rng, n, m):
    """Logits of n examples for m classes, and true classes of which none is missing as long as n >= m."""
    return 2 * rng.standard_normal((n, m)), rng.permutation(np.arange(n) % m)


# 1. sigmoid


def overflow_is_an_error(candidate, z):
    kept = z.copy()
    try:
        with np.errstate(over="raise"):
            return candidate(z)
    except FloatingPointError:  # did the overflow harm a value, or was its value thrown away?
        with np.errstate(all="ignore"):
            value = candidate(kept)
        if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating) and np.isnan(value).any():
            return value
        raise


@exercise(
    "logistic_regression.sigmoid",
    reference=lo.sigmoid,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    run=overflow_is_an_error,
    forbidden=(*SIGMOID, *SOFTMAX),
)
def sigmoid(rng):
    """From log-odds to probabilities, entry by entry, without overflow."""
    yield worked(z=np.array([-np.log(3), 0.0, 1.0, np.log(9)]))
    yield worked(z=np.array([-1000.0, 0.5]))
    yield worked(z=np.array([1000.0, 0.5]))
    for shape in [(5,), (2, 3), (4, 1, 2)]:
        yield random(z=3 * rng.standard_normal(shape))
    yield edge(z=np.zeros(0))
    yield edge(z=np.array([[-1e4], [1e4], [-30.0]]))
    yield edge(z=np.array([0.0, -0.0]))
    yield edge(z=np.array(-1.5))


FALLING = (
    "The sign of the exponent is reversed: your function falls. Large log-odds mean a large probability: 1 / (1 + "
    "e^-z), so that z = 1000 gives 1."
)


@sigmoid.misconception(FALLING)
def falling(z):
    with quiet():
        return 1 / (1 + np.exp(z))


@sigmoid.misconception(FALLING + " (Mind the overflow too: let only numbers that are 0 or less into the exponential.)")
def falling_with_overflow(z):
    return 1 / (1 + np.exp(z))


@sigmoid.misconception(FALLING + " (Mind the overflow too: let only numbers that are 0 or less into the exponential.)")
def falling_with_overflow_below(z):
    return np.exp(-z) / (1 + np.exp(-z))


PARENTHESES = (
    "The denominator ends too early: / is worked off before +, so 1 / 1 + e^-z is 1 + e^-z. Put the whole denominator "
    "into parentheses."
)


@sigmoid.misconception(PARENTHESES)
def parentheses_missing(z):
    return 1 / 1 + np.exp(-z)


@sigmoid.misconception(PARENTHESES)
def parentheses_missing_in_the_other_form(z):
    return np.exp(z) / 1 + np.exp(z)


@sigmoid.misconception(
    "Nothing of yours is below one half: with -abs(z) in 1 / (1 + e^...) a negative z is treated as a positive one. "
    "For a negative z take the other formula, e^z / (1 + e^z)."
)
def sign_lost(z):
    return 1 / (1 + np.exp(-np.abs(z)))


@sigmoid.misconception(
    "Nothing of yours is above one half: with -abs(z) in e^... / (1 + e^...) a positive z is treated as a negative "
    "one. For a positive z take the other formula, 1 / (1 + e^-z)."
)
def sign_lost_the_other_way(z):
    return np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z)))


@sigmoid.misconception(
    "z = 0 belongs to neither of your two parts, so its place keeps what was there before. One of the two comparisons "
    "must include 0: z >= 0. There the probability is one half."
)
def zero_in_no_part(z):
    answer = np.zeros_like(z)
    answer[z > 0] = 1 / (1 + np.exp(-z[z > 0]))
    answer[z < 0] = np.exp(z[z < 0]) / (1 + np.exp(z[z < 0]))
    return answer


@sigmoid.misconception(
    "`if z >= 0` asks for one answer, and an array has one for each entry. Decide entry by entry: fill the two parts "
    "of the result through the masks z >= 0 and z < 0, or use a formula that is safe for both signs."
)
def one_branch_for_the_array(z):
    if z >= 0:
        return 1 / (1 + np.exp(-z))
    return np.exp(z) / (1 + np.exp(z))


@sigmoid.misconception(
    "For z = -1000 your code computes e^1000, which no float64 can hold: 1 / (1 + e^-z) is safe for z >= 0 only. For a "
    "negative z, e^z / (1 + e^z) is the same function and is safe. (If you have it already: np.where computes both its "
    "values for ALL entries and picks afterwards. Put -abs(z) into every exponential.)"
)
def overflows_for_negative(z):
    return 1 / (1 + np.exp(-z))


@sigmoid.misconception(
    "For z = 1000 you compute e^1000, which no float64 can hold: it overflows, and infinity over infinity is nan. For "
    "a positive z, 1 / (1 + e^-z) is the same function and is safe."
)
def overflows_for_positive(z):
    return np.exp(z) / (1 + np.exp(z))


@sigmoid.misconception(
    "You have both formulas on the right sides, but np.where computes both for ALL entries and picks afterwards, so "
    "the unsafe one still overflows. Put -abs(z) into the exponential, or fill each part of the result by itself."
)
def both_branches_everywhere(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z)))


@sigmoid.misconception(
    "At z = 1000 your code computes e^1000, which no float64 can hold, although nothing of it is left in the result. "
    "(np.where computes both its values for ALL entries and picks afterwards.) Put -abs(z) into every exponential, or "
    "fill each part of the result by itself."
)
def overflow_for_positive_thrown_away(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(z) / (1 + np.exp(z)))


SIDES_SWAPPED = (
    "You have both formulas, and each stands on the wrong side: at z = 1000 you take e^z / (1 + e^z), which is "
    "infinity over infinity, and at z = -1000 1 / (1 + e^-z) with its e^1000. Turn the comparison around: 1 / (1 + "
    "e^-z) where z >= 0, the other one where z < 0."
)


@sigmoid.misconception(
    SIDES_SWAPPED + " (With np.where that is not enough, because it computes both for ALL entries: fill each part of "
    "the result by itself.)"
)
def sides_swapped(z):
    answer, negative = np.zeros_like(z), z < 0
    with np.errstate(invalid="ignore"):
        answer[negative] = 1 / (1 + np.exp(-z[negative]))
        answer[~negative] = np.exp(z[~negative]) / (1 + np.exp(z[~negative]))
    return answer


@sigmoid.misconception(SIDES_SWAPPED)
def sides_swapped_with_math(z):
    import math

    answer = [math.exp(v) / (1 + math.exp(v)) if v >= 0 else 1 / (1 + math.exp(-v)) for v in z.ravel()]
    return np.array(answer).reshape(z.shape)


@sigmoid.misconception(
    "math.exp raises an error where NumPy would give infinity. The remedy is the same: let only numbers that are 0 or "
    "less into the exponential."
)
def entry_by_entry_with_math(z):
    import math

    return np.array([1 / (1 + math.exp(-value)) for value in z.ravel()]).reshape(z.shape)


@sigmoid.misconception(
    "`for t in z` walks along the first axis, and a single number, an array of shape (), has none: Python cannot walk "
    "along it, and len(z) fails too. The formula needs no loop: np.exp takes an array of any shape."
)
def loop_over_the_first_axis(z):
    return np.array([chance(part) for part in z])


for bound in (10, 20):

    def cut_off(z, bound=bound):
        return 1 / (1 + np.exp(-np.clip(z, -bound, bound)))

    sigmoid.misconception(
        f"You cut the log-odds off at {bound}. That is too early: at z = -1000 you return 1 / (1 + e^{bound}), where "
        "float64 has 0. Numbers up to 700 may go into the exponential; it is better to let only those in that are 0 or "
        "less, and to cut off nothing.",
        f"log_odds_cut_off_at_{bound}",
    )(cut_off)


@sigmoid.misconception(
    "This is the hyperbolic tangent. It has the same form, but goes from -1 to 1, and a probability does not. "
    "(sigmoid(z) = (1 + tanh(z / 2)) / 2.)"
)
def hyperbolic_tangent(z):
    return np.tanh(z)


@sigmoid.misconception(
    "You stretch the hyperbolic tangent into the range from 0 to 1, but it is twice as steep as the sigmoid: use z / 2 "
    "inside it."
)
def too_steep(z):
    return (1 + np.tanh(z)) / 2


@sigmoid.misconception(
    "e^z are the ODDS, the chance for divided by the chance against. The probability is odds / (1 + odds)."
)
def odds(z):
    return np.exp(z)


@sigmoid.misconception(
    "You return decisions, 0 or 1. Here the probability itself is asked: at z = 1 it is 0.73, not 1."
)
def a_step(z):
    return np.where(z > 0, 1.0, 0.0)


@sigmoid.misconception(
    "You divide by the sum over all entries: that is softmax, in which the entries compete. Here each entry is a case "
    "of its own and its rival is 0: the 1 in 1 + e^z."
)
def softmax_of_everything(z):
    powers = np.exp(z - z.max(initial=-np.inf))
    return powers / powers.sum()


@sigmoid.misconception(
    "You return the slope of the sigmoid, p (1 - p). Asked is p: for z = 1000 it is 1, and the slope is 0."
)
def its_slope(z):
    return chance(z) * chance(-z)


KEPT_AWAY_FROM_ZERO_AND_ONE = (
    "You keep the probability away from 0 and 1 by a small number. People do that who take its logarithm afterwards, "
    "and every chance below the number becomes wrong. At z = -1000 the sigmoid is 0 in float64: return it as it is."
)


def kept_away_from_zero_and_one(number):
    return lambda z: np.clip(chance(z), number, 1 - number)


for digits in (4, 5, 6, 7, 8):
    sigmoid.misconception(KEPT_AWAY_FROM_ZERO_AND_ONE, f"clipped_at_1e_{digits}")(
        kept_away_from_zero_and_one(10.0**-digits)
    )


@sigmoid.misconception(
    "The numbers are right, but the input has changed: with `out=z`, `z *= -1` or `z[...] = ` you write into the "
    "caller's array. Build a new one."
)
def written_into_the_input(z):
    answer = chance(z)
    z[...] = answer
    return answer


@sigmoid.misconception(
    "The numbers are right, but large entries of the input have changed: you cut them off in the caller's array, with "
    "`out=z` or `z[z > ...] = `. Build a new array: `z = np.clip(z, ...)` without `out` does."
)
def input_cut_off_in_place(z):
    np.clip(z, -700, 700, out=z)
    return 1 / (1 + np.exp(-z))


@sigmoid.misconception(
    "The numbers are right, but negative entries of the input have changed: you turn or replace them in the caller's "
    "array, with `z[z < 0] *= -1` or `np.abs(z, out=z)`. Build a new array: np.abs(z) without `out` does."
)
def signs_removed_in_place(z):
    answer = chance(z)
    np.abs(z, out=z)
    return answer


@sigmoid.always("sigmoid(-z) must be 1 - sigmoid(z), and sigmoid must grow.")
def mirror_and_growth(call, rng):
    z = np.sort(4 * rng.standard_normal(9))
    here, there = call(z=z.copy()), call(z=-z)
    return bool(np.allclose(here + there, 1, rtol=1e-5) and np.all(np.diff(here) > -1e-9))


# 2. softmax


@exercise(
    "logistic_regression.softmax",
    reference=lo.softmax,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(*SOFTMAX, *LOGSUMEXP),
)
def softmax(rng):
    """Probabilities that sum to one along a given axis, for logits of any size."""
    z = np.array([[0.0, np.log(2), np.log(5)], [1.0, 1.0, 3.0]])
    yield worked(z=z.copy(), axis=1)
    yield worked(z=z.copy(), axis=0)
    yield worked(z=np.array([[1000.0, 1001.0, 0.0], [0.0, 1.0, -1.0]]), axis=1)
    for shape, axis in [((2, 5), -1), ((4, 3), 0), ((2, 3, 4), 1), ((3, 2, 4), 2)]:
        yield random(z=2 * rng.standard_normal(shape), axis=axis)
    yield edge(z=np.array([[3.0], [-1e4]]), axis=1)
    yield edge(z=np.full((2, 3), 7.0), axis=-1)
    yield edge(z=np.array([-1e4, 1e4, 1e4]), axis=0)
    yield edge(z=rng.standard_normal((2, 3)) - 1e4, axis=1)


@softmax.misconception(
    "You always work along the last axis. The argument `axis` says along which one the result sums to 1."
)
def always_the_last_axis(z, axis):
    return shares(z, -1)


@softmax.misconception(
    "You always work along the first axis. The argument `axis` says along which one the result sums to 1."
)
def always_the_first_axis(z, axis):
    return shares(z, 0)


@softmax.misconception(
    "You always work along axis 1. The argument `axis` says along which one the result sums to 1; it may also be 0, 2 "
    "or -1."
)
def always_axis_one(z, axis):
    return shares(z, 1)


@softmax.misconception(
    "The maximum follows the argument `axis`, and the sum does not: it always runs along the first axis. .sum(axis=0) "
    "does that, and so does Python's own sum. Use .sum(axis=axis, keepdims=True)."
)
def sum_along_the_first_axis(z, axis):
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / sum(powers)


@softmax.misconception(
    "You put the lost axis back at the END. That is its place only if it was the last one: keepdims=True keeps it "
    "where it was."
)
def axis_put_back_at_the_end(z, axis):
    powers = np.exp(z - z.max(axis=axis)[..., None])
    return powers / powers.sum(axis=axis)[..., None]


@softmax.misconception(
    "[:, None] puts the lost axis back as axis 1, which is its place only for axis=1 (or for -1 in a matrix). "
    "keepdims=True keeps it where it was, in the maximum and in the sum."
)
def axis_put_back_as_axis_one(z, axis):
    powers = np.exp(z - z.max(axis=axis)[:, None])
    return powers / powers.sum(axis=axis)[:, None]


MAXIMUM_ALONG_ANOTHER_AXIS = (
    "The sum follows the argument `axis`, and the maximum does not: it always runs along the {} axis. Then the entries "
    "of one slice are shifted by different numbers, and that changes their shares. Give max the same axis."
)
for place, which in ((0, "first"), (1, "second"), (-1, "last")):

    def maximum_along(z, axis, place=place):
        with quiet():
            powers = np.exp(z - z.max(axis=place, keepdims=True))
            return powers / powers.sum(axis=axis, keepdims=True)

    softmax.misconception(MAXIMUM_ALONG_ANOTHER_AXIS.format(which), f"maximum_along_the_{which}_axis")(maximum_along)


@softmax.misconception(
    "You shift the numerator and not the denominator. The shift cancels only if both have it: take the exponentials of "
    "the shifted logits once, and divide these by their sum."
)
def only_the_numerator_shifted(z, axis):
    with quiet():
        return np.exp(z - z.max(axis=axis, keepdims=True)) / np.exp(z).sum(axis=axis, keepdims=True)


@softmax.misconception(
    "You return the exponentials. Divide them by their sum along the axis, so that they become shares that sum to 1."
)
def not_divided(z, axis):
    return np.exp(z - z.max(axis=axis, keepdims=True))


@softmax.misconception(
    "You cut the logits off, so that all beyond the bound become equal: 1000 and 1001 then get the same share. "
    "Subtract the maximum instead. That changes no share."
)
def logits_cut_off(z, axis):
    return shares(np.clip(z, -500, 500), axis)


@softmax.misconception(
    "You replace nan by 0, which hides the overflow: the largest logit then gets the share 0. Avoid it instead, and "
    "subtract the maximum first."
)
def nan_replaced(z, axis):
    with quiet():
        powers = np.exp(z)
        return np.nan_to_num(powers / powers.sum(axis=axis, keepdims=True))


@softmax.misconception(
    "You subtract the MEAN of each slice. That changes no share either, but what stands far above the mean still "
    "overflows. Subtract the largest logit, and the largest exponent is 0."
)
def mean_subtracted(z, axis):
    with quiet():
        powers = np.exp(z - z.mean(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(
    "You subtract the largest ABSOLUTE value. For a slice of very negative logits that pushes every exponential to 0, "
    "and 0/0 is nan. Subtract the largest logit, with its sign."
)
def largest_absolute_value_subtracted(z, axis):
    with quiet():
        powers = np.exp(z - np.abs(z).max(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(
    "All entries together sum to 1. Each slice along the axis is a case of its own and must sum to 1 by itself: give "
    "sum the axis, and keepdims=True."
)
def one_sum_for_all(z, axis):
    powers = np.exp(z - z.max())
    return powers / powers.sum()


@softmax.misconception(
    "The maximum is right, and you divide by ONE sum for the whole array. Each slice along the axis must sum to 1 by "
    "itself: give sum the axis too, and keepdims=True."
)
def one_sum_for_all_after_the_right_shift(z, axis):
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return powers / powers.sum()


SUM_ALONG_ANOTHER_AXIS = (
    "The maximum follows the argument `axis`, and the sum does not: it always runs along the {} axis. The shares must "
    "sum to 1 along the given one: .sum(axis=axis, keepdims=True)."
)
for place, which in ((1, "second"), (-1, "last")):

    def sum_along(z, axis, place=place):
        powers = np.exp(z - z.max(axis=axis, keepdims=True))
        return powers / powers.sum(axis=place, keepdims=True)

    softmax.misconception(SUM_ALONG_ANOTHER_AXIS.format(which), f"sum_along_the_{which}_axis")(sum_along)


AND_NO_SHIFT = " (And e^1000 is infinite: subtract the largest logit of each slice first.)"


@softmax.misconception(
    "All entries together sum to 1. Each slice along the axis is a case of its own: give sum the axis, and "
    "keepdims=True." + AND_NO_SHIFT
)
def one_sum_for_all_and_no_shift(z, axis):
    with quiet():
        return np.exp(z) / np.exp(z).sum()


@softmax.misconception(
    "You always work along axis 1. The argument `axis` says along which one the result sums to 1." + AND_NO_SHIFT
)
def always_axis_one_and_no_shift(z, axis):
    with quiet():
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@softmax.misconception(
    "e^1000 is infinite, and infinity over infinity is nan. Subtract the largest logit first: that changes no share, "
    "because it divides numerator and denominator by the same number."
)
def no_shift(z, axis):
    with quiet():
        powers = np.exp(z)
        return powers / powers.sum(axis=axis, keepdims=True)


SMALLEST_SUBTRACTED = (
    "You subtract the SMALLEST logit. That changes no share either, but it makes the others larger still: they "
    "overflow, and infinity over infinity is nan. Subtract the largest logit of {}, and the largest exponent is 0."
)


@softmax.misconception(SMALLEST_SUBTRACTED.format("each slice"))
def smallest_subtracted(z, axis):
    with quiet():
        powers = np.exp(z - z.min(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(SMALLEST_SUBTRACTED.format("each slice (not one number for the whole array)"))
def smallest_of_all_subtracted(z, axis):
    with quiet():
        powers = np.exp(z - z.min())
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(
    "You subtract the largest number of the WHOLE array. In a row that lies far below it every exponential underflows, "
    "and 0/0 is nan. Each slice needs its own maximum: give max the axis, and keepdims=True."
)
def one_maximum_for_all(z, axis):
    with quiet():
        powers = np.exp(z - z.max())
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(
    "Without keepdims=True the sum or the maximum loses its axis and is lined up with the wrong one. Keep it as an "
    "axis of length 1."
)
def axis_lost(z, axis):
    with quiet():
        powers = np.exp(z - z.max(axis=axis))
        return powers / powers.sum(axis=axis)


@softmax.misconception(
    "Without keepdims=True the sum loses its axis and is lined up with the wrong one. The maximum is right: treat the "
    "sum in the same way."
)
def axis_of_the_sum_lost(z, axis):
    with quiet():
        powers = np.exp(z - z.max(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis)


@softmax.misconception(
    "You apply the sigmoid to each entry. Softmax is not elementwise: each share depends on all logits of its slice, "
    "through the sum in the denominator."
)
def sigmoid_of_each(z, axis):
    return chance(z)


@softmax.misconception(
    "You divide the logits by their sum, without the exponential. Logits may be negative, and then this gives negative "
    "shares, or divides by 0."
)
def without_the_exponential(z, axis):
    with quiet():
        return z / z.sum(axis=axis, keepdims=True)


@softmax.misconception("You return the LOGARITHM of the shares. The shares themselves are asked: they sum to 1.")
def logarithm_of_softmax(z, axis):
    return z - np.expand_dims(log_sum(z, axis), axis)


LARGEST_GETS_LEAST = (
    "You use e^-z, so the largest logit gets the smallest share. Subtract the maximum FROM the logits, not the other "
    "way around."
)


@softmax.misconception(LARGEST_GETS_LEAST)
def logits_subtracted_from_the_maximum(z, axis):
    with quiet():
        powers = np.exp(z.max(axis=axis, keepdims=True) - z)
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(LARGEST_GETS_LEAST)
def largest_gets_least(z, axis):
    return shares(-z, axis)


@softmax.misconception(
    "You divide by the maximum where you should subtract it. Subtracting changes no share; dividing is a change of "
    "temperature, and it changes all of them."
)
def divided_by_the_maximum(z, axis):
    with quiet():
        powers = np.exp(z / z.max(axis=axis, keepdims=True))
        return powers / powers.sum(axis=axis, keepdims=True)


@softmax.misconception(
    "The numbers are right, but the caller's z has changed, and the next function gets other logits: `z -= ...` and "
    "`out=z` write into the array itself. Build a new one, as `z = z - ...` does."
)
def shifted_in_place(z, axis):
    z -= z.max(axis=axis, keepdims=True)
    return np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)


@softmax.always("Adding one number to all logits of a slice must change nothing, and every slice must sum to 1.")
def shift_and_sum(call, rng):
    z = rng.standard_normal((3, 5))
    here, there = call(z=z.copy(), axis=1), call(z=z + np.array([[7.0], [-3.0], [0.5]]), axis=1)
    return bool(np.allclose(here, there, rtol=1e-5) and np.allclose(here.sum(axis=1), 1, rtol=1e-5))


@softmax.always("The shares of [z, 0] must be sigmoid(z) and 1 - sigmoid(z).")
def two_classes_are_the_sigmoid(call, rng):
    z = 3 * rng.standard_normal(6)
    got = call(z=np.stack([z, np.zeros(6)], axis=1), axis=1)
    return bool(np.allclose(got, np.stack([chance(z), chance(-z)], axis=1), rtol=1e-5))


# 3. logsumexp


@exercise(
    "logistic_regression.logsumexp",
    reference=lo.logsumexp,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(*LOGSUMEXP, *LOGADDEXP, *SOFTMAX),
)
def logsumexp(rng):
    """Logarithm of a sum of exponentials along an axis, for numbers of any size."""
    z = np.array([[0.0, np.log(2), np.log(5)], [1.0, 1.0, 3.0]])
    yield worked(z=z.copy(), axis=1)
    yield worked(z=z.copy(), axis=0)
    yield worked(z=np.array([[1000.0, 0.0], [-1000.0, -1000.0], [1.0, 1.0]]), axis=1)
    for shape, axis in [((2, 5), -1), ((4, 3), 0), ((2, 3, 4), 1), ((3, 2, 4), 2)]:
        yield random(z=2 * rng.standard_normal(shape), axis=axis)
    yield edge(z=np.array([[3.0], [-1e4]]), axis=1)
    yield edge(z=np.full((2, 3), -7.0), axis=-1)
    yield edge(z=np.array([-1e4, 1e4, 1e4]), axis=0)
    yield edge(z=np.zeros((0, 3)), axis=1)
    yield edge(z=rng.standard_normal((1, 3)), axis=1)


@logsumexp.misconception(
    "e^1000 is infinite, and e^-1000 is 0, whose logarithm is minus infinity. Take the largest number c out of the "
    "sum: the sum of e^z is e^c times the sum of e^(z - c), and the logarithm of e^c is c."
)
def nothing_taken_out(z, axis):
    with quiet():
        return np.log(np.exp(z).sum(axis=axis))


TAKE_IT_OUT = " (And take the largest number of each slice out of the sum: e^1000 is infinite.)"


@logsumexp.misconception("You sum over everything. Only the given axis disappears." + TAKE_IT_OUT)
def everything_summed_and_nothing_taken_out(z, axis):
    with quiet():
        return np.log(np.exp(z).sum())


@logsumexp.misconception("The axis is still there, with length 1: leave keepdims=True out." + TAKE_IT_OUT)
def axis_kept_and_nothing_taken_out(z, axis):
    with quiet():
        return np.log(np.exp(z).sum(axis=axis, keepdims=True))


@logsumexp.misconception("You always sum along axis 1. The argument `axis` says which one disappears." + TAKE_IT_OUT)
def axis_one_summed_and_nothing_taken_out(z, axis):
    with quiet():
        return np.log(np.exp(z).sum(axis=1))


@logsumexp.misconception(
    "You subtract the maximum and do not put it back. Unlike softmax, log-sum-exp moves with its input: add c to the "
    "result."
)
def maximum_not_added_back(z, axis):
    return np.log(np.exp(z - z.max(axis=axis, keepdims=True)).sum(axis=axis))


@logsumexp.misconception(
    "You subtract the maximum before, and again after. Taken out of the sum it must be added back to the logarithm."
)
def maximum_subtracted_again(z, axis):
    top = z.max(axis=axis, keepdims=True)
    return np.squeeze(np.log(np.exp(z - top).sum(axis=axis, keepdims=True)) - top, axis=axis)


@logsumexp.misconception(
    "You take out the largest number of the WHOLE array. In a row that lies far below it all exponentials become 0, "
    "and the logarithm minus infinity. Each slice needs its own maximum: give max the axis."
)
def one_maximum_taken_out(z, axis):
    with quiet():
        top = z.max(initial=-np.inf)
        return np.log(np.exp(z - top).sum(axis=axis)) + top


@logsumexp.misconception(
    "You take out the largest ABSOLUTE value. For a row of negative numbers that pushes every exponential to 0. Take "
    "out the largest number, with its sign."
)
def largest_absolute_value_taken_out(z, axis):
    with quiet():
        top = np.abs(z).max(axis=axis, keepdims=True)
        return np.squeeze(np.log(np.exp(z - top).sum(axis=axis, keepdims=True)) + top, axis=axis)


@logsumexp.misconception(
    "You take out the MEAN of each slice. What stands far above the mean still overflows. Take out the largest number, "
    "and the largest exponent is 0."
)
def mean_taken_out(z, axis):
    with quiet():
        middle = z.mean(axis=axis, keepdims=True)
        return np.squeeze(middle + np.log(np.exp(z - middle).sum(axis=axis, keepdims=True)), axis=axis)


@logsumexp.misconception(
    "You take out the SMALLEST number, so that the others become larger still, and overflow. Take out the largest, and "
    "the largest exponent is 0."
)
def smallest_taken_out(z, axis):
    with quiet():
        least = z.min(axis=axis, keepdims=True)
        return np.squeeze(least + np.log(np.exp(z - least).sum(axis=axis, keepdims=True)), axis=axis)


OTHER_AXIS = " The argument `axis` says which one disappears."


@logsumexp.misconception("You always sum along the last axis." + OTHER_AXIS)
def sums_the_last_axis(z, axis):
    return log_sum(z, -1)


@logsumexp.misconception("You always sum along the first axis." + OTHER_AXIS)
def sums_the_first_axis(z, axis):
    return log_sum(z, 0)


@logsumexp.misconception("You always sum along axis 1. The argument may also be 0, 2 or -1." + OTHER_AXIS)
def sums_axis_one(z, axis):
    return log_sum(z, 1)


@logsumexp.misconception("You sum over everything and return one number. Only the given axis disappears.")
def sums_everything(z, axis):
    top = z.max(initial=-np.inf)
    with quiet():
        return top + np.log(np.exp(z - top).sum())


@logsumexp.misconception(
    "The numbers are right, but the axis is still there, with length 1. It was needed to subtract the maximum; remove "
    "it from the result, for example with np.squeeze."
)
def axis_kept(z, axis):
    return np.expand_dims(log_sum(z, axis), axis)


@logsumexp.misconception(
    "The maximum has kept its axis and the sum has lost it: (n, 1) plus (n,) is (n, n). Give both keepdims=True and "
    "remove the axis at the end, or remove it from the maximum before you add."
)
def axis_kept_in_the_maximum_alone(z, axis):
    top = z.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(z - top).sum(axis=axis))


@logsumexp.misconception(
    "np.squeeze without an axis removes EVERY axis of length 1, also one that was in z from the start. Name the one "
    "that shall disappear: np.squeeze(..., axis=axis)."
)
def all_short_axes_removed(z, axis):
    return np.squeeze(log_sum(z, axis))


OTHER_BASE = "You take the logarithm to base {}. Asked is the natural one, which undoes e^z: the result is in nats."
ONE_MORE = (
    "np.log1p(s) is the logarithm of 1 + s, so your sum has a 1 too many. It is made for sums of the form 1 + s with a "
    "small s, as in the loss for two classes. Here the sum is complete."
)
NO_LOGARITHM = (
    "The logarithm is missing: you stop at the sum of the exponentials. First the exponentials, then their sum, then "
    "its logarithm."
)
OTHER_LOGARITHMS = {
    "logarithm_to_base_two": (OTHER_BASE.format(2), np.log2),
    "logarithm_to_base_ten": (OTHER_BASE.format(10), np.log10),
    "one_added_to_the_sum": (ONE_MORE, np.log1p),
    "no_logarithm": (NO_LOGARITHM, np.positive),
}


def with_another_logarithm(logarithm):
    def shifted(z, axis):
        top = z.max(axis=axis, keepdims=True)
        return np.squeeze(top + logarithm(np.exp(z - top).sum(axis=axis, keepdims=True)), axis=axis)

    return shifted


def with_another_logarithm_and_nothing_taken_out(logarithm):
    def unshifted(z, axis):
        with quiet():
            return logarithm(np.exp(z).sum(axis=axis))

    return unshifted


for name, (hint, logarithm) in OTHER_LOGARITHMS.items():
    logsumexp.misconception(hint, name)(with_another_logarithm(logarithm))
    declare = logsumexp.misconception(hint + TAKE_IT_OUT, f"{name}_and_nothing_taken_out")
    declare(with_another_logarithm_and_nothing_taken_out(logarithm))


@logsumexp.misconception(
    "You return z minus the result, the logarithms of the softmax. Asked is the logarithm of the sum itself, one "
    "number for each slice."
)
def logarithms_of_the_shares(z, axis):
    return z - np.expand_dims(log_sum(z, axis), axis)


@logsumexp.misconception("You take the mean of the exponentials. That is smaller by log(length): the SUM is asked.")
def log_mean_exp(z, axis):
    return log_sum(z, axis) - np.log(z.shape[axis])


@logsumexp.misconception(
    "The logarithm of a sum is not the sum of the logarithms: you return the sum of the z. First the exponentials, "
    "then the sum, then the logarithm."
)
def sum_of_logarithms(z, axis):
    return z.sum(axis=axis)


@logsumexp.misconception(
    "You return the maximum. It is close when one number stands out; otherwise up to log(length) is missing: add the "
    "logarithm of the sum of e^(z - c)."
)
def the_hard_maximum(z, axis):
    return z.max(axis=axis)


@logsumexp.misconception(
    "The maximum lost its axis before you subtracted it, so it is lined up with the wrong one. Use keepdims=True there."
)
def axis_lost_in_the_maximum(z, axis):
    with quiet():
        top = z.max(axis=axis)
        return top + np.log(np.exp(z - top).sum(axis=axis))


MAXIMUM_ALONG_THE_FIRST_AXIS = (
    "The sum follows the argument `axis`, and the maximum does not: it runs along the first axis. Each slice of the "
    "sum needs one number that is taken out of it: give max the same axis."
)


@logsumexp.misconception(MAXIMUM_ALONG_THE_FIRST_AXIS)
def maximum_along_the_first_axis(z, axis):
    with quiet():
        top = z.max(axis=0)
        return top + np.log(np.exp(z - top).sum(axis=axis))


@logsumexp.misconception(MAXIMUM_ALONG_THE_FIRST_AXIS)
def maximum_along_the_first_axis_that_is_kept(z, axis):
    with quiet():
        top = z.max(axis=0, keepdims=True)
        return np.squeeze(top + np.log(np.exp(z - top).sum(axis=axis, keepdims=True)), axis=axis)


@logsumexp.misconception(MAXIMUM_ALONG_THE_FIRST_AXIS + " And of both the axis must be gone in the result.")
def maximum_along_the_first_axis_and_kept_alone(z, axis):
    with quiet():
        top = z.max(axis=0, keepdims=True)
        return top + np.log(np.exp(z - top).sum(axis=axis))


@logsumexp.misconception(
    "[:, None] puts the lost axis of the maximum back as axis 1, which is its place only for axis=1 (or for -1 in a "
    "matrix). keepdims=True keeps it where it was."
)
def axis_of_the_maximum_put_back_as_axis_one(z, axis):
    top = z.max(axis=axis)
    return top + np.log(np.exp(z - top[:, None]).sum(axis=axis))


@logsumexp.misconception(
    "The numbers are right, but the caller's z has changed: `z -= ...` and `out=z` write into the array itself. Build "
    "a new one, as `z = z - ...` does."
)
def maximum_subtracted_in_place(z, axis):
    top = z.max(axis=axis, keepdims=True)
    z -= top
    return np.squeeze(top, axis=axis) + np.log(np.exp(z).sum(axis=axis))


@logsumexp.always("Adding a number to all entries must add it to the result.")
def moves_along(call, rng):
    z = rng.standard_normal((3, 4))
    here, there = call(z=z.copy(), axis=1), call(z=z + 12.5, axis=1)
    return bool(np.allclose(there - here, 12.5, rtol=1e-5))


@logsumexp.always("The result must lie between the largest entry and that entry plus log(length).")
def between_two_bounds(call, rng):
    z = 3 * rng.standard_normal((5, 4))
    got, top = call(z=z.copy(), axis=1), z.max(axis=1)
    return bool(np.all(got >= top - 1e-5) and np.all(got <= top + np.log(4) + 1e-5))


# 4. cross_entropy_from_logits


@exercise(
    "logistic_regression.cross_entropy_from_logits",
    reference=lo.cross_entropy_from_logits,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(*CROSS_ENTROPY, *LOG_SOFTMAX),
)
def cross_entropy_from_logits(rng):
    """Mean surprise at the true classes, from logits of any size."""
    yield worked(logits=np.array([[0.0, np.log(3), 0.0], [0.0, 0.0, np.log(2)]]), labels=np.array([1, 0]))
    yield worked(logits=np.array([[0.0, 1000.0, 1.0], [2.0, 0.0, 0.0]]), labels=np.array([0, 0]))
    yield worked(logits=np.array([[1000.0, 1001.0, 999.0], [0.0, 0.0, 1.0]]), labels=np.array([1, 2]))
    yield worked(logits=np.array([[14.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), labels=np.array([1, 2]))
    yield worked(logits=np.array([[1000.0, 1001.0, 999.0], [1002.0, 1000.0, 1001.0]]), labels=np.array([0, 2]))
    for n, m in [(4, 3), (7, 5), (6, 2)]:
        logits, labels = scores(rng, n, m)
        yield random(logits=logits, labels=labels)
    yield edge(logits=np.array([[3.0]]), labels=np.array([0]))
    yield edge(logits=np.full((5, 3), 2.0), labels=np.array([2, 2, 0, 1, 0]))
    yield edge(logits=np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]), labels=np.array([1, 2]))


def at(table, labels):
    """Return the entry of each row at its label."""
    return table[np.arange(len(labels)), labels]


@cross_entropy_from_logits.misconception(
    "Softmax rounds the probability of a hopeless class to 0, and the logarithm of 0 is minus infinity. Do not go "
    "through the probability: the surprise is logsumexp(z) - z at the true class, two numbers of moderate size."
)
def logarithm_of_a_rounded_softmax(logits, labels):
    with quiet():
        return -np.log(at(shares(logits, 1), labels)).mean()


SMALL_NUMBER_IN_THE_LOGARITHM = (
    "The small number in the logarithm keeps infinity away, and replaces it by a number that you invented: no surprise "
    "can be larger than its logarithm, and there the gradient is lost. The true surprise, logsumexp(z) - z at the true "
    "class, is finite without any help."
)


def at_least(number):
    def loss(logits, labels):
        return -np.log(np.maximum(at(shares(logits, 1), labels), number)).mean()

    return loss


def plus(number):
    def loss(logits, labels):
        return -np.log(at(shares(logits, 1), labels) + number).mean()

    return loss


small_number = cross_entropy_from_logits.misconception
for digits in (6, 7, 8, 9, 10, 12, 15, 16, 20, 300):
    small_number(SMALL_NUMBER_IN_THE_LOGARITHM, f"at_least_1e_{digits}")(at_least(10.0**-digits))
for digits in (6, 7, 8, 9, 10):  # a smaller one gives the same, whether it is added or is the least
    small_number(SMALL_NUMBER_IN_THE_LOGARITHM, f"plus_1e_{digits}")(plus(10.0**-digits))
small_number(SMALL_NUMBER_IN_THE_LOGARITHM, "at_least_the_machine_epsilon")(at_least(np.finfo(float).eps))
small_number(SMALL_NUMBER_IN_THE_LOGARITHM, "at_least_the_smallest_normal_number")(at_least(np.finfo(float).tiny))


def unshifted(logits):
    """Softmax whose exponentials overflow."""
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def rounded(logits):
    """Softmax whose small shares are rounded to 0."""
    return shares(logits, 1)


RETURN_INSIDE_THE_LOOP = (
    "Only the first example counts: `return` stands inside the loop and ends it in the first round. Take it out, below "
    "the loop, with the indentation of `for`."
)
COUNTED_FROM_ONE = (
    "You subtract 1 from the labels. The text of the chapter counts classes from 1 to m; in code they are counted from "
    "0 to m - 1, as columns are, so the labels are used as they are. (Label 0 minus 1 is the LAST column in Python.)"
)
ROWS_AND_COLUMNS_SWAPPED = (
    "The two index arrays have changed places: rows come first, and there is one row per example. "
    "table[np.arange(n), labels], not table[labels, np.arange(n)]."
)

# Most of these mistakes are made on the way through the probabilities, and then two things are wrong at once.
THROUGH_THE_PROBABILITY = {
    "unshifted": (unshifted, " (And e^1000 is infinite: the surprise is logsumexp(z) - z at the true class.)"),
    "rounded": (
        rounded,
        " (And a hopeless class is rounded to 0: the surprise is logsumexp(z) - z at the true class.)",
    ),
}
THROUGH_THE_PROBABILITY_AND = {
    "sum_for_mean": ("You sum over the examples. The mean is asked: divide by n.", np.sum),
    "log_likelihood": ("The sign is reversed: the NEGATIVE of the logarithm is the loss.", lambda loss: -np.mean(loss)),
    "one_per_example": ("You return one surprise per example. Their mean is asked: one number.", lambda loss: loss),
    "first_example_over_n": (RETURN_INSIDE_THE_LOOP, lambda loss: loss[0] / len(loss)),
    "first_example_alone": (RETURN_INSIDE_THE_LOOP, lambda loss: loss[0]),
}


def through_the_probability(way, end, pick=at):
    def loss(logits, labels):
        with quiet():
            return end(-np.log(pick(way(logits), labels)))

    return loss


for kind, (way, remark) in THROUGH_THE_PROBABILITY.items():
    for mistake, (hint, end) in THROUGH_THE_PROBABILITY_AND.items():
        declare = cross_entropy_from_logits.misconception(hint + remark, f"{mistake}_{kind}")
        declare(through_the_probability(way, end))
    declare = cross_entropy_from_logits.misconception(
        "`table[:, labels]` picks, for every example, the columns of ALL labels. One entry per row is needed: "
        "table[np.arange(n), labels]." + remark,
        f"all_labels_for_every_row_{kind}",
    )
    declare(through_the_probability(way, np.mean, lambda table, labels: table[:, labels]))
    declare = cross_entropy_from_logits.misconception(COUNTED_FROM_ONE + remark, f"labels_counted_from_one_{kind}")
    declare(through_the_probability(way, np.mean, lambda table, labels: at(table, labels - 1)))


@cross_entropy_from_logits.misconception(
    ROWS_AND_COLUMNS_SWAPPED + " (And do not go through the probability: the surprise is logsumexp(z) - z at the true "
    "class.)"
)
def rows_and_columns_swapped_in_the_probabilities(logits, labels):
    with quiet():
        return -np.log(rounded(logits)[labels, np.arange(len(labels))]).mean()


@cross_entropy_from_logits.misconception(ROWS_AND_COLUMNS_SWAPPED)
def rows_and_columns_swapped(logits, labels):
    return (log_sum(logits) - logits[labels, np.arange(len(labels))]).mean()


@cross_entropy_from_logits.misconception(ROWS_AND_COLUMNS_SWAPPED)
def rows_and_columns_swapped_in_the_logarithms(logits, labels):
    return (log_sum(logits)[:, None] - logits)[labels, np.arange(len(labels))].mean()


@cross_entropy_from_logits.misconception(COUNTED_FROM_ONE)
def labels_counted_from_one(logits, labels):
    return (log_sum(logits) - at(logits, labels - 1)).mean()


@cross_entropy_from_logits.misconception(RETURN_INSIDE_THE_LOOP)
def first_example_over_n(logits, labels):
    return (log_sum(logits) - at(logits, labels))[0] / len(labels)


@cross_entropy_from_logits.misconception(RETURN_INSIDE_THE_LOOP)
def first_example_alone(logits, labels):
    return (log_sum(logits) - at(logits, labels))[0]


def plus_and_unshifted(number):
    def loss(logits, labels):
        with quiet():
            return -np.log(at(unshifted(logits), labels) + number).mean()

    return loss


for digits in (6, 7, 8, 9, 10, 12, 15, 16):
    small_number(
        SMALL_NUMBER_IN_THE_LOGARITHM + " (And e^1000 is infinite, with a nan behind it.)",
        f"plus_1e_{digits}_unshifted",
    )(plus_and_unshifted(10.0**-digits))


@cross_entropy_from_logits.misconception(
    "You subtract the label itself, the NUMBER of the true class. Subtract the logit that stands at its place: "
    "logits[np.arange(n), labels]."
)
def label_for_its_logit(logits, labels):
    return (log_sum(logits) - labels).mean()


@cross_entropy_from_logits.misconception(
    "You take the largest logit out of the sum and do not put it back. logsumexp(z) is the maximum PLUS the logarithm "
    "of the shifted sum. (Or shift the true logit as well.)"
)
def maximum_not_put_back(logits, labels):
    return (log_sum(logits) - logits.max(axis=1) - at(logits, labels)).mean()


@cross_entropy_from_logits.misconception(
    "You average the probabilities and take the logarithm of the average. Each example has a surprise of its own: "
    "first the logarithms, then their mean."
)
def logarithm_of_the_mean(logits, labels):
    with quiet():
        return -np.log(at(shares(logits, 1), labels).mean())


@cross_entropy_from_logits.misconception(
    "You take the surprise at the class that the model finds most likely. The labels must say at which class to look: "
    "a model that is certain and wrong would otherwise pay nothing."
)
def at_the_most_likely_class(logits, labels):
    return (log_sum(logits) - logits.max(axis=1)).mean()


@cross_entropy_from_logits.misconception(
    "The number is right, but the caller's logits have changed: `logits -= ...` and `out=logits` write into the array "
    "itself. Build a new one, as `logits = logits - ...` does."
)
def maximum_subtracted_from_the_callers_logits(logits, labels):
    logits -= logits.max(axis=1, keepdims=True)
    return (np.log(np.exp(logits).sum(axis=1)) - at(logits, labels)).mean()


@cross_entropy_from_logits.misconception(
    "You sum over the examples. The mean is asked, so that batches of different size have comparable losses: divide "
    "by n."
)
def sum_for_mean(logits, labels):
    return (log_sum(logits) - at(logits, labels)).sum()


@cross_entropy_from_logits.misconception(
    "You divide by all n m entries. Each example has one surprise, at its true class: divide by n."
)
def mean_over_all_entries(logits, labels):
    return (log_sum(logits) - at(logits, labels)).mean() / logits.shape[1]


@cross_entropy_from_logits.misconception(
    "The sign is reversed: the logarithm of a probability is negative, and its NEGATIVE is the loss. A loss of 0 means "
    "certain and right."
)
def log_likelihood(logits, labels):
    return -(log_sum(logits) - at(logits, labels)).mean()


@cross_entropy_from_logits.misconception(
    "You apply softmax, and then a function that expects logits and applies softmax once more. The second softmax sees "
    "numbers between 0 and 1 only, and can never become certain."
)
def softmax_twice(logits, labels):
    powers = shares(logits, 1)
    return (log_sum(powers) - at(powers, labels)).mean()


@cross_entropy_from_logits.misconception(
    "e^1000 is infinite, and with it the sum and its logarithm. Write the loss as logsumexp(z) - z at the true class, "
    "and take the largest logit of each row out of the sum before you take exponentials."
)
def exponentials_not_shifted(logits, labels):
    with quiet():
        powers = np.exp(logits)
        return -np.log(at(powers, labels) / powers.sum(axis=1)).mean()


@cross_entropy_from_logits.misconception(
    "You take the largest logit of the WHOLE matrix out of every row. In a row that lies far below it all exponentials "
    "are 0, and the logarithm of 0 is minus infinity. Each row needs its own maximum: give max the axis of the "
    "classes.",
    "one_maximum_for_all",
)
def loss_with_one_maximum(logits, labels):
    with quiet():
        top = logits.max()
        return (top + np.log(np.exp(logits - top).sum(axis=1)) - at(logits, labels)).mean()


@cross_entropy_from_logits.misconception(
    "Softmax runs down the columns, so examples compete with one another. Each ROW is one example: the classes of a "
    "row compete."
)
def softmax_down_the_columns(logits, labels):
    return (log_sum(logits, 0)[labels] - at(logits, labels)).mean()


@cross_entropy_from_logits.misconception(
    "`table[:, labels]` picks, for every example, the columns of ALL labels, and gives an (n, n) table. One entry per "
    "row is needed: table[np.arange(n), labels]."
)
def all_labels_for_every_row(logits, labels):
    return (log_sum(logits)[:, None] - logits[:, labels]).mean()


IN_BITS = "Your surprise is in bits (logarithm to base 2). This course measures in nats: the natural logarithm."


@cross_entropy_from_logits.misconception(IN_BITS)
def in_bits(logits, labels):
    return (log_sum(logits) - at(logits, labels)).mean() / np.log(2)


@cross_entropy_from_logits.misconception(
    IN_BITS + " (And softmax rounds the probability of a hopeless class to 0: use logsumexp(z) - z at the true class.)"
)
def in_bits_and_rounded(logits, labels):
    with quiet():
        return -np.log2(at(shares(logits, 1), labels)).mean()


@cross_entropy_from_logits.misconception(
    "You average 1 - p at the true class. That is the chance of an error. The surprise is -log p: it grows without "
    "bound when the model is certain and wrong."
)
def one_minus_the_probability(logits, labels):
    return (1 - at(shares(logits, 1), labels)).mean()


YES_OR_NO = (
    "You treat each class as a question of its own, with a sigmoid and a loss for yes and no, and add them up. Here "
    "exactly one class is true: one softmax, and the surprise at that class alone."
)


@cross_entropy_from_logits.misconception(YES_OR_NO)
def yes_or_no_through_the_probability(logits, labels):
    true = np.arange(logits.shape[1]) == labels[:, None]
    with quiet():
        p = 1 / (1 + np.exp(-logits))
        return -(true * np.log(p) + (1 - true) * np.log(1 - p)).sum(axis=1).mean()


@cross_entropy_from_logits.misconception(YES_OR_NO)
def yes_or_no_for_each_class(logits, labels):
    true = np.arange(logits.shape[1]) == labels[:, None]
    return np.logaddexp(0, np.where(true, -logits, logits)).sum(axis=1).mean()


@cross_entropy_from_logits.misconception(
    "You forgot the denominator: minus the logit of the true class is not a surprise. Without logsumexp the loss falls "
    "without bound when all logits grow together."
)
def minus_the_logit(logits, labels):
    return -at(logits, labels).mean()


@cross_entropy_from_logits.misconception("You return one surprise per example. Their mean is asked: one number.")
def one_per_example(logits, labels):
    return log_sum(logits) - at(logits, labels)


@cross_entropy_from_logits.misconception(
    "This is the entropy of the predictions: how undecided the model is. The labels do not enter it. The surprise is "
    "taken at the true class."
)
def entropy_of_the_predictions(logits, labels):
    p = shares(logits, 1)
    return (p * (log_sum(logits)[:, None] - logits)).sum(axis=1).mean()


@cross_entropy_from_logits.always("Adding one number to all logits of a row must not change the loss.")
def shift_changes_nothing(call, rng):
    logits, labels = scores(rng, 5, 4)
    moved = logits + 10 * rng.standard_normal((5, 1))
    return np.isclose(call(logits=logits, labels=labels), call(logits=moved, labels=labels), rtol=1e-5)


@cross_entropy_from_logits.always("Without an opinion (all logits equal) the loss must be log(m).")
def no_opinion(call, rng):
    _, labels = scores(rng, 7, 4)
    return np.isclose(call(logits=np.full((7, 4), 3.0), labels=labels), np.log(4), rtol=1e-5)


# 5. cross_entropy_gradient


@exercise(
    "logistic_regression.cross_entropy_gradient",
    reference=lo.cross_entropy_gradient,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(*AUTOGRAD, "sklearn._loss.HalfMultinomialLoss", "sklearn._loss.loss.HalfMultinomialLoss"),
)
def cross_entropy_gradient(rng):
    """How the mean surprise answers to each logit."""
    yield worked(logits=np.array([[0.0, np.log(2), 0.0], [0.0, 0.0, np.log(3)]]), labels=np.array([1, 0]))
    yield worked(logits=np.array([[0.0, 1000.0, 1.0], [2.0, 0.0, 0.0]]), labels=np.array([0, 0]))
    for n, m in [(4, 3), (7, 5), (6, 2)]:
        logits, labels = scores(rng, n, m)
        yield random(logits=logits, labels=labels)
    yield edge(logits=np.array([[3.0]]), labels=np.array([0]))
    yield edge(logits=np.full((5, 3), 2.0), labels=np.array([2, 2, 0, 1, 0]))
    yield edge(logits=np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]]), labels=np.array([1, 2]))


def truth(logits, labels):
    """Rows with a single 1."""
    return (np.arange(logits.shape[1]) == labels[:, None]).astype(float)


@cross_entropy_gradient.misconception(
    "Only the true class gets a slope. But the denominator of softmax holds ALL logits: pushing up a wrong class "
    "lowers the share of the true one. The slope there is its probability, over n."
)
def only_the_true_class(logits, labels):
    Y = truth(logits, labels)
    return Y * (shares(logits, 1) - 1) / len(labels)


@cross_entropy_gradient.misconception(
    "The sign is reversed: truth minus probability points where the loss FALLS. The gradient is p - y; descent "
    "subtracts it."
)
def truth_minus_probability(logits, labels):
    return (truth(logits, labels) - shares(logits, 1)) / len(labels)


@cross_entropy_gradient.misconception("The loss is a mean over n examples, so each slope must be divided by n.")
def not_divided_by_n(logits, labels):
    return shares(logits, 1) - truth(logits, labels)


@cross_entropy_gradient.misconception("You divide by all n m entries. The loss is a mean over the n examples only.")
def divided_by_n_and_m(logits, labels):
    return (shares(logits, 1) - truth(logits, labels)) / logits.size


@cross_entropy_gradient.misconception("You divide by the number of classes. The loss is a mean over the n examples.")
def divided_by_m(logits, labels):
    return (shares(logits, 1) - truth(logits, labels)) / logits.shape[1]


@cross_entropy_gradient.misconception(
    "You return the probabilities, and the truth is missing: subtract 1 at the true class. Every row must sum to 0."
)
def probabilities_alone(logits, labels):
    return shares(logits, 1) / len(labels)


LABEL_FOR_ONE_HOT = (
    "You subtract the label itself, the NUMBER of the class, as one does when there are two classes and one chance. "
    "Here the truth is a one-hot row: subtract 1 at the true class, and 0 elsewhere."
)


@cross_entropy_gradient.misconception(LABEL_FOR_ONE_HOT)
def label_for_one_hot(logits, labels):
    return (shares(logits, 1) - labels[:, None]) / len(labels)


@cross_entropy_gradient.misconception(LABEL_FOR_ONE_HOT)
def label_for_one_hot_without_an_axis(logits, labels):
    return (shares(logits, 1) - labels) / len(labels)


@cross_entropy_gradient.misconception(
    "You subtract 1 from all probabilities. Subtract it at the true class alone: every row must sum to 0."
)
def one_subtracted_everywhere(logits, labels):
    return (shares(logits, 1) - 1) / len(labels)


@cross_entropy_gradient.misconception(
    "`p[labels] -= 1` takes the labels for ROWS, and subtracts 1 from all their entries. One entry per row: "
    "p[np.arange(n), labels] -= 1."
)
def one_subtracted_in_whole_rows(logits, labels):
    p = shares(logits, 1)
    p[labels] -= 1
    return p / len(labels)


@cross_entropy_gradient.misconception(
    "`p[labels, np.arange(n)] -= 1` has its index arrays in the wrong order: rows come first, and there is one row per "
    "example. p[np.arange(n), labels] -= 1."
)
def rows_and_columns_of_the_truth_swapped(logits, labels):
    p = shares(logits, 1)
    p[labels, np.arange(len(labels))] -= 1
    return p / len(labels)


@cross_entropy_gradient.misconception(COUNTED_FROM_ONE)
def truth_counted_from_one(logits, labels):
    return (shares(logits, 1) - np.eye(logits.shape[1])[labels - 1]) / len(labels)


@cross_entropy_gradient.misconception(
    "You compare the columns with labels - 1 (or the columns counted from 1 with the labels). The text of the chapter "
    "counts classes from 1 to m; in code they are counted from 0 to m - 1, so that label 0 is column 0."
)
def columns_counted_from_one(logits, labels):
    return (shares(logits, 1) - truth(logits, labels - 1)) / len(labels)


FIRST_ROW_ALONE = (
    "Only the first row has lost its 1: `return` stands inside the loop and ends it in the first round. Take it out, "
    "below the loop, with the indentation of `for`."
)


@cross_entropy_gradient.misconception(FIRST_ROW_ALONE)
def return_inside_the_loop(logits, labels):
    p = shares(logits, 1)
    p[0, labels[0]] -= 1
    return p / len(labels)


@cross_entropy_gradient.misconception(FIRST_ROW_ALONE)
def return_inside_the_loop_that_divides(logits, labels):
    p = shares(logits, 1)
    p[0, labels[0]] -= 1
    p[0] /= len(labels)
    return p


@cross_entropy_gradient.misconception(
    "Only the first row is filled: `return` stands inside the loop and ends it in the first round. Take it out, below "
    "the loop, with the indentation of `for`."
)
def return_inside_the_loop_that_fills(logits, labels):
    answer = np.zeros_like(logits)
    answer[0] = (shares(logits, 1) - truth(logits, labels))[0] / len(labels)
    return answer


@cross_entropy_gradient.misconception(
    "You divide the probabilities by n and then subtract a whole 1. Both come from the mean: first subtract, then "
    "divide by n."
)
def one_not_divided_by_n(logits, labels):
    return shares(logits, 1) / len(labels) - truth(logits, labels)


@cross_entropy_gradient.misconception(
    "Only the truth is divided by n: / is worked off before -. Put the difference into parentheses, (p - Y) / n."
)
def truth_alone_divided_by_n(logits, labels):
    return shares(logits, 1) - truth(logits, labels) / len(labels)


@cross_entropy_gradient.misconception(
    "All probabilities together sum to 1. Each ROW is one example and must sum to 1 by itself: give sum axis=1, and "
    "keepdims=True."
)
def one_sum_for_all_examples(logits, labels):
    powers = np.exp(logits - logits.max())
    return (powers / powers.sum() - truth(logits, labels)) / len(labels)


@cross_entropy_gradient.misconception(
    "The loss is a mean over n examples, so each slope must be divided by n. (And e^1000 is infinite: subtract the "
    "largest logit of each row before you take exponentials.)"
)
def not_divided_by_n_and_not_shifted(logits, labels):
    with quiet():
        return unshifted(logits) - truth(logits, labels)


@cross_entropy_gradient.misconception(
    "The softmax is missing: you subtract the truth from the logits. The gradient is probability minus truth, over n."
)
def softmax_missing(logits, labels):
    return (logits - truth(logits, labels)) / len(labels)


SLOPE_IN_THE_PROBABILITY = (
    "This is the slope with respect to the PROBABILITY, -1 / p at the true class. Asked is the slope with respect to "
    "the logits: multiply by the Jacobian of softmax, and the 1 / p cancels."
)


@cross_entropy_gradient.misconception(SLOPE_IN_THE_PROBABILITY)
def slope_in_the_probability_with_nan(logits, labels):
    with quiet():
        return -truth(logits, labels) / shares(logits, 1) / len(labels)


@cross_entropy_gradient.misconception(SLOPE_IN_THE_PROBABILITY)
def slope_in_the_probability(logits, labels):
    with quiet():
        return np.where(truth(logits, labels) > 0, -1 / shares(logits, 1), 0.0) / len(labels)


@cross_entropy_gradient.misconception(
    "You multiply by p (1 - p). That factor belongs to the squared error behind a sigmoid; in the cross-entropy the "
    "logarithm cancels it. That is why a model that is certain and wrong still learns."
)
def factor_of_the_squared_error(logits, labels):
    p = shares(logits, 1)
    return (p - truth(logits, labels)) * p * (1 - p) / len(labels)


@cross_entropy_gradient.misconception(
    "`p[:, labels] -= 1` subtracts 1 in the columns of all labels, in every row. One entry per row: "
    "p[np.arange(n), labels] -= 1."
)
def one_subtracted_in_whole_columns(logits, labels):
    p = shares(logits, 1)
    p[:, labels] -= 1
    return p / len(labels)


@cross_entropy_gradient.misconception(
    "Softmax runs down the columns, so examples compete with one another. Each ROW is one example: the classes of a "
    "row compete."
)
def shares_down_the_columns(logits, labels):
    return (shares(logits, 0) - truth(logits, labels)) / len(labels)


@cross_entropy_gradient.misconception(
    "You apply a sigmoid to each logit. Exactly one class is true here, so the classes share one softmax."
)
def sigmoids(logits, labels):
    return (chance(logits) - truth(logits, labels)) / len(labels)


@cross_entropy_gradient.misconception(
    "e^1000 is infinite, and infinity over infinity is nan. Subtract the largest logit of each row before you take "
    "exponentials."
)
def softmax_not_shifted(logits, labels):
    with quiet():
        powers = np.exp(logits)
        return (powers / powers.sum(axis=1, keepdims=True) - truth(logits, labels)) / len(labels)


@cross_entropy_gradient.misconception(
    "You subtract the largest logit of the WHOLE matrix from every row. In a row that lies far below it all "
    "exponentials are 0, and 0/0 is nan. Each row needs its own maximum: give max the axis of the classes.",
    "one_maximum_for_all",
)
def gradient_with_one_maximum(logits, labels):
    with quiet():
        powers = np.exp(logits - logits.max())
        return (powers / powers.sum(axis=1, keepdims=True) - truth(logits, labels)) / len(labels)


@cross_entropy_gradient.misconception(
    "You added the examples up. Each logit of each example has a slope of its own: the result has the shape of the "
    "logits, (n, m)."
)
def summed_over_examples(logits, labels):
    return ((shares(logits, 1) - truth(logits, labels)) / len(labels)).sum(axis=0)


@cross_entropy_gradient.misconception(
    "The numbers are right, but the caller's logits have changed: `logits -= ...` does that, and so does writing the "
    "result into them. Build a new array."
)
def gradient_written_into_the_logits(logits, labels):
    logits[...] = (shares(logits, 1) - truth(logits, labels)) / len(labels)
    return logits.copy()


@cross_entropy_gradient.always("Every row must sum to 0: softmax does not notice a common shift.")
def rows_sum_to_zero(call, rng):
    logits, labels = scores(rng, 5, 4)
    return np.allclose(call(logits=logits, labels=labels).sum(axis=1), 0, atol=1e-7)


@cross_entropy_gradient.always("It must agree with differences of the loss: a small change of one logit at a time.")
def agrees_with_differences(call, rng):
    logits, labels = scores(rng, 3, 4)
    got = call(logits=logits.copy(), labels=labels)
    measured = np.zeros_like(logits)
    for index in np.ndindex(3, 4):
        up, down = logits.copy(), logits.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        losses = [(log_sum(z) - at(z, labels)).mean() for z in (up, down)]
        measured[index] = (losses[0] - losses[1]) / 2e-5
    return np.allclose(got, measured, atol=1e-7)


# 6. predict


def both_decisions(candidate, X, weights, intercept, threshold, W, b):
    predict, predict_class = candidate
    return predict(X, weights, intercept, threshold), predict_class(X, W, b)


@exercise(
    "logistic_regression.predict",
    reference=(lo.predict, lo.predict_class),
    points=6,
    run=both_decisions,
    forbidden=("sklearn.linear_model.LogisticRegression", *ESTIMATORS),
)
def predict(rng):
    """Decisions: between two classes by a threshold, between many by the largest logit."""
    X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 3.0], [0.3, 0.0]])
    W, b = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, 1.0]]), np.array([0.0, 0.0, -0.5])
    weights = np.array([1.0, -1.0])
    yield worked(X=X.copy(), weights=weights, intercept=0.0, threshold=0.5, W=W, b=b)
    yield worked(X=X.copy(), weights=weights, intercept=1.0, threshold=0.8, W=0 - W, b=b)  # no -0 in the report
    yield worked(X=X.copy(), weights=-weights, intercept=-2.5, threshold=0.1, W=W, b=np.array([2.5, 0.0, 0.0]))
    for n, p, m, threshold in [(9, 2, 4, 0.3), (12, 3, 5, 0.9), (14, 4, 3, 0.05)]:
        yield random(
            X=2 * rng.standard_normal((n, p)),
            weights=rng.standard_normal(p),
            intercept=float(rng.standard_normal()),
            threshold=threshold,
            W=rng.standard_normal((p, m)),
            b=2 * rng.standard_normal(m),
        )
    one = {"weights": np.array([2.0]), "W": np.array([[1.0, 1.0, 0.0, 1.0]]), "b": np.zeros(4)}
    far = {"weights": np.array([2.0]), "W": np.array([[0.0, 1.6, 2.0, 2.0]]), "b": np.zeros(4)}
    yield edge(X=np.array([[1.0]]), intercept=-2.0, threshold=0.5, **one)  # z = 0 exactly, and three classes tie
    yield edge(X=np.zeros((0, 1)), intercept=0.0, threshold=0.5, **one)
    yield edge(X=np.array([[500.0], [-500.0], [3.0]]), intercept=0.0, threshold=0.999, **far)  # logits up to 1000


def right_predict(X, weights, intercept, threshold):
    return (X @ weights + intercept >= np.log(threshold) - np.log1p(-threshold)).astype(np.int64)


def right_class(X, W, b):
    return np.argmax(X @ W + b, axis=1)


def wrong_threshold(hint):
    """Declare a wrong first function beside a right second one."""

    def declare(function):
        predict.misconception(hint, function.__name__)((function, right_class))
        return function

    return declare


def wrong_class(hint):
    """Declare a wrong second function beside a right first one."""

    def declare(function):
        predict.misconception(hint, function.__name__)((right_predict, function))
        return function

    return declare


@wrong_threshold("A chance that equals the threshold counts as reaching it: use >= and not >.")
def strictly_above(X, weights, intercept, threshold):
    return (chance(X @ weights + intercept) > threshold).astype(np.int64)


@wrong_threshold(
    "You compare the log-odds z with the threshold, which is a probability. Compare sigmoid(z) with it, or z with "
    "log(t / (1 - t))."
)
def log_odds_against_a_probability(X, weights, intercept, threshold):
    return (X @ weights + intercept >= threshold).astype(np.int64)


@wrong_threshold("The threshold does nothing in your function: you always decide at one half, z >= 0.")
def threshold_ignored(X, weights, intercept, threshold):
    return (X @ weights + intercept >= 0).astype(np.int64)


@wrong_threshold(
    "The odds of the threshold are upside down: its log-odds are log(t / (1 - t)). A threshold above one half must "
    "make class 1 rarer."
)
def odds_upside_down(X, weights, intercept, threshold):
    return (X @ weights + intercept >= np.log((1 - threshold) / threshold)).astype(np.int64)


@wrong_threshold(
    "You compare the log-odds z with the ODDS of the threshold, t / (1 - t): a logarithm is missing. Compare z with "
    "log(t / (1 - t))."
)
def log_odds_against_odds(X, weights, intercept, threshold):
    return (X @ weights + intercept >= threshold / (1 - threshold)).astype(np.int64)


@wrong_threshold(
    "You compare the log-odds z with log(t). The log-odds of the threshold are log(t / (1 - t)): the chance against is "
    "missing."
)
def log_odds_against_a_logarithm(X, weights, intercept, threshold):
    return (X @ weights + intercept >= np.log(threshold)).astype(np.int64)


@wrong_threshold(
    "You round the probability, which decides at one half whatever the threshold. (And np.round makes 0 of 0.5.) "
    "Compare the probability with the threshold: >=."
)
def rounded_probability(X, weights, intercept, threshold):
    return np.round(chance(X @ weights + intercept)).astype(np.int64)


@wrong_threshold(
    "For z = 1000 you compute e^1000 over e^1000, infinity over infinity, which is nan and reaches no threshold. "
    "Compare z with log(t / (1 - t)), and no exponential is needed."
)
def chance_that_overflows(X, weights, intercept, threshold):
    with quiet():
        odds = np.exp(X @ weights + intercept)
        return (odds / (1 + odds) >= threshold).astype(np.int64)


@wrong_threshold(
    "predict changes the caller's X: `X *= weights` (or `out=X`) writes into the array itself, and predict_class, "
    "which gets the same X afterwards, decides about other numbers. Build a new one: `X * weights`, or `X @ weights`."
)
def features_weighted_in_place(X, weights, intercept, threshold):
    answer = right_predict(X, weights, intercept, threshold)
    X *= weights
    return answer


@wrong_threshold("The answers are reversed: 1 means that the chance of class 1 reaches the threshold.")
def below_the_threshold(X, weights, intercept, threshold):
    return 1 - right_predict(X, weights, intercept, threshold)


@wrong_threshold("The intercept is missing from the log-odds of the first function.")
def intercept_forgotten(X, weights, intercept, threshold):
    return right_predict(X, weights, 0.0, threshold)


@wrong_threshold("You subtract the intercept in the first function. The log-odds are X w PLUS the intercept.")
def intercept_subtracted(X, weights, intercept, threshold):
    return right_predict(X, weights, -intercept, threshold)


@wrong_threshold("You return probabilities. Asked are decisions: 0 or 1, as integers.")
def probabilities_returned(X, weights, intercept, threshold):
    return chance(X @ weights + intercept)


@wrong_threshold("Your decisions are truth values. Asked are integers 0 and 1: .astype(np.int64) makes them.")
def truth_values(X, weights, intercept, threshold):
    return right_predict(X, weights, intercept, threshold).astype(bool)


@wrong_threshold("Your decisions are floating-point numbers. Asked are integers 0 and 1: .astype(np.int64) makes them.")
def decisions_as_floats(X, weights, intercept, threshold):
    return right_predict(X, weights, intercept, threshold).astype(float)


@wrong_threshold("Your decisions are -1 and 1. In this chapter the two classes are called 0 and 1.")
def minus_one_and_one(X, weights, intercept, threshold):
    return 2 * right_predict(X, weights, intercept, threshold) - 1


@wrong_class(
    "You look for the largest number down each COLUMN: the example that likes a class best. Each row is one example: "
    "argmax along axis 1."
)
def best_example_of_each_class(X, W, b):
    return np.argmax(X @ W + b, axis=0) if len(X) else np.zeros(W.shape[1], np.int64)


@wrong_class("Without an axis, argmax counts through the whole table. Each row is one example: argmax along axis 1.")
def one_class_for_all(X, W, b):
    return np.argmax(X @ W + b)


@wrong_class("The intercepts are missing: without b every class has the same logit at x = 0.")
def intercepts_forgotten(X, W, b):
    return np.argmax(X @ W, axis=1)


@wrong_class("You subtract the intercepts in the second function. The logits are X W PLUS b.")
def intercepts_subtracted(X, W, b):
    return np.argmax(X @ W - b, axis=1)


predict.misconception(
    "You subtract the intercepts, in both functions. They are added: X w PLUS the intercept, and X W PLUS b.",
    "both_intercepts_subtracted",
)((intercept_subtracted, intercepts_subtracted))


@wrong_class("You return how large the largest logit is, not which class has it: argmax, not max.")
def largest_logit(X, W, b):
    return (X @ W + b).max(axis=1)


@wrong_class("You return how probable the most likely class is, not which class it is: argmax, not max.")
def largest_probability(X, W, b):
    return shares(X @ W + b, 1).max(axis=1)


@wrong_class(
    "You turn logits into probabilities first, and there large logits are lost. In a softmax e^1000 is infinite, and "
    "argmax takes the first nan for the largest number; with a sigmoid for each class all of them round to 1. Neither "
    "is needed to decide: take the argmax of the logits."
)
def softmax_that_overflows(X, W, b):
    with quiet():
        powers = np.exp(X @ W + b)
        return np.argmax(powers / powers.sum(axis=1, keepdims=True), axis=1)


@wrong_class("You choose the class with the smallest logit. The largest logit has the largest probability.")
def least_likely_class(X, W, b):
    return np.argmin(X @ W + b, axis=1)


@wrong_class("You choose the largest ABSOLUTE logit. A very negative logit means a very unlikely class.")
def largest_absolute_logit(X, W, b):
    return np.argmax(np.abs(X @ W + b), axis=1)


@wrong_class("Of equal logits the first class counts. You return the last one.")
def last_of_equal_logits(X, W, b):
    logits = X @ W + b
    return logits.shape[1] - 1 - np.argmax(logits[:, ::-1], axis=1)


@wrong_class("You count the classes from 1. In code they are counted from 0, as the columns of W.")
def classes_counted_from_one(X, W, b):
    return 1 + np.argmax(X @ W + b, axis=1)


@predict.always("A higher threshold must never turn a 0 into a 1.")
def higher_threshold_fewer_ones(call, rng):
    fixed = {
        "X": rng.standard_normal((20, 2)), "weights": rng.standard_normal(2), "intercept": 0.3,
        "W": rng.standard_normal((2, 3)), "b": rng.standard_normal(3),
    }  # fmt: skip
    low, high = (call(threshold=t, **fixed)[0] for t in (0.2, 0.7))
    return bool(np.all(high <= low))


@predict.always("Adding one number to all intercepts of the classes must change no class.")
def common_shift_of_intercepts(call, rng):
    fixed = {"X": rng.standard_normal((20, 2)), "weights": np.ones(2), "intercept": 0.0, "threshold": 0.5}
    W, b = rng.standard_normal((2, 3)), rng.standard_normal(3)
    return bool(np.all(call(W=W, b=b, **fixed)[1] == call(W=W, b=b + 5, **fixed)[1]))


# 7. newton_step


@exercise(
    "logistic_regression.newton_step",
    reference=lo.newton_step,
    points=6,
    rtol=1e-6,
    atol=1e-8,
    forbidden=(
        "sklearn.linear_model.LogisticRegression",
        "scipy.optimize.minimize",
        "scipy.optimize.newton",
        "scipy.optimize.root",
        *ESTIMATORS,
    ),
)
def newton_step(rng):
    """One step of Newton's method on the logistic loss."""
    A = np.array([[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [3.0, 1.0]])
    y = np.array([0.0, 1.0, 0.0, 1.0])
    yield worked(A=A.copy(), y=y.copy(), theta=np.array([np.log(2), 0.0]))
    yield worked(A=A.copy(), y=y.copy(), theta=np.array([0.0, np.log(3)]))
    for n, d in [(7, 2), (11, 3), (16, 4)]:
        yield random(**with_a_minimizer(rng, n, d))
    yield edge(A=np.array([[1.0], [1.0], [1.0]]), y=np.array([1.0, 0.0, 1.0]), theta=np.array([0.0]))
    yield edge(A=np.array([[2.0]]), y=np.array([1.0]), theta=np.array([-1.5]))
    yield edge(A=rng.standard_normal((9, 3)), y=np.ones(9), theta=np.array([0.5, -0.5, 1.0]))
    # Measured in large units the curvature is small, and whatever is added to it counts.
    yield edge(A=1e-5 * rng.standard_normal((9, 3)), y=(rng.permutation(9) % 2).astype(float), theta=np.zeros(3))


def with_a_minimizer(rng, n, d):
    """Draw examples that no plane separates, and a theta from which repeated steps arrive."""
    while True:
        drawn = {
            "A": rng.standard_normal((n, d)),
            "y": (rng.permutation(n) % 2).astype(float),
            "theta": 0.6 * rng.standard_normal(d) + 0.3,
        }
        try:
            end = steps_until_nothing_changes(**drawn)
        except np.linalg.LinAlgError:
            continue
        if np.abs(end).max() < 20 and np.abs(slope_and_curvature(drawn["A"], drawn["y"], end)[0]).max() < 1e-8:
            return drawn


def slope_and_curvature(A, y, theta):
    """Return sums over the examples: gradient (d,) and curvature (d, d)."""
    p = chance(A @ theta)
    return A.T @ (p - y), A.T @ ((p * (1 - p))[:, None] * A)


@newton_step.misconception(
    "The weights p (1 - p) are missing from the curvature: A^T A is that of least squares. An example on which the "
    "model is certain bends the loss less than one on which it is undecided."
)
def weights_missing(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(A.T @ A, g)


@newton_step.misconception(
    "You weight each example by p. The slope of the sigmoid, and so the weight, is p (1 - p): also an example with p "
    "close to 1 hardly bends the loss."
)
def weighted_by_the_probability(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(A.T @ (chance(A @ theta)[:, None] * A), g)


@newton_step.misconception(
    "Your weights are one quarter everywhere. p (1 - p) is 1/4 only where the model is undecided, at z = 0. (As an "
    "upper bound it makes a safe and slow method.)"
)
def a_quarter_everywhere(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(A.T @ A / 4, g)


@newton_step.misconception(
    "You weight by the root of p (1 - p). If you scale the rows of A by the root, scale BOTH factors of A^T A, so that "
    "each product has the weight p (1 - p)."
)
def root_of_the_weights(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    p = chance(A @ theta)
    return theta - np.linalg.solve(A.T @ (np.sqrt(p * (1 - p))[:, None] * A), g)


@newton_step.misconception(
    "You scale both factors by p (1 - p), so the weights enter squared. Scale one factor, or both by the root."
)
def weights_squared(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    p = chance(A @ theta)
    B = (p * (1 - p))[:, None] * A
    return theta - np.linalg.solve(B.T @ B, g)


@newton_step.misconception(
    "p (1 - p) has shape (n,), and NumPy lines it up with the d columns of A. There is one weight for each ROW: "
    "(p * (1 - p))[:, None] * A."
)
def weights_without_an_axis(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    p = chance(A @ theta)
    return theta - np.linalg.solve(A.T @ (p * (1 - p) * A), g)


@newton_step.misconception(
    "You add up the weights p (1 - p) and multiply A^T A by their sum. Each example has its own weight, which belongs "
    "inside the sum over the examples: A.T @ ((p * (1 - p))[:, None] * A)."
)
def one_weight_for_all(A, y, theta):
    g, _ = slope_and_curvature(A, y, theta)
    p = chance(A @ theta)
    return theta - np.linalg.solve(np.sum(p * (1 - p)) * A.T @ A, g)


@newton_step.misconception(
    "You multiply the residuals by p (1 - p) in the gradient as well. That is the slope of the squared error; with the "
    "logistic loss the factor cancels: A^T (p - y). (In the form of weighted least squares the target is A theta + (y "
    "- p) / (p (1 - p)), with that division.)"
)
def slope_of_the_squared_error(A, y, theta):
    _, H = slope_and_curvature(A, y, theta)
    p = chance(A @ theta)
    return theta - np.linalg.solve(H, A.T @ (p * (1 - p) * (p - y)))


ENTRY_BY_ENTRY = (
    "You combine the matrix of curvatures and the gradient entry by entry, which gives a (d, d) table. Solve the "
    "linear system: np.linalg.solve(H, gradient)."
)


@newton_step.misconception(ENTRY_BY_ENTRY)
def inverse_times_entry_by_entry(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta - np.linalg.inv(H) * g


@newton_step.misconception(ENTRY_BY_ENTRY)
def divided_entry_by_entry(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    with quiet():
        return theta - g / H


SMALL_NUMBER_ON_THE_DIAGONAL = (
    "You add a small number to the diagonal of the curvature. Every curvature of this exercise has an inverse, and "
    "where it is small itself your number decides the step. Leave it out."
)


def with_a_ridge(number):
    def step(A, y, theta):
        g, H = slope_and_curvature(A, y, theta)
        return theta - np.linalg.solve(H + number * np.eye(len(theta)), g)

    return step


for digits in (4, 6, 8, 10, 12):
    newton_step.misconception(SMALL_NUMBER_ON_THE_DIAGONAL, f"diagonal_plus_1e_{digits}")(with_a_ridge(10.0**-digits))


@newton_step.misconception(
    "You go the wrong way: Newton's step is MINUS the inverse curvature times the gradient A^T (p - y). With y - p "
    "instead the sign is a plus."
)
def uphill(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta + np.linalg.solve(H, g)


@newton_step.misconception(
    "The gradient is a mean and the curvature a sum, so your step is n times too short. Divide both by n, or neither."
)
def mean_slope_over_summed_curvature(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(H, g / len(y))


@newton_step.misconception(
    "The curvature is a mean and the gradient a sum, so your step is n times too long. Divide both by n, or neither."
)
def summed_slope_over_mean_curvature(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(H / len(y), g)


@newton_step.misconception(
    "You take two steps. Asked is one: where the FIRST step from theta leads. The loop belongs to whoever calls you."
)
def two_steps(A, y, theta):
    for _ in range(2):
        theta = theta - np.linalg.solve(*slope_and_curvature(A, y, theta)[::-1])
    return theta


@newton_step.misconception(
    "You repeat the step until nothing changes any more, and return the minimizer. Asked is one step: where the FIRST "
    "one from theta leads. The loop belongs to whoever calls you."
)
def steps_until_nothing_changes(A, y, theta):
    with quiet():
        for _ in range(100):
            g, H = slope_and_curvature(A, y, theta)
            step = np.linalg.solve(H, g)
            theta = theta - step
            if np.linalg.norm(step) < 1e-10:
                break
    return theta


@newton_step.misconception(
    "You return the step alone. Asked is where it leads: theta minus the inverse curvature times the gradient."
)
def the_step_alone(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return -np.linalg.solve(H, g)


@newton_step.misconception(
    "You divide by the diagonal of the curvature only. Parameters act together: solve the linear system with the whole "
    "matrix."
)
def diagonal_only(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta - g / np.diag(H)


SIGMOID_MISSING = (
    "The sigmoid is missing: you compare the log-odds A theta with y. The residual is p - y with p = sigmoid(A theta)."
)


@newton_step.misconception(SIGMOID_MISSING + " The weights p (1 - p) need it too.")
def log_odds_for_probabilities(A, y, theta):
    z = A @ theta
    return theta - np.linalg.solve(A.T @ ((z * (1 - z))[:, None] * A), A.T @ (z - y))


@newton_step.misconception(SIGMOID_MISSING)
def residual_of_the_log_odds(A, y, theta):
    _, H = slope_and_curvature(A, y, theta)
    return theta - np.linalg.solve(H, A.T @ (A @ theta - y))


@newton_step.misconception(
    "This is the least-squares solution: it treats y as a number to be met, and theta plays no part in it. Use the "
    "residual p - y and the weights p (1 - p)."
)
def least_squares_solution(A, y, theta):
    return np.linalg.solve(A.T @ A, A.T @ y)


@newton_step.misconception(
    "This is a step of gradient descent of size 1: the curvature is missing. Multiply the gradient by the inverse of "
    "A^T diag(p (1 - p)) A."
)
def gradient_step_of_the_sum(A, y, theta):
    return theta - slope_and_curvature(A, y, theta)[0]


@newton_step.misconception(
    "This is a step of gradient descent of size 1: the curvature is missing. Multiply the gradient by the inverse of "
    "the curvature A^T diag(p (1 - p)) A / n."
)
def gradient_step_of_the_mean(A, y, theta):
    return theta - slope_and_curvature(A, y, theta)[0] / len(y)


@newton_step.misconception(
    "You multiply by the curvature. Newton's method divides by it: where the loss bends strongly the minimum is near, "
    "and the step is short."
)
def multiplied_by_the_curvature(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    return theta - H @ g


@newton_step.misconception(
    "The result is right, but the caller's theta has changed: `theta -= ...` and `theta[...] = ` write into the array "
    "itself. Build a new one, as `theta - ...` does."
)
def theta_changed_in_place(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    theta -= np.linalg.solve(H, g)
    return theta


@newton_step.misconception(
    "The result is right, but the caller's y has changed: `y -= p` and `out=y` write into the array itself, and the "
    "next step gets residuals for answers. Build a new one, as `y - p` does."
)
def answers_changed_in_place(A, y, theta):
    g, H = slope_and_curvature(A, y, theta)
    y -= chance(A @ theta)
    return theta - np.linalg.solve(H, g)


@newton_step.always("Steps from 0 must lead to a point at which the gradient is 0.")
def arrives(call, rng):
    A = np.column_stack([rng.standard_normal((40, 2)), np.ones(40)])
    y = (rng.permutation(40) % 2).astype(float)  # drawn apart from A, so no plane separates them
    theta = np.zeros(3)
    for _ in range(12):
        theta = call(A=A.copy(), y=y.copy(), theta=theta.copy())
    return bool(np.abs(A.T @ (chance(A @ theta) - y)).max() < 1e-5)


@newton_step.always(
    "Measuring a column in other units (times 10) must divide its parameter by 10 and leave the others."
)
def units_do_not_matter(call, rng):
    A, theta = rng.standard_normal((12, 3)), rng.standard_normal(3) / 2
    y, scale = (rng.permutation(12) % 2).astype(float), np.array([1.0, 10.0, 1.0])
    here, there = call(A=A, y=y, theta=theta), call(A=A * scale, y=y, theta=theta / scale)
    return np.allclose(there * scale, here, rtol=1e-4, atol=1e-6)
