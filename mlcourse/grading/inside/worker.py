"""One submission in its own process: answers the grader's requests, cell by cell and call by call.

Whatever this process says is only believed as far as it concerns this submission: the grader compares what it returns.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlcourse.grading.calling import Clock, Outcome, call_by_position, make_call
from mlcourse.grading.forbidden import called_names, forbidden_use
from mlcourse.grading.inside.apart import checks_apart
from mlcourse.grading.inside.shell import Notebook
from mlcourse.grading.inside.texts import Texts
from mlcourse.grading.inside.words import names_nothing_forbidden
from mlcourse.grading.plain import from_plain
from mlcourse.grading.shortcuts import Check, ExhaustedError, find_shortcuts, too_deep
from mlcourse.grading.shortcuts.trees import read
from mlcourse.grading.watch import Watch
from mlcourse.grading.wire import ClosedError, WireError, pack, receive_with_descriptor, send, send_frame

REHEARSED = """if False:  # read and compiled as any cell, and nothing is left of it

    def double(x, *, times=1):
        '''Return a list of numbers, each so many times doubled.'''
        found = [2**times * part for part in x]
        return {"doubled": found} if x else None
"""
FORK_TRIES, FORK_PAUSE = 50, 0.1


class Worker:
    """Answers requests on one channel; `serve` ends when the grader closes it."""

    def __init__(self, channel: socket.socket, notebook: Notebook) -> None:
        self.channel = channel
        self.process = os.getpid()
        self.notebook = notebook
        self.candidates: list[tuple[Any, Watch]] = []
        self.texts = Texts(self.refuse, notebook.shell.user_ns)
        self.trying = False  # a candidate, and not a cell
        self.answers: dict[str, Callable[..., Any]] = {
            "analyse": self.analyse,
            "files": self.files,
            "cell": self.cell,
            "pick": self.pick,
        }

    def rehearse(self) -> None:
        """Do once what every submission asks for when it runs.

        The memory that this writes to is then this process's own. It leaves no trace: no name, no number of a cell, no
        candidate.
        """
        self.notebook.shell.run_cell(REHEARSED, store_history=False, silent=True)
        forbidden_use(_described, ("numpy.dot",), ())
        called_names(_described)
        torch = sys.modules.get("torch")
        value = np.ones(2) if torch is None else torch.ones(2, dtype=torch.float64)
        outcome = make_call(lambda given: given["x"] @ given["x"], {"x": value}, Clock(5.0, processor=True))
        pack(as_message(outcome))

    def serve(self) -> None:
        """Answer one request after another."""
        self.texts.listen()
        while True:
            try:
                request, descriptor = receive_with_descriptor(self.channel)
            except ClosedError:
                return
            if descriptor is not None:
                self.branch(descriptor)
                continue
            kind = request.pop("do")
            if kind == "calls":
                self.calls(**request)
            else:
                self._answer(pack(self.answers[kind](**request)))

    def _answer(self, frame: bytes) -> None:
        if os.getpid() != self.process:  # a copy that the submission made of itself: the first one answers
            os._exit(0)
        send_frame(self.channel, frame)

    def branch(self, descriptor: int) -> None:
        """Fork: the copy keeps the state as it is now and answers on a channel of its own."""
        other = socket.socket(fileno=descriptor)
        identity = _fork_patiently()
        if identity:
            other.close()
            send(self.channel, {"branch": identity})
            return
        self.channel.close()
        self.channel = other
        self.process = os.getpid()
        torch = sys.modules.get("torch")
        if torch is not None:  # the threads that a cell asked for did not survive the fork
            torch.set_num_threads(1)

    def cell(self, source: str) -> dict[str, Any]:
        """Run one cell."""
        self.texts.cells.append(source)
        with self.listening():
            return self.notebook.run(source)

    def files(self, files: dict[str, Any], folder: str, modules: dict[str, str]) -> dict[str, Any]:
        """Write what lies beside the notebook into the folder in which it runs."""
        os.chdir(folder)
        self.texts.modules = modules
        for name, content in files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.data.tobytes())
        return {}

    def analyse(self, cells: list[str], checks: dict[str, dict[str, Any]], modules: dict[str, str]) -> dict[str, Any]:
        """Return the shortcuts that the text of a submission takes, and the cells that cannot be searched for them.

        Also the checks that may wait for the end. Asked before any of it has run.
        """
        plain = [self._transformed(cell) for cell in cells]
        asked = {
            name: Check(check["position"], check["expression"], tuple(check["forbidden"]), check["home"])
            for name, check in checks.items()
        }
        hidden = [position for position, cell in enumerate(plain) if too_deep(cell)]
        try:
            reached = modules or not names_nothing_forbidden(plain, asked)
            found = find_shortcuts(plain, asked, modules) if reached else {}
            apart = checks_apart(
                plain, {name: (check.position, check.expression) for name, check in asked.items()}, list(modules)
            )
        except (ExhaustedError, MemoryError):
            return {"shortcuts": {}, "too_deep": hidden, "exhausted": True, "apart": []}
        finally:
            read.cache_clear()  # the next text needs the memory
        return {"shortcuts": found, "too_deep": hidden, "exhausted": False, "apart": apart}

    def _transformed(self, cell: str) -> str:
        try:
            return self.notebook.shell.transform_cell(cell)
        except Exception:  # a cell that is no Python fails again, in words, when it runs
            return cell

    def pick(self, expression: str, forbidden: list[str], home: str) -> dict[str, Any]:
        """Find a candidate by the expression of its check cell, and describe it."""
        self.texts.cells.append(expression)
        try:
            with self.listening():
                candidate = eval(expression, self.notebook.shell.user_ns)
        except NameError as error:
            return {"missing": getattr(error, "name", None) or expression}
        except Exception as error:
            return {"missing": f"{expression} ({type(error).__name__})"}
        if isinstance(candidate, list):
            candidate = tuple(candidate)
        parts = candidate if isinstance(candidate, tuple) else (candidate,)
        self.candidates.append((candidate, Watch(tuple(forbidden), self.tell)))
        return {
            "handle": len(self.candidates) - 1,
            "parts": [_described(part) for part in parts] if isinstance(candidate, tuple) else _described(candidate),
            "shortcut": _guarded(lambda: forbidden_use(candidate, tuple(forbidden), (), home), None),
            "called": sorted(_guarded(lambda: called_names(candidate), set())),
        }

    def tell(self, shortcut: str) -> None:
        """Answer that a forbidden function is called, before it runs, and end: nothing can take that back."""
        send_frame(self.channel, pack(as_message(Outcome(shortcut=shortcut))))
        os._exit(0)

    def refuse(self, words: str) -> None:
        """Answer that a text is about to run that nobody has read, and end before it does."""
        if os.getpid() != self.process:
            os._exit(0)
        if self.trying:
            self.tell(words)
        shown = {"outputs": self.notebook.recorder.taken(), "stopped": False, "count": 0, "unread": words}
        send_frame(self.channel, pack(shown))
        os._exit(0)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear of the texts that the submission's code compiles."""
        self.texts.listening = True
        try:
            yield
        finally:
            self.texts.listening = False

    def calls(
        self,
        handle: int,
        several: list[dict[str, Any]],
        positional: list[str],
        run: dict[str, str] | None,
        seconds: float,
    ) -> None:
        """Make several calls and answer with the outcome of each; the last is the first that `is_final`."""
        candidate, watch = self.candidates[handle]
        if run is None:

            def action(given: dict[str, Any]) -> Any:
                return call_by_position(candidate, positional, given)
        else:
            exercise = _defined(run["source"], run["name"])

            def action(given: dict[str, Any]) -> Any:
                return exercise(candidate, **given)

        self.trying = True
        for inputs in several:
            given = from_plain(inputs)
            with self.listening():
                outcome = make_call(action, given, Clock(seconds, processor=True), watch)
            try:
                frame = pack(as_message(outcome))
            except WireError as error:
                frame = pack(as_message(Outcome(refused=str(error), printed=outcome.printed)))
            self._answer(frame)
            if outcome.is_final:
                return


