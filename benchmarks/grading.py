"""Submissions a second: stock nbgrader and `mlcourse grade`, on the same submissions in one run.

    python -m benchmarks.grading [--submissions 20] [--assignment linear_regression]

Both sides read the same files, run every cell, compute every mark, fill a gradebook and write the autograded
notebooks. Stock nbgrader starts a kernel for each submission and trusts it. Here every submission is isolated.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from tabulate import tabulate

from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.job import Done, Job, Setting
from mlcourse.grading.course.pool import grade_here
from tests.test_release import solved
from tools.release import release
from tools.sample import ASSIGNMENT, SAMPLES, fill

STOCK = """
c = get_config()
c.CourseDirectory.course_id = "mlcourse"
c.Execute.timeout = 120
"""


@dataclass
class Measured:
    """One way to grade: seconds in all, and until the first submission was done."""

    name: str
    seconds: float
    first: float
    marks: dict[str, float]


def hand_in(course: Path, assignment: str, count: int) -> None:
    """Hand in as many submissions: worked solutions, empty releases, and the sample of a student."""
    (released,) = release(course, names=[assignment])
    kinds = [solved(released), nbformat.read(released, as_version=4)]
    if assignment == ASSIGNMENT:
        kinds.append(fill(released, SAMPLES / f"{assignment}.py"))
    for number in range(count):
        target = course / "submitted" / f"student-{number:03}" / assignment / released.name
        target.parent.mkdir(parents=True)
        nbformat.write(kinds[number % len(kinds)], target)


def stock(course: Path, assignment: str) -> Measured:
    """Grade with nbgrader as it comes, from its own command line."""
    (course / "nbgrader_config.py").write_text(STOCK, encoding="utf-8")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    start = time.perf_counter()
    command = [sys.executable, "-m", "nbgrader", "autograde", assignment, "--quiet"]
    process = subprocess.Popen(command, cwd=course, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)
    first = 0.0
    while process.poll() is None:
        done = len(list(course.glob("autograded/*/*/*.ipynb")))
        if done > 1 and not first:  # the first one is finished when the second has begun to be written
            first = time.perf_counter() - start
        time.sleep(0.02)
    return Measured("stock nbgrader", time.perf_counter() - start, first, marks_of(course, assignment))


def ours(course: Path, assignment: str, workers: int) -> Measured:
    """Grade with the course's engine, isolated, with so many worker processes."""
    start = time.perf_counter()
    first: list[float] = []

    def timed(setting: Setting, jobs: list[Job], count: int) -> list[Done]:
        results = []
        for done in grade_here(setting, jobs, count):
            first.append(time.perf_counter() - start)
            results.append(done)
            yield done

    grade_course(Order(course, assignment, seed=1, workers=workers, silent=True), timed)
    seconds = time.perf_counter() - start
    label = f"mlcourse grade, {workers} worker{'s' if workers > 1 else ''}"
    return Measured(label, seconds, first[0], marks_of(course, assignment))


def marks_of(course: Path, assignment: str) -> dict[str, float]:
    """Return the points of every student from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {item.student.id: item.score for item in gradebook.assignment_submissions(assignment)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=20)
    parser.add_argument("--assignment", default=ASSIGNMENT)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "course"
        hand_in(model, chosen.assignment, chosen.submissions)
        found = []
        for number, way in enumerate((stock, *(lambda c, a, n=n: ours(c, a, n) for n in (1, 2)))):
            course = Path(folder) / f"copy-{number}"
            shutil.copytree(model, course)
            found.append(way(course, chosen.assignment))
    same = all(item.marks == found[0].marks for item in found)
    rows = [
        [item.name, chosen.submissions / item.seconds, found[0].seconds / item.seconds, item.first] for item in found
    ]
    print(f"{chosen.submissions} submissions of {chosen.assignment}; the same marks on all sides: {same}")
    headers = ["", "submissions a second", "ratio", "seconds to the first result"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".2f", ".1f", ".1f")))


if __name__ == "__main__":
    main()
