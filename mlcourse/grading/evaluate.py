"""The order of the checks, and the points.

There, runs, type, shape, dtype, finite, worked case, random cases, properties, edge cases, inputs unchanged. The first
failure is explained. Half of the points are for the worked and the random cases together; the other half is shared by
the later groups, which count only when the first half is earned.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from mlcourse.exercises import chapter_exercises, find
from mlcourse.exercises.protocol import Case, Exercise, Property
from mlcourse.grading.calling import Outcome
from mlcourse.grading.candidate import Candidate, LocalCandidate
from mlcourse.grading.diagnosis import KnownOutcomes, Trial, WorkedOutcomes, diagnose
from mlcourse.grading.explain import explain_outcome, verdict
from mlcourse.grading.feedback import Broken, first_failure, how_it_passed, not_written, printed, still_right
from mlcourse.grading.forbidden import called_names, forbidden_use, own_globals
from mlcourse.grading.plain import PlainArray, from_plain
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.report import Report, write_report

PUBLIC_SEED = 1805
CORE_SHARE = 0.5


def evaluate(exercise: Exercise | str, candidate: Any, seed: int | None = None) -> Report:
    """Grade a submission in this process: for one's own work.

    Parameters
    ----------
    exercise : Exercise or str
        The exercise or its full name.
    candidate : callable, class, or tuple of them
        The submission.
    seed : int, optional
        Decides the random cases. The default is the public seed of the notebooks.

    Returns
    -------
    Report

    Examples
    --------
    >>> report = evaluate("linear_regression.r2_score", lambda y, predictions: 1.0)
    >>> report.score, report.status
    (0.0, 'wrong')
    """
    exercise = find(exercise) if isinstance(exercise, str) else exercise
    if isinstance(exercise.reference, tuple) and isinstance(candidate, list):
        candidate = tuple(candidate)
    absent = what_is_missing(exercise, describe_parts(candidate))
    if absent:
        return write_report(exercise.name, 0.0, exercise.points, "missing", [("missing", absent)])
    declared = is_declared(exercise, candidate)
    if not declared:
        try:
            shortcut = forbidden_use(candidate, exercise.forbidden, exercise.reference)
        except Exception:  # an object that answers questions about itself with errors can still be called
            shortcut = None
        if shortcut:
            return refuse_shortcut(exercise, shortcut)
    return grade(
        exercise,
        LocalCandidate(exercise, candidate, watched=not declared),
        seed,
        earlier=lambda: failing_earlier(exercise, candidate, seed),
    )


def failing_earlier(exercise: Exercise, candidate: Any, seed: int | None) -> list[str]:
    """Return the student's functions for other exercises that a candidate calls and that do not pass."""
    try:
        used, own = called_names(candidate), own_globals(candidate)
    except Exception:  # as in the search for shortcuts
        return []
    failing = []
    for sibling in _siblings(exercise):
        names = [part.__name__ for part in sibling.reference] if isinstance(sibling.reference, tuple) else []
        names = names or [sibling.short_name]
        if not used & set(names) or not all(callable(own.get(name)) for name in names):
            continue
        parts = tuple(own[name] for name in names)
        theirs = LocalCandidate(sibling, parts if isinstance(sibling.reference, tuple) else parts[0])
        if grade(sibling, theirs, seed).status != "passed":
            failing += [name for name in names if name in used]
    return failing


def _siblings(exercise: Exercise) -> list[Exercise]:
    try:
        return [item for item in chapter_exercises(exercise.chapter).values() if item.name != exercise.name]
    except KeyError:  # an exercise that stands in no catalogue, as in the tests of this engine
        return []


def is_declared(exercise: Exercise, candidate: Any) -> bool:
    """Return whether a candidate is the exercise's own reference or one of its misconceptions."""
    declared = [exercise.reference, *(known.implementation for known in exercise.misconceptions)]
    return any(same_parts(candidate, part) for part in declared)


