"""The words of a report: which check failed first, on what, and what was right."""

from __future__ import annotations

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
GROUP_NAMES = {
    "worked": "worked example",
    "random": "random cases",
    "properties": "properties",
    "edge": "edge cases",
    "unchanged": "inputs unchanged",
}


def not_written(exercise: Exercise, got: Outcome) -> Report:
    """Return the report of a stub, or of a function that calls one."""
    words = "Not written yet. Fill in the cell above and run this check again."
    if got.failure and got.failure.function != got.failure.entered:
        words = f"It calls {got.failure.function}, which is not written yet: write that one first."
    return write_report(exercise.name, 0.0, exercise.points, "not_written", [("to do", words)])


def first_failure(
    exercise: Exercise, trials: list[Trial], broken: dict[str, str], groups: dict[str, bool]
) -> list[tuple[str, str]]:
    """Return labelled lines that explain the first check that failed."""
    group = next(group for group, passed in groups.items() if not passed)
    label = GROUP_LABELS[group]
    if group == "properties":
        return [(label, next(iter(broken.values())))]
    if group == "unchanged":
        changed = next(trial.got.changed for trial in trials if trial.got.changed)
        words = f"Your function changes its input {' and '.join(changed)}. Work on a copy, or build a new array."
        return [(label, words)]
    trial = next(trial for trial in trials if trial.case.group == group and not trial.right)
    found = verdict(exercise, trial.got, trial.expected, trial.case.inputs)
    assert found is not None
    lines = [(label, found.headline)]
    if found.detail:
        lines.append(("", found.detail))
    shown = show_inputs(trial.case.inputs)
    return [*lines, ("", f"for {shown}")] if shown else lines


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


def printed(trials: list[Trial]) -> list[tuple[str, str]]:
    """Return what the submission printed or warned in the case that is reported."""
    text = next((trial.got.printed for trial in trials if not trial.right), "")
    lines = text.strip().split("\n")[:6]
    return [("it printed", "\n".join(lines))] if text.strip() else []
