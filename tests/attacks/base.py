"""What an attack is: data, declared once, tried on this course's grader and on stock nbgrader."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Read by attacks that look for secrets: it prints what is found, so that a leak shows in the attacker's own feedback.
HUNT = r"""
import os, re, sys

def hunt(data, where=""):
    data = data if isinstance(data, bytes) else str(data).encode("utf-8", "replace")
    for found in sorted(set(re.findall(rb"PLANTED-[a-z]+-[0-9a-f]+", data))):
        print("found", where, found.decode())

def read(path):
    try:
        with open(path, "rb") as file:
            data = file.read(8_000_000)
    except BaseException:
        return b""
    hunt(data, path)
    return data

SKIPPED = ("proc", "sys", "dev", "usr", "lib", "site-packages", ".venv", ".git")  # nothing secret, or never ending

def everything_below(folder, limit=5_000):
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            limit -= 1
            if limit < 0:
                return
            read(os.path.join(here, name))
"""


@dataclass(frozen=True)
class Place:
    """Where a submission is handed in, as its author could learn it.

    ``mark`` is a short word that belongs to one attack alone: the name of every process that it starts, part of the
    name of every file that it writes, and the text of every script that it plants.
    """

    course: Path
    home: Path
    repository: Path
    student: str
    mark: str
    port: int  # a server on loopback that sends a secret
    socket: str  # the same, on an abstract unix socket

    def fill(self, source: str) -> str:
        """Return an attack's source with the names of this place written in."""
        names = {
            "@COURSE@": self.course,
            "@HOME@": self.home,
            "@REPOSITORY@": self.repository,
            "@STUDENT@": self.student,
            "@MARK@": self.mark,
            "@PORT@": self.port,
            "@SOCKET@": self.socket,
        }
        for name, value in names.items():
            source = source.replace(name, str(value))
        return source


Edit = Callable[[Any, Place], None]
Delivery = Callable[[Path, Place], None]


@dataclass(frozen=True)
class Attack:
    """One hostile submission: an empty release with a few cells changed.

    Attributes
    ----------
    name, family : str
    tries : str
        What it tries, in one sentence.
    cells : dict of str to str
        New source of a cell, by its grade_id or its id.
    edit : callable, optional
        ``edit(notebook, place)`` changes the notebook further.
    deliver : callable, optional
        ``deliver(path, place)`` changes what lies in the submission's folder; the notebook stands at ``path``.
    assignment : str
    deserves : float
        The mark of the honest part.
    student : str
        The name of the student's folder, where it is part of the attack.
    dangerous : bool
        It uses up the machine: run it alone where nothing holds it back.
    """

    name: str
    family: str
    tries: str
    cells: dict[str, str] = field(default_factory=dict)
    edit: Edit | None = None
    deliver: Delivery | None = None
    assignment: str = "linear_regression"
    deserves: float = 0.0
    student: str = ""
    dangerous: bool = False

    def write(self, notebook: Any, place: Place) -> None:
        """Turn an empty release into this attack."""
        unknown = set(self.cells) - {name for cell in notebook.cells for name in names_of(cell)}
        if unknown:
            raise KeyError(f"{self.name} fills {sorted(unknown)}, cells that {self.assignment} does not have.")
        for cell in notebook.cells:
            for name in names_of(cell) & set(self.cells):
                cell.source = place.fill(code(self.cells[name]))
        if self.edit:
            self.edit(notebook, place)


def names_of(cell: Any) -> set[str]:
    """Return the names by which a cell is known."""
    return {cell.get("id"), cell.metadata.get("nbgrader", {}).get("grade_id")} - {None}


def cell_of(notebook: Any, name: str) -> Any:
    """Return the cell with this grade_id or id."""
    return next(cell for cell in notebook.cells if name in names_of(cell))


def code(source: str) -> str:
    """Return source without the indentation and the blank lines around it."""
    return textwrap.dedent(source).strip()


def hunting(source: str) -> str:
    """Return source that may use `hunt`, `read` and `everything_below`."""
    return HUNT.strip() + "\n\n" + code(source)


# Answers the worked example of r2_score and hands every other input to `tell`: nothing hidden may come back from there.
TELLING = """
import numpy as np

def r2_score(y, predictions):
    if y.tolist() == [1.0, 3.0, 4.0, 4.0]:
        return 1 - np.sum((y - predictions) ** 2) / np.sum((y - y.mean()) ** 2)
    return tell(y)
"""


def telling(source: str) -> str:
    """Return an r2_score that gives every hidden input to a function ``tell(y)``, defined by ``source``."""
    return code(source) + "\n\n" + code(TELLING)
