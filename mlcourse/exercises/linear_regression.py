"""Exercises of the chapter on linear regression."""

from __future__ import annotations

import numpy as np

from mlcourse import linear_regression as lr
from mlcourse.exercises.libraries import ESTIMATORS, LEAST_SQUARES, STATISTICS
from mlcourse.exercises.protocol import edge, exercise, random, worked

# Four points whose best line is y = x + 1.5, with residuals -0.5, 0.5, 0.5, -0.5.
X4 = np.array([[0.0], [1.0], [2.0], [3.0]])
A4 = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
Y4 = np.array([1.0, 3.0, 4.0, 4.0])


def data(rng, n, p):
    """Features that are not centered, and a noisy affine target."""
    X = rng.standard_normal((n, p)) + rng.uniform(1, 4, p)
    return X, X @ rng.standard_normal(p) + rng.uniform(3, 9) + rng.standard_normal(n)


def ones_last(X):
    return np.hstack([X, np.ones((X.shape[0], 1))])


# 1. fit_least_squares


@exercise(
    "linear_regression.fit_least_squares",
    reference=lr.fit_least_squares,
    points=6,
    rtol=1e-6,
    atol=1e-6,
    forbidden=LEAST_SQUARES,
)
def fit_least_squares(rng):
    """Weights and intercept with the smallest sum of squared residuals, also when columns repeat one another."""
    yield worked(X=X4.copy(), y=Y4.copy())
    yield worked(X=np.hstack([X4, X4]), y=Y4.copy())
    yield worked(X=np.column_stack([X4, [0.0, 2.0, 0.0, 2.0]]), y=Y4.copy())  # columns with different means
    for n, p in [(7, 3), (9, 2), (12, 5)]:
        X, y = data(rng, n, p)
        yield random(X=X, y=y)
    yield edge(X=1e-4 * X4, y=Y4.copy())
    X, y = data(rng, 8, 3)
    yield edge(X=X, y=np.full(8, 4.0))
    yield edge(X=1e4 * X, y=1e4 * y)
    X, y = data(rng, 9, 2)
    yield edge(X=np.column_stack([X, np.zeros(9)]), y=y)
    # One column in other units than its neighbor: its singular value is small, and the column counts nevertheless.
    yield edge(X=np.column_stack([X4, [0.0, 1e-4, 5e-4, 2e-4]]), y=Y4.copy())


@fit_least_squares.misconception(
    "There is no intercept: your line is forced through the origin. Give the fit one number that is added to "
    "every prediction, for example by a column of ones beside X, or by centering X and y first."
)
def no_intercept(X, y):
    return np.linalg.lstsq(X, y, rcond=None)[0], 0.0


@fit_least_squares.misconception(
    "Here one column repeats another, so many weights fit equally well, and a square system for them has no single "
    "solution: neither A^T A nor the R of a QR factorization can be inverted. Choose the shortest weights: a solver "
    "built on the singular value decomposition does."
)
def inverse_of_a_singular_matrix(X, y):
    A = ones_last(X)
    theta = np.linalg.inv(A.T @ A) @ A.T @ y
    return theta[:-1], theta[-1]


def solved_by_qr(A, y):
    Q, R = np.linalg.qr(A)
    return np.linalg.solve(R, Q.T @ y)


def qr_with_ones_last(X, y):
    theta = solved_by_qr(ones_last(X), y)
    return theta[:-1], theta[-1]


def qr_with_ones_first(X, y):
    theta = solved_by_qr(np.hstack([np.ones((X.shape[0], 1)), X]), y)
    return theta[1:], theta[0]


def qr_of_centered_columns(X, y):
    weights = solved_by_qr(X - X.mean(axis=0), y - y.mean())
    return weights, y.mean() - X.mean(axis=0) @ weights


def stops_at_a_repeated_column(fit):
    try:
        fit(np.hstack([X4, X4]), Y4)
    except np.linalg.LinAlgError:
        return True
    return False


# On some processors rounding puts a tiny number in the place of the zero in R, and there is no error. Where there is
# one, the hint on inverses of singular matrices names this mistake, too.
for factored in (qr_with_ones_last, qr_with_ones_first, qr_of_centered_columns):
    if not stops_at_a_repeated_column(factored):
        fit_least_squares.misconception(
            "Here one column repeats another, so the R of your QR factorization is singular: the last number on its "
            "diagonal is rounding in the place of 0, and numbers divided by it mean nothing. Choose the shortest "
            "weights: a solver built on the singular value decomposition does."
        )(factored)


EXAMPLES_TIMES_EXAMPLES = (
    "You built A A^T, which compares examples with examples and has shape (n, n). The normal equations compare "
    "columns with columns: A^T A, of shape (d, d), one equation per unknown."
)


@fit_least_squares.misconception(EXAMPLES_TIMES_EXAMPLES)
def examples_times_examples_solved(X, y):
    A = ones_last(X)
    theta = np.linalg.solve(A @ A.T, A.T @ y)
    return theta[:-1], theta[-1]


@fit_least_squares.misconception(EXAMPLES_TIMES_EXAMPLES)
def examples_times_examples_inverted(X, y):
    A = ones_last(X)
    theta = np.linalg.inv(A @ A.T) @ A.T @ y
    return theta[:-1], theta[-1]


@fit_least_squares.misconception(EXAMPLES_TIMES_EXAMPLES)
def examples_times_examples_inverted_and_transposed(X, y):
    A = ones_last(X)
    theta = (np.linalg.inv(A @ A.T) @ A).T @ y
    return theta[:-1], theta[-1]


@fit_least_squares.misconception(
    "A^T (A A^T)^-1 y is the formula for fewer examples than unknowns. Here there are more examples, so A A^T, of "
    "shape (n, n), has no inverse and what comes out is rounding noise. Compare columns with columns: A^T A."
)
def formula_for_wide_matrices(X, y):
    A = ones_last(X)
    theta = A.T @ np.linalg.inv(A @ A.T) @ y
    return theta[:-1], theta[-1]


SMALL_NUMBER_ON_THE_DIAGONAL = (
    "The small number on the diagonal is a price on long weights: you solve another problem. How much it matters "
    "depends on the units of X, and with small features it decides the answer. Add nothing; use a solver that is "
    "built on the singular value decomposition."
)


def with_a_price(price):
    def fit(X, y):
        A = ones_last(X)
        theta = np.linalg.solve(A.T @ A + price * np.eye(A.shape[1]), A.T @ y)
        return theta[:-1], theta[-1]

    return fit


for digits in range(3, 10):  # from 1e-3 on the diagonal to 1e-9; with less, rounding decides what comes out
    fit_least_squares.misconception(SMALL_NUMBER_ON_THE_DIAGONAL, f"diagonal_plus_1e_{digits}")(
        with_a_price(10**-digits)
    )


COARSE_CUTOFF = (
    "Your cutoff (`rcond`, `rtol` or a limit of your own) is so coarse that it throws away a column that counts: one "
    "measured in other units has a small singular value, and is independent. Leave out only what is rounding: the "
    "default of numpy.linalg.pinv, or rcond=None in lstsq."
)


@fit_least_squares.misconception(COARSE_CUTOFF)
def coarse_cutoff(X, y):
    weights = np.linalg.pinv(X - X.mean(axis=0), rcond=1e-2) @ (y - y.mean())
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(COARSE_CUTOFF)
def coarse_cutoff_beside_ones(X, y):
    theta = np.linalg.pinv(ones_last(X), rcond=1e-3) @ y
    return theta[:-1], theta[-1]


@fit_least_squares.misconception(
    "You fit the weights without an intercept and set the intercept afterwards. Forced through the origin, the "
    "weights had to do its work too, and they stay wrong. Fit weights and intercept together, or center X and y first."
)
def intercept_after_the_weights(X, y):
    weights = np.linalg.lstsq(X, y, rcond=None)[0]
    return weights, np.mean(y - X @ weights)


@fit_least_squares.misconception(
    "You fit one line per feature. Features that move together explain the same part of y, and you count that part "
    "several times. Fit all weights in one problem."
)
def one_feature_at_a_time(X, y):
    centered = X - X.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = centered.T @ (y - y.mean()) / np.sum(centered**2, axis=0)
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(
    "Your predictions are right, but you give a column that repeats another the weight 0. The shortest weights share "
    "the work among such columns. Use a solver built on the singular value decomposition."
)
def repeated_columns_left_out(X, y):
    centered = X - X.mean(axis=0)
    ranks = [0, *(np.linalg.matrix_rank(centered[:, : j + 1]) for j in range(X.shape[1]))]
    kept = np.diff(ranks) > 0
    weights = np.zeros(X.shape[1])
    weights[kept] = np.linalg.lstsq(centered[:, kept], y - y.mean(), rcond=None)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(
    "Both results are there, in the wrong order: the weights come first, then the intercept."
)
def intercept_returned_first(X, y):
    theta = np.linalg.lstsq(ones_last(X), y, rcond=None)[0]
    return theta[-1], theta[:-1]


