"""What `mlcourse grade` does with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.companions import files_named_in
from mlcourse.grading.course.job import grade_job
from mlcourse.grading.course.seed import SEED_FILE, SeedError, course_seed, fresh_seed, read_seed
from mlcourse.grading.course.tasks import Job, Setting
from mlcourse.grading.reports import (
    ReportFileError,
    check_place,
    write_csv,
    write_json,
    write_junit,
    write_markdown,
)
from mlcourse.grading.results import CourseResult
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import IsolationMissingError


class GradeError(Exception):
    """A command that cannot be carried out; the text says why."""


def carry_out(
    notebook: Path | None,
    course: Path | None,
    assignment: str | None,
    seed_file: Path | None,
    isolation: str,
    cell_seconds: float,
    **options: Any,
) -> CourseResult:
    """Grade, write the reports that were asked for, and return the result."""
    if (notebook is None) == (course is None):
        raise GradeError("Name either a notebook, or a course folder with --course DIR --assignment NAME.")
    if isolation == "none":
        click.echo("Isolation is off: the code runs with your rights. For your own work only.", err=True)
    limits = Limits(cell_seconds=cell_seconds)
    reports = {name: options.pop(name) for name in ("json_file", "junit_file", "markdown_file", "csv_file")}
    try:
        for path in filter(None, reports.values()):
            check_place(path)  # before the work, which may take long
        if notebook is not None:
            result = grade_notebook(notebook, assignment, seed_file, limits, isolation)
        else:
            assert course is not None
            result = _course(course, assignment, seed_file, limits, isolation, **options)
        _write(result, reports)
    except (IsolationMissingError, SeedError, ReportFileError) as error:
        raise GradeError(str(error)) from error
    return result


def grade_notebook(
    path: Path, assignment: str | None, seed_file: Path | None, limits: Limits, isolation: str
) -> CourseResult:
    """Grade one notebook; with a seed drawn for this run alone, unless a file or this folder's course has one."""
    from mlcourse.grading.notebook import NotebookError, by_hand_in, find_assignment, read_notebook

    try:
        read = read_notebook(path)
        name = find_assignment(read, path, assignment)
    except NotebookError as error:
        raise GradeError(str(error)) from error
    own = Path(SEED_FILE)
    provisional = seed_file is None and not own.exists()
    seed = fresh_seed() if provisional else read_seed(seed_file or own)
    setting = Setting(name, seed, (), limits, isolation, (str(path.resolve().parent), str(Path.cwd())))
    content = path.read_bytes()
    files, left_out = files_named_in(path.resolve().parent, content.decode("utf-8", "replace"))
    done = grade_job(setting, Job(path.stem, path.name, content, "; ".join(left_out), tuple(files.items())))
    return CourseResult(name, [done.result], provisional, by_hand_in(read))


def _course(
    course: Path,
    assignment: str | None,
    seed_file: Path | None,
    limits: Limits,
    isolation: str,
    students: str,
    jobs: int,
    scheduler: str | None,
    again: bool,
    quiet: bool,
) -> CourseResult:
    from mlcourse.grading.course.batch import Order, grade_course
    from mlcourse.grading.course.writer import CourseError

    if not assignment:
        raise GradeError("Say which assignment: --assignment NAME. There are: " + ", ".join(chapters()) + ".")
    if assignment not in chapters():
        raise GradeError(f"There is no assignment {assignment!r}. There are: {', '.join(chapters())}.")
    if not course.is_dir():
        raise GradeError(f"There is no course folder {course}.")
    course = course.resolve()
    seed = read_seed(seed_file) if seed_file else course_seed(course)
    order = Order(course, assignment, seed, students, jobs, limits, isolation, again, quiet)
    try:
        return grade_course(order, _pool(scheduler)) if scheduler else grade_course(order)
    except CourseError as error:
        raise GradeError(str(error)) from error


def _pool(scheduler: str) -> Any:
    from mlcourse.grading.course.cluster import ClusterError, pool_of

    try:
        return pool_of(scheduler)
    except ClusterError as error:
        raise GradeError(str(error)) from error


def _write(result: CourseResult, reports: dict[str, Path | None]) -> None:
    writers = {
        "json_file": write_json,
        "junit_file": write_junit,
        "markdown_file": write_markdown,
        "csv_file": write_csv,
    }
    for name, write in writers.items():
        path = reports[name]
        if path is not None:
            write(result, path)
