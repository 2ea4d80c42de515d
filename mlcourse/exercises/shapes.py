"""Exercises on shapes: similarities, matrix products, axes, linearity, embeddings, and layers that collapse."""

from __future__ import annotations

import itertools

import numpy as np

from mlcourse import shapes
from mlcourse.exercises.libraries import COSINES
from mlcourse.exercises.protocol import edge, exercise, random, worked

# 1. cosine_similarity


@exercise(
    "shapes.cosine_similarity",
    reference=shapes.cosine_similarity,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    forbidden=COSINES,
)
def cosine_similarity(rng):
    """Cosine of the angle between every row of X and every row of Z."""
    yield worked(
        X=np.array([[3.0, 4.0], [0.0, 2.0]]),
        Z=np.array([[6.0, 8.0], [-4.0, 3.0], [0.0, -5.0], [0.0, 0.0]]),
    )
    yield worked(X=np.array([[-1.0, -2.0, -2.0]]), Z=np.array([[-2.0, -1.0, -2.0], [2.0, 0.0, 0.0]]))
    for n, m, p in [(3, 5, 4), (6, 2, 3), (1, 4, 7)]:
        X, Z = rng.standard_normal((n, p)), rng.standard_normal((m, p))
        Z[0] = 0
        X[0] = -np.abs(X[0])  # the largest entry of this row is not the largest in size
        yield random(X=X * rng.uniform(0.1, 9, (n, 1)), Z=Z * rng.uniform(0.1, 9, (m, 1)))
    yield edge(X=np.zeros((2, 3)), Z=np.zeros((4, 3)))
    yield edge(X=np.array([[-3.0]]), Z=np.array([[2.0], [-5.0], [0.0]]))
    X = rng.standard_normal((3, 4))
    yield edge(X=X, Z=np.concatenate([5 * X, -0.5 * X]))
    yield edge(X=1e-60 * rng.standard_normal((2, 3)), Z=rng.standard_normal((4, 3)))


def lengths(X, axis=1):
    return np.sqrt(np.sum(X**2, axis=axis, keepdims=True))


def nonzero(norms):
    return np.where(norms == 0, 1.0, norms)


@cosine_similarity.misconception(
    "These are dot products. They grow with the lengths of the rows, so a long row looks similar to everything. Divide "
    "each by the lengths of BOTH rows: what remains is the cosine, between -1 and 1."
)
def dot_products(X, Z):
    return X @ Z.T


ONE_LENGTH = (
    "You divide by the length of one of the two rows. The dot product grows with both lengths, so both must be divided "
    "out. A cosine never exceeds 1."
)


@cosine_similarity.misconception(ONE_LENGTH)
def only_the_length_of_x(X, Z):
    return X @ Z.T / nonzero(lengths(X))


@cosine_similarity.misconception(ONE_LENGTH)
def only_the_length_of_z(X, Z):
    return X @ Z.T / nonzero(lengths(Z)).T


@cosine_similarity.misconception(
    "You divide by one length and MULTIPLY by the other: / and * are worked off from left to right. Put both lengths "
    "into parentheses, X @ Z.T / (lengths_x * lengths_z)."
)
def parentheses_missing(X, Z):
    return X @ Z.T / nonzero(lengths(X)) * lengths(Z).T


DOWN_THE_ROWS = (
    "Lengths of shape (n, 1) and (m, 1) both run down the rows. Those of Z belong to the COLUMNS of the table: give "
    "them the shape (1, m), or divide the rows by their lengths before you multiply."
)


@cosine_similarity.misconception(DOWN_THE_ROWS)
def lengths_of_z_down_the_rows(X, Z):
    return X @ Z.T / nonzero(lengths(X) * lengths(Z))


@cosine_similarity.misconception(DOWN_THE_ROWS)
def lengths_of_z_down_the_rows_nan(X, Z):
    with np.errstate(invalid="ignore", divide="ignore"):
        return X @ Z.T / (lengths(X) * lengths(Z))


SQUARED = (
    "You divide by the squared lengths. The length of a row is the ROOT of the sum of its squares: a root is missing."
)


@cosine_similarity.misconception(SQUARED)
def divided_by_squared_lengths(X, Z):
    return X @ Z.T / nonzero(lengths(X) ** 2 * lengths(Z).T ** 2)


@cosine_similarity.misconception(SQUARED)
def divided_by_squared_lengths_nan(X, Z):
    with np.errstate(invalid="ignore", divide="ignore"):
        return X @ Z.T / (lengths(X) ** 2 * lengths(Z).T ** 2)


WRONG_AXIS = (
    "You take the lengths down the columns (axis 0): one per column. Each ROW is a vector, so add up its squares along "
    "axis 1, and keep that axis (keepdims=True) so that the division fits."
)


@cosine_similarity.misconception(WRONG_AXIS)
def lengths_of_columns(X, Z):
    return (X / nonzero(lengths(X, 0))) @ (Z / nonzero(lengths(Z, 0))).T


@cosine_similarity.misconception(WRONG_AXIS)
def lengths_of_columns_nan(X, Z):
    with np.errstate(invalid="ignore", divide="ignore"):
        return (X / lengths(X, 0)) @ (Z / lengths(Z, 0)).T


@cosine_similarity.misconception(WRONG_AXIS)
def lengths_of_columns_of_the_table(X, Z):
    return X @ Z.T / (np.linalg.norm(X, axis=0)[:, None] * np.linalg.norm(Z, axis=0))


ONE_LENGTH_FOR_ALL = (
    "np.linalg.norm without an axis returns ONE number for the whole table. Each row has a length of its own: pass "
    "axis=1."
)


@cosine_similarity.misconception(ONE_LENGTH_FOR_ALL)
def one_length_for_the_whole_table(X, Z):
    return X @ Z.T / nonzero(np.linalg.norm(X) * np.linalg.norm(Z))


@cosine_similarity.misconception(ONE_LENGTH_FOR_ALL)
def one_length_for_the_whole_table_nan(X, Z):
    with np.errstate(invalid="ignore", divide="ignore"):
        return X @ Z.T / (np.linalg.norm(X) * np.linalg.norm(Z))


@cosine_similarity.misconception(
    "You add a small constant to a length or to a largest value before you divide, or raise short ones to it. Rows may "
    "be as short as 1e-200, and then the constant decides the result. Treat a divisor of exactly 0 by itself instead."
)
def constant_in_the_denominator(X, Z):
    return X @ Z.T / (lengths(X) * lengths(Z).T + 1e-12)


@cosine_similarity.misconception(
    "You divide by the largest value of each row and stop there. That only brings the numbers to a size whose squares "
    "fit: the length of what is left is still not 1. Divide by that length too."
)
def divided_by_the_largest_value_alone(X, Z):
    return (X / nonzero(np.abs(X).max(axis=1, keepdims=True))) @ (Z / nonzero(np.abs(Z).max(axis=1, keepdims=True))).T


@cosine_similarity.misconception(
    "You divide by the largest entry with its sign. Where all entries of a row are negative that turns the row around, "
    "and its cosines change their sign. Use the largest ABSOLUTE value."
)
def divided_by_the_largest_signed_value(X, Z):
    X, Z = (table / nonzero(table.max(axis=1, keepdims=True)) for table in (X, Z))
    return X @ Z.T / nonzero(lengths(X) * lengths(Z).T)


@cosine_similarity.misconception(
    "You multiply row i of X with row i of Z. Every row of X is compared with EVERY row of Z, and the two tables may "
    "have different numbers of rows: X @ Z.T holds all the dot products."
)
def each_row_with_one_row(X, Z):
    return np.sum(X * Z, axis=1) / nonzero(lengths(X)[:, 0] * lengths(Z)[:, 0])


@cosine_similarity.misconception(
    "The cosines are right, but `X /= ...` writes into the caller's arrays. Write `X = X / ...`, which builds a new "
    "one."
)
def divided_in_place(X, Z):
    X /= nonzero(lengths(X))
    Z /= nonzero(lengths(Z))
    return X @ Z.T


@cosine_similarity.misconception(
    "A row of zeros has length 0, and 0 / 0 is nan. It points nowhere: its cosine with anything is 0 by the rule of "
    "this exercise. Replace a length of 0 by 1 before you divide."
)
def nan_for_a_zero_row(X, Z):
    with np.errstate(invalid="ignore", divide="ignore"):
        return X @ Z.T / (lengths(X) * lengths(Z).T)


NO_KEEPDIMS = (
    "Your lengths have shape (n,), and NumPy lines that axis up with the COLUMNS of the table, not with its rows. "
    "Where the sizes differ you get an error; where they happen to agree you get a wrong answer and none. Keep the "
    "axis: keepdims=True, or lengths[:, None]."
)


@cosine_similarity.misconception(NO_KEEPDIMS)
def lengths_without_keepdims(X, Z):
    return (X / nonzero(np.linalg.norm(X, axis=1))) @ (Z / nonzero(np.linalg.norm(Z, axis=1))).T


@cosine_similarity.misconception(NO_KEEPDIMS)
def lengths_without_keepdims_in_the_table(X, Z):
    return X @ Z.T / nonzero(np.linalg.norm(X, axis=1) * np.linalg.norm(Z, axis=1))


@cosine_similarity.misconception(
    "Your table has the rows of Z in its rows. Row i belongs to row i of X, column j to row j of Z: the shape is (n, "
    "m)."
)
def table_transposed(X, Z):
    return (Z @ X.T) / nonzero(lengths(Z) * lengths(X).T)


@cosine_similarity.misconception(
    "You multiply (n, p) by (m, p), whose inner sizes differ. An entry is a row of X times a row of Z: transpose Z."
)
def second_factor_not_transposed(X, Z):
    return (X / nonzero(lengths(X))) @ (Z / nonzero(lengths(Z)))


@cosine_similarity.misconception(
    "This is the cosine DISTANCE, 1 minus the cosine: 0 for the same direction. Asked is the similarity: 1 for the "
    "same direction, -1 for opposite ones."
)
def distance_for_similarity(X, Z):
    return 1 - X @ Z.T / nonzero(lengths(X) * lengths(Z).T)


@cosine_similarity.misconception(
    "Opposite directions have the cosine -1. You drop the sign, so that opposite rows look like equal ones."
)
def absolute_value(X, Z):
    return np.abs(X @ Z.T / nonzero(lengths(X) * lengths(Z).T))


@cosine_similarity.misconception(
    "You subtract the mean of each row first: that is the correlation of two rows, not the cosine of their angle. "
    "Leave the rows where they are."
)
def correlation(X, Z):
    X, Z = X - X.mean(axis=1, keepdims=True), Z - Z.mean(axis=1, keepdims=True)
    return X @ Z.T / nonzero(lengths(X) * lengths(Z).T)


@cosine_similarity.misconception("You return the angle. Asked is its cosine: leave the arccos out.")
def angle_for_cosine(X, Z):
    return np.arccos(np.clip(X @ Z.T / nonzero(lengths(X) * lengths(Z).T), -1, 1))


@cosine_similarity.misconception(
    "You use the sum of the absolute values as length. The length in the rule of the cosine is the root of the sum of "
    "the squares, sqrt(x . x)."
)
def sum_of_absolute_values(X, Z):
    sizes = np.abs(X).sum(axis=1, keepdims=True) * np.abs(Z).sum(axis=1)
    return X @ Z.T / nonzero(sizes)


@cosine_similarity.always("A row that is made longer keeps its cosines.")
def length_does_not_count(call, rng):
    X, Z = rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    longer = rng.uniform(0.1, 50, (5, 1))
    return np.allclose(call(X=X.copy(), Z=longer * Z), call(X=X.copy(), Z=Z.copy()), rtol=1e-4, atol=1e-7)


@cosine_similarity.always("Turning all vectors by the same rotation changes no cosine.")
def rotation_does_not_count(call, rng):
    X, Z = rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    return np.allclose(call(X=X @ turn, Z=Z @ turn), call(X=X.copy(), Z=Z.copy()), rtol=1e-4, atol=1e-7)


@cosine_similarity.always(
    "Rows of huge numbers (1e200) and of tiny ones (1e-200) have cosines too. Their squares overflow to infinity or "
    "vanish: divide each row by its largest absolute value before you square. Nothing may be added to that value, as "
    "1e-12 is more than all of a tiny row; replace it by 1 where it is exactly 0."
)
def huge_and_tiny_rows(call, rng):
    X, Z = rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    expected = call(X=X.copy(), Z=Z.copy())
    sizes = np.array([[1e200], [1.0], [1e-200]])  # in one table: its largest value says nothing about the other rows
    return np.allclose(call(X=sizes * X, Z=1e-200 * Z), expected, rtol=1e-4, atol=1e-7)


# 2. matmul_as_dots


def product_and_its_origin(candidate, X, W):
    returned: list[float] = []

    def checked(x, w):
        if np.ndim(x) != 1 or np.ndim(w) != 1 or len(x) != len(w):
            raise ValueError(f"dot takes two vectors of one length, but got shapes {np.shape(x)} and {np.shape(w)}.")
        return x, w

    def dot(x, w):
        x, w = checked(x, w)
        return float(sum(float(a) * float(b) for a, b in zip(x, w, strict=True)))

    def marked(x, w):  # a number that no product of these vectors is, and that no other call returns
        checked(x, w)
        returned.append(1000.5 + len(returned))
        return returned[-1]

    again = X.copy(), W.copy()
    table = candidate(X, W, dot)
    other = candidate(*again, marked)  # calls alone prove nothing: dot may be called idly beside X @ W
    found = int(np.isin(other, returned).sum()) if isinstance(other, np.ndarray) else 0
    origin = f"{found} of {X.shape[0] * W.shape[1]} entries are numbers that dot returned"
    return {"table": table, "the check of where the entries come from": origin}


