"""What a folder of submissions, a gradebook and a machine may do, and what a course must make of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import nbformat
import pytest
from click.testing import CliRunner
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde

from mlcourse.cli import main
from mlcourse.grading import companions
from mlcourse.grading.course import batch, pool, writer
from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.execute import IsolatedExecute
from mlcourse.grading.course.job import failed, grade_job
from mlcourse.grading.course.lock import CourseError, locked
from mlcourse.grading.course.restore import RestoreCells, read_submission_text
from mlcourse.grading.course.tasks import Job, Setting
from mlcourse.grading.notebook import NotebookError, read_notebook
from mlcourse.grading.sandbox.limits import Limits
from tests.test_release import solved
from tools.release import open_course, release, succeed
from tools.sample import SAMPLES, fill, marks

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


def change(course, student="eve"):
    """Hand in a notebook whose r2_score is wrong."""
    path = handed(course, student) / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "r2_score":
            cell.source = "def r2_score(y, predictions):\n    return 7.0"
    nbformat.write(notebook, path)


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
    assert ("timestamp.txt could not be read" in results["eve"].message) == (what in (_time_without_end, _huge_time))
    assert [in_gradebook(course, student) for student in STUDENTS] == [36, 36, 36]


def empty_cells(number):
    """Return a notebook of nothing but empty cells, as its JSON says."""
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": None}
    return {"cells": [cell] * number, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def sheets(number):
    """Return the same as nbformat 3 has it."""
    cell = {"cell_type": "code", "input": "", "metadata": {}, "outputs": [], "language": "python"}
    halves = [{"cells": [cell] * (number // 2)}, {"cells": [cell] * (number - number // 2)}]
    return {"worksheets": halves, "metadata": {}, "nbformat": 3, "nbformat_minor": 0}


@pytest.mark.parametrize("made", [empty_cells, sheets])
def test_a_notebook_with_too_many_cells_is_refused_before_it_is_read(course, made):
    path = handed(course) / f"{NAME}.ipynb"
    path.write_text(json.dumps(made(50_001)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlcourse.grading.course.restore.nbformat.reads", _never)
        results = {"eve": grade_job(Setting(NAME, 3), Job("eve", path.name, path.read_bytes())).result}
    results |= {name: item for name, item in grade(course).items() if name != "eve"}
    words = f"{NAME}.ipynb has 50,001 cells, more than 2,000. Delete those that are not needed, and hand it in again."
    assert (results["eve"].status, results["eve"].message) == ("failed", words)
    assert {results[name].score for name in ("ada", "zoe")} == {36}
    assert in_gradebook(course, "eve") == 0
    with pytest.raises(NotebookError, match="has 50,001 cells, more than 2,000"):
        read_notebook(path)


def _never(*anything, **more):
    raise AssertionError("this takes minutes")


def test_nbgrader_refuses_too_many_cells_as_well_and_a_large_notebook_is_read():
    about = {"nbgrader": {"notebook": NAME, "assignment": NAME, "student": "eve", "db_url": "sqlite:///none"}}
    with pytest.raises(ValueError, match="has 2,001 cells, more than 2,000"):
        RestoreCells().preprocess(nbformat.from_dict(empty_cells(2_001)), about)
    assert len(read_submission_text(json.dumps(empty_cells(2_000)).encode(), f"{NAME}.ipynb").cells) == 2_000


def other_points(course, points):
    """Release anew with other points, as an instructor does who changes them in source/."""
    path = course / "source" / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade_id") in points:
            about["points"] = points[about["grade_id"]]
    nbformat.write(notebook, path)
    succeed(open_course(course).generate_assignment(NAME, force=True), "The release")


def points_in(course, student):
    return {mark.cell: (mark.score, mark.max_score) for mark in marks(course, NAME, student)}


def test_points_are_those_of_the_gradebook_in_the_report_too(course):
    change(course)
    break_notebook(course, "zoe")
    assert grade(course)["ada"].score == 36
    other_points(course, {"check_r2_score": 12, "check_fit_ridge": 3.5, "check_reduce_loss": 0})
    results = grade(course)  # what was graded with other points is no result of before
    ada, eve, zoe = results["ada"], results["eve"], results["zoe"]
    assert [(item.score, item.max_score) for item in (ada, eve, zoe)] == [(33.5, 33.5), (21.5, 33.5), (0, 33.5)]
    assert "12 of 12 points" in next(report.feedback for report in ada.exercises if report.name.endswith("r2_score"))
    for item in (ada, eve):
        found = points_in(course, item.student)
        for report in item.exercises:
            cell = f"check_{report.name.partition('.')[2]}"
            assert found[cell] == (report.score, report.max_score)
    graded = points_in(course, "ada")
    assert (graded["check_r2_score"], graded["check_fit_ridge"]) == ((12, 12), (3.5, 3.5))
    assert in_gradebook(course, "zoe") == 0


def test_nbgrader_gives_the_same_share_of_the_points_of_the_gradebook(course):
    sample = handed(course, "sample")
    sample.mkdir(parents=True)
    nbformat.write(fill(course / "release" / NAME / f"{NAME}.ipynb", SAMPLES / f"{NAME}.py"), sample / f"{NAME}.ipynb")
    other_points(course, {"check_r2_score": 12, "check_fit_ridge": 3.5})
    api = open_course(course, isolation="none")
    for student in ("ada", "sample"):
        succeed(api.autograde(NAME, student), student)
    by_nbgrader = {student: points_in(course, student) for student in ("ada", "sample")}
    assert by_nbgrader["ada"]["check_r2_score"] == (12, 12)
    assert by_nbgrader["sample"]["check_r2_score"] == (10, 12)  # five sixths, as of six
    graded = nbformat.read(course / "autograded" / "sample" / NAME / f"{NAME}.ipynb", as_version=4)
    shown = [str(output) for cell in graded.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("10 of 12 points" in text for text in shown)
    grade(course, again=True)
    assert {student: points_in(course, student) for student in by_nbgrader} == by_nbgrader


def forge(course, student):
    """Hand in a check of one's own, and a copy of the real one below everything."""
    path = handed(course, student) / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    notebook.cells[ids.index("r2_score")].source = "def r2_score(y, predictions):\n    return 7.0"
    check = notebook.cells[ids.index("check_r2_score")].source
    notebook.cells.insert(ids.index("check_r2_score"), nbformat.v4.new_code_cell("def check(*any):\n    return 6.0"))
    notebook.cells.append(nbformat.v4.new_code_cell(check))
    nbformat.write(notebook, path)


