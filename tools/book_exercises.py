"""The exercises of a chapter as a Markdown table, for its page and for the notebook copy of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlcourse.exercises.protocol import Exercise


def table_lines(exercises: Sequence[Exercise]) -> list[str]:
    """Return the lines of a table with a row for each exercise: number, name, what is asked, points."""
    rows = [
        f"| {number} | `{exercise.short_name}` | {exercise.summary} | {exercise.points:g} |"
        for number, exercise in enumerate(exercises, start=1)
    ]
    return ["| | Exercise | What is asked | Points |", "| ---: | --- | --- | ---: |", *rows]
