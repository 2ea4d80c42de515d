"""Where nbgrader keeps submissions, and which file of a folder is the one that was handed in."""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcourse.grading.companions import files_beside
from mlcourse.grading.course.timestamp import read_timestamp

MAX_BYTES = 20_000_000


@dataclass(frozen=True)
class Handed:
    """One submission as it lies in the course folder: the notebook's bytes, or why there are none."""

    student: str
    folder: Path
    content: bytes = b""
    problem: str = ""
    note: str = ""
    stamp: Any = None  # when it was handed in, if that is known
    ours: bool = False  # the problem is one of this machine, not of what was handed in

    def files(self) -> tuple[dict[str, bytes], list[str]]:
        """Read the files beside the notebook, by their paths, and return in words what was left out.

        Read when they are needed: those of a whole class would fill the memory. Whatever lies there, the notebook is
        graded, and so are those of all others.
        """
        try:
            return ({}, []) if self.problem else files_beside(self.folder)
        except Exception as error:
            return {}, [f"what lay beside the notebook could not be read ({_reason(error)}) and was left out"]


def submissions(course: Path, assignment: str, students: str = "*") -> list[Handed]:
    """Return what was handed in for an assignment, in the order of the students' names.

    No link is followed: a link in a submission could lead to somebody else's work.
    """
    root = course / "submitted"
    if not root.is_dir():
        return []
    found = []
    for entry in sorted(root.iterdir()):
        folder = entry / assignment
        if not fnmatch.fnmatchcase(entry.name, students):
            continue
        try:
            os.lstat(folder)
            found.append(read(entry.name, folder, assignment) if _writable(entry.name) else _unnamed(entry, folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except Exception as error:  # whatever is wrong with this one, the others are graded
            problem = f"the folder of this submission cannot be read: {_reason(error)}"
            found.append(Handed(entry.name, folder, problem=problem, ours=True))
    return found


def _writable(name: str) -> bool:
    """Return whether a gradebook can hold a name: on a disk it may be any bytes."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unnamed(entry: Path, folder: Path) -> Handed:
    problem = f"the name of the folder {entry.name!a} is not UTF-8, so that the gradebook cannot hold it; rename it"
    return Handed(entry.name, folder, problem=problem, ours=True)


def _reason(error: Exception) -> str:
    """Return in words why something cannot be read; what the system says, where it says something."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def read(student: str, folder: Path, assignment: str) -> Handed:
    """Return the notebook in a submission's folder."""
    for place in (folder.parent, folder):
        if place.is_symlink() or not place.is_dir():
            return Handed(student, folder, problem=f"{place.name} is no folder of its own, but a link or a file")
    names = sorted(name for name in os.listdir(folder) if name.endswith(".ipynb"))
    wanted = f"{assignment}.ipynb"
    note = ""
    stamp, doubt = read_timestamp(folder)
    if wanted not in names:
        near = [name for name in names if name.startswith(assignment)] or names
        if len(near) != 1:
            listed = ", ".join(near[:5])
            others = f"{wanted} is missing, and there are several others: {listed}"
            problem = others if near else f"there is no notebook: {wanted} is missing"
            return Handed(student, folder, problem=problem, stamp=stamp)
        wanted = near[0]
        note = f"the notebook was handed in as {wanted}"
    content, problem = _bytes(folder / wanted)
    return Handed(student, folder, content, problem, "; ".join(filter(None, (note, doubt))), stamp)


def _bytes(path: Path) -> tuple[bytes, str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        reason = "it is a link, and links are not followed" if path.is_symlink() else error.strerror
        return b"", f"{path.name} cannot be read: {reason}"
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        return b"", f"{path.name} is no file"
    with os.fdopen(descriptor, "rb") as file:
        if about.st_size > MAX_BYTES:
            return b"", f"{path.name} has {about.st_size / 1e6:.0f} MB, more than {MAX_BYTES // 10**6} MB"
        return file.read(), ""
