"""The batch: every accident and the honest submissions between them, graded once a session."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from robustness.accident import ATTENTION, LINEAR, Accident
from robustness.cases import ACCIDENTS
from robustness.course import SEED, Batch, Course, student_of, with_honest

SUBMISSIONS = {
    name: with_honest([accident for accident in ACCIDENTS if accident.assignment == name], name)
    for name in (LINEAR, ATTENTION)
}
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Skip the tests that need isolation where it is missing, and say what to install."""
    if shutil.which("bwrap") is not None:
        return
    reason = "bubblewrap is missing: install it with 'apt install bubblewrap' (Debian, Ubuntu) or your own package tool"
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("isolation"):
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Graded:
    """A graded course: the folder, the results of each assignment, and who handed in what."""

    course: Course
    batches: dict[str, Batch]
    students: dict[tuple[str, str], str]  # (assignment, key of the submission) -> student


def hand_in_everything(course: Course, *, backwards: bool = False) -> dict[tuple[str, str], str]:
    """Write all submissions, named in their order or against it, and return the students' ids."""
    students = {}
    for assignment, submissions in SUBMISSIONS.items():
        for position, (key, accident) in enumerate(submissions):
            place = len(submissions) - position if backwards else position
            students[assignment, key] = student_of(key, accident, place)
            course.hand_in(students[assignment, key], accident)
    return students


def grade_everything(course: Course, students: dict[tuple[str, str], str], jobs: int) -> Graded:
    """Grade all assignments."""
    return Graded(course, {name: course.grade(name, jobs=jobs) for name in SUBMISSIONS}, students)


@pytest.fixture(scope="session")
def fresh_course(tmp_path_factory) -> Course:
    """Return a course in which nobody has handed in yet."""
    return Course(tmp_path_factory.mktemp("robustness") / "fresh")


@pytest.fixture(scope="session")
def graded(fresh_course, tmp_path_factory) -> Graded:
    """Return the course in which everything happened, graded by two workers."""
    course = fresh_course.copy_to(tmp_path_factory.mktemp("robustness") / "batch")
    return grade_everything(course, hand_in_everything(course), jobs=2)


@pytest.fixture(scope="session")
def graded_backwards(fresh_course, graded, tmp_path_factory) -> Graded:
    """Return the same submissions with the same seed, named in reverse, graded by one worker."""
    course = fresh_course.copy_to(tmp_path_factory.mktemp("robustness") / "backwards")
    shutil.copy(graded.course.folder / SEED, course.folder / SEED)
    return grade_everything(course, hand_in_everything(course, backwards=True), jobs=1)


@pytest.fixture
def small_course(fresh_course, tmp_path) -> Course:
    """Return a course of one's own."""
    return fresh_course.copy_to(tmp_path / "course")


ALL: list[tuple[str, str, Accident]] = [
    (assignment, key, accident) for assignment, submissions in SUBMISSIONS.items() for key, accident in submissions
]
