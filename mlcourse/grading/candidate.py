"""The one narrow call between the grader and a submission.

`Candidate.call` takes inputs and returns an `Outcome`; both are plain data. The grader knows nothing else of the
submission, so that the submission can live in this process (`LocalCandidate`) or in another one.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from mlcourse.exercises.protocol import Exercise, call_candidate
from mlcourse.grading.calling import Clock, Outcome, call_by_position, make_call
from mlcourse.grading.watch import Watch


class Candidate(Protocol):
    """Whatever answers calls for one exercise."""

    def call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call with these inputs."""
        ...

    def calls(self, several: Sequence[dict[str, Any]]) -> Generator[Outcome, None, None]:
        """Yield the outcomes of several calls, one after another."""
        ...


class LocalCandidate:
    """A submission in this process: for one's own work, and for references and misconceptions.

    ``watched`` says whether the call of a forbidden function ends it. A profiler of one's own is left to its work.
    """

    def __init__(self, exercise: Exercise, implementation: Any, *, watched: bool = False) -> None:
        self.exercise = exercise
        self.implementation = implementation
        self.watch = Watch(exercise.forbidden) if watched and sys.getprofile() is None else None

    def call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call; the inputs given stay as they are."""
        return make_call(self._run, inputs, Clock(self.exercise.time_limit), self.watch)

    def calls(self, several: Sequence[dict[str, Any]]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each call when it is asked for."""
        for inputs in several:
            yield self.call(inputs)

    def _run(self, inputs: dict[str, Any]) -> Any:
        if self.exercise.run is not call_candidate:
            return self.exercise.run(self.implementation, **inputs)
        return call_by_position(self.implementation, positional_names(self.exercise.reference, inputs), inputs)


def positional_names(reference: Any, inputs: dict[str, Any]) -> list[str]:
    """Return which inputs are given by position, so that a submission may name its parameters as it likes."""
    names = []
    for name, parameter in _parameters(reference).items():
        if name not in inputs:
            break  # after a default that is left out, only keywords are safe
        if parameter.kind is parameter.KEYWORD_ONLY:
            break
        names.append(name)
    return names


@functools.cache
def _parameters(reference: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a reference, which are asked for at every call."""
    return inspect.signature(reference).parameters
