"""Submissions a second: stock nbgrader and `mlcourse grade`, on the same submissions in one run.

    python -m benchmarks.grading [--submissions 20] [--assignment attention]

Both sides read the same files, run every cell, compute every mark, fill a gradebook and write the autograded
notebooks. Stock nbgrader starts a kernel for each submission and trusts it. Here every submission is isolated.

A class is graded at the rate at which results come once they have begun to come, and it waits for the first one: the
table has both, and the whole time.
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
from statistics import mean

from tabulate import tabulate

STOCK = """
c = get_config()
c.CourseDirectory.course_id = "mlcourse"
c.Execute.timeout = 120
"""


@dataclass
class Measured:
    """One way to grade: seconds in all, and until the first and the last submission were done."""

    name: str
    seconds: float
    first: float
    last: float
    marks: dict[str, float]

    @property
    def rate(self) -> float:
        """Submissions a second, from the first result to the last."""
        return (len(self.marks) - 1) / (self.last - self.first)


def hand_in(course: Path, assignment: str, count: int) -> None:
    """Hand in as many submissions: worked solutions, empty releases, and the sample of a student."""
    import nbformat

    from tests.test_release import solved
    from tools.release import release
    from tools.sample import ASSIGNMENT, SAMPLES, fill

    (released,) = release(course, names=[assignment])
    kinds = [solved(released), nbformat.read(released, as_version=4)]
    if assignment == ASSIGNMENT:
        kinds.append(fill(released, SAMPLES / f"{assignment}.py"))
    for number in range(count):
        target = course / "submitted" / f"student-{number:03}" / assignment / released.name
        target.parent.mkdir(parents=True)
        nbformat.write(kinds[number % len(kinds)], target)


def stock(course: Path, assignment: str) -> Measured:
    """Grade with nbgrader as it comes."""
    (course / "nbgrader_config.py").write_text(STOCK, encoding="utf-8")
    # A folder is there when its grading begins: the first one is finished when the second is there.
    return measured("stock nbgrader", course, assignment, ["nbgrader", "autograde", assignment, "--quiet"], behind=1)


def ours(course: Path, assignment: str, workers: int) -> Measured:
    """Grade with the course's engine, isolated, with so many worker processes."""
    name = f"mlcourse grade, {workers} worker{'s' if workers > 1 else ''}"
    command = ["mlcourse", "grade", "--course", ".", "--assignment", assignment, "--jobs", str(workers)]
    return measured(name, course, assignment, command, behind=0)


def measured(name: str, course: Path, assignment: str, command: list[str], behind: int) -> Measured:
    """Run a command line and look at what it writes: all folders are finished but so many of those there."""
    count = len(list(course.glob("submitted/*")))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    start = time.perf_counter()
    with (course / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=course, env={**os.environ, "PATH": path}, stdout=log, stderr=log)
        first = last = 0.0
        while process.poll() is None:
            finished = len(list(course.glob("autograded/*"))) - behind
            first = first or (time.perf_counter() - start if finished >= 1 else 0.0)
            last = last or (time.perf_counter() - start if finished == count else 0.0)
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {(course / 'log.txt').read_text()}")
    seconds = time.perf_counter() - start
    return Measured(name, seconds, first, last or seconds, marks_of(course, assignment))


def marks_of(course: Path, assignment: str) -> dict[str, float]:
    """Return the points of every student from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        return {item.student.id: item.score for item in gradebook.assignment_submissions(assignment)}


def mean_of(runs: list[Measured]) -> Measured:
    """Return the mean of all runs of one way."""
    first, last, seconds = (mean(getattr(run, name) for run in runs) for name in ("first", "last", "seconds"))
    return Measured(runs[0].name, seconds, first, last, runs[0].marks)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=20)
    parser.add_argument("--assignment", default="attention")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "course"
        hand_in(model, chosen.assignment, chosen.submissions)
        runs = []
        # Ours before stock and after it: a machine is not equally fast all the time.
        ways = [lambda c, a: ours(c, a, 1), lambda c, a: ours(c, a, 2)]
        for number, way in enumerate([*ways, stock, *ways]):
            course = Path(folder) / f"copy-{number}"
            shutil.copytree(model, course)
            runs.append(way(course, chosen.assignment))
    same = all(item.marks == runs[0].marks for item in runs)
    sides = {name: mean_of([item for item in runs if item.name == name]) for name in sorted({i.name for i in runs})}
    found = [sides.pop("stock nbgrader"), *sides.values()]
    rows = [
        [item.name, item.rate, item.rate / found[0].rate, item.first, item.seconds, found[0].seconds / item.seconds]
        for item in found
    ]
    print(f"{chosen.submissions} submissions of {chosen.assignment}; the same marks on all sides: {same}")
    headers = ["", "submissions/s", "ratio", "first result, s", "all, s", "ratio of all"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".2f", ".1f", ".1f", ".1f", ".1f")))


if __name__ == "__main__":
    main()
