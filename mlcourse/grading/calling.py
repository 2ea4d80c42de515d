"""One call of code that nobody has to trust, and what came of it, as plain data.

It needs nothing of the course but `plain`, so that the same code makes the call in the notebook and in the sandbox.
"""

from __future__ import annotations

import contextlib
import copy
import io
import linecache
import re
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from mlcourse.grading.plain import NotPlainError, identical, to_plain

PRINTED_LIMIT = 2_000
EXECUTABLE = sys.executable  # as it is before a notebook runs
LIBRARIES = (  # how the names of files begin that no student has written
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    __file__.rpartition("grading")[0],
    "<frozen",
    "<__array_function__",
)


class CallTimeoutError(BaseException):
    """The submission used up its time. No ordinary ``except`` of a submission catches it."""


class ShortcutUsedError(BaseException):
    """The submission called what it was asked to write. No ordinary ``except`` of a submission catches it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


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
    ended: bool = False  # the submission's process is gone, and with it every further call
    changed: tuple[str, ...] = ()
    printed: str = ""
    shortcut: str | None = None  # the forbidden function that was called

    @property
    def is_final(self) -> bool:
        """Whether no further call is made without being asked: it would end in the same way, after a long time."""
        unwritten = self.failure is not None and self.failure.unwritten
        return self.timed_out or self.ended or unwritten or self.shortcut is not None

    @property
    def returned(self) -> bool:
        """Whether there is a value to compare."""
        return self.failure is None and self.refused is None and self.shortcut is None and not self.timed_out


def make_call(
    run: Callable[[dict[str, Any]], Any],
    inputs: dict[str, Any],
    clock: Clock,
    watch: AbstractContextManager[Any] | None = None,
) -> Outcome:
    """Return the outcome of ``run`` on a copy of the inputs; those given stay as they are.

    ``watch`` is entered around the call, and may end it with a `ShortcutUsedError`.
    """
    given = {name: copied(value) for name, value in inputs.items()}
    printed = Printed()
    watch = watch or contextlib.nullcontext()
    value, failure, refused, shortcut = None, None, None, None
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), on_the_cpu(), clock, watch:
            value = to_plain(run(given))
    except NotPlainError as error:
        refused = str(error)
    except ShortcutUsedError as error:
        shortcut = error.name
    except CallTimeoutError:
        pass
    except KeyboardInterrupt:
        raise  # the person at the keyboard, not the submission
    except BaseException as error:
        failure = describe(error)
    if clock.rang:  # whatever came back after that came too late
        value, failure, refused = None, None, None
    return Outcome(
        value,
        failure,
        refused,
        clock.rang,
        changed=changed_inputs(inputs, given),
        printed=printed.getvalue()[:PRINTED_LIMIT],
        shortcut=shortcut,
    )


def call_by_position(implementation: Any, positional: list[str], inputs: dict[str, Any]) -> Any:
    """Call with the named inputs by position and the others by keyword."""
    keywords = {name: value for name, value in inputs.items() if name not in positional}
    return implementation(*(inputs[name] for name in positional), **keywords)


class Clock:
    """Raises `CallTimeoutError` inside its block after so many seconds, again and again until the block ends.

    ``processor`` counts the seconds of the processor, so that a busy machine changes no mark, and ends a call that
    only waits after ``patience`` times as long. Where there are no alarms (Windows, threads) the clock only measures:
    ``rang`` is set when the block is over.
    """

    AGAIN = 0.1  # seconds until the next alarm, for code that swallows the first

    def __init__(self, seconds: float, *, processor: bool = False, patience: float = 4.0) -> None:
        self.seconds = seconds
        self.processor = processor
        self.longest = seconds * (patience if processor else 1)  # on the wall
        self.rang = False
        self.alarms = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")

    def __enter__(self) -> Clock:
        self.start = time.monotonic()
        if self.alarms:
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, self.longest, self.AGAIN)
            if self.processor:
                self.before_processor = signal.signal(signal.SIGPROF, self._ring)
                signal.setitimer(signal.ITIMER_PROF, self.seconds, self.AGAIN)
        return self

    def __exit__(self, *error: object) -> None:
        if self.alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)
            if self.processor:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.signal(signal.SIGPROF, self.before_processor)
        self.rang = self.rang or time.monotonic() - self.start > self.longest

    def _ring(self, signum: int, frame: Any) -> None:
        self.rang = True
        raise CallTimeoutError


@contextlib.contextmanager
def on_the_cpu() -> Iterator[None]:
    """Make new torch tensors live on the CPU, whatever default device the notebook has set."""
    torch = sys.modules.get("torch")
    if torch is None or torch.get_default_device().type == "cpu":  # the mode would slow down every function of torch
        yield
        return
    with torch.device("cpu"):
        yield


def changed_inputs(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the inputs that a call altered."""
    return tuple(name for name in before if not _unchanged(before[name], after[name]))


def copied(value: Any) -> Any:
    """Return a copy with nothing in common; arrays and tensors, the usual inputs, without the detours of deepcopy."""
    torch = sys.modules.get("torch")
    if type(value) is np.ndarray and value.dtype.kind != "O":
        return value.copy()
    if torch is not None and type(value) is torch.Tensor and not value.requires_grad and value.layout is torch.strided:
        return value.clone(memory_format=torch.preserve_format)
    return copy.deepcopy(value)


def _unchanged(before: Any, after: Any) -> bool:
    if _same_bytes(before, after):
        return True
    try:
        expected = to_plain(before)
    except NotPlainError:
        return True  # an input that is no plain data, such as a function, cannot be compared
    try:
        return identical(expected, to_plain(after))
    except NotPlainError:
        return False


def _same_bytes(before: Any, after: Any) -> bool:
    """Return whether two arrays or tensors are alike to the last bit, which is seen without making them plain data."""
    torch = sys.modules.get("torch")
    if torch is not None and type(before) is type(after) is torch.Tensor:
        try:
            before, after = before.detach().numpy(), after.detach().numpy()
        except (TypeError, RuntimeError):  # one that NumPy cannot read in place
            return False
    if not type(before) is type(after) is np.ndarray or before.dtype.kind == "O":
        return False
    return before.dtype == after.dtype and before.shape == after.shape and before.tobytes() == after.tobytes()


def describe(error: BaseException) -> Failure:
    """Turn an exception into plain data, with the line of the submission's own code that raised it."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame, number) for frame, number in frames if not is_library(frame.f_code.co_filename)]
    raised_here = bool(own) and own[-1] == frames[-1]  # and not in a library that was called
    return Failure(
        kind=type(error).__name__,
        family=tuple(cls.__name__ for cls in type(error).__mro__),
        message=_message(error),
        entered=own[0][0].f_code.co_name if own else "",
        function=own[-1][0].f_code.co_name if own else "",
        line=_line(*own[-1]) if own else "",
        unwritten=isinstance(error, NotImplementedError) and raised_here,
    )


def _line(frame: FrameType, number: int | None) -> str:
    """Return a line of source; of the one that is shown, because each file would be looked for on the disk."""
    if number is None:  # code that was made by hand may have no lines
        return ""
    name = frame.f_code.co_filename
    linecache.checkcache(name)
    return linecache.getline(name, number, frame.f_globals).strip()


def _message(error: BaseException) -> str:
    clock = Clock(1.0)
    try:
        with clock:
            return str(str(error)[:500])
    except BaseException:  # a hostile __str__ may raise anything, or never end
        return ""


def is_library(filename: str) -> bool:
    """Return whether a source file belongs to Python, to an installed package or to the course."""
    return filename.startswith(LIBRARIES) or filename == EXECUTABLE
