"""What is wrong with an outcome, in words, and the inputs for which it came."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.calling import Outcome
from mlcourse.grading.compare import Difference, difference
from mlcourse.grading.plain import NotPlainError, PlainArray, to_plain

MAX_SHOWN_ELEMENTS = 16
MAX_SHOWN_CHARACTERS = 120
# How NumPy and torch complain that the inner sizes of a product differ.
SHAPE_ERROR = re.compile(
    r"matmul: Input operand|cannot be multiplied|not aligned|Expected size for first two dim|size mismatch, got"
)


def verdict(exercise: Exercise, got: Outcome, expected: Outcome, inputs: Iterable[str] = ()) -> Difference | None:
    """Return what is wrong with the outcome of a call with inputs of these names, or None."""
    if not got.returned:
        return explain_outcome(got, exercise, inputs)
    return difference(got.value, expected.value, exercise.rtol, exercise.atol)


def explain_outcome(outcome: Outcome, exercise: Exercise, inputs: Iterable[str] = ()) -> Difference:
    """Say why a call with inputs of these names gave no value that could be compared."""
    if outcome.timed_out:
        return Difference("too slow", f"One call took more than {exercise.time_limit:g} s. Does a loop never end?")
    if outcome.shortcut is not None:
        return Difference("not allowed", f"your code uses {outcome.shortcut}")
    if outcome.refused is not None:
        return Difference("wrong type", f"you return {outcome.refused}; return plain numbers or arrays")
    failure = outcome.failure
    assert failure is not None
    if failure.unwritten:
        return Difference("not written", f"a part of it still raises {failure.kind}, in {failure.function}")
    place = f"\nin {failure.function}, at: {failure.line}" if failure.line else ""
    if failure.kind == "TypeError" and not failure.function and inputs:  # it failed before its first line
        place += f"\nIt is called with ({', '.join(inputs)})."
    if SHAPE_ERROR.search(failure.message):
        place += "\nThe inner sizes of a matrix product must agree. Is a transpose (.T, .mT) missing, or one too many?"
    return Difference(f"your code raises {failure.kind}", f"{failure.message}{place}".strip())


def show_inputs(inputs: dict[str, Any]) -> str:
    """Return small inputs written out and large ones by their shape.

    Examples
    --------
    >>> show_inputs({"x": np.array([1.0, 2.0]), "n": 3})
    'x = [1, 2], n = 3'
    >>> show_inputs({"x": np.array([1e-9, 1.0]), "block": {"gain": np.ones(3)}})
    'x = [1.e-09, 1.e+00], block = {gain: (float64 array of shape (3,))}'
    """
    return ", ".join(f"{name} = {_show(value)}" for name, value in inputs.items())


def _show(value: Any) -> str:
    try:
        plain = to_plain(value)
    except NotPlainError:
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(plain, PlainArray):
        if plain.data.size > MAX_SHOWN_ELEMENTS or plain.data.size == 0:
            return f"({plain.dtype} array of shape {plain.data.shape})"
        return _written_out(plain.data)
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{name}: {_short(part)}" for name, part in plain.items()) + "}"
    return _short(plain)


def _written_out(data: np.ndarray) -> str:
    """Return the numbers with four digits; with all of them where a number would look like a whole one."""
    if data.dtype.kind == "f" and np.any((np.round(data, 4) == np.round(data)) & (data != np.round(data))):
        text = np.array2string(data, separator=", ", floatmode="unique")
    else:
        text = np.array2string(data, precision=4, separator=", ", floatmode="maxprec", suppress_small=True)
    return " ".join(text.split()).replace(". ", " ").replace(".,", ",").replace(".]", "]")


def _short(plain: Any) -> str:
    """Return a part of an input: arrays by their shape, and what is long by its length."""
    if isinstance(plain, PlainArray):
        return f"({plain.dtype} array of shape {plain.data.shape})"
    text = repr(plain)
    if len(text) <= MAX_SHOWN_CHARACTERS and "PlainArray" not in text:
        return text
    if isinstance(plain, list | tuple | dict):
        return f"({type(plain).__name__} of {len(plain)})"
    return f"{text[:MAX_SHOWN_CHARACTERS]}..."
