"""One place where inputs are checked, so that every error names both sides."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, is_torch_array


def require_shapes(**arrays: tuple[Any, str]) -> dict[str, int]:
    """Check that named axes agree across arrays and return their sizes.

    Parameters
    ----------
    **arrays : tuple of (array, str)
        For each argument its array and the names of its axes, such as ``q=(q, "... T d_k")``. A name stands for one
        size wherever it occurs; a leading ``...`` allows any number of batch axes in front.

    Returns
    -------
    dict of str to int
        The size of every named axis.

    Raises
    ------
    TypeError
        If an argument is no array.
    ValueError
        If an array has the wrong number of axes, or two arrays disagree about a name.

    Examples
    --------
    >>> import numpy as np
    >>> require_shapes(X=(np.ones((5, 2)), "n p"), y=(np.ones(5), "n"))
    {'n': 5, 'p': 2}
    >>> require_shapes(q=(np.ones((3, 8)), "T d_k"), k=(np.ones((4, 16)), "S d_k"))
    Traceback (most recent call last):
        ...
    ValueError: q has d_k = 8 but k has d_k = 16.
    """
    sizes: dict[str, int] = {}
    owners: dict[str, str] = {}
    for argument, (array, axes) in arrays.items():
        if not hasattr(array, "shape"):
            raise TypeError(f"{argument} must be an array with axes ({axes}), but it is a {type(array).__name__}.")
        names = axes.split()
        batched = names[:1] == ["..."]
        names = names[1:] if batched else names
        shape = tuple(array.shape)
        if len(shape) < len(names) or (len(shape) > len(names) and not batched):
            few = "at least " if batched else ""
            raise ValueError(
                f"{argument} must have {few}{len(names)} axes ({', '.join(names)}), but its shape is {shape}."
            )
        for name, size in zip(names, shape[len(shape) - len(names) :], strict=True):
            if name in sizes and sizes[name] != size:
                if owners[name] == argument:
                    raise ValueError(f"{argument} must have {name} twice, but its shape is {shape}.")
                raise ValueError(f"{owners[name]} has {name} = {sizes[name]} but {argument} has {name} = {size}.")
            sizes.setdefault(name, size)
            owners.setdefault(name, argument)
    return sizes


def require_floating(**arrays: Any) -> None:
    """Check that every array holds real floating-point numbers.

    Raises
    ------
    TypeError
        If an array holds anything else; the message says which dtype was given.

    Examples
    --------
    >>> import numpy as np
    >>> require_floating(X=np.array([1, 2]))
    Traceback (most recent call last):
        ...
    TypeError: X must hold floating-point numbers, but its dtype is int64. Convert it first, for example to float64.
    """
    for argument, array in arrays.items():
        if not array_namespace(array).isdtype(array.dtype, "real floating"):
            raise TypeError(
                f"{argument} must hold floating-point numbers, but its dtype is {array.dtype}. "
                "Convert it first, for example to float64."
            )


def require_finite(**arrays: Any) -> None:
    """Check that no array holds nan or infinity. Tensors on the meta device have no values and pass.

    Raises
    ------
    ValueError
        If an array holds a value that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> require_finite(y=np.array([1.0, np.nan]))
    Traceback (most recent call last):
        ...
    ValueError: y holds 1 value that is not finite (nan or infinity) among 2. Remove or replace it first.
    """
    for argument, array in arrays.items():
        if is_torch_array(array) and array.device.type == "meta":
            continue
        xp = array_namespace(array)
        finite = xp.isfinite(array)
        if not xp.all(finite):  # counting costs more than asking, so count only for the message
            bad = int(xp.sum(xp.astype(~finite, xp.int64)))
            values, them = ("value that is", "it") if bad == 1 else ("values that are", "them")
            size = 1
            for length in array.shape:
                size *= length
            raise ValueError(
                f"{argument} holds {bad} {values} not finite (nan or infinity) among {size}. "
                f"Remove or replace {them} first."
            )
