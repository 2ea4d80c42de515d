"""Grades one notebook: runs its cells in the sandbox, then tries the candidate of every check.

The marks are computed here, in the trusted process. What a cell shows is collected before any hidden case is asked.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import nbformat

from mlcourse.exercises import chapter_exercises
from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.diagnosis import WorkedOutcomes
from mlcourse.grading.evaluate import PUBLIC_SEED, Grading, Prepared, prepare, refuse_shortcut, what_is_missing
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import WarmParent
from mlcourse.grading.sandbox.remote import RemoteCandidate
from mlcourse.grading.sandbox.replies import Picked, picked_of
from mlcourse.grading.sandbox.session import Branch, Session
from mlcourse.grading.wire import WireError

PICK_SECONDS = 20.0
NOT_SEARCHED = "The notebook's text could not be searched for functions that are not allowed. Is a cell very long?"


@dataclass
class CheckCell:
    """A check of the notebook: its cell, the exercise, and the expression of the candidate."""

    cell: Any
    exercise: Exercise
    expression: str
    position: int  # how many code cells stand before it, checks left out


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
    """

    def __init__(
        self,
        assignment: str,
        seed: int | None = None,
        limits: Limits | None = None,
        isolation: str = "auto",
        secret: Iterable[Any] = (),
    ) -> None:
        self.assignment = assignment
        self.exercises = chapter_exercises(assignment)
        self.reveal = seed is None or seed == PUBLIC_SEED
        self.seed = PUBLIC_SEED if seed is None else seed
        self.limits = limits or Limits()
        self.own_seed = self.seed
        self.worked: WorkedOutcomes = {}
        self.prepared: dict[str, Prepared] = {}
        self.parent = WarmParent(uses_of(assignment), modules_of(assignment), self.limits, isolation, secret)

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm parent."""
        self.parent.close()

    def grade(self, notebook: Any, files: Mapping[str, bytes] | None = None) -> Graded:
        """Grade a notebook (nbformat 4) and write all outputs into its cells.

        ``files`` are those that lie beside it, by their paths.
        """
        start = time.monotonic()
        checks = find_checks(notebook, self.exercises)
        self.own_seed = self.seed if self.reveal else seed_of(self.seed, notebook, files or {})
        self.prepared = {}
        marked = {id(check.cell): check for check in checks}
        with Session(self.parent, files) as session:
            attempts = self._run_cells(session, notebook, marked)
            for attempt in attempts:
                attempt.begin()
            for attempt in attempts:
                attempt.report = attempt.finish()
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

    def _run_cells(self, session: Session, notebook: Any, marked: dict[int, CheckCell]) -> list[Attempt]:
        """Run every cell, keep a copy at every check, and return what is to be tried."""
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        sources = [str(cell.source) for cell in cells if id(cell) not in marked]
        asked = {check.exercise.name: _asked(check) for check in marked.values()}
        shortcuts = session.analyse(sources, asked)
        self.troubles: list[str] = []
        if shortcuts is None:
            self.troubles.append("the text could not be searched for shortcuts, so that no check was tried")
        attempts = []
        number = 0
        written = [cell for cell in cells if str(cell.source).strip()]
        for cell in cells:
            if id(cell) in marked:
                check = marked[id(cell)]
                branch = session.last_branch() if cell is written[-1] else session.branch()
                attempt = Attempt(self, notebook, session, check, branch)
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
        session.finish()
        return attempts


class Attempt:
    """One exercise of one submission: the candidate at its check, tried in two steps."""

    def __init__(
        self, grader: Grader, notebook: Any, session: Session, check: CheckCell, branch: Branch | None
    ) -> None:
        self.grader = grader
        self.notebook = notebook
        self.session = session
        self.check = check
        self.exercise = check.exercise
        self.branch = branch
        self.report: Report | None = None
        self.grading: Grading | None = None
        self.picked: Picked | None = None

    def begin(self) -> None:
        """Find the candidate and try the worked cases."""
        if self.report:
            return
        prepared = self.grader.prepare(self.exercise)
        picked = self._picked()
        if isinstance(picked, str):
            self.refuse("missing", "missing", picked)
            return
        self.picked = picked
        lacking = what_is_missing(self.exercise, picked.parts)
        if lacking:
            self.refuse("missing", "missing", lacking)
        elif picked.shortcut:
            self.report = refuse_shortcut(self.exercise, picked.shortcut)
        else:
            candidate = self._candidate(self.exercise, picked.handle, self._renewed)
            self.grading = Grading(prepared, candidate, self._failing_earlier, reveal=self.grader.reveal)
            self.grading.try_worked()

    def refuse(self, status: str, label: str, words: str) -> None:
        """Give no points, and say why."""
        self.report = write_report(self.exercise.name, 0.0, self.exercise.points, status, [(label, words)])

    def finish(self) -> Report:
        """Try everything else."""
        if self.report is None:
            assert self.grading is not None
            self.report = self.grading.finish()
        if self.branch:
            self.branch.close()
        return self.report

    def _picked(self) -> Picked | str:
        """Return the candidate, or why there is none; a copy that was lost is made again once."""
        for _ in range(2):
            if self.branch is None:
                self.branch = self.session.again(self.check.position)
            if self.branch is None:
                break
            try:
                found = self._pick(self.exercise, self.check.expression)
            except WireError:
                self.branch = None
                continue
            return self._why_undefined(found) if isinstance(found, str) else found
        return "The submission's process was gone before this check, and could not be made again."

    def _why_undefined(self, name: str) -> str:
        """Return why a name is not there: an error of the cell above the check, where there is one."""
        error = error_above(self.notebook, self.check.cell)
        if error:
            return f"{name} is not defined, because the cell above its check fails: {error}. Mend that cell first."
        return f"{name} is not defined. Did its cell run?"

    def _pick(self, exercise: Exercise, expression: str) -> Picked | str:
        assert self.branch is not None
        home = f"mlcourse.{exercise.chapter}"
        request = {"expression": expression, "forbidden": list(exercise.forbidden), "home": home}
        return picked_of(self.branch.ask(PICK_SECONDS, do="pick", **request))

    def _candidate(
        self, exercise: Exercise, handle: int, renew: Callable[[], tuple[Branch, int] | None] = lambda: None
    ) -> RemoteCandidate:
        assert self.branch is not None
        seconds = min(self.grader.limits.exercise_seconds, self.session.left)
        return RemoteCandidate(exercise, self.branch, handle, self._why, renew, seconds)

    def _renewed(self) -> tuple[Branch, int] | None:
        """Return a new copy and handle, where the copy was ended because another exercise used too much."""
        if self.branch is None or not self.session.is_orphan(self.branch):
            return None
        self.branch.close()
        self.branch = None
        picked = self._picked()
        return None if isinstance(picked, str) or self.branch is None else (self.branch, picked.handle)

    def _why(self, branch: Branch, error: WireError) -> str:
        words = self.session.why(branch.child, error, "Your code")
        return words.replace(" What was defined above it is there again.", "")

    def _failing_earlier(self) -> list[str]:
        """Return the student's functions for other exercises that the candidate calls and that fail their checks."""
        failing: list[str] = []
        if self.picked is None or self.branch is None or self.branch.closed:
            return failing
        for sibling in self.grader.exercises.values():
            names = names_of(sibling)
            if sibling is self.exercise or not self.picked.called & set(names):
                continue
            try:
                found = self._pick(sibling, expression_of(names))
            except WireError:
                break
            if isinstance(found, str) or what_is_missing(sibling, found.parts):
                continue
            trial = Grading(self.grader.prepare(sibling), self._candidate(sibling, found.handle), reveal=False)
            trial.try_worked()
            if trial.finish().status != "passed":
                failing += [name for name in names if name in self.picked.called]
        return failing


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


