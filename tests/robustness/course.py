"""A course folder in which everybody has handed in, and what the grader makes of it."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.api import Gradebook, MissingEntry

from robustness.accident import ATTENTION, EXERCISES, LINEAR, MISSING, NOT_WRITTEN, POINTS, WRONG, Accident, Verdict
from robustness.accident import everything as all_of
from robustness.submission import Submission
from tools.release import ROOT, release
from tools.sample import SAMPLES, fill, marks

HONEST_EVERY = 8  # one honest submission after so many accidents
SEED = ".mlcourse-seed"
CELL_SECONDS = 5
SAMPLE_LOST = {
    "mse_gradient": WRONG,  # the gradient of the sum
    "fit_ridge": NOT_WRITTEN,
    "r2_score": Verdict("wrong", 5.0),  # all but one property: targets that are all equal
}


def sample(submission: Submission) -> None:
    """Hand in the answers of a realistic student."""
    released = submission.folder.parents[2] / "release" / LINEAR / f"{LINEAR}.ipynb"
    submission.notebook = fill(released, SAMPLES / f"{LINEAR}.py")


def empty(submission: Submission) -> None:
    """Hand in the notebook as it was released."""
    submission.notebook = copy.deepcopy(submission.empty)


HONEST = {
    LINEAR: (
        Accident("worked", lambda submission: None),
        Accident("sample", sample, SAMPLE_LOST),
        Accident("empty", empty, all_of(NOT_WRITTEN)),
    ),
    ATTENTION: (
        Accident("worked", lambda submission: None, assignment=ATTENTION),
        Accident("empty", empty, all_of(NOT_WRITTEN, ATTENTION), assignment=ATTENTION),
    ),
}


def with_honest(accidents: list[Accident], assignment: str) -> list[tuple[str, Accident]]:
    """Return all submissions of an assignment with their keys, honest ones in between and at both ends."""
    found: list[tuple[str, Accident]] = []
    kinds = HONEST[assignment]
    for position, accident in enumerate(accidents):
        if position % HONEST_EVERY == 0:
            number = position // HONEST_EVERY
            honest = kinds[number % len(kinds)]
            found.append((f"honest {number + 1} {honest.name}", honest))
        found.append((accident.name, accident))
    return [*found, ("honest, the last", kinds[0])]


def student_of(key: str, accident: Accident, position: int) -> str:
    """Return a student's id whose place among the names is this position."""
    words = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    return accident.student or f"{position:03d}-{words}"[:60].strip("-")


def solved(released: Path) -> Any:
    """Return the released notebook with the worked solutions written in."""
    notebook = nbformat.read(released, as_version=4)
    source = jupytext.read(ROOT / "solutions" / f"{released.stem}.md", fmt="md:myst")
    answers = {
        cell.metadata["nbgrader"]["grade_id"]: cell.source
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in answers:
            cell.source = answers[grade_id]
    return notebook


class Course:
    """A course folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.released = {path.stem: path for path in release(folder, names=list(EXERCISES))}
        self.worked = {name: solved(path) for name, path in self.released.items()}
        self.empty = {name: nbformat.read(path, as_version=4) for name, path in self.released.items()}

    def copy_to(self, folder: Path) -> Course:
        """Return a copy of the course, with its seed."""
        shutil.copytree(self.folder, folder)
        other = copy.copy(self)
        other.folder = folder
        return other

    def hand_in(self, student: str, accident: Accident) -> Path:
        """Write one submission and return its folder."""
        name = accident.assignment
        folder = self.folder / "submitted" / student / name
        worked, empty = copy.deepcopy(self.worked[name]), copy.deepcopy(self.empty[name])
        submission = Submission(folder, name, worked, empty)
        accident.change(submission)
        submission.hand_in()
        return folder

    def command(self, assignment: str, *more: str) -> list[str]:
        """Return the command that grades an assignment."""
        program = [str(Path(sys.executable).parent / "mlcourse"), "grade"]
        options = ["--course", str(self.folder), "--assignment", assignment, "--cell-seconds", str(CELL_SECONDS)]
        return [*program, *options, "--json", str(self.results_file(assignment)), *more]

    def results_file(self, assignment: str) -> Path:
        """Return where the results are written."""
        return self.folder / f"{assignment}.json"

    def grade(self, assignment: str, *more: str, jobs: int = 2) -> Batch:
        """Grade an assignment and return what came out."""
        command = self.command(assignment, "--jobs", str(jobs), *more)
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=1800)
        said = f"mlcourse grade ended with {done.returncode}:\n{done.stderr[-4000:]}"
        assert done.returncode in (0, 1), said
        assert self.results_file(assignment).exists(), said
        return Batch.read(self.results_file(assignment), done.returncode, done.stdout + done.stderr)

    def marks(self, assignment: str, student: str) -> dict[str, float | None] | None:
        """Return the marks in the gradebook by the name of the cell; None if it knows no submission of this student."""
        try:
            return {mark.cell: mark.score for mark in marks(self.folder, assignment, student)}
        except MissingEntry:
            return None

    def gradebook(self) -> Gradebook:
        """Open the gradebook."""
        return Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}")

    def autograded(self, assignment: str, student: str) -> Path:
        """Return where nbgrader keeps the graded notebook."""
        return self.folder / "autograded" / student / assignment / f"{assignment}.ipynb"


@dataclass(frozen=True)
class Batch:
    """The results of one run of the grader."""

    content: dict[str, Any]
    exit_code: int
    said: str

    @classmethod
    def read(cls, path: Path, exit_code: int = 0, said: str = "") -> Batch:
        """Return the results in a JSON file."""
        return cls(json.loads(path.read_text(encoding="utf-8")), exit_code, said)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the submissions."""
        return iter(self.content["submissions"])

    def of(self, student: str) -> dict[str, Any]:
        """Return the result of one student."""
        found = [result for result in self if result["student"] == student]
        assert len(found) == 1, f"{student!r} stands {len(found)} times in the results"
        return found[0]

    def verdicts(self, student: str) -> dict[str, Verdict]:
        """Return the verdicts on one student's exercises by their short names."""
        reports = self.of(student)["exercises"]
        found = {report["name"].partition(".")[2]: Verdict(report["status"], report["score"]) for report in reports}
        assert len(found) == len(reports), "an exercise stands there twice"
        assert all(report["max_score"] == POINTS for report in reports)
        return found


def in_gradebook(deserved: dict[str, Verdict]) -> dict[str, float]:
    """Return the marks of the check cells that belong to these verdicts."""
    return {f"check_{name}": verdict.score for name, verdict in deserved.items()}


def nbgrader_autograde(course: Course, assignment: str, student: str) -> subprocess.CompletedProcess[str]:
    """Grade one submission again with nbgrader's own command and --force."""
    command = [str(Path(sys.executable).parent / "nbgrader"), "autograde", assignment, "--student", student, "--force"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return subprocess.run(
        [*command, f"--CourseDirectory.root={course.folder}"],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


__all__ = ["HONEST", "MISSING", "Batch", "Course", "in_gradebook", "nbgrader_autograde", "student_of", "with_honest"]
