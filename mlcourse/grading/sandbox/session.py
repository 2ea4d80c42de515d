"""One submission: its cells run one after another, and each check keeps the state that it found.

A check forks the submission's process. The copy is asked later, when no cell can show any more what it was asked. A
cell that ends its process costs only itself: a fresh process replays the cells before it.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlcourse.grading.companions import modules_among
from mlcourse.grading.plain import PlainArray
from mlcourse.grading.sandbox.meanwhile import Meanwhile
from mlcourse.grading.sandbox.parent import Child, WarmParent
from mlcourse.grading.sandbox.reader import Reader, Text
from mlcourse.grading.sandbox.replies import Room, outputs_of, unread_of
from mlcourse.grading.wire import ClosedError, WireError, WireTimeoutError, receive, send

BRANCH_SECONDS = 30.0
FILES_SECONDS = 30.0
GRACE = 3.0  # seconds beyond a limit that the submission's own process should have kept


@dataclass
class CellResult:
    """What one cell showed, and whether it ended its process."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    ended: str = ""  # in words


class Branch:
    """A copy of the submission's process at one check."""

    def __init__(self, channel: socket.socket, child: Child) -> None:
        self.channel = channel
        self.child = child
        self.closed = False
        self.used = False  # whether anything of the submission was called in it

    def ask(self, patience: float, /, **request: Any) -> Any:
        """Return the answer to one request; after an error nobody answers any more."""
        self.send(**request)
        return self.receive(patience)

    def send(self, **request: Any) -> None:
        """Send one request."""
        if self.closed:
            raise ClosedError("the submission's process is gone")
        with self._closing_on_errors():
            send(self.channel, request)

    def receive(self, patience: float) -> Any:
        """Return the next answer."""
        with self._closing_on_errors():
            return receive(self.channel, patience)

    @contextlib.contextmanager
    def _closing_on_errors(self) -> Iterator[None]:
        try:
            yield
        except WireError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the copy."""
        self.closed = True
        self.channel.close()


class Session:
    """Runs the cells of one submission; used as a context, which ends all of its processes."""

    def __init__(self, parent: WarmParent, files: Mapping[str, bytes] | None = None) -> None:
        self.parent = parent
        self.files = {name: PlainArray("numpy", np.frombuffer(data, np.uint8)) for name, data in (files or {}).items()}
        self.modules = modules_among(files or {})
        # Where nothing is isolated the submission has no temporary folder of its own.
        self.room = None if parent.isolated else tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.limits = parent.limits
        self.deadline = time.monotonic() + self.limits.submission_seconds
        self.shown = Room(self.limits.output)
        self.children: list[Child] = []
        self.ended = 0  # how many of them
        self.main: Child | None = None
        self.cells: list[str] = []  # those that have run, in order
        self.culprits: set[int] = set()  # positions of those that ended their process
        self.refused: set[int] = set()  # positions of those that are not run at all
        self.fallen: set[int] = set()  # processes of which every copy was ended
        self.apart: set[str] = set()  # checks that may wait for the end of the notebook
        self.shared: Branch | None = None  # in which those are tried, one after another
        self.allowed = self.limits.restarts
        self.unread = ""  # in words, of a text that a cell was about to run
        self.meanwhile = Meanwhile()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.end_all()
        if self.room is not None:
            self.room.cleanup()

    def end_all(self) -> None:
        """End every process of the submission: one that is made later has nobody left to learn from."""
        for child in self.children[self.ended :]:
            self.parent.end(child)
        self.ended = len(self.children)
        self.main = None
        if self.shared is not None:
            self.shared.close()

    @property
    def left(self) -> float:
        """Seconds that remain for this submission."""
        return max(0.0, self.deadline - time.monotonic())

    def analyse(
        self, reader: Reader, cells: list[str], checks: dict[str, dict[str, Any]], meanwhile: Iterable[None] = ()
    ) -> dict[str, str] | None:
        """Return the shortcuts in the text; asked of a process that runs nothing, so its word is good.

        None where the text could not be searched: then nobody knows what it does. The steps of ``meanwhile`` are done
        while a process is busy, with this or with a cell.
        """
        self.main = self._spawn()
        self.meanwhile = Meanwhile(meanwhile)
        text = Text(cells, checks, self.modules)
        found = reader.read(text, min(self.limits.cell_seconds, self.left), self.meanwhile)
        self.parent.keep_spare()  # not before: three busy processes would be one too many for two cores
        if found is None:
            return None
        self.refused = set(found["too_deep"])
        self.apart = set(found["apart"])
        return None if found["exhausted"] else dict(found["shortcuts"])

    def run(self, source: str) -> CellResult:
        """Run the next cell."""
        position = len(self.cells)
        child = self._ready() if self.left else None
        self.cells.append(source)
        if position in self.refused:
            return self._not_run(position, "This cell is nested too deeply to be read, and was not run.")
        if child is None:
            words = "This submission ended its process too often, or took too long: the cell was not run."
            return self._not_run(position, words)
        try:
            reply = self._run(child, source)
            outputs, stopped = outputs_of(reply, self.shown)
        except WireError as error:
            words = self.why(child, error, "This cell")
            self._lose(child)
            return self._not_run(position, words)
        if "unread" in reply:  # and its process has ended
            self.unread = unread_of(reply)
            self.culprits.add(position)
            self._lose(child)
        return CellResult(outputs, "This cell was stopped: it took too long." if stopped else "")

    def _not_run(self, position: int, words: str) -> CellResult:
        self.culprits.add(position)
        error = {"output_type": "error", "ename": "CellEnded", "evalue": words, "traceback": [f"CellEnded: {words}"]}
        return CellResult([error], words)

    def last_branch(self) -> Branch | None:
        """Return the submission itself, for the last check, when no cell will run any more."""
        child, self.main = self._ready(), None
        return None if child is None else Branch(child.channel, child)

    def branch(self) -> Branch | None:
        """Return a copy of the submission as it is after the cells so far, or None if there is none to be had."""
        for _ in range(2):
            child = self._ready()
            if child is None:
                return None
            with contextlib.suppress(WireError):
                return self._branched(child)
            self._lose(child)
        return None

    def again(self, cells: int) -> Branch | None:
        """Return a new copy as it was after so many cells, in a fresh process, for one that was lost."""
        child = self._replayed(cells)
        if child is None:
            return None
        with contextlib.suppress(WireError):
            return self._branched(child)
        return None

    def is_orphan(self, branch: Branch) -> bool:
        """Return whether a copy was ended together with another one, that used too much: not by its own doing."""
        return branch.child.process in self.fallen

    def shared_branch(self) -> Branch | None:
        """Return what several checks are tried in, one after another: the submission itself, as it is at the end."""
        if self.shared is None or self.shared.closed:
            self.shared = self.last_branch()
        return self.shared

    def leave_shared(self) -> None:
        """Have the next check begin in a process in which nothing was tried."""
        self.shared = None

    def fresh(self) -> Branch | None:
        """Return a process of its own, in which all cells have run and nothing was tried.

        No other one has anything in common with it, no file and no memory: it may be asked for what a report shows,
        after another one has seen hidden cases.
        """
        self.allowed += 1  # it is not made anew because it has ended
        child = self._replayed(len(self.cells))
        return None if child is None else Branch(child.channel, child)

    def finish(self) -> None:
        """Close the process of the cells; the copies of it stay."""
        if self.main is not None:
            self.main.channel.close()
            self.main = None

    def why(self, child: Child, error: WireError, what: str) -> str:
        """Return in words why a process gave no answer."""
        if isinstance(error, WireTimeoutError):
            return f"{what} was stopped: it took too long, and could not be interrupted."
        if isinstance(error, ClosedError):
            reason = self.parent.why(child)
            if reason:
                self.fallen.add(child.process)
            if reason == "memory":
                return f"{what} was stopped: it used more than {self.limits.memory // 2**20} MB of memory."
            return f"{what} ended the Python process. What was defined above it is there again."
        return f"{what} gave an answer that could not be read: {error}."

    def _ready(self) -> Child | None:
        if self.main is None:
            self.main = self._replayed(len(self.cells))
        return self.main

    def _replayed(self, cells: int) -> Child | None:
        """Return a fresh process in which so many cells have run, without those that ended theirs."""
        while len(self.children) <= self.allowed and self.left > 0:
            child = self._spawn()
            lost = self._replay(child, cells)
            if lost is None:
                return child
            self.culprits.add(lost)
            self._lose(child)
        return None

    def _replay(self, child: Child, cells: int) -> int | None:
        """Run the first cells again and return the position of one that ends the process, if one does."""
        for position in range(cells):
            if position in self.culprits:
                continue
            try:
                self._run(child, self.cells[position])
            except WireError:
                return position
        return None

    def _spawn(self) -> Child:
        child = self.parent.spawn()
        self.children.append(child)
        if self.files or self.room is not None:
            folder = "/tmp" if self.room is None else self.room.name
            with contextlib.suppress(WireError):  # the next request says that nobody answers
                request = {"files": self.files, "folder": folder, "modules": self.modules}
                self._ask(child, FILES_SECONDS, do="files", **request)
        return child

    def _lose(self, child: Child) -> None:
        child.channel.close()
        if self.main is child:
            self.main = None

    def _branched(self, child: Child) -> Branch:
        ours, theirs = socket.socketpair()
        with theirs:
            send(child.channel, {"do": "branch"}, theirs.fileno())
        receive(child.channel, min(self.left, BRANCH_SECONDS))
        return Branch(ours, child)

    def _run(self, child: Child, source: str) -> Any:
        return self._ask(child, 2 * self.limits.cell_seconds + GRACE, do="cell", source=source)

    def _ask(self, child: Child, seconds: float, **request: Any) -> Any:
        send(child.channel, request)
        self.meanwhile.until(child.channel)
        return receive(child.channel, min(seconds, self.left))
