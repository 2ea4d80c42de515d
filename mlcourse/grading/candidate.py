"""The one narrow call between the grader and a submission.

`Candidate.call` takes inputs and returns an `Outcome`; both are plain data. The grader knows nothing else of the
submission, so that the submission can live in this process (`LocalCandidate`) or in another one.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import re
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from mlcourse.exercises.protocol import Exercise, call_candidate
from mlcourse.grading.plain import NotPlainError, identical, to_plain

PRINTED_LIMIT = 2_000


class CallTimeoutError(BaseException):
    """The submission used up its time. No ordinary ``except`` of a submission catches it."""


class Printed(io.StringIO):
    """Keeps what a submission prints, also when it closes its output."""

    def close(self) -> None:
        """Do nothing: the grader still has to read what was printed."""


@dataclass(frozen=True)
class Failure:
    """An exception of a submission, as plain data."""

    kind: str  # "RuntimeError"
    family: tuple[str, ...]  # the names of the classes it derives from, itself first
    message: str
    entered: str  # the submission's function that was called
    function: str  # the one in which it was raised
    line: str  # the source line, when known
    unwritten: bool  # the stub's own NotImplementedError

    @property
    def sizes(self) -> list[str]:
        """The numbers in the message: two shape errors with the same numbers are the same error."""
        return sorted(re.findall(r"\d+", self.message))


@dataclass(frozen=True)
class Outcome:
    """What came back from one call: a value, or a failure, and what was done to the inputs."""

    value: Any = None
    failure: Failure | None = None
    refused: str | None = None  # what was returned instead of plain data
    timed_out: bool = False
    changed: tuple[str, ...] = ()
    printed: str = ""

    @property
    def returned(self) -> bool:
        """Whether there is a value to compare."""
        return self.failure is None and self.refused is None and not self.timed_out


class Candidate(Protocol):
    """Whatever answers calls for one exercise."""

    def call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call with these inputs."""
        ...


class LocalCandidate:
    """A submission in this process: for one's own work, and for references and misconceptions."""

    def __init__(self, exercise: Exercise, implementation: Any) -> None:
        self.exercise = exercise
        self.implementation = implementation

    def call(self, inputs: dict[str, Any]) -> Outcome:
        """Return the outcome of one call; the inputs given stay as they are."""
        given = copy.deepcopy(inputs)
        printed = Printed()
        value, failure, refused = None, None, None
        clock = Clock(self.exercise.time_limit)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), on_the_cpu(), clock:
                value = to_plain(self._run(given))
        except NotPlainError as error:
            refused = str(error)
        except CallTimeoutError:
            pass
        except KeyboardInterrupt:
            raise  # the person at the keyboard, not the submission
        except BaseException as error:
            failure = describe(error)
        if clock.rang:  # whatever came back after that came too late
            value, failure, refused = None, None, None
        return Outcome(
            value, failure, refused, clock.rang, changed_inputs(inputs, given), printed.getvalue()[:PRINTED_LIMIT]
        )

    def _run(self, inputs: dict[str, Any]) -> Any:
        if self.exercise.run is not call_candidate:
            return self.exercise.run(self.implementation, **inputs)
        arguments, keywords = bind(self.exercise.reference, inputs)
        return self.implementation(*arguments, **keywords)


def bind(reference: Any, inputs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Split inputs into positional and keyword arguments, so that a submission may name its parameters as it likes."""
    parameters = inspect.signature(reference).parameters
    arguments, keywords = [], {}
    for name, parameter in parameters.items():
        if name not in inputs:
            break  # after a default that is left out, only keywords are safe
        if parameter.kind is parameter.KEYWORD_ONLY:
            break
        arguments.append(inputs[name])
    keywords = {name: value for name, value in inputs.items() if name not in list(parameters)[: len(arguments)]}
    return arguments, keywords


class Clock:
    """Raises `CallTimeoutError` inside its block after so many seconds, again and again until the block ends.

    Where there are no alarms (Windows, threads) it only measures: ``rang`` is set when the block is over.
    """

    AGAIN = 0.1  # seconds until the next alarm, for code that swallows the first

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rang = False
        self.alarms = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")

    def __enter__(self) -> Clock:
        self.start = time.monotonic()
        if self.alarms:
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self.seconds, self.AGAIN)
        return self

    def __exit__(self, *error: object) -> None:
        if self.alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)
        self.rang = self.rang or time.monotonic() - self.start > self.seconds

    def _ring(self, signum: int, frame: Any) -> None:
        self.rang = True
        raise CallTimeoutError


@contextlib.contextmanager
def on_the_cpu() -> Iterator[None]:
    """Make new torch tensors live on the CPU, whatever default device the notebook has set."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.device("cpu"):
        yield


def changed_inputs(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the inputs that a call altered."""
    return tuple(name for name in before if not _unchanged(before[name], after[name]))


def _unchanged(before: Any, after: Any) -> bool:
    try:
        expected = to_plain(before)
    except NotPlainError:
        return True  # an input that is no plain data, such as a function, cannot be compared
    try:
        return identical(expected, to_plain(after))
    except NotPlainError:
        return False


def describe(error: BaseException) -> Failure:
    """Turn an exception into plain data, with the line of the submission's own code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not is_library(frame.filename)]
    where = own[-1] if own else None
    return Failure(
        kind=type(error).__name__,
        family=tuple(cls.__name__ for cls in type(error).__mro__),
        message=_message(error),
        entered=own[0].name if own else "",
        function=where.name if where else "",
        line=(where.line or "").strip() if where else "",
        unwritten=isinstance(error, NotImplementedError) and bool(frames) and not is_library(frames[-1].filename),
    )


def _message(error: BaseException) -> str:
    clock = Clock(1.0)
    try:
        with clock:
            return str(str(error)[:500])
    except BaseException:  # a hostile __str__ may raise anything, or never end
        return ""


def is_library(filename: str) -> bool:
    """Return whether a source file belongs to Python, to an installed package or to the course."""
    homes = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    course = __file__.rpartition("grading")[0]
    return filename.startswith((*homes, course, "<frozen", "<__array_function__")) or filename == sys.executable
