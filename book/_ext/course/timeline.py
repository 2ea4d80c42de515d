"""The timeline of the milestones: a drawn axis of years with a lane for each part, and the same in words below it."""

from __future__ import annotations

from html import escape
from itertools import groupby, pairwise
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from course.html import path_to_root, raw_html
from tools.book_chapters import Chapter, all_chapters

# Years and where they lie on the axis, in percent; even between two of them. The recent years get more room.
SCALE = ((1800, 3), (1900, 15), (1950, 25), (2000, 45), (2010, 57), (2025, 97))
TICKS = (1800, 1900, 1950, 2000, 2010, 2020)


class Timeline(SphinxDirective):
    """Draws the timeline of all chapters; the written ones are links."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the figure."""
        book = Path(self.env.srcdir)
        for path in (*book.glob("*.md"), *book.glob("_data/*.yml")):
            self.env.note_dependency(str(path))
        chapters = all_chapters(book)
        root = path_to_root(self.env.docname)
        caption = (
            "One milestone for each chapter. The axis is stretched toward the present. "
            f"{sum(chapter.written for chapter in chapters)} of {len(chapters)} chapters are written; "
            "the others are in preparation."
        )
        return [
            raw_html(
                '<figure class="timeline" aria-label="Timeline of the milestones of all chapters">'
                f"{draw_axis(chapters, root)}{list_in_words(chapters, root)}"
                f"<figcaption>{caption}</figcaption></figure>"
            )
        ]


def position(year: float) -> float:
    """Return where a year lies on the axis, in percent of its width.

    Examples
    --------
    >>> position(1800), position(1850), position(2025)
    (3.0, 9.0, 97.0)
    """
    for (start, left), (end, right) in pairwise(SCALE):
        if start <= year <= end:
            return left + (right - left) * (year - start) / (end - start)
    raise ValueError(f"The year {year} lies outside the timeline, which runs from {SCALE[0][0]} to {SCALE[-1][0]}.")


def draw_axis(chapters: list[Chapter], root: str) -> str:
    """Return the drawing: a lane of dots for each part, above the years. The list below it says the same in words."""
    ticks = "".join(f'<span class="tick" style="left:{position(year):.1f}%">{year}</span>' for year in TICKS)
    lanes = []
    for number, (part, members) in enumerate(groupby(chapters, key=lambda chapter: chapter.part), start=1):
        dots = "".join(_dot(chapter, root) for chapter in members)
        lanes.append(f'<div class="lane lane-{number}"><span class="lane-name">{escape(part)}</span>{dots}</div>')
    return f'<div class="axis">{"".join(lanes)}<div class="years" aria-hidden="true">{ticks}</div></div>'


def list_in_words(chapters: list[Chapter], root: str) -> str:
    """Return the milestones as a list, the oldest first."""
    lanes = {part: number for number, part in enumerate(dict.fromkeys(chapter.part for chapter in chapters), start=1)}
    items = "".join(
        f'<li class="lane-{lanes[chapter.part]}"><span class="year">{chapter.year}</span><span class="entry">'
        f'{_title(chapter, root)}<span class="milestone">{escape(chapter.milestone)}</span></span></li>'
        for chapter in sorted(chapters, key=lambda chapter: chapter.year)
    )
    return f"<ol>{items}</ol>"


def _title(chapter: Chapter, root: str) -> str:
    if chapter.written:
        return f'<a class="title" href="{root}{chapter.name}.html">{escape(chapter.title)}</a>'
    return f'<span class="title">{escape(chapter.title)} <span class="planned">in preparation</span></span>'


def _dot(chapter: Chapter, root: str) -> str:
    place = f'style="left:{position(chapter.year):.2f}%"'
    words = escape(f"{chapter.year}, {chapter.title}: {chapter.milestone}")
    if chapter.written:
        return f'<a class="dot" {place} href="{root}{chapter.name}.html" title="{words}" aria-label="{words}"></a>'
    return f'<span class="dot" {place} title="{words} (in preparation)" aria-hidden="true"></span>'
