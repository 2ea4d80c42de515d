"""The marks of a gradebook as CSV that no spreadsheet calculates with: what ``nbgrader export`` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import CsvExportPlugin

from mlcourse.grading.reports.csv_report import FORMULA
from mlcourse.grading.reports.files import write_whole
from mlcourse.grading.reports.visible import one_line, visible

# fmt: off
COLUMNS = (
    "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email", "raw_score",
    "late_submission_penalty", "score", "max_score",
)
# fmt: on


class SafeCsvExport(CsvExportPlugin):
    """nbgrader's own columns and options; text that a spreadsheet would take for a formula has an apostrophe before it.

    The names of students are theirs to choose, and nbgrader writes them as they are.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write one row for each assignment and student."""
        buffer = io.StringIO(newline="")
        # All text is quoted: a name with a comma or a semicolon is one cell.
        writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self._rows(gradebook))
        write_whole(self.to or "grades.csv", buffer.getvalue().encode("utf-8"))

    def _rows(self, gradebook: Gradebook) -> Iterator[list[str | float]]:
        students, assignments = (list(map(str, wanted)) for wanted in (self.student, self.assignment))
        for assignment in gradebook.assignments:
            for student in gradebook.students:
                if assignment.name in (assignments or [assignment.name]) and student.id in (students or [student.id]):
                    yield _row(gradebook, assignment, student)


def _row(gradebook: Gradebook, assignment: Any, student: Any) -> list[str | float]:
    try:
        submission = gradebook.find_submission(assignment.name, student.id)
        penalty = submission.late_submission_penalty or 0.0
        handed, raw = submission.timestamp, submission.score
    except MissingEntry:  # nothing was handed in
        handed, raw, penalty = "", 0.0, 0.0
    about = (student.id, student.last_name, student.first_name, student.email)
    text = [safe(value) for value in (assignment.name, assignment.duedate, handed, *about)]
    return [*text, raw, penalty, max(0.0, raw - penalty), assignment.max_score]


def safe(value: Any) -> str:
    """Return a value as text that a spreadsheet shows as it is.

    Examples
    --------
    >>> safe("ada"), safe("=cmd|calc"), safe(None)
    ('ada', "'=cmd|calc", '')
    """
    text = "" if value is None else str(value)
    return "'" + visible(text).replace("\n", "\\n") if text.startswith(FORMULA) else one_line(text)