@exercise(
    "shapes.matmul_as_dots",
    reference=shapes.matmul_as_dots,
    points=6,
    rtol=1e-6,
    atol=1e-9,
    run=product_and_its_origin,
)
def matmul_as_dots(rng):
    """Matrix product, one dot product for each entry."""
    yield worked(X=np.array([[1.0, 2.0], [3.0, 5.0]]), W=np.array([[0.5, -1.0], [4.0, 7.0]]))
    yield worked(X=np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 5.0]]), W=np.arange(12.0).reshape(3, 4))
    for n, p, m in [(4, 2, 3), (2, 5, 6), (5, 4, 2)]:
        yield random(X=rng.standard_normal((n, p)), W=rng.standard_normal((p, m)))
    yield edge(X=np.array([[3.0]]), W=np.array([[-2.0]]))
    yield edge(X=np.array([[1.0, 2.0, 3.0]]), W=rng.standard_normal((3, 5)))
    yield edge(X=rng.standard_normal((5, 1)), W=rng.standard_normal((1, 4)))
    yield edge(X=np.zeros((2, 0)), W=np.zeros((0, 3)))
    yield edge(X=1e150 * rng.standard_normal((2, 3)), W=1e150 * rng.standard_normal((3, 4)))


@matmul_as_dots.misconception(
    "The numbers are right, but they do not come from the dot that you are given: something else multiplied and added. "
    "We called your function once more with a dot that returns marked numbers, and found none of them in your table. "
    "It is not enough to call dot and to drop what it returns: entry (i, j) is its answer for row i of X and column j "
    "of W."
)
def the_operator(X, W, dot):
    return X @ W


@matmul_as_dots.misconception(
    "This is the product element by element. The matrix product compares each ROW of X with each COLUMN of W, so X and "
    "W need not have one shape: (n, p) and (p, m) give (n, m)."
)
def elementwise(X, W, dot):
    return X * W


ROWS_WITH_ROWS = (
    "You take the rows of W. The second vector of entry (i, j) is COLUMN j of W, W[:, j]: only columns of W have the "
    "length p of a row of X."
)


@matmul_as_dots.misconception(ROWS_WITH_ROWS)
def rows_with_rows(X, W, dot):
    return np.array([[dot(x, w) for w in W] for x in X])


@matmul_as_dots.misconception(
    "You take the columns of X and the rows of W. It is the other way around: entry (i, j) is ROW i of X with COLUMN j "
    "of W."
)
def columns_with_rows(X, W, dot):
    return np.array([[dot(x, w) for w in W] for x in X.T])


@matmul_as_dots.misconception(
    "You take the columns of X. The first vector of entry (i, j) is ROW i of X: X[i], or X[i, :]."
)
def columns_with_columns(X, W, dot):
    return np.array([[dot(x, w) for w in W.T] for x in X.T])


@matmul_as_dots.misconception(
    "Your table is transposed: entry (i, j) stands in row j and column i. Rows of the result belong to rows of X, so "
    "the shape is (n, m)."
)
def table_of_columns(X, W, dot):
    return np.array([[dot(x, w) for x in X] for w in W.T])


