"""The check cell of a notebook."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mlcourse.exercises import find
from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.evaluate import evaluate, same_parts
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.report import Report, write_report

REPORT_FILE = "MLCOURSE_REPORT_FILE"


def check(name: str, candidate: Any) -> float:
    """Check a submission, print what is right or wrong, and return the points.

    It never raises for a student's mistake. nbgrader reads the number that the cell shows as the mark.

    Parameters
    ----------
    name : str
        Full name of the exercise, such as ``"attention.causal_mask"``.
    candidate : callable, class, or tuple of them
        What the student wrote.

    Returns
    -------
    float
        Points, 0.0 when nothing is written yet.

    Raises
    ------
    KeyError
        If there is no exercise of that name.

    Examples
    --------
    >>> check("linear_regression.r2_score", None)
    r2_score           0 of 6 points
      missing          r2_score must be a function, but it is None.
    0.0
    """
    exercise = find(name)
    if same_parts(candidate, exercise.reference):
        report = refuse_shortcut(exercise, f"mlcourse.{name} itself")
    else:
        report = _evaluate(exercise, candidate)
    print(report.feedback)
    _record(report)
    return float(report.score)


def _evaluate(exercise: Exercise, candidate: Any) -> Report:
    """Evaluate, and turn an error of the grader itself into a report: one exercise must not stop the others."""
    try:
        return evaluate(exercise, candidate)
    except Exception as error:
        words = f"The check itself failed ({type(error).__name__}): {error}"
        return write_report(exercise.name, 0.0, exercise.points, "error", [("no result", words)])


def _record(report: Report) -> None:
    """Append the report to the file that `mlcourse check` reads, when it is the one who runs the notebook."""
    target = os.environ.get(REPORT_FILE)
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report.as_dict()) + "\n")
