"""Shapes: dot products, matrix products, linear maps, and what happens to the axes of an array.

One implementation serves NumPy arrays and PyTorch tensors on any device: the arrays that come in decide. One thing is
one row: an example, a token, an image of a batch.

Shapes: n and m rows, p numbers in a row, V tokens of C channels, B images of some height and width with C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array
from jaxtyping import Bool, Float, Inexact, Integer, Shaped

from mlcourse.validation import require_finite, require_floating, require_shapes

__all__ = [
    "apply_linear_layers",
    "collapse_linear_layers",
    "cosine_similarity",
    "cosines_of_random_pairs",
    "dot",
    "embed",
    "is_linear",
    "matmul_as_dots",
    "one_hot",
    "to_channels_first",
]


def dot(x: Float[Any, " p"], z: Float[Any, " p"]) -> Float[Any, ""]:
    r"""Return the dot product of two vectors: multiply the pairs, add them up.

    .. math:: x \cdot z = \sum_{j=1}^p x_j z_j = \lVert x \rVert \, \lVert z \rVert \cos\varphi

    Parameters
    ----------
    x, z : arrays of shape (p,)

    Returns
    -------
    array of shape ()
        Between -length(x) length(z) and +length(x) length(z), and 0 for vectors without entries.

    Raises
    ------
    ValueError
        If an argument does not have one axis, or the two disagree about p.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> float(dot(np.array([1.0, 2.0, 3.0]), np.array([4.0, 0.0, -1.0])))
    1.0
    """
    require_shapes(x=(x, "p"), z=(z, "p"))
    require_floating(x=x, z=z)
    return array_namespace(x, z).sum(x * z)  # (p,) (p,) -> (p,) -> ()


def cosine_similarity(X: Float[Any, "n p"], Z: Float[Any, "m p"]) -> Float[Any, "n m"]:
    r"""Compare the direction of every row of X with that of every row of Z, whatever their lengths.

    .. math:: s_{ij} = \frac{x_i \cdot z_j}{\lVert x_i \rVert \, \lVert z_j \rVert}

    Parameters
    ----------
    X : array of shape (n, p)
    Z : array of shape (m, p)

    Returns
    -------
    array of shape (n, m)
        Between -1 (opposite) and 1 (same direction). A row of zeros has no direction: its cosines are 0.

    Raises
    ------
    ValueError
        If X and Z disagree about p, or a value is not finite.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    2 n m p operations, n m numbers of memory for the result. Each row is first divided by its largest absolute value,
    so that no square overflows or vanishes.

    Examples
    --------
    >>> cosine_similarity(np.array([[3.0, 4.0]]), np.array([[6.0, 8.0], [4.0, 3.0], [0.0, 0.0]]))
    array([[1.  , 0.96, 0.  ]])
    """
    require_shapes(X=(X, "n p"), Z=(Z, "m p"))
    require_floating(X=X, Z=Z)
    require_finite(X=X, Z=Z)
    xp = array_namespace(X, Z)
    cosines = _unit_rows(X) @ _unit_rows(Z).mT  # (n, p) (p, m) -> (n, m)
    return xp.clip(cosines, -1, 1)  # rounding may leave 1.0000000000000002


def matmul_as_dots(
    X: Float[Any, "n p"], W: Float[Any, "p m"], dot: Callable[[Any, Any], Any] = dot
) -> Float[Any, "n m"]:
    r"""Return the matrix product as what it is: the table of dot products of all rows with all columns.

    .. math:: (XW)_{ij} = x_i \cdot w_j = \sum_{k=1}^p X_{ik} W_{kj}

    Parameters
    ----------
    X : array of shape (n, p)
        x_i is row i.
    W : array of shape (p, m)
        w_j is column j.
    dot : callable, optional
        Makes a number of two vectors of shape (p,).

    Returns
    -------
    array of shape (n, m)

    Raises
    ------
    ValueError
        If the rows of X are not as long as the columns of W.
    TypeError
        If an array is not floating-point.

    Notes
    -----
    n m calls of ``dot``, one after another: a definition, made to be read. ``X @ W`` gives the same numbers.

    Source: Cayley (1858), the rule for the composition of two matrices.

    Examples
    --------
    >>> matmul_as_dots(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]]))
    array([[ 1.,  2., 11.]])
    """
    sizes = require_shapes(X=(X, "n p"), W=(W, "p m"))
    require_floating(X=X, W=W)
    n, m = sizes["n"], sizes["m"]
    xp = array_namespace(X, W)
    if n * m == 0:
        return xp.zeros((n, m), dtype=X.dtype, device=device(X))
    entries = [dot(X[i, :], W[:, j]) for i in range(n) for j in range(m)]
    return xp.reshape(xp.stack([xp.asarray(entry) for entry in entries]), (n, m))  # (n m,) -> (n, m)


def to_channels_first(images: Shaped[Any, "*batch height width C"]) -> Shaped[Any, "*batch C height width"]:
    """Move the channels of images in front of height and width; every pixel keeps its color.

    Parameters
    ----------
    images : array of shape (..., height, width, C)
        One image, or a batch of them. Any dtype.

    Returns
    -------
    array of shape (..., C, height, width)
        ``result[..., k, i, j] == images[..., i, j, k]``. The dtype is kept.

    Raises
    ------
    ValueError
        If there are fewer than three axes.

    Notes
    -----
    No number is copied: the result is a view of the same memory, read in another order. A reshape to the same shape
    would keep the order of memory and change which number belongs to which pixel.

    Examples
    --------
    >>> image = np.array([[[1, 2, 3], [4, 5, 6]]])  # one row of two pixels, each red, green, blue
    >>> to_channels_first(image).tolist()
    [[[1, 4]], [[2, 5]], [[3, 6]]]
    """
    require_shapes(images=(images, "... height width C"))
    return array_namespace(images).moveaxis(images, -1, -3)  # (..., height, width, C) -> (..., C, height, width)


def is_linear(
    f: Callable[[Any], Any],
    x: Inexact[Any, " p"],
    z: Inexact[Any, " p"],
    c: complex,
    *,
    rtol: float = 1e-6,
) -> Bool[Any, ""]:
    r"""Try the two rules of linearity on f at given points.

    .. math:: f(x + z) = f(x) + f(z), \qquad f(c\,x) = c\, f(x)

    Parameters
    ----------
    f : callable
        Takes an array of shape (p,) and returns an array.
    x, z : arrays of shape (p,), real or complex
        Two points. Draw them at random: special points (positive, equal, zero) let wrong functions pass.
    c : number, real or complex
        A factor. Over the complex numbers a real one proves less.
    rtol : float
        How large a difference may be, compared with the largest number in it, to count as rounding.

    Returns
    -------
    boolean array of shape ()
        False proves that f is not linear. True at one choice of points proves nothing; at points drawn from a
        continuous distribution it is strong evidence.

    Raises
    ------
    ValueError
        If x and z disagree about p.

    Examples
    --------
    >>> x, z = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    >>> [bool(is_linear(f, x, z, 1.7)) for f in (lambda x: 3 * x, lambda x: 3 * x + 1, lambda x: x**2)]
    [True, False, False]
    """
    require_shapes(x=(x, "p"), z=(z, "p"))
    additive = _nearly_equal(f(x + z), (f(x), f(z)), rtol)
    homogeneous = _nearly_equal(f(c * x), (c * f(x),), rtol)
    return additive & homogeneous


def one_hot(ids: Integer[Any, "*shape"], size: int, *, dtype: Any = None) -> Float[Any, "*shape {size}"]:
    r"""Write each id as a row that is 1 at the place of the id and 0 elsewhere.

    .. math:: G_{tv} = [\, v = \text{id}_t \,]

    Parameters
    ----------
    ids : array of integers, any shape
        From 0 to size - 1.
    size : int
        The number V of different tokens.
    dtype : optional
        Of the result; float64 if left out.

    Returns
    -------
    array of shape (*shape, size)

    Raises
    ------
    TypeError
        If ids holds no integers.
    ValueError
        If an id lies outside 0 ... size - 1.

    Examples
    --------
    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    xp = _check_ids(ids, size)
    places = xp.arange(size, dtype=ids.dtype, device=device(ids))  # (V,)
    return xp.astype(ids[..., None] == places, xp.float64 if dtype is None else dtype)  # (..., 1) (V,) -> (..., V)


