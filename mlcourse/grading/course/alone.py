"""Lets `nbgrader autograde` take the lock of its course, as `mlcourse grade` does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException

from mlcourse.grading.course.lock import CourseError, locked


class OneAtATime(NotebookExporter):
    """nbgrader's exporter, which has its converter work under the lock.

    nbgrader makes the exporter once a run, right before it begins with the first submission. Its own hooks come later,
    once for each submission, when the graded one of before is deleted already; and no error of theirs stops it.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if isinstance(self.parent, Autograde):
            self.parent.convert_notebooks = partial(convert_alone, self.parent)


def convert_alone(converter: Autograde) -> None:
    """Grade all submissions of one run, or say who else is grading, before anything is changed.

    Raises
    ------
    NbGraderException
        As nbgrader ends a run, if another grader is at work.
    """
    try:
        lock = locked(Path(converter.coursedir.root).resolve(), "nbgrader autograde")
    except CourseError as error:
        converter.log.error("%s", error)
        raise NbGraderException(str(error)) from error
    try:
        type(converter).convert_notebooks(converter)
    finally:
        lock.release()
