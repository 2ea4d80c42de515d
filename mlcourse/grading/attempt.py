"""One exercise of one submission: the candidate at its check, tried in a copy of the submission's process.

Checks that may wait for the end of the notebook are first tried one after another in one process. What fails there,
where another exercise may have been the cause, is tried again in a fresh process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.evaluate import Grading, Prepared, what_is_missing
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.remote import RemoteCandidate
from mlcourse.grading.sandbox.replies import Picked, picked_of
from mlcourse.grading.sandbox.session import Branch, Session
from mlcourse.grading.wire import WireError

PICK_SECONDS = 20.0


@dataclass
class CheckCell:
    """A check of the notebook: its cell, the exercise, and the expression of the candidate."""

    cell: Any
    exercise: Exercise
    expression: str
    position: int  # how many code cells stand before it, checks left out


class Course(Protocol):
    """What an attempt needs of the grader: the exercises, and their cases for this submission."""

    exercises: dict[str, Exercise]
    limits: Limits
    reveal: bool

    def prepare(self, exercise: Exercise) -> Prepared:
        """Return the cases of an exercise for this submission, computed once."""
        ...


class Attempt:
    """One exercise of one submission, tried in two steps.

    Parameters
    ----------
    course : Course
    notebook : nbformat notebook
        With the outputs of its cells.
    session : Session
    check : CheckCell
    branch : Branch or None
        The copy that was made at the check. None where it could not be made, or is not needed.
    waits : bool
        Whether the state at the end serves as well, so that no copy was made.
    """

    def __init__(
        self, course: Course, notebook: Any, session: Session, check: CheckCell, branch: Branch | None, waits: bool
    ) -> None:
        self.course = course
        self.notebook = notebook
        self.session = session
        self.check = check
        self.exercise = check.exercise
        self.branch = branch
        self.waits = waits
        self.shares = waits  # whether the copy in use serves other checks too
        self.report: Report | None = None
        self.grading: Grading | None = None
        self.picked: Picked | None = None

    def begin(self) -> None:
        """Find the candidate and try the worked cases."""
        if self.report:
            return
        if not self.shares:
            self._begin()
            return
        self.branch = self.session.shared_branch()
        clean = self.branch is not None and not self.branch.used
        self._begin()
        if self.branch is not None:
            self.branch.used = True
        over = self.grading is not None and self.grading.over
        if over:  # what an interrupted call has left behind is nobody else's concern
            self.session.leave_shared()
        if over and clean:
            self.shares = False
        elif not self._spotless() and self._leave():
            self._begin()

    def settle(self) -> None:
        """Try everything else; what failed where other exercises were tried has no report yet."""
        self._rest()
        if self.report or not self.shares or (self.grading and self.grading.passed) or not self._has_time():
            self._conclude()

    def finish(self) -> Report:
        """Return the report, after a second try where it takes one: nothing of the submission runs beside that."""
        if self.report is None:
            self.session.end_all()
            if self._leave():
                self._begin()
                self._rest()
            self._conclude()
        assert self.report is not None
        return self.report

    def _conclude(self) -> None:
        if self.report is None:
            assert self.grading is not None
            self.report = self.grading.report()
        if self.branch and not self.shares:
            self.branch.close()

    def refuse(self, status: str, label: str, words: str) -> None:
        """Give no points, and say why."""
        self.report = write_report(self.exercise.name, 0.0, self.exercise.points, status, [(label, words)])

    def _begin(self) -> None:
        prepared = self.course.prepare(self.exercise)
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
            candidate = self._candidate(self.exercise, picked.handle)
            self.grading = Grading(prepared, candidate, self._failing_earlier, reveal=self.course.reveal)
            self.grading.try_worked()

    def _rest(self) -> None:
        if self.report is None and self.grading is not None:
            self.grading.try_rest()

    def _has_time(self) -> bool:
        return self.session.left >= self.course.limits.exercise_seconds

    def _leave(self) -> bool:
        """Take a process in which no other exercise was tried; False where there is none, or no time for it."""
        if not self._has_time():
            return False
        branch = self.session.fresh()
        if branch is None:
            return False
        self.branch, self.shares = branch, False
        self.report = self.grading = self.picked = None
        return True

    def _spotless(self) -> bool:
        return self.report is None and self.grading is not None and self.grading.spotless

    def _new_branch(self) -> Branch | None:
        return self.session.fresh() if self.waits else self.session.again(self.check.position)

    def _picked(self) -> Picked | str:
        """Return the candidate, or why there is none; a copy that was lost is made again once."""
        for _ in range(2):
            if self.branch is None:
                self.branch = self._new_branch()
                self.shares = False
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
        patience = min(PICK_SECONDS, max(self.session.left, 1.0))  # once over, a second for one that answers at once
        return picked_of(self.branch.ask(patience, do="pick", **request))

    def _candidate(self, exercise: Exercise, handle: int) -> RemoteCandidate:
        assert self.branch is not None
        seconds = min(self.course.limits.exercise_seconds, self.session.left)
        renew = self._renewed if exercise is self.exercise else lambda: None
        return RemoteCandidate(exercise, self.branch, handle, self._why, renew, seconds)

    def _renewed(self) -> tuple[Branch, int] | None:
        """Return a new copy and handle, where the copy was ended because another exercise used too much.

        One that is shared is not made again: what fails in it is tried in a copy of its own.
        """
        if self.branch is None or self.shares or not self.session.is_orphan(self.branch):
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
        for sibling in self.course.exercises.values():
            names = names_of(sibling)
            if sibling is self.exercise or not self.picked.called & set(names):
                continue
            try:
                found = self._pick(sibling, expression_of(names))
            except WireError:
                break
            if isinstance(found, str) or what_is_missing(sibling, found.parts):
                continue
            trial = Grading(self.course.prepare(sibling), self._candidate(sibling, found.handle), reveal=False)
            trial.try_worked()
            trial.try_rest()
            if trial.report().status != "passed":
                failing += [name for name in names if name in self.picked.called]
        return failing


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
