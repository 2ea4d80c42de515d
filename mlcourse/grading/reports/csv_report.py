"""Results as CSV, one row per student, for a learning management system or a spreadsheet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from mlcourse.grading.reports.files import write_whole
from mlcourse.grading.reports.visible import one_line, visible
from mlcourse.grading.results import CourseResult, SubmissionResult

HEAD = ["student", "status", "score", "max_score"]
# What makes a spreadsheet calculate, with the wide forms that some take for the same.
FORMULA = ("=", "+", "-", "@", "\t", "＝", "＋", "－", "＠")


def write_csv(result: CourseResult, path: Path | str) -> None:
    """Write the marks of every student, with one column per exercise.

    An exercise that a submission has no verdict for is an empty cell. Text that a spreadsheet would take for a formula
    is preceded by an apostrophe.
    """
    names = list(dict.fromkeys(report.name for submission in result.submissions for report in submission.exercises))
    # newline="" leaves the ends of lines to the csv module.
    buffer = io.StringIO(newline="")
    # All text is quoted: a name with a semicolon is one cell also where spreadsheets separate cells by semicolons.
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([*HEAD, *(_text(name) for name in names)])
    writer.writerows(_row(submission, names) for submission in result.submissions)
    write_whole(path, buffer.getvalue().encode("utf-8"))


def _row(submission: SubmissionResult, names: list[str]) -> list[str | float]:
    scores = {report.name: _number(report.score) for report in submission.exercises}
    return [
        _text(submission.student),
        submission.status,
        _number(submission.score),
        _number(submission.max_score),
        *(scores.get(name, "") for name in names),
    ]


def _text(text: str) -> str:
    return "'" + visible(text).replace("\n", "\\n") if text.startswith(FORMULA) else one_line(text)


def _number(value: float) -> float:
    """Return a mark as a person would write it: 3 and not 3.0, 0.3 and not 0.30000000000000004."""
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded
