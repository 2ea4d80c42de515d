"""Honest submissions get the same marks as from stock nbgrader, with its own Execute and the check in the notebook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.course import hand_in, hand_in_honest, released, solved
from nbgrader.api import Gradebook

from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.course.batch import Order, grade_course
from tools.release import release

pytestmark = [
    pytest.mark.isolation,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="install bubblewrap: apt-get install bubblewrap"),
]
# A plain course: nbgrader's own steps, and how this course marks its solutions.
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "mlcourse"
c.Execute.timeout = 300
"""


def half_solved(course: Path, assignment: str):
    """Return a notebook with every second answer of the worked solutions."""
    notebook, full = released(course, assignment), solved(course, assignment)
    number = 0
    for cell, answer in zip(notebook.cells, full.cells, strict=True):
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution") and not about.get("grade"):
            number += 1
            if number % 2:
                cell.source = answer.source
    return notebook


@pytest.fixture(scope="module", params=chapters())
def handed_in(request, tmp_path_factory) -> tuple[Path, str]:
    """Return a course with honest submissions of one assignment: worked, empty, half done, the sample."""
    course = tmp_path_factory.mktemp(f"stock-{request.param}") / "course"
    release(course, names=[request.param])
    hand_in_honest(course, request.param, "nothing secret")
    hand_in(course, "honest-half", request.param, half_solved(course, request.param))
    return course, request.param


def gradebook(course: Path, assignment: str) -> dict[str, dict[str, tuple[float | None, bool]]]:
    """Return of every student and cell the automatic mark, and whether a person must look."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        return {
            submission.student.id: {
                grade.name: (grade.auto_score, grade.needs_manual_grade)
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in book.assignment_submissions(assignment)
        }


def test_honest_marks_are_those_of_stock_nbgrader(handed_in, tmp_path):
    course, assignment = handed_in
    theirs = tmp_path / "stock"
    shutil.copytree(course, theirs)
    (theirs / "nbgrader_config.py").write_text(STOCK, encoding="utf-8")
    command = [sys.executable, "-m", "nbgrader", "autograde", assignment]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command, cwd=theirs, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    grade_course(Order(course, assignment, seed=20_261_126, workers=2, silent=True))
    stock, ours = gradebook(theirs, assignment), gradebook(course, assignment)
    assert len(stock) >= 3
    assert any(score for cells in stock.values() for score, _ in cells.values()), "stock nbgrader gave no mark at all"
    assert ours == stock
