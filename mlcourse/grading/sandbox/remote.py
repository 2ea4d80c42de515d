"""A candidate that lives in another process."""

from __future__ import annotations

import functools
import inspect
import textwrap
import time
from collections.abc import Callable
from typing import Any

from mlcourse.exercises.protocol import Exercise, call_candidate
from mlcourse.grading.calling import Failure, Outcome
from mlcourse.grading.candidate import positional_names
from mlcourse.grading.plain import to_plain
from mlcourse.grading.sandbox.replies import outcome_of
from mlcourse.grading.sandbox.session import GRACE, Branch
from mlcourse.grading.wire import WireError, WireTimeoutError

PATIENCE = 4.0  # a call that only waits may take so many times the exercise's seconds


class RemoteCandidate:
    """Answers `Candidate.call` by asking a copy of the submission's process.

    Parameters
    ----------
    branch : Branch
        The copy that was made at the exercise's check.
    handle : int
        Which of its candidates is meant.
    why : callable
        ``why(branch, error)`` says in words why there was no answer.
    renew : callable
        ``renew()`` is asked before each call. It returns a new branch and handle where this one was ended with another
        exercise's, and None otherwise.
    seconds : float
        On the wall, for all calls together.
    """

    def __init__(
        self,
        exercise: Exercise,
        branch: Branch,
        handle: int,
        why: Callable[[Branch, WireError], str],
        renew: Callable[[], tuple[Branch, int] | None],
        seconds: float,
    ) -> None:
        self.exercise = exercise
        self.branch = branch
        self.handle = handle
        self.why = why
        self.renew = renew
        self.left = seconds
        self.run = run_source(exercise)

    def call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call."""
        if self.left <= 0:
            return Outcome(timed_out=True, ended=True)
        again = self.renew()
        if again is not None:
            self.branch, self.handle = again
        start = time.monotonic()
        try:
            return self._ask(inputs)
        finally:  # only what it uses itself: other exercises are tried in between
            self.left -= time.monotonic() - start

    def _ask(self, inputs: dict[str, Any]) -> Outcome:
        limit = self.exercise.time_limit
        try:
            return outcome_of(
                self.branch.ask(
                    min(PATIENCE * limit + GRACE, self.left),
                    do="call",
                    handle=self.handle,
                    inputs={name: to_plain(value) for name, value in inputs.items()},
                    positional=positional_names(self.exercise.reference, inputs) if self.run is None else [],
                    run=self.run,
                    seconds=float(limit),
                )
            )
        except WireTimeoutError:
            return Outcome(timed_out=True, ended=True)
        except WireError as error:
            words = self.why(self.branch, error)
            self.branch.close()
            kind = "ProcessEnded"
            return Outcome(failure=Failure(kind, (kind,), words, "", "", "", False), ended=True)


def run_source(exercise: Exercise) -> dict[str, str] | None:
    """Return the text of an exercise's own way to run a submission, which stands alone; None for a mere call.

    The text goes to the submission's process, and nothing else of the exercise does.
    """
    if exercise.run is call_candidate:
        return None
    return {"source": _text_of(exercise.run), "name": exercise.run.__name__}


@functools.cache
def _text_of(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function))
