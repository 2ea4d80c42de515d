"""One sample submission, graded by nbgrader: what an instructor will see.

It lives in its own course folder, ``_build/sample``, so that real submissions and marks are never touched.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from sqlalchemy.exc import SAWarning
from tabulate import tabulate

from mlcourse.grading.course.export import SafeCsvExport
from mlcourse.grading.report import points
from mlcourse.grading.sandbox import missing_isolation
from tools.release import ROOT, ReleaseError, open_course, release, succeed

COURSE = ROOT / "_build" / "sample"
SAMPLES = ROOT / "tests" / "samples"
ASSIGNMENT = "linear_regression"
STUDENT = "sample-student"


@dataclass(frozen=True)
class Mark:
    """The mark of one graded cell; ``score`` is None where a person must grade."""

    cell: str
    score: float | None
    max_score: float


def fill(released: Path, answers: Path) -> Any:
    """Return a released notebook with a student's answers in its cells.

    ``answers`` is a script in percent format; the title of each cell is the ``grade_id`` that it fills.
    """
    notebook = nbformat.read(released, as_version=4)
    written = {
        cell.metadata["title"]: cell.source for cell in jupytext.read(answers).cells if cell.metadata.get("title")
    }
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    unknown = sorted(set(written) - set(cells))
    if unknown:
        raise ReleaseError(f"{answers.name} answers {unknown[0]!r}, a cell that {released.name} does not have.")
    for grade_id, text in written.items():
        cells[grade_id].source = text
    return notebook


def submit(released: Path, answers: Path, course: Path, student: str) -> Path:
    """Put a filled notebook where nbgrader looks for submissions."""
    target = course / "submitted" / student / released.parent.name / released.name
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(fill(released, answers), target)
    return target


def grade(api: NbGraderAPI, assignment: str, student: str) -> None:
    """Autograde one submission and write its feedback, with plain nbgrader."""
    succeed(api.autograde(assignment, student, force=True), f"Grading {student}")
    succeed(api.generate_feedback(assignment, student, force=True), f"The feedback of {student}")


def marks(course: Path, assignment: str, student: str) -> list[Mark]:
    """Return the marks of a submission from the gradebook."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        grades = {grade.name: grade for grade in notebook.grades}
        order = [cell.name for cell in notebook.notebook.grade_cells]
        return [
            Mark(name, None if grades[name].needs_manual_grade else grades[name].score, grades[name].max_score)
            for name in order
        ]


def export(course: Path) -> Path:
    """Write all marks of a course to grades.csv, as `nbgrader export` does."""
    target = course / "grades.csv"
    exporter = SafeCsvExport()
    exporter.to = str(target)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        exporter.export(gradebook)
    return target


def table(found: list[Mark]) -> str:
    """Return marks as a table for a terminal."""
    rows = [
        [mark.cell, "a person grades it" if mark.score is None else points(mark.score), points(mark.max_score)]
        for mark in found
    ]
    total = sum(mark.score or 0.0 for mark in found)
    rows.append(["total so far", points(total), points(sum(mark.max_score for mark in found))])
    return tabulate(rows, headers=["cell", "points", "of"], disable_numparse=True, colalign=("left", "right", "right"))


def isolation() -> str:
    """Return how to run the sample: isolated where that is possible, and otherwise not, which is then said."""
    lacking = missing_isolation()
    if not lacking:
        return "auto"
    names = ", ".join(item.name for item in lacking)
    print(f"The sample submission, which is this course's own, is graded without isolation: {names} is missing.")
    print("For submissions of others that is not safe. `mlcourse doctor` says how to get it.")
    return "none"


def main() -> None:
    """Release the assignment, submit the sample, grade it, write feedback and export the marks."""
    # nbgrader's own use of its database; nothing that a user could mend.
    warnings.filterwarnings("ignore", category=SAWarning)
    try:
        (released,) = release(COURSE, names=[ASSIGNMENT])
        submit(released, SAMPLES / f"{ASSIGNMENT}.py", COURSE, STUDENT)
        grade(open_course(COURSE, isolation=isolation()), ASSIGNMENT, STUDENT)
        export(COURSE)
    except ReleaseError as error:
        sys.exit(f"sample: {error}")
    (COURSE / "score.txt").write_text(table(marks(COURSE, ASSIGNMENT, STUDENT)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
