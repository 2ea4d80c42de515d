"""One run of a grader at a time in a course: two would write into the same gradebook and the same folders."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

LOCK = ".mlcourse-lock"
HOLDER = f"{LOCK}-holder"  # a file of its own: who only asks for the lock may empty the lock's own one


class CourseError(Exception):
    """A course folder that cannot be graded; the text says why and what to do."""


def locked(course: Path, program: str = "mlcourse grade") -> BaseFileLock:
    """Return the lock of a course, taken; the system takes it back when this process ends, however that comes.

    Raises
    ------
    CourseError
        If another process has it, or it cannot be written.
    """
    lock = FileLock(course / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise CourseError(_held(course)) from error
    except OSError as error:
        raise CourseError(f"The file {course / LOCK} cannot be written: {error.strerror or error}.") from error
    try:
        (course / HOLDER).write_text(f"{program}\n{os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except OSError as error:
        lock.release()
        raise CourseError(f"The file {course / HOLDER} cannot be written: {error.strerror or error}.") from error
    return lock


def _held(course: Path) -> str:
    """Return in words who holds the lock of a course, and what to do."""
    try:
        program, process = (course / HOLDER).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError):  # it has the lock, and is about to say so
        return f"Another grader is at work in {course}. Wait until it has ended, and grade again."
    return f"Another `{program}` is at work in {course}. Wait until it has ended (process {process}), and grade again."
