"""Results as a table in a terminal."""

from __future__ import annotations

from collections import Counter

from tabulate import tabulate

from mlcourse.grading.report import STATUSES, points
from mlcourse.grading.reports.visible import one_line
from mlcourse.grading.results import SUBMISSION_STATUSES, CourseResult, SubmissionResult

HEAD = ["student", "status", "points", "of", "seconds", "exercises", "known mistakes"]
ALIGNED = ("left", "left", "right", "right", "right", "left", "left")
# One letter for each exercise, in the order of the notebook.
LETTERS = {"passed": "."} | {status: status[0] for status in STATUSES if status != "passed"}


def summary_table(result: CourseResult) -> str:
    """Return the table that ends a batch.

    A row per submission; below it why a submission is not graded, the totals, and the points that a person gives.
    """
    if not result.submissions:
        return f"{one_line(result.assignment)}: there are no submissions."
    rows = [_row(submission) for submission in result.submissions]
    parts = [tabulate(rows, headers=HEAD, disable_numparse=True, colalign=ALIGNED)]
    if legend := _legend(result):
        parts.append(legend)
    parts += [
        f"{one_line(each.student)} ({each.status}): {one_line(each.message)}"
        for each in result.submissions
        if each.message
    ]
    parts.append(_totals(result))
    if result.by_hand.sentence:
        parts.append(result.by_hand.sentence)
    if result.provisional:
        parts.append(
            "Provisional: the hidden inputs were drawn for this run alone. The marks that count are those with the "
            "course's own seed."
        )
    return "\n".join(parts)


def _row(submission: SubmissionResult) -> list[str]:
    mistakes = [
        f"{one_line(report.name.rpartition('.')[2])}: {one_line(report.misconception)}"
        for report in submission.exercises
        if report.misconception
    ]
    return [
        one_line(submission.student),
        submission.status,
        points(submission.score),
        points(submission.max_score),
        f"{submission.seconds:.1f}",
        "".join(LETTERS.get(report.status, "?") for report in submission.exercises),
        ", ".join(mistakes),
    ]


def _legend(result: CourseResult) -> str:
    found = {report.status for submission in result.submissions for report in submission.exercises}
    return ", ".join(f"{letter} {status.replace('_', ' ')}" for status, letter in LETTERS.items() if status in found)


def _totals(result: CourseResult) -> str:
    counts = Counter(submission.status for submission in result.submissions)
    number = len(result.submissions)
    each = ", ".join(f"{counts[status]} {status}" for status in SUBMISSION_STATUSES)
    return f"{number} {'submission' if number == 1 else 'submissions'}: {each}"
