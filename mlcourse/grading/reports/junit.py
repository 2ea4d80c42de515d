"""Results as JUnit XML, for the tools of continuous integration."""

from __future__ import annotations

import io
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from mlcourse.grading.report import Report, points
from mlcourse.grading.reports.files import write_whole
from mlcourse.grading.reports.visible import one_line, visible
from mlcourse.grading.results import CourseResult, SubmissionResult


def write_junit(result: CourseResult, path: Path | str) -> None:
    """Write a suite per submission with a case per exercise.

    An exercise without all its points is a failure, with the known mistake as its type, or else its status. A
    submission that is partial or failed has one more case, ``submission``, that is an error.
    """
    document = JUnitXml(one_line(result.assignment))
    for submission in result.submissions:
        document.append(_suite(submission))
    document.update_statistics()
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    write_whole(path, buffer.getvalue())


def _suite(submission: SubmissionResult) -> TestSuite:
    suite = TestSuite(one_line(submission.student))
    suite.add_property("status", submission.status)
    suite.add_property("score", points(submission.score))
    suite.add_property("max_score", points(submission.max_score))
    if submission.status != "graded":
        suite.append(_ungraded(submission))
    # Exercises share one process, and only the whole is timed: each is given an equal part.
    share = submission.seconds / max(1, len(submission.exercises))
    for report in submission.exercises:
        suite.append(_case(submission, report, share))
    return suite


def _case(submission: SubmissionResult, report: Report, seconds: float) -> TestCase:
    case = TestCase(one_line(report.name), one_line(submission.student), round(seconds, 6))
    if report.status != "passed":
        head = f"{points(report.score)} of {points(report.max_score)} points: {report.status.replace('_', ' ')}"
        case.append(_with_text(Failure(head, one_line(report.misconception or report.status)), report.feedback))
    return case


def _ungraded(submission: SubmissionResult) -> TestCase:
    seconds = 0.0 if submission.exercises else round(submission.seconds, 6)
    case = TestCase("submission", one_line(submission.student), seconds)
    head = f"The submission is {submission.status}"
    case.append(_with_text(Error(head, submission.status), submission.message or head))
    return case


def _with_text(entry: Failure | Error, text: str) -> Failure | Error:
    entry.text = visible(text)
    return entry