def embed(ids: Integer[Any, "*shape"], table: Float[Any, "V C"]) -> Float[Any, "*shape C"]:
    r"""Look up the row of each token.

    .. math:: x_t = E_{\text{id}_t} = (G E)_t \quad\text{for the one-hot rows } G

    Parameters
    ----------
    ids : array of integers, any shape
        Token ids, from 0 to V - 1.
    table : array of shape (V, C)
        One row of C channels per token.

    Returns
    -------
    array of shape (*shape, C)
        Equal to ``one_hot(ids, V) @ table``.

    Raises
    ------
    TypeError
        If ids holds no integers, or the table no floating-point numbers.
    ValueError
        If the table does not have two axes, or an id lies outside 0 ... V - 1.

    Notes
    -----
    C copies per token. The product with the one-hot rows takes 2 V C operations per token for the same numbers.

    Examples
    --------
    >>> embed(np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    array([[5., 6.],
           [1., 2.],
           [5., 6.]])
    """
    sizes = require_shapes(table=(table, "V C"))
    require_floating(table=table)
    xp = _check_ids(ids, sizes["V"])
    rows = xp.take(table, xp.reshape(ids, (-1,)), axis=0)  # (*shape,) -> (number of ids,) -> (number of ids, C)
    return xp.reshape(rows, (*ids.shape, sizes["C"]))  # -> (*shape, C)


