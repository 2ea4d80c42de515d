"""Work that the grader does while a process is busy with its question."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable


class Meanwhile:
    """Work of the grader that waits for the time in which a process is busy.

    Parameters
    ----------
    steps : iterable
        Each item is one short step, done when it is asked for.
    """

    def __init__(self, steps: Iterable[None] = ()) -> None:
        self.steps = iter(steps)

    def until(self, channel: socket.socket) -> None:
        """Do one step after another until an answer begins to come, or nothing is left to do."""
        ready = select.poll()
        ready.register(channel, select.POLLIN)
        while not ready.poll(0):
            try:
                next(self.steps)
            except StopIteration:
                return
