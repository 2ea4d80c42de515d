"""A process that reads the texts of all submissions and runs none of them.

It searches each for shortcuts. What a submission does when it runs cannot change what is found in its text, and a
process that has searched one text searches the next one faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlcourse.grading.sandbox.meanwhile import Meanwhile
from mlcourse.grading.sandbox.parent import Child, WarmParent
from mlcourse.grading.wire import WireError, receive, send

ENOUGH = 300_000  # characters, after which a process is not used again: it has grown


@dataclass(frozen=True)
class Text:
    """The text of one submission: its cells without the checks, what each check asks for, and the modules beside."""

    cells: list[str]
    checks: dict[str, dict[str, Any]]
    modules: dict[str, str]

    @property
    def size(self) -> int:
        """Characters in all."""
        return sum(map(len, (*self.cells, *self.modules.values())))


class Reader:
    """Asks a child of the warm parent, which is made when it is first needed, and again when it has failed."""

    def __init__(self, parent: WarmParent) -> None:
        self.parent = parent
        self.child: Child | None = None
        self.size = 0  # characters that it has read

    def read(self, text: Text, seconds: float, meanwhile: Meanwhile) -> dict[str, Any] | None:
        """Return what is found in a text; None where nothing came in so many seconds.

        A process that has read other texts before must harm nobody: where it fails, a new one is asked.
        """
        used = self.child is not None
        found = self._read(text, seconds, meanwhile)
        if used and not _was_searched(found):
            found = self._read(text, seconds, meanwhile)
        return found

    def _read(self, text: Text, seconds: float, meanwhile: Meanwhile) -> dict[str, Any] | None:
        if self.child is None:
            self.size = 0
        child, self.child = self.child or self.parent.spawn(), None
        self.size += text.size
        found = None
        try:
            send(child.channel, {"do": "analyse", **vars(text)})
            meanwhile.until(child.channel)
            found = receive(child.channel, seconds)
        except WireError:
            pass
        finally:
            if _was_searched(found) and self.size < ENOUGH:
                self.child = child
            else:
                self.parent.end(child)
        return found


def _was_searched(found: dict[str, Any] | None) -> bool:
    """Return whether all of a text could be searched."""
    return found is not None and not found["exhausted"] and not found["too_deep"]
