"""The exercises of a chapter as a Markdown table, for its page and for the notebook copy of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jupytext

if TYPE_CHECKING:
    from mlcourse.exercises.protocol import Exercise


def table_lines(exercises: Sequence[Exercise], source: Path | None = None) -> list[str]:
    """Return the lines of a table with a row for each exercise: number, name, what is asked, points.

    ``source`` is the nbgrader source of the chapter; its question for a person becomes the last row.
    """
    entries = [(_names(exercise), exercise.summary, exercise.points) for exercise in exercises]
    entries += written_questions(source) if source else []
    rows = [f"| {number} | {name} | {asked} | {points:g} |" for number, (name, asked, points) in enumerate(entries, 1)]
    total = f"| | together | | {sum(points for _, _, points in entries):g} |"
    return ["| | Exercise | What is asked | Points |", "| ---: | --- | --- | ---: |", *rows, total]


def _names(exercise: Exercise) -> str:
    parts = exercise.reference if isinstance(exercise.reference, tuple) else ()
    return ", ".join(f"`{part.__name__}`" for part in parts) or f"`{exercise.short_name}`"


def written_questions(source: Path) -> list[tuple[str, str, float]]:
    """Return name, question and points of what a person grades in an nbgrader source."""
    if not source.exists():
        return []
    heading, found = "", []
    for cell in jupytext.read(source, fmt="md:myst").cells:
        role = cell.metadata.get("nbgrader", {})
        if cell.cell_type != "markdown":
            continue
        if role.get("grade") and role.get("solution"):
            sentence = heading if heading.endswith(("?", ".", "!")) else f"{heading}."
            found.append(("in words", f"{sentence} A person grades it.", float(role["points"])))
        elif match := re.search(r"^## (?:\d+\. )?(.+?)(?: \(\d+ points\))?$", cell.source, flags=re.MULTILINE):
            heading = match[1]
    return found
