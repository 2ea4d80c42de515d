"""Grades all submissions of an assignment in a course folder."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from tqdm import tqdm

from mlcourse.grading.by_hand import graded_by_hand
from mlcourse.grading.course.earlier import fingerprint_of
from mlcourse.grading.course.job import failed, grader_failed, points_of
from mlcourse.grading.course.layout import Handed, submissions
from mlcourse.grading.course.pool import grade_here
from mlcourse.grading.course.tasks import Done, Job, Setting
from mlcourse.grading.course.writer import CourseError, Writer, course_config
from mlcourse.grading.results import CourseResult, SubmissionResult
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import require_isolation
from mlcourse.grading.sandbox.view import PACKAGE

Pool = Callable[[Setting, Sequence[Job], int], Iterator[Done]]


@dataclass(frozen=True)
class Order:
    """What is to be graded, and how."""

    course: Path
    assignment: str
    seed: int
    students: str = "*"
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    isolation: str = "auto"
    again: bool = False  # grade what has been graded already, too
    silent: bool = False


def grade_course(order: Order, pool: Pool = grade_here) -> CourseResult:
    """Grade and save every submission that has not been graded as it is now, and return all results.

    Raises
    ------
    CourseError
        If the folder holds no such assignment.
    IsolationMissingError
        If submissions cannot be isolated here.
    """
    require_isolation(order.isolation)
    handed = submissions(order.course, order.assignment, order.students)
    if not handed and order.students != "*":
        everybody = [item.student for item in submissions(order.course, order.assignment)]
        there = ", ".join(everybody[:10]) + (", and more" if len(everybody) > 10 else "") or "none"
        raise CourseError(
            f"Nobody whose name matches {order.students!r} has handed in {order.assignment}. Submissions: {there}."
        )
    code = code_digest(order.assignment)
    results: dict[str, SubmissionResult] = {}
    with Writer(order.course, order.assignment, course_config(order.course)) as writer:
        setting = Setting(
            order.assignment, order.seed, writer.released, order.limits, order.isolation, (str(order.course),)
        )
        prints: dict[str, str] = {}
        waiting: dict[str, Handed] = {}
        for item in handed:
            prints[item.student] = _fingerprint(writer, item, order, code)
            earlier = None if order.again else writer.already(item.student, prints[item.student])
            if earlier:
                results[item.student] = earlier
            else:
                waiting[item.student] = item
        bar = tqdm(total=len(handed), initial=len(results), unit="submission", disable=order.silent or None)
        with bar, interruptible() as stop_if_asked:
            for done in _grade(setting, waiting, pool, order.workers):
                student = done.result.student
                saved = _saved(writer, setting, waiting[student], done, prints[student])
                results[student] = saved.result
                bar.update()
                stop_if_asked()
    by_hand = graded_by_hand(cell.metadata for cell in setting.released)
    return CourseResult(order.assignment, [results[name] for name in sorted(results)], by_hand=by_hand)


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Remember an interruption, which Python loses where it meets a callback whose errors are ignored.

    Gives a function that raises KeyboardInterrupt once somebody has asked to stop.
    """
    asked = []

    def remember(number: int, frame: Any) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop_if_asked
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)


def _saved(writer: Writer, setting: Setting, handed: Handed, done: Done, fingerprint: str) -> Done:
    """Save a result; one that cannot be saved is no result, and the next one is saved all the same."""
    try:
        if not done.ours:
            writer.save(handed, done, fingerprint)
    except OperationalError:  # the gradebook is out of reach, for this result and for all that follow
        raise
    except OSError as error:
        words = f"The result could not be written into {writer.course}: {error.strerror or error}."
        done = failed(setting, handed.student, words, ours=True)
    except Exception as error:
        done = grader_failed(setting, handed.student, error)
    if done.ours and writer.knows(handed.student):
        message = f"{done.result.message} The marks of before stay in the gradebook.".lstrip()
        return replace(done, result=replace(done.result, message=message))
    return done


def _fingerprint(writer: Writer, handed: Handed, order: Order, code: str) -> str:
    """Return by what a later run knows this submission; nothing, which no record has, where that cannot be said."""
    try:
        if handed.problem:
            return ""
        points = sorted(points_of(writer.released).items())
        return fingerprint_of(handed, order.seed, order.limits, writer.lateness(handed), points, code)
    except OperationalError:  # the gradebook is out of reach for everybody
        raise
    except Exception:  # whatever lies in one folder, all others are graded; this one is, too, every time
        return ""


def _grade(setting: Setting, waiting: dict[str, Handed], pool: Pool, workers: int) -> Iterator[Done]:
    for item in waiting.values():
        if item.problem:
            yield failed(setting, item.student, f"{item.problem}.", item.ours)
    readable = [item for item in waiting.values() if not item.problem]
    if readable:
        yield from pool(setting, Jobs(setting.assignment, readable), min(workers, len(readable)))


class Jobs(Sequence[Job]):
    """The jobs of a batch, each made when it is asked for: what lies beside all notebooks would fill the memory."""

    def __init__(self, assignment: str, handed: list[Handed]) -> None:
        self.name = f"{assignment}.ipynb"
        self.handed = handed

    def __len__(self) -> int:
        return len(self.handed)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Jobs(self.name.removesuffix(".ipynb"), self.handed[index])
        item = self.handed[index]
        files, left_out = item.files()
        note = "; ".join([item.note, *left_out] if item.note else left_out)
        return Job(item.student, self.name, item.content, note, tuple(files.items()))


def code_digest(assignment: str) -> str:
    """Return a digest of all code that decides a mark: when it changes, a mark of before says nothing."""
    digest = hashlib.sha256()
    parts = [PACKAGE / f"{assignment}.py", *sorted((PACKAGE / "exercises").glob("*.py"))]
    for path in [*parts, *sorted((PACKAGE / "grading").rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
