"""A course folder with honest and hostile submissions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat

from tools.release import ROOT
from tools.sample import SAMPLES, fill

from .base import Attack, Place

# What honest submissions deserve, whatever is graded beside them.
SAMPLE_MARK = 23.0


@dataclass(frozen=True)
class Handed:
    """An attack that was handed in, and where."""

    attack: Attack
    place: Place


def released(course: Path, assignment: str) -> Any:
    """Return the released notebook of an assignment."""
    return nbformat.read(course / "release" / assignment / f"{assignment}.ipynb", as_version=4)


def solved(course: Path, assignment: str) -> Any:
    """Return the released notebook with the worked solutions written in."""
    notebook = released(course, assignment)
    source = jupytext.read(ROOT / "solutions" / f"{assignment}.md", fmt="md:myst")
    marked = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    answers = {cell.metadata["nbgrader"]["grade_id"]: cell.source for cell in marked}
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    return notebook


def submission(course: Path, student: str, assignment: str) -> Path:
    """Return where nbgrader looks for a student's notebook."""
    return course / "submitted" / student / assignment / f"{assignment}.ipynb"


def hand_in(course: Path, student: str, assignment: str, notebook: Any) -> Path:
    """Write a notebook as a student's submission and return its path."""
    target = submission(course, student, assignment)
    target.parent.mkdir(parents=True)
    # As it is: nbformat would mend copied ids and odd metadata.
    target.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return target


def hand_in_worked(course: Path, student: str, assignment: str, secret: str) -> float:
    """Hand in the worked solutions, with a secret in a comment, and return the mark that they deserve."""
    notebook = solved(course, assignment)
    first = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution"))
    first.source = f"# {secret}\n{first.source}"
    hand_in(course, student, assignment, notebook)
    graded = [cell.metadata.get("nbgrader", {}) for cell in notebook.cells if cell.cell_type == "code"]
    return float(sum(cell["points"] for cell in graded if cell.get("grade")))


def hand_in_honest(course: Path, assignment: str, secret: str) -> dict[tuple[str, str], float]:
    """Hand in honest submissions, first, last and in the middle, and return what each deserves."""
    marks = {("honest-worked", assignment): hand_in_worked(course, "honest-worked", assignment, secret)}
    answers = SAMPLES / f"{assignment}.py"
    for student in ("000-honest", "honest-sample", "zzz-honest"):
        if answers.exists():
            path = course / "release" / assignment / f"{assignment}.ipynb"
            hand_in(course, student, assignment, fill(path, answers))
            marks[student, assignment] = SAMPLE_MARK
    hand_in(course, "honest-empty", assignment, released(course, assignment))
    marks["honest-empty", assignment] = 0.0
    return marks


def hand_in_attack(course: Path, attack: Attack, place: Place) -> Handed:
    """Hand in one attack."""
    notebook = released(course, attack.assignment)
    attack.write(notebook, place)
    target = hand_in(course, place.student, attack.assignment, notebook)
    if attack.deliver:
        attack.deliver(target, place)
    return Handed(attack, place)
