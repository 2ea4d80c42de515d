"""The pages that are made from the chapters hold every mistake and every question, and their links lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from built_book import BOOK, CHAPTERS, built_html

from mlcourse.exercises.catalogue import chapter_exercises
from tools.book_collected import Entry, entries_of, questions_page

# How the page sets quotes, dashes and dots.
TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "--", "—": "---", "…": "..."})


def plain(text: str) -> str:
    """Return a text as it was typed, on one line."""
    return " ".join(text.translate(TYPOGRAPHY).split())


@pytest.fixture(scope="module")
def pages() -> dict[str, BeautifulSoup]:
    """Return the built pages that are asked about."""
    html = built_html()
    names = [*CHAPTERS, "common-mistakes", "open-questions"]
    return {name: BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser") for name in names}


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize(("section", "page"), [("Common mistakes", "common-mistakes"), ("Questions", "open-questions")])
def test_every_heading_is_an_entry_that_leads_to_it(name, section, page, pages):
    entries = list(entries_of(BOOK / f"{name}.md", section))
    assert entries
    links = [link["href"] for link in pages[page].select("article a[href]")]
    targets = [link.partition("#")[2] for link in links if link.startswith(f"{name}.html#")]
    section_of = next(tag for tag in pages[name].select("section:has(> h2)") if tag.h2.get_text().startswith(section))
    headings = [tag["id"] for tag in section_of.select("section:has(> h3)")]
    assert len(headings) == len(entries)
    assert [target for target in targets if target in headings] == headings


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_known_mistake_of_every_exercise_is_listed(name, pages):
    text = plain(pages["common-mistakes"].get_text())
    for exercise in chapter_exercises(name).values():
        for known in exercise.misconceptions:
            assert plain(known.hint) in text, known.hint


def test_questions_show_what_their_cells_printed(pages):
    shown = [block.get_text() for block in pages["open-questions"].select("details pre")]
    assert len(shown) > len(list(pages["open-questions"].select("details"))), "no cell shows what it printed"


def test_an_entry_is_its_title_its_first_paragraph_and_its_first_cell(tmp_path: Path):
    page = tmp_path / "toy.md"
    page.write_text(
        "# Toy\n\n## Questions\n\n### Why $x_1$?\n\n$$\na\n$$\n\nBecause\nof it.\n\nMore.\n\n"
        "```{code-cell} python\n:tags: [check]\n\nx = 1\n\ny = 2\n```\n\n### And then?\n\nNothing.\n\n"
        "## Exercises\n\n### No\n",
        encoding="utf-8",
    )
    assert list(entries_of(page, "Questions")) == [
        Entry("Why $x_1$?", "Because\nof it.", "x = 1\n\ny = 2"),
        Entry("And then?", "Nothing.", ""),
    ]
    assert list(entries_of(page, "Milestone")) == []


def test_a_book_without_questions_has_an_empty_page(tmp_path: Path):
    assert "0 of them" in questions_page(tmp_path, [], {})
