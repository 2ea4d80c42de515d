"""Outcomes and inputs in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.candidate import Outcome
from mlcourse.grading.compare import Difference
from mlcourse.grading.plain import NotPlainError, PlainArray, to_plain

MAX_SHOWN_ELEMENTS = 16


def explain_outcome(outcome: Outcome, exercise: Exercise, inputs: Iterable[str] = ()) -> Difference:
    """Say why a call with inputs of these names gave no value that could be compared."""
    if outcome.timed_out:
        return Difference("too slow", f"One call took more than {exercise.time_limit:g} s. Does a loop never end?")
    if outcome.refused is not None:
        return Difference("wrong type", f"you return {outcome.refused}; return plain numbers or arrays")
    failure = outcome.failure
    assert failure is not None
    if failure.unwritten:
        return Difference("not written", f"a part of it still raises {failure.kind}, in {failure.function}")
    place = f"\nin {failure.function}, at: {failure.line}" if failure.line else ""
    if failure.kind == "TypeError" and "argument" in failure.message:
        place += f"\nIt is called with ({', '.join(inputs)})." if inputs else ""
    return Difference(f"your code raises {failure.kind}", f"{failure.message}{place}".strip())


def show_inputs(inputs: dict[str, Any]) -> str:
    """Return small inputs written out and large ones by their shape.

    Examples
    --------
    >>> show_inputs({"x": np.array([1.0, 2.0]), "n": 3})
    'x = [1, 2], n = 3'
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
        text = np.array2string(plain.data, precision=4, separator=", ", floatmode="maxprec", suppress_small=True)
        return " ".join(text.split()).replace(". ", " ").replace(".,", ",").replace(".]", "]")
    return repr(plain)[:80]
