"""Grades one notebook: runs its cells in the sandbox, then tries the candidate of every check.

The marks are computed here, in the trusted process. What a cell shows is collected before any hidden case is asked.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nbformat

from mlcourse.exercises import chapter_exercises
from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.attempt import Attempt, CheckCell, names_of
from mlcourse.grading.declarations import modules_of, uses_of
from mlcourse.grading.diagnosis import WorkedOutcomes
from mlcourse.grading.evaluate import PUBLIC_SEED, Prepared, prepare
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import WarmParent
from mlcourse.grading.sandbox.reader import Reader
from mlcourse.grading.sandbox.session import Session

STUB, DEFINED = "NotImplementedError", re.compile(r"^def (\w+)", re.MULTILINE)
NOT_SEARCHED = (
    "The notebook's text could not be searched for functions that are not allowed. Does it run a text (exec, eval) "
    "that is put together while it runs? Is a cell very long, or do many functions call one another very often? Leave "
    "out what the exercises do not need."
)


@dataclass
class Graded:
    """A notebook that was graded; the outputs stand in its cells."""

    reports: list[Report]
    troubles: list[str]  # what could not be run, in words
    seconds: float

    @property
    def status(self) -> str:
        """graded, or partial where something could not be run."""
        return "partial" if self.troubles else "graded"


class Grader:
    """Grades submissions of one assignment, one after another, with one warm parent.

    Parameters
    ----------
    assignment : str
        The chapter.
    seed : int, optional
        Decides the random cases. None is the public seed, whose cases a report may show.
    limits : Limits, optional
    isolation : str
        ``"auto"`` or ``"none"``, as for `WarmParent`.
    secret : iterable of Path
        Folders that no submission may see.
    parent : WarmParent, optional
        One that was started for this already.
    """

    def __init__(
        self,
        assignment: str,
        seed: int | None = None,
        limits: Limits | None = None,
        isolation: str = "auto",
        secret: Iterable[Any] = (),
        parent: WarmParent | None = None,
    ) -> None:
        self.assignment = assignment
        self.reveal = seed is None or seed == PUBLIC_SEED
        self.seed = PUBLIC_SEED if seed is None else seed
        self.limits = limits or Limits()
        self.own_seed = self.seed
        self.worked: WorkedOutcomes = {}
        self.prepared: dict[str, Prepared] = {}
        uses, modules = uses_of(assignment), modules_of(assignment)
        self.parent = parent or WarmParent(uses, modules, self.limits, isolation, secret)
        self.reader = Reader(self.parent)
        self.declared = chapter_exercises(assignment)  # while the sandbox imports the libraries
        self.exercises = self.declared
        _one_thread()
        self.parent.watch({exercise.forbidden for exercise in self.exercises.values()})

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm parent."""
        self.parent.close()

    def grade(
        self, notebook: Any, files: Mapping[str, bytes] | None = None, points: Mapping[str, float] | None = None
    ) -> Graded:
        """Grade a notebook (nbformat 4) and write all outputs into its cells.

        ``files`` are those that lie beside it, by their paths; ``points`` what the gradebook gives for an exercise,
        where that differs from what the exercise declares.
        """
        start = time.monotonic()
        self.exercises = worth(self.declared, points or {})
        checks = find_checks(notebook, self.exercises)
        self.own_seed = self.seed if self.reveal else seed_of(self.seed, notebook, files or {})
        self.prepared = {}
        marked = {id(check.cell): check for check in checks}
        with Session(self.parent, files) as session:
            attempts = self._run_cells(session, notebook, marked)
            for attempt in attempts:
                attempt.begin()
            for attempt in attempts:
                attempt.settle()
            for attempt in attempts:
                attempt.finish()
            session.finish()
        reports = {attempt.check.exercise.name: attempt.report for attempt in attempts if attempt.report}
        for attempt in attempts:
            write_mark(attempt.check.cell, attempt.report)
        ordered = [reports.get(name) or no_check(exercise) for name, exercise in self.exercises.items()]
        missing = [f"the check of {name} is missing" for name in self.exercises if name not in reports]
        troubles = [*dict.fromkeys(trouble for trouble in self.troubles), *missing]
        return Graded(ordered, troubles, time.monotonic() - start)

    def prepare(self, exercise: Exercise) -> Prepared:
        """Return the cases of an exercise for this submission, computed once."""
        if exercise.name not in self.prepared:
            self.prepared[exercise.name] = prepare(exercise, self.own_seed, self.worked)
        return self.prepared[exercise.name]

    def _answering(self, sources: list[str], checks: Iterable[CheckCell]) -> Iterator[None]:
        """Compute one right answer after another: that takes time, and needs nothing of the submission's process."""
        unwritten = {name for source in sources if STUB in source for name in DEFINED.findall(source)}
        for check in checks:
            prepared = self.prepare(check.exercise)
            yield
            if unwritten.isdisjoint(names_of(check.exercise)):  # or nobody may ask for the answers
                for case in prepared.cases:
                    prepared.answer(case)
                    yield

    def _run_cells(self, session: Session, notebook: Any, marked: dict[int, CheckCell]) -> list[Attempt]:
        """Run every cell, keep a copy at every check, and return what is to be tried."""
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        sources = [str(cell.source) for cell in cells if id(cell) not in marked]
        asked = {check.exercise.name: asked_of(check) for check in marked.values()}
        shortcuts = session.analyse(self.reader, sources, asked, self._answering(sources, marked.values()))
        self.troubles: list[str] = []
        if shortcuts is None:
            self.troubles.append("the text could not be searched for shortcuts, so that no check was tried")
        attempts = []
        number = 0
        for cell in cells:
            if id(cell) in marked:
                check = marked[id(cell)]
                waits = check.exercise.name in session.apart
                branch = None if waits else session.branch()
                attempt = Attempt(self, notebook, session, check, branch, waits)
                attempts.append(attempt)
                if shortcuts is None:
                    attempt.refuse("error", "not searched", NOT_SEARCHED)
                elif check.exercise.name in shortcuts:
                    attempt.report = refuse_shortcut(check.exercise, shortcuts[check.exercise.name])
                continue
            if not str(cell.source).strip():
                cell.outputs, cell.execution_count = [], None
                session.cells.append("")
                continue
            number += 1
            result = session.run(str(cell.source))
            cell.outputs = [nbformat.from_dict(output) for output in result.outputs]
            cell.execution_count = number
            if result.ended:
                self.troubles.append(f"code cell {number}: {result.ended}")
        if session.unread:  # whatever it would have done, it would have done for any exercise
            for attempt in attempts:
                attempt.report = attempt.report or refuse_shortcut(attempt.check.exercise, session.unread)
        if not any(attempt.waits for attempt in attempts):
            session.finish()
        return attempts