def _fork_patiently() -> int:
    """Fork; where the limit of processes is reached, wait a while for those that are ending."""
    for _ in range(FORK_TRIES):
        with contextlib.suppress(BlockingIOError):
            return os.fork()
        time.sleep(FORK_PAUSE)
    return os.fork()


def as_message(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as plain data."""
    failure = vars(outcome.failure) if outcome.failure else None
    return {
        "value": outcome.value,
        "failure": failure,
        "refused": outcome.refused,
        "timed_out": outcome.timed_out,
        "changed": list(outcome.changed),
        "printed": outcome.printed,
        "shortcut": outcome.shortcut,
    }


def _described(part: Any) -> dict[str, Any]:
    """Return what the grader must know of a candidate before it calls it."""
    name = _guarded(lambda: str(getattr(part, "__name__", "")), "")
    return {"name": name[:200], "callable": callable(part), "type": type(part).__name__, "none": part is None}


def _guarded(question: Callable[[], Any], otherwise: Any) -> Any:
    """Ask an object about itself; odd ones answer with errors."""
    try:
        return question()
    except Exception:
        return otherwise


def _defined(source: str, name: str) -> Callable[..., Any]:
    """Return the exercise's own way to run a submission, from its text."""
    import numpy

    names: dict[str, Any] = {"np": numpy}
    try:
        import torch
    except ImportError:
        pass
    else:
        names["torch"] = torch
    exec(compile(source, __file__, "exec"), names)  # a file of the course: no line of the submission's own
    return names[name]
