"""When a submission was handed in, as the file beside it says."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from nbgrader.utils import parse_utc

NAME = "timestamp.txt"
MOST_BYTES = 200
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_timestamp(folder: Path) -> tuple[Any, str]:
    """Return when a submission was handed in, if its folder says so, and in words what is wrong with the file, if any.

    Examples
    --------
    >>> read_timestamp(Path("a folder without such a file"))
    (None, '')
    """
    path = folder / NAME
    try:
        if not path.is_symlink() and not path.exists():
            return None, ""
        if path.is_symlink() or not path.is_file():
            raise ValueError("it is a link or no file")
        with path.open("rb") as file:  # it may be larger than the memory
            return parse_utc(_first_line(file.read(MOST_BYTES))), ""
    except Exception:  # the parser meets what a student wrote, and fails in many ways
        return None, f"{NAME} could not be read, so that nothing says when this was handed in"


def _first_line(content: bytes) -> str:
    """Return the first line of a text as Unix and Windows write it."""
    coding = next((coding for mark, coding in MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(coding, "replace").strip().splitlines()[0].strip()