def worth(exercises: Mapping[str, Exercise], points: Mapping[str, float]) -> dict[str, Exercise]:
    """Return exercises with the points of a gradebook, so that their reports and its marks say the same.

    Only an instructor decides on points, and may do so after an exercise was declared.
    """
    return {name: replace(exercise, points=points.get(name, exercise.points)) for name, exercise in exercises.items()}


def seed_of(seed: int, notebook: Any, files: Mapping[str, bytes]) -> int:
    """Return the seed of one submission, from the course's secret and all that was handed in.

    Whatever a submission might learn of its hidden inputs, and might pass on, is of no use to another one, or to itself
    after any change: those have other inputs. The same submission has the same ones at any time.
    """
    digest = hmac.new(str(seed).encode(), digestmod=hashlib.sha256)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(repr(str(cell.source)).encode())
    for name in sorted(files):
        digest.update(repr((name, len(files[name]))).encode("utf-8", "surrogatepass") + files[name])
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def find_checks(notebook: Any, exercises: dict[str, Exercise]) -> list[CheckCell]:
    """Return the checks of a notebook in order: for each exercise the last cell that is nothing but its check.

    A cell to which a gradebook gives points comes before any other: what that cell shows becomes the mark, so that the
    submission may not write it, whatever copies of the check stand below.
    """
    found: dict[str, CheckCell] = {}
    position = 0
    candidates = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            candidates.append((cell, parse_check(str(cell.source))))
    checks = [(cell, parsed[0]) for cell, parsed in candidates if parsed and parsed[0] in exercises]
    last = {name: id(cell) for cell, name in sorted(checks, key=lambda check: _has_points(check[0]))}
    for cell, parsed in candidates:
        if parsed and last.get(parsed[0]) == id(cell):
            found[parsed[0]] = CheckCell(cell, exercises[parsed[0]], parsed[1], position)
        else:
            position += 1
    return list(found.values())


def _has_points(cell: Any) -> bool:
    """Return whether the mark of a cell is what it shows."""
    about = cell.metadata.get("nbgrader")
    return isinstance(about, dict) and bool(about.get("grade")) and not about.get("solution")


def parse_check(source: str) -> tuple[str, str] | None:
    """Return the exercise's name and the candidate's expression, if a cell is nothing but a check.

    Examples
    --------
    >>> parse_check('check("attention.split_heads", (split_heads, merge_heads))')
    ('attention.split_heads', '(split_heads, merge_heads)')
    >>> parse_check("x = 1")
    """
    if len(source) > 10_000 or (source.isascii() and "check" not in source):  # other letters may stand for these
        return None
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match body:
        case [ast.Expr(ast.Call(ast.Name("check"), [ast.Constant(str(name)), candidate], []))]:
            return name, ast.unparse(candidate)
    return None


def write_mark(cell: Any, report: Report | None) -> None:
    """Write a report into the outputs of its check cell, as the notebook's own check does."""
    assert report is not None
    cell.execution_count = None
    shown = {"text/plain": repr(float(report.score))}
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": f"{report.feedback}\n"},
        {"output_type": "execute_result", "data": shown, "metadata": {}, "execution_count": None},
    ]
    cell.outputs = [nbformat.from_dict(output) for output in outputs]


def no_check(
    exercise: Exercise,
    words: str = "The check of this exercise is not in the notebook, so that nothing could be graded.",
) -> Report:
    """Return the report of an exercise whose check is not in the notebook, or could not be reached."""
    return write_report(exercise.name, 0.0, exercise.points, "missing", [("missing", words)])


def asked_of(check: CheckCell) -> dict[str, Any]:
    """Return what the search of the text has to know of a check, as plain data."""
    return {
        "position": check.position,
        "expression": check.expression,
        "forbidden": list(check.exercise.forbidden),
        "home": f"mlcourse.{check.exercise.chapter}",
    }


def _one_thread() -> None:
    """Let torch use one thread here: inputs are small, and many threads would only wait for one another."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