def same_parts(a: Any, b: Any) -> bool:
    """Return whether two candidates are the same object, or tuples (or lists) of the same objects."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
    return a is b


def grade(
    exercise: Exercise,
    candidate: Candidate,
    seed: int | None = None,
    earlier: Callable[[], list[str]] = list,
) -> Report:
    """Grade whatever answers `Candidate.call`; the submission may live in another process.

    ``earlier()`` is asked only after a failure. It names the student's functions for other exercises that the
    submission calls and that do not pass their own checks: a failure caused there is no hint about this exercise.
    """
    grading = Grading(prepare(exercise, seed), candidate, earlier)
    grading.prepared.answer_all()  # before the submission runs, which then cannot change the right answers
    grading.try_worked()
    grading.try_rest()
    return grading.report()


class Prepared:
    """The cases of an exercise for one seed, with the right answers, and what the known mistakes give."""

    def __init__(self, exercise: Exercise, seed: int, worked: WorkedOutcomes | None = None) -> None:
        self.exercise = exercise
        self.seed = seed
        self.cases = list(exercise.cases(stream(seed, exercise.name)))
        self.known = KnownOutcomes(exercise, self.cases, worked)

    def answer(self, case: Case) -> Outcome:
        """Return what the reference gives, computed when it is first asked for."""
        return self.known.right(case, right_answer)

    def answer_all(self) -> None:
        """Compute every right answer now."""
        for case in self.cases:
            self.answer(case)


def prepare(exercise: Exercise, seed: int | None = None, worked: WorkedOutcomes | None = None) -> Prepared:
    """Return the cases of an exercise.

    ``worked`` keeps from one seed to the next what the reference and known mistakes give on the worked cases, which are
    always the same.
    """
    return Prepared(exercise, PUBLIC_SEED if seed is None else seed, worked)


class Grading:
    """One candidate that is tried in two steps.

    The worked cases are public, and all that a report shows in numbers. They are tried first: a submission that has
    seen the hidden cases of another exercise could otherwise show them. ``reveal`` says whether a report may show the
    other cases too, because the seed is public.
    """

    def __init__(
        self,
        prepared: Prepared,
        candidate: Candidate,
        earlier: Callable[[], list[str]] = list,
        *,
        reveal: bool = True,
    ) -> None:
        self.prepared = prepared
        self.exercise = prepared.exercise
        self.candidate = candidate
        self.earlier = earlier
        self.reveal = reveal
        self.trials: list[Trial] = []
        self.unwritten: Report | None = None
        self.shortcut: str | None = None  # the forbidden function that a call has shown
        self.broken: dict[str, Broken] = {}

    def try_worked(self) -> None:
        """Try the worked cases."""
        self._try("worked")

    def try_rest(self) -> None:
        """Try everything else."""
        self._try("random", "edge")
        # Properties of wrong values say nothing.
        if not self.unwritten and all(trial.right for trial in self.trials if trial.case.group != "edge"):
            tried = ((item, self._broken(item)) for item in self.exercise.properties)
            self.broken = {item.name: Broken(item.claim, why) for item, why in tried if why is not None}

    def report(self) -> Report:
        """Return the report on what was tried."""
        if self.shortcut:
            return refuse_shortcut(self.exercise, self.shortcut)
        return self.unwritten or _report(self, self.broken)

    @property
    def spotless(self) -> bool:
        """Whether nothing has failed so far; what is not written has not failed."""
        right = all(trial.right and not trial.got.changed for trial in self.trials)
        return bool(self.unwritten) or (right and not self.broken and not self.shortcut)

    @property
    def passed(self) -> bool:
        """Whether everything was tried and is right, or nothing is written."""
        if self.shortcut:
            return False
        return bool(self.unwritten) or all(_groups(self.exercise, self.trials, self.broken).values())

    @property
    def over(self) -> bool:
        """Whether the other cases would only use up their time, or find nobody who answers."""
        if self.shortcut:
            return True
        return bool(self.trials) and (self.trials[-1].got.timed_out or self.trials[-1].got.ended)

    def _try(self, *groups: str) -> None:
        if self.unwritten or self.over:
            return
        cases = [case for case in self.prepared.cases if case.group in groups]
        with closing(self.candidate.calls([case.inputs for case in cases])) as outcomes:
            for case, got in zip(cases, outcomes, strict=False):
                if got.failure and got.failure.unwritten and not self.trials:
                    self.unwritten = not_written(self.exercise, got)
                    return
                if got.shortcut:
                    self.shortcut = got.shortcut
                    return
                expected = self.prepared.answer(case)
                right = verdict(self.exercise, got, expected, case.inputs) is None
                self.trials.append(Trial(case, expected, got, right))
                if self.over:
                    return

    def _broken(self, item: Property) -> str | None:
        pattern = self.prepared.answer(self.prepared.cases[0]).value
        return _broken(item, self.exercise, self._call, self.prepared.seed, pattern)

    def _call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call for a property."""
        outcome = self.candidate.call(inputs)
        self.shortcut = self.shortcut or outcome.shortcut
        return outcome


def right_answer(exercise: Exercise, case: Case) -> Outcome:
    """Return what the reference gives.

    Raises
    ------
    RuntimeError
        If it gives no value: then the exercise, or what the notebook has done to this process, is at fault.
    """
    expected = LocalCandidate(exercise, exercise.reference).call(case.inputs)
    if not expected.returned:
        failure = expected.failure.message if expected.failure else expected.refused or expected.shortcut
        reason = failure or "it took too long"
        raise RuntimeError(
            f"The reference of {exercise.name} gave no value ({reason}). If the notebook changes settings of Python, "
            "NumPy or torch, undo that, or restart the kernel."
        )
    return expected


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator that belongs to one name, independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def describe_parts(candidate: Any) -> dict[str, Any] | list[dict[str, Any]]:
    """Return what must be known of a candidate before it is called."""
    if isinstance(candidate, tuple):
        return [part for item in candidate if isinstance(part := describe_parts(item), dict)]
    try:
        name = str(getattr(candidate, "__name__", ""))
    except Exception:  # an object that answers questions about itself with errors can still be called
        name = ""
    return {"name": name, "callable": callable(candidate), "type": type(candidate).__name__, "none": candidate is None}