@fit_least_squares.misconception(
    "Your weights are right, but you shift the intercept the wrong way. The best line passes through the point of "
    "means: put the means into y = w . x + b and solve for b."
)
def intercept_shifted_the_wrong_way(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    return weights, y.mean() + X.mean(axis=0) @ weights


@fit_least_squares.misconception(
    "Your weights are right, your intercept is the one of the centered data. Shift it back: the best line passes "
    "through the point of means, so the intercept must also undo what the weights make of the mean of X."
)
def intercept_not_shifted_back(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    return weights, y.mean()


@fit_least_squares.misconception(
    "Your weights are right, and your intercept has the wrong sign. The best line passes through the point of means: "
    "put the means into y = w . x + b, and b is the mean of y minus what the weights make of the mean of X."
)
def intercept_with_the_wrong_sign(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    return weights, X.mean(axis=0) @ weights - y.mean()


@fit_least_squares.misconception(
    "You center X and return 0 for the intercept. Centered columns need no intercept only if y is centered as well, "
    "and the result is asked for X and y as they are: shift it back, y.mean() - X.mean(axis=0) @ weights."
)
def no_intercept_of_centered_columns(X, y):
    return np.linalg.lstsq(X - X.mean(axis=0), y, rcond=None)[0], 0.0


TARGETS_ALONE_CENTERED = (
    "You center y and leave X as it is. The line is then forced through the origin of X, and the weights are those of "
    "another problem: center both, or put a column of ones beside X."
)


@fit_least_squares.misconception(TARGETS_ALONE_CENTERED)
def targets_alone_centered(X, y):
    return np.linalg.lstsq(X, y - y.mean(), rcond=None)[0], y.mean()


@fit_least_squares.misconception(TARGETS_ALONE_CENTERED + " (The intercept you do shift back.)")
def targets_alone_centered_and_shifted_back(X, y):
    weights = np.linalg.lstsq(X, y - y.mean(), rcond=None)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


CENTERED_IN_PLACE = (
    "`X -= X.mean(axis=0)` changes the caller's array in place. Write `centered = X - X.mean(axis=0)`, a new array."
)


@fit_least_squares.misconception(CENTERED_IN_PLACE + " And after it the mean of X is 0, so nothing is shifted back.")
def centered_in_place(X, y):
    X -= X.mean(axis=0)
    weights = np.linalg.lstsq(X, y - y.mean(), rcond=None)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception("The numbers are right, but " + CENTERED_IN_PLACE)
def centered_in_place_with_the_mean_kept(X, y):
    x_mean = X.mean(axis=0)
    X -= x_mean
    weights = np.linalg.lstsq(X, y - y.mean(), rcond=None)[0]
    return weights, y.mean() - x_mean @ weights


@fit_least_squares.misconception(
    "The column of ones is in one place, and you take the intercept from another: your intercept is the weight of"
    " a feature. Split the solution where you put the ones."
)
def ones_first_read_last(X, y):
    A = np.hstack([np.ones((X.shape[0], 1)), X])
    theta = np.linalg.lstsq(A, y, rcond=None)[0]
    return theta[:-1], theta[-1]


LSTSQ_NOT_UNPACKED = (
    "numpy.linalg.lstsq returns four things in a tuple: the solution, the sums of squared residuals, the rank and the "
    "singular values. Take the first: `np.linalg.lstsq(A, y, rcond=None)[0]`."
)


@fit_least_squares.misconception(LSTSQ_NOT_UNPACKED)
def lstsq_cut_in_two(X, y):
    theta = np.linalg.lstsq(ones_last(X), y, rcond=None)
    return theta[:-1], theta[-1]


@fit_least_squares.misconception(LSTSQ_NOT_UNPACKED)
def lstsq_cut_in_two_with_ones_first(X, y):
    theta = np.linalg.lstsq(np.hstack([np.ones((X.shape[0], 1)), X]), y, rcond=None)
    return theta[1:], theta[0]


@fit_least_squares.misconception(LSTSQ_NOT_UNPACKED + " Then cut it into weights and intercept.")
def lstsq_returned_whole(X, y):
    return np.linalg.lstsq(ones_last(X), y, rcond=None)


@fit_least_squares.misconception(LSTSQ_NOT_UNPACKED)
def lstsq_multiplied(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(LSTSQ_NOT_UNPACKED)
def lstsq_beside_the_intercept(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)
    return weights, y.mean() - X.mean(axis=0) @ weights[0]


@fit_least_squares.misconception(
    "You return all parameters in one array. Cut it in two where you put the column of ones: the weights, one per "
    "column of X, and the intercept, a number."
)
def parameters_not_cut(X, y):
    return np.linalg.lstsq(ones_last(X), y, rcond=None)[0]


NOT_CUT_TWICE = (
    "You cut one result out of the solution and return the whole solution as the other. With the column of ones "
    "{place}, the weights are {weights}, of shape (p,), and the intercept is {intercept}, one number: for it, write "
    "the index without a colon."
)
ONES_LAST = NOT_CUT_TWICE.format(place="last", weights="theta[:-1]", intercept="theta[-1]")
ONES_FIRST = NOT_CUT_TWICE.format(place="first", weights="theta[1:]", intercept="theta[0]")


def solution_with_ones_first(X, y):
    return np.linalg.lstsq(np.hstack([np.ones((X.shape[0], 1)), X]), y, rcond=None)[0]


@fit_least_squares.misconception(ONES_LAST)
def whole_solution_for_the_intercept(X, y):
    theta = np.linalg.lstsq(ones_last(X), y, rcond=None)[0]
    return theta[:-1], theta


@fit_least_squares.misconception(ONES_FIRST)
def whole_solution_for_the_intercept_with_ones_first(X, y):
    theta = solution_with_ones_first(X, y)
    return theta[1:], theta


@fit_least_squares.misconception(ONES_LAST)
def whole_solution_for_the_weights(X, y):
    theta = np.linalg.lstsq(ones_last(X), y, rcond=None)[0]
    return theta, theta[-1]


@fit_least_squares.misconception(ONES_FIRST)
def whole_solution_for_the_weights_with_ones_first(X, y):
    theta = solution_with_ones_first(X, y)
    return theta, theta[0]


MEANS_OF_THE_ROWS = (
    "X.mean(axis=1) is one mean per ROW: it mixes the features of an example. Centering needs the mean of each "
    "column, over the examples: X.mean(axis=0), of shape (p,), which broadcasts without keepdims"
)


@fit_least_squares.misconception(MEANS_OF_THE_ROWS + ".")
def centered_along_the_rows(X, y):
    weights = np.linalg.lstsq(X - X.mean(axis=1, keepdims=True), y - y.mean(), rcond=None)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(MEANS_OF_THE_ROWS + ". Then the product with the weights is one number, too.")
def row_means_in_both_places(X, y):
    row_means = X.mean(axis=1, keepdims=True)
    weights = np.linalg.lstsq(X - row_means, y - y.mean(), rcond=None)[0]
    return weights, y.mean() - row_means @ weights


ONE_MEAN_FOR_ALL_COLUMNS = (
    "X.mean() without an axis is one number, the mean over all columns together. Centering needs the mean of each "
    "column: X.mean(axis=0), of shape (p,)."
)


def weights_about_one_mean(X, y):
    return np.linalg.lstsq(X - X.mean(), y - y.mean(), rcond=None)[0]


@fit_least_squares.misconception(ONE_MEAN_FOR_ALL_COLUMNS)
def centered_about_one_mean(X, y):
    weights = weights_about_one_mean(X, y)
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(ONE_MEAN_FOR_ALL_COLUMNS)
def one_mean_for_all_columns(X, y):
    weights = weights_about_one_mean(X, y)
    return weights, y.mean() - np.sum(X.mean() * weights)


@fit_least_squares.misconception(ONE_MEAN_FOR_ALL_COLUMNS)
def one_mean_multiplied(X, y):
    weights = weights_about_one_mean(X, y)
    return weights, y.mean() - X.mean() @ weights


@fit_least_squares.misconception(ONE_MEAN_FOR_ALL_COLUMNS)
def weights_multiplied_by_one_mean(X, y):
    weights = weights_about_one_mean(X, y)
    return weights, y.mean() - weights @ X.mean()


@fit_least_squares.misconception(ONE_MEAN_FOR_ALL_COLUMNS + " With one number for it, your intercept is an array.")
def one_mean_times_weights(X, y):
    weights = weights_about_one_mean(X, y)
    return weights, y.mean() - X.mean() * weights


STANDARDIZED_WEIGHTS = (
    "You divide the features by their standard deviation before you fit, and return the weights of these new features. "
    "Asked are weights for X as it is: divide each weight by the standard deviation of its column, "
)


def standardized(X):
    with np.errstate(divide="ignore", invalid="ignore"):
        Z = (X - X.mean(axis=0)) / X.std(axis=0)
    return np.where(np.isfinite(Z), Z, 0.0)


@fit_least_squares.misconception(STANDARDIZED_WEIGHTS + "then use the result for the intercept.")
def standardized_weights(X, y):
    weights = np.linalg.lstsq(standardized(X), y - y.mean(), rcond=None)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(STANDARDIZED_WEIGHTS + "and shift the intercept back, too.")
def standardized_weights_and_intercept(X, y):
    return np.linalg.lstsq(standardized(X), y - y.mean(), rcond=None)[0], y.mean()


COUNTS_DIFFER = (
    "np.cov divides by n - 1, np.var and np.mean by n, so your weights are off by the factor {factor}. Both parts must "
    "count in the same way: use sums, or give np.cov ddof=0. "
)


@fit_least_squares.misconception(
    COUNTS_DIFFER.format(factor="n / (n - 1)") + "And one feature at a time is no fit: features that move together "
    "explain the same part of y, and you count it several times. Fit all weights in one problem."
)
def covariance_over_variance(X, y):
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.array([np.cov(x, y)[0, 1] / np.var(x) for x in X.T])
    return weights, y.mean() - X.mean(axis=0) @ weights


FIRST_FEATURE_ALONE = (
    "You use the first column of X alone. There are p features, and each needs its weight: fit all in one problem."
)


@fit_least_squares.misconception(FIRST_FEATURE_ALONE)
def first_feature_alone(X, y):
    weights = np.array([np.cov(X[:, 0], y, ddof=0)[0, 1] / np.var(X[:, 0])])
    return weights, y.mean() - weights[0] * X[:, 0].mean()


@fit_least_squares.misconception(COUNTS_DIFFER.format(factor="n / (n - 1)") + FIRST_FEATURE_ALONE)
def covariance_over_variance_of_the_first_feature(X, y):
    weights = np.array([np.cov(X[:, 0], y)[0, 1] / np.var(X[:, 0])])
    return weights, y.mean() - weights[0] * X[:, 0].mean()


def covariances(X, y, ddof):
    return (X - X.mean(axis=0)).T @ (y - y.mean()) / (len(y) - ddof)


@fit_least_squares.misconception(COUNTS_DIFFER.format(factor="(n - 1) / n"))
def matrix_over_n_minus_one(X, y):
    gram = np.atleast_2d(np.cov(X, rowvar=False))
    weights = np.linalg.pinv(gram, hermitian=True) @ covariances(X, y, ddof=0)
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_least_squares.misconception(COUNTS_DIFFER.format(factor="n / (n - 1)"))
def matrix_over_n(X, y):
    gram = np.atleast_2d(np.cov(X, rowvar=False, ddof=0))
    weights = np.linalg.pinv(gram, hermitian=True) @ covariances(X, y, ddof=1)
    return weights, y.mean() - X.mean(axis=0) @ weights


# Properties allow 100 times the exercise's tolerance: they compute with numbers that are already allowed to be inexact.


def has_orthogonal_residuals(X, y, weights, intercept):
    A = ones_last(X)
    residual = y - (X @ weights + intercept)
    return bool(np.all(np.abs(A.T @ residual) <= 1e-4 * (np.abs(A).T @ np.abs(y))))


@fit_least_squares.always("The residuals must sum to zero and be orthogonal to every column of X.")
def residuals_are_orthogonal(call, rng):
    X, y = data(rng, 10, 4)
    weights, intercept = call(X=X.copy(), y=y.copy())
    return has_orthogonal_residuals(X, y, weights, intercept)


@fit_least_squares.always("Adding 100 to every target must raise the intercept by 100 and leave the weights alone.")
def a_shift_moves_only_the_intercept(call, rng):
    X, y = data(rng, 9, 3)
    weights, intercept = call(X=X.copy(), y=y.copy())
    shifted, raised = call(X=X.copy(), y=y + 100)
    return bool(np.allclose(shifted, weights, rtol=1e-4, atol=1e-4) and np.isclose(raised - intercept, 100, rtol=1e-4))


@fit_least_squares.always(
    "The third column of X is the first minus twice the second. Many weights fit equally well, and the result must be "
    "the shortest of them. Causes that are often seen: a square system is solved, and rounding hides that it is "
    "singular, with a determinant that is tiny and not 0; the columns are divided by their standard deviations first, "
    "and the weights are the shortest in other units; the numbers are float32. A solver that is built on the singular "
    "value decomposition, used in float64 on the columns as they are, gives the shortest."
)
def shortest_although_rounding_hides_the_dependence(call, rng):
    a = np.array([1.1, 2.3, 3.7, 4.2, 5.9, 6.4, 7.8])
    b = np.array([0.3, 1.9, 0.7, 2.2, 1.3, 0.8, 2.9])
    X, y = np.column_stack([a, b, a - 2 * b]), np.array([2.1, 0.4, 3.3, 1.7, 5.2, 4.6, 2.8])
    weights, intercept = call(X=X.copy(), y=y.copy())
    along_the_dependence = np.array([1.0, -2.0, -1.0]) @ weights  # the shortest weights have nothing in this direction
    return abs(along_the_dependence) < 1e-4 and has_orthogonal_residuals(X, y, weights, intercept)


# 2. mse_gradient


@exercise(
    "linear_regression.mse_gradient",
    reference=lr.mse_gradient,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=ESTIMATORS,
)
def mse_gradient(rng):
    """Gradient of the mean squared error with respect to the parameters."""
    yield worked(A=A4.copy(), y=Y4.copy(), theta=np.array([2.0, 1.0]))
    for n, d in [(7, 3), (5, 4), (3, 6)]:
        yield random(A=rng.standard_normal((n, d)), y=rng.standard_normal(n), theta=rng.standard_normal(d))
    yield edge(A=A4.copy(), y=Y4.copy(), theta=np.array([1.0, 1.5]))
    yield edge(A=np.array([[2.0, -3.0, 1.0]]), y=np.array([5.0]), theta=np.zeros(3))
    yield edge(A=1e8 * A4, y=Y4.copy(), theta=np.array([1e8, -1e8]))


@mse_gradient.misconception(
    "The factor 2/n is missing. The square brings a 2 down, and the mean divides by the n examples."
)
def no_factor(A, y, theta):
    return A.T @ (A @ theta - y)


@mse_gradient.misconception(
    "Your gradient is half of the true one: the derivative of r^2 is 2r, not r. Some books define the loss with "
    "1/2 in front so that the 2 cancels; ours is the plain mean of the squares."
)
def derivative_of_the_square_without_two(A, y, theta):
    return A.T @ (A @ theta - y) / A.shape[0]


@mse_gradient.misconception(
    "This is the gradient of the SUM of the squares. The loss is their mean: divide by n, or the right step size "
    "will depend on how much data you have."
)
def sum_for_mean(A, y, theta):
    return 2 * A.T @ (A @ theta - y)


@mse_gradient.misconception(
    "The sign is reversed. The residual in the loss is prediction minus target; with target minus prediction the "
    "inner derivative is -A, and that minus must be kept. A step against your gradient climbs."
)
def reversed_sign(A, y, theta):
    return 2 / A.shape[0] * A.T @ (y - A @ theta)


@mse_gradient.misconception(
    "You differentiated with respect to the data: your answer has the shape of A. We cannot change what was "
    "measured. Differentiate with respect to theta: one number per parameter, shape (d,)."
)
def gradient_in_the_data(A, y, theta):
    return 2 / A.shape[0] * np.outer(A @ theta - y, theta)


@mse_gradient.misconception("You divide by the number of columns d. The mean runs over the n examples, the rows of A.")
def divided_by_columns(A, y, theta):
    return 2 / A.shape[1] * A.T @ (A @ theta - y)


@mse_gradient.misconception(
    "You divide by the number of entries of A, n times d. The loss has one square per example: the mean runs over the "
    "n rows alone."
)
def divided_by_all_entries(A, y, theta):
    return 2 / A.size * A.T @ (A @ theta - y)


@mse_gradient.misconception(
    "You return one gradient per example, shape (n, d). The loss is the mean over the examples, so its gradient is the "
    "mean of these rows, shape (d,)."
)
def gradients_not_averaged(A, y, theta):
    return 2 * (A @ theta - y)[:, None] * A


@mse_gradient.misconception(
    "You average over examples AND parameters and get a single number. There is one slope per parameter: average over "
    "the examples alone (one axis)."
)
def averaged_over_both_axes(A, y, theta):
    return 2 * np.mean((A @ theta - y)[:, None] * A)


TARGETS_AS_A_COLUMN = (
    "You make y a column of shape (n, 1), but A theta has shape (n,). Their difference broadcasts to (n, n): every "
    "prediction minus every target. Keep both at shape (n,)."
)


@mse_gradient.misconception(TARGETS_AS_A_COLUMN)
def targets_as_a_column(A, y, theta):
    return 2 / A.shape[0] * A.T @ (A @ theta - y[:, None])


@mse_gradient.misconception(TARGETS_AS_A_COLUMN)
def targets_as_a_column_then_averaged(A, y, theta):
    return np.mean(2 * (A @ theta - y[:, None]) @ A, axis=0)


@mse_gradient.misconception(
    "errors has shape (n,) and A has shape (n, d). `*` lines up the LAST axes, so n meets d. Make the errors a column, "
    "errors[:, None] * A, and take the mean over the examples alone, axis=0. Or use a matrix product."
)
def errors_along_the_columns(A, y, theta):
    return 2 * np.mean((A @ theta - y) * A, axis=0)


MEAN_OVER_THE_PARAMETERS = (
    "You {verb} over the parameters and keep the examples: your answer has one number per example, shape (n,). A.T has "
    "shape (d, n), so the examples are its LAST axis, axis=1; in A they are axis=0. The mean runs over the examples, "
    "and one number per parameter is left, shape (d,)."
)


@mse_gradient.misconception(MEAN_OVER_THE_PARAMETERS.format(verb="take the mean"))
def mean_over_the_parameters(A, y, theta):
    return 2 * (A.T * (A @ theta - y)).mean(axis=0)


@mse_gradient.misconception(MEAN_OVER_THE_PARAMETERS.format(verb="sum"))
def sum_over_the_parameters(A, y, theta):
    return 2 * (A.T * (A @ theta - y)).sum(axis=0) / len(y)


@mse_gradient.misconception(
    "You square the errors inside the gradient. The derivative of r^2 is 2r: the square is gone, and each error stands "
    "there once, with its sign. `**` binds tighter than `@`, so A.T @ (...) ** 2 squares the errors first."
)
def errors_squared(A, y, theta):
    return 2 / A.shape[0] * A.T @ (A @ theta - y) ** 2


@mse_gradient.misconception(
    "You square the errors inside the gradient, and the factor is 1 / n. The derivative of r^2 is 2r: the 2 comes "
    "down, and each error stands there once, with its sign."
)
def errors_squared_without_two(A, y, theta):
    return A.T @ (A @ theta - y) ** 2 / A.shape[0]


@mse_gradient.misconception(
    "The targets are missing: you take A theta, the predictions, where the errors A theta - y belong."
)
def targets_forgotten(A, y, theta):
    return 2 / A.shape[0] * A.T @ A @ theta


@mse_gradient.misconception(
    "The predictions are missing: your gradient does not depend on theta. The errors are A theta - y."
)
def predictions_forgotten(A, y, theta):
    return -2 / A.shape[0] * A.T @ y


@mse_gradient.misconception(
    "The parentheses are missing: A.T @ A @ theta - y subtracts n targets from d numbers. A^T multiplies the errors as "
    "a whole: A.T @ (A @ theta - y)."
)
def targets_outside_the_product(A, y, theta):
    return 2 / A.shape[0] * (A.T @ A @ theta - y)


@mse_gradient.misconception(
    "The transpose is missing: A has a row for each example, (n, d), and its rows do not meet the n errors. A^T, of "
    "shape (d, n), does: A.T @ (A @ theta - y)."
)
def matrix_not_transposed(A, y, theta):
    return 2 / A.shape[0] * A @ (A @ theta - y)


@mse_gradient.misconception(
    "`*` multiplies entry by entry and adds nothing up: A.T * errors has shape (d, n), one column per example. The "
    "matrix product `@` also sums over the examples: A.T @ errors, shape (d,)."
)
def entries_multiplied(A, y, theta):
    return 2 / A.shape[0] * A.T * (A @ theta - y)


@mse_gradient.misconception(
    "`2 // n` drops what is behind the point, so it is 0 for more than two examples. Divide with a single `/`."
)
def factor_without_fraction(A, y, theta):
    return 2 // A.shape[0] * A.T @ (A @ theta - y)


ROOT_DIFFERENTIATED = (
    "You differentiate the root of the {kind} of the squares: your gradient is divided by the size of the errors, so "
    "it does not shrink as they do. The loss is the mean of the squares itself, without a root: 2/n A^T (A theta - y)."
)


@mse_gradient.misconception(ROOT_DIFFERENTIATED.format(kind="mean"))
def gradient_of_the_root(A, y, theta):
    errors = A @ theta - y
    with np.errstate(divide="ignore", invalid="ignore"):
        return A.T @ errors / len(y) / np.sqrt(np.mean(errors**2))


@mse_gradient.misconception(ROOT_DIFFERENTIATED.format(kind="sum"))
def gradient_of_the_length(A, y, theta):
    errors = A @ theta - y
    with np.errstate(divide="ignore", invalid="ignore"):
        return A.T @ errors / np.linalg.norm(errors)


NOT_ADDED_UP = (
    "Your loop does not add up. `gradient = ...` throws away what earlier examples gave, so the last one is all that "
    "remains. Start with zeros before the loop and write `gradient += ...`"
)
LEFT_EARLY = (
    "Your function returns inside the loop, so it leaves after the first example. The return belongs behind the loop, "
    "at the indentation of `for`"
)

for example, place, hint in ((-1, "last", NOT_ADDED_UP), (0, "first", LEFT_EARLY)):

    @mse_gradient.misconception(hint + ".", name=f"{place}_example_alone")
    def one_example(A, y, theta, example=example):
        return 2 / A.shape[0] * (A[example] @ theta - y[example]) * A[example]

    @mse_gradient.misconception(hint + ". And divide the sum by n.", name=f"{place}_example_alone_not_divided")
    def one_example_not_divided(A, y, theta, example=example):
        return 2 * (A[example] @ theta - y[example]) * A[example]


@mse_gradient.misconception(
    "You multiply by n where you must divide: Python reads `1 / 2 * n` from the left, as (1 / 2) * n. Put the "
    "denominator in parentheses. And the factor is 2 / n: the square brings a 2 down, and the loss has no 1/2 in front."
)
def denominator_without_parentheses(A, y, theta):
    return 1 / 2 * A.shape[0] * A.T @ (A @ theta - y)


@mse_gradient.misconception(
    "Your factor is 1 / (2 n), a fourth of the right one. The loss is the plain mean of the squares, without 1/2 in "
    "front, and the derivative of a square brings a 2 down: 2 / n."
)
def half_of_the_mean_without_two(A, y, theta):
    return A.T @ (A @ theta - y) / (2 * A.shape[0])


@mse_gradient.misconception(
    "You return the loss itself. Asked is its gradient: how fast the loss grows with each parameter, one number per "
    "parameter."
)
def loss_for_gradient(A, y, theta):
    return np.mean((A @ theta - y) ** 2)


@mse_gradient.always("It must agree with the slope measured by moving each parameter a little both ways.")
def equals_finite_differences(call, rng):
    A, y, theta = rng.standard_normal((6, 4)), rng.standard_normal(6), rng.standard_normal(4)
    h = 1e-5
    slopes = [
        (np.mean((A @ (theta + h * e) - y) ** 2) - np.mean((A @ (theta - h * e) - y) ** 2)) / (2 * h) for e in np.eye(4)
    ]
    return np.allclose(call(A=A.copy(), y=y.copy(), theta=theta.copy()), slopes, rtol=1e-4, atol=1e-6)


@mse_gradient.always("It must not change when the data are repeated: a mean does not know how often they were copied.")
def repeated_data(call, rng):
    A, y, theta = rng.standard_normal((5, 3)), rng.standard_normal(5), rng.standard_normal(3)
    once = call(A=A.copy(), y=y.copy(), theta=theta.copy())
    twice = call(A=np.vstack([A, A]), y=np.concatenate([y, y]), theta=theta.copy())
    return np.allclose(twice, once, rtol=1e-4, atol=1e-7)


# 3. gradient_descent


@exercise(
    "linear_regression.gradient_descent",
    reference=lr.gradient_descent,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=ESTIMATORS,
)
def gradient_descent(rng):
    """Path of gradient descent on the mean squared error, the start included."""
    yield worked(A=A4.copy(), y=Y4.copy(), start=np.zeros(2), step_size=0.1, steps=2)
    for n, d, steps in [(7, 3, 4), (5, 2, 6), (4, 5, 3)]:
        A = rng.standard_normal((n, d))
        yield random(A=A, y=rng.standard_normal(n), start=rng.standard_normal(d), step_size=0.07, steps=steps)
    yield edge(A=A4.copy(), y=Y4.copy(), start=np.array([2.0, -1.0]), step_size=0.1, steps=0)
    yield edge(A=A4.copy(), y=Y4.copy(), start=np.array([1.0, 1.5]), step_size=0.1, steps=3)
    yield edge(A=np.array([[2.0]]), y=np.array([6.0]), start=np.array([1.0]), step_size=0.125, steps=1)


def slope(A, y, theta):
    return 2 / A.shape[0] * A.T @ (A @ theta - y)


@gradient_descent.misconception(
    "You add the gradient, so you climb: the gradient points where the loss GROWS fastest. Subtract it."
)
def plus_sign(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] + step_size * slope(A, y, path[-1]))
    return np.stack(path)


@gradient_descent.misconception(
    "Every row of your path is the same array, the last point, and start was overwritten. `theta -= ...` changes "
    "the array in place, and your list holds that one array many times. Build a new array in every step: `theta ="
    " theta - ...`."
)
def updates_in_place(A, y, start, step_size, steps):
    theta = start
    path = [theta]
    for _ in range(steps):
        theta -= step_size * slope(A, y, theta)
        path.append(theta)
    return np.stack(path)


@gradient_descent.misconception(
    "Every row of your path is the last point. `theta -= ...` changes one array in place, and your list holds that one "
    "array many times. Build a new array in every step, `theta = theta - ...`, or append a copy."
)
def one_array_in_every_row(A, y, start, step_size, steps):
    theta = start.copy()
    path = [theta]
    for _ in range(steps):
        theta -= step_size * slope(A, y, theta)
        path.append(theta)
    return np.stack(path)


@gradient_descent.misconception(
    "The path is right, but your function overwrites start: `theta = start` makes a second name, not a copy, and "
    "`theta -= ...` then changes the caller's array. Copy it first, or write `theta = theta - ...`."
)
def overwrites_the_start(A, y, start, step_size, steps):
    theta = start
    path = [theta.copy()]
    for _ in range(steps):
        theta -= step_size * slope(A, y, theta)
        path.append(theta.copy())
    return np.stack(path)


@gradient_descent.misconception(
    "One step too many: the path has steps + 2 rows. With the start in row 0, `steps` updates make steps + 1 rows."
)
def one_step_too_many(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps + 1):
        path.append(path[-1] - step_size * slope(A, y, path[-1]))
    return np.stack(path)


@gradient_descent.misconception(
    "One step is missing: the path has only as many rows as there are steps. The start is row 0 and counts as no step; "
    "`steps` updates after it make steps + 1 rows."
)
def one_step_too_few(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps - 1):
        path.append(path[-1] - step_size * slope(A, y, path[-1]))
    return np.stack(path)


@gradient_descent.misconception(
    "Your rows are shifted by one: row 0 is the point after the first step, and you take one step too many. Store the "
    "point first, then step, so that row 0 is the start."
)
def stored_after_the_step(A, y, start, step_size, steps):
    theta, path = start, []
    for _ in range(steps + 1):
        theta = theta - step_size * slope(A, y, theta)
        path.append(theta)
    return np.stack(path)


@gradient_descent.misconception(
    "You return only the point where the walk ends. Asked is the whole path, the start included: keep every point."
)
def only_the_last_point(A, y, start, step_size, steps):
    theta = start
    for _ in range(steps):
        theta = theta - step_size * slope(A, y, theta)
    return theta


@gradient_descent.misconception(
    "Your path lies on its side: one column per point. Asked is one ROW per point, shape (steps + 1, d)."
)
def points_in_columns(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - step_size * slope(A, y, path[-1]))
    return np.stack(path, axis=1)


@gradient_descent.misconception(
    "Your steps are n times too long: you follow the gradient of the SUM of the squares. The loss is their mean, so "
    "its gradient divides by the number of examples."
)
def gradient_of_the_sum(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - step_size * 2 * A.T @ (A @ path[-1] - y))
    return np.stack(path)


@gradient_descent.misconception(
    "The start is missing: row 0 of your path is the point after the first step. Keep the start as row 0."
)
def start_left_out(A, y, start, step_size, steps):
    theta, path = start, []
    for _ in range(steps):
        theta = theta - step_size * slope(A, y, theta)
        path.append(theta)
    return np.stack(path)


@gradient_descent.misconception(
    "You take the slope once, at the start, and walk on with it. The slope changes as you move: compute it again "
    "at every point, inside the loop."
)
def slope_of_the_start(A, y, start, step_size, steps):
    gradient = slope(A, y, start)
    return np.stack([start - k * step_size * gradient for k in range(steps + 1)])


@gradient_descent.misconception(
    "Your steps are half as long as they should be: the factor 2 of the derivative of a square is missing in your"
    " gradient."
)
def gradient_without_two(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - step_size * slope(A, y, path[-1]) / 2)
    return np.stack(path)


@gradient_descent.misconception(
    "Your steps become shorter: you divide step k by k. Some methods do so, but here the step size is constant. The "
    "steps shrink by themselves as the slope flattens."
)
def step_divided_by_k(A, y, start, step_size, steps):
    path = [start]
    for k in range(1, steps + 1):
        path.append(path[-1] - step_size / k * slope(A, y, path[-1]))
    return np.stack(path)


@gradient_descent.misconception(
    "You begin at zeros. The walk begins at `start`, which is row 0 of the path and need not be zero."
)
def begins_at_zeros(A, y, start, step_size, steps):
    path = [np.zeros_like(start)]
    for _ in range(steps):
        path.append(path[-1] - step_size * slope(A, y, path[-1]))
    return np.stack(path)


@gradient_descent.misconception(
    "You move one coordinate after another, and each sees those that have moved. A step of gradient descent takes the "
    "whole gradient at one point and moves all coordinates at once: compute it before the loop over coordinates."
)
def one_coordinate_after_another(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        theta = path[-1].copy()
        for j in range(len(theta)):
            theta[j] -= step_size * slope(A, y, theta)[j]
        path.append(theta)
    return np.stack(path)


@gradient_descent.always("With a step size below the bound the loss must never rise along the path.")
def loss_never_rises(call, rng):
    A, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    step_size = 0.9 * 8 / np.linalg.norm(A, 2) ** 2
    path = np.asarray(call(A=A.copy(), y=y.copy(), start=np.full(3, 2.0), step_size=step_size, steps=9))
    losses = np.mean((path @ A.T - y) ** 2, axis=1)
    return path.shape == (10, 3) and bool(np.all(np.diff(losses) <= 1e-4 * losses[0]))


@gradient_descent.always("Walking on from a point of the path must give the rest of the path.")
def can_be_continued(call, rng):
    A, y, start = rng.standard_normal((6, 2)), rng.standard_normal(6), rng.standard_normal(2)
    whole = call(A=A.copy(), y=y.copy(), start=start.copy(), step_size=0.1, steps=7)
    rest = call(A=A.copy(), y=y.copy(), start=whole[3].copy(), step_size=0.1, steps=4)
    return whole.shape == (8, 2) and np.allclose(whole[3:], rest, rtol=1e-4, atol=1e-4)


# 4. fit_ridge


@exercise(
    "linear_regression.fit_ridge",
    reference=lr.fit_ridge,
    points=6,
    rtol=1e-6,
    atol=1e-8,
    forbidden=(*LEAST_SQUARES, "scipy.sparse.linalg.lsqr", "scipy.sparse.linalg.lsmr"),  # both take a penalty
)
def fit_ridge(rng):
    """Least squares with a price on long weights, and an intercept that is free of charge."""
    yield worked(X=X4.copy(), y=Y4.copy(), penalty=20.0)
    yield worked(X=np.column_stack([X4, [0.0, 2.0, 0.0, 2.0]]), y=Y4.copy(), penalty=3.0)
    for n, p, penalty in [(7, 3, 2.0), (9, 2, 0.5), (8, 4, 3.0)]:
        X, y = data(rng, n, p)
        yield random(X=X, y=y, penalty=penalty)
    X, y = data(rng, 8, 3)
    yield edge(X=X, y=y, penalty=0.0)
    yield edge(X=X, y=y, penalty=1e9)
    yield edge(X=np.hstack([X, X]), y=y, penalty=1.0)
    X, y = data(rng, 4, 6)
    yield edge(X=X, y=y, penalty=3.0)
    yield edge(X=np.array([[2.0, 5.0]]), y=np.array([3.0]), penalty=1.0)


def ridge_solution(gram, right, penalty):
    return np.linalg.solve(gram + penalty * np.eye(len(gram)), right)


@fit_ridge.misconception(
    "You penalize the intercept too, so your predictions are pulled towards 0, and a shift of y changes the fit. "
    "Leave it free: center X and y, fit the weights, then compute the intercept."
)
def penalizes_the_intercept(X, y, penalty):
    A = ones_last(X)
    theta = ridge_solution(A.T @ A, A.T @ y, penalty)
    return theta[:-1], theta[-1]


@fit_ridge.misconception(
    "Your penalty is n times too strong. Here lambda stands beside the SUM of the squared errors, so the normal "
    "equations get lambda itself. Lambda times n belongs to the mean of the squared errors."
)
def lambda_times_n(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = ridge_solution(gram, right, penalty * len(y))
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(
    "You subtract the penalty, which rewards long weights and can even make the matrix singular. Setting the "
    "gradient 2 X^T (Xw - y) + 2 lambda w to zero puts a PLUS on the diagonal."
)
def minus_the_penalty(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = ridge_solution(gram, right, -penalty)
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(
    "You add lambda to every entry of the matrix, not to its diagonal. The square of the length of w has no "
    "products of two different weights: use lambda times the identity."
)
def lambda_everywhere(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = np.linalg.solve(gram + penalty, right)
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(
    "Your weights are right, your intercept is the one of the centered data. Subtract what the weights make of "
    "the mean of X."
)
def ridge_intercept_not_shifted_back(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    return ridge_solution(gram, right, penalty), y.mean()


@fit_ridge.misconception(
    "There is no intercept: your fit is forced through the origin. Center X and y first, then add the intercept back."
)
def ridge_without_intercept(X, y, penalty):
    return ridge_solution(X.T @ X, X.T @ y, penalty), 0.0


def centered_ridge(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = ridge_solution(gram, right, penalty)
    return weights, y.mean() - x_mean @ weights


def ridge_along_the_rows(X, y, penalty):
    rows = X - X.mean(axis=1, keepdims=True)
    return ridge_solution(rows.T @ rows, rows.T @ (y - y.mean()), penalty)


@fit_ridge.misconception(MEANS_OF_THE_ROWS + ".")
def ridge_centered_along_the_rows(X, y, penalty):
    weights = ridge_along_the_rows(X, y, penalty)
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_ridge.misconception(MEANS_OF_THE_ROWS + ". Then the product with the weights is one number, too.")
def ridge_row_means_in_both_places(X, y, penalty):
    weights = ridge_along_the_rows(X, y, penalty)
    return weights, y.mean() - X.mean(axis=1, keepdims=True) @ weights


@fit_ridge.misconception(
    "You fit the weights without an intercept and set the intercept afterwards. Forced through the origin, the "
    "weights had to do its work too. Fit weights and intercept together: center X and y before you solve."
)
def ridge_intercept_after_the_weights(X, y, penalty):
    weights = ridge_solution(X.T @ X, X.T @ y, penalty)
    return weights, np.mean(y - X @ weights)


@fit_ridge.misconception(
    "Your penalty is n times too weak. Here lambda stands beside the SUM of the squared errors and enters the normal "
    "equations as it is. Do not divide it by n unless you divide X^T X by n as well."
)
def lambda_over_n(X, y, penalty):
    return centered_ridge(X, y, penalty / len(y))


@fit_ridge.misconception(
    "Your penalty is half as strong as it should be. Both parts of the loss are squares, so setting the gradient to "
    "zero gives 2 X^T (Xw - y) + 2 lambda w = 0, and the 2 cancels: lambda itself stands on the diagonal."
)
def half_of_lambda(X, y, penalty):
    return centered_ridge(X, y, penalty / 2)


@fit_ridge.misconception(
    "Your penalty is twice as strong as it should be. The gradient is 2 X^T (Xw - y) + 2 lambda w: the 2 stands in "
    "both parts and cancels, so lambda itself stands on the diagonal."
)
def twice_lambda(X, y, penalty):
    return centered_ridge(X, y, 2 * penalty)


@fit_ridge.misconception(
    "Your weights are right, but you shift the intercept the wrong way. The line passes through the point of means: "
    "put the means into y = w . x + b and solve for b."
)
def ridge_intercept_shifted_the_wrong_way(X, y, penalty):
    weights = centered_ridge(X, y, penalty)[0]
    return weights, y.mean() + X.mean(axis=0) @ weights


@fit_ridge.misconception(
    "Your weights are right, and your intercept has the wrong sign: it is the mean of y minus what the weights make of "
    "the mean of X."
)
def ridge_intercept_with_the_wrong_sign(X, y, penalty):
    weights = centered_ridge(X, y, penalty)[0]
    return weights, X.mean(axis=0) @ weights - y.mean()


@fit_ridge.misconception(
    "Lambda enters squared. If you stack penalty rows below X, their squares are summed, so such a row needs the "
    "square root of lambda."
)
def lambda_squared(X, y, penalty):
    return centered_ridge(X, y, penalty**2)


@fit_ridge.misconception(
    "Lambda does nothing in your function: these are the weights of plain least squares. Put the price on long weights "
    "into the system that you solve."
)
def penalty_ignored(X, y, penalty):
    x_mean = X.mean(axis=0)
    weights = np.linalg.lstsq(X - x_mean, y - y.mean(), rcond=None)[0]
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(
    "You leave the wrong entry free: the column of ones is first, and your penalty spares the last entry. The "
    "intercept pays, and a weight does not. Put the zero on the diagonal where the ones are."
)
def wrong_entry_free(X, y, penalty):
    A = np.hstack([np.ones((X.shape[0], 1)), X])
    price = np.diag([penalty] * X.shape[1] + [0.0])
    theta = np.linalg.lstsq(A.T @ A + price, A.T @ y, rcond=None)[0]
    return theta[1:], theta[0]


@fit_ridge.misconception(
    "You leave the wrong entry free: the column of ones is last, and P[0, 0] = 0 spares the first weight. The "
    "intercept pays, and a weight does not. Put the zero on the diagonal where the ones are: P[-1, -1]."
)
def wrong_entry_free_with_ones_last(X, y, penalty):
    A = ones_last(X)
    price = np.diag([0.0] + [penalty] * X.shape[1])
    theta = np.linalg.lstsq(A.T @ A + price, A.T @ y, rcond=None)[0]
    return theta[:-1], theta[-1]


ONE_PRICE_PER_EXAMPLE = (
    "Your identity matrix is (n, n), one price per example. The price is on the weights: X^T X is (p, p), with a row "
    "and a column for each weight, and so must be the identity, np.eye(X.shape[1])."
)


@fit_ridge.misconception(ONE_PRICE_PER_EXAMPLE)
def one_price_per_example(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = np.linalg.solve(gram + penalty * np.eye(len(y)), right)
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(ONE_PRICE_PER_EXAMPLE)
def one_price_per_example_inverted(X, y, penalty):
    x_mean = X.mean(axis=0)
    gram, right = (X - x_mean).T @ (X - x_mean), (X - x_mean).T @ (y - y.mean())
    weights = np.linalg.inv(gram + penalty * np.eye(len(y))) @ right
    return weights, y.mean() - x_mean @ weights


@fit_ridge.misconception(ONE_PRICE_PER_EXAMPLE + " With a column of ones beside X it is one larger, and free there.")
def one_price_per_example_beside_ones(X, y, penalty):
    A = ones_last(X)
    theta = np.linalg.solve(A.T @ A + penalty * np.eye(len(y)), A.T @ y)
    return theta[:-1], theta[-1]


@fit_ridge.misconception(
    "The root of lambda stands on the diagonal. The root belongs in penalty rows that are stacked below X, whose "
    "squares are summed; in the normal equations it is lambda itself."
)
def root_of_lambda(X, y, penalty):
    return centered_ridge(X, y, np.sqrt(penalty))


@fit_ridge.misconception(TARGETS_ALONE_CENTERED)
def ridge_with_targets_alone_centered(X, y, penalty):
    return ridge_solution(X.T @ X, X.T @ (y - y.mean()), penalty), y.mean()


@fit_ridge.misconception(
    "You return all parameters in one array. Return a tuple of two: the weights, one per column of X, and the "
    "intercept, a number."
)
def ridge_parameters_not_cut(X, y, penalty):
    weights, intercept = centered_ridge(X, y, penalty)
    return np.append(weights, intercept)


@fit_ridge.misconception("Both results are there, in the wrong order: the weights come first, then the intercept.")
def ridge_intercept_returned_first(X, y, penalty):
    weights, intercept = centered_ridge(X, y, penalty)
    return intercept, weights


STANDARDIZED_RIDGE = (
    "You divide the features by their standard deviation before you fit, and return the weights of these new features. "
    "They are no weights for X, and the penalty costs something else on them. Here the price is on the weights of X as "
    "it is: only center"
)


@fit_ridge.misconception(STANDARDIZED_RIDGE + ".")
def standardized_ridge_weights(X, y, penalty):
    weights = centered_ridge(standardized(X), y, penalty)[0]
    return weights, y.mean() - X.mean(axis=0) @ weights


@fit_ridge.misconception(STANDARDIZED_RIDGE + ", and shift the intercept back.")
def standardized_ridge_weights_and_intercept(X, y, penalty):
    return centered_ridge(standardized(X), y, penalty)[0], y.mean()


@fit_ridge.misconception(
    "You divide the features by their standard deviation before you fit. That is often wise, but it changes what the "
    "penalty costs, so it is another problem. Here the price is on the weights of X as it is: only center."
)
def standardized_first(X, y, penalty):
    x_mean, spread = X.mean(axis=0), X.std(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = centered_ridge((X - x_mean) / spread, y, penalty)[0] / spread
    return weights, y.mean() - x_mean @ weights


@fit_ridge.always("Adding 100 to every target must raise the intercept by 100 and leave the weights alone.")
def ridge_shift_moves_only_the_intercept(call, rng):
    X, y = data(rng, 9, 3)
    weights, intercept = call(X=X.copy(), y=y.copy(), penalty=4.0)
    shifted, raised = call(X=X.copy(), y=y + 100, penalty=4.0)
    return bool(np.allclose(shifted, weights, rtol=1e-4, atol=1e-4) and np.isclose(raised - intercept, 100, rtol=1e-4))


@fit_ridge.always("A larger penalty must never give longer weights.")
def weights_shrink(call, rng):
    X, y = data(rng, 9, 4)
    lengths = [np.linalg.norm(call(X=X.copy(), y=y.copy(), penalty=p)[0]) for p in (0.1, 1.0, 10.0, 100.0)]
    return bool(np.all(np.diff(lengths) <= 1e-4 * lengths[0]))


# 5. r2_score


@exercise(
    "linear_regression.r2_score",
    reference=lr.r2_score,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(
        *(f"sklearn.metrics.{name}" for name in ("r2_score", "d2_tweedie_score", "get_scorer")),
        *("sklearn.base.RegressorMixin", *STATISTICS),
    ),
)
def r2_score(rng):
    """Share of the variation of the targets that the predictions explain; negative when worse than their mean."""
    yield worked(y=Y4.copy(), predictions=np.array([1.0, 2.0, 3.0, 5.0]))
    yield worked(y=Y4.copy(), predictions=np.array([4.0, 4.0, 3.0, 1.0]))
    # The mean of 4, 8 or 16 targets in steps of 1/1024 is not rounded: their deviations sum to 0 in any order.
    for n, noise in [(8, 0.5), (4, 3.0), (16, 0.1)]:
        y = 5 + np.round(2048 * rng.standard_normal(n)) / 1024
        yield random(y=y, predictions=0.7 * y + noise * rng.standard_normal(n))
    # Small units, in which a number that was added below the fraction shows. Equal targets: see the properties.
    yield edge(y=1e-4 * np.array([1.0, 3.0, 5.0]), predictions=np.full(3, 3e-4))
    y = rng.standard_normal(6)
    yield edge(y=y, predictions=y.copy())
    yield edge(y=y, predictions=np.full(6, y.mean()))
    # Targets that are nearly equal, tiny, or equal at both ends alone: the formula holds for them.
    yield edge(y=1e5 + np.array([0.0, 0.5, 1.0]), predictions=np.full(3, 1e5))
    yield edge(y=1e-9 * np.array([1.0, 2.0, 3.0]), predictions=1e-9 * np.array([1.0, 2.0, 2.5]))
    yield edge(y=np.array([1.0, 2.0, 1.0]), predictions=np.array([1.0, 1.9, 1.0]))


@r2_score.misconception(
    "Your ratio is upside down. The unexplained part, sum (y - prediction)^2, goes on top; the whole, sum (y - "
    "mean)^2, below."
)
def inverted_ratio(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - y.mean()) ** 2) / np.sum((y - predictions) ** 2)


@r2_score.misconception(
    "You cut negative scores off at 0. R2 may be negative: then the predictions are worse than the mean of y, and"
    " that is what you need to know."
)
def clipped_at_zero(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return max(0.0, 1 - np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2))


@r2_score.misconception(
    "You measure the spread of y around the mean of the PREDICTIONS. The rival is the best constant for y: the "
    "mean of y."
)
def mean_of_the_predictions(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - predictions) ** 2) / np.sum((y - predictions.mean()) ** 2)


@r2_score.misconception(
    "This is the squared correlation. It forgives predictions on a wrong scale, shifted, or even reversed. The "
    "two agree only for a least-squares fit with intercept on its own training data."
)
def squared_correlation(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = y - y.mean(), predictions - predictions.mean()
        return np.sum(a * b) ** 2 / (np.sum(a**2) * np.sum(b**2))


@r2_score.misconception(
    "This is the variation of the predictions over that of y. It says how much they move, not whether they move "
    "with y. The two agree only for a least-squares fit with intercept on its own training data."
)
def explained_over_total(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum((predictions - y.mean()) ** 2) / np.sum((y - y.mean()) ** 2)


@r2_score.misconception(
    "The arguments are mixed up: the spread below the fraction must be that of the targets, the first argument. "
    "R2 is not symmetric."
)
def arguments_swapped(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - predictions) ** 2) / np.sum((predictions - predictions.mean()) ** 2)


@r2_score.misconception(
    "The `1 -` is missing: you return the share that is left UNexplained. Perfect predictions must score 1, not 0."
)
def one_minus_forgotten(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2)


@r2_score.misconception(
    "The sign is reversed: you return the unexplained share minus 1. The score is 1 minus that share, so that perfect "
    "predictions score 1."
)
def sign_of_the_score_reversed(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2) - 1


@r2_score.misconception(
    "You take the square root of both sums. R2 is a share of the variation, which is measured in squares: divide the "
    "sums of squares as they are, without roots."
)
def roots_of_the_sums(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sqrt(np.sum((y - predictions) ** 2)) / np.sqrt(np.sum((y - y.mean()) ** 2))


@r2_score.misconception(
    "A parenthesis is misplaced: below the fraction you sum first and square then. Deviations from the mean always sum "
    "to 0, so you divide by 0, or by rounding. Square each deviation and sum the squares: np.sum((y - y.mean()) ** 2)."
)
def sum_of_the_deviations_squared(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - predictions) ** 2) / np.sum(y - y.mean()) ** 2


@r2_score.misconception(
    "A parenthesis is misplaced: above the fraction you sum first and square then, so errors of opposite sign cancel. "
    "Square each error and sum the squares: np.sum((y - predictions) ** 2)."
)
def sum_of_the_errors_squared(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum(y - predictions) ** 2 / np.sum((y - y.mean()) ** 2)


@r2_score.misconception(
    "You divide a mean over n by a variance over n - 1. Both parts of the fraction must count in the same way: two "
    "sums, or two means over n."
)
def means_over_different_counts(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - predictions) ** 2) / len(y) / (np.sum((y - y.mean()) ** 2) / (np.float64(len(y)) - 1))


@r2_score.misconception(
    "This is the variance of the predictions over that of y. It says how much they move, not whether they move with y: "
    "predictions with the sign reversed score as well. Compare each prediction with its target."
)
def variance_over_variance(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.var(predictions) / np.var(y)


@r2_score.misconception(
    "You use the VARIANCE of the errors, which forgives an error that is the same everywhere: predictions that are all "
    "too high by 10 lose nothing. Sum the squared errors themselves."
)
def constant_error_forgiven(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.var(y - predictions) / np.var(y)


SMALL_NUMBER_BELOW = (
    "A small number in the denominator gives no defined answer for equal targets: what comes out there depends on the "
    "number that you chose. If you add it, it also shifts every other score. Handle equal targets by an if."
)


def with_a_small_number_below(number):
    def score(y, predictions):
        return 1 - np.sum((y - predictions) ** 2) / (np.sum((y - y.mean()) ** 2) + number)

    return score


for digits in range(6, 17):
    r2_score.misconception(SMALL_NUMBER_BELOW, f"denominator_plus_1e_{digits}")(with_a_small_number_below(10**-digits))
r2_score.misconception(SMALL_NUMBER_BELOW, "denominator_plus_machine_epsilon")(
    with_a_small_number_below(np.finfo(float).eps)
)


def exactly_equal(y, predictions):
    return np.all(y == predictions)


def with_equal_targets(are_equal, foretold=exactly_equal):
    def score(y, predictions):
        if are_equal(y):
            return 1.0 if foretold(y, predictions) else 0.0
        return 1 - np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2)

    return score


for foretold, ending in ((exactly_equal, ""), (np.allclose, "_and_foretold")):
    r2_score.misconception(
        "np.allclose(y, y[0]) also holds for targets that differ: it forgives 1e-5 of their size, and 1e-8 besides. "
        "Nearly equal targets have a score like others. Ask whether they are equal: np.all(y == y[0]).",
        "nearly_equal_taken_for_equal" + ending,
    )(with_equal_targets(lambda y: np.allclose(y, y[0]), foretold))
r2_score.misconception(
    "You take a small spread (a sum of squares, a variance, a standard deviation below some limit) for equal targets. "
    "How small it is depends on the units: targets of 1e-9, 2e-9 and 3e-9 have the same score as 1, 2 and 3. Ask "
    "whether the targets are equal: np.all(y == y[0]).",
    "small_spread_taken_for_none",
)(with_equal_targets(lambda y: np.sum((y - y.mean()) ** 2) < 1e-12))
r2_score.misconception(
    "You compare the first target with the last alone. Those in between may differ: compare all of them, "
    "np.all(y == y[0]).",
    "first_compared_with_last",
)(with_equal_targets(lambda y: y[0] == y[-1]))


@r2_score.misconception(
    "Below the fraction you sum y^2, the squared distances from 0. The rival predicts the mean of y: sum (y - mean)^2."
)
def distances_from_zero(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum((y - predictions) ** 2) / np.sum(y**2)


@r2_score.misconception(
    "You return the mean squared error. The score compares it with that of a rival who always says the mean of y: "
    "divide by the rival's, and subtract from 1."
)
def error_for_score(y, predictions):
    return np.mean((y - predictions) ** 2)


@r2_score.misconception("You return percent, 100 times the score. Perfect predictions must score 1, not 100.")
def in_percent(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * (1 - np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2))


@r2_score.misconception(
    "You sum absolute values. R2 compares SQUARED errors with squared distances from the mean: the mean is the best "
    "constant for squares, and it is not for absolute values."
)
def absolute_values_for_squares(y, predictions):
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.sum(np.abs(y - predictions)) / np.sum(np.abs(y - y.mean()))


# Equal targets are tried here, and not as edge cases, so that a report says in words what is missing.

EQUAL_TARGETS = ((np.array([2.0]), np.array([3.0])), (np.full(4, 2.0), np.array([2.0, 2.0, 2.0, 3.0])))


@r2_score.always(
    "If all targets are equal, also if there is only one, the fraction has a zero below, and the formula gives nan or "
    "minus infinity. Ask for that case with an if, before you divide: return 1.0 if every prediction equals its "
    "target, and 0.0 otherwise."
)
def equal_targets_are_a_case_of_their_own(call, rng):
    pairs = [(y.copy(), p.copy()) for y, right in EQUAL_TARGETS for p in (y, right)]
    return all(np.isfinite(call(y=y, predictions=p)) for y, p in pairs)


@r2_score.always(
    "If all targets are equal, predictions that equal them must score 1. Nothing is left unexplained: ask for that "
    "before you return 0."
)
def equal_targets_foretold(call, rng):
    return all(np.isclose(call(y=y.copy(), predictions=y.copy()), 1, rtol=1e-6) for y, _ in EQUAL_TARGETS)


@r2_score.always("If all targets are equal, and not every prediction equals its target, the score must be 0.")
def equal_targets_missed(call, rng):
    return all(abs(call(y=y.copy(), predictions=wrong.copy())) <= 1e-9 for y, wrong in EQUAL_TARGETS)


@r2_score.always(
    "The targets 0.1, 0.1, 0.1 are all equal, although their mean is rounded and the sum below is tiny and not 0. Look "
    "at the targets themselves to find that case, as in np.all(y == y[0])."
)
def rounding_hides_that_targets_are_equal(call, rng):
    y = np.full(3, 0.1)
    perfect, wrong = call(y=y.copy(), predictions=y.copy()), call(y=y.copy(), predictions=np.array([0.1, 0.1, 0.6]))
    return np.isclose(perfect, 1, rtol=1e-6) and abs(wrong) <= 1e-9


@r2_score.always("Measuring y and the predictions in other units (times 3, plus 7) must not change the score.")
def units_do_not_matter(call, rng):
    y, noise = rng.standard_normal(8), rng.standard_normal(8)
    here, there = call(y=y, predictions=y + noise), call(y=3 * y + 7, predictions=3 * (y + noise) + 7)
    return np.isclose(here, there, rtol=1e-4, atol=1e-7)


@r2_score.always("Predicting the mean of y everywhere must score 0, and the truth must score 1.")
def known_scores(call, rng):
    y = rng.standard_normal(6)
    mean_score, best = call(y=y.copy(), predictions=np.full(6, y.mean())), call(y=y.copy(), predictions=y.copy())
    return np.isclose(mean_score, 0, atol=1e-7) and np.isclose(best, 1, rtol=1e-4)


# 6. reduce_loss


@exercise(
    "linear_regression.reduce_loss",
    reference=lr.reduce_loss,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=(
        *("numpy.average", "numpy.ma.average", "scipy.stats.pmean", "sklearn.utils._array_api._average"),
        *("numpy.polyfit", "numpy.polynomial", "torch.nn", *STATISTICS),
    ),
)
def reduce_loss(rng):
    """Three ways to turn n losses into one number: mean, worst case, weighted mean."""
    yield worked(losses=np.array([1.0, 4.0, 1.0, 2.0]), weights=np.array([1.0, 2.0, 1.0, 1.0]))
    for n in (3, 6, 9):
        yield random(losses=rng.uniform(0, 5, n), weights=rng.uniform(0.1, 4, n))
    yield edge(losses=np.array([3.0]), weights=np.array([0.25]))
    yield edge(losses=np.array([5.0, 1.0, 2.0]), weights=np.array([0.0, 0.0, 7.0]))
    yield edge(losses=np.array([2.0, 2.0, 2.0]), weights=np.array([1e9, 1.0, 1e-9]))
    yield edge(losses=np.zeros(4), weights=np.ones(4))
    yield edge(losses=np.array([-2.0, -0.5, -3.0]), weights=np.array([1.0, 2.0, 5.0]))
    yield edge(losses=np.array([1.0, 3.0]), weights=np.array([1e-14, 3e-14]))


@reduce_loss.misconception(
    "The weights are not normalized: twice the weights give twice the loss. Importances count only by their "
    "ratios: divide by their sum."
)
def weights_not_normalized(losses, weights):
    return losses.mean(), losses.max(), losses @ weights


@reduce_loss.misconception(
    "You divide the weighted sum by a count: by n, the number of losses, or by the number of weights that are not 0. "
    "That is right only if the weights happen to sum to that count: divide by the sum of the weights."
)
def weighted_sum_over_n(losses, weights):
    return losses.mean(), losses.max(), (losses * weights).mean()


def with_a_small_number_below_the_weights(number):
    return lambda losses, weights: (losses.mean(), losses.max(), losses @ weights / (weights.sum() + number))


for digits in range(6, 17):
    reduce_loss.misconception(
        "You add a small number to the sum of the weights. It is not small beside small weights, and only their ratios "
        "may count. The weights are never all 0, so nothing has to be added: divide by their sum.",
        f"sum_of_the_weights_plus_1e_{digits}",
    )(with_a_small_number_below_the_weights(10**-digits))


@reduce_loss.misconception(
    "Your first number is the sum. The mean also divides by n, so that losses of data sets of different size can "
    "be compared."
)
def sum_of_losses_for_mean(losses, weights):
    return losses.sum(), losses.max(), losses @ weights / weights.sum()


@reduce_loss.misconception("Your second number says WHERE the worst loss is (its index), not how large it is.")
def index_of_the_worst(losses, weights):
    return losses.mean(), float(np.argmax(losses)), losses @ weights / weights.sum()


@reduce_loss.misconception(
    "You weight the losses before taking the maximum. The worst case is the largest loss itself, whatever its "
    "importance."
)
def worst_of_the_weighted(losses, weights):
    return losses.mean(), (losses * weights).max(), losses @ weights / weights.sum()


@reduce_loss.misconception(
    "You divide twice: by the sum of the weights, and then by n because you take the mean. Weights that sum to 1 "
    "already make an average: sum their products with the losses."
)
def divided_by_the_sum_and_by_n(losses, weights):
    return losses.mean(), losses.max(), np.mean(losses * weights / weights.sum())


@reduce_loss.misconception(
    "The numbers are right, but `weights /= ...` changes the caller's array in place: the next call gets other "
    "weights. Write `weights = weights / ...`, which builds a new array."
)
def weights_normalized_in_place(losses, weights):
    weights /= weights.sum()
    return losses.mean(), losses.max(), losses @ weights


@reduce_loss.misconception(
    "The numbers are right, in the wrong order: first the mean, then the worst, then the weighted mean."
)
def worst_returned_first(losses, weights):
    return losses.max(), losses.mean(), losses @ weights / weights.sum()


@reduce_loss.misconception(
    "The numbers are right, in the wrong order: the worst comes second, and the weighted mean last."
)
def worst_returned_last(losses, weights):
    return losses.mean(), losses @ weights / weights.sum(), losses.max()


@reduce_loss.misconception(
    "You take the largest ABSOLUTE value. A loss may be negative, and a negative loss is a good one. The worst is the "
    "largest with its sign."
)
def largest_absolute_loss(losses, weights):
    return losses.mean(), np.abs(losses).max(), losses @ weights / weights.sum()


@reduce_loss.misconception(
    "Your search for the worst loss starts at 0, so 0 wins when all losses are negative. Start with the first loss."
)
def worst_never_below_zero(losses, weights):
    return losses.mean(), max(0.0, losses.max()), losses @ weights / weights.sum()


@reduce_loss.misconception("Your second number is the smallest loss, that is the best case. The worst is the largest.")
def smallest_for_worst(losses, weights):
    return losses.mean(), losses.min(), losses @ weights / weights.sum()


@reduce_loss.misconception(
    "You divide the weights by the largest one. Then the largest is 1, but the shares do not sum to 1: divide by their "
    "sum."
)
def weights_over_the_largest(losses, weights):
    return losses.mean(), losses.max(), losses @ (weights / weights.max())


@reduce_loss.misconception(
    "You divide the weights by the largest one and take the mean. The shares do not sum to 1 then: divide by the sum "
    "of the weights, and sum the products."
)
def weights_over_the_largest_then_averaged(losses, weights):
    return losses.mean(), losses.max(), np.mean(losses * weights / weights.max())


@reduce_loss.misconception(
    "You put the weights through softmax. That is for scores, which may be negative. Weights are importances already, "
    "and one twice as large counts twice: divide by their sum, without exponentials."
)
def softmax_of_the_weights(losses, weights):
    shares = np.exp(weights - weights.max())
    return losses.mean(), losses.max(), losses @ shares / shares.sum()


@reduce_loss.always("Multiplying all weights by 10 must change nothing.")
def only_ratios_matter(call, rng):
    losses, weights = rng.uniform(0, 5, 7), rng.uniform(0.1, 4, 7)
    once, ten_times = call(losses=losses, weights=weights), call(losses=losses, weights=10 * weights)
    return np.allclose(ten_times, once, rtol=1e-4)


@reduce_loss.always("With equal weights the weighted mean must be the mean, and neither may exceed the worst loss.")
def equal_weights(call, rng):
    losses = rng.uniform(0, 5, 7)
    mean, worst, weighted = call(losses=losses, weights=np.full(7, 0.3))
    return bool(np.isclose(mean, weighted, rtol=1e-4) and mean <= worst + 1e-4)