def test_a_copy_of_a_check_lets_no_submission_write_its_own_mark(course):
    forge(course, "eve")
    results = grade(course)
    assert results["eve"].score == in_gradebook(course, "eve") == 30
    succeed(open_course(course, isolation="none").autograde(NAME, "eve", force=True), "eve")
    assert points_in(course, "eve")["check_r2_score"] == (0, 6)


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


def no_machine(setting, jobs, workers):
    """Fail as a worker without bubblewrap does."""
    for job in jobs:
        yield failed(setting, job.student, "It could not be graded on the cluster: no bubblewrap", ours=True)


def written(course, student):
    """Return what the gradebook and the folder of graded notebooks hold of a student."""
    with opened(course) as gradebook:
        try:
            found = gradebook.find_submission_notebook(NAME, NAME, student)
        except MissingEntry:
            return None
        rows = {row.name: (row.auto_score, row.manual_score, row.needs_manual_grade) for row in found.grades}
        place = course / "autograded" / student / NAME
        return rows, {path.name: path.read_bytes() for path in place.iterdir()} if place.is_dir() else None


def test_a_failure_of_the_machine_leaves_what_was_written(course):
    shutil.rmtree(handed(course, "zoe"))
    grade(course)
    before = written(course, "ada"), written(course, "eve")
    shutil.copytree(handed(course), handed(course, "zoe"))
    results = grade(course, no_machine, again=True)
    assert (written(course, "ada"), written(course, "eve")) == before
    assert {item.status for item in results.values()} == {"failed"}
    stays = {name: "The marks of before stay in the gradebook" in item.message for name, item in results.items()}
    assert stays == {"ada": True, "eve": True, "zoe": False}
    assert written(course, "zoe") is None


@pytest.mark.parametrize("step", ["Save", "Penalties"])
def test_an_error_while_a_result_is_saved_takes_everything_back(course, monkeypatch, step):
    grade(course)
    before = written(course, "eve")
    before_it = getattr(writer, step)

    class Fails(before_it):
        def preprocess(self, nb, resources):
            super().preprocess(nb, resources)
            raise RuntimeError("the disk is gone")

    monkeypatch.setattr(writer, step, Fails)
    change(course, "eve")
    shutil.copytree(handed(course), handed(course, "new"))
    results = grade(course)
    assert results["eve"].status == "failed"
    assert "The grader itself failed (RuntimeError: the disk is gone)" in results["eve"].message
    assert written(course, "eve") == before
    assert written(course, "new") is None