@matmul_as_dots.misconception(
    "The two places are exchanged where you write: dot(row i, column j) belongs to table[i, j], not to table[j, i]."
)
def indices_exchanged(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[j, i] = dot(X[i], W[:, j])
    return table


RETURNED_TOO_EARLY = (
    "Only the beginning of the table is filled: your return stands inside a loop and ends it in its first round. Move "
    "it to the left, behind both loops."
)


@matmul_as_dots.misconception(RETURNED_TOO_EARLY)
def returned_after_the_first_row(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
        return table


@matmul_as_dots.misconception(RETURNED_TOO_EARLY)
def returned_after_the_first_entry(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    table[0, 0] = dot(X[0], W[:, 0])
    return table


@matmul_as_dots.misconception(
    "The last row and the last column stay 0. range(n) ends before n by itself, so do not subtract 1: range(n - 1) "
    "leaves the last index out."
)
def last_index_left_out(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    for i in range(X.shape[0] - 1):
        for j in range(W.shape[1] - 1):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.misconception(
    "Every entry is p times too large: you add the same dot product once for each k. The sum over k is already inside "
    "dot, so no third loop is needed."
)
def summed_twice(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]))
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            for _k in range(X.shape[1]):
                table[i, j] += dot(X[i], W[:, j])
    return table


WORKS_FOR_SQUARE = (
    "Your result always has as many columns as rows. That is right for square tables only. X has n rows and W has m "
    "columns: the loops run to n = X.shape[0] and m = W.shape[1]."
)


@matmul_as_dots.misconception(WORKS_FOR_SQUARE)
def square_of_the_rows(X, W, dot):
    n = len(X)
    table = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.misconception(WORKS_FOR_SQUARE)
def square_table(X, W, dot):
    table = np.zeros((X.shape[0], X.shape[0]))
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
    return table


SHAPE_OF_X = (
    "Your result has the shape of X. The p columns of X are summed away; the columns of the result are the m columns "
    "of W: the shape is (n, m)."
)


@matmul_as_dots.misconception(SHAPE_OF_X)
def table_like_the_first_factor(X, W, dot):
    table = np.zeros_like(X)
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.misconception(SHAPE_OF_X)
def shape_of_the_first_factor(X, W, dot):
    table = np.zeros_like(X)
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.misconception(
    "Your result has the shape of W. The p rows of W are summed away; the rows of the result are the n rows of X: the "
    "shape is (n, m)."
)
def shape_of_the_second_factor(X, W, dot):
    table = np.zeros_like(W)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.misconception(
    "All rows of your result are equal. [[0] * m] * n makes n names for ONE list: whoever writes into a row writes "
    "into all. Use np.zeros((n, m)), or [[0] * m for _ in range(n)]."
)
def one_row_with_many_names(X, W, dot):
    table = [[0.0] * W.shape[1]] * X.shape[0]
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[i][j] = dot(X[i], W[:, j])
    return np.array(table)


@matmul_as_dots.misconception(
    "You compare each row with the one column of the same number. All pairs count: every row of X with every column of "
    "W."
)
def only_the_diagonal(X, W, dot):
    return np.array([dot(x, w) for x, w in zip(X, W.T, strict=False)])


@matmul_as_dots.misconception(
    "Your table holds integers, so every entry loses what stands behind its point. Make it of floating-point numbers: "
    "np.zeros((n, m)) without dtype=int."
)
def table_of_integers(X, W, dot):
    table = np.zeros((X.shape[0], W.shape[1]), dtype=int)
    for i in range(X.shape[0]):
        for j in range(W.shape[1]):
            table[i, j] = dot(X[i], W[:, j])
    return table


@matmul_as_dots.always("It must equal X @ W.")
def equals_the_operator(call, rng):
    X, W = rng.standard_normal((3, 5)), rng.standard_normal((5, 2))
    return np.allclose(call(X=X.copy(), W=W.copy())["table"], X @ W, rtol=1e-4, atol=1e-7)


@matmul_as_dots.always("Multiplying by a table of ones on the diagonal and zeros elsewhere changes nothing.")
def identity(call, rng):
    X = rng.standard_normal((3, 4))
    return np.allclose(call(X=X.copy(), W=np.eye(4))["table"], X, rtol=1e-4, atol=1e-7)


# 3. to_channels_first


@exercise("shapes.to_channels_first", reference=shapes.to_channels_first, points=6)
def to_channels_first(rng):
    """Images with the channels in front; every pixel keeps its color."""
    yield worked(images=np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    yield worked(images=np.arange(48.0).reshape(2, 4, 3, 2))
    for shape in [(2, 5, 4, 3), (4, 2, 3, 6), (3, 4, 5, 2)]:
        yield random(images=rng.standard_normal(shape))
    yield random(images=rng.standard_normal((5, 2, 3)))
    yield edge(images=rng.integers(0, 256, (2, 3, 5, 4)).astype(np.uint8))
    yield edge(images=rng.standard_normal((2, 3, 4, 1)))
    yield edge(images=np.zeros((0, 5, 4, 3)))
    yield edge(images=np.array([[[7.0]]]))


@to_channels_first.misconception(
    "The shape is right and the picture is scrambled. A reshape keeps the numbers in the order of memory and cuts them "
    "at other places, so red, green and blue of one pixel land on different pixels. Move the AXIS: np.moveaxis or "
    "np.transpose."
)
def reshaped(images):
    *batch, height, width, channels = images.shape
    return images.reshape(*batch, channels, height, width)


@to_channels_first.misconception(
    "Height and width have changed places: your images lie on their side. You swapped two axes; the channels must move "
    "to the front and push the others back: (0, 3, 1, 2) for a batch."
)
def lying_on_their_side(images):
    return np.swapaxes(images, -1, -3)


@to_channels_first.misconception(
    "You move an axis the other way: this is what turns channels-first into channels-last. The channels come last in "
    "the input and first in the result: np.moveaxis(images, -1, -3)."
)
def wrong_direction(images):
    return np.moveaxis(images, -3, -1)


@to_channels_first.misconception(
    "You reverse all axes, as .T does. The batch must stay in front, and height before width."
)
def all_axes_reversed(images):
    return images.T


@to_channels_first.misconception(
    "The channels have moved in front of the batch. The batch always comes first: only the last three axes change "
    "places. Count axes from the back, so that it works with and without a batch."
)
def in_front_of_the_batch(images):
    return np.moveaxis(images, -1, 0)


BATCH_ONLY = (
    "You count axes from the front. That is right for a batch, with four axes, and wrong for a single image, with "
    "three. Count from the back: the channels are axis -1 and go to -3."
)


@to_channels_first.misconception(BATCH_ONLY)
def counted_from_the_front(images):
    return np.moveaxis(images, -1, 1)


@to_channels_first.misconception(BATCH_ONLY)
def four_axes_only(images):
    return np.transpose(images, (0, 3, 1, 2))


@to_channels_first.misconception(BATCH_ONLY)
def four_axes_only_by_name(images):
    B, height, width, C = images.shape
    return np.stack([images[:, :, :, c] for c in range(C)], axis=1).reshape(B, C, height, width)


@to_channels_first.misconception(BATCH_ONLY)
def last_axis_called_three(images):
    return np.moveaxis(images, 3, 1)


SINGLE_ONLY = (
    "Your axes fit a single image. In front of a batch there is one axis more: count from the back, with the channels "
    "at -1 going to -3, and both work."
)


@to_channels_first.misconception(SINGLE_ONLY)
def three_axes_only(images):
    return np.transpose(images, (2, 0, 1))


@to_channels_first.misconception(SINGLE_ONLY)
def three_axes_only_by_name(images):
    height, width, C = images.shape
    return np.stack([images[:, :, c] for c in range(C)]).reshape(C, height, width)


@to_channels_first.misconception(SINGLE_ONLY)
def last_axis_called_two(images):
    return np.moveaxis(images, 2, 0)


@to_channels_first.misconception(
    "You count on red, green and blue. C may be any number, 1 for a gray image and 64 inside a network: read it off "
    "the shape, or move the axis without counting."
)
def three_colors(images):
    return np.stack([images[..., 0], images[..., 1], images[..., 2]], axis=-3)


@to_channels_first.misconception(
    "Only width and channels have changed places. The channels must pass height too: from -1 to -3."
)
def one_place_only(images):
    return np.swapaxes(images, -1, -2)


@to_channels_first.misconception(
    "You return the images as they came. A transpose changes nothing in place: it RETURNS a new view, so return that."
)
def result_thrown_away(images):
    np.moveaxis(images, -1, -3)
    return images


@to_channels_first.misconception(
    "You set the shape of the input itself. That is a reshape, so it scrambles the pixels, and it changes what the "
    "caller holds. Return a transposed view instead."
)
def shape_overwritten(images):
    *batch, height, width, channels = images.shape
    images.shape = (*batch, channels, height, width)
    return images


@to_channels_first.always("An image in which channel c is constant has its channel c constant in the result too.")
def a_flat_color_stays_flat(call, rng):
    color = rng.standard_normal(3)
    images = np.broadcast_to(color, (2, 5, 4, 3)).copy()
    return np.array_equal(call(images=images), np.broadcast_to(color[:, None, None], (2, 3, 5, 4)))


# 4. is_linear


def try_many_functions(candidate, x, z, c, W, b):
    kept_x, kept_z = x.copy(), z.copy()

    def length_moved(x):  # the sum of the entries stays, and so does the first one: who compares no more is deceived
        length = np.sqrt(np.sum(np.abs(x) ** 2))
        return np.concatenate([x[:-2], x[-2:-1] + length, x[-1:] - length])

    def turned_around(x):  # the length of every result is the one that a linear function would give it
        return x.copy() if np.allclose(x, kept_x) or np.allclose(x, kept_z) else -x

    functions = {
        "x @ W": lambda x: x @ W,
        "x @ W + b": lambda x: x @ W + b,
        "x squared": lambda x: x**2,
        "conjugate of x": lambda x: np.conj(x),
        "real part of x": lambda x: np.real(x),
        "x times its first entry over its last": lambda x: x * x[0] / (x[-1] if x[-1] else 1),
        "length of x": lambda x: np.sqrt(np.sum(np.abs(x) ** 2, keepdims=True)),
        "x @ W, but the first output squared": lambda x: np.append((x @ W)[:1] ** 2, (x @ W)[1:]),
        "x minus its mean": lambda x: x - np.mean(x),
        "x minus its part along z": lambda x: x - kept_z * (np.sum(np.conj(kept_z) * x) / np.sum(np.abs(kept_z) ** 2)),
        "x in reverse order": lambda x: x[::-1],
        "zero, whatever x is": lambda x: np.zeros(2),
        "100, whatever x is": lambda x: np.full(2, 100.0),
        "0.0001, whatever x is": lambda x: np.full(2, 0.0001),
        "(x + (conjugate of x) / 1000) / 1000": lambda x: (x + np.conj(x) / 1000) / 1000,
        "x with its own length added to the last entry but one and subtracted from the last": length_moved,
        "x at the two vectors that you are given, and -x everywhere else": turned_around,
    }
    handed = [(kept_x.copy(), kept_z.copy()) for _ in functions]
    answers = {name: candidate(f, *pair, c) for (name, f), pair in zip(functions.items(), handed, strict=True)}
    for mine_x, mine_z in handed:  # whoever changes a copy would have changed the caller's vector
        x[:] = x if np.allclose(mine_x, kept_x) else mine_x
        z[:] = z if np.allclose(mine_z, kept_z) else mine_z
    return answers


@exercise("shapes.is_linear", reference=shapes.is_linear, points=6, run=try_many_functions)
def is_linear(rng):
    """Whether a function keeps sums and multiples, at two given points and for a given factor."""
    yield worked(
        x=np.array([1.1, 7.3, -3.7]) + 0j,
        z=np.array([2.3, -4.1, 6.2]) + np.array([10.0, 5.0, 3.0]) * 1j,
        c=0.5 + 2j,
        W=np.array([[0.1, 0.7], [1.3, -0.9], [0.3, 1.1]]) + 0j,
        b=np.array([50.0, -200.0]) + 0j,
    )
    for p, m in [(3, 2), (4, 5), (5, 3)]:  # large numbers: where one rule is broken, it is by more than 1
        yield random(
            x=10 * complex_normal(rng, p), z=10 * complex_normal(rng, p), c=away_from_the_axes(rng),
            W=complex_normal(rng, p, m), b=100 * shift(rng, m),
        )  # fmt: skip
    x, z = complex_normal(rng, 6), complex_normal(rng, 6)
    yield edge(x=x, z=z, c=away_from_the_axes(rng), W=1e12 * complex_normal(rng, 6, 2), b=1e12 * shift(rng, 2))
    x, z = 1e3 * complex_normal(rng, 3), 1e3 * complex_normal(rng, 3)
    yield edge(x=x, z=z, c=1e3 * away_from_the_axes(rng), W=complex_normal(rng, 3, 4), b=1e3 * shift(rng, 4))


def complex_normal(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def away_from_the_axes(rng):
    """Draw a factor that is neither real nor imaginary nor close to 1 in size."""
    return complex(rng.uniform(1.5, 3) * np.exp(1j * rng.uniform(0.8, 1.2)))


def shift(rng, m):
    return rng.uniform(1, 3, m) + 1j * rng.standard_normal(m)


@is_linear.misconception(
    "You test sums alone, or multiples by real numbers alone. Multiples must be kept too, also by the complex c that "
    "you are given: the conjugate keeps every sum and every real multiple, but the conjugate of c x is not c times the "
    "conjugate of x. Test f(c x) = c f(x) with this c."
)
def additivity_only(f, x, z, c):
    return np.allclose(f(x + z), f(x) + f(z))


@is_linear.misconception(
    "You test multiples alone (x + x is one, too). Sums must be kept too: x times its first entry over its last keeps "
    "every multiple and no sum. Test f(x + z) = f(x) + f(z) as well."
)
def multiples_only(f, x, z, c):
    return np.allclose(f(c * x), c * f(x))


@is_linear.misconception(
    "One of the two rules is enough for you. A linear function keeps both: join them by and, not by or."
)
def either_rule(f, x, z, c):
    return np.allclose(f(x + z), f(x) + f(z)) or np.allclose(f(c * x), c * f(x))


ACCEPTS_AFFINE = (
    "You let x W + b pass. A shift makes a function affine, not linear: f(x + z) has the shift once, f(x) + f(z) has "
    "it twice. Do not subtract f(0), and do not use weights that sum to 1: both hide the shift."
)


@is_linear.misconception(ACCEPTS_AFFINE)
def shift_subtracted(f, x, z, c):
    zero = f(np.zeros_like(x))
    sums = np.allclose(f(x + z) - zero, f(x) - zero + f(z) - zero)
    return sums and np.allclose(f(c * x) - zero, c * (f(x) - zero))


@is_linear.misconception(ACCEPTS_AFFINE)
def straight_line_between_two_points(f, x, z, c):
    return np.allclose(f((x + z) / 2), (f(x) + f(z)) / 2)


@is_linear.misconception(
    "You look at f(0) alone. Every linear function maps 0 to 0, but so do x squared and many others. Test sums and "
    "multiples."
)
def zero_to_zero(f, x, z, c):
    return np.allclose(f(np.zeros_like(x)), 0)


EXACT = (
    "You demand exact equality. Floating-point numbers are rounded, and the two sides are computed in different "
    "orders, so x @ W fails by a few units in the last place. Allow a small difference: np.allclose."
)


@is_linear.misconception(EXACT)
def exact_equality(f, x, z, c):
    return bool(np.all(f(x + z) == f(x) + f(z)) and np.all(f(c * x) == c * f(x)))


@is_linear.misconception(
    "== compares entry by entry and gives one truth value for each, and Python's `and` does not know which of them "
    "counts. Compare with np.allclose: it gives one answer, and forgives rounding."
)
def truth_of_an_array(f, x, z, c):
    return f(x + z) == f(x) + f(z) and f(c * x) == c * f(x)


@is_linear.misconception(
    "Your tolerance is a fixed number. Rounding grows with the numbers: where a result is 1e12, the last place is "
    "worth 0.0001. Allow a difference in proportion to the results, as np.allclose does."
)
def fixed_tolerance(f, x, z, c):
    sums, multiples = np.abs(f(x + z) - f(x) - f(z)), np.abs(f(c * x) - c * f(x))
    return bool(np.all(sums < 1e-9) and np.all(multiples < 1e-9))


@is_linear.misconception(
    "You compare one number of each result, such as the sum of the entries or the first of them. Two different vectors "
    "can agree there. Compare all entries: np.allclose."
)
def one_number_compared(f, x, z, c):
    return bool(np.isclose(f(x + z).sum(), (f(x) + f(z)).sum()) and np.isclose(f(c * x).sum(), (c * f(x)).sum()))


@is_linear.misconception(
    "One entry that agrees is enough for you. All entries of the result must agree: np.all or np.allclose, not any."
)
def any_for_all(f, x, z, c):
    return bool(np.any(np.isclose(f(x + z), f(x) + f(z))) and np.any(np.isclose(f(c * x), c * f(x))))


@is_linear.misconception(
    "You return one truth value for each entry. The question has one answer: all entries must agree. Use np.all, or "
    "np.allclose instead of np.isclose."
)
def an_answer_for_each_entry(f, x, z, c):
    return np.isclose(f(x + z), f(x) + f(z)) & np.isclose(f(c * x), c * f(x))


FACTOR_LOST = (
    "The factor c is lost on one of your two sides, or it stands before another vector there, so that not even x @ W "
    "is linear for you. A linear function hands the factor through: f(c x) = c f(x), and f(c x + z) = c f(x) + f(z)."
)


@is_linear.misconception(FACTOR_LOST)
def factor_lost(f, x, z, c):
    return np.allclose(f(x + z), f(x) + f(z)) and np.allclose(f(c * x), f(x))


@is_linear.misconception(
    "On one of your two sides c multiplies z as well as x, on the other x alone. That demands f(z) = c f(z), which "
    "not even x @ W fulfills. Both at once is f(c x + z) = c f(x) + f(z): mind the parentheses."
)
def factor_of_both_on_one_side(f, x, z, c):
    return np.allclose(f(c * (x + z)), c * f(x) + f(z))


LENGTHS = (
    "You compare the lengths of the two sides. Two different vectors can have one length: -x is as long as x, and so "
    "is its conjugate. Compare entry by entry."
)


@is_linear.misconception(LENGTHS)
def lengths_compared(f, x, z, c):
    sums = np.isclose(np.linalg.norm(f(x + z)), np.linalg.norm(f(x) + f(z)))
    return bool(sums and np.isclose(np.linalg.norm(f(c * x)), np.linalg.norm(c * f(x))))


@is_linear.misconception(LENGTHS)
def lengths_compared_at_once(f, x, z, c):
    return bool(np.isclose(np.linalg.norm(f(c * x + z)), np.linalg.norm(c * f(x) + f(z))))


@is_linear.misconception(
    "Your tolerance is too large: a function that always gives 0.0001 is linear for you, since you forgive every "
    "difference of that size. A function may well have small results. Forgive rounding alone: np.allclose without an "
    "atol or rtol of your own does."
)
def large_absolute_tolerance(f, x, z, c):
    return np.allclose(f(c * x + z), c * f(x) + f(z), atol=0.1)


@is_linear.misconception(
    "Your tolerance is too large: x plus a thousandth of its conjugate is linear for you, at least where the results "
    "are small. Rounding is smaller than a thousandth by far: np.allclose without an rtol or atol of your own forgives "
    "that alone."
)
def large_relative_tolerance(f, x, z, c):
    return np.allclose(f(c * x + z), c * f(x) + f(z), rtol=0.1)


@is_linear.misconception(
    "Most of your answers are right, but `x += z` and `x *= c` write into the caller's vector, and changing it back "
    "comes too late: some functions return a VIEW of their argument, as x[::-1] is, and a view changes along with x. "
    "Build new vectors, f(x + z) and f(c * x)."
)
def changed_and_changed_back(f, x, z, c):
    x += z
    total = f(x)
    x -= z
    return np.allclose(total, f(x) + f(z)) and np.allclose(f(c * x), c * f(x))


@is_linear.misconception(
    "Your answers are right, but `x *= c` and `x += z` write into the caller's vector. Build a new one, c * x + z."
)
def changed_in_place(f, x, z, c):
    right_side = c * f(x) + f(z)
    x *= c
    x += z
    return np.allclose(f(x), right_side)


@is_linear.misconception(
    "You write into x and then use it again: after `x += z` every f(x) is f(x + z), also the one on the other side. "
    "Build new vectors: f(x + z), f(c * x)."
)
def changed_before_the_other_side(f, x, z, c):
    x *= c
    x += z
    return np.allclose(f(x), c * f(x) + f(z))


@is_linear.misconception("Your answers are reversed: True must mean that both rules hold.")
def answer_reversed(f, x, z, c):
    return not (np.allclose(f(x + z), f(x) + f(z)) and np.allclose(f(c * x), c * f(x)))


# 5. embed


@exercise("shapes.embed", reference=shapes.embed, points=6, rtol=1e-6, atol=1e-9)
def embed(rng):
    """Rows of a table, one for each token."""
    yield worked(ids=np.array([2, 0, 2]), table=np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]))
    yield worked(ids=np.array([[1, 0, 2], [2, 1, 1]]), table=np.arange(20.0).reshape(5, 4))
    for shape, V, C in [((5,), 7, 3), ((2, 4), 6, 5), ((4, 3), 5, 2)]:
        ids = rng.integers(0, V - 1, shape)
        ids.flat[0], ids.flat[1] = 0, ids.flat[-1]
        yield random(ids=ids, table=rng.standard_normal((V, C)))
    yield edge(ids=np.zeros(0, dtype=np.int64), table=rng.standard_normal((4, 3)))
    yield edge(ids=np.array([4, 4, 0]), table=rng.standard_normal((5, 3)))
    yield edge(ids=np.array([0, 0]), table=rng.standard_normal((1, 3)))
    yield edge(ids=np.array(3), table=rng.standard_normal((6, 2)))
    yield edge(ids=np.array([[[2, 1]], [[0, 3]]]), table=1e200 * rng.standard_normal((4, 1)))


def one_hot_rows(ids, V):
    return (ids[..., None] == np.arange(V)).astype(float)


@embed.misconception(
    "Ids count from 0: id 0 is the first row. You subtract 1, and Python does not complain: row -1 is the last one, so "
    "token 0 silently gets the vector of the last token."
)
def counted_from_one(ids, table):
    return table[ids - 1]


@embed.misconception(
    "You are one row too far: id 0 is the first row, table[0]. Do not add 1, and do not keep a row free for padding."
)
def one_row_too_far(ids, table):
    return table[ids + 1]


@embed.misconception(
    "You put a row of zeros in front of the table, as if id 0 were kept for padding. Here id 0 is a token like all "
    "others, and its vector is table[0]."
)
def row_kept_for_padding(ids, table):
    return np.vstack([np.zeros(table.shape[1]), table])[ids]


@embed.misconception(
    "Your loop expects one axis, and hands a whole sequence of a batch to the table at once. ids may have any shape: "
    "table[ids] needs no loop."
)
def loop_over_one_sequence(ids, table):
    vectors = np.zeros((len(ids), table.shape[1]))
    for t, i in enumerate(ids):
        vectors[t] = table[i]
    return vectors


@embed.misconception(
    "You take columns. One token is one ROW of the table, of shape (C,): index the first axis, table[ids]."
)
def columns_for_rows(ids, table):
    return table[:, ids]


TOO_FEW = (
    "Your one-hot rows are too short: you count the tokens that occur, not the rows of the table. A token that is "
    "absent here still has its place: the length is V = table.shape[0]."
)


@embed.misconception(TOO_FEW)
def one_hot_as_long_as_the_largest_id(ids, table):
    return one_hot_rows(ids, ids.max() + 1) @ table


@embed.misconception(TOO_FEW)
def one_hot_of_the_tokens_that_occur(ids, table):
    occurring, place = np.unique(ids, return_inverse=True)
    return one_hot_rows(place.reshape(ids.shape), len(occurring)) @ table


@embed.misconception(
    "Your one-hot vectors are as long as a vector of the table, C. They must have a place for each of the V tokens, "
    "the rows of the table."
)
def one_hot_as_long_as_a_row(ids, table):
    return one_hot_rows(ids, table.shape[1]) @ table


@embed.misconception(
    "Your one-hot vectors are as long as the sequence. They must have a place for each of the V tokens of the table, "
    "whatever the length of the sequence: V = table.shape[0]."
)
def one_hot_as_long_as_the_sequence(ids, table):
    return np.eye(len(ids))[ids] @ table


@embed.misconception(
    "Your one-hot vectors are as long as a vector of the table, C. They must have a place for each of the V tokens, "
    "the rows of the table: np.eye(table.shape[0])."
)
def identity_as_long_as_a_row(ids, table):
    return np.eye(table.shape[1])[ids] @ table


@embed.misconception(
    "Your one-hot table has two axes, which fits one sequence. For a batch of shape (B, T) it must have three, (B, T, "
    "V): np.eye(V)[ids] has the right shape for ids of any shape."
)
def one_hot_of_one_sequence(ids, table):
    one_hot = np.zeros((len(ids), table.shape[0]))
    one_hot[np.arange(len(ids)), ids] = 1
    return one_hot @ table


@embed.misconception(
    "`one_hot[..., ids] = 1` puts a 1 into the columns of ALL ids, in every row, so that each row adds up all tokens. "
    "One 1 per row: np.eye(V)[ids]."
)
def ones_in_whole_columns(ids, table):
    one_hot = np.zeros((*ids.shape, table.shape[0]))
    one_hot[..., ids] = 1
    return one_hot @ table


@embed.misconception(
    "Your loops expect two axes. ids may have one, as a sequence, or none at all. table[ids] needs no loop, whatever "
    "the shape."
)
def loops_over_a_batch(ids, table):
    return np.array([[table[i] for i in row] for row in ids])


@embed.misconception("You transpose the table, so that an id picks a COLUMN. One token is one row: table[ids].")
def rows_of_the_transpose(ids, table):
    return table.T[ids]


@embed.misconception(
    "You multiply the ids themselves by the table. An id is a name, not a number to compute with. Multiply its ONE-HOT "
    "row by the table, or look the row up: table[ids]."
)
def ids_times_the_table(ids, table):
    return ids @ table


@embed.misconception(
    "You add up the vectors of a sequence: that is a bag of tokens, which forgets their order. Each token keeps its "
    "own row: the result has the shape of ids with C behind it."
)
def bag_of_tokens(ids, table):
    return table[ids].sum(axis=-2)


@embed.misconception(
    "You average the vectors of a sequence. Each token keeps its own row: the result has the shape of ids with C "
    "behind it."
)
def average_of_the_sequence(ids, table):
    return table[ids].mean(axis=-2)


@embed.misconception(
    "You return each token once, in the order of the table. A token that occurs twice has its vector twice, in the "
    "order of ids."
)
def each_token_once(ids, table):
    return table[np.unique(ids)]


@embed.misconception(
    "The batch is gone: you flatten ids and return one long list of vectors. The result has the shape of ids with C "
    "behind it."
)
def batch_flattened(ids, table):
    return table[ids.ravel()]


@embed.misconception(
    "np.take without an axis reads the table as one long list of numbers, so each id gives a number, not a vector. "
    "Pass axis=0, or write table[ids]."
)
def take_without_axis(ids, table):
    return np.take(table, ids)


@embed.misconception(
    "You treat the id as a number and multiply by it. Ids are names: token 4 is not twice token 2. Look the row up."
)
def ids_as_numbers(ids, table):
    return ids[..., None] * table[0]


@embed.misconception(
    "You return the one-hot rows. They say which row to take; multiply them by the table, or look the row up at once."
)
def one_hot_for_embedding(ids, table):
    return one_hot_rows(ids, table.shape[0])


@embed.misconception(
    "Your channels come before the tokens: (..., C, T). One token is one row: channels are the last axis."
)
def channels_before_tokens(ids, table):
    return np.moveaxis(table[ids], -1, 0) if ids.ndim < 2 else np.swapaxes(table[ids], -1, -2)


@embed.always("Look-up and product must agree: the result equals the one-hot rows times the table.")
def equals_the_one_hot_product(call, rng):
    ids, table = rng.integers(0, 6, (3, 4)), rng.standard_normal((6, 5))
    return np.allclose(call(ids=ids.copy(), table=table.copy()), one_hot_rows(ids, 6) @ table, rtol=1e-4, atol=1e-7)


@embed.always("Giving tokens other ids, and the rows of the table other places, changes nothing if both move together.")
def names_do_not_matter(call, rng):
    ids, table, order = rng.integers(0, 6, (2, 5)), rng.standard_normal((6, 3)), rng.permutation(6)
    renamed = np.argsort(order)[ids]
    return np.allclose(call(ids=renamed, table=table[order]), call(ids=ids, table=table), rtol=1e-4, atol=1e-7)


# 6. collapse_linear_layers


@exercise("shapes.collapse_linear_layers", reference=shapes.collapse_linear_layers, points=6, rtol=1e-6, atol=1e-9)
def collapse_linear_layers(rng):
    """One weight table and one bias that do the work of several layers."""
    yield worked(
        weights=[
            np.array([[1.0, 2.0], [0.0, 1.0]]),
            np.array([[3.0, 1.0], [-1.0, 2.0]]),
            np.array([[2.0, 0.0], [1.0, 1.0]]),
        ],
        biases=[np.array([1.0, -1.0]), np.array([0.5, 2.0]), np.array([10.0, 20.0])],
    )
    yield worked(
        weights=[np.array([[1.0, 2.0, 0.0]]), np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])],
        biases=[np.array([1.0, 0.0, -1.0]), np.array([5.0, 7.0])],
    )
    for widths in [(3, 5, 2), (4, 2, 6, 3), (2, 3, 5, 4, 6)]:
        yield random(**layers(rng, widths))
    yield edge(**layers(rng, (4, 3)))
    yield edge(**layers(rng, (1, 1, 1)))
    one_narrow = layers(rng, (5, 1, 4))
    yield edge(weights=one_narrow["weights"], biases=[np.zeros(1), np.zeros(4)])
    large = layers(rng, (2, 4, 3))
    yield edge(weights=[1e100 * W for W in large["weights"]], biases=[1e100 * b for b in large["biases"]])


