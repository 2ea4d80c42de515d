"""What a cell shows, as the outputs of a notebook, with a limit."""

from __future__ import annotations

import base64
import contextlib
import io
import os
from typing import Any

# No scripts, and no SVG, which can hold them.
SHOWN_TYPES = ("text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/jpeg")
IMAGE_LIMIT = 2_000_000  # characters of all images of one cell, in base64


class Recorder:
    """Collects the outputs of one cell after another."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Begin a new cell."""
        self.outputs: list[dict[str, Any]] = []
        self.left, self.images_left = self.limit, IMAGE_LIMIT
        self.cut = False

    def stream(self, name: str, text: str) -> None:
        """Add printed text, to the last output where it goes on."""
        text = self._kept(text)
        if not text:
            return
        last = self.outputs[-1] if self.outputs else None
        if last and last["output_type"] == "stream" and last["name"] == name:
            last["parts"].append(text)
        else:
            self.outputs.append({"output_type": "stream", "name": name, "parts": [text]})

    def shown(self, kind: str, data: dict[str, Any], **more: Any) -> None:
        """Add a figure, a table or a result."""
        kept = {name: self._fitting(name, data[name]) for name in SHOWN_TYPES if name in data}
        kept = {name: text for name, text in kept.items() if text is not None}
        if kept:
            self.outputs.append({"output_type": kind, "data": kept, **more})

    def error(self, kind: str, message: str, traceback: list[str]) -> None:
        """Add an exception."""
        lines = [self._kept(line) for line in traceback]
        self.outputs.append(
            {
                "output_type": "error",
                "ename": kind[:200],
                "evalue": message[:2_000],
                "traceback": [line for line in lines if line],
            }
        )

    def taken(self) -> list[dict[str, Any]]:
        """Return the outputs of the cell, with a note where something was cut."""
        if self.cut:
            note = f"\n... more was printed: a cell shows at most {self.limit} characters.\n"
            self.outputs.append({"output_type": "stream", "name": "stdout", "parts": [note]})
        for output in self.outputs:
            if "parts" in output:
                output["text"] = "".join(output.pop("parts"))
        return self.outputs

    def _kept(self, text: str) -> str:
        kept = text[: self.left]
        self.cut = self.cut or len(kept) < len(text)
        self.left -= len(kept)
        return kept

    def _fitting(self, name: str, value: Any) -> str | None:
        if isinstance(value, bytes):
            value = base64.b64encode(value[:IMAGE_LIMIT]).decode("ascii")
        if not isinstance(value, str):
            return None
        value = str(value)
        if not name.startswith("image/"):
            return self._kept(value)
        if len(value) > self.images_left:
            self.cut = True
            return None
        self.images_left -= len(value)
        return value


class Stream(io.TextIOBase):
    """Takes the place of ``sys.stdout`` or ``sys.stderr``."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, recorder: Recorder, descriptor: int) -> None:
        self.name = name
        self.recorder = recorder
        self.descriptor = descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Record printed text."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self.recorder.left:
            self.recorder.stream(self.name, str(text))
        elif text:  # a loop that prints a million lines is not charged for what nobody will see
            self.recorder.cut = True
        return len(text)

    def fileno(self) -> int:
        """Return the descriptor behind it, for programs that a cell starts."""
        return self.descriptor

    def close(self) -> None:
        """Do nothing: the next cell prints too."""


class Descriptors:
    """Catches what is written past Python: by programs that a cell starts, or by libraries in C."""

    def __init__(self) -> None:
        self.file = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_APPEND, 0o600)
        self.read = 0
        self.connect()

    def connect(self) -> None:
        """Let descriptors 1 and 2 write to the file, also after a cell has closed them."""
        for descriptor in (1, 2):
            os.dup2(self.file, descriptor)

    def taken(self, limit: int) -> str:
        """Return what has been written since the last time, at most so many bytes."""
        with contextlib.suppress(OSError):
            size = os.fstat(self.file).st_size
            text = os.pread(self.file, min(limit + 1, size - self.read), self.read)
            os.ftruncate(self.file, 0)
            self.connect()
            return text.decode("utf-8", "replace")
        return ""