def test_a_worker_that_always_dies_leaves_what_was_written(course, monkeypatch):
    grade(course)
    before = written(course, "eve")
    monkeypatch.setattr(pool, "grade_early", _dies)
    results = grade(course, pool.grade_here, again=True, students="eve")
    assert "own process ended" in results["eve"].message
    assert written(course, "eve") == before


def _dies(setting, job):
    os._exit(1)


def test_what_cannot_be_read_has_no_points(course):
    grade(course)
    break_notebook(course)
    results = grade(course)
    assert results["eve"].status == "failed"
    assert in_gradebook(course, "eve") == 0
    assert not (course / "autograded" / "eve" / NAME).exists()


QUESTION = "explain_step_size"


def by_hand(course, student, score=None, needed=False):
    """Give points for the question as a person does, if any, and return them and whether a person must look."""
    with opened(course) as gradebook:
        found = gradebook.find_grade(QUESTION, NAME, NAME, student)
        if score is not None:
            found.manual_score, found.needs_manual_grade = score, needed
            gradebook.db.commit()
        return found.manual_score, found.needs_manual_grade


def test_marks_by_hand_are_looked_at_again_once_nothing_can_be_read(course):
    grade(course)
    by_hand(course, "eve", 4.5)
    break_notebook(course)
    grade(course)
    assert by_hand(course, "eve") == (4.5, True)
    grade(course)
    assert by_hand(course, "eve") == (4.5, True)
    by_hand(course, "eve", 1.0)
    grade(course)
    assert by_hand(course, "eve") == (1.0, False)
    with opened(course) as gradebook:  # what nobody has given points for, nobody has to look at
        assert not gradebook.find_grade("check_r2_score", NAME, NAME, "eve").needs_manual_grade


@pytest.mark.parametrize("when", ["at first", "later"])
def test_table_and_gradebook_agree_where_the_graded_notebook_cannot_be_written(course, when):
    if when == "later":
        grade(course)
        change(course)
        shutil.move(course / "autograded" / "eve", course / "kept")
        before = in_gradebook(course, "eve")
    (course / "autograded").mkdir(exist_ok=True)
    (course / "autograded" / "eve").write_text("no folder can be here", encoding="utf-8")
    results = grade(course)
    assert results["eve"].status == "failed"
    assert "The result could not be written into" in results["eve"].message
    assert in_gradebook(course, "eve") == (before if when == "later" else None)
    assert results["ada"].score == in_gradebook(course, "ada") == 36


def test_an_error_of_the_gradebook_brings_the_graded_notebook_back(course, monkeypatch):
    grade(course)
    before = written(course, "eve")
    change(course)
    with monkeypatch.context() as patch:
        patch.setattr(writer.WithoutCommit, "commit", _full)
        results = grade(course)
    assert "could not be written into" in results["eve"].message
    assert written(course, "eve") == before
    assert sorted(path.name for path in (course / "autograded" / "eve").iterdir()) == [NAME]
    assert grade(course)["eve"].score == in_gradebook(course, "eve") == 30


def _full(self):
    raise OSError(errno.ENOSPC, "No space left on device")


HOLDS = """
import pathlib, sys, time
from mlcourse.grading.course.lock import locked
lock = locked(pathlib.Path(sys.argv[1]), *sys.argv[2:])
print("held", flush=True)
time.sleep(600)
"""


def run(course, *more):
    command = ["grade", "--course", str(course), "--assignment", NAME, "--quiet", "--isolation", "none", "--jobs", "1"]
    return CliRunner().invoke(main, [*command, *more])


def test_two_runs_at_once_are_refused_and_a_killed_one_hinders_nobody(course):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(course)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        refused = run(course)
        other.kill()
    assert refused.exit_code == 2
    assert isinstance(refused.exception, SystemExit)
    assert f"Another `mlcourse grade` is at work in {course}. Wait until it has ended" in refused.output
    assert in_gradebook(course, "ada") is None
    assert {item.score for item in grade(course).values()} == {36}


@contextlib.contextmanager
def held(course, *program):
    """Have another process hold the lock of a course."""
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(course), *program], stdout=PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield other.pid
        other.kill()