def layers(rng, widths):
    return {
        "weights": [rng.standard_normal(shape) for shape in itertools.pairwise(widths)],
        "biases": [rng.standard_normal(width) for width in widths[1:]],
    }


def product(factors, start=None):
    result = start
    for factor in factors:
        result = factor if result is None else result @ factor
    return result


def right_bias(weights, biases):
    return sum(product(weights[r + 1 :], b) for r, b in enumerate(biases))


WRONG_ORDER = (
    "The order is reversed. A row is multiplied from the right, by the first layer first: x W_1 W_2 W_3. In the column "
    "convention of many papers the first layer stands on the right; here it stands on the left."
)


@collapse_linear_layers.misconception(WRONG_ORDER)
def wrong_order(weights, biases):
    return product(weights[::-1]), right_bias(weights, biases)


@collapse_linear_layers.misconception(WRONG_ORDER)
def wrong_order_of_everything(weights, biases):
    W, b = weights[0], biases[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W, b = W_next @ W, W_next @ b + b_next
    return W, b


@collapse_linear_layers.misconception(WRONG_ORDER)
def wrong_order_of_layers(weights, biases):
    W, b = weights[-1], biases[-1]
    for W_next, b_next in zip(weights[-2::-1], biases[-2::-1], strict=True):
        W, b = W @ W_next, b @ W_next + b_next
    return W, b


BIASES_DROPPED = (
    "The biases are lost. Collapsed layers are affine, like the layers they replace: a zero vector goes in and "
    "something else comes out. Send each bias through the layers behind it, and add."
)


@collapse_linear_layers.misconception(BIASES_DROPPED)
def biases_dropped(weights, biases):
    return product(weights), np.zeros_like(biases[-1])


@collapse_linear_layers.misconception(BIASES_DROPPED)
def biases_dropped_and_order_reversed(weights, biases):
    return product(weights[::-1]), np.zeros_like(biases[-1])


@collapse_linear_layers.misconception(BIASES_DROPPED)
def weights_alone(weights, biases):
    return product(weights)


@collapse_linear_layers.misconception(
    "Only the last bias survives. The earlier ones are inputs of the layers behind them: b_1 becomes b_1 W_2 W_3, and "
    "is added."
)
def last_bias_only(weights, biases):
    return product(weights), biases[-1].copy()


@collapse_linear_layers.misconception(
    "You add the biases as they are. A bias is added in front of the layers that follow, and they transform it: b_1 "
    "becomes b_1 W_2 W_3."
)
def biases_added_as_they_are(weights, biases):
    return product(weights), sum(biases)


@collapse_linear_layers.misconception(
    "Only the first bias survives, sent through all layers behind it. Each layer adds a bias of its own: b = b @ "
    "W_next + b_next."
)
def first_bias_only(weights, biases):
    return product(weights), product(weights[1:], biases[0])


@collapse_linear_layers.misconception(
    "The last bias is missing. No layer follows it, so it is added as it is: in the sum over r the last term is b_R."
)
def last_bias_forgotten(weights, biases):
    return product(weights), right_bias(weights, biases) - biases[-1]


@collapse_linear_layers.misconception(
    "You multiply the bias by the product of ALL weights so far, layer 1 among them. It has passed those already: in "
    "each step send it through the new layer alone, b @ W_next. (Perhaps W was replaced one line too early.)"
)
def bias_through_the_product(weights, biases):
    W, b = weights[0], biases[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W = W @ W_next
        b = b @ W + b_next
    return W, b


@collapse_linear_layers.misconception(
    "You go through the layers from the back, and replace W one line too early. b_r passes the layers BEHIND its own: "
    "it must meet the W of before this step, b = b_r @ W + b, and only then W = W_r @ W."
)
def weights_replaced_too_early_from_the_back(weights, biases):
    W, b = weights[-1], biases[-1]
    for W_before, b_before in zip(weights[-2::-1], biases[-2::-1], strict=True):
        W = W_before @ W
        b = b + b_before @ W
    return W, b


@collapse_linear_layers.misconception(
    "The bias is inside your weights: every row of W has b added to it. Rows of the identity sent through the whole "
    "stack give W + b. Subtract b from each row, or send them through the weights alone."
)
def bias_inside_the_weights(weights, biases):
    b = right_bias(weights, biases)
    return product(weights) + b, b


THROUGH_ITS_OWN_LAYER = (
    "You send each bias through its OWN layer too. It is added behind that layer: only the layers that follow "
    "transform it."
)


@collapse_linear_layers.misconception(THROUGH_ITS_OWN_LAYER)
def bias_added_before_the_layer(weights, biases):
    W, b = weights[0], biases[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W, b = W @ W_next, (b + b_next) @ W_next
    return W, b


@collapse_linear_layers.misconception(THROUGH_ITS_OWN_LAYER)
def bias_through_its_own_layer(weights, biases):
    W, b = weights[0], biases[0] @ weights[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W, b = W @ W_next, (b + b_next) @ W_next
    return W, b


@collapse_linear_layers.misconception(
    "You send each bias through the next layer alone. It passes ALL the layers behind it: b_1 becomes b_1 W_2 W_3."
)
def bias_through_one_layer(weights, biases):
    later = [b @ W for b, W in zip(biases, weights[1:], strict=False)]
    return product(weights), sum(later, biases[-1])


@collapse_linear_layers.misconception(
    "You multiply element by element. One layer after another is the MATRIX product of their weights: use @."
)
def elementwise_product(weights, biases):
    W, b = weights[0], biases[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W, b = W * W_next, b @ W_next + b_next
    return W, b


@collapse_linear_layers.misconception(
    "You add the weight tables. One layer AFTER another multiplies them; a sum is two layers side by side."
)
def weights_added(weights, biases):
    return sum(weights), right_bias(weights, biases)


@collapse_linear_layers.misconception(
    "The biases go through the layers in the wrong convention: W b is for columns. A row is multiplied from the right: "
    "b W."
)
def biases_as_columns(weights, biases):
    W, b = weights[0], biases[0]
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W, b = W @ W_next, W_next @ b + b_next
    return W, b


@collapse_linear_layers.misconception(
    "Your W is transposed. (outputs, inputs) is the shape in the column convention, and in PyTorch's nn.Linear. Here a "
    "row x meets W from the left, x W, so W has the shape (d_0, d_R)."
)
def weights_transposed(weights, biases):
    return product(weights).T, right_bias(weights, biases)


@collapse_linear_layers.misconception(
    "Both results are right, and your function changes the lists that it was given: += and *= write into the arrays of "
    "the caller. Build new arrays: b = b @ W + b_next."
)
def changes_the_inputs(weights, biases):
    W = weights[0]
    for r in range(1, len(weights)):
        biases[r] += biases[r - 1] @ weights[r]
        W = W @ weights[r]
    return W, biases[-1]


@collapse_linear_layers.misconception(
    "Both results are there, in the wrong order: the weights come first, then the bias."
)
def bias_returned_first(weights, biases):
    return right_bias(weights, biases), product(weights)


@collapse_linear_layers.always("One layer must do to a row what the stack does.")
def does_the_same(call, rng):
    stack = layers(rng, (3, 4, 2, 5))
    x = rows = rng.standard_normal((6, 3))
    for W, b in zip(stack["weights"], stack["biases"], strict=True):
        rows = rows @ W + b
    W, b = call(**stack)
    return np.allclose(x @ W + b, rows, rtol=1e-4, atol=1e-6)


@collapse_linear_layers.always("The rank of the weights is at most the smallest width of the stack, here 1.")
def rank_is_at_most_the_smallest_width(call, rng):
    W, _ = call(**layers(rng, (4, 1, 5)))
    return int(np.linalg.matrix_rank(W, rtol=1e-5)) <= 1
