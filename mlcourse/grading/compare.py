"""Whether two plain values agree, and if not, in what words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcourse.grading.plain import PlainArray

Number = bool | int | float | complex


@dataclass(frozen=True)
class Difference:
    """The first way in which an answer differs: a headline and a line of detail."""

    headline: str
    detail: str = ""


def difference(got: Any, expected: Any, rtol: float, atol: float, where: str = "") -> Difference | None:
    """Return how ``got`` differs from ``expected``, or None if they agree within the tolerance.

    The order is type, shape, dtype, finiteness, values: the first that fails is reported. A broadcast never rescues a
    wrong shape.

    Examples
    --------
    >>> difference(1.0, 2.0, 1e-6, 1e-9)
    Difference(headline='wrong value', detail='you return 1, expected 2: 2 times too small')
    >>> difference(2.0, 2.0, 1e-6, 1e-9)
    """
    if _is_number(expected):
        return _number_difference(got, expected, rtol, atol, where)
    if isinstance(expected, PlainArray):
        return _array_difference(got, expected, rtol, atol, where)
    if isinstance(expected, list | tuple):
        return _sequence_difference(got, expected, rtol, atol, where)
    if isinstance(expected, dict):
        return _dict_difference(got, expected, rtol, atol, where)
    if type(got) is type(expected) and got == expected:
        return None
    if type(got) is not type(expected):
        return _wrong_type(got, expected, where)
    return Difference(f"wrong value{where}", f"you return {got!r}, expected {expected!r}")


def name_of(value: Any) -> str:
    """Return what a plain value is, in words a student uses."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, PlainArray):
        library = {"numpy": "NumPy array", "torch": "torch tensor"}[value.library]
        return f"a {library} of shape {value.data.shape} and dtype {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool):
        return f"the truth value {value}"
    article = "an" if type(value).__name__[0] in "aeiou" else "a"
    return f"{article} {type(value).__name__}"


def _is_number(value: Any) -> bool:
    scalar_array = isinstance(value, PlainArray) and value.data.shape == ()
    return scalar_array or isinstance(value, bool | int | float | complex)


def _wrong_type(got: Any, expected: Any, where: str) -> Difference:
    forgot = " Is a return statement missing?" if got is None else ""
    return Difference(f"wrong type{where}", f"you return {name_of(got)}, expected {name_of(expected)}.{forgot}")


def _number_difference(got: Any, expected: Any, rtol: float, atol: float, where: str) -> Difference | None:
    if isinstance(got, PlainArray) and got.data.shape:
        return Difference(f"wrong shape{where}", f"you return {name_of(got)}, expected one number")
    if not _is_number(got):
        return _wrong_type(got, expected, where)
    theirs = got.data.item() if isinstance(got, PlainArray) else got
    ours = expected.data.item() if isinstance(expected, PlainArray) else expected
    if isinstance(ours, bool) != isinstance(theirs, bool) or isinstance(theirs, complex) > isinstance(ours, complex):
        return _wrong_type(theirs, ours, where)
    theirs = _as_float(theirs) if isinstance(theirs, int) and not isinstance(theirs, bool) else theirs
    if _close(np.asarray(theirs), np.asarray(ours), rtol, atol).all():
        return None
    if not np.isfinite(theirs) and np.isfinite(ours):
        return Difference(f"not finite{where}", f"you return {theirs}, expected {_show(ours)}")
    return Difference(
        f"wrong value{where}",
        f"you return {_compared(theirs, ours)}{_ratio(theirs, ours)}",
    )


def _array_difference(got: Any, expected: PlainArray, rtol: float, atol: float, where: str) -> Difference | None:
    if not isinstance(got, PlainArray) or got.library != expected.library:
        return _wrong_type(got, expected, where)
    theirs, ours = got.data, expected.data
    if theirs.shape != ours.shape:
        return Difference(f"wrong shape{where}", f"expected shape {ours.shape}, got {theirs.shape}")
    if theirs.dtype != ours.dtype:
        return Difference(f"wrong dtype{where}", f"expected dtype {ours.dtype}, got {theirs.dtype}")
    if theirs.tobytes() == ours.tobytes():  # the usual case, which takes no tolerance
        return None
    lost = ~np.isfinite(theirs) & np.isfinite(ours)
    if lost.any():
        index = tuple(int(i) for i in np.argwhere(lost)[0])
        return Difference(
            f"not finite{where} (shape {ours.shape} is right)",
            f"{int(lost.sum())} of {lost.size} values are nan or infinite; "
            f"at {list(index)} you return {theirs[index]}, expected {_show(ours[index])}",
        )
    wrong = ~_close(theirs, ours, rtol, atol)
    if not wrong.any():
        return None
    return _value_difference(theirs, ours, wrong, where)


