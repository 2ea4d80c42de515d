"""What a folder of submissions, a gradebook and a machine may do, and what a course must make of it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from mlcourse.grading import companions
from mlcourse.grading.course import batch
from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.job import grade_job
from tests.test_release import solved
from tools.release import release

NAME = "linear_regression"
STUDENTS = ("ada", "eve", "zoe")


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Return a course in which three students handed in the worked solution."""
    folder = tmp_path_factory.mktemp("odd") / "course"
    (notebook,) = release(folder, names=[NAME])
    for student in STUDENTS:
        place = folder / "submitted" / student / NAME
        place.mkdir(parents=True)
        nbformat.write(solved(notebook), place / f"{NAME}.ipynb")
    return folder


@pytest.fixture
def course(released, tmp_path):
    return shutil.copytree(released, tmp_path / "course")


def here(setting, jobs, workers):
    """Grade in this process: quicker than a worker of its own."""
    for job in jobs:
        yield grade_job(setting, job)


def grade(course, pool=here, **options):
    """Return the results by the names of the students."""
    options = {"isolation": "none", "silent": True} | options
    result = grade_course(Order(course, NAME, 3, **options), pool)
    return {item.student: item for item in result.submissions}


def opened(course):
    return Gradebook(f"sqlite:///{course / 'gradebook.db'}")


def in_gradebook(course, student):
    """Return the points that the gradebook has for a student, and None where it knows no submission."""
    with opened(course) as gradebook:
        return {item.student.id: item.score for item in gradebook.assignment_submissions(NAME)}.get(student)


def handed(course, student="eve"):
    return course / "submitted" / student / NAME


def break_notebook(course, student="eve"):
    (handed(course, student) / f"{NAME}.ipynb").write_text("{", encoding="utf-8")


def _time_without_end(folder: Path) -> None:
    (folder / "timestamp.txt").write_text("9" * 40 + "h-", encoding="utf-8")


def _huge_time(folder: Path) -> None:
    with (folder / "timestamp.txt").open("wb") as file:
        file.truncate(100_000_000_000)


def _nested(folder: Path) -> None:
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(30):  # by steps: the whole path is longer than any path may be
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        Path("data.csv").touch()
    finally:
        os.fchdir(before)
        os.close(before)


def _many_rooms(folder: Path) -> None:
    (folder / "/".join("r" * 300)).mkdir(parents=True)


@pytest.mark.parametrize("what", [_time_without_end, _huge_time, _nested, _many_rooms])
def test_whatever_lies_beside_a_notebook_all_are_graded(course, what):
    what(handed(course))
    results = grade(course)
    assert {name: (item.status, item.score) for name, item in results.items()} == dict.fromkeys(
        STUDENTS, ("graded", 36)
    )
    assert ("left out" in results["eve"].message) == (what in (_nested, _many_rooms))
    assert [in_gradebook(course, student) for student in STUDENTS] == [36, 36, 36]


def test_a_folder_that_is_closed_is_left_out_and_named(course, monkeypatch):
    closed = handed(course) / "closed"
    closed.mkdir()
    (handed(course) / "open.csv").write_text("1", encoding="utf-8")
    scan = os.scandir

    def refuse(path):
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files, (words,) = companions.files_beside(handed(course))
    assert list(files) == ["open.csv"]
    assert "closed" in words


@pytest.mark.parametrize("call", ["is_symlink", "is_file", "is_dir"])
def test_a_file_whose_nature_nobody_may_see_ends_nothing(course, monkeypatch, call):
    inner = handed(course) / "inner"
    inner.mkdir()
    (inner / "data.csv").write_text("1", encoding="utf-8")
    before = getattr(Path, call)

    def refuse(path):
        if "inner" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return before(path)

    monkeypatch.setattr(Path, call, refuse)
    assert {item.score for item in grade(course).values()} == {36}


def test_a_submission_that_is_closed_fails_alone(course, monkeypatch):
    before = os.listdir

    def refuse(path="."):
        if str(path) == str(handed(course)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return before(path)

    monkeypatch.setattr(os, "listdir", refuse)
    results = grade(course)
    assert [results[name].status for name in STUDENTS] == ["graded", "failed", "graded"]
    assert "cannot be read: Permission denied" in results["eve"].message


@pytest.mark.parametrize("where", ["fingerprint_of", "files_beside"])
def test_an_error_that_nobody_foresaw_ends_nothing(course, monkeypatch, where):
    module = batch if where == "fingerprint_of" else batch.submissions.__globals__
    before = getattr(batch, where) if where == "fingerprint_of" else module[where]

    def fail(first, *more):
        if "eve" in str(getattr(first, "folder", first)):
            raise RuntimeError("nobody foresaw this")
        return before(first, *more)

    if where == "fingerprint_of":
        monkeypatch.setattr(batch, where, fail)
    else:
        monkeypatch.setitem(module, where, fail)
    assert {item.score for item in grade(course).values()} == {36}
    assert {item.score for item in grade(course).values()} == {36}
