"""Pages that are made from the chapters: the mistakes that many people make, and the questions with their answers.

Nothing on them is written by hand. A heading below "Common mistakes" or "Questions" of a chapter is an entry, and the
exercises declare which mistakes they know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from myst_parser.mdit_to_docutils.base import default_slugify

from mlcourse.exercises.catalogue import chapter_exercises
from mlcourse.exercises.protocol import Exercise
from tools.book_chapters import Chapter, all_chapters, pages_in_toc

MISTAKES, QUESTIONS = "common-mistakes.md", "open-questions.md"
MOST_OUTPUT = 1_500  # characters of what a cell prints
FENCE = ":" * 6  # longer than any that stands inside
# What a page says about a cell's outputs: the source of the cell to what it printed.
Printed = Mapping[str, str]

MISTAKES_INTRODUCTION = """\
# Common mistakes

Each chapter refutes what many people believe, by a number. Each exercise knows wrong answers that learners write, and
answers each with a hint of its own. This page collects both from the chapters. {count} mistakes are known.
"""
QUESTIONS_INTRODUCTION = """\
# Open questions

Questions that come up when one thinks further, from all chapters: {count} of them, each with the beginning of its
answer and the cell that shows it. The link leads to the whole answer.
"""


@dataclass(frozen=True)
class Entry:
    """One heading of a chapter's section, with its first paragraph and its first cell."""

    title: str
    paragraph: str
    code: str


def write_collected_pages(book: Path, printed: Printed | None = None) -> None:
    """Write those of the two pages that the table of contents names into the book's folder.

    Parameters
    ----------
    book : Path
    printed : mapping of str to str, optional
        What cells printed when the pages ran, by their source.
    """
    listed = {f"{name}.md" for name in pages_in_toc(book / "_toc.yml")}
    if not listed & {MISTAKES, QUESTIONS}:
        return
    chapters = [chapter for chapter in all_chapters(book) if chapter.written]
    if MISTAKES in listed:
        (book / MISTAKES).write_text(mistakes_page(book, chapters, chapter_exercises), encoding="utf-8")
    if QUESTIONS in listed:
        (book / QUESTIONS).write_text(questions_page(book, chapters, printed or {}), encoding="utf-8")


def mistakes_page(book: Path, chapters: list[Chapter], exercises_of: Callable[[str], Mapping[str, Exercise]]) -> str:
    """Return the page of mistakes."""
    parts, count = [], 0
    for chapter in chapters:
        entries = list(entries_of(book / f"{chapter.name}.md", "Common mistakes"))
        exercises = exercises_of(chapter.name)
        count += len(entries) + sum(len(exercise.misconceptions) for exercise in exercises.values())
        parts.append(f"## {chapter.title}")
        parts.append("\n".join(f"- {link_to(chapter, entry)}" for entry in entries))
        parts += [_known_mistakes(exercise) for exercise in exercises.values() if exercise.misconceptions]
    return "\n\n".join([MISTAKES_INTRODUCTION.format(count=count), *filter(None, parts)]) + "\n"


def questions_page(book: Path, chapters: list[Chapter], printed: Printed) -> str:
    """Return the page of questions."""
    parts, count = [], 0
    for chapter in chapters:
        entries = list(entries_of(book / f"{chapter.name}.md", "Questions"))
        count += len(entries)
        if entries:
            parts.append(f"## {chapter.title}")
        for entry in entries:
            parts += [f"**{link_to(chapter, entry)}**", entry.paragraph, _cell(entry, printed)]
    return "\n\n".join([QUESTIONS_INTRODUCTION.format(count=count), *filter(None, parts)]) + "\n"


def entries_of(page: Path, section: str) -> Iterator[Entry]:
    """Yield the entries below a second heading of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(section)}$\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    for part in re.split(r"^### ", found[1] if found else "", flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        cell = re.search(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
        yield Entry(title.strip(), _first_paragraph(body), _without_options(cell[1]) if cell else "")


def link_to(chapter: Chapter, entry: Entry) -> str:
    """Return a link to an entry."""
    return f"[{entry.title}]({chapter.name}.md#{slug(entry.title)})"


def slug(title: str) -> str:
    r"""Return the name by which MyST knows a heading: without the mathematics in it.

    Examples
    --------
    >>> slug("Is W_QK a *metric* tensor?"), slug("Why $x_1$, and not `x`?")
    ('is-w_qk-a-metric-tensor', 'why--and-not-x')
    """
    plain = re.sub(r"\$[^$]*\$", "", title)
    return str(default_slugify(re.sub(r"[`*\\]", "", plain)))


def escaped(text: str) -> str:
    r"""Return plain text as Markdown that shows it as it is.

    Examples
    --------
    >>> escaped("divide by sqrt(d_k), not *d_k*")
    'divide by sqrt(d\\_k), not \\*d\\_k\\*'
    """
    return re.sub(r"([\\`*_\[\]<>$#{}|~])", r"\\\1", text)


def _first_paragraph(body: str) -> str:
    """Return the first block of prose, whole sentences without cells and displayed formulas."""
    for block in re.split(r"\n\s*\n", body.strip()):
        if not block.startswith(("```", "$$", ":::", "|", "(")):
            return block.strip()
    return ""


def _without_options(cell: str) -> str:
    lines = cell.splitlines()
    while lines and (lines[0].startswith(":") or not lines[0].strip()):
        lines.pop(0)
    return "\n".join(lines).strip()


def _known_mistakes(exercise: Exercise) -> str:
    hints = "\n".join(f"- {escaped(known.hint)}" for known in exercise.misconceptions)
    count = len(exercise.misconceptions)
    return f"{FENCE}{{dropdown}} `{exercise.short_name}`: {count} known mistakes\n{hints}\n{FENCE}"


def _cell(entry: Entry, printed: Printed) -> str:
    if not entry.code:
        return ""
    shown = printed.get(entry.code, "").strip()[:MOST_OUTPUT]
    output = f"\n\n```text\n{shown}\n```" if shown else ""
    return f"{FENCE}{{dropdown}} The cell that shows it\n```python\n{entry.code}\n```{output}\n{FENCE}"
