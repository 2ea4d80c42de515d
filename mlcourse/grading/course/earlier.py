"""By what a later run knows that a submission was graded as it is now, and what was found then."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

from mlcourse.grading.course.layout import Handed
from mlcourse.grading.report import Report
from mlcourse.grading.results import SubmissionResult


def source_of(kind: type) -> str:
    """Return the text of a class that a course brings along; its name where there is no text."""
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return kind.__qualname__


def fingerprint_of(handed: Handed, *decides: Any) -> str:
    """Return by what a later run knows that a submission, and what else decides its marks, has not changed since."""
    digest = hashlib.sha256(handed.content)
    for name, content in handed.files()[0].items():
        digest.update(repr((name, len(content))).encode() + content)
    digest.update(repr((str(handed.stamp), *decides)).encode())
    return digest.hexdigest()


def result_from(entry: dict[str, Any]) -> SubmissionResult:
    """Return a result from its entry in a file."""
    reports = [
        Report(item["name"], item["score"], item["max_score"], item["status"], item["feedback"], item["misconception"])
        for item in entry["exercises"]
    ]
    return SubmissionResult(entry["student"], entry["status"], entry["seconds"], entry["message"], reports)