def what_is_missing(exercise: Exercise, given: dict[str, Any] | list[dict[str, Any]]) -> str | None:
    """Return in words what a candidate lacks to be called, or None."""
    if not isinstance(exercise.reference, tuple):
        one: dict[str, Any] = {"callable": False, "type": "tuple"} if isinstance(given, list) else given
        parts = {exercise.short_name: one}
    else:
        names = [part.__name__ for part in exercise.reference]
        if not isinstance(given, list) or len(given) != len(names):
            return f"This exercise takes a tuple of {len(names)}: ({', '.join(names)})."
        theirs = [part["name"] for part in given]
        if theirs != names and sorted(theirs) == sorted(names):
            return f"The functions come in another order: ({', '.join(names)})."
        parts = dict(zip(names, given, strict=True))
    for name, part in parts.items():
        if not part["callable"]:
            return f"{name} must be a function, but it is {'None' if part.get('none') else 'a ' + part['type']}."
    return None


def in_the_form_of(value: Any, pattern: Any) -> Any:
    """Return plain data with numbers as arrays without a dimension, where the reference returns such arrays.

    Examples
    --------
    >>> in_the_form_of((1.5, 2), (PlainArray("torch", np.array(0.0)), 3))
    (PlainArray(library='torch', data=array(1.5)), 2)
    """
    if isinstance(pattern, PlainArray) and isinstance(value, bool | int | float | complex):
        return PlainArray(pattern.library, np.asarray(value, dtype=pattern.data.dtype))
    if isinstance(pattern, list | tuple) and isinstance(value, list | tuple) and len(value) == len(pattern):
        return type(value)(in_the_form_of(part, own) for part, own in zip(value, pattern, strict=True))
    return value


class _CandidateFailedError(Exception):
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def _broken(
    item: Property, exercise: Exercise, ask: Callable[[dict[str, Any]], Outcome], seed: int, pattern: Any
) -> str | None:
    """Return in words why a property does not hold, or None if it holds."""

    def call(**inputs: Any) -> Any:
        outcome = ask(inputs)
        if not outcome.returned:
            raise _CandidateFailedError(outcome)
        return from_plain(in_the_form_of(outcome.value, pattern))

    try:
        holds = bool(item.holds(call, stream(seed, f"{exercise.name}:{item.name}")))
    except _CandidateFailedError as failed:
        why = explain_outcome(failed.outcome, exercise)
        return f"It could not be tried: {why.headline}. {why.detail}"
    except Exception as error:  # what came back may have any shape and type, and the property computes with it
        return f"It could not be tried on what you return: {error}"
    return None if holds else "It does not hold for what you return."


def _report(grading: Grading, broken: dict[str, Broken]) -> Report:
    exercise, trials = grading.exercise, grading.trials
    groups = _groups(exercise, trials, broken)
    score = _score(exercise.points, groups)
    if all(groups.values()):
        praise = [how_it_passed(exercise, trials)]
        return write_report(exercise.name, score, exercise.points, "passed", praise, groups=groups)
    lines = first_failure(exercise, trials, broken, groups, grading.reveal)
    elsewhere = grading.earlier()
    known = None if elsewhere else diagnose(exercise, trials, grading.prepared.known)
    if elsewhere:
        *others, last = elsewhere
        if others:
            words = f"It calls {', '.join(others)} and {last}, which fail their own checks. Mend those first"
        else:
            words = f"It calls {last}, which fails its own check. Mend that first"
        words += ", then run this again."
        lines.append(("the cause", words))
    if known:
        score = 0.0
        lines.append(("hint", known.hint))
    elif score > 0:
        lines.append(("still right", still_right(groups)))
    lines += printed(trials, grading.reveal)
    return write_report(
        exercise.name,
        score,
        exercise.points,
        _status(trials),
        lines,
        misconception=known.name if known else None,
        groups=groups,
    )


def _groups(exercise: Exercise, trials: list[Trial], broken: dict[str, Broken]) -> dict[str, bool]:
    groups = {
        group: all(trial.right for trial in trials if trial.case.group == group)
        for group in ("worked", "random")
        if any(trial.case.group == group for trial in trials)
    }
    if trials[-1].got.timed_out or trials[-1].got.ended:  # nothing else was tried
        return {**groups, trials[-1].case.group: False}
    if exercise.properties:
        groups["properties"] = not broken
    if any(trial.case.group == "edge" for trial in trials):
        groups["edge"] = all(trial.right for trial in trials if trial.case.group == "edge")
    groups["unchanged"] = not any(trial.got.changed for trial in trials)
    return groups


def _score(max_points: float, groups: dict[str, bool]) -> float:
    later = [passed for group, passed in groups.items() if group not in ("worked", "random")]
    if not all(passed for group, passed in groups.items() if group in ("worked", "random")):
        return 0.0
    if all(later):
        return float(max_points)
    return float(max_points * (CORE_SHARE + (1 - CORE_SHARE) * sum(later) / len(later)))


def _status(trials: list[Trial]) -> str:
    wrong = next((trial.got for trial in trials if not trial.right), None)
    if wrong is not None and wrong.timed_out:
        return "timeout"
    if wrong is not None and wrong.failure:
        return "error"
    return "wrong"
