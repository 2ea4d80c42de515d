"""Which known mistake explains a wrong outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcourse.exercises.protocol import Case, Exercise, Misconception
from mlcourse.grading.calling import Outcome
from mlcourse.grading.candidate import LocalCandidate
from mlcourse.grading.compare import difference
from mlcourse.grading.plain import PlainArray


@dataclass(frozen=True)
class Trial:
    """A case, what the reference gives, and what the submission gave."""

    case: Case
    expected: Outcome
    got: Outcome
    right: bool


# By exercise, mistake (None for the reference) and place of the case.
WorkedOutcomes = dict[tuple[str, str | None, int], Outcome]


class KnownOutcomes:
    """What the reference and the known mistakes of an exercise give on its cases, computed when it is first asked."""

    def __init__(self, exercise: Exercise, cases: Sequence[Case], worked: WorkedOutcomes | None = None) -> None:
        self.exercise = exercise
        self.places = {id(case): place for place, case in enumerate(cases)}
        self.found: WorkedOutcomes = {}
        self.worked: WorkedOutcomes = {} if worked is None else worked

    def of(self, misconception: Misconception, case: Case) -> Outcome:
        """Return the outcome of one mistake on one case."""
        return self._kept(misconception.name, case, lambda: self._outcome(misconception.implementation, case))

    def right(self, case: Case, answer: Callable[[Exercise, Case], Outcome]) -> Outcome:
        """Return the outcome of the reference on one case, from ``answer`` where it is not known yet."""
        return self._kept(None, case, lambda: answer(self.exercise, case))

    def _outcome(self, implementation: Any, case: Case) -> Outcome:
        return LocalCandidate(self.exercise, implementation).call(case.inputs)

    def _kept(self, name: str | None, case: Case, compute: Callable[[], Outcome]) -> Outcome:
        key = (self.exercise.name, name, self.places[id(case)])
        kept = self.worked if case.group == "worked" else self.found
        if key not in kept:
            kept[key] = compute()
        return kept[key]


def diagnose(exercise: Exercise, trials: Sequence[Trial], known: KnownOutcomes) -> Misconception | None:
    """Return the misconception that gives the same outcomes as the submission, if there is one.

    A mistake explains a submission when both agree on all worked and random cases and one of these is wrong; or, where
    the submission is right on all of them, when both agree there and on the first wrong edge case. Of several, the one
    that agrees on most edge cases is meant.
    """
    core = [trial for trial in trials if trial.case.group != "edge"]
    edges = [trial for trial in trials if trial.case.group == "edge"]
    deciding = list(core)
    if all(trial.right and not trial.got.changed for trial in core):
        wrong = [trial for trial in edges if not trial.right or trial.got.changed]
        if not wrong:
            return None
        deciding.append(wrong[0])
    best, best_agreement = None, -1
    for misconception in exercise.misconceptions:
        if not all(_explains(exercise, known.of(misconception, trial.case), trial) for trial in deciding):
            continue
        agreement = sum(_explains(exercise, known.of(misconception, trial.case), trial) for trial in edges)
        if agreement > best_agreement:
            best, best_agreement = misconception, agreement
    return best


def _explains(exercise: Exercise, theirs: Outcome, trial: Trial) -> bool:
    return same_outcome(trial.got, theirs, exercise.rtol, exercise.atol)


def same_outcome(a: Outcome, b: Outcome, rtol: float, atol: float) -> bool:
    """Return whether two outcomes are the same: value, kind of exception with the same sizes, and changed inputs."""
    if a.changed != b.changed or a.timed_out != b.timed_out or (a.refused is None) != (b.refused is None):
        return False
    if a.failure or b.failure:
        return bool(a.failure and b.failure and a.failure.kind == b.failure.kind and a.failure.sizes == b.failure.sizes)
    return (
        a.refused == b.refused
        and difference(without_infinities(a.value), without_infinities(b.value), rtol, atol) is None
    )


def without_infinities(value: Any) -> Any:
    """Return plain data with nan for every infinity: which of the two an overflow gives is an accident of its order."""
    if isinstance(value, PlainArray):
        if value.data.dtype.kind != "f" or np.isfinite(value.data).all():
            return value
        return PlainArray(value.library, np.where(np.isfinite(value.data), value.data, np.nan).astype(value.data.dtype))
    if isinstance(value, float):
        return value if math.isfinite(value) else math.nan
    if isinstance(value, list | tuple):
        return type(value)(without_infinities(item) for item in value)
    if isinstance(value, dict):
        return {key: without_infinities(item) for key, item in value.items()}
    return value
