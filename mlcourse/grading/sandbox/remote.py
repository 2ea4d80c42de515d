"""A candidate that lives in another process."""

from __future__ import annotations

import functools
import inspect
import textwrap
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from mlcourse.exercises.protocol import Exercise, call_candidate
from mlcourse.grading.calling import Failure, Outcome
from mlcourse.grading.candidate import positional_names
from mlcourse.grading.plain import PlainArray, to_plain
from mlcourse.grading.sandbox.replies import outcome_of
from mlcourse.grading.sandbox.session import GRACE, Branch
from mlcourse.grading.wire import MAX_BLOCK, WireError, WireTimeoutError

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
        return next(self.calls([inputs]))

    def calls(self, several: Sequence[dict[str, Any]]) -> Generator[Outcome, None, None]:
        """Yield the outcomes of several calls, which are asked for together; one that has ended is the last.

        Who stops before the end must not use the copy any more, unless the last outcome was final.
        """
        place = 0
        while place < len(several):
            if self.left <= 0:
                yield Outcome(timed_out=True, ended=True)
                return
            again = self.renew()
            if again is not None:
                self.branch, self.handle = again
            asked = [{name: to_plain(value) for name, value in inputs.items()} for inputs in several[place:]]
            for outcome in self._ask(fitting(asked)):
                place += 1
                yield outcome
                if outcome.ended:
                    return
                if outcome.is_final:
                    break

    def _ask(self, several: list[dict[str, Any]]) -> Iterator[Outcome]:
        """Yield what comes back to one request, until one answer is final."""
        limit = self.exercise.time_limit
        start = time.monotonic()
        try:
            self.branch.send(
                do="calls",
                handle=self.handle,
                several=several,
                positional=positional_names(self.exercise.reference, several[0]) if self.run is None else [],
                run=self.run,
                seconds=float(limit),
            )
            for inputs in several:
                outcome = outcome_of(self.branch.receive(min(PATIENCE * limit + GRACE, self.left)), inputs)
                self.left -= time.monotonic() - start  # only what it uses itself: other exercises are tried in between
                yield outcome
                start = time.monotonic()
                if outcome.is_final:
                    return
        except WireTimeoutError:
            self.left -= time.monotonic() - start
            yield Outcome(timed_out=True, ended=True)
        except WireError as error:
            words = self.why(self.branch, error)
            self.branch.close()
            kind = "ProcessEnded"
            yield Outcome(failure=Failure(kind, (kind,), words, "", "", "", False), ended=True)


def fitting(several: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first of these inputs, in plain data, that fit into one request; one at least.

    Examples
    --------
    >>> import numpy as np
    >>> large = {"x": PlainArray("numpy", np.zeros(MAX_BLOCK // 16))}
    >>> len(fitting([large] * 3)), len(fitting([{"x": 1.0}] * 3))
    (1, 3)
    """
    room = MAX_BLOCK // 2
    for count, inputs in enumerate(several):
        room -= sum(value.data.nbytes for value in inputs.values() if isinstance(value, PlainArray))
        if room < 0:
            return several[: max(count, 1)]
    return several


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
