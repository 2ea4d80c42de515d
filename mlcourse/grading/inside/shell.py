"""IPython without a kernel: runs cells in this process and records what they show."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import sys
import traceback
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from mlcourse.grading.calling import CallTimeoutError, Clock
from mlcourse.grading.inside.outputs import Descriptors, Recorder, Stream

SHOWN_FRAMES = 20  # at each end of a traceback


class ResultHook(DisplayHook):
    """Records the value of a cell's last expression."""

    shell: Any

    def write_output_prompt(self) -> None:
        """Print nothing: the prompt is a part of the notebook."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        """Record the value."""
        self.shell.recorder.shown("execute_result", format_dict, execution_count=self.prompt_count)

    def finish_displayhook(self) -> None:
        """Print nothing."""


class Publisher(DisplayPublisher):
    """Records what ``display`` shows."""

    shell: Any

    def publish(self, data: Any, metadata: Any = None, *args: Any, **more: Any) -> None:
        """Record one figure, table or text."""
        self.shell.recorder.shown("display_data", data)

    def clear_output(self, wait: bool = False) -> None:
        """Forget what the cell has shown so far."""
        self.shell.recorder.outputs.clear()


class Shell(InteractiveShell):
    """The notebook of one submission."""

    displayhook_class = Type(ResultHook)
    display_pub_class = Type(Publisher)
    recorder: Recorder

    def enable_gui(self, gui: str | None = None) -> None:
        """Accept ``%matplotlib inline`` and its kin; there is no window here."""

    def ask_exit(self) -> None:
        """Ignore ``exit()``, which ends a notebook's kernel, and would end the submission."""

    exit_now = False

    def showtraceback(self, exc_tuple: Any = None, *given: Any, **named: Any) -> None:
        """Show an exception; of a long traceback, as of a recursion without end, the two ends."""
        error = sys.exception() if exc_tuple is None else exc_tuple[1]
        with contextlib.suppress(Exception):
            shorten_traceback(error)
        super().showtraceback(exc_tuple, *given, **named)

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        try:
            message = str(str(evalue))
        except BaseException:
            message = ""
        self.recorder.error(getattr(etype, "__name__", "Error"), message, stb)


def warm_shell() -> Shell:
    """Return the shell that every submission begins with."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    Shell.clear_instance()
    shell: Shell = Shell.instance(config=config)
    shell.recorder = Recorder(0)
    return shell


def _no_input(prompt: object = "", *more: object) -> str:
    raise RuntimeError("input() gets no answer while a notebook is graded: nobody sits at the keyboard. Use a value.")


class Notebook:
    """One submission that runs: its shell, and what it prints."""

    def __init__(self, shell: Shell, limits: dict[str, Any]) -> None:
        self.shell = shell
        self.limits = limits
        self.recorder = Recorder(limits["output"])
        shell.recorder = self.recorder
        self.descriptors = Descriptors()
        self.streams = {
            name: Stream(name, self.recorder, number) for number, name in enumerate(("stdout", "stderr"), 1)
        }
        builtins.input = _no_input
        getpass.getpass = _no_input  # type: ignore[assignment]

    def run(self, source: str) -> dict[str, Any]:
        """Run one cell and return its outputs; nothing that the cell does escapes as an exception."""
        self.recorder.clear()
        clock = Clock(self.limits["cell_seconds"], processor=True, patience=2.0)
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.streams["stdout"], self.streams["stderr"]
        try:
            with clock:
                result = self.shell.run_cell(source, store_history=True)
            _forget_frames(result.error_in_exec)
        except BaseException as error:  # IPython itself can be broken by a cell
            if not isinstance(error, CallTimeoutError):
                self.recorder.error(type(error).__name__, "", [])
        finally:
            sys.stdout, sys.stderr = before
        if clock.rang:
            self._say_stopped()
        written = self.descriptors.taken(self.recorder.limit)
        if written:
            self.recorder.stream("stdout", written)
        return {"outputs": self.recorder.taken(), "stopped": clock.rang, "count": self.shell.execution_count - 1}

    def _say_stopped(self) -> None:
        seconds = self.limits["cell_seconds"]
        words = f"This cell was stopped: it took more than {seconds:g} s. Does a loop never end?"
        with contextlib.suppress(Exception):
            self.recorder.outputs = [item for item in self.recorder.outputs if item.get("ename") != "CallTimeoutError"]
        self.recorder.error("CellStopped", words, [f"CellStopped: {words}"])


def shorten_traceback(error: BaseException | None) -> None:
    """Leave out the middle of a long traceback: to read the source of a thousand frames takes seconds."""
    step = None if error is None else error.__traceback__
    steps = []
    while step is not None:
        steps.append(step)
        step = step.tb_next
    if len(steps) > 2 * SHOWN_FRAMES:
        for left_out in steps[SHOWN_FRAMES:-SHOWN_FRAMES]:
            with contextlib.suppress(RuntimeError):  # one that still runs
                left_out.tb_frame.clear()
        steps[SHOWN_FRAMES - 1].tb_next = steps[-SHOWN_FRAMES]


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the variables of functions that an exception has ended: nobody will debug, and they may be large."""
    if error is not None:
        traceback.clear_frames(error.__traceback__)
        sys.last_type = sys.last_value = sys.last_traceback = None
