"""Plain data: all that may cross from a submission to the grader.

Numbers, strings, None, lists, tuples, dicts with string keys, and numeric arrays of NumPy or torch. Everything else is
refused by name, without calling one of its methods, so that no odd object can pretend to be equal to the answer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_DEPTH = 8
MAX_ITEMS = 10_000
MAX_ARRAY_ELEMENTS = 50_000_000
NUMPY_SCALARS = frozenset(np.sctypeDict.values()) - {np.void, np.object_}


class NotPlainError(TypeError):
    """A value that is no plain data; its text says what was given."""


@dataclass(frozen=True)
class PlainArray:
    """A numeric array with the library it came from."""

    library: str  # "numpy" or "torch"
    data: np.ndarray

    @property
    def dtype(self) -> str:
        """Name of the element type, the same for both libraries."""
        return str(self.data.dtype)


def to_plain(value: Any, depth: int = 0) -> Any:
    """Return a copy of ``value`` made of plain data alone.

    Raises
    ------
    NotPlainError
        If any part is something else.

    Examples
    --------
    >>> to_plain((1, [2.5]))
    (1, [2.5])
    >>> to_plain({1, 2})
    Traceback (most recent call last):
        ...
    mlcourse.grading.plain.NotPlainError: a value of type set
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str):
        return value
    if depth >= MAX_DEPTH:
        raise NotPlainError(f"lists inside lists, more than {MAX_DEPTH} deep")
    if issubclass(kind, tuple):  # a named tuple is a tuple; its items are read without calling its own methods
        value, kind = tuple(tuple.__iter__(value)), tuple
    if kind in (list, tuple, dict):
        return _plain_container(value, depth)
    if kind is np.ndarray:
        _require_moderate(value.size)
        return PlainArray("numpy", _numeric(value.copy(), "NumPy"))
    if kind in NUMPY_SCALARS:
        return value.item()
    torch = sys.modules.get("torch")
    if torch is not None and kind in (torch.Tensor, torch.nn.Parameter):
        return PlainArray("torch", _from_torch(value))
    raise NotPlainError(f"a value of type {kind.__name__}")


def _plain_container(value: Any, depth: int) -> Any:
    if len(value) > MAX_ITEMS:
        raise NotPlainError(f"a {type(value).__name__} of {len(value)} items, more than {MAX_ITEMS}")
    if type(value) is dict:
        if any(type(key) is not str for key in value):
            raise NotPlainError("a dict whose keys are not strings")
        return {key: to_plain(item, depth + 1) for key, item in value.items()}
    return type(value)(to_plain(item, depth + 1) for item in value)


def _numeric(array: np.ndarray, library: str) -> np.ndarray:
    if array.dtype.kind not in "biufc":
        raise NotPlainError(f"a {library} array of dtype {array.dtype}, which holds no numbers")
    return array


def _require_moderate(size: int) -> None:
    """Refuse a huge array before it is copied: a broadcast view may claim more than there is memory."""
    if size > MAX_ARRAY_ELEMENTS:
        raise NotPlainError(f"an array of {size} elements, more than {MAX_ARRAY_ELEMENTS}")


def _from_torch(tensor: Any) -> np.ndarray:
    try:
        shared = tensor.numpy()  # in place, in one call of torch: a watched one takes long
    except (RuntimeError, TypeError, ValueError):
        return _from_odd_torch(tensor)
    if type(shared) is not np.ndarray:  # somebody has changed what a tensor does
        return _from_odd_torch(tensor)
    _require_moderate(shared.size)
    return _numeric(shared.copy(), "torch")


def _from_odd_torch(tensor: Any) -> np.ndarray:
    """Read a tensor with a gradient or a lazy sign, or say why it has no values that NumPy could hold."""
    import torch

    _require_moderate(tensor.numel())
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise NotPlainError(f"a torch tensor of layout {tensor.layout}")
    if tensor.device.type == "meta":
        raise NotPlainError("a torch tensor on the meta device, which has no values")
    try:
        array = tensor.detach().cpu().resolve_conj().resolve_neg().numpy().copy()
    except TypeError as error:  # bfloat16 and other types that NumPy does not have
        raise NotPlainError(f"a torch tensor of dtype {str(tensor.dtype).removeprefix('torch.')}") from error
    return _numeric(array, "torch")


def from_plain(value: Any) -> Any:
    """Return the arrays of plain data as arrays of their own library again."""
    if isinstance(value, PlainArray):
        if value.library == "numpy":
            return value.data.copy()
        import torch

        return torch.from_numpy(value.data.copy())
    if isinstance(value, list | tuple):
        return type(value)(from_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: from_plain(item) for key, item in value.items()}
    return value


def identical(a: Any, b: Any) -> bool:
    """Return whether two plain values are the same to the last bit; nan equals nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, PlainArray):
        same_kind = a.library == b.library and a.data.dtype == b.data.dtype
        return same_kind and np.array_equal(a.data, b.data, equal_nan=a.data.dtype.kind in "fc")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(identical(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(identical(a[key], b[key]) for key in a)
    return bool(a == b) or (a != a and b != b)