def apply_linear_layers(
    X: Float[Any, "n d_in"], weights: Sequence[Float[Any, "_ _"]], biases: Sequence[Float[Any, " _"]]
) -> Float[Any, "n d_out"]:
    r"""Send rows through affine layers, one after another, with nothing in between.

    .. math:: x \mapsto (\dots((x W_1 + b_1) W_2 + b_2) \dots) W_R + b_R

    Parameters
    ----------
    X : array of shape (n, d_0)
    weights : sequence of arrays
        W_r has shape (d_(r-1), d_r). The first one is applied first.
    biases : sequence of arrays
        b_r has shape (d_r,).

    Returns
    -------
    array of shape (n, d_R)

    Raises
    ------
    ValueError
        If there is no layer, a layer has no bias, or two neighbors disagree about a width.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> weights, biases = [np.array([[1.0, 2.0]]), np.array([[1.0], [1.0]])], [np.array([0.0, 1.0]), np.array([5.0])]
    >>> apply_linear_layers(np.array([[1.0], [2.0]]), weights, biases)
    array([[ 9.],
           [12.]])
    """
    _check_layers(weights, biases)
    require_shapes(X=(X, "n d_0"), W_1=(weights[0], "d_0 d_1"))
    require_floating(X=X)
    for W, b in zip(weights, biases, strict=True):
        X = X @ W + b  # (n, d_(r-1)) (d_(r-1), d_r) -> (n, d_r)
    return X


def collapse_linear_layers(
    weights: Sequence[Float[Any, "_ _"]], biases: Sequence[Float[Any, " _"]]
) -> tuple[Float[Any, "d_in d_out"], Float[Any, " d_out"]]:
    r"""Return the one affine layer that does the work of a whole stack.

    .. math:: W = W_1 W_2 \cdots W_R, \qquad b = \sum_{r=1}^R b_r\, W_{r+1} \cdots W_R

    Parameters
    ----------
    weights : sequence of arrays
        W_r has shape (d_(r-1), d_r). The first one is applied first.
    biases : sequence of arrays
        b_r has shape (d_r,).

    Returns
    -------
    W : array of shape (d_0, d_R)
        Its rank is at most the smallest width d_r.
    b : array of shape (d_R,)

    Raises
    ------
    ValueError
        If there is no layer, a layer has no bias, or two neighbors disagree about a width.
    TypeError
        If an array is not floating-point.

    Examples
    --------
    >>> weights, biases = [np.array([[1.0, 2.0]]), np.array([[1.0], [1.0]])], [np.array([0.0, 1.0]), np.array([5.0])]
    >>> W, b = collapse_linear_layers(weights, biases)
    >>> W.tolist(), b.tolist()
    ([[3.0]], [6.0])
    """
    xp = _check_layers(weights, biases)
    W, b = xp.asarray(weights[0], copy=True), xp.asarray(biases[0], copy=True)
    for W_next, b_next in zip(weights[1:], biases[1:], strict=True):
        W = W @ W_next  # (d_0, d_(r-1)) (d_(r-1), d_r) -> (d_0, d_r)
        b = b @ W_next + b_next  # (d_(r-1),) (d_(r-1), d_r) -> (d_r,)
    return W, b


