"""One submission as a job: plain data in, plain data out, the same on this machine and on another."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlcourse.exercises import chapter_exercises
from mlcourse.grading.course import early
from mlcourse.grading.course.restore import grade_id, missing_answers, read_submission_text, restore
from mlcourse.grading.course.tasks import Done, Job, ReleasedCell, Setting
from mlcourse.grading.results import SubmissionResult
from mlcourse.grading.sandbox.parent import IsolationMissingError
from mlcourse.grading.submission import Graded, Grader, no_check, parse_check, worth

_GRADERS: dict[Setting, Grader] = {}


def grader_for(setting: Setting) -> Grader:
    """Return this process's grader, with its warm parent; started when it is first asked for."""
    if setting not in _GRADERS:
        for other in list(_GRADERS):
            _GRADERS.pop(other).close()
        secret = [Path(path) for path in setting.secret]
        parent = early.take(setting)
        _GRADERS[setting] = Grader(
            setting.assignment, setting.seed, setting.limits, setting.isolation, secret, parent=parent
        )
    return _GRADERS[setting]


def grade_job(setting: Setting, job: Job) -> Done:
    """Grade one submission; whatever is wrong with it is in the result."""
    start = time.monotonic()
    try:
        notebook = read_submission_text(job.content, job.name)
    except ValueError as error:
        return failed(setting, job.student, f"{error}.")
    if not belongs(notebook, setting):
        return failed(
            setting, job.student, f"{job.name} holds no cell of {setting.assignment}: it is another notebook."
        )
    notes = restore(notebook, list(setting.released)) if setting.released else []
    graded = _graded(setting, notebook, dict(job.files))
    lost = missing_answers(notebook, list(setting.released))
    undefined = [report.name.partition(".")[2] for report in graded.reports if report.status == "missing"]
    notes += [f"the cell {name} is missing" for name in lost if name in undefined]
    troubles = [*notes, *graded.troubles]
    said = "; ".join(([job.note] if job.note else []) + [trouble.rstrip(".") for trouble in troubles])
    result = SubmissionResult(
        student=job.student,
        status="partial" if troubles else "graded",
        seconds=time.monotonic() - start,
        message=f"{said}." if said else "",
        exercises=graded.reports,
    )
    return Done(result, json.dumps(notebook))  # checked once, where it is written to the disk


def points_of(released: Iterable[ReleasedCell]) -> dict[str, float]:
    """Return what the gradebook gives for each exercise: the points of the cell that is its check."""
    graded = [cell for cell in released if cell.grade and not cell.solution and cell.kind == "code"]
    checks = [(parse_check(cell.source), cell.points) for cell in graded]
    return {check[0]: points for check, points in checks if check}


def belongs(notebook: Any, setting: Setting) -> bool:
    """Return whether a notebook holds anything of the assignment: a released id, or a check of one of its exercises."""
    known = {cell.name for cell in setting.released}
    exercises = chapter_exercises(setting.assignment)
    for cell in notebook.cells:
        check = parse_check(str(cell.source)) if cell.cell_type == "code" else None
        if grade_id(cell) in known or cell.get("id") in known or (check and check[0] in exercises):
            return True
    return False


def _graded(setting: Setting, notebook: Any, files: dict[str, bytes]) -> Graded:
    """Grade, with a new warm parent if the old one has died."""
    points = points_of(setting.released)
    try:
        return grader_for(setting).grade(notebook, files, points)
    except IsolationMissingError:
        dead = _GRADERS.pop(setting, None)
        if dead is None:  # it was never there: isolation is missing here
            raise
        dead.close()
        return grader_for(setting).grade(notebook, files, points)


def grader_failed(setting: Setting, student: str, error: BaseException) -> Done:
    """Return the result where an error of the grader itself, and not of the submission, ended the grading."""
    words = f"The grader itself failed ({type(error).__name__}: {str(error)[:300]}). Please report this."
    return failed(setting, student, words, ours=True)


def failed(setting: Setting, student: str, message: str, ours: bool = False) -> Done:
    """Return the result of a submission of which nothing could be graded, through its own fault or through ours."""
    why = f"Nothing of this submission could be graded: {message.rstrip('.')}."
    exercises = worth(chapter_exercises(setting.assignment), points_of(setting.released))
    reports = [no_check(exercise, why) for exercise in exercises.values()]
    return Done(SubmissionResult(student, "failed", 0.0, message, reports), ours=ours)


def describe_worker() -> dict[str, Any]:
    """Return what this process has been doing, for the report on memory."""
    import resource

    return {"peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
