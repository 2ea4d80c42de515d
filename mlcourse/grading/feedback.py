"""The words of a report: which check failed first, on what, and what was right."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.calling import Outcome
from mlcourse.grading.diagnosis import Trial
from mlcourse.grading.explain import show_inputs, verdict
from mlcourse.grading.report import Report, write_report

GROUP_LABELS = {
    "worked": "worked example",
    "random": "random case",
    "properties": "property",
    "edge": "edge case",
    "unchanged": "inputs",
}
KINDS = (
    *("wrong values", "wrong value", "wrong shape", "wrong dtype", "wrong type", "wrong length", "wrong keys"),
    *("not finite", "too slow", "not written"),
)
HIDDEN = "This case is hidden. Run the check in your own notebook: it shows its cases, which are like this one."
GROUP_NAMES = {
    "worked": "worked example",
    "random": "random cases",
    "properties": "properties",
    "edge": "edge cases",
    "unchanged": "inputs unchanged",
}


@dataclass(frozen=True)
class Broken:
    """A property that does not hold: what it claims, and how it failed."""

    claim: str
    why: str


def not_written(exercise: Exercise, got: Outcome) -> Report:
    """Return the report of a stub, or of a function that calls one."""
    words = "Not written yet. Fill in the cell above and run this check again."
    if got.failure and got.failure.function != got.failure.entered:
        words = f"It calls {got.failure.function}, which is not written yet: write that one first."
    return write_report(exercise.name, 0.0, exercise.points, "not_written", [("to do", words)])


def first_failure(
    exercise: Exercise, trials: list[Trial], broken: dict[str, Broken], groups: dict[str, bool], reveal: bool
) -> list[tuple[str, str]]:
    """Return labelled lines that explain the first check that failed, and name the inputs that were changed.

    A changed input is often why the values are wrong, so it is named whatever failed first. Without ``reveal`` nothing
    that a submission said about a hidden case is repeated: it could be the case itself. The names of inputs are public.
    """
    group = next(group for group, passed in groups.items() if not passed)
    first = [] if group == "unchanged" else _explained(exercise, trials, broken, group, reveal)
    return first + _changed_inputs(trials)


def _explained(
    exercise: Exercise, trials: list[Trial], broken: dict[str, Broken], group: str, reveal: bool
) -> list[tuple[str, str]]:
    label = GROUP_LABELS[group]
    if group == "properties":
        first = next(iter(broken.values()))
        return [(label, f"{first.claim} {first.why if reveal else 'It does not hold for what you return.'}")]
    trial = next(trial for trial in trials if trial.case.group == group and not trial.right)
    found = verdict(exercise, trial.got, trial.expected, trial.case.inputs)
    assert found is not None
    if group != "worked" and not reveal:
        return [(label, hidden_headline(found.headline)), ("", HIDDEN)]
    lines = [(label, found.headline)]
    if found.detail:
        lines.append(("", found.detail))
    shown = show_inputs(trial.case.inputs)
    return [*lines, ("", f"for {shown}")] if shown else lines


def _changed_inputs(trials: list[Trial]) -> list[tuple[str, str]]:
    changed = next((trial.got.changed for trial in trials if trial.got.changed), ())
    words = f"Your function changes its input {' and '.join(changed)}. Work on a copy, or build a new array."
    return [(GROUP_LABELS["unchanged"], words)] if changed else []


def how_it_passed(exercise: Exercise, trials: list[Trial]) -> tuple[str, str]:
    """Return the line of a submission that is right, with all that was tried."""
    counts = (
        (sum(trial.case.group == "random" for trial in trials), "random case", "random cases"),
        (len(exercise.properties), "property", "properties"),
        (sum(trial.case.group == "edge" for trial in trials), "edge case", "edge cases"),
    )
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return ("all right", ", ".join(["worked example", *parts, "inputs unchanged"]))


def still_right(groups: dict[str, bool]) -> str:
    """Return which groups of checks passed."""
    return ", ".join(GROUP_NAMES[group] for group, passed in groups.items() if passed)


def hidden_headline(headline: str) -> str:
    """Return the kind of a failure alone, without any word that comes from the submission.

    Examples
    --------
    >>> hidden_headline("wrong values in result 1 of 2 (shape (3,) is right)")
    'wrong values'
    >>> hidden_headline("your code raises IndexError")
    'your code raises IndexError'
    >>> hidden_headline("your code raises Secret42")
    'your code raises an exception'
    """
    kind = headline.removeprefix("your code raises ")
    if kind != headline:
        known = isinstance(getattr(builtins, kind, None), type) or kind == "ProcessEnded"
        return headline if known else "your code raises an exception"
    return next((known for known in KINDS if headline.startswith(known)), "wrong")


def printed(trials: list[Trial], reveal: bool) -> list[tuple[str, str]]:
    """Return what the submission printed or warned in the case that is reported."""
    wrong = next((trial for trial in trials if not trial.right), None)
    if wrong is None or not (reveal or wrong.case.group == "worked"):
        return []
    text = wrong.got.printed
    lines = text.strip().split("\n")[:6]
    return [("it printed", "\n".join(lines))] if text.strip() else []