def test_nbgrader_autograde_waits_for_nobody_and_says_who_is_at_work(course):
    grade(course)
    before, marks_before = written(course, "eve"), points_in(course, "eve")
    change(course)
    (handed(course) / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC", encoding="utf-8")
    with held(course) as process:
        done = open_course(course, isolation="none").autograde(NAME, "eve", force=True)
    assert not done["success"]
    words = f"Another `mlcourse grade` is at work in {course}. Wait until it has ended (process {process} on "
    assert words in done["log"]
    assert (written(course, "eve"), points_in(course, "eve")) == (before, marks_before)
    with opened(course) as gradebook:
        assert gradebook.find_submission(NAME, "eve").timestamp is None


def test_mlcourse_grade_says_that_nbgrader_is_at_work(course):
    with held(course, "nbgrader autograde"):
        refused = run(course)
    assert refused.exit_code == 2
    assert f"Another `nbgrader autograde` is at work in {course}. Wait until it has ended" in refused.output
    assert in_gradebook(course, "ada") is None


def test_one_nbgrader_autograde_holds_the_lock_for_all_its_students_and_gives_it_back(course, monkeypatch):
    refused = []
    original = IsolatedExecute.grade

    def meanwhile(self, *what):
        with pytest.raises(CourseError, match="Another `nbgrader autograde` is at work"):
            locked(course)
        refused.append(what[1])
        return original(self, *what)

    monkeypatch.setattr(IsolatedExecute, "grade", meanwhile)
    api = open_course(course, isolation="none")
    api.coursedir.assignment_id, api.coursedir.student_id = NAME, "*"
    for number in (1, 2):  # formgrader's process grades again and again
        converter = Autograde(coursedir=api.coursedir, parent=api, force=True)
        converter.start()
        assert refused == [NAME] * 3 * number
        assert {in_gradebook(course, student) for student in STUDENTS} == {36}
    grade(course)


@pytest.mark.parametrize("how", ["EXCLUSIVE", "IMMEDIATE"])
def test_a_gradebook_that_another_program_holds_is_said_in_a_sentence(course, how):
    """The one holds off every reader, the other only those who write."""
    with contextlib.closing(sqlite3.connect(course / "gradebook.db", isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        held = run(course, "--student", "ada")
    assert held.exit_code == 2
    assert isinstance(held.exception, SystemExit)
    assert "gradebook.db cannot be used: database is locked. If another program holds it" in held.output
    assert {item.score for item in grade(course).values()} == {36}


def test_a_gradebook_that_is_none_is_said_in_a_sentence(course):
    (course / "gradebook.db").write_bytes(b"no database" * 1_000)
    done = run(course)
    assert done.exit_code == 2
    assert "cannot be used: file is not a database" in done.output


def test_a_gradebook_that_was_put_back_is_filled_again(course):
    kept = course / "kept.db"
    shutil.copy(course / "gradebook.db", kept)
    grade(course)
    shutil.copy(kept, course / "gradebook.db")
    assert in_gradebook(course, "eve") is None
    assert grade(course)["eve"].score == in_gradebook(course, "eve") == 36


def test_marks_that_another_program_wrote_are_not_taken_for_those_of_the_record(course):
    grade(course)
    with opened(course) as gradebook:
        gradebook.find_grade("check_r2_score", NAME, NAME, "eve").auto_score = 1
        gradebook.db.commit()
    assert in_gradebook(course, "eve") == 31
    assert grade(course)["eve"].score == in_gradebook(course, "eve") == 36


def test_a_graded_notebook_that_is_gone_is_written_again(course):
    grade(course)
    path = course / "autograded" / "eve" / NAME / f"{NAME}.ipynb"
    path.unlink()
    grade(course)
    assert path.is_file()


def test_what_a_person_has_graded_is_not_graded_again(course):
    grade(course)
    by_hand(course, "eve", 4.5)
    assert {item.score for item in grade(course, nothing_to_do).values()} == {36}
    assert by_hand(course, "eve") == (4.5, False)


def nothing_to_do(setting, jobs, workers):
    raise AssertionError("everything was graded already")


def test_other_limits_are_another_grading(course):
    grade(course)
    graded = []

    def counts(setting, jobs, workers):
        for done in here(setting, jobs, workers):
            graded.append(done.result.student)
            yield done

    grade(course, counts)
    assert graded == []
    grade(course, counts, limits=Limits(cell_seconds=7))
    assert sorted(graded) == sorted(STUDENTS)


def test_a_student_whose_name_is_no_text_fails_in_a_sentence(course, tmp_path):
    shutil.copytree(handed(course).parent, course / "submitted" / os.fsdecode(b"x\xff"))
    files = {name: tmp_path / f"report.{name}" for name in ("json", "junit", "markdown", "csv")}
    done = run(course, *(part for name, path in files.items() for part in (f"--{name}", str(path))))
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    shown = " ".join(files["markdown"].read_text(encoding="utf-8").split())
    assert "is not UTF-8, so that the gradebook cannot hold it; rename it" in shown
    assert "Please report" not in done.output + shown
    assert all(path.stat().st_size for path in files.values())
    assert [in_gradebook(course, student) for student in STUDENTS] == [36, 36, 36]