def _value_difference(theirs: np.ndarray, ours: np.ndarray, wrong: np.ndarray, where: str) -> Difference:
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    factor = _shared_ratio(theirs[wrong], ours[wrong]) if ours.dtype.kind in "fc" else ""  # an index has no factor
    count = "" if wrong.all() else f"; {int(wrong.sum())} of {wrong.size} values are wrong"
    return Difference(
        f"wrong values{where} (shape {ours.shape} is right)",
        f"at {list(index)} you return {_compared(theirs[index], ours[index])}{factor}{count}",
    )


def _sequence_difference(got: Any, expected: Any, rtol: float, atol: float, where: str) -> Difference | None:
    # A list where a tuple is expected, or the reverse, is no mistake worth a mark.
    if not isinstance(got, list | tuple):
        return _wrong_type(got, expected, where)
    if len(got) != len(expected):
        return Difference(f"wrong length{where}", f"expected {len(expected)} values, got {len(got)}")
    for position, (theirs, ours) in enumerate(zip(got, expected, strict=True)):
        found = difference(theirs, ours, rtol, atol, f"{where} in result {position + 1} of {len(expected)}")
        if found:
            return found
    return None


def _dict_difference(got: Any, expected: dict[str, Any], rtol: float, atol: float, where: str) -> Difference | None:
    if not isinstance(got, dict):
        return _wrong_type(got, expected, where)
    if got.keys() != expected.keys():
        return Difference(f"wrong keys{where}", f"expected {sorted(expected)}, got {sorted(got)}")
    for key, ours in expected.items():
        found = difference(got[key], ours, rtol, atol, f"{where} in {key}")
        if found:
            return found
    return None


def _as_float(value: int) -> float:
    """Return a whole number as a float; one that is too large for that becomes infinity."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _close(theirs: np.ndarray, ours: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    if theirs.dtype.kind in "b" or ours.dtype.kind in "b":
        return theirs == ours
    with np.errstate(invalid="ignore"):
        return np.isclose(theirs, ours, rtol=rtol, atol=atol, equal_nan=True)


def _show(value: Any, digits: int = 5) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    return f"{value:.{digits}g}"


def _compared(theirs: Any, ours: Any) -> str:
    """Write both numbers with as many digits as it takes to see that they differ."""
    for digits in (5, 9, 17):
        left, right = _show(theirs, digits), _show(ours, digits)
        if left != right:
            close = digits > 5
            return f"{left}, expected {right}" + (" (close, but outside the tolerance)" if close else "")
    return f"{theirs!r}, expected {ours!r}"


def _shared_ratio(theirs: np.ndarray, ours: np.ndarray) -> str:
    """Say by what factor values are off, when it is the same factor for all that are wrong."""
    words = {_ratio(a, b) for a, b in zip(theirs.tolist(), ours.tolist(), strict=True)}
    return words.pop() if len(words) == 1 else ""


def _ratio(theirs: Any, ours: Any) -> str:
    """Say by what factor a number is off, when that may help to find the mistake."""
    if isinstance(theirs, bool | complex) or isinstance(ours, bool | complex) or not theirs or not ours:
        return ""
    if not (np.isfinite(theirs) and np.isfinite(ours)):
        return ""
    if np.isclose(theirs, -ours):
        return ": the sign is reversed"
    factor = abs(theirs / ours)
    if theirs * ours < 0 or np.isclose(factor, 1, rtol=1e-3):
        return ""
    return f": {factor:.5g} times too large" if factor > 1 else f": {1 / factor:.5g} times too small"