def error_above(notebook: Any, check: Any) -> str | None:
    """Return the error of the code cell that stands next above a check, in words; None where it ran."""
    above: list[Any] = []
    for cell in notebook.cells:
        if cell is check:
            break
        if cell.cell_type == "code" and str(cell.source).strip():
            above.append(cell)
    shown = above[-1].get("outputs", []) if above else []
    error = next((output for output in shown if output.output_type == "error"), None)
    return None if error is None else f"{error.ename}: {error.evalue.strip()[:300]}".rstrip(".: ")


def names_of(exercise: Exercise) -> list[str]:
    """Return the names of the functions that an exercise asks for."""
    if isinstance(exercise.reference, tuple):
        return [part.__name__ for part in exercise.reference]
    return [exercise.short_name]


def expression_of(names: list[str]) -> str:
    """Return the expression of a check for functions of these names."""
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def find_checks(notebook: Any, exercises: dict[str, Exercise]) -> list[CheckCell]:
    """Return the checks of a notebook in order: for each exercise the last cell that is nothing but its check."""
    found: dict[str, CheckCell] = {}
    position = 0
    candidates = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            candidates.append((cell, parse_check(str(cell.source))))
    last = {parsed[0]: id(cell) for cell, parsed in candidates if parsed and parsed[0] in exercises}
    for cell, parsed in candidates:
        if parsed and last.get(parsed[0]) == id(cell):
            found[parsed[0]] = CheckCell(cell, exercises[parsed[0]], parsed[1], position)
        else:
            position += 1
    return list(found.values())


def parse_check(source: str) -> tuple[str, str] | None:
    """Return the exercise's name and the candidate's expression, if a cell is nothing but a check.

    Examples
    --------
    >>> parse_check('check("attention.split_heads", (split_heads, merge_heads))')
    ('attention.split_heads', '(split_heads, merge_heads)')
    >>> parse_check("x = 1")
    """
    if len(source) > 10_000:
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
    text = nbformat.v4.new_output("stream", name="stdout", text=f"{report.feedback}\n")
    mark = nbformat.v4.new_output("execute_result", {"text/plain": repr(float(report.score))}, execution_count=None)
    cell.outputs = [text, mark]


def no_check(
    exercise: Exercise,
    words: str = "The check of this exercise is not in the notebook, so that nothing could be graded.",
) -> Report:
    """Return the report of an exercise whose check is not in the notebook, or could not be reached."""
    return write_report(exercise.name, 0.0, exercise.points, "missing", [("missing", words)])


def _asked(check: CheckCell) -> dict[str, Any]:
    return {
        "position": check.position,
        "expression": check.expression,
        "forbidden": list(check.exercise.forbidden),
        "home": f"mlcourse.{check.exercise.chapter}",
    }


def uses_of(assignment: str) -> tuple[str, ...]:
    """Return the chapters whose references an assignment may import: what its exercises declare as ``USES``."""
    return tuple(getattr(_declarations(assignment), "USES", ()))


def modules_of(assignment: str) -> tuple[str, ...]:
    """Return the libraries that its submissions need and that take long to import."""
    return ("torch",) if hasattr(_declarations(assignment), "torch") else ()


def _declarations(assignment: str) -> Any:
    return importlib.import_module(f"mlcourse.exercises.{assignment}")
