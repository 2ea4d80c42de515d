"""When a submission was handed in, as the file beside it says."""

from __future__ import annotations

import codecs
from datetime import datetime
from pathlib import Path
from typing import Any

from dateutil import parser
from nbgrader.utils import parse_utc

NAME = "timestamp.txt"
MOST_BYTES = 200
DEFAULTS = (datetime(2001, 1, 1), datetime(2002, 2, 2))  # two days with nothing in common
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
            line = _first_line(file.read(MOST_BYTES))
        stamp = parse_utc(line)
        if not _names_a_day(line):
            raise ValueError("it does not say which year, month and day")
        return stamp, ""
    except Exception:  # the parser meets what a student wrote, and fails in many ways
        return None, (
            f"{NAME} could not be read as a year, a month and a day, such as 2026-03-01 12:00:00 UTC, so that nothing "
            "says when this was handed in"
        )


def _names_a_day(line: str) -> bool:
    """Return whether a text that can be read as a time names year, month and day itself, the year in four digits.

    The parser takes from a date of its own what a text leaves out: such a text means another day with another one.
    """
    words = line.split(" ")
    said = " ".join(words[:2]) if len(words) == 3 else line  # the third is the time zone
    first, second = (parser.parse(said, default=day, ignoretz=True) for day in DEFAULTS)
    return first == second and f"{first.year:04}" in said


def _first_line(content: bytes) -> str:
    """Return the first line of a text as Unix and Windows write it."""
    coding = next((coding for mark, coding in MARKS.items() if content.startswith(mark)), "utf-8")
    return content.decode(coding, "replace").strip().splitlines()[0].strip()