def cosines_of_random_pairs(p: int, pairs: int, rng: np.random.Generator) -> Float[np.ndarray, " {pairs}"]:
    r"""Return the cosines of pairs of random vectors: how alike two directions are by chance.

    The entries are independent standard normal numbers, so every direction is equally likely. A cosine has mean 0 and
    variance 1/p, exactly, and its density is proportional to :math:`(1 - s^2)^{(p-3)/2}` for p of 2 or more.

    Parameters
    ----------
    p : int
        Length of the vectors.
    pairs : int
        How many pairs to draw.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (pairs,)

    Raises
    ------
    ValueError
        If p is less than 1, or pairs is negative.

    Notes
    -----
    2 p pairs numbers of memory.

    Examples
    --------
    >>> cosines = cosines_of_random_pairs(100, 10_000, np.random.default_rng(0))
    >>> bool(abs(cosines.std() - 0.1) < 0.005)
    True
    """
    if p < 1 or pairs < 0:
        raise ValueError(f"p must be 1 or more and pairs 0 or more, but p = {p} and pairs = {pairs}.")
    x, z = rng.standard_normal((2, pairs, p))  # (pairs, p) each
    return np.sum(_unit_rows(x) * _unit_rows(z), axis=-1)  # (pairs, p) -> (pairs,)


def _unit_rows(X: Any) -> Any:
    """Divide each row by its length; a row of zeros stays as it is."""
    xp = array_namespace(X)
    if X.shape[-1] == 0:
        return X
    largest = xp.max(xp.abs(X), axis=-1, keepdims=True)  # (n, p) -> (n, 1)
    one = xp.ones_like(largest)
    scaled = X / xp.where(largest > 0, largest, one)  # at most 1, so no square overflows
    length = xp.sqrt(xp.sum(scaled**2, axis=-1, keepdims=True))  # (n, p) -> (n, 1); 1 or more unless the row is 0
    return scaled / xp.where(length > 0, length, one)


def _nearly_equal(whole: Any, parts: tuple[Any, ...], rtol: float) -> Any:
    """Tell whether an array is the sum of others, up to rounding of the largest number that occurs."""
    xp = array_namespace(whole, *parts)
    if any(tuple(part.shape) != tuple(whole.shape) for part in parts):
        shapes = ", ".join(str(tuple(part.shape)) for part in (whole, *parts))
        raise ValueError(f"f must return the same shape for every vector of one length, but it returned {shapes}.")
    if 0 in whole.shape:
        return xp.all(whole == whole)
    total = sum(parts[1:], parts[0])
    scale = sum(xp.max(xp.abs(part)) for part in (whole, *parts))
    return xp.all(xp.abs(whole - total) <= rtol * scale)


def _check_ids(ids: Any, size: int) -> Any:
    """Check that ids are integers from 0 to size - 1 and return their namespace."""
    xp = array_namespace(ids)
    if not xp.isdtype(ids.dtype, "integral"):
        raise TypeError(f"ids must hold integers, but their dtype is {ids.dtype}.")
    has_values = not (is_torch_array(ids) and ids.device.type == "meta")
    if has_values and 0 not in ids.shape:
        low, high = int(xp.min(ids)), int(xp.max(ids))
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            raise ValueError(f"ids must lie between 0 and {size - 1}, for {size} tokens, but one of them is {bad}.")
    return xp


def _check_layers(weights: Sequence[Any], biases: Sequence[Any]) -> Any:
    """Check that each layer fits the next and its own bias, and return the namespace of all."""
    if len(weights) != len(biases) or not weights:
        raise ValueError(
            f"There must be a bias for each layer, and a layer, but {len(weights)} and {len(biases)} came."
        )
    for r, (W, b) in enumerate(zip(weights, biases, strict=True), start=1):
        require_shapes(**{f"W_{r}": (W, f"d_{r - 1} d_{r}"), f"b_{r}": (b, f"d_{r}")})
        require_floating(**{f"W_{r}": W, f"b_{r}": b})
        if r > 1:
            before = weights[r - 2]
            require_shapes(
                **{f"W_{r - 1}": (before, f"d_{r - 2} d_{r - 1}"), f"W_{r}": (W, f"d_{r - 1} d_{r}")},
            )
    return array_namespace(*weights, *biases)
