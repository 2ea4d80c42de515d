"""Which pages the book has: its chapters, written and planned, and its table of contents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

PLANNED = Path("book/_data/chapters.yml")
REQUIRED = ("title", "year", "milestone", "paper", "outcomes", "prerequisites", "minutes")


@dataclass(frozen=True)
class Chapter:
    """One chapter: what its card, the timeline and the notebooks say about it.

    A planned chapter has a name, a title, a year, a milestone and a part; a written one has everything.
    """

    name: str
    title: str
    year: int
    milestone: str
    part: str = ""
    paper: str = ""
    outcomes: tuple[str, ...] = field(default=())
    prerequisites: tuple[str, ...] = field(default=())
    minutes: int = 0
    written: bool = False


def read_front_matter(path: Path) -> dict[str, Any]:
    """Return the front matter of a page, the YAML between its first two lines of dashes; empty if it has none.

    Raises
    ------
    ValueError
        If the front matter is no YAML.
    """
    text = path.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        return {}
    top, _, _ = text.removeprefix("---\n").partition("\n---")
    try:
        return yaml.safe_load(top) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} has front matter that is no YAML: {error}") from error


def written_chapters(book: Path) -> dict[str, Chapter]:
    """Return the chapters that have a page, by name, found by ``chapter:`` in the front matter.

    Raises
    ------
    ValueError
        If a chapter's front matter lacks a key.
    """
    found = {}
    for path in sorted(book.glob("*.md")):
        card = read_front_matter(path).get("chapter")
        if card is None:
            continue
        missing = [key for key in REQUIRED if not card.get(key)]
        if missing:
            raise ValueError(f"{path} is a chapter, but its front matter lacks: {', '.join(missing)}.")
        found[path.stem] = _chapter(path.stem, card, written=True)
    return found


def all_chapters(book: Path) -> list[Chapter]:
    """Return every chapter in the order of the course: the planned ones, replaced by the written where there is one."""
    path = book.parent / PLANNED
    parts = yaml.safe_load(path.read_text(encoding="utf-8"))
    written = written_chapters(book)
    every = []
    for part in parts:
        for planned in part["chapters"]:
            own = written.pop(planned["name"], None)
            chapter = _chapter(planned["name"], {**planned, "part": part["part"]})
            every.append(replace(own, part=part["part"]) if own else chapter)
    return every + list(written.values())


def page_title(path: Path) -> str:
    """Return the first heading of a page; the name of the file if it has none."""
    heading = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return heading[1].strip() if heading else path.stem


def pages_in_toc(toc: Path) -> list[str]:
    """Return the pages that the table of contents names, without their suffix; a ``glob`` is resolved."""
    return list(dict.fromkeys(_entries(yaml.safe_load(toc.read_text(encoding="utf-8")), toc.parent)))


def left_out(book: Path) -> list[str]:
    """Return the chapters that have a page but do not stand in the table of contents."""
    listed = set(pages_in_toc(book / "_toc.yml"))
    return [name for name in written_chapters(book) if name not in listed]


def _entries(node: Any, book: Path) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _entries(item, book)
    elif isinstance(node, dict):
        for key in ("root", "file"):
            if key in node:
                yield str(node[key]).removesuffix(".md")
        if "glob" in node:
            for path in sorted(book.glob(f"{node['glob']}.md")):
                yield path.relative_to(book).with_suffix("").as_posix()
        for key in ("parts", "chapters", "sections", "subtrees", "entries"):
            yield from _entries(node.get(key), book)


def _chapter(name: str, card: dict[str, Any], written: bool = False) -> Chapter:
    known = {entry.name for entry in fields(Chapter)} - {"name", "written"}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in card.items() if key in known
    }
    return Chapter(name=name, written=written, **values)
